"""One instrument's depth, made from orders that come, change and go: the public book (L2).

It adds up by price what orders show, and knows nothing of priority, matching or eligibility, except which orders are
conditional (rulebook §5).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec
from sortedcontainers import SortedDict

from engine.kinds import Kind, Side
from exchange.read.interface import BookView, DepthLevel, InstrumentRow, OrderRow
from exchange.read.projection import rests


class _Sum:
    """What rests at one price."""

    __slots__ = ("conditional", "orders", "unconditional")

    def __init__(self) -> None:
        self.unconditional = 0
        self.conditional = 0
        self.orders = 0


class LevelDelta(msgspec.Struct, frozen=True):
    """A price whose sums are now these; with no orders the price is gone."""

    side: Side
    level: DepthLevel


class Levels:
    """Both sides of one instrument."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._sides: dict[Side, SortedDict[int, _Sum]] = {side: SortedDict() for side in Side}

    def replace(self, changes: Iterable[tuple[OrderRow | None, OrderRow | None]]) -> list[LevelDelta]:
        """Take orders out as they were before a command and put them in as they are after it.

        Returns the levels that differ, bids first, best first: what rests only inside the command is never seen.
        """
        touched: dict[tuple[Side, int], DepthLevel] = {}
        for before, after in changes:
            for row, sign in ((before, -1), (after, 1)):
                if row is not None and rests(row):
                    touched.setdefault((row.side, row.price_ticks), self._level(row.side, row.price_ticks))
                    self._add(row, sign)
        deltas = []
        for (side, price_ticks), was in touched.items():
            level = self._level(side, price_ticks)
            if not level.orders:
                self._sides[side].pop(price_ticks, None)
            if level != was:
                deltas.append(LevelDelta(side, level))
        deltas.sort(key=lambda delta: (delta.side, -delta.level.price_ticks * _direction(delta.side)))
        return deltas

    def view(self, listed: InstrumentRow, seq: int, ts_ns: int, max_levels: int) -> BookView:
        """The best levels of both sides, best first, stamped as of a command; the rest as its instrument's row says."""
        return BookView(
            instrument=listed.instrument,
            simulated=listed.simulated,
            seq=seq,
            ts_ns=ts_ns,
            bids=self.depth(Side.BUY, max_levels),
            asks=self.depth(Side.SELL, max_levels),
            session=listed.session,
            session_until_ns=listed.session_until_ns,
        )

    def depth(self, side: Side, max_levels: int) -> list[DepthLevel]:
        prices = self._sides[side]
        best_first = prices if side is Side.SELL else reversed(prices)
        return [self._level(side, price_ticks) for price_ticks in itertools.islice(best_first, max_levels)]

    def _add(self, row: OrderRow, sign: int) -> None:
        total = self._sides[row.side].get(row.price_ticks)
        if total is None:
            total = self._sides[row.side][row.price_ticks] = _Sum()
        total.orders += sign
        if is_conditional(row, self._kind):
            total.conditional += sign * row.shown_quantity
        else:
            total.unconditional += sign * row.shown_quantity

    def _level(self, side: Side, price_ticks: int) -> DepthLevel:
        total = self._sides[side].get(price_ticks) or _Sum()
        return DepthLevel(
            price_ticks=price_ticks,
            unconditional_quantity=total.unconditional,
            conditional_quantity=total.conditional,
            orders=total.orders,
        )


def is_conditional(row: OrderRow, kind: Kind) -> bool:
    """Whether the order is choosy about its counterpart (§5); a spot bid's hours are a limit, and bind nobody."""
    term = kind is Kind.ONDEMAND and row.side is Side.BUY and row.hours > 1
    least = max(row.min_quantity, row.lot, row.min_hours) > 1
    return term or least or row.same_baron or row.features != 0 or row.min_rating != 0


def _direction(side: Side) -> int:
    return 1 if side is Side.BUY else -1
