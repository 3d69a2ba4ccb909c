"""Forward curves as they are told: what each subscribed market's periods cost, and which of them a command changed.

Most that happens in a book happens behind its best price; a curve is told of what it shows alone.
"""

from __future__ import annotations

from engine.kinds import Kind
from exchange.gateway.ws.messages import CurvePointData
from exchange.gateway.ws.reports import point_data
from exchange.market_data.feed import Feed
from exchange.market_data.live import Update
from exchange.read.interface import CurvePoint, InstrumentRow


class Curves:
    """The curves that somebody is subscribed to, by their market's spot instrument."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._told: dict[int, dict[int, CurvePoint]] = {}
        """What was told last of each forward."""

    def begin(self, market: int) -> list[CurvePointData]:
        """The whole curve as it is now."""
        spot = self._feed.live.instrument(market)
        points = self._feed.live.curve(spot.sku, spot.region).points
        self._told[market] = {point.instrument.instrument: point for point in points}
        return [point_data(point) for point in points]

    def end(self, market: int) -> None:
        """Nobody is told of it any more."""
        self._told.pop(market, None)

    def changed(self, update: Update) -> dict[int, list[CurvePointData]]:
        """By market: the points that a command changed, in order of listing."""
        if not self._told:
            return {}
        numbers = {row.instrument for row in update.changes.instruments}
        numbers.update(trade.instrument for trade in update.changes.trades)
        numbers.update(update.levels)
        changed: dict[int, list[CurvePointData]] = {}
        for number in sorted(numbers):
            row = self._feed.live.instrument(number)
            if row.kind is Kind.FORWARD:
                self._look(row, changed)
        return changed

    def _look(self, row: InstrumentRow, changed: dict[int, list[CurvePointData]]) -> None:
        market = self._feed.live.market(row.sku, row.region)
        told = self._told.get(market)
        if told is None:
            return
        point = self._feed.live.point(row)
        if told.get(row.instrument) != point:
            told[row.instrument] = point
            changed.setdefault(market, []).append(point_data(point))
        if not row.listed:
            told.pop(row.instrument, None)
