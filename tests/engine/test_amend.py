"""Amending: atomic, the id stays, and only a pure reduction keeps its place in the line (§5)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kinds import Pot
from engine.limits import Limits
from engine.messages import Amended, AmendOrder, Canceled, CancelOrder, LeaseScheduled, SetCapacity, Traded
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    ONDEMAND,
    PAT,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    offered,
    only,
)


def amend(account: int, order_id: int, price_ticks: int = 0, quantity: int = 0) -> AmendOrder:
    return AmendOrder(account=account, order_id=order_id, price_ticks=price_ticks, quantity=quantity)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, Reason.NOTHING_TO_AMEND),
        ({"price_ticks": 20_000}, Reason.NOTHING_TO_AMEND),
        ({"price_ticks": 20_000, "quantity": 4}, Reason.NOTHING_TO_AMEND),
        ({"price_ticks": -1}, Reason.INVALID_PRICE),
        ({"price_ticks": 10_000_001}, Reason.INVALID_PRICE),
        ({"quantity": -1}, Reason.INVALID_QUANTITY),
        ({"quantity": 100_001}, Reason.INVALID_QUANTITY),
        ({"price_ticks": 10_000_000, "quantity": 100_000}, Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_a_bad_amend_is_refused_and_the_order_stands(change: dict[str, Any], reason: Reason) -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 4))
    shard.refuse(amend(ALICE, order, **change), reason)
    assert shard.bids(SPOT) == [(20_000, 4)]


def test_a_pure_reduction_keeps_priority_and_frees_its_hold() -> None:
    shard = Shard()
    first = shard.place(bid(ALICE, 20_000, 4, client_order_id="mine"))
    shard.place(bid(BOB, 20_000, 1))
    (amended,) = only(shard.do(AmendOrder(account=ALICE, client_order_id="mine", quantity=2)), Amended)
    assert (amended.kept_priority, amended.quantity, amended.leaves_quantity) == (True, 2, 2)
    (trade,) = only(shard.do(ask(PAT, 20_000, 1)), Traded)
    assert trade.maker_order_id == first


@pytest.mark.parametrize("change", [{"quantity": 5}, {"price_ticks": 19_000}, {"price_ticks": 19_000, "quantity": 1}])
def test_anything_else_goes_to_the_back(change: dict[str, Any]) -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 4))
    other = shard.place(bid(BOB, change.get("price_ticks", 20_000), 1))
    (amended,) = only(shard.do(amend(ALICE, order, **change)), Amended)
    assert not amended.kept_priority
    (trade,) = only(shard.do(ask(PAT, 10_000, 1)), Traded)
    assert trade.maker_order_id == other


def test_quantity_means_total_with_what_is_filled() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 4))
    shard.do(ask(PAT, 20_000, 3))
    shard.do(amend(ALICE, order, quantity=6))
    assert shard.bids(SPOT) == [(20_000, 3)]
    (canceled,) = only(shard.do(amend(ALICE, order, quantity=3)), Canceled)
    assert (canceled.quantity, canceled.reason) == (3, Reason.REQUESTED)
    shard.refuse(amend(ALICE, order, quantity=9), Reason.ORDER_CLOSED)


def test_an_amended_price_may_trade_and_rests_with_the_remainder() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 10_000, 4))
    shard.place(ask(PAT, 20_000, 3))
    events = shard.do(amend(ALICE, order, price_ticks=25_000, quantity=6))
    assert [type(event) for event in events if isinstance(event, Amended | Traded)] == [Amended, Traded]
    (lease,) = only(events, LeaseScheduled)
    assert (lease.price_ticks, lease.quantity, lease.renter_fee_ppm) == (20_000, 3, 5_000)
    assert shard.bids(SPOT) == [(25_000, 3)]
    shard.do(CancelOrder(account=ALICE, order_id=order))
    assert shard.auditor.pots[ALICE, Pot.HELD] == shard.prefunds(ALICE)


def test_the_present_hold_counts_as_free() -> None:
    shard = Shard(usd=10)
    order = shard.place(bid(ALICE, 20_000, 4))
    shard.refuse(bid(ALICE, 20_000, 4), Reason.INSUFFICIENT_FUNDS)
    shard.do(amend(ALICE, order, price_ticks=21_000))
    shard.refuse(amend(ALICE, order, price_ticks=30_000), Reason.INSUFFICIENT_FUNDS)


def test_the_present_capacity_counts_as_free_and_the_window_stays() -> None:
    shard = Shard()
    order = shard.place(ask(PAT, 20_000, 6, ONDEMAND, max_hours=10))
    shard.now_ns += 3 * HOUR
    (amended,) = only(shard.do(amend(PAT, order, price_ticks=21_000, quantity=8)), Amended)
    assert amended.window_end_ns == START + 10 * HOUR
    shard.refuse(amend(PAT, order, quantity=9), Reason.INSUFFICIENT_CAPACITY, "quantity")
    assert shard.asks(ONDEMAND) == [(21_000, 8)]


def test_an_amended_ask_is_the_newest_and_is_cut_first() -> None:
    shard = Shard()
    older, newer = shard.place(ask(PAT, 20_000, 4)), shard.place(ask(PAT, 20_000, 4))
    shard.do(amend(PAT, older, price_ticks=21_000))
    shard.do(SetCapacity(baron=BARON, gpus=4, simulated=False))
    assert list(shard.auditor.orders) == [newer]


def test_a_post_only_order_stays_post_only() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 10_000, 4, post_only=True))
    shard.place(ask(PAT, 20_000, 3))
    shard.refuse(amend(ALICE, order, price_ticks=20_000), Reason.POST_ONLY_WOULD_TRADE)


def test_an_amend_into_the_own_order_cancels_what_is_left() -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    order = shard.place(bid(PAT, 10_000, 2))
    shard.place(ask(PAT, 20_000, 3))
    events = shard.do(amend(PAT, order, price_ticks=20_000))
    assert [event.reason for event in only(events, Canceled)] == [Reason.SELF_TRADE]
    assert shard.auditor.pots[PAT, Pot.HELD] == 0


def test_an_amend_that_would_open_too_many_leases_is_refused() -> None:
    shard = Shard(Limits(max_leases=1))
    shard.place(ask(PAT, 20_000, 1))
    shard.place(ask(PAT, 20_000, 1, baron=SECOND_BARON))
    order = shard.place(bid(ALICE, 10_000, 2))
    shard.refuse(amend(ALICE, order, price_ticks=20_000), Reason.TOO_MANY_LEASES)


def test_an_offers_order_is_changed_through_the_offer_alone() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 8))
    (order,) = shard.auditor.orders
    shard.refuse(amend(PAT, order, quantity=2), Reason.OFFER_ORDER)
    shard.refuse(CancelOrder(account=PAT, order_id=order), Reason.OFFER_ORDER)


def test_a_foreign_order_is_unknown() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 10_000, 2))
    shard.refuse(amend(BOB, order, quantity=1), Reason.UNKNOWN_ORDER)
