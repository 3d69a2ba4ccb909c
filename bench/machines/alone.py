"""The books of a flow without their machine: what it asked of them, played to books alone.

One is the machine's own compiled book, by `batch`; the other the bare book of limit orders that the books are measured by
(`bench.order_books.bare`). It knows no accounts, no leases and no money.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Final

from bench.machines.flow import Flow
from bench.order_books.bare import QUANTITY, BareBook, Call
from bench.order_books.engines import BATCH, EVENTS_ROOM
from engine.book import BookLimits
from engine.halves import compiled_half
from engine.records import COMMAND, COMMAND_BYTES, EVENT_BYTES, Op

_TIME_SHIFT: Final = 3
_IOC: Final = 1
"""In two bits of a command's shape, how long an order lasts."""


def compiled_s(flow: Flow) -> float:
    """A compiled book for each instrument, one after the other, by `batch`."""
    out = bytearray(EVENTS_ROOM * EVENT_BYTES)
    step = BATCH * COMMAND_BYTES
    seconds = 0.0
    for records in flow.book_commands.values():
        book, view = compiled_half().book(BookLimits(fires=False)), memoryview(records)
        before = perf_counter()
        for first in range(0, len(view), step):
            book.batch(view[first : first + step], out)
        seconds += perf_counter() - before
    return seconds


def bare_s(flow: Flow) -> float:
    """A bare book for each instrument, one call a command; records were read before."""
    seconds = 0.0
    for records in flow.book_commands.values():
        calls = _calls(BareBook(), records)
        before = perf_counter()
        for method, arguments in calls:
            method(*arguments)
        seconds += perf_counter() - before
    return seconds


def _calls(book: BareBook, records: bytes) -> list[Call]:
    return [_call(book, records[at : at + COMMAND_BYTES]) for at in range(0, len(records), COMMAND_BYTES)]


def _call(book: BareBook, record: bytes) -> Call:
    order_id, _, _, price, quantity, *_, op, shape, _, _ = COMMAND.unpack(record)
    match op:
        case Op.NEW:
            enter = book.ioc if shape >> _TIME_SHIFT & 3 == _IOC else book.limit
            return enter, (order_id, shape & 1, price, quantity)
        case Op.CANCEL:
            return partial(_cancel, book), (order_id,)
        case Op.REDUCE:
            return partial(_reduce, book), (order_id, quantity)
        case _:
            raise ValueError(f"no order, cancel or cut asks a book for operation {op}")


def _cancel(book: BareBook, order_id: int) -> None:
    """A cancel that forgives: the bare book knows no windows, so it may have sold what the machine's still had."""
    if order_id in book.orders:
        book.cancel(order_id)


def _reduce(book: BareBook, order_id: int, quantity: int) -> None:
    """What a Baron lost is less to sell; the bare book has no word for it."""
    order = book.orders.get(order_id)
    if order is None:
        return
    if order[QUANTITY] > quantity:
        order[QUANTITY] -= quantity
    else:
        book.cancel(order_id)
