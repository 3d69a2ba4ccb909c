"""Snapshots: the whole state of a shard as bytes, and back; and the hash that says two states are one.

A format byte, a digest of the body, and the body: a msgpack array of the rows, tables sorted by id, and each book's own
state. The same state gives the same bytes in every process, whichever book it runs on. What follows from the rows isn't
in it: timers, the orders of an account, what waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from itertools import pairwise
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

import msgspec

from engine import (
    bills,
    leases,
    obligations,
    rows,
    snapshot_bounds,
    snapshot_checks,
    spot_leases,
    stops,
    timers,
)
from engine.book import BookState
from engine.codec import DecodeError
from engine.dues import Bill, Cover
from engine.grid import Run
from engine.ids import SEQ_MAX
from engine.kinds import Kind
from engine.limits import Limits
from engine.messages import EXCHANGE_ACCOUNT
from engine.obligation import Obligation
from engine.row import Listing, Row
from engine.state import (
    Account,
    Baron,
    Calendar,
    ClosingTrades,
    Instrument,
    Lease,
    Order,
    State,
)
from engine.units import NUMBER_MAX, TIME_MAX_NS

FORMAT: Final = 7
DIGEST_BYTES: Final = 32
FORGED: Final = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, msgspec.MsgspecError)
"""What a body that is no state's raises, at whatever step: whoever restores one gets a DecodeError instead."""

R = TypeVar("R")


class _RowState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A row; what its orders and leases say of it, by themselves, isn't in it."""

    account: int
    baron: int
    hours: list[Run]
    """Its grid, from the running hour on."""
    spot_asks: list[int]
    firm_asks: list[int]
    """Oldest first: the order in which they were cut isn't that of their ids."""
    listings: list[Listing]
    """By instrument."""
    spot_gpus: int
    leaving_gpus: int
    claims: list[int]
    look_ahead_ns: int


class Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All that a snapshot says."""

    shard: int
    limits: Limits
    last_seq: int
    last_ts_ns: int
    accounts: list[Account]
    instruments: list[Instrument]
    barons: list[Baron]
    rows: list[_RowState]
    """In the order in which they were made."""
    orders: list[Order]
    leases: list[Lease]
    bills: list[Bill]
    books: list[BookState]
    """By instrument."""
    auction_ends: list[tuple[int, int]]
    """(instrument, ns), by instrument."""
    next_instrument: int
    calendars: list[Calendar]
    closing_trades: list[ClosingTrades]
    obligations: list[Obligation]
    """Oldest first."""
    yielding: list[tuple[int, int]]
    """Rows whose spot leases a Tick makes yield."""
    shutting: list[int]
    covers: list[Cover]
    expiring: list[int]


class Many(NamedTuple):
    """What there may be a million of."""

    accounts: list[Account]
    """By number."""
    orders: list[Order]
    """By id."""
    leases: list[Lease]
    """By id."""
    bills: list[Bill]
    """By id."""
    books: list[BookState]
    """By instrument."""


def _around(struct: type[msgspec.Struct], first: str, last: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields before and behind these."""
    fields = struct.__struct_fields__
    return fields[: fields.index(first)], fields[fields.index(last) + 1 :]


BEFORE_MANY, BEHIND_MANY = _around(Body, "orders", "books")
"""Fields of a body around what there may be a million of."""
BOOK_BEFORE_ORDERS, _ = _around(BookState, "bids", "stops")
"""Those of a book; nothing stands behind its orders."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Body).decode


def many_of(state: State) -> Many:
    """The same of any state, struct by struct."""
    return Many(
        accounts=_law(state, state.accounts.items()),
        orders=_law(state, state.orders.items()),
        leases=_law(state, state.leases.items()),
        bills=_law(state, state.bills.items()),
        books=[book.state() for _, book in sorted(state.books.items())],
    )


def encode(state: State) -> bytes:
    """The snapshot's bytes."""
    body = _encode(body_with(state, many_of(state)))
    return bytes([FORMAT]) + digest_of(body) + body


def state_hash(state: State) -> str:
    """Hex digest of the state."""
    return digest_of(_encode(body_with(state, many_of(state)))).hex()


def body_of(data: bytes) -> memoryview:
    """The bytes of a snapshot's body; DecodeError when they are damaged, or of another format."""
    if data[:1] != bytes([FORMAT]):
        raise DecodeError(f"not a snapshot of format {FORMAT}")
    body = memoryview(data)[1 + DIGEST_BYTES :]
    if data[1 : 1 + DIGEST_BYTES] != digest_of(body):
        raise DecodeError("the snapshot is damaged: its digest doesn't match; take an older one")
    return body


def decode(data: bytes, make: Callable[[int, Limits], State]) -> State:
    """The state of a snapshot, in a new one of its shard and limits; DecodeError when the bytes are damaged or not ours.

    Its digest says that nothing happened to it by chance. Who wrote it may be anybody; so all that it says is checked.
    """
    body = body_of(data)
    try:
        state = read(body, make)
        snapshot_checks.agree(state)
    except FORGED as error:
        raise no_state(error) from error
    return state


def no_state(error: Exception) -> DecodeError:
    """What to raise for an error of FORGED."""
    return DecodeError(f"the snapshot is of no state ({error!r}); take an older one")


def read(data: bytes | memoryview, make: Callable[[int, Limits], State]) -> State:
    """The state that a body says, each of its rows by itself in order; whatever is wrong with it, an error of FORGED."""
    body = _decode(data)
    snapshot_bounds.shard(body.shard, body.limits)
    state = make(body.shard, body.limits)
    check_accounts(body.accounts)
    for account in body.accounts:
        snapshot_bounds.memories(account)
        state.accounts[account.account] = state.records.own(account)
    fill_tables(state, body)
    _fill_many(state, body)
    fill_rest(state, body.rows, body)
    _index_many(state, body)
    timers.rearm(state)
    return state


def check_accounts(accounts: list[Account]) -> None:
    """Accounts but for what they remember: the exchange's own first."""
    snapshot_checks.ascending([account.account for account in accounts], "accounts")
    if not accounts or accounts[0].account != EXCHANGE_ACCOUNT:
        raise ValueError("the exchange has no account")
    for account in accounts:
        snapshot_bounds.account(account)


def digest_of(body: bytes | memoryview) -> bytes:
    """What says that a body is the one that was written."""
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


def body_with(state: State, many: Many) -> Body:
    """All that a snapshot says of a state, with what there are many of given."""
    return Body(
        shard=state.shard,
        limits=state.limits,
        last_seq=state.last_seq,
        last_ts_ns=state.last_ts_ns,
        accounts=many.accounts,
        instruments=[row for _, row in sorted(state.instruments.items())],
        barons=_law(state, state.barons.items()),
        rows=[_row_state(state, row) for row in state.rows.values()],
        orders=many.orders,
        leases=many.leases,
        bills=many.bills,
        books=many.books,
        auction_ends=sorted(state.auction_ends.items()),
        next_instrument=state.next_instrument,
        calendars=[row for _, row in sorted(state.calendars.items())],
        closing_trades=[row for _, row in sorted(state.closing_trades.items())],
        obligations=list(state.obligations.values()),
        yielding=sorted(state.yielding),
        shutting=sorted(state.shutting),
        covers=state.covers,
        expiring=sorted(state.expiring),
    )


def _law(state: State, table: Iterable[tuple[int, R]]) -> list[R]:
    """A table's records as the law's structs, by id."""
    law = state.records.law
    return [law(row) for _, row in sorted(table, key=itemgetter(0))]


def _row_state(state: State, row: Row) -> _RowState:
    return _RowState(
        account=row.account,
        baron=row.baron,
        hours=row.grid.runs(rows.kept_from_h(state, row)),
        spot_asks=list(row.spot_asks),
        firm_asks=list(row.firm_asks),
        listings=[listing for _, listing in sorted(row.listings.items())],
        spot_gpus=row.spot_gpus,
        leaving_gpus=row.leaving_gpus,
        claims=list(row.claims),
        look_ahead_ns=row.look_ahead_ns,
    )


def fill_tables(state: State, body: Body) -> None:
    """What stands before orders in a body, but for accounts and rows."""
    own = state.records.own
    if not (0 <= body.last_seq <= SEQ_MAX and 0 <= body.last_ts_ns <= TIME_MAX_NS):
        raise ValueError(f"command {body.last_seq} at {body.last_ts_ns} ns is none that was")
    state.last_seq = body.last_seq
    state.last_ts_ns = body.last_ts_ns
    snapshot_checks.ascending([baron.baron for baron in body.barons], "Barons")
    for baron in body.barons:
        snapshot_bounds.check(baron)
        state.add_baron(own(baron))
    snapshot_checks.ascending([instrument.instrument for instrument in body.instruments], "instruments")
    for instrument in body.instruments:
        snapshot_bounds.check(instrument)
        state.add_instrument(instrument)
        state.touched_books[instrument.instrument] = None


def _fill_many(state: State, body: Body) -> None:
    own = state.records.own
    snapshot_checks.ascending([order.order_id for order in body.orders], "orders")
    for order in body.orders:
        snapshot_bounds.order(order)
        state.add_order(own(order))
    snapshot_checks.ascending([lease.lease_id for lease in body.leases], "leases")
    for lease in body.leases:
        snapshot_bounds.lease(lease)
        state.add_lease(own(lease))
    snapshot_checks.ascending([bill.bill_id for bill in body.bills], "bills")
    for bill in body.bills:
        snapshot_bounds.bill(bill)
        state.bills[bill.bill_id] = own(bill)
    limits = state.limits.of_book()
    for instrument, book in zip(body.instruments, body.books, strict=True):
        if book.limits != limits or book.last_ts_ns > state.last_ts_ns:
            raise ValueError(
                f"the book of instrument {instrument.instrument} has other limits than its shard, or is ahead"
            )
        state.books[instrument.instrument].restore(book)


def fill_rest(state: State, row_states: list[_RowState], body: Body) -> None:
    """Rows, which name orders, and what stands behind books in a body."""
    _check_rest(body)
    for row_state in row_states:
        _restore_row(state, row_state)
    state.auction_ends = dict(body.auction_ends)
    state.next_instrument = body.next_instrument
    state.calendars = {row.market: row for row in body.calendars}
    state.closing_trades = {row.instrument: row for row in body.closing_trades}
    for obligation in body.obligations:
        obligations.index(state, obligation)
    state.yielding = set(body.yielding)
    state.shutting = set(body.shutting)
    state.covers = body.covers
    state.expiring = set(body.expiring)
    stops.look(state)


def _check_rest(body: Body) -> None:
    """What stands behind books, each by itself and in order."""
    ascending = snapshot_checks.ascending
    ascending([instrument for instrument, _ in body.auction_ends], "auctions")
    snapshot_bounds.times(due_ns for _, due_ns in body.auction_ends)
    if not 0 < body.next_instrument <= NUMBER_MAX:
        raise ValueError(f"{body.next_instrument} is no number of an instrument")
    ascending([row.market for row in body.calendars], "calendars")
    ascending([row.instrument for row in body.closing_trades], "closing trades")
    for record in (*body.calendars, *body.closing_trades):
        snapshot_bounds.check(record)
    if len({obligation.obligation_id for obligation in body.obligations}) < len(body.obligations):
        raise ValueError("obligations are each there once")
    for obligation in body.obligations:
        snapshot_bounds.obligation(obligation)
    for cover in body.covers:
        snapshot_bounds.cover(cover)
    ascending(body.yielding, "rows that yield")
    ascending(body.shutting, "Barons that shut")
    ascending(body.expiring, "instruments that expire")


def _index_many(state: State, body: Body) -> None:
    for lease in state.leases.values():
        index_lease(state, lease)
    spot_leases.rearm(state)
    index_paid(state, body.bills)


def index_lease(state: State, lease: Lease) -> None:
    """A lease counts in its row, or is there for an obligation to take it over."""
    leases.count(state, lease)
    if lease.kind is Kind.FORWARD and lease.live and not lease.obligation_id:
        leases.hand_over(state, lease)


def index_paid(state: State, paid: Iterable[Bill]) -> None:
    """Bills with hours that may be undone."""
    for bill in paid:
        bills.index(state, bill)


def _restore_row(state: State, saved: _RowState) -> None:
    snapshot_bounds.row(saved)
    if (saved.account, saved.baron) in state.rows:
        raise ValueError(f"account {saved.account} has two rows of Baron {saved.baron}")
    row = rows.row_of(state, saved.account, saved.baron)
    if any(run.end_h > behind.start_h for run, behind in pairwise(saved.hours)):
        raise ValueError(f"hours of {saved.account} on {saved.baron} are out of order")
    for run in saved.hours:
        row.grid.add_bought(run.start_h, run.end_h, run.bought)
        row.grid.add_sold(run.start_h, run.end_h, run.sold)
        row.grid.add_reserved(run.start_h, run.end_h, run.reserved)
    if row.grid.runs(saved.hours[0].start_h if saved.hours else 0) != saved.hours:
        raise ValueError(f"hours of {saved.account} on {saved.baron} aren't as a grid says them")
    row.spot_asked_gpus = state.take_asks(row, True, saved.spot_asks)
    state.take_asks(row, False, saved.firm_asks)
    snapshot_checks.ascending([listing.instrument for listing in saved.listings], "a row's offers")
    row.listings = {listing.instrument: listing for listing in saved.listings}
    row.spot_gpus, row.leaving_gpus = saved.spot_gpus, saved.leaving_gpus
    row.claims = dict.fromkeys(saved.claims)
    if len(row.claims) < len(saved.claims):
        raise ValueError("a row's claims are each there once")
    row.look_ahead_ns = saved.look_ahead_ns
