"""A shard under test: a machine with a market and its people, driven by commands that read like the market's language.

Every command goes through the auditor, so that each test checks every law besides its own point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from engine.book_plain import PlainBook
from engine.codec import encode_command
from engine.halves import compiled_half
from engine.kinds import OrderType, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    Accepted,
    Command,
    Deposit,
    Duplicate,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseScheduled,
    ListMarket,
    Offer,
    OpenAccount,
    PlaceOrder,
    RegisterBaron,
    Rejected,
    Rent,
    SetCapacity,
    SetOffers,
    Tick,
)
from engine.reasons import Reason
from engine.state import Timer
from engine.timers import TimerKind
from engine.units import MICROS_PER_USD, NS_PER_HOUR, NS_PER_S
from tests.engine.auditor import Auditor

E = TypeVar("E")

HOUR: Final = NS_PER_HOUR
MINUTE: Final = 60 * NS_PER_S
SECOND: Final = NS_PER_S
START: Final = 400_000 * NS_PER_HOUR
"""A full hour."""

SPOT: Final = 1
ONDEMAND: Final = 2
ELSEWHERE_SPOT: Final = 32
ELSEWHERE_ONDEMAND: Final = 33
NO_INSTRUMENT: Final = 9_999

ALICE: Final = 11
"""Renter: pays 0.5 % as taker, nothing as maker."""
BOB: Final = 12
"""Renter, like Alice."""
PAT: Final = 21
"""Provider of BARON and SECOND_BARON in the first market, and of FAR_BARON in the second."""
QUINN: Final = 22
"""Provider of OTHER_BARON in the first market."""
BARON: Final = 101
SECOND_BARON: Final = 102
OTHER_BARON: Final = 103
FAR_BARON: Final = 104

TAKER_PPM: Final = 5_000


COMPARED_EACH: Final = 16
"""Commands between two looks at the whole of both machines."""


class Shard:
    """Two markets, two renters and, for bonds, two providers with money, four Barons of 8 GPUs; the clock is the test's."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        gpus: int = 8,
        usd: int = 10_000,
        providers_usd: int = 1_000,
        start_ns: int = START,
    ) -> None:
        self.machine = Machine(1, limits or Limits(), PlainBook)
        self.auditor = Auditor(self.machine)
        self.now_ns = start_ns
        self.records: list[bytes] = []
        """All commands so far, as the log carries them; their places are their sequence numbers."""
        self.twin: Machine = compiled_half().machine(1, limits or Limits())
        """The compiled machine, which must answer every command alike; a test may put one restored from a snapshot here."""
        for account in (ALICE, BOB, PAT, QUINN):
            self.do(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=TAKER_PPM))
        for region in ("here", "elsewhere"):
            self.do(ListMarket(sku="H100-SXM5-80GB", region=region))
        for baron, provider, region in (
            (BARON, PAT, "here"),
            (SECOND_BARON, PAT, "here"),
            (OTHER_BARON, QUINN, "here"),
            (FAR_BARON, PAT, "elsewhere"),
        ):
            self.do(RegisterBaron(baron=baron, provider=provider, sku="H100-SXM5-80GB", region=region))
            if gpus:
                self.do(SetCapacity(baron=baron, gpus=gpus, simulated=False))
        for account, amount in ((ALICE, usd), (BOB, usd), (PAT, providers_usd), (QUINN, providers_usd)):
            if amount:
                self.pay(account, amount)

    # ---- commands

    def due(self) -> bool:
        """Whether something waits for a Tick now."""
        due_ns = self.machine.next_due_ns()
        return due_ns is not None and due_ns <= self.now_ns

    def apply(self, command: Command) -> list[Event]:
        """Apply at the test's time, audited; no Tick first."""
        due_ns = self.machine.next_due_ns()
        if due_ns is not None and due_ns <= self.now_ns and not isinstance(command, Tick):
            self.auditor.ticked_in_time = False
        self.records.append(encode_command(self.now_ns, command))
        seq = self.machine.last_seq + 1
        events = self.machine.apply(seq, self.now_ns, command)
        assert self.twin.apply(seq, self.now_ns, command) == events
        if seq % COMPARED_EACH == 0:
            assert self.twin.snapshot() == self.machine.snapshot()
        self.auditor.saw(self.now_ns, command, events)
        return events

    def do(self, command: Command) -> list[Event]:
        """Apply a command that must be accepted."""
        events = self.apply(command)
        assert not (events and isinstance(events[0], Rejected)), events
        return events

    def refuse(self, command: Command, reason: Reason, field: str | None = None) -> Rejected:
        """Apply a command that must be refused, whole, for this reason, and must change nothing but the sequence."""
        before = self.rows()
        events = self.apply(command)
        assert len(events) == 1, events
        rejected = events[0]
        assert isinstance(rejected, Rejected), rejected
        assert rejected.reason is reason, rejected
        if field is not None:
            assert rejected.field == field, rejected
        assert self.rows() == before
        return rejected

    def rows(self) -> tuple[object, ...]:
        """Everything that a refused command must leave as it was."""
        state = self.machine.state
        # A book that was asked knows the time, whatever it answered.
        books = [msgspec.structs.replace(book.state(), last_ts_ns=0) for book in state.books.values()]
        tables = (state.accounts, state.instruments, state.barons, state.orders, state.leases)
        return repr(tables), books, list(state.timers), dict(state.auction_ends), set(state.waiting)

    def wait(self, duration_ns: int, *, tick: bool = True) -> list[Event]:
        """Let time pass, with a Tick at each timer's due time and one at the end; their events."""
        until_ns = self.now_ns + duration_ns
        events: list[Event] = []
        while tick and (due_ns := self.machine.next_due_ns()) is not None and due_ns <= until_ns:
            self.now_ns = max(self.now_ns, due_ns)
            events += self.do(Tick())
        self.now_ns = until_ns
        if tick:
            events += self.do(Tick())
        return events

    def timers(self) -> list[Timer]:
        """What is due when, first things first; the calendar's days and months' closes, which come by themselves, aside."""
        by_themselves = (TimerKind.CALENDAR, TimerKind.MONTH_CLOSE)
        return [timer for timer in self.machine.state.timers if timer[1] not in by_themselves]

    # ---- the market's language

    def place(self, order: PlaceOrder) -> int:
        """Place an order that must be accepted; its id."""
        (accepted,) = only(self.do(order), Accepted)
        return accepted.order_id

    def pay(self, account: int, usd: int) -> None:
        """Money in."""
        self.do(Deposit(account=account, amount_micros=usd * MICROS_PER_USD, client_id=""))

    def again(self, command: Command) -> Duplicate:
        """Apply a command whose client id came before with the same content: it must change nothing."""
        before = self.rows()
        (event,) = self.do(command)
        assert isinstance(event, Duplicate), event
        assert self.rows() == before
        return event

    def prefunds(self, account: int) -> int:
        """What is held for the account's leases, in micro-dollars."""
        return sum(lease.prefund_micros for lease in self.machine.state.leases.values() if lease.renter == account)

    def rent(self, account: int, quantity: int, hours: int, *instruments: int, max_price_ticks: int = 0) -> list[Event]:
        return self.do(rental(account, quantity, hours, *instruments, max_price_ticks=max_price_ticks))

    def rent_or_bid(self, account: int, quantity: int, hours: int, instrument: int, price_ticks: int) -> list[Event]:
        """A rental; a bid where the wish is a spot lease without an upper limit, which a rental always has."""
        if hours:
            return self.rent(account, quantity, hours, instrument)
        return self.do(bid(account, price_ticks, quantity, instrument, hours=hours))

    def lease(self, account: int, quantity: int, hours: int, instrument: int = ONDEMAND) -> int:
        """Rent, and have the lease active at once; its id."""
        (scheduled,) = only(self.rent(account, quantity, hours, instrument), LeaseScheduled)
        self.do(LeaseActive(lease_id=scheduled.lease_id, access=b"port 22000"))
        return scheduled.lease_id

    def offer(self, *offers: Offer, account: int = PAT) -> list[Event]:
        return self.do(SetOffers(account=account, offers=offers))

    def asks(self, instrument: int) -> list[tuple[int, int]]:
        """(price_ticks, leaves_quantity) of the asks at rest, in priority order."""
        return [(order.price, order.leaves) for order in self.machine.state.books[instrument].resting(Side.SELL)]

    def bids(self, instrument: int) -> list[tuple[int, int]]:
        return [(order.price, order.leaves) for order in self.machine.state.books[instrument].resting(Side.BUY)]


def changes(events: Sequence[Event]) -> list[LeaseChanged]:
    """What became of leases while they were under way; not that the wipe of one that is over is overdue."""
    return [event for event in only(events, LeaseChanged) if not event.overdue]


def only(events: Sequence[Event], kind: type[E]) -> list[E]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def bid(
    account: int,
    price_ticks: int,
    quantity: int,
    instrument: int = SPOT,
    *,
    hours: int | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    order_type: OrderType = OrderType.LIMIT,
    post_only: bool = False,
    client_order_id: str = "",
    **more: Any,
) -> PlaceOrder:
    if hours is None:
        hours = 0 if instrument in (SPOT, ELSEWHERE_SPOT) else 1
    return PlaceOrder(
        account=account,
        instrument=instrument,
        side=Side.BUY,
        order_type=order_type,
        time_in_force=time_in_force,
        price_ticks=price_ticks,
        quantity=quantity,
        post_only=post_only,
        client_order_id=client_order_id,
        hours=hours,
        delivery=b"ssh-ed25519 AAAA",
        **more,
    )


def ask(
    account: int,
    price_ticks: int,
    quantity: int,
    instrument: int = SPOT,
    *,
    baron: int = BARON,
    max_hours: int | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    order_type: OrderType = OrderType.LIMIT,
    post_only: bool = False,
    client_order_id: str = "",
    **more: Any,
) -> PlaceOrder:
    if max_hours is None:
        max_hours = 0 if instrument in (SPOT, ELSEWHERE_SPOT) else 24
    return PlaceOrder(
        account=account,
        instrument=instrument,
        side=Side.SELL,
        order_type=order_type,
        time_in_force=time_in_force,
        price_ticks=price_ticks,
        quantity=quantity,
        post_only=post_only,
        client_order_id=client_order_id,
        baron=baron,
        max_hours=max_hours,
        **more,
    )


def rental(
    account: int,
    quantity: int,
    hours: int,
    *instruments: int,
    max_price_ticks: int = 0,
    client_order_id: str = "",
    **more: Any,
) -> Rent:
    return Rent(
        account=account,
        instruments=instruments or (ONDEMAND,),
        quantity=quantity,
        hours=hours,
        max_price_ticks=max_price_ticks,
        delivery=b"ssh-ed25519 AAAA",
        client_order_id=client_order_id,
        **more,
    )


def offered(
    price_ticks: int,
    gpus: int,
    instrument: int = SPOT,
    *,
    baron: int = BARON,
    max_hours: int | None = None,
    lot: int = 0,
    min_hours: int = 0,
) -> Offer:
    if max_hours is None:
        max_hours = 0 if instrument in (SPOT, ELSEWHERE_SPOT) else 24
    return Offer(
        baron=baron,
        instrument=instrument,
        price_ticks=price_ticks,
        gpus=gpus,
        max_hours=max_hours,
        lot=lot,
        min_hours=min_hours,
    )
