"""Orders as a book sees them, in few words: resting asks and bids, and takers that sell or buy.

Accounts that rest are made from the order's id, so that nobody meets himself by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.kinds import Side
from engine.resting import Book, Resting, Taker
from engine.units import NS_PER_HOUR

BookFactory = Callable[[], Book]

NOW: Final = 400_000 * NS_PER_HOUR
"""A full hour."""
TAKER: Final = 7
"""The account of a taker that no case names."""
ENOUGH: Final = 1_000
"""More resting orders than a case has."""


def after(hours: int, ns: int = 0) -> int:
    """A window's end."""
    return NOW + hours * NS_PER_HOUR + ns


def ask(order_id: int, price_ticks: int, quantity: int, *, window_end_ns: int = 0, account: int = 0) -> Resting:
    return Resting(order_id, account or 1_000 + order_id, Side.SELL, price_ticks, quantity, 0, window_end_ns)


def bid(order_id: int, price_ticks: int, quantity: int, *, hours: int = 0, account: int = 0) -> Resting:
    return Resting(order_id, account or 1_000 + order_id, Side.BUY, price_ticks, quantity, hours, 0)


def buy(quantity: int, limit_ticks: int, *, hours: int = 0, account: int = TAKER) -> Taker:
    return Taker(account, Side.BUY, limit_ticks, quantity, hours, 0)


def sell(quantity: int, limit_ticks: int, *, window_end_ns: int = 0, account: int = TAKER) -> Taker:
    return Taker(account, Side.SELL, limit_ticks, quantity, 0, window_end_ns)


def book_of(factory: BookFactory, *resting: Resting) -> Book:
    """A book in which these were added in this order."""
    book = factory()
    for order in resting:
        book.add(order)
    return book


def ids(book: Book, side: Side) -> list[int]:
    """The orders of a side by priority."""
    return [order.order_id for order in book.resting(side)]


def contents(book: Book) -> tuple[object, ...]:
    """All that a book tells of itself."""
    sides = [(list(book.resting(side)), book.depth(side, 1_000_000)) for side in Side]
    return len(book), sides
