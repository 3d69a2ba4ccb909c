"""At which price an auction clears (rulebook §6; docs/book.md, "Clearing"). It knows totals by price and no order."""

from __future__ import annotations

from collections.abc import Mapping

from engine.book import Indicative
from engine.kinds import Side


def clearing(bids: Mapping[int, int], asks: Mapping[int, int], reference: int) -> Indicative | None:
    """The price with the most volume, the least surplus, nearest to the reference (0: middle of the tied range).

    bids, asks: GPUs wanted and offered by price, those at least that can meet. None when nothing crosses.
    """
    if not bids or not asks or max(bids) < min(asks):
        return None
    lowest, highest = min(asks), max(bids)
    # Demand falls just above a bid and supply rises at an ask: between two such ticks nothing differs.
    steps = {lowest, *asks, *(price + 1 for price in bids)}
    starts = sorted(price for price in steps if lowest <= price <= highest)
    ends = [start - 1 for start in starts[1:]] + [highest]

    demand = sum(quantity for price, quantity in bids.items() if price >= lowest)
    supply = 0
    ranges = []
    for start, end in zip(starts, ends, strict=True):
        supply += asks.get(start, 0)
        demand -= bids.get(start - 1, 0) if start > lowest else 0
        ranges.append((-min(demand, supply), abs(demand - supply), start, end, demand - supply))

    volume, surplus, *_ = min(ranges)
    tied = [best for best in ranges if best[:2] == (volume, surplus)]
    first, last = tied[0][2], tied[-1][3]
    price = _within(first, last, reference)
    excess = next(best[4] for best in tied if best[2] <= price <= best[3])
    side = 0 if excess == 0 else Side.BUY if excess > 0 else Side.SELL
    return Indicative(price, -volume, surplus, side)


def _within(first: int, last: int, reference: int) -> int:
    """The tick of first..last that is nearest to the reference; without one the middle, rounded down."""
    if reference == 0:
        return (first + last) // 2
    return min(max(reference, first), last)
