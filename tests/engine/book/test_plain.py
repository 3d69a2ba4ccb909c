"""The plain book's pure rules against the law said again by brute force: where an auction clears, and what the band is."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from engine.book import Indicative
from engine.book_plain_auction import clearing
from engine.book_plain_reference import outside_band
from engine.book_plain_stops import Stops, reaches
from engine.kinds import Side

PRICE_MAX = 30
totals = st.dictionaries(st.integers(1, PRICE_MAX), st.integers(1, 9), max_size=7)


def by_brute_force(bids: dict[int, int], asks: dict[int, int], reference: int) -> Indicative | None:
    """Every tick, as docs/book.md says it."""

    def demand(tick: int) -> int:
        return sum(quantity for price, quantity in bids.items() if price >= tick)

    def supply(tick: int) -> int:
        return sum(quantity for price, quantity in asks.items() if price <= tick)

    ticks = range(1, PRICE_MAX + 1)
    volume = max(min(demand(tick), supply(tick)) for tick in ticks)
    if volume == 0:
        return None
    most = [tick for tick in ticks if min(demand(tick), supply(tick)) == volume]
    surplus = min(abs(demand(tick) - supply(tick)) for tick in most)
    tied = [tick for tick in most if abs(demand(tick) - supply(tick)) == surplus]
    nearest = min(tied, key=lambda tick: (abs(tick - reference), tick))
    price = nearest if reference else (tied[0] + tied[-1]) // 2
    excess = demand(price) - supply(price)
    side = 0 if excess == 0 else Side.BUY if excess > 0 else Side.SELL
    return Indicative(price, volume, surplus, side)


@given(bids=totals, asks=totals, reference=st.integers(0, PRICE_MAX))
def test_an_auction_clears_where_every_tick_says(bids: dict[int, int], asks: dict[int, int], reference: int) -> None:
    assert clearing(bids, asks, reference) == by_brute_force(bids, asks, reference)


@given(
    price=st.integers(1, 10_000_000),
    trades=st.lists(st.tuples(st.integers(1, 10_000_000), st.integers(1, 100_000)), max_size=4),
    band_ppm=st.integers(0, 1_000_000),
)
def test_the_band_is_what_fractions_say(price: int, trades: list[tuple[int, int]], band_ppm: int) -> None:
    value, volume = sum(at * quantity for at, quantity in trades), sum(quantity for _, quantity in trades)
    if not trades or not band_ppm:
        assert not outside_band(price, (value, volume), band_ppm)
        return
    reference = Fraction(value, volume)
    outside = abs(price - reference) > reference * Fraction(band_ppm, 1_000_000)
    assert outside_band(price, (value, volume), band_ppm) == outside


stop_orders = st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 9)), max_size=12)


@given(entered=stop_orders, trades=st.lists(st.integers(1, 9), max_size=4), gone=st.sets(st.integers(1, 12)))
def test_a_trade_triggers_the_stops_that_it_reaches(
    entered: list[tuple[Side, int]], trades: list[int], gone: set[int]
) -> None:
    stops = Stops()
    for order_id, (side, stop_price) in enumerate(entered, 1):
        stops.add(order_id, side, stop_price, triggered=False)
    triggered: list[int] = []
    for price in trades:
        triggered += stops.trigger(price)
    assert len(triggered) == len(set(triggered))
    assert set(triggered) == {
        order_id
        for order_id, (side, stop_price) in enumerate(entered, 1)
        if any(reaches(side, stop_price, price) for price in trades)
    }
    for order_id in gone & set(range(1, len(entered) + 1)):
        stops.remove(order_id, *entered[order_id - 1])
    left = [order_id for order_id in range(1, len(entered) + 1) if order_id not in gone]
    assert list(stops.ids()) == left
    assert stops.first_triggered() == next((order_id for order_id in left if order_id in triggered), 0)
