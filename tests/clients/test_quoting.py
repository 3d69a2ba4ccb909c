"""The market maker's reckoning: laws of its prices, and what it wants to stand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourbook.bots.quoting import MAX_PRICE, TICK, Product, Settings, ask_price, bid_price, same, wanted_offers
from hourbook.models import Baron, Offer

SKU, REGION = "H100-SXM5-80GB", "us-east"
prices = st.decimals("0.01", "500", places=4)
drifts = st.decimals("0", "10", places=2)
discounts = st.decimals("0.05", "0.99", places=2)


def settings(**chosen: Any) -> Settings:
    return Settings(products=[Product(sku=SKU, region=REGION, price="2.10")], **chosen)


def baron(number: int, verified: int, leased: int = 0, region: str = REGION) -> Baron:
    return Baron(
        id=f"brn_{number:013d}",
        name=f"rack-{number}",
        sku=SKU,
        region=region,
        enrolled=True,
        online=True,
        last_heartbeat=None,
        verified_gpus=verified,
        leased_gpus=leased,
        simulated=True,
        features=[],
        rating=70,
        presence="reporting",
        draining=False,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        seq=1,
    )


@given(prices, drifts, st.integers(0, 64), st.integers(0, 64))
def test_asks_are_on_the_grid_and_never_below_the_reference(
    reference: Decimal, drift: Decimal, leased: int, verified: int
) -> None:
    price = ask_price(reference, drift, leased, verified)
    assert price % TICK == 0
    assert reference <= price <= MAX_PRICE


@given(prices, drifts, st.integers(0, 63), st.integers(1, 64))
def test_asks_rise_as_capacity_sells(reference: Decimal, drift: Decimal, leased: int, verified: int) -> None:
    assert ask_price(reference, drift, leased, verified) <= ask_price(reference, drift, leased + 1, verified)


@given(prices, drifts, discounts, st.integers(0, 8))
def test_bids_stand_below_every_ask(reference: Decimal, drift: Decimal, discount: Decimal, leased: int) -> None:
    product = Product(sku=SKU, region=REGION, price=format(reference, "f"))
    bid = bid_price(product, discount)
    if bid is not None:
        assert bid % TICK == 0
        assert TICK <= bid < ask_price(product.spot, drift, leased, 8)
        assert bid <= product.spot * (1 - discount)


def test_every_verified_gpu_is_offered_on_both_kinds() -> None:
    barons = [baron(1, 8, 4), baron(2, 4), baron(3, 0), baron(4, 8, region="us-west")]
    offers = wanted_offers(settings(), barons, [])
    assert [
        (offer.baron[-1], offer.instrument.rpartition(".")[2], offer.gpus, offer.max_hours) for offer in offers
    ] == [
        ("1", "ondemand", 8, 24),
        ("1", "spot", 8, None),
        ("2", "ondemand", 4, 24),
        ("2", "spot", 4, None),
    ]
    # A third is leased, and all of it would be 20 % more.
    assert {offer.price for offer in offers} == {Decimal("2.24"), Decimal("2.80")}


def test_offers_of_others_making_stay_and_a_second_look_changes_nothing() -> None:
    other = Offer(baron="brn_0000000000004", instrument=f"{SKU}.us-west.spot", price=Decimal("3.00"), gpus=2)
    stale = Offer(baron="brn_0000000000009", instrument=f"{SKU}.{REGION}.spot", price=Decimal("9.00"), gpus=2)
    wanted = wanted_offers(settings(), [baron(1, 8)], [other, stale])
    assert other in wanted
    assert stale not in wanted
    assert same(wanted, list(reversed(wanted)))
    assert same(wanted_offers(settings(), [baron(1, 8)], wanted), wanted)


@pytest.mark.parametrize(
    "product",
    [
        {"price": "0"},
        {"price": "-1"},
        {"price": "1001"},
        {"price": "cheap"},
        {"price": "2", "ondemand_price": "1.99"},
        {"price": "2", "max_hours": 1},
    ],
)
def test_products_that_make_no_sense_are_refused(product: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Product(sku=SKU, region=REGION, **product)


@pytest.mark.parametrize(
    "chosen",
    [
        {"drift": "-0.1"},
        {"drift": "11"},
        {"bid_discount": "0.01"},
        {"bid_discount": "1"},
        {"bid_gpus": -1},
        {"max_bought_gpus": -1},
        {"requote_s": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(chosen: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        settings(**chosen)


def test_each_market_is_given_once() -> None:
    product = Product(sku=SKU, region=REGION, price="2")
    with pytest.raises(ValueError, match="once"):
        Settings(products=[product, product])
    with pytest.raises(ValueError, match="products"):
        Settings(products=[])
