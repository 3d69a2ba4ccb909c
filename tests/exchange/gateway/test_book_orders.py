"""What the order book can do, over REST: every kind of order, mass cancel, sessions, and what a rental may ask of a Baron."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine.kinds import Feature, OrderType, TimeInForce, edge_name
from engine.messages import OpenAccount
from engine.records import SelfTrade, Session
from engine.units import NS_PER_HOUR
from exchange.gateway import schema
from tests.exchange.gateway.floor import ONDEMAND, SKU, SPOT, START_NS, Client, Floor, Json

BID = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "1.5000"}


def ask(baron: str, **more: Json) -> Json:
    return {"instrument": SPOT, "side": "sell", "quantity": 4, "price": "2.0000", "baron": baron} | more


async def maker(exchange: Floor, gpus: int = 16) -> tuple[Client, str]:
    """A provider with a Baron and no offers."""
    provider = await exchange.open("provider", "1000.00")
    return provider, await exchange.baron(provider, gpus)


async def trade_at(exchange: Floor, provider: Client, baron: str, price: str) -> None:
    """Let one GPU trade at a price."""
    await provider.post("/orders", ask(baron, quantity=1, price=price))
    await (await exchange.renter()).post("/orders", BID | {"quantity": 1, "price": price})


def test_the_doors_names_are_the_engines() -> None:
    assert schema.OrderTypeName.__args__ == tuple(map(edge_name, OrderType))  # type: ignore[attr-defined]
    assert set(schema.TimeInForceName.__args__) == set(map(edge_name, TimeInForce))  # type: ignore[attr-defined]
    assert schema.SelfTradeName.__args__ == tuple(map(edge_name, SelfTrade))  # type: ignore[attr-defined]
    assert schema.FeatureName.__args__ == tuple(str(one.name).lower() for one in Feature)  # type: ignore[attr-defined]
    sessions = {*schema.SessionName.__args__, "expired"}  # type: ignore[attr-defined]
    assert sessions == set(map(edge_name, Session))


async def test_a_stop_waits_for_its_price(exchange: Floor) -> None:
    provider, baron = await maker(exchange)
    renter = await exchange.renter()
    stop = BID | {"type": "stop", "stop_price": "2.0000", "price": "2.2000", "quantity": 2}
    placed = (await renter.post("/orders", stop))["order"]
    assert (placed["type"], placed["stop_price"], placed["price"]) == ("stop", "2.0000", "2.2000")
    assert (placed["armed"], placed["triggered"], placed["shown_quantity"], placed["status"]) == (True, None, 0, "new")
    assert (placed["time_in_force"], placed["hours"]) == ("gtc", None)
    resting = (await provider.post("/orders", ask(baron, price="2.1000")))["order"]
    assert resting["leaves_quantity"] == 4
    await trade_at(exchange, provider, baron, "2.0000")
    seq = exchange.machine.last_seq
    now = await renter.get(f"/orders/{placed['id']}", min_seq=seq)
    assert (now["armed"], now["status"], now["cum_quantity"]) == (False, "filled", 2)
    assert now["triggered"] is not None


async def test_a_stop_without_protection_has_no_price_until_it_is_triggered(exchange: Floor) -> None:
    provider, baron = await maker(exchange)
    placed = (await provider.post("/orders", ask(baron, type="stop", stop_price="1.0000", price=None)))["order"]
    assert (placed["price"], placed["armed"]) == (None, True)
    problem = await provider.refused("POST", "/orders", ask(baron, type="stop", price=None))
    assert (problem["code"], problem["field"]) == ("missing_field", "stop_price")


async def test_an_iceberg_shows_a_part(exchange: Floor) -> None:
    provider, baron = await maker(exchange)
    order = ask(baron, quantity=10, display_quantity=3, tag="berg", stp="cancel_oldest")
    placed = (await provider.post("/orders", order))["order"]
    assert (placed["shown_quantity"], placed["display_quantity"], placed["leaves_quantity"]) == (3, 3, 10)
    assert (placed["tag"], placed["stp"]) == ("berg", "cancel_oldest")
    (level,) = (await provider.get(f"/books/{SPOT}"))["asks"]
    assert level["quantity"] == 3
    bought = await (await exchange.renter()).post("/orders", BID | {"price": "2.0000"})
    assert [(fill["quantity"], fill["liquidity"]) for fill in bought["fills"]] == [(3, "taker"), (1, "taker")]
    (level,) = (await provider.get(f"/books/{SPOT}", min_seq=bought["seq"]))["asks"]
    assert level["quantity"] == 2


async def test_what_is_choosy_stands_apart_in_the_book(exchange: Floor) -> None:
    provider, baron = await maker(exchange)
    renter = await exchange.renter()
    choosy = (await provider.post("/orders", ask(baron, quantity=8, lot=8)))["order"]
    assert (choosy["lot"], choosy["status"]) == (8, "new")
    wants = BID | {"features": ["nvlink", "secure"], "same_baron": True, "min_quantity": 2}
    bid = (await renter.post("/orders", wants))["order"]
    assert (bid["features"], bid["same_baron"], bid["min_quantity"]) == (["nvlink", "secure"], True, 2)
    book = await renter.get(f"/books/{SPOT}", min_seq=exchange.machine.last_seq)
    assert [(level["quantity"], level["conditional_quantity"]) for level in book["asks"]] == [(0, 8)]
    assert [(level["quantity"], level["conditional_quantity"]) for level in book["bids"]] == [(0, 4)]


async def test_gtd_expires_when_it_says_and_can_be_moved(exchange: Floor) -> None:
    renter = await exchange.renter()
    moment = datetime.fromtimestamp(START_NS // 10**9, UTC) + timedelta(hours=2)
    problem = await renter.refused("POST", "/orders", BID | {"time_in_force": "gtd", "expire": "9999-01-01T00:00:00Z"})
    assert (problem["code"], problem["field"]) == ("invalid_expiry", "expire")
    problem = await renter.refused("POST", "/orders", BID | {"time_in_force": "gtd", "expire": "tomorrow"})
    assert (problem["code"], problem["field"]) == ("invalid_expiry", "expire")
    placed = (await renter.post("/orders", BID | {"time_in_force": "gtd", "expire": moment.isoformat()}))["order"]
    told = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert (placed["time_in_force"], placed["expire"]) == ("gtd", told)
    sooner = (moment - timedelta(hours=1)).isoformat()
    changed = (await renter.ask("PATCH", f"/orders/{placed['id']}", {"expire": sooner})).json()
    assert changed["expire"] < told
    exchange.clock.now_ns += NS_PER_HOUR
    # Any command lets what is due come before it.
    after = await exchange.enter(OpenAccount(account=999, maker_fee_ppm=0, taker_fee_ppm=0))
    now = await renter.get(f"/orders/{placed['id']}", min_seq=after.seq)
    assert (now["status"], now["reason"]) == ("expired", "expired")


async def test_day_ends_at_midnight_utc(exchange: Floor) -> None:
    placed = (await (await exchange.renter()).post("/orders", BID | {"time_in_force": "day"}))["order"]
    assert placed["expire"] == "2025-10-10T00:00:00.000000Z"


async def test_mass_cancel_takes_what_fits(exchange: Floor) -> None:
    provider, baron = await exchange.seller()
    renter = await exchange.renter()
    await renter.post("/orders", BID | {"tag": "a"})
    await renter.post("/orders", BID | {"tag": "b"})
    await renter.post("/orders", BID | {"instrument": ONDEMAND})
    assert (await renter.ask("DELETE", "/orders", params={"side": "sell"})).json()["orders"] == 0
    assert (await renter.ask("DELETE", "/orders", params={"tag": "a"})).json()["orders"] == 1
    assert (await renter.ask("DELETE", "/orders", params={"instrument": ONDEMAND})).json()["orders"] == 1
    answer = (await renter.ask("DELETE", "/orders")).json()
    assert answer["orders"] == 1
    rows = (await renter.get("/orders", min_seq=answer["seq"]))["orders"]
    assert {(row["status"], row["reason"]) for row in rows} == {("canceled", "mass_canceled")}
    assert (await provider.ask("DELETE", "/orders")).json()["orders"] == 0, "an offer's orders stay"
    problem = await renter.refused("DELETE", "/orders", params={"baron": baron})
    assert problem["code"] == "invalid_parameter"
    problem = await renter.refused("DELETE", "/orders", params={"instrument": "nothing"})
    assert (problem["code"], problem["field"]) == ("unknown_instrument", "instrument")


async def test_an_administrator_halts_opens_and_auctions(exchange: Floor) -> None:
    provider, baron = await maker(exchange)
    renter = await exchange.renter()
    body = {"session": "halted"}
    assert (await renter.refused("PUT", f"/instruments/{SPOT}/session", body))["code"] == "missing_scope"
    halted = (await exchange.admin.ask("PUT", f"/instruments/{SPOT}/session", body)).json()
    assert (halted["session"], halted["symbol"], halted["trades"]) == ("halted", SPOT, 0)
    problem = await renter.refused("POST", "/orders", BID)
    assert (problem["code"], problem["status"]) == ("session_closed", 409)
    listed = (await renter.get("/instruments", min_seq=halted["seq"]))["instruments"]
    assert {row["symbol"]: row["session"] for row in listed}[SPOT] == "halted"

    await exchange.admin.ask("PUT", f"/instruments/{SPOT}/session", {"session": "auction"})
    await provider.post("/orders", ask(baron))
    bid = await renter.post("/orders", BID | {"price": "2.0000", "quantity": 5})
    assert bid["fills"] == []
    opened = await exchange.admin.ask("PUT", f"/instruments/{SPOT}/session", {"session": "continuous"})
    answer = opened.json()
    assert (answer["session"], answer["auction_price"], answer["trades"]) == ("continuous", "2.0000", 1)
    (trade,) = (await renter.get(f"/trades/{SPOT}", min_seq=answer["seq"]))["trades"]
    assert (trade["auction"], trade["quantity"]) == (True, 4)
    row = next(row for row in (await renter.get("/instruments"))["instruments"] if row["symbol"] == SPOT)
    assert (row["session"], row["reference_price"]) == ("continuous", "2.0000")
    assert (row["auction"]["price"], row["auction"]["surplus_side"]) == ("2.0000", "buy")
    for bad in ("expired", "open"):
        problem = await exchange.admin.refused("PUT", f"/instruments/{SPOT}/session", {"session": bad})
        assert problem["code"] == "invalid_field"


async def test_an_auction_by_a_breach_ends_by_itself(exchange: Floor) -> None:
    provider, baron = await maker(exchange)
    renter = await exchange.renter()
    await trade_at(exchange, provider, baron, "2.0000")
    await provider.post("/orders", ask(baron, price="3.0000"))
    breach = await renter.post("/orders", BID | {"price": "3.1000"})
    assert (breach["order"]["status"], breach["fills"]) == ("new", [])
    book = await renter.get(f"/books/{SPOT}", min_seq=breach["seq"])
    assert (book["session"], book["session_until"]) == ("auction", "2025-10-09T08:55:20.000000Z")
    assert book["bids"][0]["price"] > book["asks"][0]["price"], "an auction's book may be crossed"
    rental = {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1, "regions": ["us-east"]}
    assert (await renter.post("/quotes", rental, status=200))["quotes"][0]["reason"] == "session_closed"
    assert (await renter.refused("POST", "/rentals", rental))["code"] == "session_closed"
    exchange.clock.now_ns += 120 * 10**9
    after = await exchange.enter(OpenAccount(account=999, maker_fee_ppm=0, taker_fee_ppm=0))
    now = await renter.get(f"/orders/{breach['order']['id']}", min_seq=after.seq)
    assert now["status"] == "filled"
    book = await renter.get(f"/books/{SPOT}")
    assert (book["session"], book["session_until"], book["bids"]) == ("continuous", None, [])
    row = next(row for row in (await renter.get("/instruments"))["instruments"] if row["symbol"] == SPOT)
    assert (row["auction"]["price"], row["session_reason"]) == ("3.0000", None)


async def test_a_rental_may_ask_for_features_and_one_baron(exchange: Floor) -> None:
    provider = await exchange.open("provider", "1000.00")
    barons = [await exchange.baron(provider, 8) for _ in range(2)]
    offers = [{"baron": baron, "instrument": SPOT, "price": "2.0000", "gpus": 8} for baron in barons]
    assert (await provider.ask("PUT", "/asks", {"offers": offers})).status_code == 200
    renter = await exchange.renter()
    wish = {"sku": SKU, "kind": "spot", "gpus": 8, "hours": 1}
    problem = await renter.refused("POST", "/rentals", wish | {"features": ["nvlink"]})
    assert problem["code"] == "no_liquidity"
    problem = await provider.refused("PUT", f"/barons/{barons[1]}/features", {"features": ["nvlink"]})
    assert problem["code"] == "missing_scope"
    said = await exchange.admin.ask("PUT", f"/barons/{barons[1]}/features", {"features": ["nvlink", "infiniband"]})
    assert said.json()["features"] == ["infiniband", "nvlink"]
    shown = await provider.get(f"/barons/{barons[1]}", min_seq=said.json()["seq"])
    assert shown["features"] == ["infiniband", "nvlink"]
    quoted = await renter.post("/quotes", wish | {"features": ["nvlink"], "gpus": 9}, status=200)
    assert quoted["quotes"][0]["available_gpus"] == 8
    rented = await renter.post("/rentals", wish | {"features": ["nvlink"], "same_baron": True})
    assert [lease["baron"] for lease in rented["leases"]] == [barons[1]]
    wide = wish | {"gpus": 2, "same_baron": True}
    assert (await renter.post("/quotes", wide, status=200))["quotes"][0]["available_gpus"] == 2
