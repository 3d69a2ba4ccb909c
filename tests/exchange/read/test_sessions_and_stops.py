"""What the read models keep of stops, icebergs, auctions and features: case by case, from the database."""

from __future__ import annotations

from pathlib import Path
from random import Random

from engine.kinds import Feature, OrderStatus, OrderType, Presence, Side, TimeInForce
from engine.messages import (
    Quote,
    SetAccountLimits,
    SetDrain,
    SetFeatures,
    SetPresence,
    SetQuotes,
    SetRating,
    SetSession,
)
from engine.reasons import Reason
from engine.records import SelfTrade, Session
from engine.units import NS_PER_HOUR
from exchange.read.interface import InstrumentRow, OrderRow
from exchange.read.model import ReadModel, connect
from exchange.read.queries import Queries
from tests.exchange.market_data.chance import TIGHT, run
from tests.exchange.market_data.commands import PROVIDERS, RENTERS, Exchange, ask, bid, opened

FIRST, SECOND, _ = RENTERS
SPOT, ONDEMAND = 1, 2


class Read:
    """The read models of an exchange as it is, asked once."""

    def __init__(self, exchange: Exchange, folder: Path) -> None:
        model = ReadModel.open(folder / f"{exchange.seq}.db")
        model.apply(exchange.replies)
        model.close()
        self.queries = Queries(connect(model.path, read_only=True))

    def order(self, order_id: int) -> OrderRow:
        row = self.queries.order(order_id)
        assert row is not None
        return row

    def instrument(self, instrument: int) -> InstrumentRow:
        return next(row for row in self.queries.instruments() if row.instrument == instrument)


def test_a_closed_order_s_status_is_the_engines(tmp_path: Path) -> None:
    """The engine remembers how each order ended; the rows say the same, with the reason."""
    exchange = opened(TIGHT)
    for _ in run(exchange, Random(11), 800):
        pass
    read = Read(exchange, tmp_path)
    met = set()
    for account in exchange.machine.state.accounts.values():
        for order_id, status in account.closed_orders.items():
            assert read.order(order_id).status is status
            met.add(status)
    assert met == {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED}
    everybody = (*PROVIDERS.values(), *RENTERS)
    live = {row.order_id for account in everybody for row in read.queries.orders(account, True, 0, 200)}
    assert live == set(exchange.machine.state.orders)


def test_all_terms_of_an_order_are_kept(tmp_path: Path) -> None:
    exchange = opened()
    expire_ns = exchange.ts_ns + 5 * NS_PER_HOUR
    exchange.apply(
        bid(
            FIRST,
            ONDEMAND,
            20_000,
            10,
            hours=3,
            time_in_force=TimeInForce.GTD,
            expire_ns=expire_ns,
            display_quantity=4,
            min_quantity=2,
            features=Feature.NVLINK | Feature.SECURE,
            min_rating=65,
            self_trade=SelfTrade.CANCEL_OLDEST,
            tag="desk",
        )
    )
    exchange.apply(ask(ONDEMAND, 21_000, 8, lot=2, min_hours=2))
    exchange.apply(bid(FIRST, SPOT, 20_000, 3, same_baron=True, time_in_force=TimeInForce.DAY))
    read = Read(exchange, tmp_path)
    first, second, third = (read.order(order_id) for order_id in exchange.orders)
    assert (first.time_in_force, first.expire_ns, first.tag) == (TimeInForce.GTD, expire_ns, "desk")
    assert (first.display_quantity, first.min_quantity, first.shown_quantity) == (4, 2, 4)
    assert (first.features, first.self_trade) == (Feature.NVLINK | Feature.SECURE, SelfTrade.CANCEL_OLDEST)
    assert (first.min_rating, second.min_rating) == (65, 0)
    assert (second.lot, second.min_hours) == (2, 2)
    assert third.same_baron
    midnight_ns = third.expire_ns
    assert midnight_ns % (24 * NS_PER_HOUR) == 0
    assert 0 < midnight_ns - third.created_ns <= 24 * NS_PER_HOUR


def test_a_quote_says_its_set(tmp_path: Path) -> None:
    exchange = opened()
    quotes = (Quote(instrument=SPOT, side=Side.SELL, price_ticks=20_000, quantity=2, baron=1),)
    exchange.apply(SetQuotes(account=PROVIDERS[1], name="mine", quotes=quotes))
    assert Read(exchange, tmp_path).order(exchange.orders[0]).quote_set == "mine"


def test_a_stop_waits_unseen_and_then_is_in_the_book(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(ask(SPOT, 20_000, 1))
    stop = exchange.apply(bid(FIRST, SPOT, 19_990, 2, order_type=OrderType.STOP_LIMIT, stop_price_ticks=20_000)).events[
        0
    ]
    armed = Read(exchange, tmp_path).order(exchange.orders[1])
    assert armed.order_id == stop.order_id  # type: ignore[union-attr]
    assert (armed.armed, armed.shown_quantity, armed.triggered_ns, armed.status) == (True, 0, 0, OrderStatus.NEW)
    assert (armed.stop_price_ticks, armed.leaves_quantity) == (20_000, 2)
    trade_ns = exchange.apply(bid(SECOND, SPOT, 20_000, 1)).ts_ns
    fired = Read(exchange, tmp_path).order(exchange.orders[1])
    assert (fired.armed, fired.shown_quantity, fired.triggered_ns, fired.status) == (
        False,
        2,
        trade_ns,
        OrderStatus.NEW,
    )
    assert fired.order_type is OrderType.STOP_LIMIT


def test_an_iceberg_shows_its_slices(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(ask(SPOT, 20_000, 8, display_quantity=3))
    shown = []
    for quantity in (2, 1, 1, 4):
        exchange.apply(bid(FIRST, SPOT, 20_000, quantity))
        row = Read(exchange, tmp_path).order(exchange.orders[0])
        shown.append((row.shown_quantity, row.leaves_quantity))
    assert shown == [(1, 6), (3, 5), (2, 4), (0, 0)]


def test_an_auction_s_result_and_its_trades_are_marked(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(ask(SPOT, 20_000, 1))
    exchange.apply(bid(FIRST, SPOT, 20_000, 1))
    exchange.apply(SetSession(instrument=SPOT, session=Session.AUCTION))
    exchange.apply(ask(SPOT, 19_000, 3))
    exchange.apply(bid(FIRST, SPOT, 20_500, 5))
    before = Read(exchange, tmp_path).instrument(SPOT)
    assert (before.session, before.session_reason, before.session_until_ns) == (Session.AUCTION, Reason.NONE, 0)
    assert (before.reference_ticks, before.auction_ns) == (20_000, 0)
    cleared_ns = exchange.apply(SetSession(instrument=SPOT, session=Session.CONTINUOUS)).ts_ns
    read = Read(exchange, tmp_path)
    after = read.instrument(SPOT)
    assert after.session is Session.CONTINUOUS
    assert (after.auction_ns, after.auction_price_ticks, after.auction_quantity) == (cleared_ns, 20_000, 3)
    assert (after.auction_surplus_quantity, after.auction_surplus_side) == (2, Side.BUY)
    assert [(row.auction, row.taker_side) for row in read.queries.trades(SPOT, 0, 10)] == [
        (True, Side.BUY),
        (False, Side.BUY),
    ]
    assert read.instrument(ONDEMAND).auction_surplus_side is None


def test_a_breach_of_the_band_opens_an_auction_with_its_end(tmp_path: Path) -> None:
    exchange = opened(TIGHT)
    exchange.apply(ask(SPOT, 20_000, 1))
    exchange.apply(bid(FIRST, SPOT, 20_000, 1))
    exchange.apply(ask(SPOT, 22_000, 1))
    breach = exchange.apply(bid(SECOND, SPOT, 22_000, 1))
    row = Read(exchange, tmp_path).instrument(SPOT)
    assert (row.session, row.session_reason) == (Session.AUCTION, Reason.OUTSIDE_BAND)
    assert row.session_until_ns == breach.ts_ns + TIGHT.auction_s * 10**9
    assert Read(exchange, tmp_path).order(exchange.orders[-1]).shown_quantity == 1


def test_features_are_the_baron_s(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(SetFeatures(baron=1, features=Feature.INFINIBAND))
    queries = Read(exchange, tmp_path).queries
    assert [row.features for row in queries.barons(PROVIDERS[1], 0, 10)] == [Feature.INFINIBAND]
    assert [row.features for row in queries.barons(PROVIDERS[2], 0, 10)] == [0]


def test_ratings_are_the_baron_s_70_until_told_otherwise(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(SetRating(baron=1, rating=88))
    queries = Read(exchange, tmp_path).queries
    assert [row.rating for row in queries.barons(PROVIDERS[1], 0, 10)] == [88]
    assert [row.rating for row in queries.barons(PROVIDERS[2], 0, 10)] == [70]


def test_a_baron_s_presence_and_drain_are_kept(tmp_path: Path) -> None:
    exchange = opened()
    quiet = exchange.apply(SetPresence(baron=1, presence=Presence.QUIET))
    drained = exchange.apply(SetDrain(account=PROVIDERS[2], baron=2, draining=True))
    queries = Read(exchange, tmp_path).queries
    (first,), (second,) = (queries.barons(PROVIDERS[number], 0, 10) for number in (1, 2))
    assert (first.presence, first.draining, first.seq) == (Presence.QUIET, False, quiet.seq)
    assert (second.presence, second.draining, second.seq) == (Presence.REPORTING, True, drained.seq)


def test_an_account_s_limits_are_kept_whole(tmp_path: Path) -> None:
    exchange = opened()
    exchange.apply(bid(FIRST, SPOT, 20_000, 3))
    exchange.apply(SetAccountLimits(account=FIRST, max_gpus=4, max_notional_micros=5_000_000))
    said = exchange.apply(SetAccountLimits(account=FIRST, killed=True))
    read = Read(exchange, tmp_path)
    row = read.queries.account_limits(FIRST)
    assert row is not None
    assert (row.max_open_orders, row.max_notional_micros, row.max_gpus, row.killed) == (0, 5_000_000, 4, True)
    assert row.seq == said.seq
    assert read.queries.account_limits(SECOND) is None
    assert read.order(exchange.orders[0]).reason is Reason.ACCOUNT_KILLED
