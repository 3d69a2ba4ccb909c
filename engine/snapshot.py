"""Snapshots: the whole state of a shard as bytes, and back; and the hash that says two states are one.

A format byte, a digest of the body, and the body: a msgpack array of the rows, tables sorted by id, and each book's own
state. The same state gives the same bytes in every process, whichever book it runs on. What follows from the rows isn't
in it: timers, the orders of an account, what waits.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from engine import stops, timers
from engine.book import BookState
from engine.codec import DecodeError
from engine.limits import Limits
from engine.state import Account, Baron, BookFactory, Instrument, Lease, Order, State

FORMAT: Final = 3
_DIGEST_BYTES: Final = 32


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    shard: int
    limits: Limits
    last_seq: int
    last_ts_ns: int
    accounts: list[Account]
    instruments: list[Instrument]
    barons: list[Baron]
    orders: list[Order]
    leases: list[Lease]
    books: list[BookState]
    """By instrument."""
    auction_ends: list[tuple[int, int]]
    """(instrument, ns), by instrument."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


def encode(state: State) -> bytes:
    """The snapshot's bytes."""
    body = _body(state)
    return bytes([FORMAT]) + _digest(body) + body


def state_hash(state: State) -> str:
    """Hex digest of the state."""
    return _digest(_body(state)).hex()


def decode(data: bytes, book_factory: BookFactory) -> State:
    """The state of a snapshot; DecodeError when the bytes are damaged, cut, or of another format."""
    body = data[1 + _DIGEST_BYTES :]
    if data[:1] != bytes([FORMAT]):
        raise DecodeError(f"not a snapshot of format {FORMAT}")
    if data[1 : 1 + _DIGEST_BYTES] != _digest(body):
        raise DecodeError("the snapshot is damaged: its digest doesn't match; take an older one")
    try:
        rows = _decode(body)
    except msgspec.MsgspecError as error:
        raise DecodeError(str(error)) from error
    return _state(rows, book_factory)


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
            orders=[row for _, row in sorted(state.orders.items())],
            leases=[row for _, row in sorted(state.leases.items())],
            books=[book.state() for _, book in sorted(state.books.items())],
            auction_ends=sorted(state.auction_ends.items()),
        )
    )


def _state(rows: _Body, book_factory: BookFactory) -> State:
    state = State(rows.shard, rows.limits, book_factory)
    state.last_seq = rows.last_seq
    state.last_ts_ns = rows.last_ts_ns
    state.accounts = {row.account: row for row in rows.accounts}
    state.barons = {row.baron: row for row in rows.barons}
    state.orders = {row.order_id: row for row in rows.orders}
    state.leases = {row.lease_id: row for row in rows.leases}
    for instrument in rows.instruments:
        state.add_instrument(instrument)
    for instrument, book in zip(rows.instruments, rows.books, strict=True):
        state.books[instrument.instrument].restore(book)
        state.touched_books[instrument.instrument] = None
    for order in rows.orders:
        state.orders_of.setdefault(order.account, {})[order.order_id] = order
    state.auction_ends = dict(rows.auction_ends)
    timers.rearm(state)
    stops.look(state)
    return state
