"""What `submit`, `submit_many` and the questions take for a command, and what they answer to anything else: all books alike."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest

from engine.book import Book, BookLimits
from engine.book_fast import Order
from engine.records import COMMAND_BYTES, Command, Op, unpack_events
from tests.engine.book.cases import BookFactory
from tests.engine.book.words import buy, line, sell

GOOD = buy(7, 10, 3)
ACCEPTED = ["accepted 7 buy 3@10 leaves 3"]
MALFORMED = ["rejected 7 malformed_record"]


class _Number(int):
    """A whole number of another class, which says another one as an index: nobody asks it."""

    def __index__(self) -> int:
        return 99


class _Ten(IntEnum):
    TEN = 10


class _Index:
    """No number, but Python takes it for one where it needs an index."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


class _Raising:
    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    def __index__(self) -> int:
        raise self._error("no index today")


class _Subclass(Command):
    """A Command by another name, which packs itself as something else: nobody asks it."""

    def pack(self) -> bytes:
        return bytes(COMMAND_BYTES)


class _Halves(ctypes.Structure):
    """A buffer whose format is of fields, like a NumPy record's."""

    _fields_ = (("first", ctypes.c_uint64 * 4), ("last", ctypes.c_uint32 * 8))


class _Packs:
    """No Command, and no buffer."""

    def pack(self) -> bytes:
        return GOOD.pack()


@pytest.fixture
def book(make_book: BookFactory) -> Book:
    return make_book(BookLimits())


def said(data: bytes) -> list[str]:
    return [line(event) for event in unpack_events(data)]


def wrong(**fields: Any) -> Command:
    """GOOD with values of any kind."""
    return GOOD._replace(**fields)


def short(fields: int) -> Any:
    """A Command of so many fields, as only trickery makes one."""
    return tuple.__new__(Command, (*GOOD, *range(9))[:fields])


@pytest.mark.parametrize(
    ("order", "events"),
    [
        (GOOD, ACCEPTED),
        (GOOD.pack(), ACCEPTED),
        (bytearray(GOOD.pack()), ACCEPTED),
        (memoryview(bytes(8) + GOOD.pack())[8:], ACCEPTED),
        (memoryview(GOOD.pack()).cast("Q"), ACCEPTED),
        (memoryview(GOOD.pack()).cast("B", (8, 8)), ACCEPTED),
        (Order(*GOOD), ACCEPTED),
        (_Halves.from_buffer_copy(GOOD.pack()), ACCEPTED),
        (_Subclass(*GOOD), ACCEPTED),
        (wrong(price=_Ten.TEN, quantity=_Number(3)), ACCEPTED),
        (wrong(price=_Index(10), order_id=_Index(7)), ACCEPTED),
        (wrong(op=True), ACCEPTED),
        (wrong(price=True), ["accepted 7 buy 3@1 leaves 3"]),
        (wrong(reserved=False), ACCEPTED),
        (wrong(price=10.0), MALFORMED),
        (wrong(price=Decimal(10)), MALFORMED),
        (wrong(price="10"), MALFORMED),
        (wrong(price=None), MALFORMED),
        (wrong(price=1j), MALFORMED),
        (wrong(op=None), MALFORMED),
        (wrong(op=0), MALFORMED),
        (wrong(op=256), MALFORMED),
        (wrong(price=_Index(2**31)), MALFORMED),
        (wrong(price=_Raising(TypeError)), MALFORMED),
        (wrong(price=_Raising(OverflowError)), MALFORMED),
        (wrong(order_id=_Index(8), price=2**31), ["rejected 8 malformed_record"]),
        (wrong(order_id=True, price=2**31), ["rejected 1 malformed_record"]),
        (wrong(order_id=_Index(-1)), ["rejected malformed_record"]),
        (wrong(order_id=7.0), ["rejected malformed_record"]),
        (wrong(order_id=_Raising(TypeError)), ["rejected malformed_record"]),
    ],
)
def test_what_is_a_command(book: Book, make_book: BookFactory, order: Any, events: list[str]) -> None:
    assert said(book.submit(order)) == events
    assert said(make_book(BookLimits()).submit_many([order])) == events


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (None, TypeError),
        (7, TypeError),
        ("NEW", TypeError),
        (tuple(GOOD), TypeError),
        (list(GOOD), TypeError),
        (GOOD._asdict(), TypeError),
        (_Packs(), TypeError),
        (Command, TypeError),
        (b"", ValueError),
        (bytes(COMMAND_BYTES - 1), ValueError),
        (GOOD.pack() * 2, ValueError),
        (memoryview(bytes(2 * COMMAND_BYTES))[::2], BufferError),
        (short(0), ValueError),
        (short(19), ValueError),
        (short(21), ValueError),
        (wrong(price=_Raising(ValueError)), ValueError),
        (wrong(price=_Raising(KeyError)), KeyError),
    ],
)
def test_what_is_none(book: Book, order: Any, error: type[Exception]) -> None:
    """Each way says the same, and nothing is done, not even what stood before it in a list."""
    book.submit(sell(1, 20, 5))
    before = book.state()
    calls: list[Callable[[], object]] = [
        lambda: book.submit(order),
        lambda: book.submit_many([GOOD, order]),
        lambda: book.walk(order),
        lambda: book.protection(order),
    ]
    for call in calls:
        with pytest.raises(error):
            call()
    assert book.state() == before


@pytest.mark.parametrize("as_a", [list, tuple, iter, dict.fromkeys, lambda two: (each for each in two)])
def test_any_iterable_holds_commands(book: Book, as_a: Callable[[list[Command]], Any]) -> None:
    assert said(book.submit_many(as_a([GOOD, sell(8, 10, 1)]))) == [
        *ACCEPTED,
        "accepted 8 sell 1@10 leaves 1",
        "trade 7 x8 sell 1@10 leaves 2",
    ]


@pytest.mark.parametrize("orders", [None, 7, GOOD.pack(), "NEW", GOOD, [[GOOD]]])
def test_what_holds_none(book: Book, orders: Any) -> None:
    before = book.state()
    with pytest.raises(TypeError):
        book.submit_many(orders)
    assert book.state() == before


def test_a_generator_that_fails_leaves_the_book_as_it_was(book: Book) -> None:
    def failing() -> Any:
        yield GOOD
        raise LookupError("no more")

    with pytest.raises(LookupError):
        book.submit_many(failing())
    assert len(book) == 0


@pytest.mark.parametrize("order", [wrong(price=2**31), wrong(price="10"), wrong(op=Op.TICK)])
def test_a_question_about_no_order_is_a_value_error(book: Book, order: Any) -> None:
    for ask in (book.walk, book.protection):
        with pytest.raises(ValueError, match="NEW"):
            ask(order)
