"""What winds a life down finds a lease that reaches no end by itself, and takes no lease for ended that it ended (§8)."""

from __future__ import annotations

import pytest

from engine import leases, timers
from engine.kinds import EndReason, Kind, LeaseState
from engine.messages import LeaseActive
from engine.state import Lease, State
from tests.engine.shard import ALICE, BOB, ONDEMAND, PAT, Shard, bid, offered
from tests.engine.spot import displacing, runs
from tests.engine.test_forwards import day, owed, rich, trade, until
from tests.engine.winding import wind_down

PRICE = 20_000


def market() -> Shard:
    """A lease of each kind that runs, one that starts, and one that waits for another's GPUs."""
    shard = rich()
    tomorrow = day(shard, 0)
    trade(shard, PAT, ALICE, 2, tomorrow)
    until(shard, shard.machine.state.instruments[tomorrow].start_h)
    (owes,) = owed(shard, ALICE)
    shard.do(LeaseActive(lease_id=owes.lease_id, access=b"port"))
    shard.offer(offered(PRICE, 3, ONDEMAND))
    shard.lease(BOB, 1, 20)
    shard.rent(BOB, 1, 3, ONDEMAND)
    runs(shard, ALICE, PRICE, 2)
    displacing(shard.do(bid(BOB, 2 * PRICE, 2)))
    return shard


def test_each_lease_ends_for_a_reason_of_its_own() -> None:
    shard = market()
    before = {*shard.machine.state.leases}
    assert len(before) == 5
    wind_down(shard)
    reasons = {seen.last.reason for seen in shard.auditor.leases.values() if seen.last is not None}
    assert {*shard.auditor.leases} >= before
    assert reasons >= {EndReason.EXPIRED, EndReason.DISPLACED} and EndReason.QUIT not in reasons


def test_a_lease_that_reaches_no_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = market()

    ends = leases.term_end

    def never(state: State, lease: Lease) -> None:
        if lease.kind is Kind.FORWARD:
            timers.arm_lease(state, lease, 0)
        else:
            ends(state, lease)

    monkeypatch.setattr(leases, "term_end", never)
    with pytest.raises(AssertionError, match="reach no end"):
        wind_down(shard)
    assert [lease.state for lease in shard.machine.state.leases.values()] == [LeaseState.ACTIVE]
