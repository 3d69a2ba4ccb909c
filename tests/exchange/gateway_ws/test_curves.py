"""A market's forward curve on its channel, and the channel of one kind of instruments."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.kinds import Side
from engine.messages import Canceled, Event, Reply, SetSession, SettlementPrice
from engine.reasons import Reason
from engine.records import Session
from exchange.gateway.ws.curves import Curves
from exchange.gateway.ws.messages import CurvePointData
from exchange.market_data.feed import Feed
from exchange.market_data.live import Update
from exchange.read.queries import Snapshot
from tests.exchange.gateway_ws.house import SPOT, House
from tests.exchange.market_data.commands import FAR_SPOT, opened
from tests.exchange.read.test_forwards import accepted, traded

SKU, REGION, _ = SPOT.split(".")
TOMORROW = 3
"""The first market's first forward."""
HOUR_US = 3_600_000_000
CURVE = f"curve.{SKU}.{REGION}"


async def test_the_channel_has_the_whole_curve_then_what_changes(exchange: House) -> None:
    async with exchange.market() as wire:
        subscribed = await wire.ok("subscribe", ch=CURVE)
        snapshot = await wire.event(CURVE)
        assert (snapshot["type"], snapshot["seq"]) == ("snapshot", subscribed["seq"])
        points = snapshot["data"]
        assert len({point["symbol"] for point in points}) == 29
        starts = [point["delivery_start_us"] for point in points]
        assert starts == sorted(starts)
        await exchange.enter(SetSession(instrument=1, session=Session.HALTED))
        halted = await exchange.enter(SetSession(instrument=TOMORROW, session=Session.HALTED))
        update = await wire.event(CURVE)
        assert (update["type"], update["seq"], update["prev_seq"]) == ("update", halted.seq, snapshot["seq"])
        assert update["data"] == [points[0] | {"session": "halted"}]
        assert (await wire.ok("unsubscribe", ch=CURVE))["result"] == {"ch": CURVE, "subscribed": False}
        for nobody in ("curve", "curve.", f"curve.{SKU}", f"curve.{SKU}.nowhere", "instruments.swap"):
            assert (await wire.refused("subscribe", ch=nobody))["code"] in ("unknown_channel", "invalid_field")


async def test_a_kind_s_channel_tells_of_that_kind_alone(exchange: House) -> None:
    listed = {}
    async with exchange.market() as wire:
        for kind, number in (("spot", 1), ("ondemand", 1), ("forward", 29)):
            channel = f"instruments.{kind}"
            await wire.ok("subscribe", ch=channel)
            rows = listed[kind] = (await wire.event(channel))["data"]
            assert ({row["kind"] for row in rows}, len(rows)) == ({kind}, number)
        first = listed["forward"][0]
        start = datetime.fromisoformat(first["period"]).replace(tzinfo=UTC)
        assert first["symbol"] == f"{SKU}.{REGION}.fwd-{first['period']}"
        assert first["delivery_start_us"] == int(start.timestamp()) * 1_000_000
        assert first["delivery_end_us"] - first["delivery_start_us"] == 24 * HOUR_US
        assert first["delivery_start_us"] - first["trading_end_us"] == HOUR_US
        await exchange.enter(SetSession(instrument=TOMORROW, session=Session.HALTED))
        await exchange.enter(SetSession(instrument=1, session=Session.HALTED))
        assert [row["symbol"] for row in (await wire.event("instruments.forward"))["data"]] == [first["symbol"]]
        assert [row["symbol"] for row in (await wire.event("instruments.spot"))["data"]] == [SPOT]


async def test_who_watches_a_forward_as_it_expires_may_leave_its_channel(exchange: House) -> None:
    async with exchange.market() as wire:
        await wire.ok("subscribe", ch=CURVE)
        symbol = (await wire.event(CURVE))["data"][0]["symbol"]
        for topic in ("book", "trades"):
            await wire.ok("subscribe", ch=f"{topic}.{symbol}")
        await exchange.enter(SetSession(instrument=TOMORROW, session=Session.EXPIRED))
        assert [point["session"] for point in (await wire.event(CURVE))["data"]] == ["expired"]
        await exchange.enter(SetSession(instrument=1, session=Session.HALTED))
        for topic in ("book", "trades"):
            channel = f"{topic}.{symbol}"
            # Once more, while it is joined: there is no book of it to begin with.
            assert (await wire.refused("subscribe", ch=channel))["code"] == "unknown_channel"
            assert (await wire.ok("unsubscribe", ch=channel))["result"]["subscribed"] is False
        await wire.ok("unsubscribe", ch=CURVE)
        await wire.ok("subscribe", ch=CURVE)
        assert symbol not in {point["symbol"] for point in (await wire.event(CURVE))["data"]}


def test_a_curve_is_told_of_what_it_shows_alone() -> None:
    exchange = opened()
    feed, told = Feed(), list[tuple[int, list[CurvePointData]]]()
    feed.seed(Snapshot(0, 0, [], [], [], []))
    for reply in exchange.replies:
        feed.on_reply(reply)
    curves = Curves(feed)

    def listen(update: Update) -> None:
        told.extend(curves.changed(update).items())

    def say(*events: Event) -> list[tuple[int, list[CurvePointData]]]:
        told.clear()
        exchange.seq += 1
        feed.on_reply(Reply(exchange.seq, exchange.ts_ns, events))
        return list(told)

    feed.listen(listen)
    year = next(row for row in feed.live.instruments() if row.period == "2024").instrument
    assert say(accepted(899, year, Side.BUY, 10_000)) == [], "nobody is subscribed"
    assert len(curves.begin(1)) == 29
    ((market, (point,)),) = say(accepted(900, year, Side.SELL, 20_000))
    assert (market, point.best_bid, point.best_ask, point.last_price) == (1, "1.0000", "2.0000", None)
    assert say(accepted(901, year, Side.SELL, 21_000)) == [], "behind the best price"
    ((_, (point,)),) = say(accepted(902, year, Side.BUY, 20_000), traded(910, year, 900, 902, 20_000))
    assert point.last_price == "2.0000"
    assert say(SettlementPrice(instrument=FAR_SPOT + 2, price_ticks=1, day=1, quantity=0)) == [], "another market's"
    ((_, (point,)),) = say(SettlementPrice(instrument=year, price_ticks=19_999, day=19_700, quantity=3))
    assert (point.settlement_price, point.settlement_date) == ("1.9999", "2023-12-09")
    gone = Canceled(order_id=899, account=21, instrument=year, quantity=4, reason=Reason.REQUESTED)
    assert say(gone) == []
    curves.end(1)
    assert say(SettlementPrice(instrument=year, price_ticks=5, day=19_701, quantity=3)) == []
