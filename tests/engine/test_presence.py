"""Presence and drain: what a Baron that isn't heard of, or that its provider takes out, still sells and delivers (§4)."""

from __future__ import annotations

import pytest

from engine import failures, presence
from engine.halves import compiled_half
from engine.kinds import EndReason, LeaseState, OrderType, Pot, Presence, Side
from engine.messages import (
    Accepted,
    BaronPresence,
    Canceled,
    Command,
    ExtendLease,
    LeaseActive,
    LeaseChanged,
    LeaseScheduled,
    LeaseWiped,
    OffersSet,
    Quote,
    SetAccountLimits,
    SetAutoExtend,
    SetDrain,
    SetPresence,
    SetQuotes,
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
    QUINN,
    SECOND,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    offered,
    only,
)

PRICE = 20_000
QUIET = SetPresence(baron=BARON, presence=Presence.QUIET)
BACK = SetPresence(baron=BARON, presence=Presence.REPORTING)
DRAIN = SetDrain(account=PAT, baron=BARON, draining=True)
UNDRAIN = SetDrain(account=PAT, baron=BARON, draining=False)


def lost(as_of_ns: int = START) -> SetPresence:
    return SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=as_of_ns)


def spot_lease(shard: Shard, quantity: int = 2, *, price_ticks: int = PRICE, active: bool = True) -> int:
    (scheduled,) = only(shard.do(bid(ALICE, price_ticks, quantity)), LeaseScheduled)
    if active:
        shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    return scheduled.lease_id


def state_of(shard: Shard, lease_id: int) -> tuple[LeaseState, EndReason]:
    lease = shard.machine.state.leases[lease_id]
    return lease.state, lease.reason


# ---------------------------------------------------------------- what is said


@pytest.mark.parametrize("command", [QUIET, lost(), BACK, DRAIN, UNDRAIN])
def test_a_repeat_is_answered_with_the_same_event_again(command: Command) -> None:
    shard = Shard()
    first, again = shard.do(command), shard.do(command)
    assert only(first, BaronPresence) == again
    assert len(again) == 1


def test_presence_and_drain_stand_beside_each_other() -> None:
    shard = Shard()
    said = [only(shard.do(command), BaronPresence)[0] for command in (DRAIN, QUIET, lost(), UNDRAIN, BACK)]
    assert [(one.presence, one.draining) for one in said] == [
        (Presence.REPORTING, True),
        (Presence.QUIET, True),
        (Presence.LOST, True),
        (Presence.LOST, False),
        (Presence.REPORTING, False),
    ]


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (SetPresence(baron=99, presence=Presence.QUIET), Reason.UNKNOWN_BARON, "baron"),
        (SetPresence(baron=BARON, presence=Presence.QUIET, as_of_ns=1), Reason.INVALID_PRESENCE, "as_of_ns"),
        (SetPresence(baron=BARON, presence=Presence.REPORTING, as_of_ns=1), Reason.INVALID_PRESENCE, "as_of_ns"),
        (lost(START + 1), Reason.INVALID_PRESENCE, "as_of_ns"),
        (lost(-1), Reason.INVALID_PRESENCE, "as_of_ns"),
        (SetDrain(account=PAT, baron=99, draining=True), Reason.UNKNOWN_BARON, "baron"),
        (SetDrain(account=QUINN, baron=BARON, draining=True), Reason.NOT_YOUR_BARON, "baron"),
        (SetDrain(account=99, baron=BARON, draining=True), Reason.UNKNOWN_ACCOUNT, "account"),
    ],
)
def test_what_is_refused(command: Command, reason: Reason, field: str) -> None:
    Shard().refuse(command, reason, field)


# ---------------------------------------------------------------- asks


@pytest.mark.parametrize(
    ("command", "reason"), [(QUIET, Reason.BARON_QUIET), (lost(), Reason.BARON_QUIET), (DRAIN, Reason.BARON_DRAINED)]
)
def test_all_asks_on_it_go_in_order_of_entry_and_no_others(command: Command, reason: Reason) -> None:
    shard = Shard()
    shard.offer(offered(PRICE + 5, 5))
    rest = [
        shard.place(ask(PAT, PRICE + 4, 2, ONDEMAND)),
        shard.place(ask(PAT, 0, 1, order_type=OrderType.STOP, stop_price_ticks=PRICE)),
        shard.place(ask(PAT, PRICE + 3, 1)),
    ]
    other = shard.place(ask(PAT, PRICE + 2, 8, baron=SECOND_BARON))
    (own,) = [order.order_id for order in shard.machine.state.orders.values() if order.order_id not in (*rest, other)]
    events = shard.do(command)
    assert isinstance(events[0], BaronPresence)
    assert [(one.order_id, one.reason) for one in only(events, Canceled)] == [(each, reason) for each in (own, *rest)]
    assert shard.asks(SPOT) == [(PRICE + 2, 8)]
    assert only(shard.wait(2 * HOUR), Accepted) == []


@pytest.mark.parametrize(
    ("command", "reason"), [(QUIET, Reason.BARON_QUIET), (lost(), Reason.BARON_QUIET), (DRAIN, Reason.BARON_DRAINED)]
)
def test_new_asks_are_refused_while_it_lasts(command: Command, reason: Reason) -> None:
    shard = Shard()
    shard.do(command)
    shard.refuse(ask(PAT, PRICE, 1), reason, "baron")
    shard.refuse(ask(PAT, PRICE, 1, ONDEMAND), reason, "baron")
    quotes = (Quote(instrument=SPOT, side=Side.SELL, price_ticks=PRICE, quantity=1, baron=BARON),)
    shard.refuse(SetQuotes(account=PAT, name="both", quotes=quotes), reason, "quotes[0].baron")
    shard.place(ask(PAT, PRICE, 1, baron=SECOND_BARON))


def test_offers_stay_as_they_are_said_and_enter_anew_when_it_may_sell() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 4), offered(PRICE, 4, ONDEMAND))
    shard.do(QUIET)
    assert only(shard.offer(offered(PRICE, 6)), OffersSet)[0].offers == (offered(PRICE, 6),)
    assert shard.asks(SPOT) == []
    shard.do(DRAIN)
    assert only(shard.do(BACK), Accepted) == []
    (entered,) = only(shard.do(UNDRAIN), Accepted)
    assert (entered.instrument, entered.quantity) == (SPOT, 6)
    shard.do(DRAIN)
    shard.do(lost())
    assert only(shard.do(UNDRAIN), Accepted) == []
    assert len(only(shard.do(BACK), Accepted)) == 1


def test_a_killed_providers_offers_wait_for_the_switch_too() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 4))
    shard.do(SetAccountLimits(account=PAT, killed=True))
    shard.do(DRAIN)
    assert only(shard.do(UNDRAIN), Accepted) == []
    assert len(only(shard.do(SetAccountLimits(account=PAT, killed=False)), Accepted)) == 1


def test_what_is_verified_stays_verified() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8))
    for command in (QUIET, lost(), BACK, DRAIN, UNDRAIN):
        shard.do(command)
        assert shard.machine.state.barons[BARON].counted_gpus == 8
    assert shard.asks(SPOT) == [(PRICE, 8)]


# ---------------------------------------------------------------- leases


def test_leases_on_a_quiet_baron_run_on_and_may_begin() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 4))
    running, waiting = spot_lease(shard), spot_lease(shard, active=False)
    assert only(shard.do(QUIET), LeaseChanged) == []
    shard.do(LeaseActive(lease_id=waiting, access=b""))
    shard.wait(HOUR)
    assert {state_of(shard, lease)[0] for lease in (running, waiting)} == {LeaseState.ACTIVE}


def test_leases_on_a_lost_baron_fail_as_of_when_it_was_heard_of_last() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 2), offered(PRICE, 2, ONDEMAND), offered(PRICE + 1, 8, baron=SECOND_BARON))
    spot, firm, elsewhere = spot_lease(shard), shard.lease(ALICE, 2, 5), spot_lease(shard, price_ticks=PRICE + 1)
    shard.wait(2 * HOUR + 10 * MINUTE)
    heard_ns = shard.now_ns - 11 * MINUTE
    shard.do(QUIET)
    changed = only(shard.do(lost(heard_ns)), LeaseChanged)
    assert [one.lease_id for one in changed] == [spot, firm]
    for ended in changed:
        assert (ended.state, ended.reason) == (LeaseState.FAILED, EndReason.PROVIDER_FAILED)
        assert (ended.ended_ns, ended.detail) == (heard_ns, presence.LOST_DETAIL)
        assert ended.charged_micros == 2 * 2_000_000 * (heard_ns - START) // HOUR
    assert state_of(shard, elsewhere)[0] is LeaseState.ACTIVE
    assert shard.machine.state.accounts[ALICE].pots[Pot.HELD] == shard.prefunds(ALICE)


def test_a_lease_younger_than_the_last_word_costs_nothing() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8))
    shard.wait(5 * MINUTE)
    active, starting = spot_lease(shard), spot_lease(shard, active=False)
    shard.wait(10 * MINUTE)
    changed = only(shard.do(lost(START + MINUTE)), LeaseChanged)
    assert [(one.lease_id, one.ended_ns, one.charged_micros) for one in changed] == [
        (lease_id, START + 5 * MINUTE, 0) for lease_id in (active, starting)
    ]
    assert shard.machine.state.accounts[ALICE].pots[Pot.HELD] == 0


def test_a_baron_that_was_never_heard_of_is_lost_as_of_its_leases_starts() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 2))
    lease_id = spot_lease(shard)
    shard.wait(3 * HOUR)
    (ended,) = only(shard.do(lost(0)), LeaseChanged)
    assert (ended.lease_id, ended.ended_ns, ended.charged_micros) == (lease_id, START, 0)


def test_a_drained_baron_gives_its_spot_leases_notice_and_its_firm_ones_run_out() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 4), offered(PRICE, 4, ONDEMAND))
    running, firm = spot_lease(shard), shard.lease(ALICE, 2, 2)
    shard.wait(10 * MINUTE)
    (noticed,) = only(shard.do(DRAIN), LeaseChanged)
    assert (noticed.lease_id, noticed.state, noticed.reason) == (running, LeaseState.ENDING, EndReason.PREEMPTED)
    assert noticed.ends_ns == shard.now_ns + 120 * SECOND
    assert only(shard.do(DRAIN), LeaseChanged) == []
    shard.do(UNDRAIN)
    shard.wait(2 * HOUR)
    assert state_of(shard, running) == (LeaseState.ENDED, EndReason.PREEMPTED)
    assert state_of(shard, firm) == (LeaseState.ENDED, EndReason.EXPIRED)


@pytest.mark.parametrize(
    ("command", "end"),
    [
        (DRAIN, (LeaseState.ENDED, EndReason.PREEMPTED)),
        (lost(), (LeaseState.FAILED, EndReason.PROVIDER_FAILED)),
    ],
)
def test_a_newcomer_that_waits_for_a_wipe_ends_at_once_and_pays_nothing(
    command: Command, end: tuple[LeaseState, EndReason]
) -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 2))
    spot_lease(shard)
    (newcomer,) = only(shard.do(bid(BOB, 2 * PRICE, 2)), LeaseScheduled)
    assert newcomer.state is LeaseState.SCHEDULED
    shard.wait(MINUTE)
    told = [one for one in only(shard.do(command), LeaseChanged) if one.lease_id == newcomer.lease_id]
    assert (told[-1].state, told[-1].reason) == end
    assert (told[-1].charged_micros, told[-1].wiped) == (0, True)
    assert shard.machine.state.accounts[BOB].pots[Pot.HELD] == 0


@pytest.mark.parametrize("command", [QUIET, lost(), DRAIN])
def test_nobody_is_displaced_on_it(command: Command) -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 2))
    spot_lease(shard)
    shard.do(command)
    assert only(shard.do(bid(BOB, 2 * PRICE, 2)), LeaseScheduled) == []
    assert shard.bids(SPOT) == [(2 * PRICE, 2)]


@pytest.mark.parametrize("command", [QUIET, DRAIN])
def test_no_lease_on_it_is_extended(command: Command) -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 4, ONDEMAND))
    lease_id = shard.lease(ALICE, 2, 2)
    shard.do(SetAutoExtend(account=ALICE, lease_id=lease_id, auto_extend=True))
    shard.wait(HOUR)
    shard.do(command)
    shard.wait(55 * MINUTE)
    assert not shard.machine.state.leases[lease_id].auto_extend
    shard.refuse(ExtendLease(account=ALICE, lease_id=lease_id, hours=1), Reason.CANNOT_EXTEND, "lease_id")
    shard.do(BACK)
    shard.do(UNDRAIN)
    shard.do(ExtendLease(account=ALICE, lease_id=lease_id, hours=1))


def test_after_a_loss_what_is_wiped_is_on_sale_again() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8))
    lease_id = spot_lease(shard, 3)
    shard.wait(20 * MINUTE)
    shard.do(lost(START + 9 * MINUTE))
    # Its time to be wiped began when it ended, so what isn't wiped counts as verified no more.
    shard.wait(SECOND)
    shard.do(BACK)
    assert shard.asks(SPOT) == [(PRICE, 5)]
    shard.do(LeaseWiped(lease_id=lease_id))
    assert shard.asks(SPOT) == [(PRICE, 8)]


# ---------------------------------------------------------------- many, and after a restore


def test_more_than_a_command_may_end_goes_on_in_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 4), offered(PRICE, 4, baron=SECOND_BARON))
    running = [spot_lease(shard, 1) for _ in range(3)]
    asks = [shard.place(ask(PAT, PRICE + 1, 1, ONDEMAND)) for _ in range(4)]
    shard.wait(MINUTE)
    monkeypatch.setattr(failures, "EVENTS_ENOUGH", 3)
    canceled = [one.order_id for one in only(shard.do(lost()), Canceled)]
    assert len(canceled) == 2
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    assert shard.twin.state_hash() == shard.machine.state_hash()
    failed: list[int] = []
    while shard.due():
        events = shard.do(Tick())
        canceled += [one.order_id for one in only(events, Canceled)]
        failed += [one.lease_id for one in only(events, LeaseChanged) if one.state is LeaseState.FAILED]
    assert canceled[1:] == asks
    assert failed == running
    assert shard.asks(SPOT) == [(PRICE, 4)]


def test_presence_outlives_a_snapshot() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 4))
    for command, reason in ((DRAIN, Reason.BARON_DRAINED), (QUIET, Reason.BARON_QUIET), (lost(), Reason.BARON_QUIET)):
        shard.do(command)
        shard.twin = compiled_half().restored(shard.machine.snapshot())
        assert shard.twin.state_hash() == shard.machine.state_hash()
        shard.refuse(ask(PAT, PRICE, 1), reason)
    shard.do(UNDRAIN)
    assert len(only(shard.do(BACK), Accepted)) == 1
