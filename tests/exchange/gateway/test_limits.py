"""What an operator says of accounts and Barons, over REST: limits, the kill switch, ratings; and what everybody sees of it."""

from __future__ import annotations

import pytest

from tests.exchange.gateway.floor import ONDEMAND, SKU, SPOT, Client, Floor, Json

BID = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "1.5000"}
WISH = {"sku": SKU, "kind": "spot", "gpus": 4, "hours": 1}


async def limit(exchange: Floor, client: Client, **limits: Json) -> Json:
    response = await exchange.admin.ask("PUT", f"/accounts/{client.account}/limits", limits)
    assert response.status_code == 200, response.text
    return response.json()


async def kill(exchange: Floor, client: Client, killed: bool = True) -> Json:
    response = await exchange.admin.ask("PUT", f"/accounts/{client.account}/kill-switch", {"killed": killed})
    assert response.status_code == 200, response.text
    return response.json()


async def test_limits_are_set_whole_and_shown_to_the_account(exchange: Floor) -> None:
    renter = await exchange.renter()
    none = {"max_open_orders": None, "max_notional": None, "max_gpus": None, "killed": False}
    shown = await renter.get("/limits")
    assert shown == none | {"seq": shown["seq"], "account": renter.account}
    said = await limit(exchange, renter, max_gpus=8, max_notional="20.50")
    assert said == none | {"seq": said["seq"], "account": renter.account, "max_gpus": 8, "max_notional": "20.500000"}
    shown = await renter.get("/limits", min_seq=said["seq"])
    assert shown | {"seq": 0} == said | {"seq": 0}
    said = await limit(exchange, renter, max_open_orders=2)
    assert (said["max_open_orders"], said["max_notional"], said["max_gpus"]) == (2, None, None)
    seen = await exchange.admin.get(f"/accounts/{renter.account}/limits", min_seq=said["seq"])
    assert seen["max_open_orders"] == 2


@pytest.mark.parametrize(
    ("limits", "code", "field"),
    [
        ({"max_gpus": 0}, "invalid_limits", "max_gpus"),
        ({"max_open_orders": 10_001}, "invalid_limits", "max_open_orders"),
        ({"max_open_orders": -1}, "invalid_limits", "max_open_orders"),
        ({"max_notional": "0"}, "invalid_limits", "max_notional"),
        ({"max_notional": "-1"}, "invalid_limits", "max_notional"),
        ({"max_notional": "999999999999"}, "invalid_amount", "max_notional"),
        ({"max_notional": 5}, "invalid_limits", "max_notional"),
        ({"killed": True}, "unknown_field", "killed"),
    ],
)
async def test_what_is_no_limit_is_refused(exchange: Floor, limits: Json, code: str, field: str) -> None:
    renter = await exchange.renter()
    problem = await exchange.admin.refused("PUT", f"/accounts/{renter.account}/limits", limits)
    assert (problem["status"], problem["code"], problem["field"]) == (422, code, field)
    assert "from 0" not in problem["detail"], "no limit may be 0"


async def test_an_unknown_account_has_no_limits(exchange: Floor) -> None:
    for account in ("acc_0000000000999", "nobody"):
        for method, path, body in (
            ("GET", "limits", None),
            ("PUT", "limits", {"max_gpus": 1}),
            ("PUT", "kill-switch", {"killed": True}),
        ):
            problem = await exchange.admin.refused(method, f"/accounts/{account}/{path}", body)
            assert (problem["status"], problem["code"]) == (404, "unknown_account"), path


async def test_each_limit_refuses_with_its_code_and_what_to_do(exchange: Floor) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    await limit(exchange, renter, max_gpus=3)
    for path, body in (("/orders", BID), ("/rentals", WISH)):
        problem = await renter.refused("POST", path, body)
        assert (problem["status"], problem["code"], problem["outcome"]) == (409, "gpu_limit", "rejected")
        assert "GET /v1/limits" in problem["detail"]
    placed = await renter.post("/orders", BID | {"quantity": 3})
    problem = await renter.refused("PATCH", f"/orders/{placed['order']['id']}", {"quantity": 4})
    assert problem["code"] == "gpu_limit"
    await limit(exchange, renter, max_notional="5")
    problem = await renter.refused("POST", "/orders", BID | {"quantity": 1})
    assert (problem["status"], problem["code"]) == (409, "notional_limit")
    await limit(exchange, renter, max_open_orders=1)
    assert (await renter.refused("POST", "/orders", BID))["code"] == "too_many_orders"


async def test_the_kill_switch_takes_orders_and_offers_and_gives_the_offers_back(exchange: Floor) -> None:
    provider, baron = await exchange.seller()
    renter = await exchange.renter()
    lease = (await renter.post("/rentals", WISH | {"gpus": 1}))["leases"][0]
    ask = {"instrument": ONDEMAND, "side": "sell", "quantity": 2, "price": "3", "baron": baron, "max_hours": 4}
    order = (await provider.post("/orders", ask))["order"]
    said = await kill(exchange, provider)
    assert (said["killed"], said["canceled_orders"]) == (True, 2)
    gone = await provider.get(f"/orders/{order['id']}", min_seq=said["seq"])
    assert (gone["status"], gone["reason"]) == ("canceled", "account_killed")
    (offer,) = (await provider.get("/asks"))["offers"]
    assert (offer["gpus"], offer["listed_gpus"]) == (8, 0)
    assert "stopped the account" in offer["note"]
    problem = await provider.refused("POST", "/orders", ask)
    assert (problem["status"], problem["code"]) == (403, "account_killed")
    offers = {"offers": [{"baron": baron, "instrument": SPOT, "price": "2.5", "gpus": 8}]}
    assert (await provider.refused("PUT", "/asks", offers))["code"] == "account_killed"
    assert (await renter.get(f"/leases/{lease['id']}"))["state"] == "provisioning"
    assert (await renter.refused("POST", "/rentals", WISH))["code"] == "no_liquidity"
    back = await kill(exchange, provider, killed=False)
    assert (back["killed"], back["canceled_orders"]) == (False, 0)
    (offer,) = (await provider.get("/asks", min_seq=back["seq"]))["offers"]
    assert (offer["listed_gpus"], offer["gpus"]) == (7, 8)


async def test_a_rating_is_asked_for_by_bids_rentals_and_quotes(exchange: Floor) -> None:
    provider, baron = await exchange.seller()
    renter = await exchange.renter()
    assert (await provider.get(f"/barons/{baron}"))["rating"] == 70
    assert (await renter.refused("POST", "/rentals", WISH | {"min_rating": 85}))["code"] == "no_liquidity"
    bid = await renter.post("/orders", BID | {"price": "2.0000", "min_rating": 85})
    assert (bid["order"]["min_rating"], bid["fills"]) == (85, [])
    plain = (await renter.post("/orders", BID | {"price": "1.0000", "min_rating": 0}))["order"]
    assert plain["min_rating"] is None
    book = await renter.get(f"/books/{SPOT}", min_seq=exchange.machine.last_seq)
    assert [(level["quantity"], level["conditional_quantity"]) for level in book["bids"]] == [(0, 4), (4, 0)]
    problem = await provider.refused("PUT", f"/barons/{baron}/rating", {"rating": 85})
    assert problem["code"] == "missing_scope"
    said = (await exchange.admin.ask("PUT", f"/barons/{baron}/rating", {"rating": 85})).json()
    assert (said["baron"], said["rating"]) == (baron, 85)
    (shown,) = (await provider.get("/barons", min_seq=said["seq"]))["barons"]
    assert shown["rating"] == 85
    quoted = await renter.post("/quotes", WISH | {"min_rating": 85}, status=200)
    assert quoted["quotes"][0]["available_gpus"] == 4
    assert len((await renter.post("/rentals", WISH | {"min_rating": 85}))["leases"]) == 1
    problem = await exchange.admin.refused("PUT", f"/barons/{baron}/rating", {"rating": 101})
    assert (problem["code"], problem["field"]) == ("invalid_rating", "rating")
    problem = await exchange.admin.refused("PUT", "/barons/brn_0000000000999/rating", {"rating": 1})
    assert (problem["status"], problem["code"]) == (404, "unknown_baron")
    sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "3", "baron": baron, "min_rating": 1}
    problem = await provider.refused("POST", "/orders", sell)
    assert (problem["code"], problem["field"]) == ("invalid_order", "min_rating")
