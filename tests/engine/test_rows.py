"""Rows: which hours an ask reserves, a fill sells and a wipe gives back, and what is cut where GPUs are fewer (§4)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kinds import EndReason, Fault, LeaseState, OrderType
from engine.messages import (
    Amended,
    AmendOrder,
    Canceled,
    CancelOrder,
    EndLease,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    LeaseWiped,
    SetCapacity,
)
from engine.reasons import Reason
from engine.rows import hour_of
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
    bid,
    offered,
    only,
    rental,
)

FIRST_H = hour_of(START)
PRICE = 20_000


def hours(shard: Shard, count: int = 6) -> list[tuple[int, int]]:
    """(sold, reserved) of PAT's row of BARON, hour by hour from the test's first on."""
    grid = shard.machine.state.rows[PAT, BARON].grid
    return [(grid.at(FIRST_H + number).sold, grid.at(FIRST_H + number).reserved) for number in range(count)]


def capacity(gpus: int) -> SetCapacity:
    return SetCapacity(baron=BARON, gpus=gpus, simulated=False)


def let(shard: Shard, renter: int, quantity: int, term: int) -> int:
    """An on-demand lease, provisioning; its id."""
    (scheduled,) = only(shard.do(rental(renter, quantity, term)), LeaseScheduled)
    return scheduled.lease_id


def runs_spot(shard: Shard, renter: int, price_ticks: int, quantity: int) -> int:
    """A running spot lease on BARON; its id."""
    shard.place(ask(PAT, price_ticks, quantity))
    (scheduled,) = only(shard.do(bid(renter, price_ticks, quantity)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    return scheduled.lease_id


# ---------------------------------------------------------------- what an ask reserves


@pytest.mark.parametrize(
    ("after_ns", "max_hours", "reserved"),
    [
        (0, 2, [3, 3, 0, 0]),
        (1, 2, [3, 3, 0, 0]),
        (HOUR - 1, 2, [3, 3, 0, 0]),
        (HOUR, 2, [0, 3, 3, 0]),
        (90 * MINUTE, 3, [0, 3, 3, 3]),
    ],
    ids=["on the hour", "just after", "just before the next", "the next hour", "amid it"],
)
def test_a_firm_ask_reserves_from_the_hour_of_its_entry_on(after_ns: int, max_hours: int, reserved: list[int]) -> None:
    shard = Shard()
    shard.wait(after_ns)
    shard.place(ask(PAT, PRICE, 3, ONDEMAND, max_hours=max_hours))
    assert [each for _, each in hours(shard, 4)] == reserved


def test_a_window_stays_where_it_is_while_time_passes() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 3, ONDEMAND, max_hours=4))
    shard.wait(2 * HOUR + MINUTE)
    assert hours(shard, 5)[2:] == [(0, 3), (0, 3), (0, 0)]
    # What is over is no hindrance: a second ask needs the hours from the running one on.
    shard.place(ask(PAT, PRICE + 1, 5, ONDEMAND, max_hours=3))
    assert hours(shard, 6)[2:] == [(0, 8), (0, 8), (0, 5), (0, 0)]


@pytest.mark.parametrize("max_hours", [2, 24])
def test_each_hour_of_a_window_must_be_free(max_hours: int) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 5, ONDEMAND, max_hours=2))
    shard.refuse(ask(PAT, PRICE, 4, ONDEMAND, max_hours=max_hours), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.place(ask(PAT, PRICE, 3, ONDEMAND, max_hours=max_hours))


def test_an_armed_stop_reserves_its_hours_too() -> None:
    shard = Shard()
    stop: dict[str, Any] = {"order_type": OrderType.STOP_LIMIT, "stop_price_ticks": 15_000}
    order = shard.place(ask(PAT, 15_000, 6, ONDEMAND, max_hours=2, **stop))
    assert hours(shard, 3) == [(0, 6), (0, 6), (0, 0)]
    shard.refuse(ask(PAT, PRICE, 3, ONDEMAND), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.do(CancelOrder(account=PAT, order_id=order))
    assert hours(shard, 2) == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("quantity", "fits"), [(6, True), (8, True), (9, False), (2, True)], ids=["more", "all", "too many", "fewer"]
)
def test_an_amended_ask_reserves_what_it_leaves(quantity: int, fits: bool) -> None:
    shard = Shard()
    order = shard.place(ask(PAT, PRICE, 5, ONDEMAND, max_hours=2))
    command = AmendOrder(account=PAT, order_id=order, quantity=quantity)
    if fits:
        shard.do(command)
    else:
        shard.refuse(command, Reason.INSUFFICIENT_CAPACITY, "quantity")
    assert hours(shard, 2) == [(0, quantity if fits else 5)] * 2


def test_spot_asks_stand_on_what_firm_asks_reserve_and_the_other_way_round() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8))
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    shard.refuse(ask(PAT, PRICE, 1), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.do(bid(ALICE, PRICE, 8))
    # Spot leases are no firm sale: they take nothing from firm asks.
    assert hours(shard, 1) == [(0, 8)]
    assert shard.asks(ONDEMAND) == [(PRICE, 8)]


# ---------------------------------------------------------------- what a fill sells


@pytest.mark.parametrize(
    ("after_ns", "term", "sold"),
    [
        (0, 1, [3, 0, 0, 0]),
        (0, 3, [3, 3, 3, 0]),
        (1, 1, [3, 3, 0, 0]),
        (30 * MINUTE, 2, [3, 3, 3, 0]),
        (HOUR - 1, 1, [3, 3, 0, 0]),
    ],
    ids=["on the hour", "three hours", "an hour touched is taken whole", "from amid an hour", "to amid an hour"],
)
def test_a_fill_sells_the_hours_that_its_term_touches(after_ns: int, term: int, sold: list[int]) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 5, ONDEMAND, max_hours=4))
    shard.wait(after_ns)
    let(shard, ALICE, 3, term)
    # What it leaves stays reserved in the whole window, and no more.
    assert hours(shard, 4) == [(gpus, 2) for gpus in sold]


def test_hours_beyond_a_term_are_free_for_others() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND, max_hours=2))
    let(shard, ALICE, 8, 1)
    assert hours(shard, 3) == [(8, 0), (0, 0), (0, 0)]
    shard.refuse(ask(PAT, PRICE, 1, ONDEMAND, max_hours=2), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.wait(HOUR)
    shard.place(ask(PAT, PRICE, 8, ONDEMAND, max_hours=2))


# ---------------------------------------------------------------- what a wipe gives back


@pytest.mark.parametrize(
    ("quits_after_ns", "sold"),
    [
        (30 * MINUTE, [0, 0, 0, 0, 0]),
        (HOUR + 30 * MINUTE, [3, 0, 0, 0, 0]),
        (2 * HOUR - 4 * MINUTE, [3, 3, 0, 0, 0]),
    ],
    ids=["in its first hour", "in its second", "wiped an hour later than ended"],
)
def test_a_wipe_gives_back_from_its_hour_on(quits_after_ns: int, sold: list[int]) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 3, ONDEMAND, max_hours=5))
    lease = shard.lease(ALICE, 3, 5)
    shard.wait(quits_after_ns)
    shard.do(EndLease(account=ALICE, lease_id=lease))
    assert [each for each, _ in hours(shard, 5)] == [3] * 5
    shard.wait(5 * MINUTE)
    shard.do(LeaseWiped(lease_id=lease))
    from_h = hour_of(shard.now_ns) - FIRST_H
    assert [each for each, _ in hours(shard, 5)][from_h:] == sold[from_h:]


@pytest.mark.parametrize("kind", [SPOT, ONDEMAND])
def test_what_is_not_wiped_in_time_leaves_what_is_verified_until_it_is(kind: int) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 3, kind))
    lease = shard.lease(ALICE, 3, 5, kind)
    shard.do(EndLease(account=ALICE, lease_id=lease))
    baron = shard.machine.state.barons[BARON]
    shard.wait(10 * MINUTE - 1)
    assert (baron.counted_gpus, shard.machine.state.rows[PAT, BARON].spot_gpus) == (8, 3 if kind == SPOT else 0)
    shard.wait(1)
    # Neither the lease's hours nor its GPUs: the count of what can be sold hasn't changed.
    assert (baron.counted_gpus, shard.machine.state.rows[PAT, BARON].spot_gpus) == (5, 0)
    assert hours(shard, 1) == [(0, 0)]
    shard.refuse(ask(PAT, PRICE, 6, kind), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.place(ask(PAT, PRICE, 5, kind))
    shard.do(LeaseWiped(lease_id=lease))
    assert baron.counted_gpus == 8
    shard.place(ask(PAT, PRICE, 3, kind))


def test_a_term_over_on_the_hour_and_not_wiped_ten_minutes_later_takes_gpus_from_what_was_sold_since() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND, max_hours=4))
    stays = let(shard, ALICE, 2, 1)
    shard.wait(HOUR)
    # Its hour is over, so that its GPUs can be sold while they are wiped.
    shard.place(ask(PAT, PRICE, 2, ONDEMAND, max_hours=4))
    taken = let(shard, BOB, 8, 1)
    events = shard.wait(10 * MINUTE)
    failed = [event for event in only(events, LeaseChanged) if event.state is LeaseState.FAILED]
    assert [(event.lease_id, event.reason) for event in failed] == [(taken, EndReason.PROVIDER_FAILED)]
    assert stays not in {event.lease_id for event in failed}


# ---------------------------------------------------------------- what is cut


def cuts(events: list[Event]) -> list[tuple[int, int]]:
    """(order id, what it leaves) of what was cut, in order."""
    cut: list[tuple[int, int]] = []
    for event in events:
        if isinstance(event, Canceled):
            assert event.reason is Reason.CAPACITY_CUT
            cut.append((event.order_id, 0))
        elif isinstance(event, Amended):
            assert event.reason is Reason.CAPACITY_CUT and event.kept_priority
            cut.append((event.order_id, event.leaves_quantity))
    return cut


@pytest.mark.parametrize(
    ("lots", "gpus", "left"),
    [
        ([1, 1, 1], 7, [3, 3, 1]),
        ([1, 1, 1], 6, [3, 3, 0]),
        ([1, 1, 1], 5, [3, 2, 0]),
        ([1, 1, 1], 0, [0, 0, 0]),
        ([1, 1, 2], 7, [3, 3, 0]),
        ([1, 2, 2], 5, [3, 2, 0]),
        ([1, 2, 2], 4, [3, 0, 0]),
        ([3, 1, 1], 2, [0, 0, 0]),
    ],
)
@pytest.mark.parametrize("kind", [SPOT, ONDEMAND])
def test_lost_capacity_cuts_asks_newest_first_by_whole_lots(
    kind: int, lots: list[int], gpus: int, left: list[int]
) -> None:
    """Three asks of 3, 3 and 2 GPUs, in order of entry; a lot of 2 makes the second 4 GPUs, and the third 2."""
    shard = Shard()
    sizes = [3, 2 if lots[1] == 2 else 3, 2]
    asks = [
        shard.place(ask(PAT, PRICE - number, size, kind, lot=lot))
        for number, (size, lot) in enumerate(zip(sizes, lots, strict=True))
    ]
    events = shard.do(capacity(gpus))
    stands = {order_id: shard.auditor.orders[order_id].leaves for order_id in asks if order_id in shard.auditor.orders}
    assert [stands.get(order_id, 0) for order_id in asks] == left
    order = [order_id for order_id, _ in cuts(events)]
    assert order == sorted(order, reverse=True)


def test_an_ask_that_entered_its_level_anew_is_the_newest() -> None:
    shard = Shard()
    first, second = (shard.place(ask(PAT, PRICE, 4, ONDEMAND)) for _ in range(2))
    shard.do(AmendOrder(account=PAT, order_id=first, price_ticks=PRICE + 1))
    assert cuts(shard.do(capacity(6))) == [(first, 2)]
    shard.do(AmendOrder(account=PAT, order_id=second, quantity=3))
    # A reduction kept its place.
    assert cuts(shard.do(capacity(4))) == [(first, 1)]


def test_a_firm_ask_is_cut_by_the_most_that_an_hour_of_its_own_lacks() -> None:
    shard = Shard()
    long = shard.place(ask(PAT, PRICE + 1, 3, ONDEMAND, max_hours=5))
    short = shard.place(ask(PAT, PRICE, 5, ONDEMAND, max_hours=2))
    let(shard, ALICE, 2, 1)
    # 2 sold in the first hour; reserved are 3 in five hours, and 3 in the first two.
    assert hours(shard, 5) == [(2, 6), (0, 6), (0, 3), (0, 3), (0, 3)]
    assert cuts(shard.do(capacity(7))) == [(short, 2)]
    assert cuts(shard.do(capacity(4))) == [(short, 0), (long, 2)]
    assert hours(shard, 3) == [(2, 2), (0, 2), (0, 2)]


def test_a_firm_sale_cuts_spot_asks_and_no_firm_ones() -> None:
    shard = Shard()
    spot = [shard.place(ask(PAT, 30_000 + number, 2, lot=2)) for number in range(4)]
    firm = shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    events = shard.do(rental(ALICE, 3, 1))
    assert cuts([event for event in events if isinstance(event, Amended | Canceled)]) == [(spot[3], 0), (spot[2], 0)]
    assert shard.auditor.orders[firm].leaves == 5
    # What was cut doesn't grow back.
    shard.do(CancelOrder(account=PAT, order_id=firm))
    assert shard.asks(SPOT) == [(30_000, 2), (30_001, 2)]


# ---------------------------------------------------------------- leases without GPUs


@pytest.mark.parametrize(
    ("gpus", "failing"),
    [(8, []), (7, [2]), (6, [2]), (5, [1]), (4, [2, 1]), (3, [2, 1]), (2, [1, 0]), (1, [2, 1, 0]), (0, [2, 1, 0])],
)
def test_where_gpus_are_too_few_the_oldest_firm_leases_are_served(gpus: int, failing: list[int]) -> None:
    """Leases of 3, 3 and 2 GPUs: each is served whole, the oldest first; those that find too few left fail."""
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    leases = [let(shard, renter, quantity, 2) for renter, quantity in ((ALICE, 3), (BOB, 3), (ALICE, 2))]
    events = shard.do(capacity(gpus))
    failed = [event.lease_id for event in only(events, LeaseChanged) if event.state is LeaseState.FAILED]
    assert failed == [leases[place] for place in failing]


def test_spot_yields_before_a_firm_lease_fails() -> None:
    shard = Shard()
    spot = runs_spot(shard, BOB, PRICE, 4)
    shard.place(ask(PAT, PRICE, 4, ONDEMAND))
    firm = let(shard, ALICE, 4, 2)
    events = shard.do(capacity(4))
    changed = [(event.lease_id, event.state, event.reason) for event in only(events, LeaseChanged)]
    assert changed == [(spot, LeaseState.ENDING, EndReason.PREEMPTED)]
    (failed,) = only(shard.do(capacity(3)), LeaseChanged)
    assert (failed.lease_id, failed.reason) == (firm, EndReason.PROVIDER_FAILED)


def test_gpus_that_wait_for_their_wipe_are_not_lacked() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    over, runs = let(shard, ALICE, 4, 5), let(shard, BOB, 4, 5)
    shard.do(EndLease(account=ALICE, lease_id=over))
    assert only(shard.do(capacity(4)), LeaseChanged) == []
    (failed,) = only(shard.do(capacity(3)), LeaseChanged)
    assert failed.lease_id == runs


def test_a_lease_that_was_over_with_the_hour_hides_no_shortage() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    let(shard, ALICE, 4, 1)
    runs = let(shard, BOB, 4, 5)
    # The first is over, and not wiped: none of its hours is left.
    shard.wait(HOUR + MINUTE)
    assert hours(shard, 2)[1] == (4, 0)
    (failed,) = only(shard.do(capacity(3)), LeaseChanged)
    assert failed.lease_id == runs


def test_a_failed_lease_keeps_its_hours_until_its_wipe() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    lease = let(shard, ALICE, 5, 3)
    shard.do(LeaseFailed(lease_id=lease, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    assert hours(shard, 2) == [(5, 3), (5, 3)]
    shard.do(LeaseWiped(lease_id=lease))
    assert hours(shard, 2) == [(0, 3), (0, 3)]


# ---------------------------------------------------------------- offers


def test_an_offers_window_takes_in_the_next_hour_at_each_full_hour_and_others_never_do() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 3, ONDEMAND, max_hours=2))
    shard.place(ask(PAT, PRICE + 1, 2, ONDEMAND, max_hours=3))
    assert hours(shard, 4) == [(0, 5), (0, 5), (0, 2), (0, 0)]
    shard.wait(HOUR)
    assert hours(shard, 4)[1:] == [(0, 5), (0, 5), (0, 0)]
    shard.wait(HOUR)
    # The other's window is about to close: less than an hour of it will be left.
    assert hours(shard, 5)[2:] == [(0, 5), (0, 3), (0, 0)]


def test_an_offer_is_what_is_free_in_every_hour_of_its_window() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE + 1, 6, ONDEMAND, max_hours=2))
    shard.offer(offered(PRICE, 8, ONDEMAND, max_hours=5), offered(PRICE, 8))
    assert (shard.asks(ONDEMAND)[0], shard.asks(SPOT)) == ((PRICE, 2), [(PRICE, 8)])
    lease = shard.lease(ALICE, 2, 1)
    assert shard.asks(SPOT) == [(PRICE, 6)]
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.do(LeaseWiped(lease_id=lease))
    assert (shard.asks(ONDEMAND)[0], shard.asks(SPOT)) == ((PRICE, 2), [(PRICE, 8)])


def test_an_offers_ask_shrinks_with_what_firm_sales_leave_and_grows_when_gpus_come_back() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8), offered(PRICE, 8, ONDEMAND, max_hours=2))
    first = shard.lease(ALICE, 3, 1)
    assert (shard.asks(SPOT), shard.asks(ONDEMAND)) == ([(PRICE, 5)], [(PRICE, 5)])
    shard.wait(HOUR + 10 * SECOND)
    shard.do(LeaseWiped(lease_id=first))
    assert (shard.asks(SPOT), shard.asks(ONDEMAND)) == ([(PRICE, 8)], [(PRICE, 8)])
