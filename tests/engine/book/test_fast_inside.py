"""One caller at a time, through every door and every question of both books, and buffers that nobody may share."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from engine.book import Book, BookLimits
from engine.book_fast import FastBook
from engine.kinds import Side
from engine.records import EVENT_BYTES, Command, Op, Session, shape_of
from tests.engine.book.cases import BookFactory
from tests.engine.book.words import buy, cancel, sell, tick

LIMITS: Final = BookLimits(band_ppm=0)
TAKER: Final = buy(900, 500, 90)._replace(ts_ns=5)
STATE: Final = FastBook(LIMITS).state()

DOORS: Final[dict[str, Callable[[Book], Any]]] = {
    "submit": lambda book: book.submit(tick()),
    "submit_many": lambda book: book.submit_many([tick()]),
    "batch": lambda book: book.batch(tick().pack(), bytearray(EVENT_BYTES)),
    "walk": lambda book: book.walk(TAKER),
    "protection": lambda book: book.protection(TAKER),
    "get": lambda book: book.get(1),
    "in": lambda book: 1 in book,
    "len": len,
    "depth": lambda book: book.depth(Side.SELL, 50),
    "resting": lambda book: list(book.resting(Side.SELL)),
    "indicative": lambda book: book.indicative(),
    "reference": lambda book: book.reference(),
    "session": lambda book: book.session,
    "last_price": lambda book: book.last_price,
    "stops_due": lambda book: book.stops_due,
    "clearing_price": lambda book: book.clearing_price,
    "next_stop": lambda book: book.next_stop(),
    "state": lambda book: book.state(),
    "restore": lambda book: book.restore(STATE),
}
MAKES_OBJECTS: Final = ("walk", "depth", "resting", "state")


def filled(make_book: BookFactory) -> Book:
    book = make_book(LIMITS)
    book.submit_many([sell(number, 100 + number, 3) for number in range(1, 40)])
    return book


def refuses(book: Book, door: str) -> bool:
    try:
        DOORS[door](book)
    except RuntimeError:
        return True
    return False


@pytest.fixture
def collects_often() -> Iterator[list[Callable[[], None]]]:
    """What is put in here is called in the midst of whatever makes an object, as a collection of garbage may."""
    calls: list[Callable[[], None]] = []

    def collected(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            for call in calls:
                call()

    before = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(1)
    yield calls
    gc.callbacks.remove(collected)
    gc.set_threshold(*before)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("inside", MAKES_OBJECTS)
def test_nobody_enters_while_a_question_is_answered(
    make_book: BookFactory, collects_often: list[Callable[[], None]], inside: str, door: str
) -> None:
    """Neither another thread nor the same one, from Python code that runs in the midst."""
    book = filled(make_book)
    answers: list[tuple[bool, ...]] = []

    def meanwhile() -> None:
        if not refuses(book, "len") or len(answers) > 3:
            return
        from_thread: list[bool] = []
        thread = threading.Thread(target=lambda: from_thread.append(refuses(book, door)))
        thread.start()
        thread.join()
        answers.append((refuses(book, door), *from_thread))

    before = book.state()
    collects_often.append(meanwhile)
    DOORS[inside](book)
    collects_often.clear()
    # Interpreters from 3.12 on collect between two bytecodes only, and so nowhere in the midst of some questions.
    assert answers or sys.version_info >= (3, 12)
    assert set(answers) <= {(True, True)}
    assert book.state() == before


@pytest.mark.parametrize("door", DOORS)
def test_nobody_enters_while_a_batch_runs(door: str) -> None:
    book = FastBook(LIMITS)
    ticks = tick().pack() * 400_000
    refused = threading.Event()

    def batches() -> None:
        out = bytearray(EVENT_BYTES)
        while not refused.is_set():
            try:
                book.batch(ticks, out)
            except RuntimeError:
                # The other thread was inside this time.
                continue

    thread = threading.Thread(target=batches)
    thread.start()
    try:
        while not refuses(book, door):
            pass
    finally:
        refused.set()
        thread.join()


class Uses:
    """A number that uses the book while it is read."""

    def __init__(self, value: int, use: Callable[[], Any]) -> None:
        self.value = value
        self.use = use

    def __index__(self) -> int:
        self.use()
        return self.value


def test_an_argument_may_use_the_book_before_it_is_entered(make_book: BookFactory) -> None:
    book = filled(make_book)
    ids = iter(range(1_000, 2_000))

    def use() -> None:
        book.submit(buy(next(ids), 50, 1))
        book.depth(Side.BUY, 3)

    price: Any = Uses(60, use)
    book.submit(buy(700, 60, 1)._replace(price=price))
    book.walk(TAKER._replace(price=price))
    most: Any = Uses(3, use)
    assert len(book.depth(Side.SELL, most)) == 3
    assert len(list(book.resting(Side.SELL, most))) == 3

    def commands() -> Iterator[Command]:
        for number in range(800, 803):
            use()
            yield buy(number, 40, 1)

    book.submit_many(commands())
    assert sum(level.orders for level in book.depth(Side.BUY, 99)) == 1 + 3 + next(ids) - 1_000
    assert {order.order_id for order in book.resting(Side.BUY)} >= {700, 800, 801, 802}


# ---------------------------------------------------------------- buffers


def test_buffers_may_not_overlap(make_book: BookFactory) -> None:
    book = filled(make_book)
    before = book.state()
    memory = memoryview(bytearray(cancel(1).pack() + bytes(400)))
    apart = bytearray(400)
    for wrong in (
        (memory[:64], memory[63:]),
        (memory[:64], memory[:40]),
        (memory[:64], memory),
        (memory[:64].toreadonly(), memory[8:48]),
        (memory[:64], apart, memory[32:96]),
        (memory[:64], memory[100:180], memory[160:]),
        (memory[64:128], memory[:65]),
    ):
        with pytest.raises(ValueError, match="overlap"):
            book.batch(*wrong)
    assert book.state() == before
    assert book.batch(memory[:64], memory[64:144], memory[144:208]) == (1, 1, 1, 0)
    assert book.batch(memory[:0], memory) == (0, 0, 0, 0)


def test_a_buffer_that_changes_while_it_is_read_breaks_nothing() -> None:
    """Whatever stood there at the time was applied; the book is whole, and lives on."""
    chance = [Command(Op.NEW, number, price=90 + number % 9, quantity=1 + number % 5) for number in range(1, 60)]
    kinds = [
        b"".join(command._replace(op=Op(op), shape=shape_of(side), flags=flags).pack() for command in chance)
        for op, side, flags in (
            (Op.NEW, Side.BUY, 0),
            (Op.CANCEL, Side.SELL, 0),
            (Op.AMEND, Side.SELL, 1),
            (Op.NEW, Side.SELL, 0),
            (Op.AMEND, Side.BUY, 3),
        )
    ]
    commands = bytearray(kinds[0] * 300)
    over = threading.Event()

    def scribble() -> None:
        at = 0
        while not over.is_set():
            at += 1
            commands[:] = b"".join(kinds[(at + part) % len(kinds)] for part in range(300))

    book = FastBook(LIMITS)
    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        out = bytearray(1 << 20)
        for _ in range(200):
            book.batch(commands, out)
    finally:
        over.set()
        thread.join()
    orders = [order for side in Side for order in book.resting(side)]
    assert len({order.order_id for order in orders}) == len(orders) == len(book)
    assert all(order.order_id in book and 1 <= order.leaves <= order.quantity for order in orders)
    depth = {(side, level.price): level.orders for side in Side for level in book.depth(side, 999)}
    assert sum(depth.values()) == len(orders)


# ---------------------------------------------------------------- restore


def test_a_used_book_becomes_what_a_state_says(make_book: BookFactory) -> None:
    book, other = filled(make_book), make_book(LIMITS)
    book.submit_many([buy(70, 130, 50), buy(71, 5, 1), does_session(Session.AUCTION)])
    assert book.batch(cancel(99).pack() + cancel(98).pack(), bytearray(EVENT_BYTES)).pending == 0
    other.submit_many([buy(500, 60, 4), sell(501, 70, 4, display_quantity=2)])
    book.restore(other.state())
    assert book.state() == other.state()
    life = [cancel(71), sell(1, 60, 1), buy(2, 70, 3), buy(3, 10, 1)]
    assert book.submit_many(life) == other.submit_many(life)
    assert book.state() == other.state()
    assert [level.price for level in book.depth(Side.BUY, 9)] == [60, 10]
    book.restore(make_book(LIMITS).state())
    assert (len(book), book.depth(Side.SELL, 9), book.last_price) == (0, [], 0)


def test_what_waited_is_forgotten_by_a_restore(make_book: BookFactory) -> None:
    book = filled(make_book)
    assert book.batch(buy(70, 130, 50).pack(), bytearray(EVENT_BYTES)).pending > 0
    book.restore(STATE)
    assert book.batch(b"", bytearray(400), bytearray(400)) == (0, 0, 0, 0)


def does_session(session: Session) -> Command:
    return Command(Op.SET_SESSION, shape=session)


# ---------------------------------------------------------------- what an emptied book keeps


def test_a_book_emptied_by_any_door_is_small_again() -> None:
    book = FastBook(LIMITS)
    new = sys.getsizeof(book)
    book.submit(sell(1, 10, 5, account=4, display_quantity=2, tag=3))
    book.submit(cancel(1))
    assert sys.getsizeof(book) == new
    book.submit_many([sell(1, 10, 5, lot=5), cancel(1)])
    book.batch(sell(1, 10, 5).pack() + cancel(1).pack(), bytearray(400), bytearray(400))
    assert sys.getsizeof(book) == new
    # A trade is remembered for an hour.
    book.submit_many([sell(1, 10, 5), buy(2, 10, 5)])
    assert new < sys.getsizeof(book) <= 4_096
