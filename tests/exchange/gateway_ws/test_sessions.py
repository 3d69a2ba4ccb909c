"""An instrument's session as a trader sees it: on the channel `instruments`, in GET /instruments and /books, in reports."""

from __future__ import annotations

from engine.messages import SetSession
from engine.records import Session
from tests.exchange.gateway_ws.house import ONDEMAND, SPOT, House, Json, Party

BUY = {"instrument": SPOT, "side": "buy", "quantity": 2, "price": "2.0000"}
AUCTION_S = 120


def sell(provider: Party, price: str) -> dict[str, Json]:
    return {"instrument": SPOT, "side": "sell", "quantity": 2, "price": price, "baron": provider.baron}


async def test_the_channel_tells_of_all_instruments_then_of_those_that_change(exchange: House) -> None:
    async with exchange.market() as wire, exchange.market() as late:
        subscribed = await wire.ok("subscribe", ch="instruments")
        snapshot = await wire.event("instruments")
        assert (snapshot["type"], snapshot["seq"]) == ("snapshot", subscribed["seq"])
        assert [row["symbol"] for row in snapshot["data"][:2]] == [SPOT, ONDEMAND]
        assert [row["session"] for row in snapshot["data"]] == ["continuous"] * 31
        halted = await exchange.enter(SetSession(instrument=1, session=Session.HALTED))
        update = await wire.event("instruments")
        assert (update["seq"], update["prev_seq"]) == (halted.seq, snapshot["seq"])
        assert [(row["symbol"], row["session"]) for row in update["data"]] == [(SPOT, "halted")]
        beat = await wire.skip_to(lambda m: m.get("ch") == "heartbeat" and m["seq"] >= halted.seq)
        assert beat["data"]["channels"] == {"instruments": halted.seq}
        await late.ok("subscribe", ch="instruments")
        assert {row["symbol"]: row["session"] for row in (await late.event("instruments"))["data"]}[SPOT] == "halted"
        assert (await wire.ok("unsubscribe", ch="instruments"))["result"] == {"ch": "instruments", "subscribed": False}
        # A Baron that is admitted marks its whole market, once.
        await exchange.party(baron=True)
        marked = (await late.event("instruments"))["data"]
        assert [row["symbol"] for row in marked] == [row["symbol"] for row in snapshot["data"]]
        assert {row["simulated"] for row in marked} == {True}


async def test_an_auction_by_a_breach_is_seen_everywhere(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with (
        exchange.trade(provider) as maker,
        exchange.trade(renter) as taker,
        exchange.market() as market,
        exchange.http(renter) as http,
    ):
        await market.ok("subscribe", ch="instruments")
        await market.event("instruments")
        await maker.ok("order.place", **sell(provider, "2.0000"))
        await taker.ok("order.place", **BUY)
        await maker.ok("order.place", **sell(provider, "3.0000"))
        await taker.ok("subscribe", ch="orders")
        breach = await taker.ok("order.place", **BUY | {"price": "3.0000"})
        assert (breach["result"]["status"], breach["result"]["leaves_quantity"]) == ("new", 2), "it joins the auction"
        update = await market.event("instruments")
        (row,) = update["data"]
        assert (update["seq"], row["session"], row["session_reason"]) == (breach["seq"], "auction", "outside_band")
        until_us = update["ts_us"] + AUCTION_S * 1_000_000
        assert abs(row["session_until_us"] - until_us) <= 1
        assert row["reference_price"] == "2.0000"

        params = {"min_seq": breach["seq"]}
        listed = (await http.get("/instruments", params=params)).json()["instruments"]
        shown = next(one for one in listed if one["symbol"] == SPOT)
        book = (await http.get(f"/books/{SPOT}", params=params)).json()
        assert (shown["session"], shown["session_reason"]) == ("auction", "outside_band")
        assert book["session"] == "auction"
        assert book["session_until"] == shown["session_until"] is not None
        assert [level["price"] for level in (*book["bids"], *book["asks"])] == ["3.0000", "3.0000"]
        other = (await http.get(f"/books/{ONDEMAND}")).json()
        assert (other["session"], other["session_until"]) == ("continuous", None)

        for refused in ({"type": "market", "price": None}, {"time_in_force": "ioc"}, {"min_quantity": 2}):
            assert (await taker.refused("order.place", **BUY | refused))["code"] == "session_closed"
        opened = await exchange.enter(SetSession(instrument=1, session=Session.CONTINUOUS))
        (row,) = (await market.event("instruments"))["data"]
        assert (row["session"], row["session_reason"], row["session_until_us"]) == ("continuous", None, None)
        auction = row["auction"]
        assert (auction["price"], auction["quantity"], auction["surplus_side"]) == ("3.0000", 2, None)
        assert auction["ts_us"] == opened.ts_ns // 1_000
        cleared = await taker.skip_to(lambda m: m.get("ch") == "orders" and m["seq"] == opened.seq)
        assert [(one["status"], one["liquidity"], one["last_price"]) for one in cleared["data"]] == [
            ("filled", "auction", "3.0000")
        ]


async def test_a_halt_leaves_orders_and_takes_their_cancels_alone(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        await wire.ok("order.place", **BUY | {"instrument": ONDEMAND, "client_order_id": "elsewhere"})
        placed = (await wire.ok("order.place", **BUY | {"client_order_id": "halted"}))["result"]["order_id"]
        await exchange.enter(SetSession(instrument=1, session=Session.HALTED))
        bid = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1.0000"}
        refused = [
            await wire.refused("order.place", **BUY),
            await wire.refused("order.amend", order_id=placed, quantity=1),
            await wire.refused("order.amend", client_order_id="halted", quantity=1),
            await wire.refused("quotes.set", name="mm", quotes=[bid]),
        ]
        for error in refused:
            assert error["code"] == "session_closed"
            assert error["detail"] == f"{SPOT} is halted, and takes cancels alone. Cancel, or wait for continuous."
        gone = (await wire.ok("order.cancel", order_id=placed))["result"]
        assert (gone["status"], gone["reason"]) == ("canceled", "requested")
