"""The machine: one shard's deterministic core. Commands go in, each with its sequence number and time; events come out.

This room hands each command to the room that knows it, fires the timers of a Tick, and turns a refusal into its event.
It has no clock, no chance and no input of its own: the same commands give the same events, bytes and hash anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from engine import (
    account_limits,
    bills,
    capacity,
    covering,
    delivery,
    extensions,
    in_book,
    leases,
    listing,
    mass_cancels,
    money,
    months,
    offers,
    orders,
    preemption,
    presence,
    quote_sets,
    quotes,
    raises,
    releases,
    sessions,
    snapshot,
    stops,
    timers,
    trades,
)
from engine.book import Level
from engine.client_ids import valid
from engine.codec import decode_command, encode_events
from engine.grid import GridFactory
from engine.grid_plain import PlainGrid
from engine.kinds import Pot, Side
from engine.limits import Limits
from engine.messages import (
    AmendOrder,
    CancelAll,
    CancelAllAfter,
    CancelOrder,
    Command,
    Deposit,
    EndLease,
    Event,
    ExtendLease,
    KeepOrders,
    LeaseActive,
    LeaseFailed,
    LeaseWiped,
    ListMarket,
    OpenAccount,
    PlaceOrder,
    RaisePrice,
    RegisterBaron,
    Rejected,
    ReleaseLease,
    Rent,
    ReportOutage,
    SetAccountLimits,
    SetAutoExtend,
    SetCapacity,
    SetDelivery,
    SetDrain,
    SetFeatures,
    SetOffers,
    SetPresence,
    SetQuotes,
    SetRating,
    SetSession,
    Tick,
    Withdraw,
)
from engine.quotes import Quote, Wish
from engine.reasons import Reason
from engine.records import Session
from engine.state import BookFactory, Refused, State
from engine.timers import TimerKind
from engine.units import INT64_MAX, TIME_MAX_NS

EVENTS_ENOUGH: Final = 2**14
"""A Tick that made so many events fires no more: they are numbered in 16 bits, and one dead-man switch makes 20,000."""


class Counts(NamedTuple):
    """How many rows the shard has."""

    accounts: int
    instruments: int
    barons: int
    open_orders: int
    leases: int
    timers: int


def _tick(state: State, _command: Tick) -> None:
    tick(state, fire)


def tick(state: State, fire: Callable[[State, int, int], None]) -> None:
    """Fire due timers in order, at most so many; the sequencer sends another Tick for what is left (§2)."""
    preemption.go_on(state)
    if state.covers:
        # They enter when this command ends.
        return
    for number in sorted(state.shutting):
        presence.go_on(state, number)
        return
    for instrument in sorted(state.expiring):
        sessions.go_on_expiring(state, instrument)
        return
    for instrument in sorted(state.waiting):
        if state.books[instrument].stops_due:
            # A part of a clearing makes as many fills as a command may.
            sessions.go_on(state, instrument)
            return
    for _ in range(state.limits.max_timers):
        if not state.timers or state.timers[0][0] > state.last_ts_ns or len(state.events) >= EVENTS_ENOUGH:
            return
        _, kind, number = state.timers[0]
        # What was traded in this Tick is settled before anything else happens: hours that an auction has just sold are in
        # neither's obligations yet, and a failure would look for them there.
        if state.fills_left < state.limits.max_looked:
            return
        fire(state, kind, number)


def fire(state: State, kind: int, number: int) -> None:
    """What happens when a timer is due (`engine.timers.TimerKind`)."""
    match kind:
        case TimerKind.ORDER_EXPIRED:
            in_book.cancel(state, state.orders[number], Reason.EXPIRED)
        case TimerKind.WINDOW_CLOSED:
            in_book.cancel(state, state.orders[number], Reason.WINDOW_CLOSED)
        case TimerKind.DEAD_MAN:
            mass_cancels.dead_man(state, state.accounts[number])
        case TimerKind.NOTICE_END:
            leases.notice_end(state, state.leases[number])
        case TimerKind.TERM_END:
            leases.term_end(state, state.leases[number])
        case TimerKind.LEASE_HOUR:
            leases.full_hour(state, state.leases[number])
        case TimerKind.OBLIGATION_HOUR:
            delivery.full_hour(state, state.obligations[number])
        case TimerKind.OBLIGATION_START:
            capacity.hour_begins(state, state.obligations[number])
        case TimerKind.DELIVERY_END:
            leases.term_end(state, state.leases[number])
        case TimerKind.WIPE_OVERDUE:
            capacity.wipe_overdue(state, state.leases[number])
        case TimerKind.MONTH_CLOSE:
            months.close(state, state.bills[number])
        case TimerKind.AUTO_EXTEND:
            extensions.auto_extend(state, state.leases[number])
        case TimerKind.AUCTION_END:
            sessions.auction_end(state, number)
        case TimerKind.CALENDAR:
            listing.day_ends(state, state.calendars[number])
        case TimerKind.LOOK_AHEAD:
            preemption.look_ahead(state, state.rows[timers.row_key(number)])
        case _:
            offers.full_hour(state, state.barons[number])


_HANDLERS: Final[dict[type[Command], Callable[[State, Any], None]]] = {
    OpenAccount: money.open_account,
    Deposit: offers.deposit,
    Withdraw: money.withdraw,
    ListMarket: listing.list_market,
    RegisterBaron: capacity.register_baron,
    SetCapacity: capacity.set_capacity,
    SetOffers: offers.set_offers,
    PlaceOrder: orders.place,
    CancelOrder: orders.cancel,
    AmendOrder: orders.amend,
    Rent: quotes.rent,
    EndLease: leases.quit_lease,
    LeaseActive: leases.active,
    LeaseFailed: leases.failed,
    LeaseWiped: leases.wiped,
    Tick: _tick,
    SetFeatures: capacity.set_features,
    SetSession: sessions.set_session,
    CancelAll: mass_cancels.cancel_all,
    CancelAllAfter: mass_cancels.cancel_all_after,
    SetQuotes: quote_sets.set_quotes,
    KeepOrders: mass_cancels.keep_orders,
    SetRating: capacity.set_rating,
    SetAccountLimits: account_limits.set_limits,
    RaisePrice: raises.raise_price,
    ExtendLease: extensions.extend,
    SetAutoExtend: extensions.set_auto_extend,
    SetDelivery: delivery.set_delivery,
    ReleaseLease: releases.release,
    ReportOutage: bills.report_outage,
    SetPresence: presence.set_presence,
    SetDrain: presence.set_drain,
}


class Machine:
    """One shard. Not thread-safe: one writer applies commands, and reads happen between them."""

    def __init__(
        self, shard: int, limits: Limits, book_factory: BookFactory, grid_factory: GridFactory = PlainGrid
    ) -> None:
        self._state = State(shard, limits, book_factory, grid_factory)

    @classmethod
    def restore(cls, data: bytes, book_factory: BookFactory, grid_factory: GridFactory = PlainGrid) -> Machine:
        """The machine of a snapshot; `engine.codec.DecodeError` when the bytes aren't one."""

        def make(shard: int, limits: Limits) -> State:
            return State(shard, limits, book_factory, grid_factory)

        machine = cls.__new__(cls)
        machine._state = snapshot.decode(data, make)
        return machine

    def apply(self, seq: int, ts_ns: int, command: Command) -> list[Event]:
        """Apply one command; its events, or one Rejected and nothing changed. `seq` must grow: ValueError otherwise."""
        state = self._state
        if seq <= state.last_seq:
            raise ValueError(f"command {seq} comes after {state.last_seq}: the sequence must grow")
        state.last_seq = seq
        state.begin()
        if not state.last_ts_ns <= ts_ns <= TIME_MAX_NS:
            reason = Reason.TIME_WENT_BACK if ts_ns < state.last_ts_ns else Reason.TIME_TOO_LATE
            return [_rejected(state, command, Refused(reason))]
        state.last_ts_ns = ts_ns
        try:
            self._play(command)
        except Refused as refusal:
            return [_rejected(state, command, refusal)]
        follow(state)
        return state.events

    def _play(self, command: Command) -> None:
        """Hand a command to the room that knows it."""
        _HANDLERS[type(command)](self._state, command)

    def batch(self, records: Iterable[bytes], first_seq: int) -> list[bytes]:
        """Play records of commands, numbered from `first_seq` on; of each the record of its events, empty where it has none.

        ValueError unless the sequence grows; `engine.codec.DecodeError` for what is no command: all before it were played.
        """
        return [self._told(seq, record) for seq, record in enumerate(records, first_seq)]

    def _told(self, seq: int, record: bytes) -> bytes:
        ts_ns, command = decode_command(record)
        events = self.apply(seq, ts_ns, command)
        return encode_events(ts_ns, events) if events else b""

    def next_due_ns(self) -> int | None:
        """When the earliest timer is due: a Tick should come then, and again until none is due. None: no timer."""
        return timers.next_due_ns(self._state)

    def snapshot(self) -> bytes:
        """The whole state as bytes, for `restore`."""
        return snapshot.encode(self._state)

    def state_hash(self) -> str:
        """Hex digest of the whole state: equal states have equal ones, in any process."""
        return snapshot.state_hash(self._state)

    def quote(
        self,
        account: int,
        instruments: tuple[int, ...],
        quantity: int,
        hours: int,
        max_price_ticks: int,
        now_ns: int,
        *,
        features: int = 0,
        same_baron: bool = False,
        min_rating: int = 0,
    ) -> list[Quote]:
        """What a Rent would find in each instrument now, cheapest whole one first, then the others with their reason."""
        wish = Wish(quantity, hours, max_price_ticks, features, same_baron, min_rating)
        return quotes.quote(self._state, account, instruments, wish, now_ns)

    def balances(self) -> Iterator[tuple[int, Pot, int]]:
        """(account, pot, amount_micros) of every pot that isn't zero, by account and pot."""
        return self._state.balances()

    def depth(self, instrument: int, side: Side, max_levels: int) -> list[Level]:
        """The best levels of an instrument's book; KeyError for an unknown instrument."""
        return self._state.books[instrument].depth(side, max_levels)

    def session(self, instrument: int) -> Session:
        """An instrument's session; KeyError for an unknown instrument."""
        return self._state.books[instrument].session

    def counts(self) -> Counts:
        """How many rows of each kind there are."""
        state = self._state
        # The exchange's own account is no customer.
        return Counts(
            accounts=len(state.accounts) - 1,
            instruments=len(state.instruments),
            barons=len(state.barons),
            open_orders=len(state.orders),
            leases=len(state.leases),
            timers=len(state.timers),
        )

    @property
    def last_seq(self) -> int:
        return self._state.last_seq

    @property
    def last_ts_ns(self) -> int:
        return self._state.last_ts_ns

    @property
    def state(self) -> State:
        """The tables, for proofs and tests: to be read, never written."""
        return self._state


def follow(state: State) -> None:
    """What a command sets off: covers of what failed, its stops, offers of touched Barons, quotes; then its leases begin."""
    if state.covers:
        covering.follow(state)
    stops.follow(state)
    if state.touched_barons:
        offers.follow(state)
    if state.spent_quotes and quote_sets.follow(state):
        # The asks that went leave room.
        offers.follow(state)
        quote_sets.follow(state)
    stops.look(state)
    if state.drafts:
        trades.open_leases(state)
    if state.short_rows:
        preemption.follow(state)


def _rejected(state: State, command: Command, refusal: Refused) -> Rejected:
    """The event of a refusal; what the command says of itself is echoed only where it has the right form."""
    account = getattr(command, "account", getattr(command, "provider", 0))
    client_id = getattr(command, "client_order_id", getattr(command, "client_id", ""))
    return Rejected(
        account=account if 0 <= account <= INT64_MAX else 0,
        reason=refusal.reason,
        field=refusal.field,
        client_order_id=client_id if valid(state, client_id) else "",
        order_id=refusal.order_id,
        order_status=refusal.order_status,
        needed_micros=refusal.needed_micros,
        available_micros=refusal.available_micros,
    )
