"""Mass cancels and the dead-man switch: what goes, what stays, and when (§5)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kinds import OrderType, Pot, Side
from engine.messages import AllCanceled, CancelAll, CancelAllAfter, CancelAllAfterSet, Canceled, KeepOrders, SetQuotes
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BOB,
    HOUR,
    MINUTE,
    NO_INSTRUMENT,
    ONDEMAND,
    PAT,
    SECOND,
    SPOT,
    Shard,
    ask,
    bid,
    offered,
    only,
)


def gathered() -> tuple[Shard, dict[str, int]]:
    """An account's orders of every sort, an armed stop and a set of quotes among them; others' beside."""
    shard = Shard()
    shard.pay(PAT, 1_000)
    orders = {
        "spot bid": shard.place(bid(PAT, 10_000, 1, tag="grid", connection=7)),
        "term bid": shard.place(bid(PAT, 10_000, 1, ONDEMAND, connection=8)),
        "spot ask": shard.place(ask(PAT, 30_000, 1, tag="grid")),
        "stop": shard.place(
            bid(PAT, 10_000, 1, order_type=OrderType.STOP, stop_price_ticks=40_000, tag="hedge", connection=7)
        ),
    }
    shard.place(bid(BOB, 10_000, 1, tag="grid", connection=7))
    shard.offer(offered(30_000, 2))
    return shard, orders


@pytest.mark.parametrize(
    ("chosen", "gone"),
    [
        ({}, {"spot bid", "term bid", "spot ask", "stop"}),
        ({"instrument": ONDEMAND}, {"term bid"}),
        ({"side": Side.SELL}, {"spot ask"}),
        ({"side": Side.BUY, "instrument": SPOT}, {"spot bid", "stop"}),
        ({"tag": "grid"}, {"spot bid", "spot ask"}),
        ({"tag": "grid", "side": Side.BUY}, {"spot bid"}),
        ({"tag": "nobody"}, set()),
        ({"connection": 7}, {"spot bid", "stop"}),
        ({"connection": 9}, set()),
    ],
)
def test_what_fits_all_that_is_named_goes_in_order_of_entry(chosen: dict[str, Any], gone: set[str]) -> None:
    shard, orders = gathered()
    events = shard.do(CancelAll(account=PAT, **chosen))
    expected = [number for name, number in orders.items() if name in gone]
    assert [event.order_id for event in only(events, Canceled)] == expected
    reason = Reason.DISCONNECTED if "connection" in chosen else Reason.MASS_CANCELED
    assert {event.reason for event in only(events, Canceled)} <= {reason}
    (said,) = only(events, AllCanceled)
    assert (said.account, said.orders, said.reason) == (PAT, len(expected), reason)
    # The offer stands, and takes the room that an ask left; others' orders stay.
    assert (10_000, 1) in shard.bids(SPOT)
    assert any(order.accepted.origin.name == "OFFER" for order in shard.auditor.orders.values())


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (CancelAll(account=99), Reason.UNKNOWN_ACCOUNT, "account"),
        (CancelAll(account=ALICE, instrument=NO_INSTRUMENT), Reason.UNKNOWN_INSTRUMENT, "instrument"),
        (CancelAll(account=ALICE, tag="a b"), Reason.INVALID_ORDER, "tag"),
        (CancelAll(account=ALICE, connection=-1), Reason.INVALID_ORDER, "connection"),
        (KeepOrders(account=99, connection=1), Reason.UNKNOWN_ACCOUNT, "account"),
        (KeepOrders(account=ALICE, connection=0), Reason.INVALID_ORDER, "connection"),
        (CancelAllAfter(account=99, after_ns=0), Reason.UNKNOWN_ACCOUNT, "account"),
        (CancelAllAfter(account=ALICE, after_ns=-1), Reason.INVALID_EXPIRY, "after_ns"),
        (CancelAllAfter(account=ALICE, after_ns=24 * HOUR + 1), Reason.INVALID_EXPIRY, "after_ns"),
    ],
)
def test_a_bad_one_is_refused(command: CancelAll | CancelAllAfter | KeepOrders, reason: Reason, field: str) -> None:
    Shard().refuse(command, reason, field)


def test_what_came_by_a_connection_that_logged_out_goes_with_no_later_loss() -> None:
    shard, orders = gathered()
    assert shard.do(KeepOrders(account=PAT, connection=7)) == []
    (said,) = only(shard.do(CancelAll(account=PAT, connection=7)), AllCanceled)
    assert said.orders == 0
    assert {orders["spot bid"], orders["stop"]} <= shard.machine.state.orders.keys()
    (said,) = only(shard.do(CancelAll(account=PAT, connection=8)), AllCanceled)
    assert said.orders == 1, "another connection's orders are still bound to it"
    (said,) = only(shard.do(CancelAll(account=BOB, connection=7)), AllCanceled)
    assert said.orders == 1, "and so are another account's"


def test_the_dead_man_switch_cancels_all_unless_it_is_set_again() -> None:
    shard = Shard()
    shard.place(bid(ALICE, 10_000, 1))
    shard.place(bid(BOB, 10_000, 1))
    (said,) = only(shard.do(CancelAllAfter(account=ALICE, after_ns=MINUTE)), CancelAllAfterSet)
    assert said.due_ns == shard.now_ns + MINUTE == shard.machine.next_due_ns()
    shard.wait(MINUTE - SECOND)
    shard.do(CancelAllAfter(account=ALICE, after_ns=MINUTE))
    twin = type(shard.machine).restore(shard.machine.snapshot(), shard.machine.state.book_factory)
    assert twin.next_due_ns() == shard.now_ns + MINUTE
    shard.twin = twin
    assert only(shard.wait(MINUTE - 1), Canceled) == []
    events = shard.wait(1)
    assert [event.reason for event in only(events, Canceled)] == [Reason.DEAD_MAN]
    assert [(said.orders, said.reason) for said in only(events, AllCanceled)] == [(1, Reason.DEAD_MAN)]
    assert shard.bids(SPOT) == [(10_000, 1)]
    assert shard.auditor.pots[ALICE, Pot.HELD] == 0
    assert shard.timers() == []


def test_the_dead_man_switch_is_switched_off() -> None:
    shard = Shard()
    shard.do(CancelAllAfter(account=ALICE, after_ns=MINUTE))
    (said,) = only(shard.do(CancelAllAfter(account=ALICE, after_ns=0)), CancelAllAfterSet)
    assert said.due_ns == 0
    assert shard.timers() == []
    shard.do(CancelAllAfter(account=ALICE, after_ns=0))


def test_ten_thousand_orders_go_in_one_command() -> None:
    shard = Shard(usd=100_000)
    shard.auditor.every = 1_000_000
    for number in range(10_000):
        shard.do(bid(ALICE, 1 + number % 100, 1))
    shard.auditor.every = 1
    assert len(only(shard.do(CancelAll(account=ALICE)), Canceled)) == 10_000
    assert shard.machine.counts().open_orders == 0


def test_a_lost_connection_takes_its_quotes() -> None:
    shard = Shard()
    shard.do(SetQuotes(account=ALICE, name="one", quotes=(), connection=3))
    shard.place(bid(ALICE, 10_000, 1, connection=3))
    assert len(only(shard.do(CancelAll(account=ALICE, connection=3)), Canceled)) == 1
