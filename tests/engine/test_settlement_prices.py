"""The daily settlement price of a forward: trades of the last half-hour, else the middle, else the last (rulebook §11).

Orders reach a forward's book here without the shard's checks, where what they mean is no matter of its price.
"""

from __future__ import annotations

import pytest

from engine import settlement_prices
from engine.book_plain import PlainBook
from engine.kinds import Kind, OrderType, Side, TimeInForce
from engine.machine import Machine
from engine.messages import Event, SettlementPrice, Tick
from engine.records import Command as Entry
from engine.records import Op, SelfTrade, shape_of
from engine.units import NS_PER_DAY
from tests.engine.shard import ALICE, PAT, Shard, ask, bid, only
from tests.engine.test_listing import BARON, MINUTE, Exchange, at


def test_a_fill_in_the_last_half_hour_counts() -> None:
    shard = Shard(usd=1_000_000, providers_usd=1_000_000)
    listed_now = shard.machine.state.instruments.values()
    day = next(each for each in listed_now if each.kind is Kind.FORWARD and each.region == "here")
    shard.wait(day.trading_end_ns - shard.now_ns - 31 * MINUTE)
    for minutes, price_ticks, quantity in ((0, 30_000, 1), (2, 20_000, 2), (28, 20_005, 1)):
        shard.wait(minutes * MINUTE)
        shard.place(ask(PAT, price_ticks, quantity, day.instrument, max_hours=0))
        shard.place(bid(ALICE, price_ticks, quantity, day.instrument, hours=0))
    (price,) = only(shard.wait(MINUTE), SettlementPrice)
    assert (price.instrument, price.price_ticks, price.quantity) == (day.instrument, 20_001, 3)


def trade(exchange: Exchange, period: str, price_ticks: int, quantity: int, now: str) -> None:
    """What the shard is told of a trade in a forward."""
    exchange.now_ns = exchange.machine.state.last_ts_ns = at(now)
    settlement_prices.count(exchange.machine.state, exchange.forward(period), price_ticks, quantity)


def prices(exchange: Exchange, events: list[Event]) -> list[tuple[int, int, int]]:
    return [(event.instrument, event.price_ticks, event.quantity) for event in only(events, SettlementPrice)]


def test_a_settlement_price_weighs_the_trades_of_the_last_half_hour() -> None:
    exchange = Exchange("2026-11-23T10:00")
    month = exchange.forward("2027-01")
    trade(exchange, "2027-01", 90_000, 1_000, "2026-11-23T22:29:59")
    trade(exchange, "2027-01", 10_000, 1, "2026-11-23T22:30:00")
    trade(exchange, "2027-01", 10_001, 2, "2026-11-23T22:59:59")
    events = exchange.ticks("2026-11-23T23:00")
    (price,) = only(events, SettlementPrice)
    assert price == SettlementPrice(
        instrument=month, price_ticks=10_000, day=at("2026-11-23T00:00") // NS_PER_DAY, quantity=3
    )
    assert events[0] == price
    assert exchange.machine.state.closing_trades == {}
    trade(exchange, "2027-01", 10_000, 1, "2026-11-23T23:00:00")
    assert prices(exchange, exchange.ticks("2026-11-24T23:00")) == []


def test_trades_wait_for_the_price_of_their_own_day_and_a_sum_has_more_bits_than_a_number() -> None:
    exchange = Exchange("2026-11-23T10:00")
    month = exchange.forward("2027-01")
    exchange.now_ns = exchange.machine.state.last_ts_ns = at("2026-11-24T22:45")
    for _ in range(3):
        settlement_prices.count(exchange.machine.state, month, 2**62 + 1, 3)
    twin = Machine.restore(exchange.machine.snapshot(), PlainBook)
    assert twin.state.closing_trades == exchange.machine.state.closing_trades
    exchange.now_ns = at("2026-11-24T23:00")
    events = exchange.do(Tick())
    days = [at("2026-11-24T00:00") // NS_PER_DAY]
    assert [event.day for event in only(events, SettlementPrice)] == days
    assert prices(exchange, events) == [(month, 2**62 + 1, 9)]


@pytest.mark.parametrize(
    ("bids", "asks", "traded", "expected"),
    [
        ((20_000, 19_000), (20_005,), 15_000, 20_002),
        ((20_000,), (), 15_000, 15_000),
        ((), (20_000,), 15_000, 15_000),
        ((), (), 15_000, 15_000),
        ((20_000,), (), 0, 0),
        ((1,), (2,), 0, 1),
        ((), (), 0, 0),
    ],
)
def test_without_trades_it_is_the_middle_of_the_book_else_the_last(
    bids: tuple[int, ...], asks: tuple[int, ...], traded: int, expected: int
) -> None:
    # What is put into a book past the market has no place in a snapshot.
    exchange = Exchange("2026-11-23T10:00", twin=False)
    state, year = exchange.machine.state, exchange.forward("2028")
    book, ids = state.books[year], iter(range(1, 10))

    def put(account: int, side: Side, price_ticks: int) -> None:
        shape = shape_of(side, OrderType.LIMIT, TimeInForce.GTC, SelfTrade.CANCEL_NEWEST)
        book.submit(
            Entry(
                op=Op.NEW,
                order_id=next(ids),
                ts_ns=exchange.now_ns,
                account=account,
                price=price_ticks,
                quantity=1,
                shape=shape,
                baron=BARON if side is Side.SELL else 0,
            )
        )

    for account, side in ((1, Side.SELL), (2, Side.BUY)):
        if traded:
            put(account, side, traded)
    for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
        for price_ticks in levels:
            put(3, side, price_ticks)
    exchange.now_ns = at("2026-11-23T23:00")
    events = exchange.do(Tick())
    assert prices(exchange, events) == ([(year, expected, 0)] if expected else [])
