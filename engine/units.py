"""Units of the market and their text at the edge (rulebook §2).

Inside: price in ticks of $0.0001 per GPU-hour, money in micro-dollars, time in nanoseconds since the epoch, quantity in
GPUs. Outside: decimal strings. This room knows the conversions and the arithmetic of a charge, and nothing of orders,
accounts or leases.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MICROS_PER_TICK: Final = 100
TICKS_PER_USD: Final = 10_000
MICROS_PER_USD: Final = 1_000_000
NS_PER_US: Final = 1_000
NS_PER_S: Final = 1_000_000_000
S_PER_HOUR: Final = 3_600
NS_PER_HOUR: Final = S_PER_HOUR * NS_PER_S
NS_PER_DAY: Final = 24 * NS_PER_HOUR
PPM: Final = 1_000_000

PRICE_MIN_TICKS: Final = 1
PRICE_MAX_TICKS: Final = 10_000_000
QUANTITY_MAX: Final = 100_000
RATING_MAX: Final = 100
RATING_NEW: Final = 70
"""What a new Baron's rating starts at (§10)."""
AMOUNT_MAX_MICROS: Final = 10**17
"""No single deposit, and no account's sum of pots, is above this; larger products still fit int64."""
INT64_MAX: Final = 2**63 - 1
TIME_MAX_NS: Final = 2**62
"""No command comes later (a day in February 2116): what is reckoned ahead of it, a month's end or a term's, fits int64 too."""
NUMBER_MAX: Final = 2**32 - 1
"""The registry's numbers of accounts and Barons: what the order book's records hold."""

PRICE_PATTERN: Final = r"(0|[1-9][0-9]{0,3})(?:\.([0-9]{1,4}))?"
MONEY_PATTERN: Final = r"(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,6}))?"
"""The text forms, not anchored, also for schemas; a price's or an amount's range is checked beyond them."""
_PRICE = re.compile(PRICE_PATTERN + r"\Z", re.ASCII)
_MONEY = re.compile(MONEY_PATTERN + r"\Z", re.ASCII)


def parse_price(text: str) -> int:
    """Ticks of a decimal string such as "2.1050"; ValueError when it is off the grid or out of 1..10,000,000 ticks."""
    ticks = _parse_decimal(_PRICE, text, 4)
    if not PRICE_MIN_TICKS <= ticks <= PRICE_MAX_TICKS:
        raise ValueError("a price is from 0.0001 to 1000.0000 dollars per GPU-hour")
    return ticks


def format_price(price_ticks: int) -> str:
    """Decimal string with four places of a price in ticks (not negative)."""
    return f"{price_ticks // TICKS_PER_USD}.{price_ticks % TICKS_PER_USD:04d}"


def parse_money(text: str) -> int:
    """Micro-dollars of a decimal string such as "10.50"; ValueError when it has more than six places or is too large."""
    amount = _parse_decimal(_MONEY, text, 6)
    if amount > AMOUNT_MAX_MICROS:
        raise ValueError("an amount is at most 100000000000 dollars")
    return amount


def format_money(amount_micros: int) -> str:
    """Decimal string with six places of an amount in micro-dollars; a negative one begins with '-'."""
    sign = "-" if amount_micros < 0 else ""
    whole, part = divmod(abs(amount_micros), MICROS_PER_USD)
    return f"{sign}{whole}.{part:06d}"


def usage_micros(price_ticks: int, quantity: int, duration_ns: int) -> int:
    """Charge for `quantity` GPUs at `price_ticks` over `duration_ns`, in micro-dollars, rounded down (§2)."""
    return price_ticks * MICROS_PER_TICK * quantity * duration_ns // NS_PER_HOUR


def usage_micros_up(price_ticks: int, quantity: int, duration_ns: int) -> int:
    """The same, rounded up: what a hold or a prefund needs (§2, §9)."""
    return -(-price_ticks * MICROS_PER_TICK * quantity * duration_ns // NS_PER_HOUR)


def tick_ns(price_ticks: int, prices: Sequence[tuple[int, int]], from_ns: int, until_ns: int) -> int:
    """Ticks times nanoseconds of a time in which the price changes, exact; `usage_micros` of 1 tick makes money of it.

    prices: (from_ns, price_ticks) in order, the first for all that was before it as well; empty: price_ticks throughout.
    """
    if not prices:
        return price_ticks * (until_ns - from_ns)
    total, begins_ns = 0, from_ns
    for index, (_, ticks) in enumerate(prices):
        ends_ns = min(prices[index + 1][0], until_ns) if index + 1 < len(prices) else until_ns
        if ends_ns > begins_ns:
            total += ticks * (ends_ns - begins_ns)
            begins_ns = ends_ns
    return total


def fee_micros(usage: int, fee_ppm: int) -> int:
    """Fee on an amount in micro-dollars at a rate in parts per million, rounded down."""
    return usage * fee_ppm // PPM


def fee_micros_up(usage: int, fee_ppm: int) -> int:
    """The same, rounded up: what a hold or a prefund needs."""
    return -(-usage * fee_ppm // PPM)


def _parse_decimal(pattern: re.Pattern[str], text: str, places: int) -> int:
    match = pattern.match(text)
    if match is None:
        raise ValueError(f"a plain decimal with at most {places} places")
    return int(match[1]) * int(10**places) + int((match[2] or "").ljust(places, "0"))
