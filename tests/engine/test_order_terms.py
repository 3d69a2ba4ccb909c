"""The rarer terms of an order: what each may be, and what it does to money, capacity and leases (§4, §5)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.kinds import OrderStatus, OrderType, Pot, TimeInForce
from engine.limits import Limits
from engine.messages import (
    Accepted,
    Amended,
    AmendOrder,
    BaronFeatures,
    Canceled,
    CancelOrder,
    LeaseScheduled,
    OpenAccount,
    PlaceOrder,
    Refilled,
    RegisterBaron,
    SetCapacity,
    SetFeatures,
    SetSession,
    Traded,
    Triggered,
)
from engine.reasons import Reason
from engine.records import SelfTrade, Session
from engine.units import INT64_MAX
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
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
    offered,
    only,
    rental,
)

BID = bid(ALICE, 10_000, 8)
ASK = ask(PAT, 30_000, 8)
TERM_ASK = ask(PAT, 30_000, 8, ONDEMAND)
IOC, FOK, GTD, DAY = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD, TimeInForce.DAY

REFUSALS: list[tuple[PlaceOrder, dict[str, Any], Reason, str]] = [
    (BID, {"lot": 2}, Reason.INVALID_ORDER, "lot"),
    (BID, {"min_hours": 2}, Reason.INVALID_ORDER, "min_hours"),
    (ASK, {"features": 1}, Reason.INVALID_ORDER, "features"),
    (ASK, {"same_baron": True}, Reason.INVALID_ORDER, "same_baron"),
    (BID, {"features": 16}, Reason.INVALID_FEATURES, "features"),
    (BID, {"features": -1}, Reason.INVALID_FEATURES, "features"),
    (BID, {"features": 2**64 - 1}, Reason.INVALID_FEATURES, "features"),
    (BID, {"display_quantity": -1}, Reason.INVALID_QUANTITY, "display_quantity"),
    (BID, {"display_quantity": 9}, Reason.INVALID_QUANTITY, "display_quantity"),
    (BID, {"quantity": 65, "display_quantity": 1}, Reason.INVALID_QUANTITY, "display_quantity"),
    (BID, {"display_quantity": 2, "time_in_force": IOC}, Reason.INVALID_ORDER, "display_quantity"),
    (BID, {"display_quantity": 2, "same_baron": True}, Reason.INVALID_ORDER, "same_baron"),
    (BID, {"min_quantity": -1}, Reason.INVALID_QUANTITY, "min_quantity"),
    (BID, {"min_quantity": 9}, Reason.INVALID_QUANTITY, "min_quantity"),
    (BID, {"min_quantity": 3, "display_quantity": 2}, Reason.INVALID_QUANTITY, "min_quantity"),
    (ASK, {"lot": -1}, Reason.INVALID_QUANTITY, "lot"),
    (ASK, {"lot": 9}, Reason.INVALID_QUANTITY, "lot"),
    (ASK, {"lot": 3}, Reason.INVALID_QUANTITY, "quantity"),
    (ASK, {"lot": 4, "display_quantity": 2}, Reason.INVALID_QUANTITY, "display_quantity"),
    (ASK, {"min_hours": 1}, Reason.INVALID_HOURS, "min_hours"),
    (TERM_ASK, {"min_hours": 24}, Reason.INVALID_HOURS, "min_hours"),
    (TERM_ASK, {"min_hours": -1}, Reason.INVALID_HOURS, "min_hours"),
    (BID, {"self_trade": SelfTrade.DECREMENT, "min_quantity": 2}, Reason.INVALID_ORDER, "self_trade"),
    (BID, {"self_trade": SelfTrade.DECREMENT, "same_baron": True}, Reason.INVALID_ORDER, "self_trade"),
    (ASK, {"self_trade": SelfTrade.DECREMENT, "lot": 2}, Reason.INVALID_ORDER, "self_trade"),
    (BID, {"tag": "a b"}, Reason.INVALID_ORDER, "tag"),
    (BID, {"tag": "a" * 37}, Reason.INVALID_ORDER, "tag"),
    (BID, {"connection": -1}, Reason.INVALID_ORDER, "connection"),
    (BID, {"connection": 2**63}, Reason.INVALID_ORDER, "connection"),
    (BID, {"time_in_force": GTD}, Reason.INVALID_EXPIRY, "expire_ns"),
    (BID, {"time_in_force": GTD, "expire_ns": START}, Reason.INVALID_EXPIRY, "expire_ns"),
    (BID, {"time_in_force": GTD, "expire_ns": INT64_MAX + 1}, Reason.INVALID_EXPIRY, "expire_ns"),
    (BID, {"expire_ns": START + 1}, Reason.INVALID_ORDER, "expire_ns"),
    (BID, {"time_in_force": DAY, "expire_ns": START + 1}, Reason.INVALID_ORDER, "expire_ns"),
    (BID, {"time_in_force": DAY, "order_type": OrderType.MARKET}, Reason.INVALID_ORDER, "time_in_force"),
]


@pytest.mark.parametrize(("order", "changes", "reason", "field"), REFUSALS)
def test_a_term_that_does_not_apply_is_refused_with_its_name(
    order: PlaceOrder, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    Shard().refuse(msgspec.structs.replace(order, **changes), reason, field)


def test_the_registry_s_numbers_fit_the_books_records() -> None:
    shard = Shard()
    shard.do(OpenAccount(account=2**32 - 1, maker_fee_ppm=0, taker_fee_ppm=0))
    shard.refuse(OpenAccount(account=2**32, maker_fee_ppm=0, taker_fee_ppm=0), Reason.UNKNOWN_ACCOUNT, "account")
    baron = RegisterBaron(baron=2**32, provider=PAT, sku="H100-SXM5-80GB", region="here")
    shard.refuse(baron, Reason.UNKNOWN_BARON, "baron")


# ---------------------------------------------------------------- whom it trades with


def test_features_decide_which_baron_may_serve() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 2))
    second = shard.place(ask(PAT, 21_000, 2, baron=SECOND_BARON))
    (said,) = only(shard.do(SetFeatures(baron=SECOND_BARON, features=3)), BaronFeatures)
    assert (said.baron, said.features) == (SECOND_BARON, 3)
    (trade,) = only(shard.do(bid(ALICE, 22_000, 1, features=2)), Traded)
    assert trade.maker_order_id == second
    (trade,) = only(shard.do(rental(ALICE, 1, 1, SPOT, features=1)), Traded)
    assert trade.maker_order_id == second
    shard.do(SetFeatures(baron=SECOND_BARON, features=0))
    shard.refuse(rental(ALICE, 1, 1, SPOT, features=1), Reason.NO_LIQUIDITY)
    shard.refuse(SetFeatures(baron=99, features=0), Reason.UNKNOWN_BARON, "baron")
    shard.refuse(SetFeatures(baron=BARON, features=2**16), Reason.INVALID_FEATURES, "features")


def test_one_baron_serves_all_of_a_same_baron_bid_or_nothing() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 2))
    whole = shard.place(ask(PAT, 21_000, 3, baron=SECOND_BARON))
    (trade,) = only(shard.do(bid(ALICE, 22_000, 3, same_baron=True)), Traded)
    assert trade.maker_order_id == whole
    (lease,) = only(shard.do(rental(BOB, 2, 1, SPOT, same_baron=True)), LeaseScheduled)
    assert lease.baron == BARON


def test_whole_lots_alone_are_sold() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 8, lot=4))
    events = shard.do(bid(ALICE, 20_000, 7))
    assert [trade.quantity for trade in only(events, Traded)] == [4]
    # Its rest waits in the same price: what could trade with it has a lot.
    assert (shard.bids(SPOT), shard.asks(SPOT)) == ([(20_000, 3)], [(20_000, 4)])


def test_a_minimum_holds_for_every_fill() -> None:
    shard = Shard()
    shard.place(bid(ALICE, 20_000, 5, min_quantity=3))
    assert only(shard.do(ask(PAT, 20_000, 2)), Traded) == []
    (trade,) = only(shard.do(ask(PAT, 20_000, 4)), Traded)
    assert trade.quantity == 4


def test_an_ask_may_sell_long_terms_alone() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4, ONDEMAND, min_hours=5))
    assert only(shard.do(bid(ALICE, 20_000, 1, ONDEMAND, hours=4)), Traded) == []
    assert len(only(shard.do(bid(BOB, 20_000, 1, ONDEMAND, hours=5)), Traded)) == 1


def test_an_ask_of_long_terms_goes_when_less_than_one_is_left() -> None:
    shard = Shard()
    order = shard.place(ask(PAT, 20_000, 4, ONDEMAND, max_hours=10, min_hours=5))
    shard.wait(5 * HOUR)
    assert order in shard.auditor.orders
    (canceled,) = only(shard.wait(1), Canceled)
    assert (canceled.order_id, canceled.reason) == (order, Reason.WINDOW_CLOSED)


# ---------------------------------------------------------------- capacity


def test_a_cut_takes_whole_lots() -> None:
    shard = Shard()
    order = shard.place(ask(PAT, 20_000, 8, lot=4))
    (amended,) = only(shard.do(SetCapacity(baron=BARON, gpus=7, simulated=False)), Amended)
    assert (amended.order_id, amended.leaves_quantity, amended.reason) == (order, 4, Reason.CAPACITY_CUT)
    (canceled,) = only(shard.do(SetCapacity(baron=BARON, gpus=3, simulated=False)), Canceled)
    assert (canceled.order_id, canceled.quantity) == (order, 4)


def test_an_offer_stands_in_whole_lots() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 7, lot=3))
    assert shard.asks(SPOT) == [(20_000, 6)]
    shard.do(SetCapacity(baron=BARON, gpus=5, simulated=False))
    assert shard.asks(SPOT) == [(20_000, 3)]
    shard.do(SetCapacity(baron=BARON, gpus=2, simulated=False))
    assert shard.asks(SPOT) == []
    shard.do(SetCapacity(baron=BARON, gpus=8, simulated=False))
    assert shard.asks(SPOT) == [(20_000, 6)]


def test_an_offers_terms_reach_its_ask_and_a_change_of_them_enters_anew() -> None:
    shard = Shard()
    terms = offered(20_000, 8, ONDEMAND, lot=2, min_hours=3)
    (accepted,) = only(shard.offer(terms), Accepted)
    assert (accepted.lot, accepted.min_hours) == (2, 3)
    events = shard.offer(msgspec.structs.replace(terms, min_hours=2))
    assert [event.reason for event in only(events, Canceled)] == [Reason.OFFER_CHANGED]
    assert [event.min_hours for event in only(events, Accepted)] == [2]


# ---------------------------------------------------------------- icebergs


def test_an_iceberg_holds_the_whole_and_says_each_slice() -> None:
    shard = Shard()
    first = shard.place(bid(ALICE, 20_000, 5, display_quantity=2))
    assert shard.auditor.pots[ALICE, Pot.HELD] > 5 * 2_000_000
    second = shard.place(bid(BOB, 20_000, 2))
    events = shard.do(ask(PAT, 20_000, 5))
    assert [(trade.maker_order_id, trade.quantity) for trade in only(events, Traded)] == [
        (first, 2),
        (second, 2),
        (first, 1),
    ]
    (refilled,) = only(events, Refilled)
    assert (refilled.order_id, refilled.quantity, refilled.leaves_quantity) == (first, 2, 3)
    # Slices at one price are one lease.
    assert [(lease.renter, lease.quantity) for lease in only(events, LeaseScheduled)] == [(ALICE, 3), (BOB, 2)]


def test_an_amended_iceberg_still_shows_its_part_of_the_whole() -> None:
    shard = Shard(gpus=1_000)
    order = shard.place(ask(PAT, 20_000, 64, display_quantity=1))
    shard.refuse(AmendOrder(account=PAT, order_id=order, quantity=65), Reason.INVALID_QUANTITY, "display_quantity")
    lots = shard.place(ask(PAT, 20_000, 8, lot=4))
    shard.refuse(AmendOrder(account=PAT, order_id=lots, quantity=6), Reason.INVALID_QUANTITY, "quantity")
    shard.do(AmendOrder(account=PAT, order_id=lots, quantity=4))


# ---------------------------------------------------------------- self-trade


@pytest.mark.parametrize(
    ("mode", "left", "reasons"),
    [
        (SelfTrade.CANCEL_NEWEST, [(20_000, 3)], [Reason.SELF_TRADE]),
        (SelfTrade.CANCEL_OLDEST, [], [Reason.SELF_TRADE]),
        (SelfTrade.CANCEL_BOTH, [], [Reason.SELF_TRADE, Reason.SELF_TRADE]),
        (SelfTrade.DECREMENT, [(20_000, 1)], [Reason.SELF_TRADE]),
    ],
)
def test_the_takers_mode_rules(mode: SelfTrade, left: list[tuple[int, int]], reasons: list[Reason]) -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    shard.place(ask(PAT, 20_000, 3))
    events = shard.do(bid(PAT, 20_000, 2, self_trade=mode))
    assert only(events, Traded) == []
    assert [event.reason for event in only(events, Canceled)] == reasons
    assert shard.asks(SPOT) == left


def test_a_fok_under_decrement_counts_its_own_as_nothing() -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    shard.place(ask(PAT, 19_000, 2))
    shard.place(ask(QUINN, 20_000, 3, baron=OTHER_BARON))
    fok = bid(PAT, 20_000, 4, self_trade=SelfTrade.DECREMENT, time_in_force=FOK)
    shard.refuse(fok, Reason.FOK_KILLED)
    events = shard.do(msgspec.structs.replace(fok, quantity=3))
    assert [trade.quantity for trade in only(events, Traded)] == [1]
    assert shard.asks(SPOT) == [(20_000, 2)]
    assert shard.bids(SPOT) == []


def test_decrement_says_what_both_have_left_and_frees_the_hold() -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    own = shard.place(ask(PAT, 20_000, 1))
    events = shard.do(bid(PAT, 20_000, 3, self_trade=SelfTrade.DECREMENT))
    assert [event.order_id for event in only(events, Canceled)] == [own]
    (amended,) = only(events, Amended)
    assert (amended.quantity, amended.leaves_quantity, amended.kept_priority) == (2, 2, True)
    assert amended.reason is Reason.SELF_TRADE
    assert shard.bids(SPOT) == [(20_000, 2)]


# ---------------------------------------------------------------- time


def test_a_gtd_order_goes_at_its_time() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 1, time_in_force=GTD, expire_ns=START + HOUR))
    shard.wait(HOUR - 1)
    assert shard.bids(SPOT) == [(20_000, 1)]
    (canceled,) = only(shard.wait(1), Canceled)
    assert (canceled.order_id, canceled.reason) == (order, Reason.EXPIRED)
    rejected = shard.refuse(CancelOrder(account=ALICE, order_id=order), Reason.ORDER_CLOSED)
    assert rejected.order_status is OrderStatus.EXPIRED


def test_a_day_order_goes_at_midnight() -> None:
    shard = Shard()
    midnight_ns = (START // (24 * HOUR) + 1) * 24 * HOUR
    (accepted,) = only(shard.do(ask(PAT, 20_000, 1, time_in_force=DAY)), Accepted)
    assert accepted.expire_ns == midnight_ns
    shard.wait(midnight_ns - shard.now_ns)
    assert shard.machine.counts().open_orders == 0


def test_an_earlier_expiry_is_amended_in_place() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 2, time_in_force=GTD, expire_ns=START + 3 * HOUR))
    shard.place(bid(BOB, 20_000, 1))
    earlier = AmendOrder(account=ALICE, order_id=order, expire_ns=START + 2 * HOUR)
    (amended,) = only(shard.do(earlier), Amended)
    assert (amended.expire_ns, amended.kept_priority, amended.reason) == (START + 2 * HOUR, True, Reason.REQUESTED)
    shard.refuse(earlier, Reason.NOTHING_TO_AMEND)
    shard.refuse(msgspec.structs.replace(earlier, expire_ns=START), Reason.INVALID_EXPIRY, "expire_ns")
    both = msgspec.structs.replace(earlier, expire_ns=START + 3 * HOUR, price_ticks=10_000_000, quantity=100_000)
    shard.refuse(both, Reason.INSUFFICIENT_FUNDS)
    assert shard.machine.next_due_ns() == START + 2 * HOUR
    (trade,) = only(shard.do(ask(PAT, 20_000, 1)), Traded)
    assert trade.maker_order_id == order
    plain = shard.place(bid(ALICE, 19_000, 1))
    forever = AmendOrder(account=ALICE, order_id=plain, expire_ns=START + HOUR)
    shard.refuse(forever, Reason.INVALID_ORDER, "expire_ns")
    shard.wait(HOUR + MINUTE)
    assert shard.bids(SPOT) == [(20_000, 1), (20_000, 1), (19_000, 1)]


@pytest.mark.parametrize("change", [{}, {"quantity": 2}, {"quantity": 4}])
def test_a_later_expiry_gives_up_the_place_even_with_less_quantity(change: dict[str, Any]) -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 3, time_in_force=GTD, expire_ns=START + HOUR))
    other = shard.place(bid(BOB, 20_000, 1))
    later = AmendOrder(account=ALICE, order_id=order, expire_ns=START + 2 * HOUR, **change)
    (amended,) = only(shard.do(later), Amended)
    assert (amended.expire_ns, amended.kept_priority) == (START + 2 * HOUR, False)
    assert amended.quantity == change.get("quantity", 3)
    trades = only(shard.do(ask(PAT, 20_000, 2)), Traded)
    assert [trade.maker_order_id for trade in trades] == [other, order]
    shard.wait(HOUR)
    assert len(shard.bids(SPOT)) == 1
    shard.wait(HOUR)
    assert shard.bids(SPOT) == []


def test_a_later_expiry_that_is_refused_changes_nothing() -> None:
    shard = Shard()
    order = shard.place(
        bid(ALICE, 20_000, 2, ONDEMAND, hours=2, min_quantity=2, time_in_force=GTD, expire_ns=START + HOUR)
    )
    shard.do(SetSession(instrument=ONDEMAND, session=Session.AUCTION))
    # What is conditional stands aside in an auction, and doesn't enter it anew; less time it may have.
    later = AmendOrder(account=ALICE, order_id=order, expire_ns=START + 2 * HOUR)
    shard.refuse(later, Reason.SESSION_CLOSED)
    assert shard.machine.next_due_ns() == START + HOUR
    (amended,) = only(shard.do(msgspec.structs.replace(later, expire_ns=START + MINUTE)), Amended)
    assert (amended.expire_ns, amended.kept_priority) == (START + MINUTE, True)


def test_a_stop_s_later_expiry_sends_it_to_the_end_of_the_stops() -> None:
    shard = Shard()
    terms: dict[str, Any] = {
        "order_type": OrderType.STOP,
        "stop_price_ticks": 20_000,
        "time_in_force": GTD,
        "expire_ns": START + HOUR,
    }
    first, second = (shard.place(bid(account, 30_000, 1, **terms)) for account in (ALICE, BOB))
    (amended,) = only(shard.do(AmendOrder(account=ALICE, order_id=first, expire_ns=START + 2 * HOUR)), Amended)
    assert not amended.kept_priority
    shard.place(ask(PAT, 20_000, 3))
    events = shard.do(bid(BOB, 20_000, 1))
    assert [event.order_id for event in only(events, Triggered)] == [second, first]


# ---------------------------------------------------------------- bounds


def test_an_account_has_so_many_conditional_orders() -> None:
    shard = Shard(Limits(max_conditional_account=2))
    for _ in range(2):
        shard.place(bid(ALICE, 20_000, 2, min_quantity=2))
    shard.refuse(bid(ALICE, 20_000, 2, min_quantity=2), Reason.TOO_MANY_CONDITIONAL)
    shard.place(bid(ALICE, 20_000, 2))
    shard.place(bid(BOB, 20_000, 2, min_quantity=2))


def test_one_more_conditional_order_at_rest_is_cancelled() -> None:
    shard = Shard(Limits(max_conditional_side=1))
    shard.place(bid(ALICE, 20_000, 2, min_quantity=2))
    events = shard.do(bid(BOB, 20_000, 2, min_quantity=2))
    assert [event.reason for event in only(events, Canceled)] == [Reason.CONDITIONAL_LIMIT]


def test_a_refusal_for_conditional_orders_comes_before_bids_are_cancelled() -> None:
    shard = Shard(Limits(max_conditional_account=1, max_leases=1))
    shard.place(ask(PAT, 30_000, 2, lot=2))
    for _ in range(2):
        shard.place(bid(ALICE, 20_000, 2))
    shard.do(ask(QUINN, 20_000, 2, baron=OTHER_BARON))
    shard.refuse(ask(PAT, 20_000, 2, lot=2), Reason.TOO_MANY_CONDITIONAL)
