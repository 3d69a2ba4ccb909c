"""Canaries for bought hours that are let: bugs put in on purpose, each of which the auditor or the engine must catch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from engine import cuts, delivery, leases, subleases
from engine.messages import EndLease, LeaseWiped, SetCapacity
from engine.state import Broken
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, ONDEMAND, PAT, Shard, ask, bid
from tests.engine.test_forwards import DAY_H, TRADED, day, trade
from tests.engine.test_subleases import PRICE, fails, lets, running

# What is caught here, the laws catch.
pytestmark = pytest.mark.usefixtures("law_alone")


def story() -> Shard:
    """A holder lets and lets again; leases shrink, end, fail alone and with what they stand on; a day passes."""
    shard, own, start_h = running(quantity=6)
    trade(shard, PAT, ALICE, 6, day(shard, 0), TRADED + 1)
    trade(shard, PAT, ALICE, 2, day(shard, 0), TRADED + 2)
    spot, firm = lets(shard, 1), lets(shard, 2, ONDEMAND)
    shard.do(EndLease(account=BOB, lease_id=firm))
    shard.do(LeaseWiped(lease_id=firm))
    shard.place(ask(ALICE, PRICE, 2))
    fails(shard, lets(shard, 1, ONDEMAND))
    shard.wait(9 * MINUTE)
    for passes_ns in (0, (start_h + DAY_H) * HOUR - shard.now_ns):
        shard.wait(passes_ns)
        for lease in tuple(shard.machine.state.leases.values()):
            if not lease.live:
                shard.do(LeaseWiped(lease_id=lease.lease_id))
    shard.do(bid(BOB, PRICE, 1))
    shard.wait(HOUR)
    lets(shard, 1, ONDEMAND)
    shard.do(SetCapacity(baron=BARON, gpus=1, simulated=False))
    assert not shard.machine.state.obligations
    assert not shard.machine.state.leases[spot].live and own
    return shard


def nothing(*_: object) -> None:
    """Does nothing where something is needed."""


LET: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("the holder's lease doesn't shrink", delivery, "make_room", lambda _: nothing),
    ("a shrunk lease's GPUs count still", leases, "_count", lambda _: nothing),
    (
        "what is let isn't missing when a day begins",
        subleases,
        "own_quantity",
        lambda _: lambda _, owed, __: owed.quantity,
    ),
    ("what is let outlives what it stands on", subleases, "first_to_fail", lambda _: nothing),
    ("what failed keeps its hours", leases, "_stood_on", lambda _: lambda *_, **__: None),
    ("asks on failed hours stand", cuts, "settle", lambda _: nothing),
]


def test_the_story_is_lawful() -> None:
    story()


@pytest.mark.parametrize(("name", "module", "function", "bug"), LET, ids=[canary[0] for canary in LET])
def test_a_bug_in_what_is_let_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        story()
