"""The plain order book: the written law of matching (rulebook §6), as simply as it can be said.

Each side is one sorted dict from (price rank, arrival) to the resting order, so that walking it in order is price-time
priority. The fast book must give the same answers for every sequence of calls. It never knows money, capacity or time
in force: see `engine.resting` for the contract.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from sortedcontainers import SortedDict

from engine.kinds import Side
from engine.resting import Fill, Level, Resting, Stop, Taker, Walk
from engine.units import NS_PER_HOUR

_Key = tuple[int, int]

_OPPOSITE: Final = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def _rank(side: Side, price_ticks: int) -> int:
    """Smaller is better: the lowest ask and the highest bid come first."""
    return price_ticks if side is Side.SELL else -price_ticks


def _eligible(taker: Taker, resting: Resting, now_ns: int) -> bool:
    """The bid's hours end inside the ask's fixed hours; an ask without a window meets every bid (§5)."""
    if taker.side is Side.BUY:
        hours, window_end_ns = taker.hours, resting.window_end_ns
    else:
        hours, window_end_ns = resting.hours, taker.window_end_ns
    return window_end_ns == 0 or now_ns + hours * NS_PER_HOUR <= window_end_ns


class PlainBook:
    """One instrument's resting orders; implements `engine.resting.Book`."""

    def __init__(self) -> None:
        self._sides: dict[Side, SortedDict[_Key, Resting]] = {Side.BUY: SortedDict(), Side.SELL: SortedDict()}
        self._keys: dict[int, tuple[Side, _Key]] = {}
        self._arrivals = itertools.count()

    def walk(self, taker: Taker, now_ns: int, max_looked: int) -> Walk:
        """What the taker would take now, looking at no more than `max_looked` resting orders. Changes nothing."""
        opposite = _OPPOSITE[taker.side]
        limit = _rank(opposite, taker.price_ticks)
        fills: list[Fill] = []
        leaves = taker.quantity
        looked = 0
        for (rank, _), resting in self._sides[opposite].items():
            if leaves == 0 or rank > limit:
                break
            if looked >= max_looked:
                return Walk(fills, leaves, Stop.WALK_LIMIT)
            looked += 1
            if not _eligible(taker, resting, now_ns):
                continue
            if resting.account == taker.account:
                return Walk(fills, leaves, Stop.SELF_TRADE)
            quantity = min(leaves, resting.leaves_quantity)
            fills.append(Fill(resting.order_id, resting.price_ticks, quantity))
            leaves -= quantity
        return Walk(fills, leaves, Stop.DONE)

    def best_price(self, taker: Taker, now_ns: int, max_looked: int) -> int:
        """Price of the first order of another account that the taker is eligible for, whatever its limit; 0 if none."""
        for resting in itertools.islice(self._sides[_OPPOSITE[taker.side]].values(), max_looked):
            if resting.account != taker.account and _eligible(taker, resting, now_ns):
                return resting.price_ticks
        return 0

    def add(self, order: Resting) -> None:
        """Rest an order at the back of its level; ValueError when its id rests already or it leaves nothing."""
        if order.order_id in self._keys:
            raise ValueError(f"order {order.order_id} rests already")
        if order.leaves_quantity < 1:
            raise ValueError(f"order {order.order_id} leaves {order.leaves_quantity}: nothing to rest")
        key = (_rank(order.side, order.price_ticks), next(self._arrivals))
        self._keys[order.order_id] = (order.side, key)
        self._sides[order.side][key] = order

    def reduce(self, order_id: int, quantity: int) -> int:
        """Take `quantity` (1 to its leaves) off an order in place, and off the book at zero; returns what it leaves."""
        side, key = self._keys[order_id]
        order = self._sides[side][key]
        leaves = order.leaves_quantity - quantity
        if quantity < 1 or leaves < 0:
            raise ValueError(f"order {order_id} leaves {order.leaves_quantity}: it can't be reduced by {quantity}")
        if leaves == 0:
            self.remove(order_id)
        else:
            self._sides[side][key] = order._replace(leaves_quantity=leaves)
        return leaves

    def move_window(self, order_id: int, window_end_ns: int) -> None:
        """Change an ask's window in place; its priority stays."""
        side, key = self._keys[order_id]
        self._sides[side][key] = self._sides[side][key]._replace(window_end_ns=window_end_ns)

    def remove(self, order_id: int) -> int:
        """Take an order off the book; returns its leaves."""
        side, key = self._keys.pop(order_id)
        return self._sides[side].pop(key).leaves_quantity

    def get(self, order_id: int) -> Resting:
        """The order as it rests now."""
        side, key = self._keys[order_id]
        return self._sides[side][key]

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def depth(self, side: Side, max_levels: int) -> list[Level]:
        """The best levels of a side, best first."""
        levels: list[Level] = []
        by_price = itertools.groupby(self._sides[side].values(), key=lambda order: order.price_ticks)
        for price_ticks, orders in itertools.islice(by_price, max_levels):
            unconditional = conditional = count = 0
            for order in orders:
                count += 1
                if order.hours > 1:
                    conditional += order.leaves_quantity
                else:
                    unconditional += order.leaves_quantity
            levels.append(Level(price_ticks, unconditional, conditional, count))
        return levels

    def resting(self, side: Side) -> Iterator[Resting]:
        """All orders of a side in priority order: `add` in this order makes an equal book."""
        return iter(list(self._sides[side].values()))
