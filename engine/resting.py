"""The order book's protocol: what the machine asks of a book, whichever half answers.

A book holds the resting orders of one instrument in price-time priority (rulebook §6). It knows prices, quantities,
eligibility and whose order is whose; it never knows money, capacity, time in force or why an order came. `walk` is
dry: it says what an incoming order would take, and the machine then calls `reduce` for each fill.

Eligibility in this stage: a bid of `hours` meets an ask whose fixed hours reach `now_ns + hours`; an ask without a window
(spot, window_end_ns 0) meets every bid. A bid with more than one hour is conditional; depth gives its quantity apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

from engine.kinds import Side


class Stop(IntEnum):
    """Why a walk ended."""

    DONE = 0
    """Nothing more to take: filled, or no eligible order left inside the limit."""
    SELF_TRADE = 1
    """It met an eligible order of its own account (cancel_newest)."""
    WALK_LIMIT = 2
    """It looked at as many resting orders as it may."""


class Fill(NamedTuple):
    """A resting order that a walk takes from, at that order's price."""

    order_id: int
    price_ticks: int
    quantity: int


class Walk(NamedTuple):
    """What an incoming order would take, in order of execution, and what it leaves."""

    fills: list[Fill]
    leaves_quantity: int
    stop: Stop


class Level(NamedTuple):
    """One price of the depth; quantities in GPUs."""

    price_ticks: int
    unconditional_quantity: int
    conditional_quantity: int
    orders: int


class Taker(NamedTuple):
    """An incoming order as the book sees it. price_ticks is its limit; hours of a bid, window_end_ns of an ask."""

    account: int
    side: Side
    price_ticks: int
    quantity: int
    hours: int
    window_end_ns: int


class Resting(NamedTuple):
    """A resting order as the book keeps it."""

    order_id: int
    account: int
    side: Side
    price_ticks: int
    leaves_quantity: int
    hours: int
    window_end_ns: int


class Book(Protocol):
    """One instrument's resting orders. Order ids are unique; KeyError names one that isn't there."""

    def walk(self, taker: Taker, now_ns: int, max_looked: int) -> Walk:
        """What the taker would take now, looking at no more than `max_looked` resting orders. Changes nothing."""

    def best_price(self, taker: Taker, now_ns: int, max_looked: int) -> int:
        """Price of the first order of another account that the taker is eligible for, its own limit left aside; 0 if none."""

    def add(self, order: Resting) -> None:
        """Rest an order at the back of its level. It may cross: the machine walks first."""

    def reduce(self, order_id: int, quantity: int) -> int:
        """Take `quantity` (1 to its leaves) off an order in place, and off the book at zero; returns what it leaves."""

    def move_window(self, order_id: int, window_end_ns: int) -> None:
        """Change an ask's window in place; its priority stays."""

    def remove(self, order_id: int) -> int:
        """Take an order off the book; returns its leaves."""

    def get(self, order_id: int) -> Resting:
        """The order as it rests now."""

    def __contains__(self, order_id: int) -> bool: ...

    def __len__(self) -> int: ...

    def depth(self, side: Side, max_levels: int) -> list[Level]:
        """The best levels of a side, best first."""

    def resting(self, side: Side) -> Iterator[Resting]:
        """All orders of a side in priority order: `add` in this order makes an equal book."""
