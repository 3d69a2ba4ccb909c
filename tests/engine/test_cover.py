"""Cover: what a provider fails to deliver is bought elsewhere, at no more than it would have cost (rulebook §8)."""

from __future__ import annotations

from typing import Any

import pytest

from engine import cover
from engine.halves import compiled_half
from engine.kinds import COVERS, EndReason, Fault, OrderStatus, Origin, Pot, Presence, Side, TransferCode
from engine.limits import Limits
from engine.messages import (
    Accepted,
    EndLease,
    Event,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    Rejected,
    SetAccountLimits,
    SetAutoExtend,
    SetFeatures,
    SetPresence,
    SetRating,
    SetSession,
    Tick,
    Traded,
    Transfer,
)
from engine.reasons import Reason
from engine.records import Session
from engine.units import MICROS_PER_USD, PRICE_MAX_TICKS
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND,
    SECOND_BARON,
    SPOT,
    Shard,
    ask,
    bid,
    offered,
    only,
    rental,
)

USD = MICROS_PER_USD
PRICE = 30_000


def shard_of(limits: Limits | None = None) -> Shard:
    """Pat sells on-demand at $3 on two Barons, Quinn on hers, behind him."""
    shard = Shard(limits)
    shard.offer(offered(PRICE, 8, ONDEMAND), offered(PRICE, 8, ONDEMAND, baron=SECOND_BARON))
    shard.place(ask(QUINN, PRICE, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    return shard


def fail(shard: Shard, lease: int, fault: Fault = Fault.PROVIDER) -> list[Event]:
    return shard.do(LeaseFailed(lease_id=lease, fault=fault, as_of_ns=shard.now_ns, detail=""))


def of_cover(events: list[Event]) -> Accepted:
    (accepted,) = only(events, Accepted)
    assert accepted.origin is Origin.COVER
    return accepted


def refused(events: list[Event]) -> Rejected:
    (rejected,) = only(events, Rejected)
    assert not isinstance(events[0], Rejected)
    assert (rejected.account, rejected.order_status) == (ALICE, OrderStatus.REJECTED)
    assert not only(events, Accepted | Traded)  # type: ignore[arg-type]
    return rejected


def let(shard: Shard, price_ticks: int = PRICE, **more: Any) -> int:
    """A lease of 2 GPUs for 5 hours on Pat's first Baron, bought by an order."""
    (scheduled,) = only(shard.do(bid(ALICE, price_ticks, 2, ONDEMAND, hours=5, **more)), LeaseScheduled)
    assert scheduled.baron == BARON
    return scheduled.lease_id


# ---------------------------------------------------------------- what is bought


def test_a_failed_lease_is_covered_from_another_provider_in_the_same_command() -> None:
    shard = shard_of()
    lease = shard.lease(ALICE, 2, 5)
    shard.wait(2 * HOUR + 10 * MINUTE)
    events = fail(shard, lease)
    (failed,) = [event for event in only(events, LeaseChanged) if event.lease_id == lease]
    assert failed.reason is EndReason.PROVIDER_FAILED
    entered = of_cover(events)
    assert (entered.account, entered.side, entered.quantity, entered.hours) == (ALICE, Side.BUY, 2, 3)
    # An hour of bond was refunded, for the three hours left.
    assert (entered.price_ticks, entered.features) == (PRICE + PRICE // 3, 0)
    assert [event.provider for event in only(events, LeaseScheduled)] == [QUINN]


def test_what_costs_a_tick_more_is_no_cover() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    lease = let(shard)
    shard.place(ask(QUINN, PRICE + PRICE // 5 + 1, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    assert refused(fail(shard, lease)).reason in (Reason.FOK_KILLED, Reason.NO_LIQUIDITY)


def test_the_covers_lease_is_as_any() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    lease = let(shard)
    shard.do(ask(QUINN, PRICE - 1, 4, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    shard.wait(HOUR)
    events = fail(shard, lease)
    entered = of_cover(events)
    (scheduled,) = only(events, LeaseScheduled)
    assert (scheduled.order_id, scheduled.baron, scheduled.provider) == (entered.order_id, OTHER_BARON, QUINN)
    assert (scheduled.renter, scheduled.quantity, scheduled.price_ticks) == (ALICE, 2, PRICE - 1)
    assert scheduled.term_end_ns == shard.now_ns + 4 * HOUR
    assert scheduled.delivery == b"ssh-ed25519 AAAA"
    held = [event for event in only(events, Transfer) if event.ref == entered.order_id]
    # What it held for a tick more comes back.
    assert [event.code for event in held] == [TransferCode.COVER, TransferCode.RELEASE]
    assert held[0].amount_micros - held[1].amount_micros == shard.prefunds(ALICE)


@pytest.mark.parametrize("provider_sells", [BARON, SECOND_BARON])
def test_never_from_a_baron_of_the_failing_provider(provider_sells: int) -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 4, ONDEMAND))
    lease = let(shard)
    shard.place(ask(PAT, PRICE - 500, 2, ONDEMAND, baron=provider_sells, max_hours=48))
    assert refused(fail(shard, lease)).reason in (Reason.FOK_KILLED, Reason.NO_LIQUIDITY)
    # Anybody else may have it at once.
    shard.do(bid(BOB, PRICE - 500, 2, ONDEMAND))
    assert not shard.bids(ONDEMAND)


def test_it_passes_over_the_failing_providers_better_prices() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    lease = let(shard)
    shard.place(ask(PAT, PRICE - 900, 8, ONDEMAND, baron=SECOND_BARON, max_hours=48))
    shard.place(ask(QUINN, PRICE - 100, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    (traded,) = only(fail(shard, lease), Traded)
    assert (traded.seller, traded.price_ticks, traded.quantity) == (QUINN, PRICE - 100, 2)


def test_two_failures_of_two_providers_cover_each_other() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND, max_hours=48))
    first = let(shard)
    shard.place(ask(QUINN, PRICE, 2, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    (traded,) = only(fail(shard, first), Traded)
    assert traded.seller == QUINN
    events = fail(shard, traded.lease_id)
    (back,) = only(events, Traded)
    assert (back.seller, back.baron) == (PAT, BARON)


def test_conditions_go_on() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    for baron in (BARON, OTHER_BARON):
        shard.do(SetFeatures(baron=baron, features=3))
        shard.do(SetRating(baron=baron, rating=90))
    lease = let(shard, features=2, min_rating=80, same_baron=True)
    shard.place(ask(QUINN, PRICE, 1, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    shard.place(ask(QUINN, PRICE, 2, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    events = fail(shard, lease)
    entered = of_cover(events)
    assert (entered.features, entered.min_rating, entered.same_baron) == (2, 80, True)
    assert [event.quantity for event in only(events, Traded)] == [2], "one GPU isn't the whole on one Baron"


@pytest.mark.parametrize(("features", "rating", "covered"), [(2, 80, True), (1, 80, False), (3, 79, False)])
def test_a_baron_without_them_is_no_cover(features: int, rating: int, covered: bool) -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    shard.do(SetFeatures(baron=BARON, features=3))
    shard.do(SetRating(baron=BARON, rating=90))
    lease = let(shard, features=2, min_rating=80)
    shard.do(SetFeatures(baron=OTHER_BARON, features=features))
    shard.do(SetRating(baron=OTHER_BARON, rating=rating))
    shard.place(ask(QUINN, PRICE, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    assert bool(only(fail(shard, lease), Traded)) is covered


def test_extension_goes_on_with_the_cover() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    (scheduled,) = only(shard.do(rental(ALICE, 2, 5, max_price_ticks=50_000)), LeaseScheduled)
    shard.do(SetAutoExtend(account=ALICE, lease_id=scheduled.lease_id, auto_extend=True))
    shard.place(ask(QUINN, PRICE, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    (cover_lease,) = only(fail(shard, scheduled.lease_id), LeaseScheduled)
    assert (cover_lease.limit_ticks, cover_lease.auto_extend) == (50_000, True)


# ---------------------------------------------------------------- hours and limit


@pytest.mark.parametrize(
    ("left_ns", "hours"),
    [
        (5 * HOUR, 5),
        (4 * HOUR + SECOND, 5),
        (4 * HOUR, 4),
        (HOUR, 1),
        (SECOND, 1),
    ],
)
def test_the_hours_left_are_rounded_up(left_ns: int, hours: int) -> None:
    shard = shard_of()
    lease = shard.lease(ALICE, 2, 5)
    shard.wait(5 * HOUR - left_ns)
    assert of_cover(fail(shard, lease)).hours == hours


def test_in_its_last_second_nothing_is_left_to_cover() -> None:
    shard = shard_of()
    lease = shard.lease(ALICE, 2, 5)
    shard.wait(5 * HOUR - SECOND + 1)
    assert not only(fail(shard, lease), Accepted)


@pytest.mark.parametrize(
    ("price_ticks", "bond_micros", "quantity", "hours", "limit"),
    [
        (20_000, 0, 2, 5, 20_000),
        (20_000, 4 * USD, 2, 1, 40_000),
        (20_000, 4 * USD, 2, 5, 24_000),
        (20_000, 999, 2, 5, 20_000),
        (20_000, 1_000, 2, 5, 20_001),
        (PRICE_MAX_TICKS - 1, 10**15, 1, 1, PRICE_MAX_TICKS),
    ],
)
def test_the_limit_is_the_old_price_and_the_bond_by_gpu_hour(
    price_ticks: int, bond_micros: int, quantity: int, hours: int, limit: int
) -> None:
    assert cover.limit_ticks(price_ticks, bond_micros, quantity, hours) == limit


def test_no_more_hours_than_a_term_may_have() -> None:
    shard = shard_of(Limits(max_term_hours=48))
    state = shard.machine.state
    assert cover.hours_left(state, shard.now_ns + 100 * HOUR) == 48
    assert cover.hours_left(state, shard.now_ns) == cover.hours_left(state, shard.now_ns - HOUR) == 0


# ---------------------------------------------------------------- what isn't covered


def test_spot_is_not_covered() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 8))
    shard.place(ask(QUINN, 20_000, 8, SPOT, baron=OTHER_BARON))
    (scheduled,) = only(shard.do(bid(ALICE, 20_000, 2)), LeaseScheduled)
    assert not only(fail(shard, scheduled.lease_id), Accepted)


def test_the_renters_own_failure_is_not_covered_nor_is_quitting() -> None:
    shard = shard_of()
    assert not only(fail(shard, shard.lease(ALICE, 2, 5), Fault.RENTER), Accepted)
    lease = shard.lease(ALICE, 2, 5)
    assert not only(shard.do(EndLease(account=ALICE, lease_id=lease)), Accepted)


def test_under_notice_nothing_more_is_owed() -> None:
    shard = Shard(usd=20)
    shard.offer(offered(PRICE, 8, ONDEMAND))
    lease = shard.lease(ALICE, 2, 20)
    while not shard.machine.state.leases[lease].ends_ns:
        shard.wait(HOUR)
    shard.pay(ALICE, 1_000)
    shard.place(ask(QUINN, PRICE, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    assert not only(fail(shard, lease), Accepted)


# ---------------------------------------------------------------- refused


def test_a_halted_instrument_a_limit_and_a_kill_switch_refuse_it() -> None:
    for prepare, reason in (
        (SetSession(instrument=ONDEMAND, session=Session.HALTED), Reason.SESSION_CLOSED),
        (SetAccountLimits(account=ALICE, killed=True), Reason.ACCOUNT_KILLED),
        (SetAccountLimits(account=ALICE, max_gpus=2), Reason.GPU_LIMIT),
        (SetAccountLimits(account=ALICE, max_notional_micros=1), Reason.NOTIONAL_LIMIT),
    ):
        shard = shard_of()
        lease = let(shard)
        shard.do(prepare)
        assert refused(fail(shard, lease)).reason is reason


def test_without_the_funds_it_is_refused_and_the_refund_stands() -> None:
    shard = Shard(usd=13)
    shard.offer(offered(PRICE, 8, ONDEMAND))
    shard.place(ask(QUINN, PRICE, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    lease = shard.lease(ALICE, 2, 2)
    shard.wait(90 * MINUTE)
    # At twice the price, since an hour's bond was refunded for the one that is left.
    assert refused(fail(shard, lease)).reason is Reason.INSUFFICIENT_FUNDS
    charged, bond = 9 * USD, 6 * USD
    assert shard.auditor.pots[ALICE, Pot.AVAILABLE] == 13 * USD - charged - charged * 5 // 1000 + bond
    assert shard.auditor.pots[ALICE, Pot.HELD] == 0


def test_a_lost_baron_has_each_of_its_leases_covered() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    shard.place(ask(QUINN, PRICE, 3, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    leases = [let(shard) for _ in range(3)]
    events = shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
    assert [event.lease_id for event in only(events, LeaseChanged)] == leases
    # There is enough for one of them, and what is left is no whole other.
    assert [event.quantity for event in only(events, Traded)] == [2]
    assert len(only(events, Rejected)) == 2


def test_more_covers_than_a_command_enters_wait_for_ticks_and_outlast_a_snapshot() -> None:
    shard = Shard(Limits(max_covers=2), usd=100_000)
    shard.offer(offered(PRICE, 8, ONDEMAND))
    leases = [shard.lease(ALICE, 1, 5) for _ in range(5)]
    shard.place(ask(QUINN, PRICE, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    events = shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
    assert len(only(events, Accepted)) == 2
    assert shard.due()
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    assert shard.twin.state_hash() == shard.machine.state_hash()
    assert [len(only(shard.do(Tick()), LeaseScheduled)) for _ in range(3)] == [2, 1, 0]
    assert not shard.due()
    assert len(leases) == 5 == sum(1 for lease in shard.machine.state.leases.values() if lease.baron == OTHER_BARON)


def test_covers_that_wait_for_ticks_are_refused_one_by_one() -> None:
    shard = Shard(Limits(max_covers=1), usd=100_000)
    shard.offer(offered(PRICE, 8, ONDEMAND))
    for _ in range(3):
        shard.lease(ALICE, 1, 5)
    shard.do(SetAccountLimits(account=ALICE, killed=True))
    shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
    # Nothing else is said in such a Tick, and nobody refused it.
    for _ in range(2):
        (rejected,) = shard.apply(Tick())
        assert isinstance(rejected, Rejected)
        assert (rejected.account, rejected.reason) == (ALICE, Reason.ACCOUNT_KILLED)
    assert not shard.due()


# ---------------------------------------------------------------- the reserved bit


def test_the_bit_that_keeps_covers_away_can_be_named_at_no_door() -> None:
    shard = Shard()
    shard.refuse(SetFeatures(baron=BARON, features=COVERS), Reason.INVALID_FEATURES, "features")
    shard.refuse(bid(ALICE, PRICE, 1, features=COVERS), Reason.INVALID_FEATURES, "features")
    shard.refuse(rental(ALICE, 1, 1, features=COVERS), Reason.INVALID_FEATURES, "features")


def test_after_a_cover_the_books_know_their_barons_as_before() -> None:
    shard = shard_of()
    lease = let(shard)
    before = shard.machine.state.books[ONDEMAND].state().barons
    assert all(features & COVERS for _, _, features in before)
    fail(shard, lease)
    assert shard.machine.state.books[ONDEMAND].state().barons == before


# ---------------------------------------------------------------- attacks


def test_a_provider_that_fails_its_own_lease_gains_nothing_from_the_cover() -> None:
    """It sells cheap, unplugs, and has a friend's ask ready at ten times the price, and its own at the old one."""
    shard = Shard()
    shard.offer(offered(20_000, 8, ONDEMAND))
    lease = shard.lease(ALICE, 8, 10)
    shard.wait(30 * MINUTE)
    shard.place(ask(PAT, 20_000, 8, ONDEMAND, baron=SECOND_BARON, max_hours=48))
    shard.place(ask(QUINN, 200_000, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    before = shard.auditor.pots.copy()
    events = fail(shard, lease)
    assert not only(events, Traded)
    # A failure inside the first hour costs its renter nothing: it has the bond besides, and neither provider has a gain.
    bond = 8 * 2 * USD
    assert shard.auditor.pots[ALICE, Pot.AVAILABLE] == 10_000 * USD + bond
    assert shard.auditor.pots[PAT, Pot.BOND] == before[PAT, Pot.BOND] - bond
    for account in (PAT, QUINN):
        held = (Pot.AVAILABLE, Pot.HELD, Pot.RECEIVABLE)
        assert sum(shard.auditor.pots[account, which] - before[account, which] for which in held) == 0


def test_what_the_covers_holder_pays_more_is_never_more_than_the_refunded_bond() -> None:
    """A provider and its friend: the one fails, the other asks the most that the cover gives."""
    shard = Shard()
    shard.offer(offered(20_000, 8, ONDEMAND))
    lease = shard.lease(ALICE, 4, 10)
    shard.wait(2 * HOUR)
    shard.place(ask(QUINN, 22_500, 4, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    (traded,) = only(fail(shard, lease), Traded)
    assert traded.price_ticks == 22_500
    more, bond = 2_500 * 100 * 4 * 8, 20_000 * 100 * 4
    assert more <= bond
