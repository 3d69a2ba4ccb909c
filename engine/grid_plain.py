"""The hour grid as the law says it: a table of hours (rulebook §4). See `engine.grid`, whose protocol this is."""

from __future__ import annotations

from itertools import groupby

from engine.grid import COUNT_MAX, HOUR_MAX, PAGE_HOURS, PAGES_MAX, Hour, Run

_NOTHING = Hour(0, 0, 0)


class PlainGrid:
    """Every touched hour by its number."""

    def __init__(self) -> None:
        self._hours: dict[int, Hour] = {}
        self._pages: set[int] = set()

    def add_bought(self, start_h: int, end_h: int, quantity: int) -> None:
        self._add(start_h, end_h, Hour(quantity, 0, 0))

    def add_sold(self, start_h: int, end_h: int, quantity: int) -> None:
        self._add(start_h, end_h, Hour(0, quantity, 0))

    def add_reserved(self, start_h: int, end_h: int, quantity: int) -> None:
        self._add(start_h, end_h, Hour(0, 0, quantity))

    def least_free(self, start_h: int, end_h: int) -> int:
        _check(start_h, end_h)
        return min(hour.bought - hour.sold - hour.reserved for hour in map(self.at, range(start_h, end_h)))

    def least_deliverable(self, start_h: int, end_h: int) -> int:
        _check(start_h, end_h)
        return min(hour.bought - hour.sold for hour in map(self.at, range(start_h, end_h)))

    def at(self, hour: int) -> Hour:
        return self._hours.get(hour, _NOTHING)

    def runs(self, from_h: int) -> list[Run]:
        touched = sorted(item for item in self._hours.items() if item[0] >= from_h and item[1] != _NOTHING)
        # Hours that follow one another have one difference between place and number.
        runs = groupby(enumerate(touched), key=lambda item: (item[1][0] - item[0], item[1][1]))
        return [_run([hour for _, (hour, _) in group], counts) for (_, counts), group in runs]

    def forget(self, before_h: int) -> None:
        gone = {page for page in self._pages if (page + 1) * PAGE_HOURS <= before_h}
        if gone:
            self._pages -= gone
            self._hours = {hour: counts for hour, counts in self._hours.items() if hour // PAGE_HOURS not in gone}

    def _add(self, start_h: int, end_h: int, change: Hour) -> None:
        _check(start_h, end_h)
        pages = self._pages | set(range(start_h // PAGE_HOURS, (end_h - 1) // PAGE_HOURS + 1))
        if max(pages) - min(pages) >= PAGES_MAX:
            raise ValueError(f"a grid spans at most {PAGES_MAX} pages of {PAGE_HOURS} hours")
        changed = {
            hour: Hour(*(have + more for have, more in zip(self.at(hour), change, strict=True)))
            for hour in range(start_h, end_h)
        }
        if not all(0 <= count <= COUNT_MAX for counts in changed.values() for count in counts):
            raise ValueError("an hour would have less than nothing, or too much")
        self._pages = pages
        self._hours.update(changed)


def _check(start_h: int, end_h: int) -> None:
    if not 0 <= start_h < end_h <= HOUR_MAX:
        raise ValueError(f"[{start_h}, {end_h}) is no span of hours")
    if end_h - start_h > PAGES_MAX * PAGE_HOURS:
        raise ValueError(f"a grid spans at most {PAGES_MAX} pages of {PAGE_HOURS} hours")


def _run(hours: list[int], counts: Hour) -> Run:
    return Run(hours[0], hours[-1] + 1, *counts)
