"""`/ws/v1/trade`: orders in, execution reports out, each reply before any event of its order."""

from __future__ import annotations

import asyncio
import itertools

from engine.ids import parse_id
from engine.messages import SetCapacity
from exchange.gateway.ws.trade import MAX_IN_FLIGHT
from exchange.registry.rows import Scope
from tests.exchange.gateway_ws.house import ONDEMAND, SPOT, House, Json, Party

BUY = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "2.0000"}


def sell(provider: Party, **more: Json) -> dict[str, Json]:
    return {"instrument": SPOT, "side": "sell", "quantity": 4, "price": "2.0000", "baron": provider.baron} | more


async def test_an_order_rests_is_amended_and_cancelled(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        placed = await wire.ok("order.place", **BUY, client_order_id="mine")
        order = placed["result"]
        assert placed["in_us"] <= placed["out_us"]
        assert placed["seq"] == order["seq"]
        assert (order["status"], order["exec_type"], order["leaves_quantity"]) == ("new", "new", 4)
        assert (order["client_order_id"], order["instrument"], order["price"]) == ("mine", SPOT, "2.0000")

        amended = (await wire.ok("order.amend", order_id=order["order_id"], price="1.9999", quantity=3))["result"]
        assert (amended["exec_type"], amended["price"], amended["quantity"]) == ("replaced", "1.9999", 3)
        assert (amended["status"], amended["reason"]) == ("new", "requested")
        amended = (await wire.ok("order.amend", client_order_id="mine", quantity=2))["result"]
        assert (amended["order_id"], amended["leaves_quantity"]) == (order["order_id"], 2)

        cancelled = (await wire.ok("order.cancel", client_order_id="mine"))["result"]
        assert (cancelled["exec_type"], cancelled["status"], cancelled["reason"]) == (
            "canceled",
            "canceled",
            "requested",
        )
        assert (cancelled["leaves_quantity"], cancelled["cum_quantity"]) == (0, 0)

        error = await wire.refused("order.cancel", order_id=order["order_id"])
        assert (error["code"], error["order_status"]) == ("order_closed", "canceled")


async def test_both_sides_of_a_trade_have_their_reports_and_fills(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(provider) as maker, exchange.trade(renter) as taker:
        for wire in (maker, taker):
            for channel in ("orders", "fills", "leases"):
                await wire.ok("subscribe", ch=channel)
        await maker.ok("order.place", **sell(provider, quantity=10))
        lease: Json = None
        reply = await taker.ok("order.place", **BUY)
        assert (reply["result"]["status"], reply["result"]["cum_quantity"]) == ("filled", 4)
        for wire, liquidity, leaves in ((maker, "maker", 6), (taker, "taker", 0)):
            reports = await wire.skip_to(
                lambda message: message.get("ch") == "orders" and message["seq"] == reply["seq"]
            )
            report = reports["data"][-1]
            assert (report["exec_type"], report["liquidity"], report["leaves_quantity"]) == ("trade", liquidity, leaves)
            assert (report["last_quantity"], report["last_price"]) == (4, "2.0000")
            assert report["simulated"] is True
            fill = (await wire.event("fills"))["data"][0]
            assert (fill["quantity"], fill["price"], fill["liquidity"]) == (4, "2.0000", liquidity)
            assert fill["simulated"] is True
            lease = (await wire.skip_to(lambda m: m.get("ch") == "leases" and m["type"] == "update"))["data"][0]
            assert lease["id"] == fill["lease_id"]
            assert (lease["state"], lease["simulated"], lease["gpus"]) == ("provisioning", True, 4)
        assert lease["order_id"] == reply["result"]["order_id"]


async def test_reports_say_simulated_of_the_baron_that_they_name(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(provider) as maker, exchange.trade(renter) as taker:
        bought = await taker.ok("order.place", **BUY | {"price": "1.0000"}, client_order_id="b")
        assert bought["result"]["simulated"] is None, "a buy names no Baron"
        for simulated in (True, False):
            await exchange.enter(SetCapacity(baron=parse_id("brn", provider.baron), gpus=1_000, simulated=simulated))
            name = f"s{simulated}"
            sold = (await maker.ok("order.place", **sell(provider, client_order_id=name)))["result"]
            assert (sold["exec_type"], sold["simulated"]) == ("new", simulated)
            again = (await maker.ok("order.place", **sell(provider, client_order_id=name)))["result"]
            assert (again["duplicate"], again["simulated"]) == (True, simulated)
            await maker.ok("subscribe", ch="orders")
            (shown,) = (await maker.skip_to(lambda m: m.get("type") == "snapshot"))["data"]
            assert shown["simulated"] is simulated
            reply = await taker.ok("order.place", **BUY)
            assert (reply["result"]["exec_type"], reply["result"]["simulated"]) == ("trade", simulated)
            await maker.ok("unsubscribe", ch="orders")
            late = (await maker.ok("order.place", **sell(provider, client_order_id=name)))["result"]
            assert (late["status"], late["simulated"]) == ("filled", simulated)


async def test_exec_ids_are_never_used_twice(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    seen: list[str] = []
    async with exchange.trade(provider) as maker, exchange.trade(renter) as taker:
        for price in ("2.0000", "2.0001"):
            await maker.ok("order.place", **sell(provider, price=price))
        await maker.ok("subscribe", ch="orders")
        await taker.ok("subscribe", ch="orders")
        last = await taker.ok("order.place", **BUY | {"quantity": 8, "price": "2.0001"})
        for wire in (maker, taker):
            while True:
                event = await wire.event("orders")
                seen += [report["exec_id"] for report in event["data"] if report["exec_id"]]
                if event["seq"] == last["seq"]:
                    break
    # Two trades, told to both sides, and the taker's entry.
    assert len(seen) == 2 * 2 + 1
    assert len(set(seen)) == len(seen)


async def test_the_reply_precedes_every_event_of_its_order(exchange: House) -> None:
    """Many orders in one go, so that they share batches: on the connection each reply still comes first, all in order."""
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        await wire.ok("subscribe", ch="orders")
        assert (await wire.event("orders"))["type"] == "snapshot"
        sent = [await wire.send("order.place", **BUY | {"quantity": 1}) for _ in range(100)]
        replied: list[int] = []
        seqs: list[int] = []
        prev = None
        events = 0
        while events < len(sent):
            message = await wire.next()
            if "id" in message:
                assert message["status"] == 200
                replied.append(message["id"])
                seqs.append(message["seq"])
            else:
                assert message["seq"] in seqs
                assert prev is None or message["prev_seq"] == prev
                prev = message["seq"]
                events += 1
        assert replied == sent
        assert seqs == sorted(seqs)


async def test_requests_enter_in_the_order_in_which_they_were_sent(exchange: House) -> None:
    """A cancel right behind its order, and a place behind both: none overtakes the other."""
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        for round_number in range(20):
            name = f"order-{round_number}"
            await wire.send("order.place", **BUY, client_order_id=name)
            await wire.send("order.amend", client_order_id=name, price="1.9000")
            await wire.send("order.cancel", client_order_id=name)
        for kind in itertools.islice(itertools.cycle(("new", "replaced", "canceled")), 60):
            reply = await wire.next()
            assert reply["status"] == 200, reply
            assert reply["result"]["exec_type"] == kind


async def test_a_repeated_client_id_is_answered_as_a_duplicate(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(renter) as wire, exchange.trade(provider) as maker:
        first = (await wire.ok("order.place", **BUY, client_order_id="once"))["result"]
        again = (await wire.ok("order.place", **BUY, client_order_id="once"))["result"]
        assert (again["order_id"], again["duplicate"], first["duplicate"]) == (first["order_id"], True, False)
        assert (await wire.refused("order.place", **BUY | {"quantity": 5}, client_order_id="once"))["code"] == (
            "duplicate_client_order_id"
        )
        await maker.ok("order.place", **sell(provider))
        filled = (await wire.ok("order.place", **BUY, client_order_id="once"))["result"]
        assert (filled["order_id"], filled["status"], filled["duplicate"]) == (first["order_id"], "filled", True)


async def test_the_snapshot_of_orders_holds_what_is_open(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        placed = [(await wire.ok("order.place", **BUY))["result"]["order_id"] for _ in range(3)]
        await wire.ok("order.cancel", order_id=placed[1])
        subscribed = await wire.ok("subscribe", ch="orders")
        assert subscribed["result"] == {"ch": "orders", "subscribed": True}
        snapshot = await wire.event("orders")
        assert [report["order_id"] for report in snapshot["data"]] == [placed[0], placed[2]]
        assert {report["exec_type"] for report in snapshot["data"]} == {"status"}
        assert snapshot["seq"] == subscribed["seq"]
        reply = await wire.ok("order.cancel", order_id=placed[0])
        update = await wire.event("orders")
        assert (update["type"], update["seq"], update["prev_seq"]) == ("update", reply["seq"], snapshot["seq"])
        assert (await wire.ok("unsubscribe", ch="orders"))["result"] == {"ch": "orders", "subscribed": False}
        await wire.ok("order.cancel", order_id=placed[2])
        assert (await wire.refused("unsubscribe", ch="orders"))["code"] == "not_subscribed"


async def test_what_the_market_does_to_an_order_is_reported_too(exchange: House) -> None:
    provider = await exchange.party(baron=True)
    async with exchange.trade(provider) as wire:
        placed = (await wire.ok("order.place", **sell(provider, quantity=8)))["result"]
        await wire.ok("subscribe", ch="orders")
        await wire.event("orders")
        reply = await exchange.enter(SetCapacity(baron=parse_id("brn", provider.baron), gpus=5, simulated=True))
        cut = await wire.event("orders")
        report = cut["data"][0]
        assert cut["seq"] == reply.seq
        assert (report["order_id"], report["exec_type"], report["reason"]) == (
            placed["order_id"],
            "restated",
            "capacity_cut",
        )
        assert (report["leaves_quantity"], report["quantity"]) == (5, 5)


async def test_nobody_sees_anothers_orders(exchange: House) -> None:
    one, other = await exchange.party(), await exchange.party()
    async with exchange.trade(one) as mine, exchange.trade(other) as theirs:
        await theirs.ok("subscribe", ch="orders")
        assert (await theirs.event("orders"))["data"] == []
        placed = (await mine.ok("order.place", **BUY))["result"]
        assert (await theirs.refused("order.cancel", order_id=placed["order_id"]))["code"] == "unknown_order"
        assert (await theirs.refused("order.amend", order_id=placed["order_id"], quantity=1))["code"] == "unknown_order"
        own = (await theirs.ok("order.place", **BUY))["result"]
        event = await theirs.event("orders")
        assert [report["order_id"] for report in event["data"]] == [own["order_id"]]


BAD_ORDERS: list[tuple[dict[str, Json], str, str | None]] = [
    ({}, "missing_field", "instrument"),
    (BUY | {"reduce_only": True}, "invalid_order", "reduce_only"),
    (BUY | {"deadline_us": 1}, "unknown_field", "deadline_us"),
    (BUY | {"expire": "2030-01-01T00:00:00Z"}, "unknown_field", "expire"),
    (BUY | {"stop_price": "1.0"}, "invalid_order", "stop_price"),
    (BUY | {"type": "stop", "stop_price": "2.5", "price": None}, "missing_field", "price"),
    (BUY | {"type": "stop_limit"}, "missing_field", "stop_price"),
    (BUY | {"type": "stop_limit", "stop_price": "0"}, "invalid_price", "stop_price"),
    (BUY | {"time_in_force": "gtd"}, "missing_field", "expire_us"),
    (BUY | {"time_in_force": "gtd", "expire_us": 1}, "invalid_expiry", "expire_us"),
    (BUY | {"time_in_force": "gtd", "expire_us": 10**16}, "invalid_expiry", "expire_us"),
    (BUY | {"expire_us": 10**15}, "invalid_order", "expire_us"),
    (BUY | {"display_quantity": 5}, "invalid_quantity", "display_quantity"),
    (BUY | {"min_quantity": 0}, "invalid_quantity", "min_quantity"),
    (BUY | {"stp": "both"}, "invalid_field", "stp"),
    (BUY | {"stp": "decrement", "min_quantity": 2}, "invalid_order", "stp"),
    (BUY | {"features": ["gold"]}, "invalid_features", "features[0]"),
    (BUY | {"min_rating": 101}, "invalid_rating", "min_rating"),
    (BUY | {"min_rating": -1}, "invalid_rating", "min_rating"),
    (BUY | {"same_baron": True, "display_quantity": 2}, "invalid_order", "same_baron"),
    (BUY | {"lot": 8}, "invalid_order", "lot"),
    (BUY | {"min_hours": 2}, "invalid_order", "min_hours"),
    (BUY | {"tag": "no spaces"}, "invalid_field", "tag"),
    (BUY | {"price": "2.00001"}, "invalid_price", "price"),
    (BUY | {"price": 2.0}, "invalid_price", "price"),
    (BUY | {"quantity": -1}, "invalid_quantity", "quantity"),
    (BUY | {"quantity": 10**30}, "invalid_quantity", "quantity"),
    (BUY | {"instrument": "H100.moon.spot"}, "unknown_instrument", "instrument"),
    (BUY | {"side": "hold"}, "invalid_field", "side"),
    (BUY | {"baron": "brn_0000000000001"}, "invalid_order", "baron"),
    (BUY | {"client_order_id": "no spaces"}, "invalid_field", "client_order_id"),
    ({"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2"}, "missing_field", "baron"),
    (BUY | {"instrument": ONDEMAND, "hours": 100_000}, "invalid_hours", "hours"),
    (BUY | {"quantity": 100_000, "price": "1000"}, "insufficient_funds", None),
]


async def test_bad_orders_are_refused_with_the_table_s_code(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        for params, code, field in BAD_ORDERS:
            error = await wire.refused("order.place", **params)
            assert (error["code"], error.get("field"), error["outcome"]) == (code, field, "rejected"), params
        await wire.ok("subscribe", ch="orders")
        assert (await wire.event("orders"))["data"] == []


async def test_what_lacks_funds_says_how_much(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        error = await wire.refused("order.place", **BUY | {"quantity": 100_000, "price": "1000"})
        has = str(error["available"])
        # An hour and two minutes of it with the taker's fee.
        assert float(str(error["needed"])) >= 100_000 * 1000 * 3720 / 3600 > float(has) > 0
        assert has in str(error["detail"])
        other = await wire.refused("order.place", **BUY | {"quantity": 0})
        assert "needed" not in other and "available" not in other


UNKNOWN: list[tuple[str, dict[str, Json], str]] = [
    ("order.amend", {"order_id": "ord_0000000000001", "quantity": 1}, "unknown_order"),
    ("order.amend", {"order_id": "ord_0000000000001", "client_order_id": "x", "quantity": 1}, "invalid_field"),
    ("order.amend", {"quantity": 1}, "invalid_field"),
    ("order.cancel", {}, "invalid_field"),
    ("order.cancel", {"order_id": "nonsense"}, "invalid_field"),
    ("order.cancel", {"order_id": "ord_0000000000001", "all": True}, "unknown_field"),
    ("orders.cancel_all", {"instrument": "H100.moon.spot"}, "unknown_instrument"),
    ("orders.cancel_all", {"baron": "brn_0000000000001"}, "unknown_field"),
    ("cancel_all_after", {}, "missing_field"),
    ("cancel_all_after", {"after_ms": 86_400_001}, "invalid_expiry"),
    ("quotes.set", {"name": "mm"}, "missing_field"),
    ("quotes.set", {"name": "m m", "quotes": []}, "invalid_field"),
    ("session.logon", {}, "unknown_op"),
    ("subscribe", {"ch": "balances"}, "unknown_channel"),
    ("subscribe", {"ch": f"book.{SPOT}"}, "unknown_channel"),
    ("subscribe", {"ch": "orders", "from_seq": 1}, "unknown_field"),
    ("subscribe", {}, "missing_field"),
]


async def test_what_there_is_not_is_an_error(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        for op, params, code in UNKNOWN:
            assert (await wire.refused(op, **params))["code"] == code, (op, params)


async def test_an_unknown_order_is_blamed_on_the_name_that_it_was_given_by(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        for op, more in (("order.cancel", {}), ("order.amend", {"quantity": 1})):
            by_own = await wire.refused(op, client_order_id="never-given", **more)
            assert (by_own["code"], by_own["field"]) == ("unknown_order", "client_order_id")
            assert "order_id" in by_own["detail"], "it may be named by the exchange's id as well"
            by_id = await wire.refused(op, order_id="ord_0000000000001", **more)
            assert (by_id["code"], by_id["field"]) == ("unknown_order", "order_id")


async def test_an_order_without_an_ssh_key_is_refused(exchange: House) -> None:
    renter = await exchange.party()
    (row,) = await exchange.registry.ssh_keys(renter.account)
    await exchange.registry.delete_ssh_key(renter.account, row.ssh_key_id)
    async with exchange.trade(renter) as wire:
        assert (await wire.refused("order.place", **BUY))["code"] == "no_ssh_key"


async def test_scopes_are_checked_by_op(exchange: House) -> None:
    reader, trader = await exchange.party(Scope.READ), await exchange.party(Scope.TRADE)
    async with exchange.trade(reader) as wire:
        assert (await wire.refused("order.place", **BUY))["code"] == "missing_scope"
        assert (await wire.refused("order.cancel", client_order_id="x"))["code"] == "missing_scope"
        await wire.ok("subscribe", ch="orders")
    async with exchange.trade(trader) as wire:
        assert (await wire.refused("subscribe", ch="orders"))["code"] == "missing_scope"
        await wire.ok("order.place", **BUY)


async def test_commands_under_way_are_bounded(exchange: House) -> None:
    """More than may wait, sent while the sequencer is held: those above the bound are refused, the others answered."""
    renter = await exchange.party()
    asked = MAX_IN_FLIGHT + 10
    async with exchange.trade(renter) as wire:
        await wire.ok("order.place", **BUY)
        held = asyncio.Event()
        submit = exchange.sequencer.submit

        async def slow(command: Json) -> Json:
            await held.wait()
            return await submit(command)

        exchange.doors._submit = slow
        async with exchange.trade(renter) as bounded:
            for _ in range(asked):
                await bounded.send("order.place", **BUY | {"quantity": 1})
            refused = [await bounded.next() for _ in range(asked - MAX_IN_FLIGHT)]
            assert {reply["error"]["code"] for reply in refused} == {"too_many_in_flight"}
            assert all(reply["error"]["retry_after_ms"] > 0 for reply in refused)
            held.set()
            answered = [await bounded.next() for _ in range(MAX_IN_FLIGHT)]
            assert {reply["status"] for reply in answered} == {200}


async def test_a_stopped_sequencer_is_said_so(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        await exchange.sequencer.stop()
        error = await wire.refused("order.place", **BUY)
        assert (error["code"], error["outcome"]) == ("overloaded", "rejected")


async def test_orders_outlive_the_connection(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as wire:
        await wire.ok("order.place", **BUY, client_order_id="stays")
    async with exchange.trade(renter) as wire:
        await wire.ok("subscribe", ch="orders")
        assert [report["client_order_id"] for report in (await wire.event("orders"))["data"]] == ["stays"]
