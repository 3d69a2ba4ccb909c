"""Canaries for spot that yields: bugs put in on purpose, each of which the auditor or the engine itself must catch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from engine import displacement, in_book, leases, preemption, raises, spot_leases, trades
from engine.kinds import TimeInForce
from engine.messages import AmendOrder, EndLease, LeaseActive, RaisePrice
from engine.state import Broken
from tests.engine.shard import ALICE, BOB, MINUTE, ONDEMAND, PAT, SECOND, Shard, ask, bid
from tests.engine.spot import displacing, runs, wipes

# What is caught here, the laws catch.
pytestmark = pytest.mark.usefixtures("law_alone")


def story() -> None:
    """Leases at four prices: some raised, some displaced on entry and amend, some pre-empted, promises kept and broken."""
    shard = Shard()
    first, *_ = [runs(shard, ALICE, price, 1) for price in (18_000, 18_000, 19_000)]
    shard.do(RaisePrice(account=ALICE, lease_id=first, price_ticks=18_500))
    runs(shard, BOB, 17_900, 1)
    order_id = shard.place(bid(BOB, 19_000, 3))
    shard.apply(bid(BOB, 21_000, 1, post_only=True))
    shard.do(AmendOrder(account=BOB, order_id=order_id, price_ticks=20_000))
    shard.apply(bid(BOB, 25_000, 5, time_in_force=TimeInForce.IOC))
    shard.do(AmendOrder(account=BOB, order_id=order_id, quantity=2))
    shard.place(ask(PAT, 30_000, 7, ONDEMAND))
    shard.do(bid(ALICE, 30_000, 6, ONDEMAND))
    shard.do(bid(ALICE, 30_000, 1, ONDEMAND))
    shard.wait(MINUTE)
    shard.wait(MINUTE)
    for lease in [each for each in shard.machine.state.leases.values() if not each.live]:
        wipes(shard, lease.lease_id)


def kept() -> None:
    """A promise that is kept, one that its newcomer quits, and what is free then sold again."""
    shard = Shard()
    old, gone = (runs(shard, ALICE, price, 2) for price in (18_000, 18_000))
    newcomers = [trade.lease_id for trade in displacing(shard.do(bid(BOB, 20_000, 5)))]
    for lease_id in newcomers[:1]:
        shard.do(EndLease(account=BOB, lease_id=lease_id))
    shard.wait(120 * SECOND)
    wipes(shard, gone)
    wipes(shard, old)
    shard.wait(MINUTE)
    for lease_id in newcomers[1:]:
        shard.apply(LeaseActive(lease_id=lease_id, access=b""))
    shard.place(ask(PAT, 20_000, 6))
    shard.wait(MINUTE)


def nothing(*_: object) -> None:
    """Does nothing where something is needed."""


def always(*_: object) -> bool:
    return True


def dearest(chosen: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    return lambda state, order: list(reversed(chosen(state, order)))


def one_too_many(shortage: Callable[..., int]) -> Callable[..., int]:
    return lambda state, row, as_of_ns=0: shortage(state, row, as_of_ns) + 1


STORY: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("a quarter less isn't asked for", displacement, "_OF_TEN", lambda _: 10),
    ("a post-only bid displaces, or a stop", displacement, "may", lambda _: always),
    ("anybody's lease will do", displacement, "_eligible", lambda _: always),
    ("the order of yielding is turned round", displacement, "_chosen", dearest),
    ("the book isn't told what was found elsewhere", in_book, "withdraw", lambda _: nothing),
    ("the displaced has no notice", displacement, "leases", lambda room: Without(room, "give_notice")),
    ("a newcomer's lease isn't said", trades, "emit_opened", lambda _: nothing),
    ("a raise doesn't move the lease", raises, "spot_leases", lambda room: Without(room, "raised")),
    ("firm demand doesn't pre-empt", preemption, "follow", lambda _: nothing),
    ("one more yields than must", preemption, "shortage", one_too_many),
    ("GPUs that leave aren't counted", leases, "spot_leases", lambda room: Without(room, "leaves")),
]
KEPT: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("a claim isn't served", leases, "spot_leases", lambda room: Without(room, "served")),
    ("a claim that ends leaves its promise", leases, "spot_leases", lambda room: Without(room, "claim_ended")),
    ("a wipe gives nothing back", leases, "spot_leases", lambda room: Without(room, "gone")),
    ("a lease that begins isn't known", leases, "spot_leases", lambda room: Without(room, "began")),
    ("a lease that runs can't be displaced", leases, "spot_leases", lambda room: Without(room, "active")),
    ("a newcomer waits for ever", spot_leases, "served", lambda _: nothing),
]


class Without:
    """A room in which one function does nothing."""

    def __init__(self, room: ModuleType, function: str) -> None:
        self._room, self._function = room, function

    def __getattr__(self, name: str) -> Any:
        return nothing if name == self._function else getattr(self._room, name)


def test_the_stories_are_lawful() -> None:
    story()
    kept()


@pytest.mark.parametrize(("name", "module", "function", "bug"), STORY, ids=[canary[0] for canary in STORY])
def test_a_bug_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken, ValueError)):
        story()


@pytest.mark.parametrize(("name", "module", "function", "bug"), KEPT, ids=[canary[0] for canary in KEPT])
def test_a_bug_in_a_promise_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken, KeyError, ValueError)):
        kept()
