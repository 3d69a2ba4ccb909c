"""Stops: armed by what they may cost, triggered by the last trade, fired after the command, checked once more (§2, §5)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine import stops
from engine.ids import INDEX_MAX
from engine.kinds import OrderType, Pot, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    Accepted,
    AmendOrder,
    Canceled,
    CancelOrder,
    PlaceOrder,
    SetCapacity,
    SetSession,
    Tick,
    Traded,
    Triggered,
)
from engine.reasons import Reason
from engine.records import Session
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    Shard,
    ask,
    bid,
    only,
)


def stop_buy(
    account: int, stop: int, price: int, quantity: int, order_type: OrderType = OrderType.STOP, **more: Any
) -> PlaceOrder:
    return bid(account, price, quantity, order_type=order_type, stop_price_ticks=stop, **more)


def stop_sell(
    account: int, stop: int, price: int, quantity: int, order_type: OrderType = OrderType.STOP, **more: Any
) -> PlaceOrder:
    return ask(account, price, quantity, order_type=order_type, stop_price_ticks=stop, **more)


def trade_at(shard: Shard, price: int, baron: int = OTHER_BARON) -> None:
    """One GPU changes hands at a price, between others."""
    shard.do(ask(QUINN, price, 1, baron=baron))
    shard.do(bid(BOB, price, 1))


def test_a_stop_buy_holds_its_protection_and_rests_in_no_depth() -> None:
    shard = Shard()
    (accepted,) = only(shard.do(stop_buy(ALICE, 21_000, 22_000, 3)), Accepted)
    assert (accepted.armed, accepted.price_ticks, accepted.stop_price_ticks) == (True, 22_000, 21_000)
    # 3,720 s of 3 GPUs at $2.20, and 0.5 % of that.
    assert shard.auditor.pots[ALICE, Pot.HELD] == 6_820_000 + 34_100
    assert shard.bids(SPOT) == []
    shard.do(CancelOrder(account=ALICE, order_id=accepted.order_id))
    assert shard.auditor.pots[ALICE, Pot.HELD] == 0


def test_a_trade_at_its_price_fires_a_stop_after_the_command() -> None:
    shard = Shard()
    order = shard.place(stop_buy(ALICE, 21_000, 22_000, 3))
    shard.place(ask(PAT, 21_500, 2))
    trade_at(shard, 20_999)
    assert not shard.due()
    shard.place(ask(QUINN, 21_000, 1, baron=OTHER_BARON))
    events = shard.do(bid(BOB, 21_000, 1))
    assert [type(event) for event in events if isinstance(event, Traded | Triggered | Canceled)] == [
        Traded,
        Triggered,
        Traded,
        Canceled,
    ]
    (triggered,) = only(events, Triggered)
    assert (triggered.order_id, triggered.price_ticks, triggered.leaves_quantity) == (order, 22_000, 3)
    (canceled,) = only(events, Canceled)
    assert (canceled.order_id, canceled.quantity, canceled.reason) == (order, 1, Reason.MARKET_REMAINDER)


def test_a_stop_limit_rests_with_what_it_leaves() -> None:
    shard = Shard()
    shard.place(stop_sell(PAT, 20_000, 19_000, 4, OrderType.STOP_LIMIT))
    shard.place(bid(ALICE, 19_500, 1))
    trade_at(shard, 20_000)
    assert shard.asks(SPOT) == [(19_000, 3)]


def test_a_stop_ask_reserves_capacity_and_is_cut_as_the_newest() -> None:
    shard = Shard()
    older = shard.place(ask(PAT, 30_000, 4))
    stop = shard.place(stop_sell(PAT, 10_000, 0, 4))
    shard.refuse(ask(PAT, 30_000, 1), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.do(SetCapacity(baron=BARON, gpus=5, simulated=False))
    assert {number: order.leaves for number, order in shard.auditor.orders.items()} == {older: 4, stop: 1}
    shard.do(SetCapacity(baron=BARON, gpus=4, simulated=False))
    assert list(shard.auditor.orders) == [older]


def test_a_stop_sale_without_a_price_is_told_its_protection_by_the_trigger() -> None:
    shard = Shard()
    order = shard.place(stop_sell(PAT, 20_000, 0, 2))
    shard.place(bid(ALICE, 14_000, 1))
    shard.place(bid(BOB, 13_000, 1))
    shard.place(ask(QUINN, 15_000, 1, baron=OTHER_BARON))
    events = shard.do(bid(BOB, 15_000, 1))
    (triggered,) = only(events, Triggered)
    assert (triggered.order_id, triggered.price_ticks) == (order, 13_300)
    assert [trade.price_ticks for trade in only(events, Traded)] == [15_000, 14_000]


def test_a_stop_with_nobody_there_is_cancelled() -> None:
    shard = Shard()
    order = shard.place(stop_sell(PAT, 20_000, 0, 2))
    shard.place(ask(QUINN, 15_000, 1, baron=OTHER_BARON))
    events = shard.do(bid(BOB, 15_000, 1))
    assert [(event.order_id, event.reason) for event in only(events, Canceled)] == [(order, Reason.NO_LIQUIDITY)]
    assert only(events, Triggered) == []


def test_stops_fire_in_order_of_entry_so_many_a_command_and_a_tick_goes_on() -> None:
    shard = Shard(Limits(max_stops=2))
    orders = [shard.place(stop_buy(ALICE, 20_000, 20_000, 1)) for _ in range(5)]
    shard.place(ask(QUINN, 20_000, 1, baron=OTHER_BARON))
    fired = [event.order_id for event in only(shard.do(bid(BOB, 20_000, 1)), Canceled)]
    assert fired == orders[:2]
    assert shard.machine.next_due_ns() == shard.now_ns
    assert [event.order_id for event in only(shard.do(Tick()), Canceled)] == orders[2:4]
    assert [event.order_id for event in only(shard.do(Tick()), Canceled)] == orders[4:]
    assert not shard.due()


def test_what_waits_is_known_after_a_restore() -> None:
    shard = Shard(Limits(max_stops=1))
    for _ in range(2):
        shard.place(stop_buy(ALICE, 20_000, 20_000, 1))
    trade_at(shard, 20_000)
    twin = type(shard.machine).restore(shard.machine.snapshot(), shard.machine.state.book_factory)
    assert twin.next_due_ns() == shard.machine.next_due_ns() == shard.now_ns
    shard.twin = twin
    shard.do(Tick())
    assert shard.machine.counts().open_orders == 0


def test_a_stop_whose_account_has_all_its_leases_is_cancelled_at_its_trigger() -> None:
    shard = Shard(Limits(max_leases=1))
    order = shard.place(stop_buy(ALICE, 20_000, 22_000, 1))
    shard.place(ask(PAT, 19_000, 1))
    shard.do(bid(ALICE, 19_000, 1))
    shard.place(ask(PAT, 21_000, 1))
    shard.place(ask(QUINN, 20_000, 1, baron=OTHER_BARON))
    events = shard.do(bid(BOB, 20_000, 1))
    assert [(event.order_id, event.reason) for event in only(events, Canceled)] == [(order, Reason.TOO_MANY_LEASES)]
    assert shard.asks(SPOT) == [(21_000, 1)]


def test_a_fired_sale_cancels_the_bids_that_may_open_no_more_leases() -> None:
    shard = Shard(Limits(max_leases=1))
    full = [shard.place(bid(ALICE, 19_500, 1)) for _ in range(2)]
    free = shard.place(bid(BOB, 19_000, 1))
    shard.place(stop_sell(PAT, 20_000, 19_000, 3, OrderType.STOP_LIMIT))
    shard.pay(QUINN, 100)
    shard.place(ask(PAT, 20_000, 1, baron=SECOND_BARON))
    events = shard.do(bid(QUINN, 20_000, 1))
    assert [trade.maker_order_id for trade in only(events, Traded)][1:] == [full[0], free]
    assert [(event.order_id, event.reason) for event in only(events, Canceled)] == [(full[1], Reason.TOO_MANY_LEASES)]


def test_a_stop_that_is_due_at_once_fires_with_its_entry() -> None:
    shard = Shard()
    trade_at(shard, 20_000)
    shard.place(ask(PAT, 20_500, 5))
    events = shard.do(stop_buy(ALICE, 20_000, 21_000, 2))
    assert [type(event) for event in events if isinstance(event, Accepted | Triggered | Traded)] == [
        Accepted,
        Triggered,
        Traded,
    ]


def test_stops_do_not_fire_in_a_halt_and_fire_when_trading_goes_on() -> None:
    shard = Shard()
    order = shard.place(stop_buy(ALICE, 20_000, 21_000, 1, time_in_force=TimeInForce.GTC))
    shard.do(SetSession(instrument=SPOT, session=Session.PRE_OPEN))
    shard.place(ask(QUINN, 20_000, 1, baron=OTHER_BARON))
    shard.place(bid(BOB, 20_000, 1))
    events = shard.do(SetSession(instrument=SPOT, session=Session.CONTINUOUS))
    assert [trade.auction for trade in only(events, Traded)] == [True]
    assert [event.order_id for event in only(events, Canceled)] == [order]


def test_an_armed_stop_is_amended_with_its_hold() -> None:
    shard = Shard(usd=10)
    order = shard.place(stop_buy(ALICE, 20_000, 20_000, 4))
    shard.refuse(AmendOrder(account=ALICE, order_id=order, price_ticks=30_000), Reason.INSUFFICIENT_FUNDS)
    shard.do(AmendOrder(account=ALICE, order_id=order, price_ticks=21_000))
    shard.do(AmendOrder(account=ALICE, order_id=order, quantity=2))
    # 3,720 s of 2 GPUs at $2.10, and 0.5 % of that.
    assert shard.auditor.pots[ALICE, Pot.HELD] == 4_340_000 + 21_700


STOP_BUY = stop_buy(ALICE, 21_000, 22_000, 1)
STOP_SELL = stop_sell(PAT, 21_000, 0, 1)
PLAIN = bid(ALICE, 10_000, 1)


@pytest.mark.parametrize(
    ("order", "changes", "reason", "field"),
    [
        (STOP_BUY, {"price_ticks": 0}, Reason.INVALID_PRICE, "price_ticks"),
        (STOP_BUY, {"stop_price_ticks": 0}, Reason.INVALID_PRICE, "stop_price_ticks"),
        (STOP_BUY, {"stop_price_ticks": 10_000_001}, Reason.INVALID_PRICE, "stop_price_ticks"),
        (STOP_BUY, {"post_only": True}, Reason.INVALID_ORDER, "post_only"),
        (STOP_BUY, {"display_quantity": 1}, Reason.INVALID_ORDER, "display_quantity"),
        (STOP_BUY, {"quantity": 100_000, "price_ticks": 10_000_000}, Reason.INSUFFICIENT_FUNDS, ""),
        (STOP_SELL, {"order_type": OrderType.STOP_LIMIT}, Reason.INVALID_PRICE, "price_ticks"),
        (STOP_SELL, {"quantity": 9}, Reason.INSUFFICIENT_CAPACITY, "quantity"),
        (PLAIN, {"stop_price_ticks": 1}, Reason.INVALID_ORDER, "stop_price_ticks"),
    ],
)
def test_a_bad_stop_is_refused(order: PlaceOrder, changes: dict[str, Any], reason: Reason, field: str) -> None:
    shard = Shard()
    shard.do(order)
    shard.refuse(msgspec.structs.replace(order, **changes), reason, field)


@pytest.mark.parametrize("side", list(Side))
def test_stops_are_refused_outside_continuous(side: Side) -> None:
    shard = Shard()
    shard.do(SetSession(instrument=SPOT, session=Session.AUCTION))
    shard.refuse(STOP_BUY if side is Side.BUY else STOP_SELL, Reason.SESSION_CLOSED)


def test_stops_wait_where_a_command_has_no_ids_left_for_their_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stops, "_IDS_KEPT", INDEX_MAX - 3 * Limits().max_looked)
    shard = Shard()
    for _ in range(2):
        shard.place(stop_buy(ALICE, 20_000, 20_500, 1))
    shard.place(ask(PAT, 20_500, 2))
    trade_at(shard, 20_000)
    assert shard.machine.next_due_ns() == shard.now_ns
    for _ in range(2):
        assert len(only(shard.do(Tick()), Triggered)) == 1
    assert not shard.due()
