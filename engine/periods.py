"""Delivery periods of forwards: days, ISO weeks, months, quarters and years, and which of them are listed when (rulebook §3).

A period is a span of full hours, UTC, since the epoch; its trading ends an hour before its first. It knows the calendar,
and no instrument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from enum import IntEnum
from functools import lru_cache
from itertools import count, dropwhile, islice
from typing import Final, NamedTuple

from engine.units import NS_PER_DAY, NS_PER_HOUR

_HOURS_A_DAY: Final = 24
_EPOCH: Final = date(1970, 1, 1)
TRADING_ENDS_H: Final = 1
"""Hours before delivery at which trading in a period ends."""


class PeriodKind(IntEnum):
    DAY = 1
    WEEK = 2
    MONTH = 3
    QUARTER = 4
    YEAR = 5


LISTED: Final = {
    PeriodKind.DAY: 7,
    PeriodKind.WEEK: 4,
    PeriodKind.MONTH: 12,
    PeriodKind.QUARTER: 4,
    PeriodKind.YEAR: 2,
}
"""How many of each are open at any time."""


class Period(NamedTuple):
    """Delivery in [start_h, end_h); `name` ends the symbol, after `fwd-`."""

    kind: PeriodKind
    start_h: int
    end_h: int
    name: str

    @property
    def hours(self) -> int:
        return self.end_h - self.start_h

    @property
    def trading_end_ns(self) -> int:
        """When its trading ends."""
        return trading_end_ns(self.start_h)


def trading_end_ns(start_h: int) -> int:
    """When trading in a period ends whose delivery starts at this hour."""
    return (start_h - TRADING_ENDS_H) * NS_PER_HOUR


@lru_cache(maxsize=4)
def listed(now_ns: int) -> tuple[Period, ...]:
    """The periods that are open for trading: the first of each kind whose trading ends later, shortest kind first.

    The answer is kept: all markets of a shard ask it at one time.
    """
    today = _EPOCH + timedelta(days=now_ns // NS_PER_DAY)
    periods: list[Period] = []
    for kind, number in LISTED.items():
        open_ones = dropwhile(lambda period: period.trading_end_ns <= now_ns, _from(kind, today))
        periods += islice(open_ones, number)
    return tuple(periods)


def month_end_ns(now_ns: int) -> int:
    """When the calendar month that holds a time is over."""
    return _hour(_later_month(_EPOCH + timedelta(days=now_ns // NS_PER_DAY), 1)) * NS_PER_HOUR


def horizon_h(now_ns: int) -> int:
    """The end of the last period that is listed now: the grid's (§4)."""
    return max(period.end_h for period in listed(now_ns))


def _from(kind: PeriodKind, day: date) -> Iterator[Period]:
    """The period of this kind that holds a day, and all after it."""
    name, first, following = _RULES[kind]
    start = first(day)
    for _ in count():
        end = following(start)
        yield Period(kind, _hour(start), _hour(end), name(start))
        start = end


def _hour(day: date) -> int:
    return (day - _EPOCH).days * _HOURS_A_DAY


def _later_month(day: date, months: int) -> date:
    """The first of the month so many months after a day's."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)


def _week_name(day: date) -> str:
    iso = day.isocalendar()
    return f"{iso.year}-W{iso.week:02d}"


_Rule = tuple[Callable[[date], str], Callable[[date], date], Callable[[date], date]]
_RULES: Final[dict[PeriodKind, _Rule]] = {
    PeriodKind.DAY: (date.isoformat, lambda day: day, lambda day: day + timedelta(days=1)),
    PeriodKind.WEEK: (
        _week_name,
        lambda day: day - timedelta(days=day.weekday()),
        lambda day: day + timedelta(days=7),
    ),
    PeriodKind.MONTH: (
        lambda day: f"{day.year}-{day.month:02d}",
        lambda day: _later_month(day, 0),
        lambda day: _later_month(day, 1),
    ),
    PeriodKind.QUARTER: (
        lambda day: f"{day.year}Q{(day.month + 2) // 3}",
        lambda day: _later_month(day, -((day.month - 1) % 3)),
        lambda day: _later_month(day, 3),
    ),
    PeriodKind.YEAR: (
        lambda day: f"{day.year}",
        lambda day: date(day.year, 1, 1),
        lambda day: date(day.year + 1, 1, 1),
    ),
}
"""Of each kind: the name of one that begins on a day, the first day of the one that holds a day, and of the next."""
