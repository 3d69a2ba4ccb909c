"""Order entry and matching: what is refused and why, who trades with whom, and what becomes of the rest (§5, §6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.kinds import OrderStatus, OrderType, Pot, Side, TimeInForce
from engine.limits import Limits
from engine.messages import Accepted, Canceled, CancelOrder, LeaseScheduled, PlaceOrder, Traded, Transfer
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    ELSEWHERE_SPOT,
    FAR_BARON,
    HOUR,
    NO_INSTRUMENT,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    only,
)

INT64_MIN, UINT64_MAX = -(2**63), 2**64 - 1

BID = bid(ALICE, 10_000, 1)
ASK = ask(PAT, 10_000, 1)
TERM_BID = bid(ALICE, 10_000, 1, ONDEMAND)
TERM_ASK = ask(PAT, 10_000, 1, ONDEMAND)
MARKET_BID = bid(ALICE, 0, 1, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)

REFUSALS: list[tuple[PlaceOrder, dict[str, Any], Reason, str]] = [
    (BID, {"account": 99}, Reason.UNKNOWN_ACCOUNT, "account"),
    (BID, {"account": 0}, Reason.UNKNOWN_ACCOUNT, "account"),
    (BID, {"account": INT64_MIN}, Reason.UNKNOWN_ACCOUNT, "account"),
    (BID, {"instrument": NO_INSTRUMENT}, Reason.UNKNOWN_INSTRUMENT, "instrument"),
    (BID, {"instrument": 0}, Reason.UNKNOWN_INSTRUMENT, "instrument"),
    (BID, {"price_ticks": 0}, Reason.INVALID_PRICE, "price_ticks"),
    (BID, {"price_ticks": 10_000_001}, Reason.INVALID_PRICE, "price_ticks"),
    (BID, {"price_ticks": INT64_MIN}, Reason.INVALID_PRICE, "price_ticks"),
    (BID, {"quantity": 0}, Reason.INVALID_QUANTITY, "quantity"),
    (BID, {"quantity": -1}, Reason.INVALID_QUANTITY, "quantity"),
    (BID, {"quantity": 100_001}, Reason.INVALID_QUANTITY, "quantity"),
    (BID, {"quantity": UINT64_MAX}, Reason.INVALID_QUANTITY, "quantity"),
    (BID, {"baron": BARON}, Reason.INVALID_ORDER, "baron"),
    (BID, {"max_hours": 2}, Reason.INVALID_ORDER, "max_hours"),
    (BID, {"hours": -1}, Reason.INVALID_HOURS, "hours"),
    (BID, {"hours": 745}, Reason.INVALID_HOURS, "hours"),
    (BID, {"delivery": b""}, Reason.NO_SSH_KEY, "delivery"),
    (BID, {"delivery": b"k" * 8193}, Reason.INVALID_DELIVERY, "delivery"),
    (BID, {"client_order_id": "a b"}, Reason.INVALID_ORDER, "client_order_id"),
    (BID, {"client_order_id": "a\n"}, Reason.INVALID_ORDER, "client_order_id"),
    (BID, {"client_order_id": "é"}, Reason.INVALID_ORDER, "client_order_id"),
    (BID, {"client_order_id": "a" * 37}, Reason.INVALID_ORDER, "client_order_id"),
    (BID, {"post_only": True, "time_in_force": TimeInForce.IOC}, Reason.INVALID_ORDER, "post_only"),
    (BID, {"post_only": True, "time_in_force": TimeInForce.FOK}, Reason.INVALID_ORDER, "post_only"),
    (BID, {"quantity": 100_000, "price_ticks": 10_000_000}, Reason.INSUFFICIENT_FUNDS, ""),
    (TERM_BID, {"hours": 0}, Reason.INVALID_HOURS, "hours"),
    (TERM_BID, {"hours": 745}, Reason.INVALID_HOURS, "hours"),
    (MARKET_BID, {"time_in_force": TimeInForce.GTC}, Reason.INVALID_ORDER, "time_in_force"),
    (MARKET_BID, {"price_ticks": -1}, Reason.INVALID_PRICE, "price_ticks"),
    (MARKET_BID, {}, Reason.NO_LIQUIDITY, ""),
    (ASK, {"hours": 1}, Reason.INVALID_ORDER, "hours"),
    (ASK, {"delivery": b"x"}, Reason.INVALID_ORDER, "delivery"),
    (ASK, {"baron": 0}, Reason.UNKNOWN_BARON, "baron"),
    (ASK, {"baron": UINT64_MAX}, Reason.UNKNOWN_BARON, "baron"),
    (ASK, {"baron": OTHER_BARON}, Reason.NOT_YOUR_BARON, "baron"),
    (ASK, {"baron": FAR_BARON}, Reason.WRONG_MARKET, "baron"),
    (ASK, {"max_hours": 2}, Reason.INVALID_HOURS, "max_hours"),
    (ASK, {"quantity": 9}, Reason.INSUFFICIENT_CAPACITY, "quantity"),
    (TERM_ASK, {"max_hours": 0}, Reason.INVALID_HOURS, "max_hours"),
    (TERM_ASK, {"max_hours": 1}, Reason.INVALID_HOURS, "max_hours"),
    (TERM_ASK, {"max_hours": 745}, Reason.INVALID_HOURS, "max_hours"),
]


@pytest.mark.parametrize(("order", "changes", "reason", "field"), REFUSALS)
def test_a_bad_order_is_refused_whole_with_the_field_at_fault(
    order: PlaceOrder, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    Shard().refuse(msgspec.structs.replace(order, **changes), reason, field)


def test_the_orders_that_refusals_are_made_of_are_good() -> None:
    for order in (BID, ASK, TERM_BID, TERM_ASK):
        Shard().do(order)


def test_a_refusal_echoes_only_what_has_the_right_form() -> None:
    shard = Shard()
    rejected = shard.refuse(
        msgspec.structs.replace(BID, account=UINT64_MAX, client_order_id="a b"), Reason.UNKNOWN_ACCOUNT
    )
    assert (rejected.account, rejected.client_order_id) == (0, "")
    rejected = shard.refuse(msgspec.structs.replace(BID, quantity=0, client_order_id="mine"), Reason.INVALID_QUANTITY)
    assert (rejected.account, rejected.client_order_id) == (ALICE, "mine")


def test_price_then_time_and_the_resting_price() -> None:
    shard = Shard()
    late = [shard.place(ask(PAT, 20_000, 2)), shard.place(ask(QUINN, 20_000, 2, baron=OTHER_BARON))]
    best = shard.place(ask(PAT, 19_000, 1, baron=SECOND_BARON))
    trades = only(shard.do(bid(ALICE, 20_000, 4)), Traded)
    assert [(trade.maker_order_id, trade.quantity, trade.price_ticks) for trade in trades] == [
        (best, 1, 19_000),
        (late[0], 2, 20_000),
        (late[1], 1, 20_000),
    ]
    assert [trade.taker_leaves for trade in trades] == [3, 1, 0]
    assert shard.asks(SPOT) == [(20_000, 1)]


def test_a_resting_bid_is_taken_at_its_price_and_pays_as_maker() -> None:
    shard = Shard()
    shard.place(bid(ALICE, 20_000, 4, hours=5))
    events = shard.do(ask(PAT, 15_000, 8))
    (trade,) = only(events, Traded)
    (lease,) = only(events, LeaseScheduled)
    assert (trade.price_ticks, trade.taker_side, lease.renter_fee_ppm, lease.provider_fee_ppm) == (
        20_000,
        Side.SELL,
        0,
        5_000,
    )
    assert lease.term_end_ns == START + 5 * HOUR
    assert shard.asks(SPOT) == [(15_000, 4)]


def test_fills_of_one_order_on_one_baron_at_one_price_are_one_lease() -> None:
    shard = Shard()
    for baron, price_ticks in ((BARON, 20_000), (SECOND_BARON, 20_000), (BARON, 20_000), (BARON, 21_000)):
        shard.place(ask(PAT, price_ticks, 2, baron=baron))
    leases = only(shard.do(bid(ALICE, 30_000, 8)), LeaseScheduled)
    assert [(lease.baron, lease.price_ticks, lease.quantity) for lease in leases] == [
        (BARON, 20_000, 4),
        (SECOND_BARON, 20_000, 2),
        (BARON, 21_000, 2),
    ]


def test_the_hold_shrinks_with_each_fill_and_nothing_stays_behind() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 3))
    # 3,720 s of 3 GPUs at $2, and 0.5 % of that, each rounded up.
    assert shard.auditor.pots[ALICE, Pot.HELD] == 6_200_000 + 31_000
    (lease,) = only(shard.do(ask(PAT, 20_000, 1)), LeaseScheduled)
    # The maker's fee is nothing: that part of the share goes back.
    assert shard.machine.state.leases[lease.lease_id].prefund_micros == 2_066_667
    shard.do(CancelOrder(account=ALICE, order_id=order))
    assert shard.auditor.pots[ALICE, Pot.HELD] == 2_066_667


def test_ioc_cancels_its_rest_even_when_nothing_traded() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 2))
    events = shard.do(bid(ALICE, 20_000, 5, time_in_force=TimeInForce.IOC))
    assert [(event.quantity, event.reason) for event in only(events, Canceled)] == [(3, Reason.IOC_REMAINDER)]
    events = shard.do(bid(ALICE, 20_000, 5, time_in_force=TimeInForce.IOC))
    assert [type(event) for event in events] == [Accepted, Transfer, Canceled, Transfer]
    assert shard.machine.counts().open_orders == 0


def test_fok_trades_whole_or_not_at_all() -> None:
    shard = Shard()
    wish = bid(ALICE, 20_000, 5, time_in_force=TimeInForce.FOK)
    shard.refuse(wish, Reason.NO_LIQUIDITY)
    shard.place(ask(PAT, 20_000, 3))
    shard.refuse(wish, Reason.FOK_KILLED)
    shard.place(ask(PAT, 20_000, 2))
    assert sum(trade.quantity for trade in only(shard.do(wish), Traded)) == 5


def test_self_trade_cancels_what_is_left_of_the_newest() -> None:
    shard = Shard()
    own = shard.place(bid(PAT, 20_000, 1))
    shard.place(bid(ALICE, 21_000, 1))
    events = shard.do(ask(PAT, 20_000, 5))
    assert [trade.quantity for trade in only(events, Traded)] == [1]
    assert [(event.quantity, event.reason) for event in only(events, Canceled)] == [(4, Reason.SELF_TRADE)]
    assert own in shard.auditor.orders
    shard.refuse(ask(PAT, 20_000, 5, time_in_force=TimeInForce.FOK), Reason.SELF_TRADE)
    shard.refuse(ask(PAT, 20_000, 5, post_only=True), Reason.SELF_TRADE)


def test_post_only_never_takes() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 2))
    shard.refuse(bid(ALICE, 20_000, 1, post_only=True), Reason.POST_ONLY_WOULD_TRADE, "post_only")
    shard.do(bid(ALICE, 19_999, 1, post_only=True))
    assert shard.bids(SPOT) == [(19_999, 1)]


@pytest.mark.parametrize(
    ("best", "side", "protection"),
    [
        (20_001, Side.BUY, 21_001),  # 21,001.05 down, toward the best
        (20_001, Side.SELL, 19_001),  # 19,000.95 up
        (1, Side.BUY, 1),
        (1, Side.SELL, 1),
        (10_000_000, Side.BUY, 10_000_000),
    ],
)
def test_a_market_order_protects_itself_five_percent_through_the_best(best: int, side: Side, protection: int) -> None:
    shard = Shard()
    if side is Side.BUY:
        shard.place(ask(PAT, best, 1))
        order = bid(ALICE, 0, 2, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)
    else:
        shard.place(bid(ALICE, best, 1))
        order = ask(PAT, 0, 2, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)
    events = shard.do(order)
    (accepted,) = only(events, Accepted)
    assert accepted.price_ticks == protection
    assert [trade.price_ticks for trade in only(events, Traded)] == [best]
    assert [event.reason for event in only(events, Canceled)] == [Reason.MARKET_REMAINDER]


def test_a_market_order_stops_at_its_protection_and_passes_what_it_is_not_eligible_for() -> None:
    shard = Shard()
    shard.place(ask(PAT, 10_000, 1, ONDEMAND, max_hours=2))
    shard.place(ask(PAT, 20_000, 1, ONDEMAND))
    shard.place(ask(PAT, 21_001, 1, ONDEMAND))
    order = bid(ALICE, 0, 3, ONDEMAND, hours=10, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)
    assert [trade.price_ticks for trade in only(shard.do(order), Traded)] == [20_000]
    shard.refuse(msgspec.structs.replace(order, hours=30), Reason.NO_LIQUIDITY)
    given = msgspec.structs.replace(order, price_ticks=30_000)
    assert [trade.price_ticks for trade in only(shard.do(given), Traded)] == [21_001]


def test_a_term_meets_only_a_window_that_reaches_its_end() -> None:
    shard = Shard()
    shard.now_ns = START + HOUR - 1
    shard.place(ask(PAT, 20_000, 8, ONDEMAND, max_hours=3))  # to START + 3 h
    assert only(shard.do(bid(ALICE, 20_000, 1, ONDEMAND, hours=3)), Traded) == []
    assert len(only(shard.do(bid(BOB, 20_000, 1, ONDEMAND, hours=2)), Traded)) == 1
    shard.now_ns = START + HOUR
    assert len(only(shard.do(bid(BOB, 20_000, 1, ONDEMAND, hours=2)), Traded)) == 1
    shard.now_ns += 1
    assert only(shard.do(bid(BOB, 20_000, 1, ONDEMAND, hours=2)), Traded) == []
    assert shard.bids(ONDEMAND) == [(20_000, 1), (20_000, 1)]


def test_an_incoming_ask_passes_over_terms_that_it_cannot_serve() -> None:
    shard = Shard()
    shard.place(bid(ALICE, 30_000, 1, ONDEMAND, hours=100))
    shard.place(bid(BOB, 20_000, 1, ONDEMAND, hours=24))
    (trade,) = only(shard.do(ask(PAT, 10_000, 2, ONDEMAND, max_hours=24)), Traded)
    assert (trade.buyer, trade.price_ticks) == (BOB, 20_000)
    assert shard.bids(ONDEMAND) == [(30_000, 1)]
    assert shard.asks(ONDEMAND) == [(10_000, 1)]


def test_markets_do_not_meet() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 2))
    assert only(shard.do(bid(ALICE, 30_000, 1, ELSEWHERE_SPOT)), Traded) == []


def test_cancel_by_either_id_and_the_final_state_of_what_is_closed() -> None:
    shard = Shard()
    by_id = shard.place(bid(ALICE, 20_000, 2))
    shard.place(bid(ALICE, 20_000, 2, client_order_id="mine"))
    filled = shard.place(bid(ALICE, 30_000, 1, client_order_id="taken"))
    shard.do(ask(PAT, 30_000, 1))
    shard.do(CancelOrder(account=ALICE, order_id=by_id))
    shard.do(CancelOrder(account=ALICE, client_order_id="mine"))
    assert shard.auditor.pots[ALICE, Pot.HELD] == shard.prefunds(ALICE)
    rejected = shard.refuse(CancelOrder(account=ALICE, order_id=by_id), Reason.ORDER_CLOSED)
    assert (rejected.order_id, rejected.order_status) == (by_id, OrderStatus.CANCELED)
    rejected = shard.refuse(CancelOrder(account=ALICE, client_order_id="taken"), Reason.ORDER_CLOSED)
    assert (rejected.order_id, rejected.order_status) == (filled, OrderStatus.FILLED)


@pytest.mark.parametrize("order_id", [0, 1, -1, UINT64_MAX])
def test_an_unknown_order_is_unknown(order_id: int) -> None:
    rejected = Shard().refuse(CancelOrder(account=ALICE, order_id=order_id), Reason.UNKNOWN_ORDER)
    assert (rejected.order_id, rejected.order_status) == (0, OrderStatus.NONE)


def test_a_foreign_order_is_unknown_open_or_closed() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 2, client_order_id="mine"))
    shard.refuse(CancelOrder(account=BOB, order_id=order), Reason.UNKNOWN_ORDER)
    shard.refuse(CancelOrder(account=BOB, client_order_id="mine"), Reason.UNKNOWN_ORDER)
    shard.do(CancelOrder(account=ALICE, order_id=order))
    shard.refuse(CancelOrder(account=BOB, order_id=order), Reason.UNKNOWN_ORDER)


def test_open_orders_are_bounded_by_account() -> None:
    shard = Shard(Limits(max_open_orders=2))
    first = shard.place(bid(ALICE, 20_000, 1))
    shard.place(bid(ALICE, 20_000, 1))
    shard.refuse(bid(ALICE, 20_000, 1), Reason.TOO_MANY_ORDERS)
    shard.do(bid(BOB, 20_000, 1))
    shard.do(CancelOrder(account=ALICE, order_id=first))
    shard.do(bid(ALICE, 20_000, 1))
