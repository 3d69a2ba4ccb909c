"""The stops that wait: which of them a trade triggers, and which fires first. It never knows what firing does.

Order of entry rules everything (docs/book.md, "Stops"); an amended stop counts as entered then.
"""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedDict

from engine.kinds import Side


class Stops:
    """Ids of armed stops, by entry, and those that haven't been triggered by stop price, nearest first."""

    def __init__(self) -> None:
        self._last_entry = 0
        self._entry_of: dict[int, int] = {}
        self._all: SortedDict[int, int] = SortedDict()
        self._triggered: SortedDict[int, int] = SortedDict()
        self._waiting: dict[Side, SortedDict[tuple[int, int], int]] = {side: SortedDict() for side in Side}

    def add(self, order_id: int, side: Side, stop_price: int, triggered: bool) -> None:
        """A stop enters, at the end."""
        self._last_entry += 1
        entry = self._entry_of[order_id] = self._last_entry
        self._all[entry] = order_id
        if triggered:
            self._triggered[entry] = order_id
        else:
            self._waiting[side][_distance(side, stop_price), entry] = order_id

    def remove(self, order_id: int, side: Side, stop_price: int) -> None:
        """A stop leaves: it fires or is cancelled."""
        entry = self._entry_of.pop(order_id)
        del self._all[entry]
        if self._triggered.pop(entry, None) is None:
            del self._waiting[side][_distance(side, stop_price), entry]

    def trigger(self, price: int) -> list[int]:
        """Ids of the stops that a trade at this price triggers: they are from now on."""
        triggered = []
        for side, waiting in self._waiting.items():
            while waiting and waiting.peekitem(0)[0][0] <= _distance(side, price):
                (_, entry), order_id = waiting.popitem(0)
                self._triggered[entry] = order_id
                triggered.append(order_id)
        return triggered

    def first_triggered(self) -> int:
        """Id of the one that entered first; 0 when there is none."""
        return self._triggered.peekitem(0)[1] if self._triggered else 0

    def ids(self) -> Iterator[int]:
        """All of them, in order of entry."""
        return iter(self._all.values())

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._entry_of

    def __len__(self) -> int:
        return len(self._all)


def _distance(side: Side, price: int) -> int:
    """Smaller is triggered sooner: a rising price meets the lowest buy stop first, a falling one the highest sell stop."""
    return price if side is Side.BUY else -price


def reaches(side: Side, stop_price: int, price: int) -> bool:
    """Whether a trade triggers a stop: a buy at its price or above, a sell at or below."""
    return _distance(side, stop_price) <= _distance(side, price)
