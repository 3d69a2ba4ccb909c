"""What the book can do, end to end: entered by WebSocket, told in replies and reports, and the same over REST."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from engine.ids import format_id, parse_id
from engine.kinds import Feature
from engine.messages import RegisterBaron, SetCapacity, SetFeatures
from tests.exchange.gateway_ws.house import ONDEMAND, SKU, SPOT, House, Json, Party, Wire
from tests.waiting import TIMEOUT_S

BUY = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "2.0000"}


def sell(provider: Party, **more: Json) -> dict[str, Json]:
    return {"instrument": SPOT, "side": "sell", "quantity": 4, "price": "2.0000", "baron": provider.baron} | more


async def place(wire: Wire, order: dict[str, Json], **more: Json) -> Json:
    return (await wire.ok("order.place", **order | more))["result"]


async def over_rest(http: httpx.AsyncClient, exchange: House, order_id: str) -> Json:
    """The order as REST has it, after everything so far."""
    answer = await http.get(f"/orders/{order_id}", params={"min_seq": exchange.sequencer.seq})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def second_baron(exchange: House, provider: Party, features: int = 0) -> str:
    made = await exchange.registry.create_baron(provider.account, SKU, "us-east", "rack 2")
    number = made.baron.baron
    await exchange.enter(RegisterBaron(baron=number, provider=provider.account, sku=SKU, region="us-east"))
    await exchange.enter(SetCapacity(baron=number, gpus=8, simulated=True))
    await exchange.enter(SetFeatures(baron=number, features=features))
    return format_id("brn", number)


@pytest.mark.parametrize(
    ("mode", "maker_after", "taker_after"),
    [
        ("cancel_newest", ("new", 4, None), ("canceled", 0, "self_trade")),
        ("cancel_oldest", ("canceled", 0, "self_trade"), ("new", 6, None)),
        ("cancel_both", ("canceled", 0, "self_trade"), ("canceled", 0, "self_trade")),
        ("decrement", ("canceled", 0, "self_trade"), ("new", 2, "self_trade")),
    ],
)
async def test_an_order_that_meets_ones_own(
    exchange: House, mode: str, maker_after: tuple[Json, ...], taker_after: tuple[Json, ...]
) -> None:
    both = await exchange.party(baron=True)
    async with exchange.trade(both) as wire, exchange.http(both) as http:
        ask = await place(wire, sell(both))
        bid = await place(wire, BUY, quantity=6, stp=mode)
        assert bid["stp"] == mode
        for told, wanted in ((ask, maker_after), (bid, taker_after)):
            now = await over_rest(http, exchange, told["order_id"])
            assert (now["status"], now["leaves_quantity"], now["reason"]) == wanted
        assert (bid["status"], bid["leaves_quantity"], bid["reason"]) == taker_after
        assert (await http.get(f"/trades/{SPOT}")).json()["trades"] == [], "nobody trades with himself"


async def test_min_quantity_passes_over_what_is_too_small(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker, exchange.http(renter) as http:
        bid = await place(taker, BUY, quantity=8, min_quantity=4)
        assert (await place(maker, sell(provider), quantity=2))["status"] == "new"
        book = (await http.get(f"/books/{SPOT}", params={"min_seq": exchange.sequencer.seq})).json()
        assert [(level["quantity"], level["conditional_quantity"]) for level in book["bids"]] == [(0, 8)]
        assert [(level["quantity"], level["conditional_quantity"]) for level in book["asks"]] == [(2, 0)]
        sold = await place(maker, sell(provider), quantity=5)
        assert (sold["status"], sold["last_quantity"]) == ("filled", 5)
        # What is left is less than the minimum, and is the minimum then.
        last = await place(maker, sell(provider), quantity=3)
        assert last["status"] == "filled"
        assert (await over_rest(http, exchange, bid["order_id"]))["status"] == "filled"


async def test_a_bid_takes_only_a_baron_that_has_what_it_asks_for(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    fast = await second_baron(exchange, provider, Feature.NVLINK | Feature.SECURE)
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker:
        await place(maker, sell(provider, price="1.0000"))
        dear = await place(maker, sell(provider, baron=fast))
        bought = await place(taker, BUY, features=["nvlink"], quantity=1)
        assert (bought["status"], bought["last_price"]) == ("filled", "2.0000")
        assert (await taker.refused("order.place", **BUY, features=["infiniband"], type="market", time_in_force="fok"))[
            "code"
        ] in {"fok_killed", "no_liquidity"}
        waits = await place(taker, BUY, features=["infiniband"], quantity=1)
        assert waits["status"] == "new"
        await exchange.enter(SetFeatures(baron=parse_id("brn", fast), features=int(Feature.INFINIBAND)))
        # At rest nothing trades by itself; a pair that fits now waits for the next incoming order or amend (§6).
        again = (await maker.ok("order.amend", order_id=dear["order_id"], price="1.9999"))["result"]
        assert (again["exec_type"], again["last_quantity"], again["last_price"]) == ("trade", 1, "2.0000")


async def test_same_baron_wants_it_all_from_one(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    other = await second_baron(exchange, provider)
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker, exchange.http(renter) as http:
        await place(maker, sell(provider, quantity=3, price="1.9000"))
        await place(maker, sell(provider, quantity=4, baron=other))
        error = await taker.refused("order.place", **BUY | {"quantity": 5}, same_baron=True, time_in_force="fok")
        assert error["code"] in {"fok_killed", "no_liquidity"}
        assert (await place(taker, BUY, same_baron=True))["last_price"] == "2.0000"
        (lease,) = (await http.get("/leases", params={"min_seq": exchange.sequencer.seq})).json()["leases"]
        assert (lease["baron"], lease["gpus"]) == (other, 4)


async def test_a_term_lot_and_least_hours_choose_their_counterpart(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    ask = sell(provider, instrument=ONDEMAND, quantity=8, max_hours=24, min_hours=4, lot=4)
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker:
        placed = await place(maker, ask)
        bid = BUY | {"instrument": ONDEMAND, "time_in_force": "ioc"}
        for hours, quantity, filled in ((3, 4, 0), (4, 3, 0), (48, 4, 0), (4, 6, 4)):
            done = await place(taker, bid, hours=hours, quantity=quantity)
            assert (done["cum_quantity"], done["status"], done["reason"]) == (filled, "canceled", "ioc_remainder")
        await maker.ok("subscribe", ch="orders")
        (left,) = (await maker.event("orders"))["data"]
        assert (left["order_id"], left["leaves_quantity"]) == (placed["order_id"], 4)


async def test_a_reduction_keeps_its_place_and_a_new_price_doesnt(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker:
        first, second = [(await place(taker, BUY, client_order_id=name))["order_id"] for name in ("a", "b")]
        await taker.ok("order.amend", order_id=first, quantity=3)
        await taker.ok("subscribe", ch="fills")

        async def next_filled() -> Json:
            await place(maker, sell(provider), quantity=1)
            (fill,) = (await taker.event("fills"))["data"]
            return fill["order_id"]

        assert await next_filled() == first, "a smaller quantity keeps its place"
        assert (await taker.refused("order.amend", order_id=first))["code"] == "nothing_to_amend"
        await taker.ok("order.amend", order_id=first, quantity=10)
        assert await next_filled() == second, "a larger one goes to the back"
        await taker.ok("order.amend", client_order_id="b", price="1.9000")
        assert await next_filled() == first
        through = (await taker.ok("order.amend", order_id=second, quantity=1))["result"]
        assert (through["status"], through["cum_quantity"], through["reason"]) == ("canceled", 1, "requested")


async def test_a_refused_amend_says_the_final_state_and_changes_nothing(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker, exchange.http(renter) as http:
        order = await place(taker, BUY)
        error = await taker.refused("order.amend", order_id=order["order_id"], quantity=100_000, price="1000.0000")
        assert error["code"] == "insufficient_funds"
        now = await over_rest(http, exchange, order["order_id"])
        assert (now["status"], now["price"], now["quantity"]) == ("new", "2.0000", 4)
        await place(maker, sell(provider))
        for op, params in (("order.amend", {"quantity": 9}), ("order.cancel", {})):
            error = await taker.refused(op, order_id=order["order_id"], **params)
            assert (error["code"], error["order_id"], error["order_status"]) == (
                "order_closed",
                order["order_id"],
                "filled",
            )
        refused = (await http.patch(f"/orders/{order['order_id']}", json={"quantity": 9})).json()
        assert (refused["code"], refused["order_status"]) == ("order_closed", "filled")


async def test_what_never_rests_says_why(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker:
        assert (await taker.refused("order.place", **BUY | {"type": "market", "price": None}))["code"] == "no_liquidity"
        await place(maker, sell(provider, quantity=2))
        assert (await taker.refused("order.place", **BUY, post_only=True))["code"] == "post_only_would_trade"
        assert (await taker.refused("order.place", **BUY, time_in_force="fok"))["code"] == "fok_killed"
        done = await place(taker, BUY | {"price": None}, type="market", quantity=3)
        assert (done["cum_quantity"], done["status"], done["reason"]) == (2, "canceled", "market_remainder")
        done = await place(taker, BUY, time_in_force="ioc")
        assert (done["cum_quantity"], done["status"], done["reason"]) == (0, "canceled", "ioc_remainder")


async def test_a_stop_that_sells_takes_what_is_there(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker:
        await maker.ok("subscribe", ch="orders")
        stop = await place(maker, sell(provider, type="stop", stop_price="1.9500", price=None, quantity=3))
        assert (stop["armed"], stop["price"], stop["shown_quantity"]) == (True, None, 0)
        await place(taker, BUY, price="1.9000", quantity=2)
        await place(taker, BUY, price="1.9500", quantity=1)
        sold = (await maker.ok("order.place", **sell(provider, quantity=1, price="1.9500")))["seq"]
        event = await maker.skip_to(lambda m: m.get("ch") == "orders" and m["seq"] == sold)
        reports = [report for report in event["data"] if report["order_id"] == stop["order_id"]]
        assert [(one["exec_type"], one["last_price"], one["reason"]) for one in reports] == [
            ("triggered", None, None),
            ("trade", "1.9000", None),
            ("canceled", None, "market_remainder"),
        ]


async def test_an_order_that_expires_is_reported(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire, exchange.trade(renter) as other, exchange.http(renter) as http:
        await wire.ok("subscribe", ch="orders")
        await wire.event("orders")
        now_us = time.time_ns() // 1_000
        order = await place(wire, BUY, time_in_force="gtd", expire_us=now_us + 1_000_000)
        assert order["expire_us"] == now_us + 1_000_000
        moved = (await wire.ok("order.amend", order_id=order["order_id"], expire_us=now_us + 500_000))["result"]
        assert (moved["expire_us"], moved["exec_type"]) == (now_us + 500_000, "replaced")
        day = await place(wire, BUY, time_in_force="day")
        assert day["expire_us"] % (86_400 * 10**6) == 0 and 0 < day["expire_us"] - now_us <= 86_400 * 10**6 + 10**6
        async with asyncio.timeout(TIMEOUT_S):
            while (await over_rest(http, exchange, order["order_id"]))["status"] == "new":
                # Any command brings what is due before it.
                await other.ok("orders.cancel_all", side="sell")
        gone = await wire.skip_to(lambda m: "expired" in str(m.get("data")))
        assert [(one["exec_type"], one["status"], one["reason"]) for one in gone["data"]] == [
            ("expired", "expired", "expired")
        ]
