"""What is the fast book's alone: its fields' widths, its memory, and that no server runs without it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from engine.books import fast_book_factory
from engine.kinds import Side
from engine.resting import Resting
from engine.units import INT64_MAX
from tests.engine.resting.orders import NOW, TAKER, ask, bid, book_of, buy, contents, sell

FastBook = fast_book_factory()

INT32_MAX = 2**31 - 1


def test_what_no_field_holds_is_refused_whole() -> None:
    book = book_of(FastBook, ask(1, 100, 2), bid(2, 90, 3))
    before = contents(book)
    order = ask(3, 100, 1)
    for wide in (
        order._replace(order_id=INT64_MAX + 1),
        order._replace(order_id=-INT64_MAX - 2),
        order._replace(account=INT64_MAX + 1),
        order._replace(price_ticks=INT64_MAX + 1),
        order._replace(leaves_quantity=INT32_MAX + 1),
        order._replace(hours=INT32_MAX + 1),
        order._replace(window_end_ns=INT64_MAX + 1),
    ):
        with pytest.raises(OverflowError):
            book.add(wide)
    with pytest.raises(OverflowError):
        book.move_window(1, INT64_MAX + 1)
    with pytest.raises(OverflowError):
        book.walk(buy(1, INT64_MAX + 1), NOW, 10)
    with pytest.raises(OverflowError):
        book.walk(buy(1, 100), INT64_MAX + 1, 10)
    assert contents(book) == before


def test_the_widest_values_are_answered_without_wrapping() -> None:
    widest = Resting(INT64_MAX, INT64_MAX, Side.SELL, INT64_MAX, INT32_MAX, INT32_MAX, INT64_MAX)
    book = book_of(FastBook, widest, widest._replace(order_id=-INT64_MAX - 1))
    assert list(book.resting(Side.SELL)) == [widest, widest._replace(order_id=-INT64_MAX - 1)]
    assert book.depth(Side.SELL, 1)[0].conditional_quantity == 2 * INT32_MAX
    taker = buy(INT64_MAX, INT64_MAX, hours=INT32_MAX, account=TAKER)
    # The hours end far beyond 64 bits: a sum that wrapped around would make them eligible.
    assert book.walk(taker, INT64_MAX, 10).fills == []
    assert book.walk(taker._replace(hours=0), INT64_MAX, 10).leaves_quantity == INT64_MAX - 2 * INT32_MAX


def _fill_and_empty(orders: int) -> None:
    """Both sides at many prices; taken off in another order than they came."""
    book = book_of(FastBook, *(ask(n, 1 + n % 997, 1 + n % 9) for n in range(1, orders, 2)))
    for n in range(2, orders, 2):
        book.add(bid(n, 1 + n % 991, 1))
    for n in range(orders - 1, 0, -1):
        book.remove(n)
    assert len(book) == 0


def test_its_memory_goes_back_when_it_does() -> None:
    _fill_and_empty(2_000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            _fill_and_empty(2_000)
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # One book of these has 2,048 nodes of 48 bytes and a table besides.
    assert left < 2_048 * 48


def test_slots_are_used_again() -> None:
    book = book_of(FastBook, *(ask(n, n, 1) for n in range(1, 501)))
    orders = [(ask(n, n, 1), ask(n + 500, n + 500, 1)) for n in range(1, 501)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            for low, high in orders:
                book.remove(low.order_id)
                book.add(high)
            for low, high in orders:
                book.remove(high.order_id)
                book.add(low)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # Any growth of the nodes would be 512 of them at least.
    assert grown < 512 * 48
    assert len(book) == 500
    assert book.walk(sell(1, 1), NOW, 10).fills == []


def test_a_book_is_one_and_stays_where_it_is() -> None:
    book = book_of(FastBook, ask(1, 100, 1))
    with pytest.raises(TypeError):
        pickle.dumps(book)
    with pytest.raises(TypeError):
        copy.copy(book)


WITHOUT_THE_BOOK = """
import sys
sys.modules["engine.resting_fast"] = None
from exchange.monarch.cli import main
sys.exit(main(["up", "--home", sys.argv[1], "--api-port", "0", "--agents-port", "0"]))
"""


def test_a_server_without_it_says_so_and_stops(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_BOOK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "monarch: the compiled order book isn't here" in done.stderr
    assert "make build" in done.stderr
    assert "Traceback" not in done.stderr
