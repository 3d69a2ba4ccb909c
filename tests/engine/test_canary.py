"""Canaries: bugs put into the engine on purpose, each of which the auditor or the engine itself must catch.

A law that no bug can break checks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from engine import capacity, leases, money, open_orders, trades
from engine.messages import CancelOrder, EndLease, LeaseWiped
from engine.state import Broken
from tests.engine.shard import ALICE, BARON, HOUR, ONDEMAND, PAT, SECOND, SPOT, Shard, ask, bid, offered


def story() -> None:
    """A little of everything: a cut, a partial fill, a cancel, hours of use, a quit, a wipe."""
    shard = Shard()
    shard.offer(offered(20_000, 8), offered(30_000, 8, ONDEMAND))
    shard.place(ask(PAT, 40_000, 3, baron=BARON + 1))
    shard.place(ask(PAT, 41_000, 8, ONDEMAND, baron=BARON + 1))
    spot = shard.place(bid(ALICE, 19_999, 3, SPOT))
    shard.do(ask(PAT, 19_999, 1, baron=BARON + 1))
    lease = shard.lease(ALICE, 3, 5)
    shard.wait(2 * HOUR + 17 * SECOND)
    shard.do(CancelOrder(account=ALICE, order_id=spot))
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.do(LeaseWiped(lease_id=lease))


def nothing(*_: object) -> None:
    """Does nothing where something is needed."""


def more_by_one(function: Callable[..., int]) -> Callable[..., int]:
    return lambda *given: function(*given) + 1


CANARIES: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("a fill doesn't cut the other kind", capacity, "_cut", lambda _: nothing),
    ("usage is one micro-dollar more", leases, "_usage", more_by_one),
    ("a hold isn't released", open_orders, "release_down", lambda _: nothing),
    ("a hold is one micro-dollar more", money, "hold_micros", more_by_one),
    ("a fee is one micro-dollar more", leases, "fee_micros", more_by_one),
    ("a lease isn't taken in", leases, "begin", lambda _: nothing),
    ("an order is never forgotten", open_orders, "forget", lambda _: nothing),
    ("time that nobody used is charged", leases, "_charged_ns", lambda charged: lambda *given: 2 * charged(*given)),
    ("an unopened lease", trades, "_open_lease", lambda _: nothing),
]


def test_the_story_is_lawful() -> None:
    story()


@pytest.mark.parametrize(("name", "module", "function", "bug"), CANARIES, ids=[canary[0] for canary in CANARIES])
def test_a_bug_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        story()
