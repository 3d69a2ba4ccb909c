"""The records as NumPy reads them, by the documented dtypes: the same fields, sizes and bytes as engine/records.py packs."""

from __future__ import annotations

import numpy
import pytest

from engine.book import Book
from engine.book_fast import FastBook
from engine.book_plain import PlainBook
from engine.kinds import Side
from engine.reasons import Reason
from engine.records import (
    COMMAND_BYTES,
    COMMAND_DTYPE,
    DELTA_BYTES,
    DELTA_DTYPE,
    EVENT_BYTES,
    EVENT_DTYPE,
    BookEvent,
    Command,
    Delta,
    EventKind,
    Op,
    shape_of,
    unpack_command,
    unpack_deltas,
    unpack_events,
)

# Each field as large as it can be and unlike the others, so that one read in another's place shows.
COMMAND = Command(
    Op.FIRE,
    order_id=2**64 - 1,
    ts_ns=-(2**63) + 2,
    account=2**32 - 3,
    price=-(2**31) + 4,
    quantity=2**32 - 5,
    shape=255,
    flags=254,
    display_quantity=2**32 - 6,
    min_quantity=2**32 - 7,
    stop_price=-(2**31) + 8,
    window_end_h=2**32 - 9,
    baron=2**32 - 10,
    tag=2**32 - 11,
    features=2**16 - 12,
    hours=2**16 - 13,
    lot=2**16 - 14,
    min_rating=253,
    reason=252,
    reserved=251,
)
EVENT = BookEvent(
    EventKind.CLEARED,
    order_id=2**64 - 1,
    other_id=2**64 - 2,
    command=2**32 - 3,
    price=-(2**31) + 4,
    quantity=2**32 - 5,
    leaves=2**32 - 6,
    other_leaves=2**32 - 7,
    side=255,
    reason=Reason.OUTSIDE_BAND,
    flags=254,
)
DELTA = Delta(Side.SELL, -(2**31) + 1, 2**64 - 2, 2**64 - 3, 2**32 - 4, 2**32 - 5)


@pytest.mark.parametrize(
    ("layout", "size", "record"),
    [(COMMAND_DTYPE, COMMAND_BYTES, COMMAND), (EVENT_DTYPE, EVENT_BYTES, EVENT), (DELTA_DTYPE, DELTA_BYTES, DELTA)],
    ids=["command", "event", "delta"],
)
def test_numpy_reads_and_writes_the_same_bytes(
    layout: list[tuple[str, str]], size: int, record: Command | BookEvent | Delta
) -> None:
    dtype = numpy.dtype(layout)
    assert dtype.itemsize == size
    packed = record.pack()
    (row,) = numpy.frombuffer(packed, dtype)
    names = [name for name in layout_names(dtype) if hasattr(record, name)]
    assert set(names) == set(record._fields)
    assert {name: int(row[name]) for name in names} == {name: int(getattr(record, name)) for name in names}
    written = numpy.zeros(1, dtype)
    for name in names:
        written[0][name] = getattr(record, name)
    assert written.tobytes() == packed


def layout_names(dtype: numpy.dtype[numpy.void]) -> tuple[str, ...]:
    assert dtype.names is not None
    return dtype.names


def test_what_packs_unpacks() -> None:
    assert unpack_command(COMMAND.pack()) == COMMAND
    assert list(unpack_events(EVENT.pack())) == [EVENT]
    assert list(unpack_deltas(DELTA.pack())) == [DELTA]


@pytest.mark.parametrize("factory", [PlainBook, FastBook])
def test_arrays_go_through_a_book(factory: type[Book]) -> None:
    """A batch made, and its events and deltas read, with NumPy alone."""
    commands = numpy.zeros(3, numpy.dtype(COMMAND_DTYPE))
    commands["op"], commands["order_id"] = Op.NEW, [1, 2, 3]
    commands["price"], commands["quantity"] = [101, 100, 100], [5, 7, 4]
    commands["shape"] = [shape_of(Side.SELL), shape_of(Side.SELL), shape_of(Side.BUY)]
    events = numpy.zeros(8, numpy.dtype(EVENT_DTYPE))
    deltas = numpy.zeros(8, numpy.dtype(DELTA_DTYPE))
    result = factory().batch(commands, events, deltas)
    trades = events[: result.written][events["kind"][: result.written] == EventKind.TRADE]
    assert trades[["order_id", "other_id", "command", "price", "quantity", "leaves"]].tolist() == [(2, 3, 2, 100, 4, 3)]
    told = deltas[: result.deltas]
    assert told[["side", "price", "unconditional", "orders"]].tolist() == [
        (Side.SELL, 101, 5, 1),
        (Side.SELL, 100, 3, 1),
    ]
