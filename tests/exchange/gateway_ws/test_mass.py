"""Commands about many orders: mass cancel, the dead-man switch, sets of quotes, and orders that go with their connection."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from engine.messages import SetSession
from engine.records import Session
from exchange.registry.rows import Scope
from tests.exchange.gateway_ws.house import ONDEMAND, SPOT, House, Json, Party, Wire
from tests.waiting import TIMEOUT_S, wait_until_async

BUY = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "2.0000"}


def quotes(provider: Party, bid: str = "1.0000", ask: str = "3.0000") -> list[dict[str, Json]]:
    sell = {"instrument": SPOT, "side": "sell", "quantity": 2, "price": ask, "baron": provider.baron}
    return [{"instrument": SPOT, "side": "buy", "quantity": 2, "price": bid}, sell]


async def open_orders(exchange: House, party: Party) -> list[Json]:
    """The account's open orders, from a connection of its own."""
    async with exchange.trade(party) as wire:
        await wire.ok("subscribe", ch="orders")
        return list((await wire.event("orders"))["data"])


async def test_mass_cancel_says_how_many_before_their_reports(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        await wire.ok("subscribe", ch="orders")
        for tag, instrument in (("a", SPOT), ("a", ONDEMAND), ("b", SPOT)):
            await wire.ok("order.place", **BUY | {"tag": tag, "instrument": instrument})
        number = await wire.send("orders.cancel_all", tag="a")
        reply = await wire.skip_to(lambda message: message.get("id") == number or message.get("type") == "canceled")
        assert (reply["id"], reply["result"]) == (number, {"orders": 2})
        event = await wire.skip_to(lambda message: message.get("seq") == reply["seq"])
        assert [(report["exec_type"], report["reason"]) for report in event["data"]] == [
            ("canceled", "mass_canceled"),
            ("canceled", "mass_canceled"),
        ]
        assert (await wire.ok("orders.cancel_all", side="sell"))["result"] == {"orders": 0}
        assert (await wire.ok("orders.cancel_all", instrument=SPOT, side="buy"))["result"] == {"orders": 1}


async def test_the_dead_man_switch_is_set_and_taken_back(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        armed = await wire.ok("cancel_all_after", after_ms=60_000)
        assert armed["result"]["due_us"] > armed["in_us"]
        assert (await wire.ok("cancel_all_after", after_ms=0))["result"] == {"due_us": None}


async def test_the_dead_man_switch_cancels_by_itself(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire, exchange.trade(renter) as other, asyncio.timeout(TIMEOUT_S):
        await wire.ok("subscribe", ch="orders")
        await wire.ok("order.place", **BUY)
        await wire.ok("cancel_all_after", after_ms=1)
        while await open_orders(exchange, renter):
            # Any command brings what is due before it.
            await other.ok("orders.cancel_all", side="sell")
        gone = await wire.skip_to(lambda message: "canceled" in str(message.get("data")))
        assert [report["reason"] for report in gone["data"]] == ["dead_man"]


async def test_a_set_of_quotes_stands_is_replaced_and_withdrawn(exchange: House) -> None:
    maker = await exchange.party(baron=True)
    async with exchange.trade(maker) as wire:
        first = (await wire.ok("quotes.set", name="mm", quotes=quotes(maker)))["result"]
        assert first["name"] == "mm"
        assert [(order["status"], order["side"], order["quote_set"]) for order in first["orders"]] == [
            ("new", "buy", "mm"),
            ("new", "sell", "mm"),
        ]
        error = await wire.refused("quotes.set", name="mm", quotes=quotes(maker, ask="0.00001"))
        assert (error["code"], error["field"]) == ("invalid_price", "quotes[1].price")
        dear = [*quotes(maker), {"instrument": SPOT, "side": "buy", "quantity": 100_000, "price": "1000"}]
        error = await wire.refused("quotes.set", name="mm", quotes=dear)
        assert (error["code"], error["field"]) == ("insufficient_funds", "quotes[2]")
        error = await wire.refused("quotes.set", name="mm", quotes=[{**BUY, "baron": maker.baron}])
        assert (error["code"], error["field"]) == ("invalid_order", "quotes[0].baron")
        await wire.ok("subscribe", ch="orders")
        standing = (await wire.event("orders"))["data"]
        assert [order["order_id"] for order in standing] == [order["order_id"] for order in first["orders"]]

        second = await wire.ok("quotes.set", name="mm", quotes=quotes(maker, bid="1.5000"))
        event = await wire.skip_to(lambda message: message.get("seq") == second["seq"])
        assert [(report["exec_type"], report["reason"]) for report in event["data"]] == [
            ("canceled", "quote_replaced"),
            ("canceled", "quote_replaced"),
            ("new", None),
            ("new", None),
        ]
        gone = (await wire.ok("quotes.set", name="mm", quotes=[]))["result"]
        assert gone == {"name": "mm", "orders": []}
    assert await open_orders(exchange, maker) == []


async def test_one_set_too_many_says_to_withdraw_one(exchange: House) -> None:
    maker = await exchange.party()
    bid = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1.0000"}
    async with exchange.trade(maker) as wire:
        for number in range(64):
            await wire.ok("quotes.set", name=f"s{number}", quotes=[bid])
        error = await wire.refused("quotes.set", name="s64", quotes=[bid])
        assert (error["code"], error["field"]) == ("too_many_orders", "name")
        assert error["detail"].startswith("The account has 64 sets of quotes, as many as it may. Withdraw a set")
        await wire.ok("quotes.set", name="s0", quotes=[])
        await wire.ok("quotes.set", name="s64", quotes=[bid])


async def test_an_amend_is_the_reason_of_its_own_report_alone(exchange: House) -> None:
    maker, taker = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(taker) as bids, exchange.trade(maker) as asks:
        await bids.ok("subscribe", ch="orders")
        placed = (await bids.ok("order.place", **BUY))["result"]["order_id"]
        amended = await bids.ok("order.amend", order_id=placed, quantity=3)
        event = await bids.skip_to(lambda message: message.get("seq") == amended["seq"])
        assert [(one["exec_type"], one["reason"]) for one in event["data"]] == [("replaced", "requested")]
        standing = await open_orders(exchange, taker)
        assert [(one["status"], one["reason"]) for one in standing] == [("new", None)]
        sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": maker.baron}
        traded = await asks.ok("order.place", **sell)
        event = await bids.skip_to(lambda message: message.get("ch") == "orders" and message["seq"] == traded["seq"])
        assert [(one["exec_type"], one["reason"]) for one in event["data"]] == [("trade", None)]
        error = await bids.refused("cancel_all_after", after_ms=-1)
        assert error["detail"].endswith("Give at most a day, in milliseconds; 0 switches it off.")


async def test_a_set_that_has_had_its_fills_goes(exchange: House) -> None:
    maker, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(maker) as wire, exchange.trade(renter) as taker:
        await wire.ok("quotes.set", name="mm", quotes=quotes(maker), max_fills=1)
        await wire.ok("subscribe", ch="orders")
        done = await taker.ok("order.place", **BUY | {"quantity": 1, "price": "3.0000"})
        event = await wire.skip_to(lambda message: message.get("seq") == done["seq"])
        reasons = {report["reason"] for report in event["data"] if report["exec_type"] == "canceled"}
        assert reasons == {"max_fills"}
    assert await open_orders(exchange, maker) == []


async def test_quotes_are_for_those_who_may_trade(exchange: House) -> None:
    reader = await exchange.party(Scope.READ)
    async with exchange.trade(reader) as wire:
        for op, params in (
            ("quotes.set", {"name": "mm", "quotes": []}),
            ("orders.cancel_all", {}),
            ("cancel_all_after", {"after_ms": 0}),
        ):
            assert (await wire.refused(op, **params))["code"] == "missing_scope"


async def place_both(exchange: House, party: Party, wire: Wire) -> None:
    await wire.ok("order.place", **BUY)
    await wire.ok("quotes.set", name="mm", quotes=quotes(party))
    async with exchange.trade(party) as other:
        await other.ok("order.place", **BUY | {"price": "1.9000"})


async def test_what_came_by_a_lost_connection_goes_with_it(exchange: House) -> None:
    maker = await exchange.party(baron=True)
    async with exchange.trade(maker, query="?cancel_on_disconnect=true") as wire:
        await place_both(exchange, maker, wire)
        wire.connection.transport.abort()
    await wait_until_async(lambda: exchange.doors.connections == 0, "the connection to be over")
    (left,) = await open_orders(exchange, maker)
    assert left["price"] == "1.9000", "what came by another connection stays"


async def test_an_ordinary_close_is_a_loss_and_a_logout_isnt(exchange: House) -> None:
    maker = await exchange.party(baron=True)
    async with exchange.trade(maker, query="?cancel_on_disconnect=true") as wire:
        await place_both(exchange, maker, wire)
        assert (await wire.ok("session.logout"))["result"] == {"logged_out": True}
        assert (await wire.refused("order.place", **BUY))["code"] == "logged_out"
    await wait_until_async(lambda: exchange.doors.connections == 0, "the connection to be over")
    assert len(await open_orders(exchange, maker)) == 4
    async with exchange.trade(maker, query="?cancel_on_disconnect=true") as wire:
        await wire.ok("orders.cancel_all")
        await place_both(exchange, maker, wire)
    await wait_until_async(lambda: exchange.doors.connections == 0, "the connection to be over")
    assert len(await open_orders(exchange, maker)) == 1


async def test_orders_stay_unless_it_was_chosen(exchange: House) -> None:
    maker = await exchange.party(baron=True)
    async with exchange.trade(maker, query="?cancel_on_disconnect=false") as wire:
        await place_both(exchange, maker, wire)
    await wait_until_async(lambda: exchange.doors.connections == 0, "the connection to be over")
    assert len(await open_orders(exchange, maker)) == 4


@pytest.mark.parametrize("query", ["?cancel_on_disconnect=perhaps", "?key=hb_x", "?cancel_on_disconnect"])
async def test_an_address_takes_no_other_parameters(exchange: House, query: str) -> None:
    renter = await exchange.party()
    with pytest.raises(InvalidStatus) as refused:
        async with exchange.trade(renter, query=query):
            pass
    assert refused.value.response.status_code == 422


async def test_a_stop_is_told_when_it_is_triggered(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": provider.baron}
    async with exchange.trade(renter) as wire, exchange.trade(provider) as maker:
        await wire.ok("subscribe", ch="orders")
        stop = BUY | {"type": "stop_limit", "stop_price": "2.0000", "price": "2.5000", "display_quantity": 2}
        armed = (await wire.ok("order.place", **stop))["result"]
        assert (armed["type"], armed["armed"], armed["shown_quantity"], armed["stop_price"]) == (
            "stop_limit",
            True,
            0,
            "2.0000",
        )
        await maker.ok("order.place", **sell)
        done = await wire.ok("order.place", **BUY | {"quantity": 1})
        event = await wire.skip_to(lambda m: m.get("seq") == done["seq"] and m.get("ch") == "orders")
        reports = [report for report in event["data"] if report["order_id"] == armed["order_id"]]
        assert [(report["exec_type"], report["armed"]) for report in reports] == [("triggered", False)]
        assert (reports[0]["shown_quantity"], reports[0]["leaves_quantity"]) == (2, 4)


async def test_an_auction_s_fills_say_so_on_both_sides(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": provider.baron}
    instrument = 1
    await exchange.enter(SetSession(instrument=instrument, session=Session.AUCTION))
    async with exchange.trade(renter) as taker, exchange.trade(provider) as maker:
        for wire in (taker, maker):
            await wire.ok("subscribe", ch="fills")
        await taker.ok("order.place", **BUY)
        await maker.ok("order.place", **sell)
        error = await taker.refused("order.place", **BUY | {"time_in_force": "ioc"})
        assert error["code"] == "session_closed"
        await exchange.enter(SetSession(instrument=instrument, session=Session.CONTINUOUS))
        for wire in (taker, maker):
            (fill,) = (await wire.event("fills"))["data"]
            assert (fill["liquidity"], fill["quantity"], fill["price"]) == ("auction", 1, "2.0000")
