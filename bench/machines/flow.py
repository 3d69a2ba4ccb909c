"""A flow of commands for a whole shard: mixed spot and on-demand orders of many accounts, and what their leases need.

It is made once against a machine, since leases and cancels name what the machine numbered, and is then played anew, so
that a run times nothing but the machine. What the machine asked of its books on the way is kept for the bare book.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard

import msgspec

from engine.book import Book, BookLimits
from engine.codec import encode_command
from engine.halves import Half, compiled_half
from engine.kinds import LeaseState, OrderType, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    Accepted,
    CancelOrder,
    Command,
    Deposit,
    EndLease,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseScheduled,
    LeaseWiped,
    ListMarket,
    OpenAccount,
    PlaceOrder,
    RegisterBaron,
    SetCapacity,
    Tick,
)
from engine.units import NS_PER_HOUR

SPOT: Final = 1
ONDEMAND: Final = 2
GPUS_A_BARON: Final = 64
MIDDLE: Final = 20_000
"""Ticks; prices lie around it."""
SPREAD: Final = 360
CROSSING: Final = 60
"""Ticks beyond the middle, of the spread, that an order may be priced through."""
STEP_NS: Final = 1_000_000
"""Between two orders: a thousand a second of the market's own time."""
START_NS: Final = 490_000 * NS_PER_HOUR
WEALTH_MICROS: Final = 10**12
LEASES_AT_ONCE: Final = 2_000
"""Running leases; the oldest is ended for each one more."""
RESTING_AT_ONCE: Final = 30_000
"""Orders that may rest: for each one more another is canceled, or a long flow would be of nothing but orders that pile up."""
_SEED: Final = 20_270_101
_HUNDRED: Final = 100
_SHARES: Final = (35, 35)
"""Of a hundred orders: bids and asks; the others are cancels."""
_INSTRUMENTS: Final = (SPOT, ONDEMAND)
_TIMES: Final = (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC)
_MOST_GPUS: Final = 8
_ORDERS: Final = (PlaceOrder, CancelOrder)

FETCH: Final = 256
"""Records of a batch: so few that what they and their events are in is still near when it is let go."""
Fetch: TypeAlias = tuple[bytes, ...]
"""Records of a log that are played at once."""


class Flow(NamedTuple):
    """`opening` opens accounts, Barons and the market; of `steps` the orders are counted, and all are timed."""

    accounts: int
    opening: list[tuple[int, Command]]
    steps: list[tuple[int, Command]]
    book_commands: dict[int, bytes]
    """By instrument: what the machine asked of its book amid the steps, as records."""

    @property
    def orders(self) -> int:
        """Orders and cancels."""
        return sum(isinstance(command, _ORDERS) for _, command in self.steps)


def mixed(orders: int, accounts: int, *, named: bool = False) -> Flow:
    """Bids and asks of both kinds around one price, three of ten are cancels; four of five accounts rent, the others provide.

    named: each order has a client id, a tag and a connection, as those of the public API have; and cancels go by client id.
    """
    asked: dict[int, list[bytes]] = {}
    maker = Maker(accounts, Half(_recording(asked), compiled_half().grid), named)
    opening = maker.steps
    for records in asked.values():
        records.clear()
    maker.steps = []
    for _ in range(orders):
        maker.order()
    return Flow(accounts, opening, maker.steps, {number: b"".join(records) for number, records in asked.items()})


def played(machine: Machine, steps: list[tuple[int, Command]]) -> int:
    """Put the steps to a machine; how many events came of them."""
    events, seq, apply = 0, machine.last_seq, machine.apply
    for ts_ns, command in steps:
        seq += 1
        events += len(apply(seq, ts_ns, command))
    return events


def opened(flow: Flow) -> Machine:
    """A machine on the compiled half that stands where the flow's steps begin."""
    machine = compiled_half().machine(0, Limits())
    played(machine, flow.opening)
    return machine


def fetched(records: Sequence[bytes]) -> list[Fetch]:
    """Records in lists of as many as a replay hands to its machine at once."""
    return [tuple(records[first : first + FETCH]) for first in range(0, len(records), FETCH)]


def batched_s(machine: Machine, fetches: Iterable[Fetch]) -> float:
    """Put fetched records to a machine, a batch each; the seconds that it took."""
    before = time.perf_counter()
    for records in fetches:
        machine.batch(records, machine.last_seq + 1)
    return time.perf_counter() - before


def logged(steps: list[tuple[int, Command]]) -> list[Fetch]:
    """The steps as the command log carries them."""
    return fetched([encode_command(ts_ns, command) for ts_ns, command in steps])


class Maker:
    """Makes the flow against a machine of its own, an order after another."""

    def __init__(self, accounts: int, half: Half, named: bool) -> None:
        self.machine = half.machine(0, Limits())
        self.steps: list[tuple[int, Command]] = []
        self.now_ns = START_NS
        self._random = random.Random(_SEED)
        self._named = named
        self._placed = 0
        self._live: list[tuple[int, int, str]] = []
        """(account, order, client id) of orders that may rest still."""
        self._leases: deque[tuple[int, int]] = deque()
        self._renters = range(1, accounts * 4 // 5 + 1)
        self._providers = range(accounts * 4 // 5 + 1, accounts + 1)
        self._open_up()

    def order(self) -> None:
        """One more order or cancel, and what its leases need."""
        command = self.drawn()
        self._ticks()
        for event in self._enter(command):
            self.rests(event)
            if isinstance(event, LeaseScheduled):
                self._enter(LeaseActive(lease_id=event.lease_id, access=b"port"))
                self.runs(event)
        for ends in self.ended():
            self._enter(ends)

    def drawn(self) -> Command:
        """The next order or cancel, a step later."""
        self.now_ns += STEP_NS
        what, bids, asks = self._below(_HUNDRED), *_SHARES
        if self._live and (what >= bids + asks or len(self._live) >= RESTING_AT_ONCE):
            return self._cancel()
        return self._name(self._ask() if bids <= what < bids + asks else self._bid())

    def rests(self, event: Event) -> None:
        """Note an order that may be canceled from now on."""
        if isinstance(event, Accepted) and event.order_id in self.machine.state.orders:
            self._live.append((event.account, event.order_id, event.client_order_id))

    def runs(self, event: LeaseScheduled) -> None:
        """Note a lease that is to be ended some time."""
        self._leases.append((event.renter, event.lease_id))

    def ended(self) -> Iterator[EndLease]:
        """The end of each lease that is too many."""
        while len(self._leases) > LEASES_AT_ONCE:
            renter, lease_id = self._leases.popleft()
            yield EndLease(account=renter, lease_id=lease_id)

    def _open_up(self) -> None:
        self._enter(ListMarket(sku="H100-SXM5-80GB", region="us-east"))
        for account in (*self._renters, *self._providers):
            self._enter(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=5_000))
            self._enter(Deposit(account=account, amount_micros=WEALTH_MICROS, client_id=""))
        for provider in self._providers:
            # A provider's Baron has its number.
            self._enter(RegisterBaron(baron=provider, provider=provider, sku="H100-SXM5-80GB", region="us-east"))
            self._enter(SetCapacity(baron=provider, gpus=GPUS_A_BARON, simulated=False))

    def _cancel(self) -> CancelOrder:
        """Of an order that rested when it came; it may be filled by now, as with everybody who is late."""
        place = self._below(len(self._live))
        self._live[place], self._live[-1] = self._live[-1], self._live[place]
        account, order_id, client_id = self._live.pop()
        if client_id:
            return CancelOrder(account=account, order_id=0, client_order_id=client_id)
        return CancelOrder(account=account, order_id=order_id)

    def _bid(self) -> PlaceOrder:
        instrument = _INSTRUMENTS[self._below(len(_INSTRUMENTS))]
        return PlaceOrder(
            account=self._renters[self._below(len(self._renters))],
            instrument=instrument,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            time_in_force=_TIMES[self._below(len(_TIMES))],
            price_ticks=MIDDLE + CROSSING - self._below(SPREAD),
            quantity=1 + self._below(_MOST_GPUS),
            hours=1 if instrument == ONDEMAND else 0,
            delivery=b"key",
        )

    def _ask(self) -> PlaceOrder:
        instrument = _INSTRUMENTS[self._below(len(_INSTRUMENTS))]
        provider = self._providers[self._below(len(self._providers))]
        return PlaceOrder(
            account=provider,
            instrument=instrument,
            side=Side.SELL,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price_ticks=MIDDLE - CROSSING + self._below(SPREAD),
            quantity=1 + self._below(_MOST_GPUS),
            baron=provider,
            max_hours=24 if instrument == ONDEMAND else 0,
        )

    def _below(self, bound: int) -> int:
        """A number from 0 on, by chance; `randrange` takes four times as long, and a flow has millions of them."""
        return int(self._random.random() * bound)

    def _name(self, order: PlaceOrder) -> PlaceOrder:
        """The order as a client's program sends it: with an id of its own, on the account's connection."""
        self._placed += 1
        if not self._named:
            return order
        client_id = f"order-{self._placed:012}"
        return msgspec.structs.replace(order, client_order_id=client_id, tag="maker", connection=order.account)

    def _ticks(self) -> None:
        while (due_ns := self.machine.next_due_ns()) is not None and due_ns <= self.now_ns:
            self._enter(Tick())

    def _enter(self, command: Command) -> list[Event]:
        self.steps.append((self.now_ns, command))
        events = self.machine.apply(self.machine.last_seq + 1, self.now_ns, command)
        for event in events:
            if is_over(event):
                self._enter(LeaseWiped(lease_id=event.lease_id))
        return events


def is_over(event: Event) -> TypeGuard[LeaseChanged]:
    """Whether a lease is over, and to be wiped."""
    return isinstance(event, LeaseChanged) and event.state in (LeaseState.ENDED, LeaseState.FAILED) and not event.wiped


def _recording(asked: dict[int, list[bytes]]) -> Callable[[BookLimits], Book]:
    """A factory of compiled books that note what they are asked, by their place in the order of listing."""
    make = compiled_half().book

    def factory(limits: BookLimits) -> Book:
        records = asked.setdefault(len(asked) + 1, [])
        recording: Any = _Recording(make(limits), records)
        book: Book = recording
        return book

    return factory


class _Recording:
    """A book that keeps the records of its commands."""

    def __init__(self, book: Book, records: list[bytes]) -> None:
        self._book = book
        self._records = records

    def submit(self, order: Any) -> bytes:
        self._records.append(order.pack())
        return self._book.submit(order)

    def __len__(self) -> int:
        return len(self._book)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._book

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)
