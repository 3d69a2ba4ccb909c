"""Canaries for rows and for spot that yields: bugs put in on purpose, each of which the auditor must catch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from engine import capacity, charging, cuts, displacement, failures, leases, preemption, rows, spot_leases
from engine.kinds import TimeInForce
from engine.messages import AmendOrder, EndLease, LeaseScheduled, LeaseWiped, SetCapacity, SetDrain
from engine.state import Broken
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    PAT,
    QUINN,
    SECOND_BARON,
    Shard,
    ask,
    bid,
    offered,
    only,
    rental,
)
from tests.engine.spot import displacing, runs, starts, wipes

# What is caught here, the laws catch.
pytestmark = pytest.mark.usefixtures("law_alone")


def hours() -> None:
    """Firm asks, sales, cuts and wipes by the hour, and GPUs that are lost while they are let."""
    shard = Shard()
    shard.wait(30 * MINUTE)
    shard.place(ask(PAT, 20_000, 5, ONDEMAND, max_hours=5))
    short = shard.place(ask(PAT, 20_001, 3, ONDEMAND, max_hours=2))
    shard.apply(ask(PAT, 20_001, 1, ONDEMAND, max_hours=2))
    shard.place(ask(PAT, 20_000, 8, lot=2))
    shard.apply(ask(PAT, 20_000, 1))
    lease = shard.lease(ALICE, 2, 2)
    shard.do(AmendOrder(account=PAT, order_id=short, quantity=2))
    shard.do(SetCapacity(baron=BARON, gpus=4, simulated=False))
    (fails,) = only(shard.do(rental(BOB, 2, 1)), LeaseScheduled)
    shard.do(SetCapacity(baron=BARON, gpus=3, simulated=False))
    wipes(shard, fails.lease_id)
    shard.wait(HOUR)
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.wait(10 * MINUTE)
    shard.do(LeaseWiped(lease_id=lease))
    shard.do(SetCapacity(baron=BARON, gpus=8, simulated=False))
    shard.offer(offered(20_000, 8, ONDEMAND, max_hours=2, baron=SECOND_BARON), offered(20_000, 8, baron=SECOND_BARON))
    shard.wait(2 * HOUR)


def yields() -> None:
    """Spot leases that firm demand takes, that bids displace, claims that are served, end and are pre-empted."""
    shard = Shard()
    shard.pay(QUINN, 1_000)
    old = runs(shard, ALICE, 20_000, 2)
    runs(shard, QUINN, 20_000, 3, baron=SECOND_BARON)
    runs(shard, ALICE, 21_000, 3)
    runs(shard, BOB, 20_000, 1)
    shard.do(bid(QUINN, 22_200, 2, time_in_force=TimeInForce.IOC))
    (served,) = displacing(shard.do(bid(BOB, 22_300, 2)))
    shard.wait(2 * MINUTE)
    wipes(shard, old)
    starts(shard, served.lease_id)
    quits, other = displacing(shard.do(bid(QUINN, 27_000, 4)))
    shard.do(EndLease(account=QUINN, lease_id=quits.lease_id))
    shard.place(ask(PAT, 20_000, 7, ONDEMAND))
    for quantity in (3, 2, 2):
        shard.do(rental(BOB, quantity, 1))
    assert other.lease_id not in shard.machine.state.leases
    shard.wait(2 * MINUTE)
    (waits,) = displacing(shard.do(bid(BOB, 30_000, 3)))
    shard.wait(2 * MINUTE)
    wipes(shard, waits.displaced_lease_id)
    shard.do(SetDrain(account=PAT, baron=SECOND_BARON, draining=True))
    shard.wait(HOUR)


def nothing(*_: object) -> None:
    """Does nothing where something is needed."""


HOURS: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("a sale isn't booked", rows, "add_sold", lambda _: nothing),
    ("an hour that is touched last isn't taken", rows, "hour_after", lambda _: rows.hour_of),
    (
        "a window begins an hour late",
        rows,
        "window_of",
        lambda window: lambda *it: (window(*it)[0] + 1, window(*it)[1]),
    ),
    ("asks reserve nothing", rows, "stand", lambda _: nothing),
    ("asks enter without GPUs", capacity, "check_ask", lambda _: nothing),
    ("lost GPUs cut no firm asks", cuts, "cut_firm", lambda _: nothing),
    ("a cut takes one GPU more", cuts, "_shrink", lambda cut: lambda state, ask, gpus: cut(state, ask, gpus + 1)),
    ("lost GPUs fail no lease", failures, "fail_short", lambda _: nothing),
    ("a wipe gives nothing back", leases, "_give_back", lambda _: nothing),
    ("what isn't wiped is there to be sold", leases, "wipe_overdue", lambda late: lambda *it: _still_there(late, *it)),
    ("spot has what firm sales have", rows, "deliverable_to_spot", lambda _: lambda *_: 8),
]

YIELDS: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("firm sales take nothing", preemption, "follow", lambda _: nothing),
    ("firm sales take more than they need", preemption, "shortage", lambda short: lambda *it: short(*it) + 1),
    ("the dearest yields first", spot_leases, "_place", lambda _: lambda lease: (-lease.price_ticks, -lease.lease_id)),
    ("the oldest yields first", spot_leases, "_place", lambda _: lambda lease: (lease.price_ticks, lease.lease_id)),
    ("less than ten per cent displaces", displacement, "_OF_TEN", lambda _: 10),
    ("one's own lease is displaced", displacement, "_eligible", lambda _: lambda *_: True),
    (
        "the newcomer pays what it displaced",
        displacement,
        "_newcomer",
        lambda new: lambda state, bid, old, *it: _cheaper(new(state, bid, old, *it), old),
    ),
    ("the newcomer may go at once", displacement, "_newcomer", lambda new: lambda *it: _free_to_go(new(*it))),
    ("a notice is half as long", charging, "affordable_ns", lambda paid: lambda *it: paid(*it) // 2),
    ("a claim is never served", spot_leases, "served", lambda _: nothing),
    ("a claim that ended keeps its GPUs", spot_leases, "claim_ended", lambda _: nothing),
    ("what leaves isn't counted as leaving", spot_leases, "leaves", lambda _: nothing),
]


def _still_there(wipe_overdue: Callable[..., None], state: Any, lease: Any) -> None:
    wipe_overdue(state, lease)
    state.barons[lease.baron].unwiped_gpus -= lease.quantity


def _cheaper(newcomer: Any, displaced: Any) -> Any:
    newcomer.price_ticks = displaced.price_ticks
    return newcomer


def _free_to_go(newcomer: Any) -> Any:
    newcomer.minimum_s = 60
    return newcomer


def test_the_stories_are_lawful() -> None:
    hours()
    yields()


@pytest.mark.parametrize(("name", "module", "function", "bug"), HOURS, ids=[canary[0] for canary in HOURS])
def test_a_bug_in_the_hours_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        hours()


@pytest.mark.parametrize(("name", "module", "function", "bug"), YIELDS, ids=[canary[0] for canary in YIELDS])
def test_a_bug_in_who_yields_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        yields()
