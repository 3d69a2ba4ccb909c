"""The bare book: limit orders alone, in sortedcontainers, as a good Python programmer would write it in an afternoon.

It is the measure for the project's books: it has none of their features, so none of theirs make it slow. It knows price-time
priority; it knows no accounts, no types of orders and no records.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from sortedcontainers import SortedList

Fill = tuple[int, int, int, int]
"""Maker, taker, price, quantity."""

SIDE, PRICE, QUANTITY = 0, 1, 2
Order = list[int]
BUY: Final = 0
SELL: Final = 1


class BareBook:
    """Both sides of one book. A buy's prices are kept negative, so that the best is the first on either side."""

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self.prices: tuple[SortedList[int], SortedList[int]] = (SortedList(), SortedList())
        self.levels: tuple[dict[int, OrderedDict[int, Order]], dict[int, OrderedDict[int, Order]]] = ({}, {})

    def limit(self, order_id: int, side: int, price: int, quantity: int) -> None:
        """A limit order: trades what it can and rests with what is left."""
        left = self._take(order_id, side, price, quantity)
        if left:
            self._rest(order_id, [side, price, left])

    def ioc(self, order_id: int, side: int, price: int, quantity: int) -> None:
        """The same, but nothing rests."""
        self._take(order_id, side, price, quantity)

    def cancel(self, order_id: int) -> None:
        """Take a live order out."""
        order = self.orders.pop(order_id)
        self._leave(order_id, order)

    def amend(self, order_id: int, price: int) -> None:
        """Move a live order to the back of another price; it trades on its way what it can."""
        order = self.orders.pop(order_id)
        self._leave(order_id, order)
        self.limit(order_id, order[SIDE], price, order[QUANTITY])

    def _rest(self, order_id: int, order: Order) -> None:
        side, price, _ = order
        self.orders[order_id] = order
        key = price if side else -price
        level = self.levels[side].get(key)
        if level is None:
            level = self.levels[side][key] = OrderedDict()
            self.prices[side].add(key)
        level[order_id] = order

    def _leave(self, order_id: int, order: Order) -> None:
        side, price, _ = order
        key = price if side else -price
        level = self.levels[side][key]
        del level[order_id]
        if not level:
            del self.levels[side][key]
            self.prices[side].remove(key)

    def _take(self, taker: int, side: int, price: int, quantity: int) -> int:
        """Trade up to the limit; what is left."""
        other = 1 - side
        prices, levels = self.prices[other], self.levels[other]
        limit = price if other else -price
        while quantity and prices:
            key = prices[0]
            if key > limit:
                break
            level = levels[key]
            while quantity and level:
                maker, order = next(iter(level.items()))
                traded = min(quantity, order[QUANTITY])
                quantity -= traded
                order[QUANTITY] -= traded
                self.fills.append((maker, taker, order[PRICE], traded))
                if not order[QUANTITY]:
                    del level[maker]
                    del self.orders[maker]
            if not level:
                del levels[key]
                del prices[0]
        return quantity


Call = tuple[Callable[..., None], tuple[int, ...]]
