"""What happens to orders at rest: short stories of a book, each one rule of its contract (`engine.resting`)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import pytest

from engine.kinds import Side
from engine.resting import Fill, Level, Resting, Stop, Walk
from tests.engine.resting.orders import (
    ENOUGH,
    NOW,
    BookFactory,
    after,
    ask,
    bid,
    book_of,
    buy,
    contents,
    ids,
    sell,
)

QUEUE: Final = (ask(1, 100, 2), ask(2, 100, 3), ask(3, 100, 4))
NOBODY: Final = 99
BEYOND_64_BITS: Final = (2**63, -(2**63) - 1, 2**200)


def an_order_rests_as_it_was_added(new: BookFactory) -> None:
    order = Resting(2**63 - 1, 2**62, Side.SELL, 10_000_000, 100_000, 744, 2**63 - 1)
    book = book_of(new, order)
    assert book.get(order.order_id) == order
    assert isinstance(book.get(order.order_id).side, Side)
    assert order.order_id in book
    assert len(book) == 1


def an_id_rests_once(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    before = contents(book)
    for again in (ask(2, 100, 3), ask(2, 105, 1), bid(2, 90, 1)):
        with pytest.raises(ValueError, match="order 2 rests already"):
            book.add(again)
    assert contents(book) == before


def an_id_may_come_again_when_it_has_gone(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    book.remove(1)
    book.add(bid(1, 90, 7))
    assert book.get(1) == bid(1, 90, 7)
    assert (ids(book, Side.BUY), ids(book, Side.SELL)) == ([1], [2, 3])


def nothing_cannot_rest(new: BookFactory) -> None:
    book = new()
    for quantity in (0, -1):
        with pytest.raises(ValueError, match="nothing to rest"):
            book.add(ask(1, 100, quantity))
    assert contents(book) == contents(new())


def a_book_may_be_crossed(new: BookFactory) -> None:
    book = book_of(new, ask(1, 100, 2), bid(2, 105, 3))
    assert book.depth(Side.SELL, 1) == [Level(100, 2, 0, 1)]
    assert book.depth(Side.BUY, 1) == [Level(105, 3, 0, 1)]


def the_head_leaves(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    assert book.remove(1) == 2
    assert ids(book, Side.SELL) == [2, 3]
    assert book.walk(buy(4, 100), NOW, ENOUGH) == Walk([Fill(2, 100, 3), Fill(3, 100, 1)], 0, Stop.DONE)


def the_middle_leaves(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    assert book.remove(2) == 3
    assert ids(book, Side.SELL) == [1, 3]
    assert book.walk(buy(4, 100), NOW, ENOUGH) == Walk([Fill(1, 100, 2), Fill(3, 100, 2)], 0, Stop.DONE)


def the_tail_leaves_and_the_next_comes_behind_the_rest(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    assert book.remove(3) == 4
    book.add(ask(4, 100, 1))
    assert ids(book, Side.SELL) == [1, 2, 4]


def the_last_of_a_price_takes_the_price_along(new: BookFactory) -> None:
    book = book_of(new, ask(1, 101, 1), ask(2, 100, 1), ask(3, 102, 1))
    for order_id, left in ((1, [100, 102]), (3, [100]), (2, [])):
        book.remove(order_id)
        assert [level.price_ticks for level in book.depth(Side.SELL, 9)] == left
    assert len(book) == 0
    assert book.walk(buy(1, 200), NOW, ENOUGH) == Walk([], 1, Stop.DONE)


def a_reduced_order_keeps_its_place(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    assert book.reduce(2, 1) == 2
    assert ids(book, Side.SELL) == [1, 2, 3]
    assert book.get(2) == ask(2, 100, 2)
    assert book.depth(Side.SELL, 9) == [Level(100, 8, 0, 3)]


def reduced_to_nothing_it_is_gone(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    assert book.reduce(2, 2) == 1
    assert book.reduce(2, 1) == 0
    assert 2 not in book
    assert len(book) == 2
    assert ids(book, Side.SELL) == [1, 3]
    assert book.depth(Side.SELL, 9) == [Level(100, 6, 0, 2)]
    with pytest.raises(KeyError):
        book.reduce(2, 1)


def no_order_is_reduced_by_nothing_or_by_more_than_it_leaves(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    before = contents(book)
    for quantity in (0, -1, 4, 2**31, 2**32 + 1, -(2**31), 2**63, 2**64 + 1):
        with pytest.raises(ValueError, match="order 2 leaves 3: it can't be reduced by"):
            book.reduce(2, quantity)
    assert contents(book) == before


def a_moved_window_keeps_the_place_and_decides_from_now_on(new: BookFactory) -> None:
    book = book_of(new, ask(1, 100, 1, window_end_ns=after(2)), ask(2, 100, 1, window_end_ns=after(2)))
    taker = buy(2, 100, hours=3)
    assert book.walk(taker, NOW, ENOUGH).fills == []
    book.move_window(1, after(3))
    assert book.get(1) == ask(1, 100, 1, window_end_ns=after(3))
    assert book.walk(taker, NOW, ENOUGH).fills == [Fill(1, 100, 1)]
    assert ids(book, Side.SELL) == [1, 2]
    book.move_window(2, 0)
    assert book.walk(taker, NOW, ENOUGH).fills == [Fill(1, 100, 1), Fill(2, 100, 1)]
    assert ids(book, Side.SELL) == [1, 2]


def who_is_not_there_is_named(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    before = contents(book)
    for missing in (NOBODY, 0, -1, *BEYOND_64_BITS):
        assert missing not in book
        calls: list[Callable[[int], object]] = [
            book.get,
            book.remove,
            lambda order_id: book.reduce(order_id, 1),
            lambda order_id: book.move_window(order_id, 0),
        ]
        for call in calls:
            with pytest.raises(KeyError) as raised:
                call(missing)
            assert raised.value.args == (missing,)
    assert contents(book) == before


def depth_gives_the_best_prices_first_and_conditional_quantity_apart(new: BookFactory) -> None:
    book = book_of(
        new,
        bid(1, 99, 5, hours=1),
        bid(2, 100, 2, hours=0),
        bid(3, 100, 3, hours=2),
        bid(4, 100, 4, hours=744),
        bid(5, 98, 6, hours=2),
        ask(6, 101, 7, window_end_ns=after(9)),
        ask(7, 103, 8),
    )
    bids = [Level(100, 2, 7, 3), Level(99, 5, 0, 1), Level(98, 0, 6, 1)]
    assert book.depth(Side.BUY, 3) == book.depth(Side.BUY, sys.maxsize) == bids
    assert book.depth(Side.BUY, 2) == bids[:2]
    assert book.depth(Side.BUY, 0) == []
    assert book.depth(Side.SELL, 9) == [Level(101, 7, 0, 1), Level(103, 8, 0, 1)]
    book.reduce(4, 3)
    book.remove(2)
    assert book.depth(Side.BUY, 1) == [Level(100, 0, 4, 2)]


def no_depth_has_fewer_than_no_levels(new: BookFactory) -> None:
    with pytest.raises(ValueError, match=r"."):
        book_of(new, *QUEUE).depth(Side.SELL, -1)


def added_again_in_order_of_priority_it_is_an_equal_book(new: BookFactory) -> None:
    book = book_of(new, *(ask(n, 100 + n % 3, n, window_end_ns=after(n)) for n in (5, 3, 9, 1, 7, 2)))
    for n in (8, 6, 4):
        book.add(bid(n, 90 + n % 2, n, hours=n % 4))
    book.reduce(9, 4)
    book.remove(3)
    book.add(ask(3, 100, 1))
    again = book_of(new, *book.resting(Side.BUY), *book.resting(Side.SELL))
    assert contents(again) == contents(book)
    assert again.walk(buy(12, 102), NOW, ENOUGH) == book.walk(buy(12, 102), NOW, ENOUGH)
    assert again.walk(sell(12, 90), NOW, ENOUGH) == book.walk(sell(12, 90), NOW, ENOUGH)


def what_rests_is_told_as_of_the_asking(new: BookFactory) -> None:
    book = book_of(new, *QUEUE)
    told = book.resting(Side.SELL)
    book.remove(1)
    book.reduce(2, 1)
    assert list(told) == list(QUEUE)


def books_share_nothing(new: BookFactory) -> None:
    one, other = book_of(new, *QUEUE), new()
    other.add(bid(1, 90, 1))
    assert (len(one), len(other)) == (3, 1)
    assert one.get(1) == QUEUE[0]


def thousands_of_orders_and_prices_stay_in_order(new: BookFactory) -> None:
    count = 3_000
    book = book_of(new, *(ask(n, 1 + n * 7_919 % 1_000, 1 + n % 5) for n in range(1, count)))
    for n in range(1, count, 3):
        assert book.remove(n) == 1 + n % 5
    expected = sorted((1 + n * 7_919 % 1_000, n) for n in range(1, count) if n % 3 != 1)
    assert [(order.price_ticks, order.order_id) for order in book.resting(Side.SELL)] == expected
    walked = book.walk(buy(10**9, 10_000_000), NOW, count)
    assert [(fill.price_ticks, fill.order_id) for fill in walked.fills] == expected
    for fill in walked.fills:
        assert book.reduce(fill.order_id, fill.quantity) == 0
    assert contents(book) == contents(new())


SCENARIOS: Final[list[Callable[[BookFactory], None]]] = [
    an_order_rests_as_it_was_added,
    an_id_rests_once,
    an_id_may_come_again_when_it_has_gone,
    nothing_cannot_rest,
    a_book_may_be_crossed,
    the_head_leaves,
    the_middle_leaves,
    the_tail_leaves_and_the_next_comes_behind_the_rest,
    the_last_of_a_price_takes_the_price_along,
    a_reduced_order_keeps_its_place,
    reduced_to_nothing_it_is_gone,
    no_order_is_reduced_by_nothing_or_by_more_than_it_leaves,
    a_moved_window_keeps_the_place_and_decides_from_now_on,
    who_is_not_there_is_named,
    depth_gives_the_best_prices_first_and_conditional_quantity_apart,
    no_depth_has_fewer_than_no_levels,
    added_again_in_order_of_priority_it_is_an_equal_book,
    what_rests_is_told_as_of_the_asking,
    books_share_nothing,
    thousands_of_orders_and_prices_stay_in_order,
]
