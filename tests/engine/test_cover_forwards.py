"""Cover of forwards: what a provider fails in the middle of its hours is bought on-demand elsewhere (rulebook §8)."""

from __future__ import annotations

import msgspec
import pytest

from engine.halves import compiled_half
from engine.kinds import Fault, Origin, Presence
from engine.messages import (
    Accepted,
    Event,
    LeaseFailed,
    LeaseScheduled,
    ObligationChanged,
    Rejected,
    SetCapacity,
    SetFeatures,
    SetPresence,
)
from engine.reasons import Reason
from tests.engine.shard import ALICE, BARON, OTHER_BARON, PAT, QUINN, SECOND_BARON, Shard, ask, only
from tests.engine.test_forwards import TRADED, forward, purchase, rich, sale, trade, until

ONDEMAND = 2
LIMIT = TRADED + TRADED // 10
"""The escrow's price, and the bond by GPU-hour."""
FAILED_AFTER_H = 3
LEFT_H = 21


def running(shard: Shard, **wanted: object) -> LeaseScheduled:
    """A lease of two GPUs for the first day, in its fourth hour."""
    first = forward(shard)
    shard.place(sale(PAT, 2, first))
    shard.do(msgspec.structs.replace(purchase(ALICE, 2, first), **wanted))
    start_h = shard.machine.state.instruments[first].start_h
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    until(shard, start_h + FAILED_AFTER_H)
    return scheduled


def fail(shard: Shard, lease: LeaseScheduled) -> list[Event]:
    return shard.do(LeaseFailed(lease_id=lease.lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))


def covers(events: list[Event]) -> list[Accepted]:
    return [event for event in only(events, Accepted) if event.origin is Origin.COVER]


@pytest.mark.parametrize(("price_ticks", "covered"), [(LIMIT, True), (LIMIT + 1, False)])
def test_the_rest_is_bought_up_to_the_escrows_price_and_the_bond(price_ticks: int, covered: bool) -> None:
    shard = rich()
    lease = running(shard)
    shard.place(ask(QUINN, price_ticks, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    events = fail(shard, lease)
    leases = [(each.baron, each.price_ticks, each.delivery) for each in only(events, LeaseScheduled)]
    if not covered:
        assert [(each.account, each.reason) for each in only(events, Rejected)] == [(ALICE, Reason.NO_LIQUIDITY)]
        assert leases == []
        return
    (cover,) = covers(events)
    assert (cover.account, cover.quantity, cover.hours, cover.price_ticks) == (ALICE, 2, LEFT_H, LIMIT)
    assert leases == [(OTHER_BARON, price_ticks, lease.delivery)]


def test_never_from_the_failing_provider() -> None:
    shard = rich()
    lease = running(shard)
    shard.place(ask(PAT, TRADED, 8, ONDEMAND, baron=SECOND_BARON, max_hours=48))
    assert only(fail(shard, lease), LeaseScheduled) == []


@pytest.mark.parametrize(("features", "covered"), [(1, True), (2, False)])
def test_on_the_conditions_of_the_bid_that_bought_it(features: int, covered: bool) -> None:
    shard = rich()
    shard.do(SetFeatures(baron=BARON, features=1))
    shard.do(SetFeatures(baron=OTHER_BARON, features=features))
    lease = running(shard, features=1, min_rating=70)
    shard.place(ask(QUINN, TRADED, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    events = fail(shard, lease)
    assert [each.baron for each in only(events, LeaseScheduled)] == ([OTHER_BARON] if covered else [])
    assert [(each.features & 1, each.min_rating) for each in covers(events)] == ([(1, 70)] if covered else [])


def test_each_obligation_of_a_lost_baron_is_covered_and_none_without_a_delivery() -> None:
    shard = rich()
    first = forward(shard)
    shard.place(sale(PAT, 4, first))
    shard.do(msgspec.structs.replace(purchase(ALICE, 2, first), delivery=b""))
    shard.do(purchase(ALICE, 1, first))
    until(shard, shard.machine.state.instruments[first].start_h + FAILED_AFTER_H)
    shard.place(ask(QUINN, TRADED, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    events = shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
    assert len([event for event in only(events, ObligationChanged) if not event.live]) == 2
    assert [(cover.quantity, cover.hours) for cover in covers(events)] == [(1, LEFT_H)]
    assert [each.quantity for each in only(events, LeaseScheduled)] == [1]


def test_hours_that_have_not_begun_are_looked_at_when_they_begin() -> None:
    shard = rich()
    first = forward(shard)
    trade(shard, PAT, ALICE, 2, first)
    shard.place(ask(QUINN, TRADED, 8, ONDEMAND, baron=OTHER_BARON, max_hours=72))
    assert covers(shard.do(SetCapacity(baron=BARON, gpus=0, simulated=False))) == []
    (cover,) = covers(until(shard, shard.machine.state.instruments[first].start_h))
    assert (cover.quantity, cover.hours) == (2, 24)


def test_without_the_funds_it_is_refused_and_the_refund_stands() -> None:
    shard = rich()
    lease = running(shard)
    shard.place(ask(QUINN, TRADED, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    account = shard.machine.state.accounts[ALICE]
    account.max_notional_micros = 1
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    (rejected,) = only(fail(shard, lease), Rejected)
    assert (rejected.account, rejected.reason) == (ALICE, Reason.NOTIONAL_LIMIT)
    assert not shard.machine.state.obligations
