"""The plain book's live orders: those at rest in their queues, those armed among the stops; depth is their sum.

Every change of an order passes here, so that counts, deltas and queues can't disagree. It knows no reason why an order
comes, changes or goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from operator import index

from msgspec.structs import replace

from engine.book import BookLimits, Level, RestingOrder
from engine.book_plain_doors import Doors, alone, id_of
from engine.book_plain_ladder import Ladder, Queue
from engine.book_plain_orders import conditional, displayed, is_stop
from engine.book_plain_stops import Stops
from engine.kinds import Side


class Queues(Doors):
    """Live orders by id, their queues by side and price."""

    def __init__(self, limits: BookLimits) -> None:
        super().__init__()
        self._limits = limits
        self._orders: dict[int, RestingOrder] = {}
        self._ladders = {side: self._new_ladder(side) for side in Side}
        self._stops = Stops()
        self._conditional_of: Counter[int] = Counter()
        """By account: live conditional orders, armed ones included."""
        self._conditional_at: Counter[Side] = Counter()
        """By side: conditional orders at rest."""
        self._unconditional_of: Counter[tuple[Side, int]] = Counter()
        """By side and account: unconditional orders at rest."""

    def _new_ladder(self, side: Side) -> Ladder:
        return Ladder(side)

    # ------------------------------------------------------------ questions

    @alone
    def get(self, order_id: int) -> RestingOrder:
        """A live order, armed stops included; KeyError when it isn't there."""
        order = self._orders.get(id_of(order_id))
        if order is None:
            raise KeyError(order_id)
        return order

    @alone
    def __contains__(self, order_id: int) -> bool:
        return id_of(order_id) in self._orders

    @alone
    def __len__(self) -> int:
        """Live orders, armed stops included."""
        return len(self._orders)

    def depth(self, side: Side, max_levels: int) -> list[Level]:
        """The best levels of a side, best first."""
        return self._depth(side, index(max_levels))

    @alone
    def _depth(self, side: Side, max_levels: int) -> list[Level]:
        return [self._totals(price, queue) for price, queue in self._ladders[side].best(max_levels)]

    def resting(self, side: Side, max_orders: int | None = None) -> Iterator[RestingOrder]:
        """The orders at rest of a side, in priority order; all of them, or the first so many."""
        return self._resting(side, None if max_orders is None else max(index(max_orders), 0))

    @alone
    def _resting(self, side: Side, most: int | None) -> Iterator[RestingOrder]:
        return iter(self._queue(side, most))

    def _queue(self, side: Side, most: int | None = None) -> list[RestingOrder]:
        return [self._orders[order_id] for order_id in islice(self._ladders[side].ids(), most)]

    def _level(self, side: Side, price: int) -> Level:
        return self._totals(price, self._ladders[side].queue(price))

    def _totals(self, price: int, queue: Queue) -> Level:
        unconditional = choosy = 0
        for order_id in queue:
            order = self._orders[order_id]
            if conditional(order):
                choosy += order.shown
            else:
                unconditional += order.shown
        return Level(price, unconditional, choosy, len(queue))

    # ------------------------------------------------------------ at rest

    def _rest(self, order: RestingOrder) -> None:
        """An order comes to rest at the back of its level, showing what it shows."""
        self._keep(order)
        self._count(order, 1)
        self._ladders[order.side].add(order.price, order.order_id)
        self._touch(order.side, order.price)

    def _unrest(self, order: RestingOrder) -> None:
        """An order at rest leaves its level."""
        self._forget(order)
        self._count(order, -1)
        self._ladders[order.side].remove(order.price, order.order_id)
        self._touch(order.side, order.price)

    def _count(self, order: RestingOrder, more: int) -> None:
        """There is one order more at rest, or less."""
        if conditional(order):
            self._conditional_at[order.side] += more
        else:
            self._unconditional_of[order.side, order.account] += more

    def _change(self, order: RestingOrder) -> None:
        """A live order becomes this one, in its place; its price is what it was."""
        if order.shown != self._orders[order.order_id].shown and order.order_id not in self._stops:
            self._touch(order.side, order.price)
        self._orders[order.order_id] = order

    def _refill(self, order: RestingOrder) -> RestingOrder:
        """An iceberg shows its next slice, at the back of its level."""
        refilled = replace(order, shown=displayed(order))
        self._unrest(order)
        self._rest(refilled)
        return refilled

    # ------------------------------------------------------------ stops

    def _arm(self, order: RestingOrder) -> None:
        """A stop waits, at the end of the stops."""
        self._keep(order)
        self._stops.add(order.order_id, order.side, order.stop_price, order.triggered)

    def _disarm(self, order: RestingOrder) -> None:
        """A stop waits no longer."""
        self._forget(order)
        self._stops.remove(order.order_id, order.side, order.stop_price)

    def _trigger(self, price: int) -> None:
        """A trade at this price triggers the stops that it reaches."""
        for order_id in self._stops.trigger(price):
            self._orders[order_id] = replace(self._orders[order_id], triggered=True)

    # ------------------------------------------------------------ both

    def _leave(self, order: RestingOrder) -> None:
        """A live order leaves, from wherever it is."""
        if is_stop(order):
            self._disarm(order)
        else:
            self._unrest(order)

    def _keep(self, order: RestingOrder) -> None:
        self._orders[order.order_id] = order
        self._conditional_of[order.account] += conditional(order)

    def _forget(self, order: RestingOrder) -> None:
        del self._orders[order.order_id]
        self._conditional_of[order.account] -= conditional(order)

    def _all(self) -> list[RestingOrder]:
        """Every live order: bids and asks in priority order, then stops in order of entry."""
        ids = [*self._ladders[Side.BUY].ids(), *self._ladders[Side.SELL].ids(), *self._stops.ids()]
        return [self._orders[order_id] for order_id in ids]
