"""Claims: a newcomer waits for the wipe of what it displaced, and however that ends, it pays what is due (§7)."""

from __future__ import annotations

from engine.halves import compiled_half
from engine.kinds import EndReason, Fault, LeaseState, Pot, Presence
from engine.limits import Limits
from engine.messages import (
    EndLease,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    OpenAccount,
    RaisePrice,
    SetAccountLimits,
    SetDrain,
    SetPresence,
    Tick,
    Transfer,
)
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    PAT,
    SECOND,
    SPOT,
    START,
    Shard,
    bid,
    offered,
    only,
)
from tests.engine.spot import (
    CHEAP,
    LIMIT,
    claim,
    displaced,
    displacing,
    noticed,
    row,
    runs,
    served,
    starts,
    state_of,
    wipes,
)


def test_a_claim_is_no_lease_to_raise_or_to_start() -> None:
    shard = Shard()
    _, newcomer = claim(shard)
    shard.refuse(RaisePrice(account=BOB, lease_id=newcomer, price_ticks=90_000), Reason.LEASE_SCHEDULED, "lease_id")
    shard.refuse(LeaseActive(lease_id=newcomer, access=b""), Reason.LEASE_NOT_PROVISIONING, "lease_id")


def test_who_quits_before_the_start_pays_an_hour_and_nobody_gets_the_gpus_for_less() -> None:
    shard = Shard()
    old, newcomer = claim(shard)
    shard.wait(MINUTE)
    events = shard.do(EndLease(account=BOB, lease_id=newcomer))
    ended, wiped = only(events, LeaseChanged)
    assert (ended.state, ended.reason, ended.charged_micros) == (LeaseState.ENDED, EndReason.QUIT, 4_000_000)
    assert wiped.wiped and newcomer not in shard.machine.state.leases
    assert shard.auditor.pots[BOB, Pot.HELD] == 0
    assert shard.auditor.pots[PAT, Pot.RECEIVABLE] == 4_000_000
    assert row(shard).leaving_gpus == 2
    shard.refuse(EndLease(account=BOB, lease_id=newcomer), Reason.LEASE_ENDED)
    shard.wait(MINUTE)
    assert only(wipes(shard, old), LeaseChanged)[-1].lease_id == old
    assert (row(shard).spot_gpus, row(shard).leaving_gpus) == (0, 0)


def test_an_hour_is_the_least_also_once_it_runs() -> None:
    shard = Shard()
    old, newcomer = claim(shard)
    served(shard, old, newcomer)
    starts(shard, newcomer)
    shard.wait(MINUTE)
    (ended,) = only(shard.do(EndLease(account=BOB, lease_id=newcomer)), LeaseChanged)
    assert ended.charged_micros == 4_000_000


def test_a_displaced_lease_may_go_sooner_and_its_wipe_serves_the_claim() -> None:
    for command in ("quit", "fails"):
        shard = Shard()
        old, newcomer = claim(shard)
        shard.wait(MINUTE)
        if command == "quit":
            (ended,) = only(shard.do(EndLease(account=ALICE, lease_id=old)), LeaseChanged)
            assert (ended.reason, ended.charged_micros) == (EndReason.DISPLACED, 60_000)
        else:
            shard.do(LeaseFailed(lease_id=old, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
        wipes(shard, old)
        assert state_of(shard, newcomer) is LeaseState.PROVISIONING


def test_the_provider_fails_a_claim_and_nothing_is_charged() -> None:
    shard = Shard()
    _, newcomer = claim(shard)
    events = shard.do(LeaseFailed(lease_id=newcomer, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail="lost"))
    ended = only(events, LeaseChanged)[0]
    assert (ended.state, ended.reason, ended.charged_micros) == (LeaseState.FAILED, EndReason.PROVIDER_FAILED, 0)
    assert [event.code.name for event in only(events, Transfer)] == ["RELEASE"]
    assert row(shard).leaving_gpus == 2 and not row(shard).claims


def test_a_wipe_that_does_not_come_fails_the_claim() -> None:
    shard = Shard()
    old, newcomer = claim(shard)
    events = shard.wait(120 * SECOND + 10 * MINUTE)
    ended = [event for event in only(events, LeaseChanged) if event.lease_id == newcomer]
    assert [(event.state, event.reason) for event in ended] == [(LeaseState.FAILED, EndReason.PROVIDER_FAILED)] * 2
    assert shard.auditor.pots[BOB, Pot.HELD] == 0
    assert (row(shard).spot_gpus, row(shard).leaving_gpus) == (0, 0)
    wipes(shard, old)
    assert (row(shard).spot_gpus, shard.machine.state.barons[BARON].leased_gpus) == (0, 0)


def test_a_term_that_ends_while_it_waits_costs_nothing() -> None:
    shard = Shard(Limits(notice_s=3_700, prefund_s=7_400))
    old, newcomer = claim(shard, hours=1)
    (ended, wiped) = only(shard.wait(HOUR), LeaseChanged)[:2]
    assert (ended.lease_id, ended.reason, ended.charged_micros) == (newcomer, EndReason.EXPIRED, 0)
    assert wiped.wiped
    assert state_of(shard, old) is LeaseState.ENDING


def test_unpaid_while_somebody_waits_is_no_second_notice() -> None:
    """The displaced can't pay its next hour, and the newcomer spends all it has left: both are inside what was paid."""
    shard = Shard(usd=0)
    shard.pay(ALICE, 4)
    old = runs(shard, ALICE, CHEAP)
    shard.pay(BOB, 5)
    shard.wait(HOUR - MINUTE)
    (trade,) = displacing(shard.do(bid(BOB, LIMIT, 2)))
    ended = only(shard.wait(2 * MINUTE), LeaseChanged)[-1]
    assert (ended.lease_id, ended.reason, ended.ended_ns) == (old, EndReason.DISPLACED, START + HOUR + MINUTE)
    wipes(shard, old)
    starts(shard, trade.lease_id)
    last = only(shard.wait(2 * HOUR), LeaseChanged)[-1]
    assert (last.lease_id, last.reason) == (trade.lease_id, EndReason.UNPAID)


def test_a_drain_ends_a_claim_at_once_and_charges_nothing() -> None:
    shard = Shard()
    old, newcomer = claim(shard)
    other = runs(shard, ALICE, CHEAP)
    events = shard.do(SetDrain(account=PAT, baron=BARON, draining=True))
    ended = [event for event in only(events, LeaseChanged) if event.lease_id == newcomer]
    assert [(event.reason, event.charged_micros, event.wiped) for event in ended] == [
        (EndReason.PREEMPTED, 0, False),
        (EndReason.PREEMPTED, 0, True),
    ]
    assert noticed(events) == [other]
    assert displaced(shard.do(bid(BOB, 30_000, 2))) == []
    shard.wait(120 * SECOND)
    for lease_id in (old, other):
        assert len(only(wipes(shard, lease_id), LeaseChanged)) == 1
    assert (row(shard).spot_gpus, row(shard).leaving_gpus) == (0, 0)


def test_a_lost_baron_fails_who_waits_on_it_and_charges_nothing() -> None:
    shard = Shard()
    old, newcomer = claim(shard)
    shard.wait(MINUTE)
    events = shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=START))
    ended = [event for event in only(events, LeaseChanged) if not event.wiped]
    assert [(event.lease_id, event.state, event.reason, event.charged_micros) for event in ended] == [
        (old, LeaseState.FAILED, EndReason.PROVIDER_FAILED, 0),
        (newcomer, LeaseState.FAILED, EndReason.PROVIDER_FAILED, 0),
    ]
    assert shard.auditor.pots[BOB, Pot.HELD] == 0
    assert len(only(wipes(shard, old), LeaseChanged)) == 1


def test_limits_of_an_account_count_a_claim_as_a_lease() -> None:
    shard = Shard()
    shard.do(SetAccountLimits(account=BOB, max_gpus=3))
    _, newcomer = claim(shard)
    shard.refuse(bid(BOB, LIMIT, 2), Reason.GPU_LIMIT)
    shard.do(EndLease(account=BOB, lease_id=newcomer))
    shard.place(bid(BOB, LIMIT, 3))


def test_an_offer_counts_the_newcomer_under_it_from_the_wipe_on() -> None:
    shard = Shard()
    shard.offer(offered(CHEAP, 2))
    (scheduled,) = only(shard.do(bid(ALICE, CHEAP, 2)), LeaseScheduled)
    starts(shard, scheduled.lease_id)
    (trade,) = displacing(shard.do(bid(BOB, LIMIT, 2)))
    served(shard, scheduled.lease_id, trade.lease_id)
    assert shard.asks(SPOT) == []
    shard.do(EndLease(account=BOB, lease_id=trade.lease_id))
    wipes(shard, trade.lease_id)
    assert shard.asks(SPOT) == [(CHEAP, 2)]


def test_an_offer_grows_again_when_a_claim_ended_before_the_wipe() -> None:
    shard = Shard()
    shard.offer(offered(CHEAP, 2))
    (scheduled,) = only(shard.do(bid(ALICE, CHEAP, 2)), LeaseScheduled)
    starts(shard, scheduled.lease_id)
    (trade,) = displacing(shard.do(bid(BOB, LIMIT, 2)))
    shard.do(EndLease(account=BOB, lease_id=trade.lease_id))
    shard.wait(120 * SECOND)
    assert shard.asks(SPOT) == []
    wipes(shard, scheduled.lease_id)
    assert shard.asks(SPOT) == [(CHEAP, 2)]


def test_griefing_costs_an_hour_for_each_lease_and_each_time() -> None:
    """Who displaces and quits again and again pays its own limit for an hour each; the holder comes back at the old price."""
    shard = Shard()
    spent = shard.auditor.pots[BOB, Pot.AVAILABLE]
    for _ in range(3):
        old, newcomer = claim(shard, 8)
        shard.do(EndLease(account=BOB, lease_id=newcomer))
        shard.wait(120 * SECOND)
        wipes(shard, old)
    assert spent - shard.auditor.pots[BOB, Pot.AVAILABLE] == 3 * (16_000_000 + 80_000)
    assert noticed([]) == []


def test_a_restored_machine_goes_on_amid_a_claim() -> None:
    shard = Shard()
    runs(shard, ALICE, CHEAP + 500)
    old, newcomer = claim(shard)
    shard.place(bid(BOB, LIMIT, 3))
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    shard.do(OpenAccount(account=13, maker_fee_ppm=0, taker_fee_ppm=0))
    shard.pay(13, 1_000)
    assert len(displacing(shard.do(bid(13, 40_000, 2)))) == 1
    served(shard, old, newcomer)
    starts(shard, newcomer)
    assert displaced(shard.do(bid(13, 40_000, 2))) == [newcomer]
    shard.do(Tick())
    assert shard.twin.state_hash() == shard.machine.state_hash()
