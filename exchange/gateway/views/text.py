"""Public text of times, cursors and prices that may be missing; and the base of all answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from engine.ids import format_id, parse_id
from engine.kinds import Feature
from engine.units import NS_PER_US, format_price
from exchange.gateway.errors import Problem

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = "cur"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all answers."""


def format_time(ts_ns: int) -> str:
    """RFC 3339, UTC, to the microsecond."""
    moment = _EPOCH + timedelta(microseconds=ts_ns // NS_PER_US)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def format_time_if(ts_ns: int) -> str | None:
    """The same, null for 0: it hasn't come, or there is none."""
    return format_time(ts_ns) if ts_ns else None


def format_date_if(day: int) -> str | None:
    """The date that is so many days after the epoch; null for 0."""
    return (_EPOCH + timedelta(days=day)).date().isoformat() if day else None


def format_price_if(price_ticks: int) -> str | None:
    return format_price(price_ticks) if price_ticks else None


def features_out(bits: int) -> list[str]:
    """The names of features, of a Baron's or a bid's bits."""
    return [str(feature.name).lower() for feature in Feature if bits & feature]


def next_cursor(numbers: list[int], limit: int) -> str | None:
    """The cursor after a page of rows with these numbers; null when the page wasn't full."""
    return format_id(_CURSOR, numbers[-1]) if len(numbers) == limit else None


def parse_cursor(cursor: str) -> int:
    """The number before which a page begins; 0 without a cursor; Problem invalid_parameter."""
    if not cursor:
        return 0
    try:
        return parse_id(_CURSOR, cursor)
    except ValueError as error:
        raise Problem("invalid_parameter", "The cursor isn't one that a list gave", field="cursor") from error
