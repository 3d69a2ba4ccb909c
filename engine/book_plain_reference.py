"""What has traded at which price: the last price, an hour of minutes, the last auction; from them the reference (§6).

It never knows orders. Times are nanoseconds since the epoch, prices ticks.
"""

from __future__ import annotations

from typing import Final

from engine.units import NS_PER_HOUR, NS_PER_S, PPM

NS_PER_MINUTE: Final = 60 * NS_PER_S
MINUTES: Final = 60
NO_REFERENCE: Final = (0, 0)


class Reference:
    """The trades that the band is reckoned from."""

    def __init__(self) -> None:
        self.last_price = 0
        self.auction_price = 0
        self.auction_end_ns = 0
        self.minutes: dict[int, tuple[int, int]] = {}
        """By minute since the epoch: sum of price x quantity, sum of quantity."""

    def trade(self, now_ns: int, price: int, quantity: int) -> None:
        """A trade of `continuous` counts in its minute; what is older than an hour goes."""
        self.last_price = price
        minute = now_ns // NS_PER_MINUTE
        value, volume = self.minutes.get(minute, (0, 0))
        self.minutes[minute] = (value + price * quantity, volume + quantity)
        while min(self.minutes) <= minute - MINUTES:
            del self.minutes[min(self.minutes)]

    def auction_price_at(self, now_ns: int) -> int:
        """The last auction's price while it is the reference; else 0."""
        return self.auction_price if now_ns < self.auction_end_ns + NS_PER_HOUR else 0

    def at(self, now_ns: int) -> tuple[int, int]:
        """The reference as (sum of price x quantity, quantity)."""
        auction_price = self.auction_price_at(now_ns)
        if auction_price:
            return auction_price, 1
        first = now_ns // NS_PER_MINUTE - MINUTES + 1
        recent = [total for minute, total in self.minutes.items() if minute >= first]
        if recent:
            return sum(value for value, _ in recent), sum(volume for _, volume in recent)
        return (self.last_price, 1) if self.last_price else NO_REFERENCE


def rounded(reference: tuple[int, int]) -> int:
    """The reference in ticks, rounded down; 0 for none."""
    value, volume = reference
    return value // volume if volume else 0


def outside_band(price: int, reference: tuple[int, int], band_ppm: int) -> bool:
    """Whether a trade at this price is further from the reference than the band lets it be."""
    value, volume = reference
    if not volume or not band_ppm:
        return False
    return abs(price * volume - value) * PPM > band_ppm * value
