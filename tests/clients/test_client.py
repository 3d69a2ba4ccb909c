"""The REST client against a whole exchange: every method once, and the errors that people meet."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from exchange.monarch.demo.world import REGION, SKU
from hourbook.client import Client
from hourbook.errors import Rejected
from hourbook.models import Instrument, Offer, StandingOffer
from hourbook.owed import Position
from tests.e2e.exchange import ONDEMAND, SPOT, Exchange


def test_the_market_is_read_without_a_key(exchange: Exchange) -> None:
    with Client(exchange.url) as client:
        assert SPOT in {found.symbol for found in client.instruments()}
        book = client.book(SPOT)
        assert [(level.price, level.quantity) for level in book.asks] == [(Decimal("2.0000"), 8)]
        assert isinstance(client.trades(SPOT), list)
        with pytest.raises(Rejected) as raised:
            client.balances()
        assert raised.value.code == "unauthorized"


def test_a_market_s_forwards_and_their_curve_are_read_without_a_key(exchange: Exchange) -> None:
    with Client(exchange.url) as client:
        forwards = client.instruments(SKU, REGION, "forward")
        assert {found.kind for found in forwards} == {"forward"}
        assert [found.symbol for found in client.instruments(SKU, REGION, "spot")] == [SPOT]
        curve = client.curve(SKU, REGION)
        assert (curve.sku, curve.region, curve.simulated) == (SKU, REGION, True)
        assert sorted(point.symbol for point in curve.points) == sorted(found.symbol for found in forwards)
        by_symbol = {found.symbol: found for found in forwards}
        for point in curve.points:
            found = by_symbol[point.symbol]
            assert (point.period, point.delivery_start) == (found.period, found.delivery_start)
            assert found.trading_end == point.delivery_start - timedelta(hours=1)
            assert point.delivery_end == found.delivery_end
        with pytest.raises(Rejected) as raised:
            client.curve(SKU, "nowhere")
        assert raised.value.code == "unknown_instrument"


def test_quote_rent_watch_end(renter: Client, exchange: Exchange) -> None:
    quotes = renter.quotes(SKU, gpus=2, regions=[REGION])
    assert [(quote.region, quote.best_price, quote.reason) for quote in quotes.quotes] == [(REGION, Decimal(2), None)]
    rental = renter.rent(SKU, gpus=2, regions=[REGION], max_price="2.00", idempotency_key="client-test-rent")
    again = renter.rent(SKU, gpus=2, regions=[REGION], max_price="2.00", idempotency_key="client-test-rent")
    assert [lease.id for lease in again.leases] == [lease.id for lease in rental.leases]
    lease = rental.leases[0]
    active = next(change for change in renter.lease_events(lease.id) if change.ssh is not None)
    assert active.state == "active"
    assert active.gpus == 2
    assert renter.leases(only_open=True)[0].id == lease.id
    ended = renter.end_lease(lease.id)
    assert renter.lease(lease.id, min_seq=ended.seq).reason == "quit"
    assert list(renter.lease_events(lease.id))[-1].is_over
    # The minimum of a minute, for two GPUs at $2 an hour.
    assert renter.lease(lease.id).charged == Decimal("0.066667") or renter.lease(lease.id).charged == Decimal(
        "0.066666"
    )
    statement = renter.statement(datetime.now(UTC).strftime("%Y-%m"), min_seq=ended.seq)
    assert lease.id in {line.lease_id for line in statement.leases}
    assert "usage" in {moved.code for moved in renter.transfers()}
    assert renter.trades(SPOT)[0].quantity == 2


def test_a_spot_lease_pays_more_from_now_on(renter: Client) -> None:
    (lease,) = renter.rent(SKU, 1, kind="spot").leases
    price = lease.price + Decimal("0.0100")
    assert renter.raise_price(lease.id, price).price == price
    with pytest.raises(Rejected) as refused:
        renter.raise_price(lease.id, price)
    assert refused.value.code == "price_not_higher"
    renter.end_lease(lease.id)


def test_an_on_demand_lease_extends_itself_when_it_is_told_to(renter: Client) -> None:
    (lease,) = renter.rent(SKU, 1, 1, kind="ondemand", max_price="9", auto_extend=True).leases
    assert (lease.auto_extend, lease.max_price) == (True, Decimal(9))
    assert renter.set_auto_extend(lease.id, auto_extend=False).auto_extend is False
    with pytest.raises(Rejected) as refused:
        renter.extend(lease.id, 1)
    assert refused.value.code == "too_early_to_extend"
    with pytest.raises(Rejected) as refused:
        renter.release(lease.id, 1, "3", "ondemand")
    assert refused.value.code == "not_reserved"
    renter.end_lease(lease.id)


def test_a_rental_that_nobody_offers_is_refused_with_its_reason(renter: Client) -> None:
    with pytest.raises(Rejected) as raised:
        renter.rent(SKU, gpus=1, regions=[REGION], max_price="1.00")
    assert raised.value.code == "price_above_maximum"
    with pytest.raises(Rejected) as raised:
        renter.rent("NO-SUCH-GPU")
    assert raised.value.code == "unknown_instrument"


def test_orders_are_placed_amended_found_and_cancelled(renter: Client) -> None:
    placed = renter.place(SPOT, "buy", 2, "1.5000", post_only=True, client_order_id="client-test-order")
    order_id = placed.order.id
    assert (placed.order.status, placed.order.price, placed.fills) == ("new", Decimal("1.5"), [])
    changed = renter.amend(order_id, price=Decimal("1.6"), quantity=1)
    assert (changed.price, changed.leaves_quantity) == (Decimal("1.6"), 1)
    assert renter.order(order_id, min_seq=changed.seq).price == Decimal("1.6")
    assert renter.order_by_client_id("client-test-order").id == order_id
    assert order_id in {order.id for order in renter.orders(only_open=True)}
    assert renter.cancel(order_id).status == "canceled"
    with pytest.raises(Rejected) as raised:
        renter.cancel(order_id)
    assert raised.value.code == "order_closed"
    assert raised.value.problem.order_status == "canceled"


def test_orders_of_every_kind(renter: Client) -> None:
    stop = renter.place(SPOT, "buy", 1, "9.50", type="stop", stop_price=Decimal("9.00"), tag="kinds").order
    assert (stop.armed, stop.stop_price, stop.price) == (True, Decimal(9), Decimal("9.5"))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    resting = renter.place(
        SPOT, "buy", 8, "1.00", time_in_force="gtd", expire=tomorrow, display_quantity=2, tag="kinds"
    )
    order = resting.order
    assert (order.expire, order.shown_quantity, order.time_in_force) == (tomorrow, 2, "gtd")
    later = tomorrow + timedelta(hours=1)
    assert renter.amend(order.id, expire=later).expire == later
    with pytest.raises(ValueError, match="time zone"):
        renter.amend(order.id, expire=later.replace(tzinfo=None))
    choosy = renter.place(
        SPOT, "buy", 4, "1.00", features=["nvlink"], same_baron=True, min_quantity=2, tag="kinds"
    ).order
    assert (choosy.features, choosy.same_baron, choosy.min_quantity) == (["nvlink"], True, 2)
    assert renter.cancel_all(instrument=SPOT, tag="kinds").orders == 3
    with pytest.raises(Rejected) as raised:
        renter.rent(SKU, features=["nvlink"])
    assert raised.value.code == "no_liquidity"


def test_a_buy_may_ask_for_a_rating(renter: Client) -> None:
    with pytest.raises(Rejected) as raised:
        renter.rent(SKU, min_rating=71)
    assert raised.value.code == "no_liquidity"
    (quote,) = [quote for quote in renter.quotes(SKU, min_rating=70).quotes if quote.available_gpus]
    assert quote.detail is None
    assert renter.quotes(SKU, min_rating=71).quotes[0].available_gpus == 0
    order = renter.place(SPOT, "buy", 1, "1.00", min_rating=71).order
    assert order.min_rating == 71
    renter.cancel(order.id)


def test_an_account_sees_its_limits_and_why_it_is_refused(exchange: Exchange, renter: Client) -> None:
    free = renter.limits()
    assert (free.max_open_orders, free.max_notional, free.max_gpus, free.killed) == (None, None, None, False)
    path = f"/v1/accounts/{free.account}"
    exchange.rest("admin").put(f"{path}/limits", {"max_notional": "1.50"})
    said = exchange.rest("admin").put(f"{path}/kill-switch", {"killed": True})
    try:
        bound = renter.limits(min_seq=said["seq"])
        assert (bound.max_notional, bound.killed) == (Decimal("1.5"), True)
        with pytest.raises(Rejected) as raised:
            renter.place(SPOT, "buy", 1, "1.00")
        assert raised.value.code == "account_killed"
        exchange.rest("admin").put(f"{path}/kill-switch", {"killed": False})
        with pytest.raises(Rejected) as raised:
            renter.place(SPOT, "buy", 2, "1.00")
        assert raised.value.code == "notional_limit"
    finally:
        exchange.rest("admin").put(f"{path}/kill-switch", {"killed": False})
        exchange.rest("admin").put(f"{path}/limits", {})


def test_lists_are_read_to_their_end(renter: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = [renter.place(SPOT, "buy", 1, "1.00").order for _ in range(5)]
    monkeypatch.setattr("hourbook.client.PAGE", 2)
    found = [order.id for order in renter.orders(only_open=True, limit=5)]
    assert found == [order.id for order in reversed(placed)]
    assert len(renter.orders(limit=3)) == 3
    for limit in (0, -1):
        with pytest.raises(ValueError, match="from 1 on"):
            renter.orders(limit=limit)


@pytest.mark.parametrize("order_id", ["../orders", "..", ".", "", "a/../..", "%2e%2e"])
def test_what_is_no_id_never_leads_to_another_resource(renter: Client, order_id: str) -> None:
    placed = renter.place(SPOT, "buy", 1, "1.00").order
    with pytest.raises((Rejected, ValueError), match=r"names nothing|unknown_order|not_found"):
        renter.cancel(order_id)
    assert renter.order(placed.id).status == "new", "a cancel of all is another resource"


def test_an_idempotency_key_that_no_header_carries_is_refused_before_anything_is_sent(renter: Client) -> None:
    with pytest.raises(ValueError, match="plain ASCII"):
        renter.place(SPOT, "buy", 1, "1.00", idempotency_key="é")


def test_offers_stand_as_put(provider: Client) -> None:
    baron = next(baron for baron in provider.barons() if baron.online)
    assert (baron.verified_gpus, baron.simulated, baron.sku) == (8, True, SKU)
    assert provider.baron(baron.id).id == baron.id
    wanted = Offer(baron=baron.id, instrument=ONDEMAND, price=Decimal("3.1"), gpus=4, max_hours=12)
    put = provider.put_asks([wanted])
    assert put.offers == [StandingOffer(**msgspec.structs.asdict(wanted), simulated=True, listed_gpus=4, note=None)]
    assert provider.asks(min_seq=put.seq).offers == put.offers
    assert provider.leases(role="provider") == provider.leases(role="provider", limit=200)
    drained = provider.drain_baron(baron.id)
    assert (drained.baron, drained.presence, drained.draining) == (baron.id, "reporting", True)
    assert [offer.listed_gpus for offer in provider.asks(min_seq=drained.seq).offers] == [0]
    back = provider.drain_baron(baron.id, draining=False)
    assert provider.asks(min_seq=back.seq).offers == put.offers


def test_forwards_are_bought_shown_resold_and_addressed(provider: Client, renter: Client) -> None:
    # A month so far off that no other test buys hours of it.
    months = [
        each for each in renter.instruments(SKU, REGION, "forward") if re.fullmatch(r"\d{4}-\d\d", each.period or "")
    ]
    forward = months[4]
    baron = next(baron for baron in provider.barons() if baron.online)
    provider.place(forward.symbol, "sell", 2, "0.05", baron=baron.id)
    bought = renter.place(forward.symbol, "buy", 2, "0.05")
    assert [(fill.quantity, fill.lease_id) for fill in bought.fills] == [(2, None)]
    (position,) = _in(forward, renter.positions(min_seq=bought.seq).positions)
    assert (position.baron, position.gpus, position.end) == (baron.id, 2, forward.delivery_end)
    owed = renter.obligations()[0]
    hours = (owed.end - owed.start) // timedelta(hours=1)
    assert (owed.gpus, owed.escrow, owed.delivery) == (2, Decimal("0.05") * 2 * hours, True)
    assert renter.obligation(owed.id) == owed
    assert renter.set_delivery(owed.id).change == "addressed"
    assert provider.obligations(role="provider")[0].id == owed.id
    renter.place(forward.symbol, "sell", 1, "0.06", baron=baron.id, reduce_only=True)
    # Bought back by who owes it, it is over.
    back = provider.place(forward.symbol, "buy", 1, "0.06")
    assert [each.gpus for each in _in(forward, renter.positions(min_seq=back.order.seq).positions)] == [1]


def _in(forward: Instrument, positions: list[Position]) -> list[Position]:
    return [each for each in positions if each.start == forward.delivery_start]


def test_accounts_keys_and_ssh_keys(renter: Client, exchange: Exchange) -> None:
    assert renter.account().name == "demo renter"
    assert renter.balances().available > 0
    made = renter.create_key(["read"], label="for a test", expires_in_s=3600)
    assert made.token is not None
    assert {key.token for key in renter.api_keys()} == {None}
    with Client(exchange.url, made.token) as reader, pytest.raises(Rejected) as raised:
        reader.rent(SKU)
    assert raised.value.code == "missing_scope"
    renter.revoke_key(made.id)
    stored = renter.ssh_keys()[0]
    with pytest.raises(Rejected) as raised:
        renter.add_ssh_key("again", stored.public_key)
    assert raised.value.code == "ssh_key_exists"
    renter.delete_ssh_key(stored.id)
    assert renter.add_ssh_key(stored.name, stored.public_key).fingerprint == stored.fingerprint


def test_a_new_baron_gets_a_token(exchange: Exchange) -> None:
    account = exchange.rest("admin").post("/v1/accounts", {"name": "another provider", "scopes": ["provide"]})
    with Client(exchange.url, account["key"]["token"]) as provider:
        made = provider.create_baron(SKU, REGION, "rack-7")
        assert made.enrolment_token
        assert [(baron.id, baron.enrolled) for baron in provider.barons()] == [(made.id, False)]
