"""Bills of forwards: by the lease that delivers, whichever obligations share it; and paid hours undone as they were paid (§9)."""

from __future__ import annotations

import pytest

from engine.halves import compiled_half
from engine.kinds import Fault, Kind, Pot, Presence, TransferCode
from engine.messages import (
    BillClosed,
    EndLease,
    LeaseActive,
    LeaseFailed,
    LeaseScheduled,
    LeaseWiped,
    OutageNoted,
    ReportOutage,
    SetDelivery,
    SetPresence,
    Transfer,
)
from engine.periods import month_end_ns
from engine.reasons import Reason
from engine.units import MICROS_PER_TICK
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, PAT, SECOND, Shard, ask, bid, only
from tests.engine.test_forwards import DAY_H, TRADED, day, owed, pots, rich, trade, until

HOURLY = TRADED * MICROS_PER_TICK
"""An hour of one GPU."""


def out(shard: Shard, lease_id: int, from_ns: int, to_ns: int) -> OutageNoted:
    (noted,) = only(shard.do(ReportOutage(lease_id=lease_id, from_ns=from_ns, to_ns=to_ns)), OutageNoted)
    return noted


def opened(shard: Shard, hour: int, renter: int = ALICE) -> int:
    """The one lease that this renter has from an hour on, active."""
    (lease,) = (each for each in only(until(shard, hour), LeaseScheduled) if each.renter == renter)
    shard.do(LeaseActive(lease_id=lease.lease_id, access=b"port 22000"))
    return lease.lease_id


# ---------------------------------------------------------------- the lease's month


@pytest.mark.parametrize(
    ("prices", "out_m", "percent"),
    [
        pytest.param([0, 1, 0, 1], 120, 25, id="2 h of 4 days"),
        pytest.param([0, 1, 0, 1, 0, 1, 0], 30, 0, id="half an hour of 7 days"),
        pytest.param([0, 1, 0, 1, 0, 1, 0], 51, 10, id="51 minutes of 7 days"),
        pytest.param([0, 1], 145, 100, id="145 minutes of 2 days"),
        pytest.param([0, 0, 0, 0], 120, 25, id="four days at one price, which are one obligation"),
    ],
)
@pytest.mark.parametrize("resold", [False, True])
def test_a_credit_goes_by_the_lease_whichever_obligations_it_delivers(
    prices: list[int], out_m: int, percent: int, resold: bool
) -> None:
    shard = rich()
    days = [day(shard, index) for index in range(len(prices))]
    for index, more in enumerate(prices):
        if resold and index == 1:
            trade(shard, PAT, BOB, 2, days[index], TRADED + more)
            trade(shard, BOB, ALICE, 2, days[index], TRADED + 77)
        else:
            trade(shard, PAT, ALICE, 2, days[index], TRADED + more)
    start_h = shard.machine.state.instruments[days[0]].start_h
    end_h = start_h + DAY_H * len(prices)
    lease_id = opened(shard, start_h)
    until(shard, start_h + DAY_H + 5)
    out(shard, lease_id, shard.now_ns - out_m * MINUTE, shard.now_ns)
    assert not only(until(shard, end_h), LeaseScheduled), "one lease delivers all of it"
    before = pots(shard, ALICE)[Pot.AVAILABLE]
    events = until(shard, start_h + 40 * DAY_H)
    (closed,) = only(events, BillClosed)
    charge = sum((TRADED + more) * MICROS_PER_TICK * 2 * DAY_H for more in prices)
    assert (closed.lease_id, closed.charge_micros, closed.over) == (lease_id, charge, True)
    assert (closed.run_ns, closed.out_ns) == (len(prices) * DAY_H * HOUR, out_m * MINUTE)
    assert (closed.credit_micros, closed.paid_micros) == (charge * percent // 100, charge - charge * percent // 100)
    assert pots(shard, ALICE)[Pot.AVAILABLE] - before == closed.credit_micros
    assert Pot.RECEIVABLE not in pots(shard, PAT)


def test_each_month_of_a_lease_has_its_own_outages_and_credit() -> None:
    shard = rich()
    # The first listed day becomes the last but one of its month.
    begins = month_end_ns(shard.now_ns) // HOUR - 2 * DAY_H
    until(shard, begins - 2)
    for index in range(5):
        trade(shard, PAT, ALICE, 1, day(shard, index), TRADED + index)
    lease_id = opened(shard, begins)
    until(shard, begins + 20)
    out(shard, lease_id, shard.now_ns - 3 * HOUR, shard.now_ns)
    first = only(until(shard, begins + 2 * DAY_H), BillClosed)
    assert [(each.run_ns, each.out_ns, each.over) for each in first] == [(2 * DAY_H * HOUR, 3 * HOUR, False)]
    assert first[0].credit_micros == first[0].charge_micros, "93.75 %"
    until(shard, begins + 3 * DAY_H)
    shard.refuse(
        ReportOutage(lease_id=lease_id, from_ns=begins * HOUR, to_ns=(begins + 4) * HOUR), Reason.INVALID_OUTAGE
    )
    out(shard, lease_id, begins * HOUR, (begins + 2 * DAY_H + 1) * HOUR)
    (second,) = only(until(shard, begins + 50 * DAY_H), BillClosed)
    assert (second.run_ns, second.out_ns, second.over) == (3 * DAY_H * HOUR, HOUR, True)
    assert second.credit_micros == second.charge_micros * 25 // 100, "98.6 %"


def test_each_lease_of_an_obligation_has_a_bill_and_hours_without_one_have_no_credit() -> None:
    shard = rich()
    for index in range(3):
        trade(shard, PAT, ALICE, 1, day(shard, index))
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    first = opened(shard, start_h)
    (obligation,) = owed(shard, ALICE)
    until(shard, start_h + 30)
    out(shard, first, shard.now_ns - 3 * HOUR, shard.now_ns)
    shard.do(EndLease(account=ALICE, lease_id=first))
    shard.do(LeaseWiped(lease_id=first))
    until(shard, start_h + 40)
    (again,) = only(
        shard.do(SetDelivery(account=ALICE, obligation_id=obligation.obligation_id, delivery=b"key")), LeaseScheduled
    )
    closed = {each.lease_id: each for each in only(until(shard, start_h + 40 * DAY_H), BillClosed)}
    assert set(closed) == {first, obligation.obligation_id, again.lease_id}
    assert {number: each.charge_micros // HOURLY for number, each in closed.items()} == {
        first: 30,
        obligation.obligation_id: 10,
        again.lease_id: 32,
    }
    assert {number: each.run_ns // HOUR for number, each in closed.items()} == {
        first: 30,
        obligation.obligation_id: 0,
        again.lease_id: 32,
    }
    credited = {number: each.credit_micros for number, each in closed.items() if each.credit_micros}
    assert credited == {first: 30 * HOURLY}, "90 % of its 30 hours"


def test_an_outage_counts_from_a_forwards_first_hour_on_and_an_obligation_has_none() -> None:
    shard = rich()
    trade(shard, PAT, ALICE, 1, day(shard, 0))
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    lease_id = opened(shard, start_h)
    shard.wait(30 * MINUTE)
    assert out(shard, lease_id, shard.now_ns - HOUR, shard.now_ns).out_ns == 30 * MINUTE
    (obligation,) = owed(shard, ALICE)
    report = ReportOutage(lease_id=obligation.obligation_id, from_ns=shard.now_ns - MINUTE, to_ns=shard.now_ns)
    shard.refuse(report, Reason.UNKNOWN_LEASE)
    shard.do(EndLease(account=ALICE, lease_id=lease_id))
    until(shard, start_h + 2)
    # Its hours have a bill of their own by now, and that never ran.
    shard.refuse(report, Reason.INVALID_OUTAGE)


def test_an_hour_is_the_leases_that_runs_at_its_end() -> None:
    shard = rich()
    trade(shard, PAT, ALICE, 1, day(shard, 0))
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    lease_id = opened(shard, start_h)
    until(shard, start_h + 1)
    shard.wait(59 * MINUTE)
    # It isn't wiped yet when the hour is paid, and the obligation names it still.
    shard.do(EndLease(account=ALICE, lease_id=lease_id))
    (obligation,) = owed(shard, ALICE)
    refs = [each.ref for each in only(until(shard, start_h + 2), Transfer) if each.code is TransferCode.USAGE]
    assert refs == [obligation.obligation_id]


# ---------------------------------------------------------------- hours undone


QUANTITIES = (3, 3, 2, 2, 1)
"""GPUs of each hour, as they were paid: of three, one is cut in the third hour, and one in the fifth."""


def cut_twice(shard: Shard) -> tuple[int, int]:
    """Three GPUs that Alice bought, of which she let two; each of the two fails alone: (first hour, her own lease)."""
    trade(shard, PAT, ALICE, 3, day(shard, 0))
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    own = opened(shard, start_h)
    lets = []
    for _ in range(2):
        shard.place(ask(ALICE, TRADED, 1))
        (let,) = only(shard.do(bid(BOB, TRADED, 1)), LeaseScheduled)
        assert let.kind is Kind.SPOT
        shard.do(LeaseActive(lease_id=let.lease_id, access=b"port 22001"))
        lets.append(let.lease_id)
    for hour, let_id in zip((2, 4), lets, strict=True):
        until(shard, start_h + hour)
        shard.wait(5 * MINUTE)
        shard.do(LeaseFailed(lease_id=let_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    until(shard, start_h + 5)
    shard.wait(MINUTE)
    assert pots(shard, PAT)[Pot.RECEIVABLE] == sum(QUANTITIES) * HOURLY
    return start_h, own


def refunded(shard: Shard, command: SetPresence | LeaseFailed) -> int:
    """GPU-hours that came back out of the provider's receivable; the other machine goes on from a snapshot."""
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    events = only(shard.do(command), Transfer)
    assert shard.twin.state_hash() == shard.machine.state_hash()
    back = [each for each in events if (each.code, each.debit_pot) == (TransferCode.REFUND, Pot.RECEIVABLE)]
    micros = sum(each.amount_micros for each in back if (each.debit_account, each.credit_account) == (PAT, ALICE))
    gpu_hours, part = divmod(micros, HOURLY)
    assert not part
    return gpu_hours


@pytest.mark.parametrize("hour", range(6))
def test_hours_that_were_paid_before_a_cut_are_undone_at_what_was_paid_for_them(hour: int) -> None:
    shard = rich()
    start_h, _ = cut_twice(shard)
    as_of_ns = (start_h + hour) * HOUR + 30 * SECOND
    assert refunded(shard, SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=as_of_ns)) == sum(
        QUANTITIES[hour:]
    )
    assert pots(shard, PAT).get(Pot.RECEIVABLE, 0) == sum(QUANTITIES[:hour]) * HOURLY
    closed = only(until(shard, start_h + 40 * DAY_H), BillClosed)
    paid = sum(each.paid_micros for each in closed if each.provider == PAT)
    assert paid == sum(QUANTITIES[:hour]) * HOURLY
    assert Pot.RECEIVABLE not in pots(shard, PAT)


@pytest.mark.parametrize("hour", range(5))
@pytest.mark.parametrize("earlier", [0, 1])
def test_a_lease_that_fails_alone_undoes_its_own_gpus_of_each_hour_and_a_loss_the_rest(hour: int, earlier: int) -> None:
    shard = rich()
    start_h, own = cut_twice(shard)
    assert shard.machine.state.leases[own].quantity == 1
    as_of_ns = (start_h + hour) * HOUR + 30 * SECOND
    failed = LeaseFailed(lease_id=own, fault=Fault.PROVIDER, as_of_ns=as_of_ns, detail="")
    assert refunded(shard, failed) == len(QUANTITIES[hour:])
    lost_h = max(0, hour - earlier)
    left = [*QUANTITIES[:hour], *(each - 1 for each in QUANTITIES[hour:])]
    lost_ns = (start_h + lost_h) * HOUR + SECOND
    assert refunded(shard, SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=lost_ns)) == sum(left[lost_h:])
    assert pots(shard, PAT).get(Pot.RECEIVABLE, 0) == sum(left[:lost_h]) * HOURLY
