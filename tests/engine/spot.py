"""A market of running spot leases: how tests of pre-emption and displacement come to one, and look at it."""

from __future__ import annotations

from typing import Any

from engine.kinds import EndReason, LeaseState
from engine.messages import Event, LeaseActive, LeaseChanged, LeaseScheduled, LeaseWiped, Traded
from engine.row import Row
from tests.engine.shard import ALICE, BARON, BOB, PAT, SECOND, Shard, ask, bid, only

CHEAP = 18_000
LIMIT = 20_000
"""CHEAP is exactly 10 % less."""


def runs(shard: Shard, renter: int, price_ticks: int, quantity: int = 2, *, active: bool = True, **more: Any) -> int:
    """A spot lease at a price, on PAT's BARON unless `baron` and `seller` say another; its id."""
    seller, baron = more.pop("seller", PAT), more.pop("baron", BARON)
    shard.place(ask(seller, price_ticks, quantity, baron=baron))
    (scheduled,) = only(shard.do(bid(renter, price_ticks, quantity, **more)), LeaseScheduled)
    if active:
        starts(shard, scheduled.lease_id)
    return scheduled.lease_id


def starts(shard: Shard, lease_id: int) -> None:
    shard.do(LeaseActive(lease_id=lease_id, access=b"port 22000"))


def wipes(shard: Shard, lease_id: int) -> list[Event]:
    return shard.do(LeaseWiped(lease_id=lease_id))


def displacing(events: list[Event]) -> list[Traded]:
    return [event for event in only(events, Traded) if event.displaced_lease_id]


def displaced(events: list[Event]) -> list[int]:
    """The leases that a bid displaced, in order; each has its notice, and its newcomer waits."""
    noticed = [event.lease_id for event in only(events, LeaseChanged) if event.reason is EndReason.DISPLACED]
    waiting = [event.lease_id for event in only(events, LeaseScheduled) if event.state is LeaseState.SCHEDULED]
    trades = displacing(events)
    assert noticed == [trade.displaced_lease_id for trade in trades]
    assert waiting == [trade.lease_id for trade in trades]
    return noticed


def noticed(events: list[Event], reason: EndReason = EndReason.PREEMPTED) -> list[int]:
    """Leases that got notice for a reason, in order."""
    return [
        event.lease_id
        for event in only(events, LeaseChanged)
        if event.state is LeaseState.ENDING and event.reason is reason
    ]


def state_of(shard: Shard, lease_id: int) -> LeaseState:
    return shard.machine.state.leases[lease_id].state


def row(shard: Shard, seller: int = PAT, baron: int = BARON) -> Row:
    return shard.machine.state.rows[seller, baron]


def served(shard: Shard, old: int, newcomer: int) -> None:
    """The displaced lease's notice ends and it is wiped."""
    shard.wait(120 * SECOND)
    wipes(shard, old)
    assert state_of(shard, newcomer) is LeaseState.PROVISIONING


def claim(shard: Shard, quantity: int = 2, **more: Any) -> tuple[int, int]:
    """ALICE's lease, displaced by BOB: the old one's id and the newcomer's."""
    old = runs(shard, ALICE, CHEAP, quantity)
    (trade,) = displacing(shard.do(bid(BOB, LIMIT, quantity, **more)))
    return old, trade.lease_id
