"""Orders over REST: placed, read, amended, cancelled, and answered from their own events."""

from __future__ import annotations

import pytest

from tests.exchange.gateway.floor import ONDEMAND, SPOT, Floor

BID = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "1.5000"}


async def test_a_bid_rests_is_amended_filled_and_cancelled(exchange: Floor) -> None:
    renter = await exchange.renter()
    placed = await renter.post("/orders", BID | {"client_order_id": "mine-1", "hours": 5})
    order = placed["order"]
    assert (order["status"], order["leaves_quantity"], order["hours"]) == ("new", 4, 5)
    assert (placed["fills"], placed["leases"], placed["duplicate"]) == ([], [], False)
    assert await renter.get(f"/orders/{order['id']}") == order
    assert await renter.get("/orders/by-client-id/mine-1", min_seq=placed["seq"]) == order
    book = await renter.get(f"/books/{SPOT}", min_seq=placed["seq"])
    assert book["bids"] == [{"price": "1.5000", "quantity": 4, "conditional_quantity": 0, "orders": 1}]

    response = await renter.ask("PATCH", f"/orders/{order['id']}", {"quantity": 3})
    changed = response.json()
    assert (response.status_code, changed["status"], changed["quantity"], changed["leaves_quantity"]) == (
        200,
        "new",
        3,
        3,
    )

    provider = await exchange.open("provider", "1000.00")
    baron = await exchange.baron(provider)
    sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "1.0000", "baron": baron}
    sold = await provider.post("/orders", sell)
    assert (sold["order"]["status"], sold["leases"]) == ("filled", [])
    assert [(fill["price"], fill["quantity"], fill["liquidity"]) for fill in sold["fills"]] == [("1.5000", 1, "taker")]
    trades = (await renter.get(f"/trades/{SPOT}", min_seq=sold["seq"]))["trades"]
    assert [(trade["id"], trade["taker_side"]) for trade in trades] == [(sold["fills"][0]["trade_id"], "sell")]

    now = await renter.get(f"/orders/{order['id']}", min_seq=sold["seq"])
    assert (now["status"], now["cum_quantity"], now["leaves_quantity"]) == ("partially_filled", 1, 2)
    canceled = await renter.delete(f"/orders/{order['id']}")
    assert (canceled["status"], canceled["reason"], canceled["leaves_quantity"]) == ("canceled", "requested", 0)
    problem = await renter.refused("DELETE", f"/orders/{order['id']}")
    assert (problem["code"], problem["order_status"], problem["order_id"]) == ("order_closed", "canceled", order["id"])
    open_orders = await renter.get("/orders", open=True, min_seq=canceled["seq"])
    assert open_orders["orders"] == []


async def test_an_amend_that_trades_tells_its_fills_and_leases(exchange: Floor) -> None:
    _, baron = await exchange.seller(price="2.0000")
    renter = await exchange.renter()
    order = (await renter.post("/orders", BID))["order"]
    response = await renter.ask("PATCH", f"/orders/{order['id']}", {"price": "2.0000"})
    changed = response.json()
    assert (changed["status"], changed["leaves_quantity"], changed["price"]) == ("filled", 0, "2.0000")
    assert [(lease["gpus"], lease["baron"], lease["simulated"]) for lease in changed["leases"]] == [(4, baron, True)]
    assert [(fill["quantity"], fill["lease_id"]) for fill in changed["fills"]] == [(4, changed["leases"][0]["id"])]


async def test_a_market_order_needs_no_price_and_an_on_demand_bid_no_hours(exchange: Floor) -> None:
    await exchange.seller(price="2.0000", symbol=ONDEMAND)
    renter = await exchange.renter()
    order = {"instrument": ONDEMAND, "side": "buy", "quantity": 1, "type": "market"}
    placed = await renter.post("/orders", order)
    assert (placed["order"]["status"], placed["order"]["price"], placed["order"]["hours"]) == ("filled", "2.1000", 1)
    assert placed["order"]["time_in_force"] == "ioc"


async def test_a_repeat_by_client_order_id_is_told_as_one(exchange: Floor) -> None:
    renter = await exchange.renter()
    first = await renter.post("/orders", BID | {"client_order_id": "one"})
    again = await renter.post("/orders", BID | {"client_order_id": "one"})
    assert (again["duplicate"], again["seq"], again["order"]) == (True, first["seq"], first["order"])
    problem = await renter.refused("POST", "/orders", BID | {"client_order_id": "one", "quantity": 5})
    assert (problem["status"], problem["code"]) == (422, "duplicate_client_order_id")
    assert len((await renter.get("/orders", min_seq=exchange.machine.last_seq))["orders"]) == 1


async def test_an_order_of_somebody_else_is_unknown(exchange: Floor) -> None:
    renter, stranger = await exchange.renter(), await exchange.renter()
    order = (await renter.post("/orders", BID | {"client_order_id": "mine"}))["order"]
    for method, body in (("GET", None), ("PATCH", {"quantity": 1}), ("DELETE", None)):
        problem = await stranger.refused(method, f"/orders/{order['id']}", body)
        assert (problem["status"], problem["code"]) == (404, "unknown_order")
    assert (await stranger.refused("GET", "/orders/by-client-id/mine"))["code"] == "unknown_order"


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"baron": "brn_0000000000001"}, "invalid_order", "baron"),
        ({"max_hours": 5}, "invalid_order", "max_hours"),
        ({"side": "sell"}, "missing_field", "baron"),
        ({"side": "sell", "hours": 2, "baron": "brn_0000000000001"}, "invalid_order", "hours"),
        ({"side": "sell", "baron": "brn_0000000000077"}, "unknown_baron", "baron"),
        ({"price": None}, "missing_field", "price"),
        ({"instrument": "nothing"}, "unknown_instrument", "instrument"),
        ({"hours": 745}, "invalid_hours", "hours"),
        ({"type": "market", "time_in_force": "gtc"}, "invalid_order", None),
        ({"price": "1000.0000", "quantity": 1000}, "insufficient_funds", None),
    ],
)
async def test_an_order_that_cant_be(exchange: Floor, change: dict[str, object], code: str, field: str | None) -> None:
    renter = await exchange.renter()
    problem = await renter.refused("POST", "/orders", BID | change)
    assert problem["code"] == code
    assert field is None or problem["field"] == field
    assert (await renter.get("/orders", min_seq=exchange.machine.last_seq))["orders"] == []
