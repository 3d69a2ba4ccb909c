"""Snapshots: the whole state of a shard as bytes, and back; and the hash that says two states are one.

A format byte, a digest of the body, and the body: a msgpack array of the rows, tables sorted by id, and each book's own
state. The same state gives the same bytes in every process, whichever book it runs on. What follows from the rows isn't
in it: timers, the orders of an account, what waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

import msgspec

from engine import bills, leases, obligations, rows, spot_leases, stops, timers
from engine.book import BookState
from engine.codec import DecodeError
from engine.dues import Bill, Cover
from engine.grid import Run
from engine.kinds import Kind
from engine.limits import Limits
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

FORMAT: Final = 6
DIGEST_BYTES: Final = 32

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
    """The state of a snapshot, in a new one of its shard and limits; DecodeError when the bytes are damaged or not ours."""
    try:
        body = _decode(body_of(data))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError(str(error)) from error
    state = make(body.shard, body.limits)
    for account in body.accounts:
        state.accounts[account.account] = state.records.own(account)
    fill_tables(state, body)
    _fill_many(state, body)
    fill_rest(state, body.rows, body)
    _index_many(state, body)
    timers.rearm(state)
    return state


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
    state.last_seq = body.last_seq
    state.last_ts_ns = body.last_ts_ns
    for baron in body.barons:
        state.add_baron(own(baron))
    for instrument in body.instruments:
        state.add_instrument(instrument)
        state.touched_books[instrument.instrument] = None


def _fill_many(state: State, body: Body) -> None:
    own = state.records.own
    for order in body.orders:
        state.add_order(own(order))
    for lease in body.leases:
        state.add_lease(own(lease))
    for bill in body.bills:
        state.bills[bill.bill_id] = own(bill)
    for instrument, book in zip(body.instruments, body.books, strict=True):
        state.books[instrument.instrument].restore(book)


def fill_rest(state: State, row_states: list[_RowState], body: Body) -> None:
    """Rows, which name orders, and what stands behind books in a body."""
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


def _index_many(state: State, body: Body) -> None:
    for lease in state.leases.values():
        index_lease(state, lease)
    spot_leases.rearm(state)
    index_paid(state, (bill for bill in body.bills if bill.hours is not None))


def index_lease(state: State, lease: Lease) -> None:
    """A lease counts in its row, or is there for an obligation to take it over."""
    leases.count(state, lease)
    if lease.kind is Kind.FORWARD and lease.live and not lease.obligation_id:
        leases.hand_over(state, lease)


def index_paid(state: State, paid: Iterable[Bill]) -> None:
    """Bills with hours that may be undone, by id."""
    for bill in sorted(paid, key=_paid_until):
        bills.index(state, bill)


def _paid_until(bill: Bill) -> int:
    return bill.hours.until_h if bill.hours is not None else 0


def _restore_row(state: State, saved: _RowState) -> None:
    row = rows.row_of(state, saved.account, saved.baron)
    for run in saved.hours:
        row.grid.add_bought(run.start_h, run.end_h, run.bought)
        row.grid.add_sold(run.start_h, run.end_h, run.sold)
        row.grid.add_reserved(run.start_h, run.end_h, run.reserved)
    row.spot_asks.update(dict.fromkeys(saved.spot_asks))
    row.firm_asks.update(dict.fromkeys(saved.firm_asks))
    row.spot_asked_gpus = sum(state.orders[order_id].leaves_quantity for order_id in saved.spot_asks)
    row.listings = {listing.instrument: listing for listing in saved.listings}
    row.spot_gpus, row.leaving_gpus = saved.spot_gpus, saved.leaving_gpus
    row.claims = dict.fromkeys(saved.claims)
    row.look_ahead_ns = saved.look_ahead_ns
