"""Rows and what is sold ahead: forwards' hours, spot that looks two minutes ahead, and offers that stop before them (§4)."""

from __future__ import annotations

import pytest

from engine.kinds import EndReason
from engine.messages import (
    Amended,
    Canceled,
    EndLease,
    Event,
    LeaseChanged,
    LeaseScheduled,
    LeaseWiped,
    SetCapacity,
    Tick,
)
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    PAT,
    SECOND,
    SPOT,
    START,
    Shard,
    ask,
    changes,
    offered,
    only,
    rental,
)
from tests.engine.spot import noticed, runs
from tests.engine.test_forwards import day, purchase, rich, sale, trade

PRICE = 20_000


def span(shard: Shard, instrument: int) -> tuple[int, int]:
    listed = shard.machine.state.instruments[instrument]
    return listed.start_h, listed.end_h


def counts(shard: Shard, hour: int, account: int = PAT) -> tuple[int, int, int]:
    """(bought, sold, reserved) of a row of BARON in one hour."""
    return tuple(shard.machine.state.rows[account, BARON].grid.at(hour))  # type: ignore[return-value]


def before(shard: Shard, instrument: int, ahead_ns: int) -> None:
    """Let time pass to so long before a forward's delivery starts."""
    shard.wait(span(shard, instrument)[0] * HOUR - ahead_ns - shard.now_ns)


def test_a_forward_ask_reserves_its_period_and_a_sale_takes_it() -> None:
    shard = rich()
    tomorrow = day(shard, 0)
    start_h, end_h = span(shard, tomorrow)
    shard.place(sale(PAT, 5, tomorrow))
    edges = (start_h - 1, start_h, end_h - 1, end_h)
    assert [counts(shard, hour) for hour in edges] == [(0, 0, 0), (0, 0, 5), (0, 0, 5), (0, 0, 0)]
    shard.do(purchase(ALICE, 2, tomorrow))
    assert [counts(shard, hour) for hour in edges] == [(0, 0, 0), (0, 2, 3), (0, 2, 3), (0, 0, 0)]
    assert [counts(shard, hour, ALICE) for hour in edges] == [(0, 0, 0), (2, 0, 0), (2, 0, 0), (0, 0, 0)]
    # A holder's ask stands on what it bought, hour for hour.
    shard.refuse(sale(ALICE, 3, tomorrow), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.place(sale(ALICE, 2, tomorrow, PRICE + 1))
    assert counts(shard, start_h, ALICE) == (2, 0, 2)


def test_an_on_demand_window_ends_where_the_hours_are_sold_ahead() -> None:
    shard = rich()
    tomorrow = day(shard, 0)
    trade(shard, PAT, ALICE, 6, tomorrow)
    hours = span(shard, tomorrow)[0] - START // HOUR
    shard.refuse(ask(PAT, PRICE, 3, ONDEMAND, max_hours=hours + 1), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.place(ask(PAT, PRICE, 3, ONDEMAND, max_hours=hours))
    shard.place(ask(PAT, PRICE, 2, ONDEMAND, max_hours=hours + 1))


def test_an_offers_window_takes_in_the_next_hour_only_where_it_is_free() -> None:
    shard = rich()
    tomorrow = day(shard, 0)
    start_h, _ = span(shard, tomorrow)
    trade(shard, PAT, ALICE, 6, tomorrow)
    shard.offer(offered(PRICE, 4, ONDEMAND, max_hours=3))
    (order,) = (order for order in shard.auditor.orders.values() if order.accepted.instrument == ONDEMAND)
    before(shard, tomorrow, 4 * HOUR)
    assert order.window_end_ns == (start_h - 1) * HOUR
    shard.wait(HOUR)
    assert order.window_end_ns == start_h * HOUR
    events = shard.wait(HOUR)
    # The next hour has 2 free GPUs, and the ask has 4: its window stays.
    assert not [event for event in only(events, Amended) if event.reason is Reason.WINDOW_MOVED]
    assert (order.window_end_ns, order.leaves) == (start_h * HOUR, 4)


@pytest.mark.parametrize(("early_ns", "cut"), [(2 * MINUTE + 1, False), (2 * MINUTE, True), (SECOND, True)])
def test_spot_asks_are_cut_two_minutes_before_the_hour_that_is_sold(early_ns: int, cut: bool) -> None:
    shard = rich()
    tomorrow = day(shard, 0)
    trade(shard, PAT, ALICE, 5, tomorrow)
    older = shard.place(ask(PAT, PRICE, 4, lot=2))
    newer = shard.place(ask(PAT, PRICE + 1, 4, lot=2))
    before(shard, tomorrow, 2 * MINUTE + 1)
    assert shard.asks(SPOT) == [(PRICE, 4), (PRICE + 1, 4)]
    events = shard.wait(2 * MINUTE + 1 - early_ns)
    gone = [(event.order_id, event.reason) for event in only(events, Canceled) if event.account == PAT]
    assert gone == ([(newer, Reason.CAPACITY_CUT)] if cut else [])
    # 3 are left: a multiple of its lot.
    assert shard.auditor.orders[older].leaves == (2 if cut else 4)


def test_spot_leases_have_notice_to_the_hour_that_is_sold_and_no_sooner() -> None:
    shard = rich()
    tomorrow = day(shard, 0)
    start_ns = span(shard, tomorrow)[0] * HOUR
    trade(shard, PAT, ALICE, 5, tomorrow)
    cheap, dear = runs(shard, BOB, PRICE, 4), runs(shard, BOB, PRICE + 1, 3)
    before(shard, tomorrow, 2 * MINUTE + 1)
    events = shard.wait(1)
    assert noticed(events) == [cheap]
    ended = [event for event in only(shard.wait(2 * MINUTE), LeaseChanged) if event.lease_id == cheap]
    assert [(event.reason, event.ended_ns) for event in ended] == [(EndReason.PREEMPTED, start_ns)]
    assert shard.machine.state.leases[dear].live


@pytest.mark.parametrize("late_ns", [0, 1, 2 * MINUTE, 3 * MINUTE, 3 * HOUR, 30 * HOUR, 24 * 300 * HOUR])
def test_a_late_tick_looks_ahead_as_of_its_time_and_nobody_pays_for_an_hour_that_was_sold(late_ns: int) -> None:
    shard = rich()
    tomorrow = day(shard, 0)
    start_ns = span(shard, tomorrow)[0] * HOUR
    trade(shard, PAT, ALICE, 8, tomorrow)
    cheap, dear = runs(shard, BOB, PRICE, 4), runs(shard, BOB, PRICE + 1, 3)
    before(shard, tomorrow, 2 * MINUTE + 1)
    shard.wait(late_ns + 1, tick=False)
    events: list[Event] = []
    while shard.due():
        events += shard.do(Tick())
    events += shard.wait(2 * MINUTE)
    assert noticed(events) == [cheap, dear]
    ended = [
        (each.lease_id, each.reason, each.ended_ns) for each in changes(events) if each.ended_ns and each.renter == BOB
    ]
    assert ended == [(number, EndReason.PREEMPTED, start_ns) for number in (cheap, dear)]


def test_what_comes_back_with_an_hour_can_be_sold_as_spot_when_that_hour_runs() -> None:
    shard = rich()
    tomorrow = day(shard, 0)
    _, end_h = span(shard, tomorrow)
    trade(shard, PAT, ALICE, 8, tomorrow)
    before(shard, tomorrow, 0)
    shard.refuse(ask(PAT, PRICE, 1), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.wait(end_h * HOUR - 1 - shard.now_ns)
    # The larger of this hour's sales and the next's.
    shard.refuse(ask(PAT, PRICE, 1), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.wait(1)
    shard.place(ask(PAT, PRICE, 8))


@pytest.mark.parametrize(("gpus", "left"), [(8, [5, 2]), (6, [5, 1]), (5, [5, 0]), (3, [3, 0])])
def test_lost_capacity_cuts_firm_asks_of_either_kind_by_what_their_own_hours_lack(gpus: int, left: list[int]) -> None:
    shard = rich()
    asks = [shard.place(sale(PAT, 5, day(shard, 1))), shard.place(sale(PAT, 2, day(shard, 1)))]
    # Not in their hours: it lacks nothing of its own.
    apart = shard.place(ask(PAT, PRICE, 3, ONDEMAND, max_hours=4))
    shard.do(SetCapacity(baron=BARON, gpus=gpus, simulated=False))
    stands = [shard.auditor.orders[each].leaves if each in shard.auditor.orders else 0 for each in asks]
    assert (stands, shard.auditor.orders[apart].leaves) == (left, 3)


def test_a_lease_that_ends_early_frees_hours_for_a_forward() -> None:
    shard = rich()
    tomorrow = day(shard, 0)
    shard.place(ask(PAT, PRICE, 8, ONDEMAND, max_hours=24))
    (lease,) = only(shard.do(rental(ALICE, 8, 20)), LeaseScheduled)
    shard.refuse(sale(PAT, 1, tomorrow), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.do(EndLease(account=ALICE, lease_id=lease.lease_id))
    shard.refuse(sale(PAT, 1, tomorrow), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.do(LeaseWiped(lease_id=lease.lease_id))
    shard.place(sale(PAT, 8, tomorrow))
