"""Bills: a month's charge, its credit for outages, and the close that pays the rest out (rulebook §9)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from engine.halves import compiled_half
from engine.kinds import EndReason, Fault, LeaseState, Pot, TransferCode
from engine.limits import Limits
from engine.messages import (
    BillClosed,
    EndLease,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    LeaseWiped,
    OutageNoted,
    RaisePrice,
    ReportOutage,
    Tick,
    Transfer,
    Withdraw,
)
from engine.reasons import Reason
from engine.units import MICROS_PER_USD
from tests.engine.shard import ALICE, HOUR, MINUTE, ONDEMAND, PAT, SECOND, Shard, ask, bid, offered, only

DAY = 24 * HOUR
USD = MICROS_PER_USD


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def at(text: str, limits: Limits | None = None, *, usd: int = 1_000_000) -> Shard:
    """A shard at a time, which has 8 GPUs of spot at $2."""
    shard = Shard(limits, usd=usd, providers_usd=0)
    # Months pass hour by hour: the laws are looked at each day.
    shard.auditor.every = 24
    shard.wait(ns(text) - shard.now_ns)
    shard.offer(offered(20_000, 8))
    return shard


def spot(shard: Shard, quantity: int = 1) -> int:
    """A spot lease at $2 that runs from now on."""
    (scheduled,) = only(shard.do(bid(ALICE, 20_000, quantity)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    return scheduled.lease_id


def until(shard: Shard, text: str) -> list[Event]:
    return shard.wait(ns(text) - shard.now_ns)


def pot(shard: Shard, account: int, which: Pot) -> int:
    return shard.auditor.pots[account, which]


# ---------------------------------------------------------------- months


@pytest.mark.parametrize(
    ("begins", "ends", "days"),
    [
        ("2017-02-01T00:00", "2017-03-01T00:00", 28),
        ("2016-02-01T00:00", "2016-03-01T00:00", 29),
        ("2016-04-01T00:00", "2016-05-01T00:00", 30),
        ("2015-12-01T00:00", "2016-01-01T00:00", 31),
    ],
)
def test_a_month_is_paid_out_at_its_end(begins: str, ends: str, days: int) -> None:
    shard = at(begins)
    lease = spot(shard, 2)
    assert not only(shard.wait(ns(ends) - shard.now_ns - 1), BillClosed)
    assert pot(shard, PAT, Pot.AVAILABLE) == 0
    (closed,) = only(shard.wait(1), BillClosed)
    charge = days * 24 * 2 * 2 * USD
    assert closed == BillClosed(
        lease_id=lease,
        renter=ALICE,
        provider=PAT,
        month_end_ns=ns(ends),
        charge_micros=charge,
        from_ns=ns(begins),
        run_ns=days * DAY,
        out_ns=0,
        credit_micros=0,
        paid_micros=charge,
        over=False,
    )
    assert (pot(shard, PAT, Pot.AVAILABLE), pot(shard, PAT, Pot.RECEIVABLE)) == (charge, 0)
    shard.do(Withdraw(account=PAT, amount_micros=charge, client_id=""))


def test_a_lease_over_three_months_has_a_bill_for_each_to_the_nanosecond() -> None:
    shard = at("2016-01-31T21:17:13")
    lease = spot(shard, 3)
    events = until(shard, "2016-03-02T09:00")
    events += shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.do(LeaseWiped(lease_id=lease))
    events += until(shard, "2016-05-01T00:00")
    closed = only(events, BillClosed)
    assert [(bill.month_end_ns, bill.over) for bill in closed] == [
        (ns("2016-02-01T00:00"), False),
        (ns("2016-03-01T00:00"), False),
        (ns("2016-04-01T00:00"), True),
    ]
    seconds = [2 * 3600 + 42 * 60 + 47, 29 * 86_400, 33 * 3600]
    assert [bill.run_ns for bill in closed] == [each * SECOND for each in seconds]
    assert [bill.charge_micros for bill in closed] == [each * 3 * 2 * USD // 3600 for each in seconds]
    assert pot(shard, PAT, Pot.AVAILABLE) == sum(bill.charge_micros for bill in closed)
    assert not shard.machine.state.bills


def test_an_ended_lease_is_paid_at_its_months_end_and_its_bill_goes() -> None:
    shard = at("2016-02-10T00:00")
    lease = spot(shard)
    shard.wait(90 * MINUTE)
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.do(LeaseWiped(lease_id=lease))
    assert (pot(shard, PAT, Pot.RECEIVABLE), pot(shard, PAT, Pot.AVAILABLE)) == (3 * USD, 0)
    (closed,) = only(until(shard, "2016-03-01T00:00"), BillClosed)
    assert (closed.over, closed.paid_micros, closed.run_ns) == (True, 3 * USD, 90 * MINUTE)
    assert not shard.machine.state.bills
    assert not only(until(shard, "2016-04-02T00:00"), BillClosed)


def test_what_charged_nothing_leaves_no_bill() -> None:
    shard = at("2016-02-10T00:00")
    lease = spot(shard)
    shard.wait(10 * MINUTE)
    shard.do(LeaseFailed(lease_id=lease, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    assert not shard.machine.state.bills
    assert not only(until(shard, "2016-03-02T00:00"), BillClosed)


def test_who_quits_before_it_ran_pays_the_minimum_which_the_close_pays_out() -> None:
    shard = at("2016-02-10T00:00")
    (scheduled,) = only(shard.do(bid(ALICE, 20_000, 3)), LeaseScheduled)
    shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id))
    (closed,) = only(until(shard, "2016-03-01T00:00"), BillClosed)
    assert (closed.from_ns, closed.run_ns, closed.paid_micros) == (0, 0, 3 * 2 * USD // 60)


def test_a_jump_over_several_months_closes_each() -> None:
    def played(*, jumps: bool) -> tuple[list[BillClosed], dict[tuple[int, Pot], int]]:
        shard = at("2016-01-20T10:30", Limits(max_timers=100_000 if jumps else 1))
        spot(shard)
        if jumps:
            shard.now_ns = ns("2016-04-03T00:00")
            shard.auditor.ticked_in_time = False
            events = shard.do(Tick())
        else:
            events = []
            while shard.now_ns < ns("2016-04-03T00:00"):
                due_ns = shard.machine.next_due_ns()
                assert due_ns is not None
                shard.now_ns = min(max(due_ns, shard.now_ns), ns("2016-04-03T00:00"))
                events += shard.do(Tick())
        # Ids tell of commands, and more Ticks are more of these.
        closed = [replace(bill, lease_id=0) for bill in only(events, BillClosed)]
        return closed, {key: amount for key, amount in shard.auditor.pots.items() if amount}

    at_once, step_by_step = played(jumps=True), played(jumps=False)
    assert [bill.month_end_ns for bill in at_once[0]] == [ns(f"2016-0{month}-01T00:00") for month in (2, 3, 4)]
    assert at_once == step_by_step


def test_a_raise_in_the_hour_of_a_months_end_prefunds_no_more_than_it_must() -> None:
    shard = at("2016-02-29T20:30")
    lease = spot(shard)
    until(shard, "2016-03-01T00:10")
    before = shard.prefunds(ALICE)
    # What was held at 23:30 for the 62 minutes after it, less the 30 that February's bill took.
    assert before == pytest.approx(32 * 2 * USD // 60 * 1005 // 1000, abs=2)
    shard.do(RaisePrice(account=ALICE, lease_id=lease, price_ticks=40_000))
    # From 00:10 to 00:32 it costs twice as much.
    assert shard.prefunds(ALICE) - before == pytest.approx(22 * 2 * USD // 60 * 1005 / 1000, abs=2)
    until(shard, "2016-03-01T06:00")
    assert shard.machine.state.leases[lease].live


def test_a_lease_under_notice_at_a_months_end_is_posted_up_to_it() -> None:
    shard = at("2016-02-29T22:59", usd=3)
    lease = spot(shard)
    events = until(shard, "2016-03-01T00:00")
    (closed,) = only(events, BillClosed)
    assert closed.charge_micros == 61 * 2 * USD // 60
    assert shard.machine.state.leases[lease].state is LeaseState.ENDING
    (last,) = only(until(shard, "2016-03-01T00:02"), LeaseChanged)
    assert (last.state, last.reason) == (LeaseState.ENDED, EndReason.UNPAID)


# ---------------------------------------------------------------- what can't be taken back


def test_a_failure_charged_to_before_the_close_takes_back_nothing_that_was_paid_out() -> None:
    shard = at("2016-02-29T20:00")
    lease = spot(shard)
    until(shard, "2016-03-01T00:08")
    paid = pot(shard, PAT, Pot.AVAILABLE)
    assert paid == 4 * 2 * USD
    shard.do(LeaseFailed(lease_id=lease, fault=Fault.PROVIDER, as_of_ns=ns("2016-02-29T23:58"), detail=""))
    assert pot(shard, PAT, Pot.AVAILABLE) == paid
    assert pot(shard, PAT, Pot.RECEIVABLE) == 0
    assert shard.auditor.leases[lease].usage == paid


def test_a_refund_inside_the_month_comes_out_of_the_receivable() -> None:
    shard = at("2016-02-20T00:00")
    lease = spot(shard)
    shard.wait(5 * HOUR)
    shard.do(LeaseFailed(lease_id=lease, fault=Fault.PROVIDER, as_of_ns=shard.now_ns - 2 * HOUR, detail=""))
    assert pot(shard, PAT, Pot.RECEIVABLE) == 3 * 2 * USD


def test_a_first_hour_that_runs_over_the_months_end_is_free_when_it_fails() -> None:
    shard = at("2016-02-29T23:30")
    lease = spot(shard)
    assert not only(until(shard, "2016-03-01T00:20"), BillClosed)
    shard.do(LeaseFailed(lease_id=lease, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    assert pot(shard, ALICE, Pot.AVAILABLE) == 1_000_000 * USD
    assert not shard.machine.state.bills


def test_a_first_hour_that_runs_over_the_months_end_is_billed_with_the_next() -> None:
    shard = at("2016-02-29T23:30")
    spot(shard)
    (closed,) = only(until(shard, "2016-04-01T00:00"), BillClosed)
    assert closed.run_ns == 31 * DAY + 30 * MINUTE
    assert closed.from_ns == ns("2016-02-29T23:30")


# ---------------------------------------------------------------- outages and credits


@pytest.mark.parametrize(
    ("run_ns", "out_ns", "percent"),
    [
        (DAY, DAY // 200, 0),  # exactly 99.5 %
        (DAY, DAY // 200 + 1, 10),
        (DAY, DAY // 100, 10),  # exactly 99 %
        (DAY, DAY // 100 + 1, 25),
        (DAY, DAY // 20, 25),  # exactly 95 %
        (DAY, DAY // 20 + 1, 100),
        (DAY, DAY, 100),
        (DAY - 1, DAY // 2, 0),
        (DAY + 1, DAY // 2, 100),
        (20 * DAY, DAY // 10, 0),
        (20 * DAY, DAY // 10 + 1, 10),
    ],
)
def test_a_credit_by_uptime(run_ns: int, out_ns: int, percent: int) -> None:
    shard = at("2016-03-02T00:00")
    lease = spot(shard)
    shard.wait(run_ns)
    begin_ns = shard.now_ns - run_ns
    shard.do(ReportOutage(lease_id=lease, from_ns=begin_ns, to_ns=begin_ns + out_ns))
    shard.do(EndLease(account=ALICE, lease_id=lease))
    before = pot(shard, ALICE, Pot.AVAILABLE)
    (closed,) = only(until(shard, "2016-04-01T00:00"), BillClosed)
    credit = closed.charge_micros * percent // 100
    assert (closed.credit_micros, closed.paid_micros) == (credit, closed.charge_micros - credit)
    assert pot(shard, ALICE, Pot.AVAILABLE) - before == credit
    assert pot(shard, PAT, Pot.AVAILABLE) == closed.charge_micros - credit


def test_a_credit_is_no_more_than_what_the_sellers_fee_left() -> None:
    shard = Shard(usd=1_000, providers_usd=0)
    shard.wait(ns("2016-03-02T00:00") - shard.now_ns)
    shard.place(bid(ALICE, 20_000, 1))
    (scheduled,) = only(shard.do(ask(PAT, 20_000, 1)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    shard.wait(2 * DAY)
    shard.do(ReportOutage(lease_id=scheduled.lease_id, from_ns=shard.now_ns - DAY, to_ns=shard.now_ns))
    shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id))
    (closed,) = only(until(shard, "2016-04-01T00:00"), BillClosed)
    charge = 96 * USD
    assert closed.charge_micros == charge
    assert (closed.credit_micros, closed.paid_micros) == (charge - charge * 5 // 1000, 0)
    assert pot(shard, PAT, Pot.AVAILABLE) == 0


def test_overlapping_outages_count_once_in_any_order() -> None:
    shard = at("2016-03-02T00:00")
    lease = spot(shard)
    shard.wait(30 * HOUR)
    begin_ns = shard.now_ns - 30 * HOUR
    for from_m, to_m, total_m in [
        (60, 120, 60),
        (60, 120, 60),
        (90, 150, 90),
        (10, 20, 100),
        (20, 60, 140),
        (300, 310, 150),
        (0, 305, 310),
    ]:
        (noted,) = only(
            shard.do(ReportOutage(lease_id=lease, from_ns=begin_ns + from_m * MINUTE, to_ns=begin_ns + to_m * MINUTE)),
            OutageNoted,
        )
        assert noted.out_ns == total_m * MINUTE
    assert len(shard.machine.state.bills[lease].outages) == 1


def test_of_too_many_outages_the_oldest_are_summed_up() -> None:
    shard = at("2016-03-02T00:00", Limits(max_outages=3))
    lease = spot(shard)
    shard.wait(30 * HOUR)
    begin_ns = shard.now_ns - 30 * HOUR
    for number in range(10):
        from_ns = begin_ns + number * HOUR
        shard.do(ReportOutage(lease_id=lease, from_ns=from_ns, to_ns=from_ns + MINUTE))
    bill = shard.machine.state.bills[lease]
    assert (len(bill.outages), bill.out_ns, bill.out_until_ns) == (3, 7 * MINUTE, begin_ns + 6 * HOUR + MINUTE)
    # Before that nothing counts any more, twice or not.
    (noted,) = only(shard.do(ReportOutage(lease_id=lease, from_ns=begin_ns, to_ns=begin_ns + 7 * HOUR)), OutageNoted)
    assert noted.out_ns == 10 * MINUTE + 59 * MINUTE


def test_an_outage_that_cannot_be_is_refused() -> None:
    shard = at("2016-02-29T00:00")
    lease = spot(shard)
    until(shard, "2016-03-01T06:00")
    now_ns = shard.now_ns
    refused = [
        (lease + 1, now_ns - HOUR, now_ns, Reason.UNKNOWN_LEASE),
        (lease, now_ns - HOUR, now_ns + 1, Reason.INVALID_OUTAGE),
        (lease, now_ns, now_ns, Reason.INVALID_OUTAGE),
        (lease, now_ns, now_ns - 1, Reason.INVALID_OUTAGE),
        # That month is closed.
        (lease, now_ns - 10 * HOUR, now_ns - 6 * HOUR, Reason.INVALID_OUTAGE),
    ]
    for lease_id, from_ns, to_ns, reason in refused:
        shard.refuse(ReportOutage(lease_id=lease_id, from_ns=from_ns, to_ns=to_ns), reason)
    (noted,) = only(shard.do(ReportOutage(lease_id=lease, from_ns=0, to_ns=now_ns)), OutageNoted)
    assert (noted.from_ns, noted.out_ns) == (now_ns - 6 * HOUR, 6 * HOUR)


def test_before_it_runs_a_lease_has_no_outage() -> None:
    shard = at("2016-03-02T00:00")
    (scheduled,) = only(shard.do(bid(ALICE, 20_000, 1)), LeaseScheduled)
    shard.wait(MINUTE)
    report = ReportOutage(lease_id=scheduled.lease_id, from_ns=shard.now_ns - MINUTE, to_ns=shard.now_ns)
    shard.refuse(report, Reason.UNKNOWN_LEASE)


def test_after_its_end_an_outage_of_its_month_counts_still() -> None:
    shard = at("2016-03-02T00:00")
    lease = spot(shard)
    shard.wait(30 * HOUR)
    ended_ns = shard.now_ns
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.do(LeaseWiped(lease_id=lease))
    shard.wait(DAY)
    report = ReportOutage(lease_id=lease, from_ns=ended_ns - HOUR, to_ns=shard.now_ns)
    (noted,) = only(shard.do(report), OutageNoted)
    assert (noted.to_ns, noted.out_ns) == (ended_ns, HOUR)


# ---------------------------------------------------------------- the rest


def test_who_owns_both_sides_pumps_nothing_out_of_credits() -> None:
    """SLA pumping: the credit is the provider's own receivable, so renter and provider have the fees less together."""
    shard = at("2016-03-02T00:00")
    lease = spot(shard, 8)
    shard.wait(3 * DAY)
    shard.do(ReportOutage(lease_id=lease, from_ns=0, to_ns=shard.now_ns))
    shard.do(EndLease(account=ALICE, lease_id=lease))
    events = until(shard, "2016-04-01T00:00")
    (closed,) = only(events, BillClosed)
    assert closed.credit_micros == closed.charge_micros > 0
    fees = pot(shard, 0, Pot.FEES)
    both = sum(amount for (account, _), amount in shard.auditor.pots.items() if account in (ALICE, PAT))
    assert (both, fees) == (1_000_000 * USD - fees, 72 * 8 * 2 * USD * 5 // 1000)
    codes = {event.code for event in only(events, Transfer)}
    assert codes == {TransferCode.PENALTY}


def test_a_restored_machine_closes_the_same_month() -> None:
    shard = at("2016-02-27T00:00")
    lease = spot(shard)
    shard.wait(30 * HOUR)
    shard.do(ReportOutage(lease_id=lease, from_ns=shard.now_ns - HOUR, to_ns=shard.now_ns - MINUTE))
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    assert shard.twin.state_hash() == shard.machine.state_hash()
    (closed,) = only(until(shard, "2016-03-01T00:00"), BillClosed)
    assert closed.credit_micros > 0
    shard.do(EndLease(account=ALICE, lease_id=lease))
    assert shard.twin.state_hash() == shard.machine.state_hash()


def test_an_on_demand_lease_is_billed_by_the_month_as_well() -> None:
    shard = Shard(usd=100_000)
    shard.wait(ns("2016-02-29T12:00") - shard.now_ns)
    shard.offer(offered(30_000, 8, ONDEMAND, max_hours=744))
    lease = shard.lease(ALICE, 4, 36)
    events = until(shard, "2016-03-03T00:00")
    (closed,) = only(events, BillClosed)
    assert (closed.lease_id, closed.paid_micros) == (lease, 12 * 4 * 3 * USD)
    assert pot(shard, PAT, Pot.RECEIVABLE) == 24 * 4 * 3 * USD
