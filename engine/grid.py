"""The hour grid: what one account has of one Baron, hour by hour (rulebook §4).

Three counts of GPUs an hour: bought forward, sold firm, and reserved by open firm asks. What is verified is one number
for all hours and stands beside the grid; so free(h) = verified + bought(h) - sold(h) - reserved(h). `engine.grid_plain` is
the law in Python, `engine.grid_fast` the same compiled, where a year is booked in microseconds.

Hours are full hours since the epoch (UTC); a span is [start_h, end_h). It knows no orders, leases or time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

PAGE_HOURS: Final = 744
"""A page is 31 days; it is made when an hour of it is first touched."""
PAGES_MAX: Final = 64
"""Pages that a grid may span at once: more than five years, where the last period listed ends within three."""
COUNT_MAX: Final = 2**28
"""No count of an hour is above this: sums of a few, and of what is noted apart for whole pages, stay in 32 bits."""
HOUR_MAX: Final = 2**32 - 1


class Hour(NamedTuple):
    """GPUs in one hour."""

    bought: int
    sold: int
    reserved: int


class Run(NamedTuple):
    """Hours one after the other that have equal counts, not all zero."""

    start_h: int
    end_h: int
    bought: int
    sold: int
    reserved: int


class HourGrid(Protocol):
    """One row's hours. A span that is empty or outside 0..HOUR_MAX, or beyond PAGES_MAX pages: ValueError.

    The three `add_` methods take GPUs on to each hour of a span, or off (negative); ValueError, with nothing changed, when an
    hour would have less than 0 or more than COUNT_MAX.
    """

    def add_bought(self, start_h: int, end_h: int, quantity: int) -> None: ...

    def add_sold(self, start_h: int, end_h: int, quantity: int) -> None: ...

    def add_reserved(self, start_h: int, end_h: int, quantity: int) -> None: ...

    def least_free(self, start_h: int, end_h: int) -> int:
        """Least of bought - sold - reserved in the span: with what is verified, what a firm ask may take. May be negative."""
        ...

    def least_deliverable(self, start_h: int, end_h: int) -> int:
        """Least of bought - sold in the span. May be negative."""
        ...

    def at(self, hour: int) -> Hour:
        """The counts of an hour; zeros where nothing was touched."""
        ...

    def runs(self, from_h: int) -> list[Run]:
        """All that isn't zero from this hour on, in order, in the longest runs: equal grids give equal lists."""
        ...

    def forget(self, before_h: int) -> None:
        """Give back the pages that end at or before this hour; what they say is zero from now on."""
        ...


GridFactory = Callable[[], HourGrid]
