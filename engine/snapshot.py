"""Snapshots: the whole state of a shard as bytes, and back; and the hash that says two states are one.

A format byte, a digest of the body, and the body: a msgpack array of the rows, tables sorted by id, and each book's own
state. The same state gives the same bytes in every process, whichever book it runs on. What follows from the rows isn't
in it: timers, the orders of an account, what waits.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from engine import leases, obligations, rows, spot_leases, stops, timers
from engine.book import BookState
from engine.codec import DecodeError
from engine.dues import Bill, Cover
from engine.grid import GridFactory, Run
from engine.kinds import Kind
from engine.limits import Limits
from engine.obligation import Obligation
from engine.row import Listing, Row
from engine.state import (
    Account,
    Baron,
    BookFactory,
    Calendar,
    ClosingTrades,
    Instrument,
    Lease,
    Order,
    State,
)

FORMAT: Final = 4
_DIGEST_BYTES: Final = 32


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


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
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


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


def encode(state: State) -> bytes:
    """The snapshot's bytes."""
    body = _body(state)
    return bytes([FORMAT]) + _digest(body) + body


def state_hash(state: State) -> str:
    """Hex digest of the state."""
    return _digest(_body(state)).hex()


def decode(data: bytes, book_factory: BookFactory, grid_factory: GridFactory) -> State:
    """The state of a snapshot; DecodeError when the bytes are damaged, cut, or of another format."""
    body = data[1 + _DIGEST_BYTES :]
    if data[:1] != bytes([FORMAT]):
        raise DecodeError(f"not a snapshot of format {FORMAT}")
    if data[1 : 1 + _DIGEST_BYTES] != _digest(body):
        raise DecodeError("the snapshot is damaged: its digest doesn't match; take an older one")
    try:
        body_rows = _decode(body)
    except msgspec.MsgspecError as error:
        raise DecodeError(str(error)) from error
    return _state(body_rows, book_factory, grid_factory)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _body(state: State) -> bytes:
    return _encode(
        _Body(
            shard=state.shard,
            limits=state.limits,
            last_seq=state.last_seq,
            last_ts_ns=state.last_ts_ns,
            accounts=[row for _, row in sorted(state.accounts.items())],
            instruments=[row for _, row in sorted(state.instruments.items())],
            barons=[row for _, row in sorted(state.barons.items())],
            rows=[_row_state(state, row) for row in state.rows.values()],
            orders=[row for _, row in sorted(state.orders.items())],
            leases=[row for _, row in sorted(state.leases.items())],
            bills=[row for _, row in sorted(state.bills.items())],
            books=[book.state() for _, book in sorted(state.books.items())],
            auction_ends=sorted(state.auction_ends.items()),
            next_instrument=state.next_instrument,
            calendars=[row for _, row in sorted(state.calendars.items())],
            closing_trades=[row for _, row in sorted(state.closing_trades.items())],
            obligations=list(state.obligations.values()),
            yielding=sorted(state.yielding),
            shutting=sorted(state.shutting),
            covers=state.covers,
        )
    )


def _row_state(state: State, row: Row) -> _RowState:
    return _RowState(
        account=row.account,
        baron=row.baron,
        hours=row.grid.runs(rows.hour_of(state.last_ts_ns)),
        spot_asks=list(row.spot_asks),
        firm_asks=list(row.firm_asks),
        listings=[listing for _, listing in sorted(row.listings.items())],
        spot_gpus=row.spot_gpus,
        leaving_gpus=row.leaving_gpus,
        claims=list(row.claims),
        look_ahead_ns=row.look_ahead_ns,
    )


def _state(body: _Body, book_factory: BookFactory, grid_factory: GridFactory) -> State:
    state = State(body.shard, body.limits, book_factory, grid_factory)
    state.last_seq = body.last_seq
    state.last_ts_ns = body.last_ts_ns
    state.accounts = {row.account: row for row in body.accounts}
    for baron in body.barons:
        state.add_baron(baron)
    state.orders = {row.order_id: row for row in body.orders}
    state.leases = {row.lease_id: row for row in body.leases}
    state.bills = {row.bill_id: row for row in body.bills}
    for instrument in body.instruments:
        state.add_instrument(instrument)
    for instrument, book in zip(body.instruments, body.books, strict=True):
        state.books[instrument.instrument].restore(book)
        state.touched_books[instrument.instrument] = None
    for order in body.orders:
        state.orders_of.setdefault(order.account, {})[order.order_id] = order
    state.auction_ends = dict(body.auction_ends)
    state.next_instrument = body.next_instrument
    state.calendars = {row.market: row for row in body.calendars}
    state.closing_trades = {row.instrument: row for row in body.closing_trades}
    state.shutting = set(body.shutting)
    state.covers = body.covers
    for row_state in body.rows:
        _restore_row(state, row_state)
    for lease in body.leases:
        leases.count(state, lease)
        if lease.kind is Kind.FORWARD and lease.live and not lease.obligation_id:
            leases.hand_over(state, lease)
    for obligation in body.obligations:
        obligations.index(state, obligation)
    state.yielding = set(body.yielding)
    spot_leases.rearm(state)
    timers.rearm(state)
    stops.look(state)
    return state


def _restore_row(state: State, saved: _RowState) -> None:
    row = rows.row_of(state, saved.account, saved.baron)
    for run in saved.hours:
        row.grid.add_bought(run.start_h, run.end_h, run.bought)
        row.grid.add_sold(run.start_h, run.end_h, run.sold)
        row.grid.add_reserved(run.start_h, run.end_h, run.reserved)
    row.spot_asks = dict.fromkeys(saved.spot_asks)
    row.firm_asks = dict.fromkeys(saved.firm_asks)
    row.spot_asked_gpus = sum(state.orders[order_id].leaves_quantity for order_id in saved.spot_asks)
    row.listings = {listing.instrument: listing for listing in saved.listings}
    row.spot_gpus, row.leaving_gpus = saved.spot_gpus, saved.leaving_gpus
    row.claims = dict.fromkeys(saved.claims)
    row.look_ahead_ns = saved.look_ahead_ns
