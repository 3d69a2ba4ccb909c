"""Of several obligations and leases that would do, which one fails, and which one goes on (rulebook §4, §8)."""

from __future__ import annotations

from engine.kinds import Fault, LeaseState
from engine.messages import EndLease, LeaseFailed, LeaseScheduled, LeaseWiped, SetDelivery
from tests.engine.shard import ALICE, BOB, HOUR, ONDEMAND, PAT, Shard, ask, bid, only
from tests.engine.test_forwards import DAY_H, day, owed, rich, trade, until


def two_running(shard: Shard) -> tuple[int, int]:
    """Two days of three GPUs, of two prices, that Alice holds, in their first hour: their ids, the older first."""
    first = day(shard, 0)
    for price_ticks in (20_000, 20_001):
        trade(shard, PAT, ALICE, 3, first, price_ticks)
    until(shard, shard.machine.state.instruments[first].start_h)
    older, newer = (each.obligation_id for each in owed(shard, ALICE))
    return older, newer


def leave(shard: Shard, obligation_id: int) -> None:
    """Its holder ends its lease, and the GPUs are wiped."""
    lease_id = shard.machine.state.obligations[obligation_id].lease_id
    shard.do(EndLease(account=ALICE, lease_id=lease_id))
    shard.do(LeaseWiped(lease_id=lease_id))


def test_what_is_let_of_idle_hours_fails_with_the_newest_of_them() -> None:
    shard = rich()
    older, newer = two_running(shard)
    for obligation_id in (older, newer):
        leave(shard, obligation_id)
    shard.place(ask(ALICE, 20_000, 4, ONDEMAND, max_hours=5))
    (let,) = only(shard.do(bid(BOB, 20_000, 4, ONDEMAND)), LeaseScheduled)
    shard.do(LeaseFailed(lease_id=let.lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    assert {each.obligation_id: each.quantity for each in owed(shard, ALICE)} == {older: 2}


def test_gpus_that_leave_are_let_again_before_the_holders_own() -> None:
    shard = rich()
    older, newer = two_running(shard)
    shard.place(ask(ALICE, 20_000, 2))
    (let,) = only(shard.do(bid(BOB, 20_000, 2)), LeaseScheduled)
    # Over, and not wiped yet: nobody counts on them any more.
    shard.do(EndLease(account=BOB, lease_id=let.lease_id))
    shard.place(ask(ALICE, 20_000, 2, ONDEMAND, max_hours=5))
    shard.do(bid(BOB, 20_000, 2, ONDEMAND))
    leases, obligations = shard.machine.state.leases, shard.machine.state.obligations
    assert [leases[obligations[each].lease_id].quantity for each in (older, newer)] == [3, 1]


def test_hours_that_follow_take_over_the_oldest_of_two_equal_leases() -> None:
    shard = rich()
    older, newer = two_running(shard)
    trade(shard, PAT, ALICE, 3, day(shard, 0), 30_000)
    # The older obligation has the younger lease from now on.
    leave(shard, older)
    shard.do(SetDelivery(account=ALICE, obligation_id=older, delivery=b"again"))
    obligations = shard.machine.state.obligations
    oldest, youngest = obligations[newer].lease_id, obligations[older].lease_id
    assert oldest < youngest
    shard.wait((obligations[older].end_h) * HOUR - shard.now_ns)
    (follows,) = owed(shard, ALICE)
    assert (follows.lease_id, follows.end_h - follows.start_h) == (oldest, DAY_H)
    assert shard.machine.state.leases[youngest].state is LeaseState.ENDED
