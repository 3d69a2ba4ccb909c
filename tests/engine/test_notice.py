"""Notice: what can't be topped up runs on for 120 s, inside what it has paid for, and then ends (§7, §9)."""

from __future__ import annotations

import pytest

from engine import leases
from engine.halves import compiled_half
from engine.kinds import EndReason, Fault, LeaseState, Pot, TransferCode
from engine.limits import Limits
from engine.messages import (
    Deposit,
    EndLease,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    LeaseWiped,
    OpenAccount,
    Tick,
    Transfer,
)
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BARON,
    HOUR,
    ONDEMAND,
    PAT,
    SECOND,
    SECOND_BARON,
    START,
    Shard,
    ask,
    bid,
    changes,
    only,
)

PRICE = 20_000
ACTIVE = START + 7 * SECOND
NOTICE = ACTIVE + 2 * HOUR


def poor(limits: Limits | None = None, usd: int = 9) -> tuple[Shard, int]:
    """A spot lease of 2 GPUs at $2 whose renter has money for two hours and 120 s, and not for a third."""
    shard = Shard(limits, usd=usd)
    shard.place(ask(PAT, PRICE, 8))
    (scheduled,) = only(shard.do(bid(ALICE, PRICE, 2)), LeaseScheduled)
    shard.wait(ACTIVE - START)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    return shard, scheduled.lease_id


def under_notice() -> tuple[Shard, int]:
    shard, lease_id = poor()
    (changed,) = changes(shard.wait(2 * HOUR))[-1:]
    assert (changed.state, changed.reason, changed.ends_ns) == (
        LeaseState.ENDING,
        EndReason.UNPAID,
        NOTICE + 120 * SECOND,
    )
    assert (changed.ended_ns, changed.charged_micros) == (0, 8_000_000)
    return shard, lease_id


def test_what_cannot_be_topped_up_has_notice_and_ends_unpaid() -> None:
    shard, lease_id = under_notice()
    available = shard.auditor.pots[ALICE, Pot.AVAILABLE]
    assert shard.wait(119 * SECOND) == []
    events = shard.wait(SECOND)
    assert [event.code for event in only(events, Transfer)] == [
        TransferCode.USAGE,
        TransferCode.FEE,
        TransferCode.RELEASE,
    ]
    (changed,) = changes(events)
    assert (changed.state, changed.reason, changed.ended_ns) == (
        LeaseState.ENDED,
        EndReason.UNPAID,
        NOTICE + 120 * SECOND,
    )
    usage = 4_000_000 * 7_320 // 3_600
    assert changed.charged_micros == usage
    # What its 120 s cost was held since the hour before; the fraction that rounding held goes back.
    assert shard.auditor.pots[ALICE, Pot.AVAILABLE] == 9_000_000 - usage - usage * 5_000 // 1_000_000
    assert 0 <= shard.auditor.pots[ALICE, Pot.AVAILABLE] - available <= 2
    shard.do(LeaseWiped(lease_id=lease_id))


def test_a_late_tick_ends_it_as_of_its_times() -> None:
    shard, lease_id = poor()
    shard.wait(50 * HOUR, tick=False)
    changed = changes(shard.do(Tick()))
    assert [event.state for event in changed] == [LeaseState.ACTIVE, LeaseState.ENDING, LeaseState.ENDED]
    assert changed[-1].ended_ns == NOTICE + 120 * SECOND
    assert shard.machine.state.leases[lease_id].due_ns == 0


def test_money_that_comes_during_notice_changes_nothing() -> None:
    shard, lease_id = under_notice()
    shard.pay(ALICE, 1_000)
    (changed,) = changes(shard.wait(HOUR))
    assert (changed.lease_id, changed.reason, changed.ended_ns) == (
        lease_id,
        EndReason.UNPAID,
        NOTICE + 120 * SECOND,
    )


@pytest.mark.parametrize("kind", [1, ONDEMAND])
def test_who_goes_under_notice_ends_with_its_reason_and_no_minimum(kind: int) -> None:
    # An hour of minimum that begins anew would show: what is charged is the use alone.
    shard = Shard(Limits(spot_minimum_s=7_300, ondemand_minimum_s=7_300), usd=5)
    shard.place(ask(PAT, PRICE, 8, kind))
    (scheduled,) = only(shard.do(bid(ALICE, PRICE, 2, kind, hours=5)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    shard.wait(HOUR + 30 * SECOND)
    (changed,) = only(shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id)), LeaseChanged)
    assert (changed.state, changed.reason) == (LeaseState.ENDED, EndReason.UNPAID)
    assert (changed.ended_ns, changed.ends_ns) == (START + HOUR + 30 * SECOND, START + HOUR + 120 * SECOND)
    assert changed.charged_micros == 4_000_000 * 3_630 // 3_600
    shard.refuse(EndLease(account=ALICE, lease_id=scheduled.lease_id), Reason.LEASE_ENDED)


@pytest.mark.parametrize(
    ("fault", "as_of_ns", "reason", "charged_s"),
    [
        (Fault.PROVIDER, NOTICE + 40 * SECOND, EndReason.PROVIDER_FAILED, 7_240),
        (Fault.PROVIDER, NOTICE - HOUR - 60 * SECOND, EndReason.PROVIDER_FAILED, 0),
        (Fault.PROVIDER, NOTICE - 60 * SECOND, EndReason.PROVIDER_FAILED, 7_140),
        (Fault.RENTER, NOTICE + 40 * SECOND, EndReason.RENTER_FAILED, 7_240),
    ],
)
def test_a_failure_during_notice(fault: Fault, as_of_ns: int, reason: EndReason, charged_s: int) -> None:
    shard, lease_id = under_notice()
    shard.wait(50 * SECOND)
    failure = LeaseFailed(lease_id=lease_id, fault=fault, as_of_ns=as_of_ns, detail="gone")
    (changed,) = only(shard.do(failure), LeaseChanged)
    assert (changed.state, changed.reason) == (LeaseState.FAILED, reason)
    assert changed.charged_micros == 4_000_000 * charged_s // 3_600
    assert changed.ends_ns == NOTICE + 120 * SECOND
    assert shard.auditor.pots[ALICE, Pot.HELD] == 0
    shard.do(LeaseWiped(lease_id=lease_id))
    assert shard.wait(HOUR) == []


def test_a_command_after_the_notice_and_before_its_tick_counts_as_of_its_end() -> None:
    shard, lease_id = under_notice()
    shard.wait(HOUR, tick=False)
    (changed,) = only(shard.do(EndLease(account=ALICE, lease_id=lease_id)), LeaseChanged)
    assert changed.ended_ns == NOTICE + 120 * SECOND


def test_a_notice_lasts_no_longer_than_what_was_paid() -> None:
    # A prefund that covers 30 s beyond its hour can't pay for 120 s of notice.
    shard, _ = poor(Limits(prefund_s=3_630))
    (changed,) = changes(shard.wait(3 * HOUR))[-1:]
    assert changed.ended_ns == changed.ends_ns
    # To the last nanosecond whose use costs no more than was held, which was rounded up.
    assert 30 * SECOND <= changed.ends_ns - NOTICE < 30 * SECOND + SECOND // 300
    assert changed.charged_micros == 4_000_000 * (changed.ends_ns - ACTIVE) // HOUR


def test_a_term_that_ends_inside_the_notice_ends_as_its_term_does() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    lease_id = shard.lease(ALICE, 2, 1)
    shard.wait(HOUR - 30 * SECOND)
    state = shard.machine.state
    state.begin()
    leases.give_notice(state, state.leases[lease_id], shard.now_ns, EndReason.UNPAID)
    shard.auditor.saw(shard.now_ns, Tick(), state.events)
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    (changed,) = changes(shard.wait(HOUR))
    assert (changed.reason, changed.ended_ns) == (EndReason.EXPIRED, START + HOUR)
    assert changed.ends_ns == START + HOUR + 90 * SECOND


def test_a_second_notice_does_not_move_the_first() -> None:
    shard, lease_id = under_notice()
    shard.wait(60 * SECOND)
    state = shard.machine.state
    state.begin()
    leases.give_notice(state, state.leases[lease_id], shard.now_ns, EndReason.PREEMPTED)
    assert state.events == []
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    (changed,) = changes(shard.wait(HOUR))
    assert (changed.reason, changed.ended_ns) == (EndReason.UNPAID, NOTICE + 120 * SECOND)


def test_what_a_lease_under_notice_refuses() -> None:
    shard, lease_id = under_notice()
    shard.refuse(LeaseActive(lease_id=lease_id, access=b""), Reason.LEASE_NOT_PROVISIONING)
    shard.refuse(LeaseWiped(lease_id=lease_id), Reason.LEASE_NOT_ENDED)


def test_a_snapshot_taken_during_notice_lives_the_same_life() -> None:
    shard, _ = under_notice()
    shard.wait(20 * SECOND)
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    assert shard.twin.next_due_ns() == NOTICE + 120 * SECOND
    (changed,) = changes(shard.wait(HOUR))
    assert changed.state is LeaseState.ENDED
    assert shard.twin.state_hash() == shard.machine.state_hash()


def test_a_micro_dollar_that_rounding_left_out_ends_the_notice_sooner_and_stops_nothing() -> None:
    # Six fills of one bid, three of them on one Baron: their shares of the hold are rounded one by one, to 309 micro-dollars
    # where 120 s after the first hour cost 310.
    shard = Shard(usd=0)
    shard.do(OpenAccount(account=31, maker_fee_ppm=0, taker_fee_ppm=0))
    shard.do(Deposit(account=31, amount_micros=620, client_id=""))
    for baron in (BARON, BARON, SECOND_BARON, BARON, SECOND_BARON, SECOND_BARON):
        shard.place(ask(PAT, 1, 1, baron=baron))
    leased = only(shard.do(bid(31, 1, 6)), LeaseScheduled)
    for event in leased:
        shard.do(LeaseActive(lease_id=event.lease_id, access=b""))
    assert [shard.machine.state.leases[event.lease_id].prefund_micros for event in leased] == [309, 310]
    ended = {event.baron: event for event in changes(shard.wait(2 * HOUR))}
    assert {event.reason for event in ended.values()} == {EndReason.UNPAID}
    assert ended[SECOND_BARON].ended_ns == START + HOUR + 120 * SECOND
    assert START + HOUR + 100 * SECOND < ended[BARON].ended_ns < START + HOUR + 120 * SECOND
    assert ended[BARON].charged_micros == 309
