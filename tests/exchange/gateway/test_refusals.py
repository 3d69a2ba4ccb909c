"""Refusals of the engine in words: the rule that was broken, the field at fault, and what this session does take."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kinds import Kind, OrderType, Side, TimeInForce
from engine.messages import AmendOrder, PlaceOrder, Quote, Rejected, Rent, SetQuotes, SetSession
from engine.reasons import Reason
from engine.records import Session
from exchange.gateway.refusals import instrument_named, public_field, rejection, session_words
from exchange.read.interface import InstrumentRow
from tests.exchange.gateway.floor import ONDEMAND, SKU, SPOT, START_NS, Floor, Json

BID = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "1.5000"}
ANYWHERE: Json = {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}
RENTAL = ANYWHERE | {"regions": ["us-east"]}
PLACE = PlaceOrder(
    account=1,
    instrument=7,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    price_ticks=1,
    quantity=10,
)


async def in_session(exchange: Floor, session: str) -> None:
    response = await exchange.admin.ask("PUT", f"/instruments/{SPOT}/session", {"session": session})
    assert response.status_code == 200, response.text


async def test_a_halt_says_that_it_takes_cancels_alone(exchange: Floor) -> None:
    renter = await exchange.renter()
    placed = (await renter.post("/orders", BID))["order"]
    await in_session(exchange, "halted")
    said = f"{SPOT} is halted, and takes cancels alone."
    refused = [
        await renter.refused("POST", "/orders", BID),
        await renter.refused("PATCH", f"/orders/{placed['id']}", {"quantity": 2}),
        await renter.refused("POST", "/rentals", RENTAL),
    ]
    for problem in refused:
        assert problem["code"] == "session_closed"
        assert problem["detail"].startswith(said), problem
        assert "limit order" not in problem["detail"]
    quoted = await renter.post("/quotes", RENTAL, status=200)
    assert quoted["quotes"][0]["detail"].startswith(said)
    assert (await renter.delete(f"/orders/{placed['id']}"))["status"] == "canceled"


async def test_an_auction_says_what_it_takes_and_until_when(exchange: Floor) -> None:
    provider = await exchange.open("provider", "1000.00")
    baron = await exchange.baron(provider, 16)
    renter = await exchange.renter()
    sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": baron}
    await provider.post("/orders", sell)
    await renter.post("/orders", BID | {"quantity": 1, "price": "2.0000"})
    choosy = (await renter.post("/orders", BID | {"min_quantity": 2}))["order"]
    await provider.post("/orders", sell | {"price": "3.0000"})
    await renter.post("/orders", BID | {"price": "3.1000"})
    said = f"{SPOT} is in an auction until 08:55:20 UTC, and"
    for more in ({"type": "market", "price": None}, {"time_in_force": "ioc"}, {"min_quantity": 2}):
        problem = await renter.refused("POST", "/orders", BID | more)
        assert (problem["code"], problem["detail"].startswith(f"{said} takes plain limit orders")) == (
            "session_closed",
            True,
        )
    problem = await renter.refused("PATCH", f"/orders/{choosy['id']}", {"price": "1.6000"})
    assert problem["detail"].startswith(f"{said} takes amends of plain limit orders alone."), problem
    problem = await renter.refused("POST", "/rentals", RENTAL)
    assert problem["detail"].startswith(f"{said} nothing trades at once there. Rent later"), problem
    # Another region is open, and named first: it has nothing, and what is closed is said.
    for wish in (ANYWHERE, ANYWHERE | {"regions": ["us-west", "us-east"]}):
        problem = await renter.refused("POST", "/rentals", wish)
        assert problem["code"] == "session_closed"
        said_of_all = f"{said} nothing trades at once there; no other region has it now. Rent later"
        assert problem["detail"].startswith(said_of_all), problem


def row(session: Session, until_ns: int = 0, kind: Kind = Kind.ONDEMAND) -> InstrumentRow:
    return InstrumentRow(
        instrument=7,
        symbol=ONDEMAND,
        sku=SKU,
        region="us-east",
        kind=kind,
        simulated=False,
        session=session,
        session_until_ns=until_ns,
    )


def test_each_session_has_its_words() -> None:
    assert session_words(None) == ("", "")
    assert "has expired" in session_words(row(Session.EXPIRED), PLACE).wrong
    assert session_words(row(Session.CONTINUOUS), PLACE).advice == "Send it again."
    assert session_words(row(Session.PRE_OPEN)).wrong.startswith(f"{ONDEMAND} is in pre_open, and nothing trades")
    # A plain order is refused there only amid a clearing; hours are a condition of on-demand alone.
    assert "clearing isn't finished" in session_words(row(Session.AUCTION), PLACE).wrong
    hours = {name: getattr(PLACE, name) for name in PLACE.__struct_fields__} | {"hours": 2}
    assert "plain limit orders" in session_words(row(Session.AUCTION), PlaceOrder(**hours)).wrong
    assert "clearing" in session_words(row(Session.AUCTION, kind=Kind.SPOT), PlaceOrder(**hours)).wrong
    until = session_words(row(Session.AUCTION, START_NS), PLACE).wrong
    assert until.startswith(f"{ONDEMAND} is in an auction until 08:53:20 UTC")


def test_the_instrument_of_a_command() -> None:
    quotes = tuple(Quote(instrument=number, side=Side.BUY, price_ticks=1, quantity=1) for number in (3, 4))
    cases: list[tuple[Any, str, int]] = [
        (PLACE, "", 7),
        (SetSession(instrument=5, session=Session.HALTED), "session", 5),
        (Rent(account=1, instruments=(6, 8), quantity=1, hours=1, max_price_ticks=0, delivery=b""), "", 0),
        (SetQuotes(account=1, name="mm", quotes=quotes), "quotes[1]", 4),
        (SetQuotes(account=1, name="mm", quotes=quotes), "connection", 0),
        (AmendOrder(account=1, order_id=9), "", 0),
    ]
    for command, field, number in cases:
        rejected = Rejected(account=1, reason=Reason.SESSION_CLOSED, field=field)
        assert instrument_named(rejected, command) == number


QUANTITIES: list[tuple[Json, str, str]] = [
    ({"quantity": 10, "lot": 8}, "quantity", "quantity is 10, and no multiple of the lot of 8. Give a multiple"),
    ({"quantity": 8, "lot": 9}, "lot", "lot is 9, where quantity is 8. Give at most"),
    (
        {"quantity": 200, "display_quantity": 3},
        "display_quantity",
        "display_quantity is 3, where quantity is 200. Show at most the quantity and at least a part in 64 of it",
    ),
    ({"quantity": 4, "display_quantity": 5}, "display_quantity", "display_quantity is 5, where quantity is 4. Show"),
    (
        {"quantity": 16, "lot": 8, "display_quantity": 4},
        "display_quantity",
        "display_quantity is 4, where quantity is 16 and lot is 8. Show",
    ),
    ({"quantity": 4, "min_quantity": 5}, "min_quantity", "min_quantity is 5, where quantity is 4. Ask for at most"),
    (
        {"quantity": 4, "min_quantity": 3, "display_quantity": 2},
        "min_quantity",
        "min_quantity is 3, where quantity is 4 and display_quantity is 2. Ask",
    ),
    ({"quantity": 0}, "quantity", "quantity is 0, and must be a whole number from 1 to 100000. Give from 1 to 100000"),
]


@pytest.mark.parametrize(("terms", "field", "says"), QUANTITIES)
async def test_a_quantity_is_refused_by_the_rule_that_it_breaks(
    exchange: Floor, terms: Json, field: str, says: str
) -> None:
    provider = await exchange.open("provider", "1000.00")
    baron = await exchange.baron(provider, 500)
    order = {"instrument": SPOT, "side": "sell", "price": "2.0000", "baron": baron}
    problem = await provider.refused("POST", "/orders", order | terms)
    assert (problem["code"], problem["field"]) == ("invalid_quantity", field)
    assert problem["detail"].startswith(says), problem


async def test_an_amend_off_the_lot_or_the_display_says_so(exchange: Floor) -> None:
    provider = await exchange.open("provider", "1000.00")
    baron = await exchange.baron(provider, 1000)
    order = {"instrument": SPOT, "side": "sell", "price": "2.0000", "baron": baron}
    for terms, quantity, says in (
        ({"quantity": 16, "lot": 8}, 12, "What the order would leave is no multiple of its lot."),
        ({"quantity": 64, "display_quantity": 1}, 65, "The quantity would be more than 64 times what the order shows"),
    ):
        placed = (await provider.post("/orders", order | terms))["order"]
        problem = await provider.refused("PATCH", f"/orders/{placed['id']}", {"quantity": quantity})
        assert (problem["code"], problem["field"]) == ("invalid_quantity", "quantity")
        assert problem["detail"].startswith(says), problem


ORDERS: list[tuple[Json, str, str]] = [
    ({"type": "market", "time_in_force": "gtc"}, "time_in_force", "A market order is ioc or fok"),
    ({"stop_price": "1"}, "stop_price", "Only stop and stop_limit orders have one"),
    ({"time_in_force": "ioc", "post_only": True}, "post_only", "Only a limit order that may rest"),
    ({"time_in_force": "ioc", "display_quantity": 1}, "display_quantity", "never rest"),
    ({"stp": "decrement", "min_quantity": 2}, "stp", "Choose another stp"),
    ({"same_baron": True, "display_quantity": 1}, "same_baron", "Leave out same_baron or display_quantity"),
    ({"expire": "2030-01-01T00:00:00Z"}, "expire", "Only a gtd order has an expiry"),
    ({"lot": 2}, "lot", "A buy has no lot. Leave it out."),
]


@pytest.mark.parametrize(("terms", "field", "says"), ORDERS)
async def test_a_value_that_cant_be_is_told_from_a_field_that_isnt_there(
    exchange: Floor, terms: Json, field: str, says: str
) -> None:
    problem = await (await exchange.renter()).refused("POST", "/orders", BID | terms)
    assert (problem["code"], problem["field"]) == ("invalid_order", field)
    assert says in problem["detail"] and "this side, type or kind" not in problem["detail"], problem


async def test_a_gtd_order_says_when(exchange: Floor) -> None:
    renter = await exchange.renter()
    problem = await renter.refused("POST", "/orders", BID | {"time_in_force": "gtd"})
    assert (problem["code"], problem["field"]) == ("missing_field", "expire")
    past = {"time_in_force": "gtd", "expire": "2020-01-01T00:00:00Z"}
    problem = await renter.refused("POST", "/orders", BID | past)
    assert (problem["code"], problem["field"]) == ("invalid_expiry", "expire")
    assert "cancel_all_after" not in problem["detail"]


async def test_an_amends_reason_is_not_the_orders(exchange: Floor) -> None:
    await exchange.seller(price="2.0000")
    renter = await exchange.renter()
    placed = (await renter.post("/orders", BID | {"client_order_id": "mine"}))["order"]
    path = f"/orders/{placed['id']}"
    amended = (await renter.ask("PATCH", path, {"quantity": 3})).json()
    assert (amended["status"], amended["reason"]) == ("new", None)
    now = await renter.get(path, min_seq=amended["seq"])
    assert (now["status"], now["quantity"], now["reason"]) == ("new", 3, None)
    again = await renter.post("/orders", BID | {"client_order_id": "mine"})
    first = (placed["id"], placed["seq"])
    assert (again["order"]["id"], again["seq"], again["duplicate"], again["order"]["quantity"]) == (*first, True, 3)
    filled = (await renter.ask("PATCH", path, {"price": "2.0000"})).json()
    assert (filled["status"], filled["reason"]) == ("filled", None)
    now = await renter.get(path, min_seq=filled["seq"])
    assert (now["status"], now["reason"]) == ("filled", None)


async def test_a_cancel_tells_the_orders_terms(exchange: Floor) -> None:
    renter = await exchange.renter()
    placed = (await renter.post("/orders", BID))["order"]
    canceled = await renter.delete(f"/orders/{placed['id']}")
    assert (canceled["price"], canceled["quantity"], canceled["leaves_quantity"]) == ("1.5000", 4, 0)
    assert (canceled["status"], canceled["reason"]) == ("canceled", "requested")
    problem = await renter.refused("DELETE", f"/orders/{placed['id']}")
    assert problem["detail"].lower().count("closed") == 1, "it says what was wrong once"


async def test_half_a_surrogate_pair_is_called_that(exchange: Floor) -> None:
    renter = await exchange.renter()
    for body in (b'{"instrument": "\\ud800", "side": "buy"}', b'{"\\ud800": 1}', b'{"tag": "\\udc00"}'):
        headers = {"Content-Type": "application/json"}
        problem = await renter.refused("POST", "/orders", content=body, headers=headers)
        assert problem["code"] == "invalid_json"
        assert "half of a surrogate pair" in problem["detail"]


async def test_a_flag_in_the_address_says_all_that_it_may_be(exchange: Floor) -> None:
    renter = await exchange.renter()
    for value in ("true", "True", "1", "0"):
        await renter.get("/orders", open=value)
    problem = await renter.refused("GET", "/orders", params={"open": "yes"})
    assert problem["detail"].startswith('open is "yes", and must be true or false (or 1 or 0).')


def test_a_rejection_names_the_public_field() -> None:
    assert public_field("offers[3].price_ticks") == "offers[3].price"
    rejected = Rejected(account=1, reason=Reason.INVALID_ORDER, field="self_trade")
    problem = rejection(rejected, PLACE, 7, 744)
    assert (problem.body.field, problem.body.seq, problem.status) == ("stp", 7, 422)
    rejected = Rejected(account=1, reason=Reason.INVALID_EXPIRY, field="expire_ns")
    assert rejection(rejected, PLACE, 7, 744, expiry="expire_us").body.field == "expire_us"
