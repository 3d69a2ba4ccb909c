"""One side's queues: which order ids wait at which price, in time order. It never knows what those orders are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sortedcontainers import SortedDict

from engine.kinds import Side

Queue = dict[int, None]
"""Order ids in time order: a dict keeps the order in which its keys came, and gives one up from anywhere."""


class Ladder:
    """Price levels of a side, best first."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._levels: SortedDict[int, Queue] = SortedDict()

    def rank(self, price: int) -> int:
        """Smaller is better: the lowest ask and the highest bid come first."""
        return price if self._side is Side.SELL else -price

    def add(self, price: int, order_id: int) -> None:
        """Put an order at the back of its level."""
        rank = self.rank(price)
        queue = self._levels.get(rank)
        if queue is None:
            queue = self._levels[rank] = {}
        queue[order_id] = None

    def remove(self, price: int, order_id: int) -> None:
        """Take an order out of its level, wherever it stands in it; a level of no orders is no level."""
        rank = self.rank(price)
        queue = self._levels[rank]
        del queue[order_id]
        if not queue:
            self.drop(rank)

    def drop(self, rank: int) -> None:
        """Forget a level that has become empty."""
        del self._levels[rank]

    def queue(self, price: int) -> Queue:
        """The ids at a price, in time order; empty where nothing rests."""
        return self._levels.get(self.rank(price), {})

    def levels(self) -> Iterator[tuple[int, Queue]]:
        """Price and queue of each level, best first; nothing may change meanwhile."""
        for rank, queue in self._levels.items():
            yield abs(rank), queue

    def inside(self, limit: int) -> Iterator[tuple[int, Queue]]:
        """The levels whose price an order of the other side with this limit would take."""
        worst = self.rank(limit)
        for rank, queue in self._levels.items():
            if rank > worst:
                return
            yield abs(rank), queue

    def ids(self) -> Iterator[int]:
        """All ids in priority order; nothing may change meanwhile."""
        for _, queue in self.levels():
            yield from queue

    def best(self, max_levels: int) -> Iterator[tuple[int, Queue]]:
        return islice(self.levels(), max(max_levels, 0))
