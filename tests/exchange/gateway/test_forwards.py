"""Forwards as the public sees them: what is listed, for which hours, until when, and a market's curve."""

from __future__ import annotations

import pytest

from engine.messages import Deposit, SetSession
from engine.records import Session
from engine.units import NS_PER_HOUR
from tests.exchange.gateway.floor import ONDEMAND, SKU, SPOT, SSH_KEY, START_NS, Client, Floor, Json

DAY = f"{SKU}.us-east.fwd-2025-10-10"
WEEK = f"{SKU}.us-east.fwd-2025-W42"
LAST = f"{SKU}.us-east.fwd-2027"


@pytest.fixture
def anyone(exchange: Floor) -> Client:
    return Client(exchange.http, None)


async def to(exchange: Floor, hours: int) -> int:
    """So many hours after the start, with the timers of that time; the seq of then."""
    exchange.clock.now_ns = START_NS + hours * NS_PER_HOUR
    return (await exchange.enter(Deposit(account=1, amount_micros=1_000_000, client_id=""))).seq


async def test_a_market_lists_its_forwards_with_their_delivery(anyone: Client) -> None:
    listed = (await anyone.get("/instruments"))["instruments"]
    assert len(listed) == 62
    assert [row["kind"] for row in listed[:3]] == ["spot", "ondemand", "forward"]
    found = {row["symbol"]: row for row in listed}
    assert [name.rpartition(".")[2] for name in found][2:31:4] == [
        "fwd-2025-10-10",
        "fwd-2025-10-14",
        "fwd-2025-W43",
        "fwd-2025-12",
        "fwd-2026-04",
        "fwd-2026-08",
        "fwd-2026Q2",
        "fwd-2027",
    ]
    day = found[DAY]
    assert {
        name: day[name] for name in ("period", "delivery_start", "delivery_end", "trading_end", "session", "simulated")
    } == {
        "period": "2025-10-10",
        "delivery_start": "2025-10-10T00:00:00.000000Z",
        "delivery_end": "2025-10-11T00:00:00.000000Z",
        "trading_end": "2025-10-09T23:00:00.000000Z",
        "session": "continuous",
        "simulated": False,
    }
    assert (day["settlement_price"], day["settlement_date"]) == (None, None)
    spot = found[SPOT]
    for name in ("period", "delivery_start", "delivery_end", "trading_end", "settlement_price", "settlement_date"):
        assert spot[name] is None


async def test_lists_by_sku_region_and_kind(anyone: Client) -> None:
    async def symbols(**wanted: str) -> list[str]:
        return [row["symbol"] for row in (await anyone.get("/instruments", **wanted))["instruments"]]

    assert await symbols(region="us-east", kind="spot") == [SPOT]
    assert await symbols(kind="ondemand") == [ONDEMAND, ONDEMAND.replace("us-east", "us-west")]
    assert len(await symbols(sku=SKU, region="us-east", kind="forward")) == 29
    assert await symbols(sku="L40S-PCIE-48GB") == []
    assert (await anyone.refused("GET", "/instruments", params={"kind": "swap"}))["code"] == "invalid_parameter"


async def test_a_day_passes_and_another_comes(exchange: Floor, anyone: Client) -> None:
    seq = await to(exchange, 15)
    listed = (await anyone.get("/instruments", min_seq=seq))["instruments"]
    symbols = [row["symbol"] for row in listed]
    assert DAY not in symbols
    assert symbols[-2:] == [f"{SKU}.{region}.fwd-2025-10-17" for region in ("us-east", "us-west")]
    assert len(listed) == 62
    # Its history stays; who still names it is told.
    assert (await anyone.get(f"/trades/{DAY}"))["trades"] == []
    await to(exchange, 16)
    assert (await anyone.refused("GET", f"/books/{DAY}"))["code"] == "instrument_expired"
    never = DAY.replace("2025", "2035")
    assert (await anyone.refused("GET", f"/books/{never}"))["code"] == "unknown_instrument"
    renter = await exchange.renter()
    order = {"instrument": DAY, "side": "buy", "quantity": 1, "price": "2.0000"}
    problem = await renter.refused("POST", "/orders", order)
    assert (problem["code"], problem["status"], problem["field"]) == ("instrument_expired", 404, "instrument")


async def test_forwards_are_neither_rented_nor_offered(exchange: Floor) -> None:
    renter = await exchange.renter()
    for path in ("/quotes", "/rentals"):
        wish = {"sku": SKU, "kind": "forward", "gpus": 1, "hours": 1}
        wish |= {"max_price": "3.0000", "ssh_keys": [SSH_KEY]} if path == "/rentals" else {}
        assert (await renter.refused("POST", path, wish))["code"] == "invalid_field"
    provider = await exchange.open("provider", "1000.00")
    baron = await exchange.baron(provider)
    offers = [{"baron": baron, "instrument": LAST, "price": "2.0000", "gpus": 8}]
    problem = await provider.refused("PUT", "/asks", {"offers": offers})
    assert (problem["code"], problem["field"]) == ("invalid_offer", "offers[0].instrument")


async def test_a_curve_has_every_listed_period_in_order_of_delivery(exchange: Floor, anyone: Client) -> None:
    week = next(row for row in await exchange.deps.read.instruments() if row.symbol == WEEK)
    halted = await exchange.enter(SetSession(instrument=week.instrument, session=Session.HALTED))
    curve = await anyone.get(f"/markets/{SKU}/us-east/curve", min_seq=halted.seq)
    assert (curve["sku"], curve["region"], curve["simulated"], curve["seq"]) == (SKU, "us-east", False, halted.seq)
    points = curve["points"]
    assert len(points) == 29
    assert points[0] == {
        "symbol": DAY,
        "period": "2025-10-10",
        "delivery_start": "2025-10-10T00:00:00.000000Z",
        "delivery_end": "2025-10-11T00:00:00.000000Z",
        "session": "continuous",
        "best_bid": None,
        "best_ask": None,
        "last_price": None,
        "settlement_price": None,
        "settlement_date": None,
    }
    starts = [point["delivery_start"] for point in points]
    assert starts == sorted(starts)
    assert [point["period"] for point in points if point["session"] == "halted"] == ["2025-W42"]
    assert points[-1]["symbol"] == LAST
    provider = await exchange.open("provider", "1000.00")
    await exchange.baron(provider)
    seq = exchange.machine.last_seq
    assert (await anyone.get(f"/markets/{SKU}/us-east/curve", min_seq=seq))["simulated"] is True
    assert (await anyone.get(f"/markets/{SKU}/us-west/curve"))["simulated"] is False
    problem = await anyone.refused("GET", f"/markets/{SKU}/nowhere/curve")
    assert (problem["code"], problem["status"]) == ("unknown_instrument", 404)


async def test_a_trade_shows_in_the_curve_and_in_that_day_s_settlement_price(exchange: Floor, anyone: Client) -> None:
    provider = await exchange.open("provider", "10000")
    baron = await exchange.baron(provider)
    buyer = await exchange.renter("100000")

    async def point(seq: int) -> dict[str, Json]:
        points = (await anyone.get(f"/markets/{SKU}/us-east/curve", min_seq=seq))["points"]
        return next(one for one in points if one["symbol"] == WEEK)

    await to(exchange, 14)
    sell = {"instrument": WEEK, "side": "sell", "quantity": 2, "baron": baron}
    buy = {"instrument": WEEK, "side": "buy", "quantity": 1}
    for price in ("2.0000", "2.0005"):
        await provider.post("/orders", sell | {"price": price})
    await buyer.post("/orders", buy | {"price": "2.0000", "quantity": 2})
    await buyer.post("/orders", buy | {"price": "2.0005"})
    placed = await buyer.post("/orders", buy | {"price": "1.5000"})
    found = await point(placed["seq"])
    prices = {name: found[name] for name in ("best_bid", "best_ask", "last_price", "settlement_price")}
    assert prices == {
        "best_bid": "1.5000",
        "best_ask": "2.0005",
        "last_price": "2.0005",
        "settlement_price": None,
    }
    # Two at 2.0000 and one at 2.0005, at 22:53; rounded down.
    found = await point(await to(exchange, 15))
    assert (found["settlement_price"], found["settlement_date"]) == ("2.0001", "2025-10-09")
    listed = (await anyone.get("/instruments", kind="forward", region="us-east"))["instruments"]
    assert {row["symbol"] for row in listed if row["settlement_price"]} == {WEEK}
    # The next day nothing trades: the middle of 1.5000 and 2.0005.
    found = await point(await to(exchange, 39))
    assert (found["settlement_price"], found["settlement_date"]) == ("1.7502", "2025-10-10")
