"""Leases: their states, and to the micro-dollar what each ending costs (§7, §8, §9)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from engine.kinds import EndReason, Fault, LeaseState, Pot, TransferCode
from engine.limits import Limits
from engine.messages import (
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
    changes,
    only,
)

PRICE = 20_000
UINT64_MAX = 2**64 - 1


@dataclass(frozen=True)
class Ending:
    """How a lease of 2 GPUs at $2 runs and ends; `charged_s` is what it costs, in seconds of use."""

    name: str
    instrument: int
    hours: int
    active_after_s: int | None
    ends_after_s: int
    """Since it was active, or since the fill if it never was; the term ends it where that is sooner."""
    how: str
    charged_s: int
    reason: EndReason


ENDINGS = [
    Ending("spot quits after its minimum", SPOT, 0, 5, 100, "quit", 100, EndReason.QUIT),
    Ending("spot quits inside its minimum", SPOT, 0, 5, 1, "quit", 60, EndReason.QUIT),
    Ending("spot quits before it is active", SPOT, 0, None, 30, "quit", 60, EndReason.QUIT),
    Ending("spot with an upper limit expires", SPOT, 2, 5, 7_195, "wait", 7_195, EndReason.EXPIRED),
    Ending("spot quits hours on", SPOT, 0, 5, 9_000, "quit", 9_000, EndReason.QUIT),
    Ending("on-demand quits inside the first hour", ONDEMAND, 3, 5, 10, "quit", 3_600, EndReason.QUIT),
    Ending("on-demand quits after it", ONDEMAND, 3, 5, 3_601, "quit", 3_601, EndReason.QUIT),
    Ending("on-demand of an hour quits: to the term's end", ONDEMAND, 1, 600, 10, "quit", 3_000, EndReason.QUIT),
    Ending("on-demand quits before it is active", ONDEMAND, 1, None, 1_800, "quit", 1_800, EndReason.QUIT),
    Ending("on-demand expires", ONDEMAND, 3, 5, 3 * 3_600 - 5, "wait", 3 * 3_600 - 5, EndReason.EXPIRED),
    Ending("a term that ends on a full hour of use", ONDEMAND, 2, 0, 7_200, "wait", 7_200, EndReason.EXPIRED),
    Ending("a term over before it was active", ONDEMAND, 1, None, 3_600, "wait", 0, EndReason.EXPIRED),
    Ending("the provider fails inside the first hour", ONDEMAND, 3, 5, 3_599, "provider", 0, EndReason.PROVIDER_FAILED),
    Ending("the provider fails on the hour", ONDEMAND, 3, 5, 3_600, "provider", 3_600, EndReason.PROVIDER_FAILED),
    Ending("the provider fails later", ONDEMAND, 3, 5, 5_000, "provider", 5_000, EndReason.PROVIDER_FAILED),
    Ending("the provider never delivers", ONDEMAND, 3, None, 300, "provider", 0, EndReason.PROVIDER_FAILED),
    Ending("the renter's image is bad", ONDEMAND, 3, None, 300, "renter", 3_600, EndReason.RENTER_FAILED),
    Ending("the renter's image breaks", SPOT, 0, 5, 10, "renter", 60, EndReason.RENTER_FAILED),
]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_what_an_ending_costs(ending: Ending) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ending.instrument))
    available = shard.auditor.pots[ALICE, Pot.AVAILABLE]
    (scheduled,) = only(shard.rent_or_bid(ALICE, 2, ending.hours, ending.instrument, PRICE), LeaseScheduled)
    lease_id = scheduled.lease_id
    if ending.active_after_s is not None:
        shard.wait(ending.active_after_s * SECOND)
        shard.do(LeaseActive(lease_id=lease_id, access=b"port"))
    events = shard.wait(ending.ends_after_s * SECOND)
    match ending.how:
        case "quit":
            events = shard.do(EndLease(account=ALICE, lease_id=lease_id))
        case "provider":
            events = shard.do(failure(shard, lease_id, Fault.PROVIDER))
        case "renter":
            events = shard.do(failure(shard, lease_id, Fault.RENTER))
    changed = changes(events)[-1]
    failed = ending.how in ("provider", "renter")
    assert (changed.state, changed.reason) == (LeaseState.FAILED if failed else LeaseState.ENDED, ending.reason)
    usage = 4_000_000 * ending.charged_s // 3_600
    fee = usage * 5_000 // 1_000_000
    assert changed.charged_micros == usage
    assert shard.auditor.pots[PAT, Pot.RECEIVABLE] == usage
    assert shard.auditor.pots[0, Pot.FEES] == fee
    # An hour of on-demand is in bond, for whom the provider fails.
    penalty = 4_000_000 if ending.how == "provider" else 0
    assert shard.auditor.pots[ALICE, Pot.AVAILABLE] == available - usage - fee + penalty
    assert shard.auditor.pots[PAT, Pot.BOND] == 0
    assert shard.auditor.pots[ALICE, Pot.HELD] == 0
    shard.do(LeaseWiped(lease_id=lease_id))
    assert shard.machine.counts().leases == 0


def failure(shard: Shard, lease_id: int, fault: Fault, as_of_ns: int | None = None, detail: str = "") -> LeaseFailed:
    return LeaseFailed(
        lease_id=lease_id, fault=fault, as_of_ns=shard.now_ns if as_of_ns is None else as_of_ns, detail=detail
    )


def test_each_full_hour_posts_its_usage_and_fills_the_prefund_up() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    lease_id = shard.lease(ALICE, 2, 3)
    moved = only(shard.wait(HOUR), Transfer)
    assert [(transfer.code, transfer.amount_micros) for transfer in moved] == [
        (TransferCode.USAGE, 4_000_000),
        (TransferCode.FEE, 20_000),
        (TransferCode.PREPAY, 4_020_000),
    ]
    # 3,720 s of it: 4,133,334 and the fee on that, 20,667, both up.
    assert shard.machine.state.leases[lease_id].prefund_micros == 4_154_001
    # The last hour needs no 120 s beyond the term.
    moved = only(shard.wait(HOUR), Transfer)
    assert shard.machine.state.leases[lease_id].prefund_micros == 4_020_000
    moved = only(shard.wait(HOUR), Transfer)
    assert [transfer.code for transfer in moved] == [TransferCode.USAGE, TransferCode.FEE, TransferCode.RELEASE]


def test_fees_of_both_sides_by_their_role_in_the_trade() -> None:
    shard = Shard()
    shard.do(OpenAccount(account=31, maker_fee_ppm=1_000, taker_fee_ppm=30_000))
    shard.pay(31, 1_000)
    shard.place(bid(31, 20_003, 3))
    (scheduled,) = only(shard.do(ask(PAT, PRICE, 3)), LeaseScheduled)
    assert (scheduled.renter_fee_ppm, scheduled.provider_fee_ppm) == (1_000, 5_000)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    shard.wait(HOUR + 1_234_567_891)
    shard.do(EndLease(account=31, lease_id=scheduled.lease_id))
    usage = 20_003 * 100 * 3 * (HOUR + 1_234_567_891) // HOUR
    assert shard.auditor.pots[0, Pot.FEES] == usage * 1_000 // 10**6 + usage * 5_000 // 10**6
    assert shard.auditor.pots[PAT, Pot.RECEIVABLE] == usage - usage * 5_000 // 10**6


def test_a_silent_provider_is_paid_to_the_last_heartbeat_and_gives_the_rest_back() -> None:
    shard = Shard()
    shard.do(OpenAccount(account=31, maker_fee_ppm=1_000, taker_fee_ppm=30_000))
    shard.pay(31, 1_000)
    shard.place(bid(31, PRICE, 3))
    (scheduled,) = only(shard.do(ask(PAT, PRICE, 3)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    shard.wait(3 * HOUR + 5 * MINUTE)
    heartbeat_ns = START + HOUR + 10 * MINUTE
    events = shard.do(failure(shard, scheduled.lease_id, Fault.PROVIDER, heartbeat_ns, "silent"))
    refunds = [event for event in only(events, Transfer) if event.code is TransferCode.REFUND]
    assert len(refunds) == 3
    (changed,) = changes(events)
    assert (changed.ended_ns, changed.charged_micros, changed.detail) == (heartbeat_ns, 7_000_000, "silent")
    assert shard.auditor.pots[PAT, Pot.RECEIVABLE] == 7_000_000 - 35_000
    assert shard.auditor.pots[0, Pot.FEES] == 7_000 + 35_000


@pytest.mark.parametrize(
    ("as_of_ns", "detail", "field"),
    [
        (START - 1, "", "as_of_ns"),
        (START + HOUR + 1, "", "as_of_ns"),
        (UINT64_MAX, "", "as_of_ns"),
        (-1, "", "as_of_ns"),
    ],
)
def test_a_failure_is_reported_for_a_time_between_start_and_now(as_of_ns: int, detail: str, field: str) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    lease_id = shard.lease(ALICE, 2, 3)
    shard.wait(HOUR)
    shard.refuse(failure(shard, lease_id, Fault.PROVIDER, as_of_ns, detail), Reason.INVALID_LEASE_REPORT, field)


def test_a_long_detail_is_cut_and_long_access_is_refused() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    (scheduled,) = only(shard.rent(ALICE, 2, 3), LeaseScheduled)
    lease_id = scheduled.lease_id
    shard.refuse(LeaseActive(lease_id=lease_id, access=b"x" * 8193), Reason.INVALID_LEASE_REPORT, "access")
    (changed,) = only(shard.do(failure(shard, lease_id, Fault.PROVIDER, detail="é" * 500)), LeaseChanged)
    assert changed.detail == "é" * 200


def test_states_refuse_what_does_not_fit_them() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    (scheduled,) = only(shard.rent(ALICE, 2, 3), LeaseScheduled)
    lease_id = scheduled.lease_id
    active, wiped = LeaseActive(lease_id=lease_id, access=b""), LeaseWiped(lease_id=lease_id)
    quits = EndLease(account=ALICE, lease_id=lease_id)

    shard.refuse(wiped, Reason.LEASE_NOT_ENDED)
    shard.refuse(EndLease(account=BOB, lease_id=lease_id), Reason.UNKNOWN_LEASE)
    shard.refuse(EndLease(account=PAT, lease_id=lease_id), Reason.UNKNOWN_LEASE)
    shard.do(active)
    shard.refuse(active, Reason.LEASE_NOT_PROVISIONING)
    shard.refuse(wiped, Reason.LEASE_NOT_ENDED)
    shard.do(quits)
    shard.refuse(quits, Reason.LEASE_ENDED)
    shard.refuse(active, Reason.LEASE_NOT_PROVISIONING)
    shard.refuse(failure(shard, lease_id, Fault.PROVIDER), Reason.LEASE_ENDED)
    (changed,) = only(shard.do(wiped), LeaseChanged)
    assert (changed.wiped, changed.state) == (True, LeaseState.ENDED)
    shard.refuse(wiped, Reason.UNKNOWN_LEASE)
    shard.refuse(quits, Reason.LEASE_ENDED)
    shard.refuse(EndLease(account=BOB, lease_id=lease_id), Reason.UNKNOWN_LEASE)


@pytest.mark.parametrize("lease_id", [0, -1, UINT64_MAX])
def test_an_unknown_lease_is_unknown(lease_id: int) -> None:
    shard = Shard()
    for command in (
        EndLease(account=ALICE, lease_id=lease_id),
        LeaseActive(lease_id=lease_id, access=b""),
        LeaseWiped(lease_id=lease_id),
        failure(shard, lease_id, Fault.RENTER),
    ):
        shard.refuse(command, Reason.UNKNOWN_LEASE, "lease_id")


def test_commands_that_come_before_an_overdue_tick_cannot_charge_what_was_not_paid_in() -> None:
    for command in ("quit", "provider", "renter"):
        shard = Shard()
        shard.place(ask(PAT, PRICE, 8))
        (scheduled,) = only(shard.do(bid(ALICE, PRICE, 2)), LeaseScheduled)
        shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
        shard.wait(100 * HOUR, tick=False)
        if command == "quit":
            events = shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id))
        else:
            events = shard.do(failure(shard, scheduled.lease_id, Fault[command.upper()]))
        (changed,) = changes(events)
        assert (changed.ended_ns, changed.charged_micros) == (START + HOUR, 4_000_000)


def test_a_lease_cannot_become_active_after_its_term() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    (scheduled,) = only(shard.rent(ALICE, 2, 1), LeaseScheduled)
    shard.wait(HOUR, tick=False)
    shard.refuse(LeaseActive(lease_id=scheduled.lease_id, access=b""), Reason.LEASE_NOT_PROVISIONING)


def test_a_tick_fires_so_many_timers_and_leaves_the_rest_for_the_next() -> None:
    shard = Shard(Limits(max_timers=3))
    shard.place(ask(PAT, PRICE, 8))
    (scheduled,) = only(shard.do(bid(ALICE, PRICE, 1)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    shard.wait(10 * HOUR, tick=False)
    posted = []
    while (due_ns := shard.machine.next_due_ns()) is not None and due_ns <= shard.now_ns:
        usage = [event for event in only(shard.do(Tick()), Transfer) if event.code is TransferCode.USAGE]
        posted.append(len(usage))
    # Between them the row is looked at two minutes before each full hour.
    assert sum(posted) == 10
    assert max(posted) <= 3
    assert shard.machine.next_due_ns() == START + 11 * HOUR - 2 * MINUTE


def test_timers_of_one_instant_fire_by_kind_then_id() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8))
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    spot = [only(shard.do(bid(ALICE, PRICE, 1)), LeaseScheduled)[0].lease_id for _ in range(2)]
    ends = shard.lease(ALICE, 1, 1)
    for lease_id in reversed(spot):
        shard.do(LeaseActive(lease_id=lease_id, access=b""))
    usage = [event.ref for event in only(shard.wait(HOUR), Transfer) if event.code is TransferCode.USAGE]
    assert usage == [ends, *spot]


def test_time_never_goes_back() -> None:
    shard = Shard()
    shard.now_ns -= 1
    shard.refuse(bid(ALICE, PRICE, 1), Reason.TIME_WENT_BACK)
    shard.refuse(Tick(), Reason.TIME_WENT_BACK)
    assert shard.machine.last_ts_ns == START
    shard.now_ns += 1
    shard.do(bid(ALICE, PRICE, 1))


def test_the_sequence_grows() -> None:
    shard = Shard()
    with pytest.raises(ValueError, match="must grow"):
        shard.machine.apply(shard.machine.last_seq, START, Tick())
