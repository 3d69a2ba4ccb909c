"""A snapshot that somebody forged ends in an error, in both machines, or is a state like any other: it never ends the process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from engine.halves import PLAIN, Half, compiled_half
from tests.engine.machines.forging import NAMED
from tests.engine.shard import ALICE, BARON, PAT, Shard, bid

ROOT: Final = Path(__file__).resolve().parents[3]
CASES: Final = 120
LIMIT_S: Final = 180


def outcomes(kind: str, seed: int, cases: int = 0) -> dict[str, str]:
    """What came of each case, of the last one that the process ended in it."""
    command = [sys.executable, "-m", "tests.engine.machines.forging", kind, str(seed), str(cases)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=LIMIT_S)
        told, ended = done.stdout, f"the process ended with {done.returncode}: {done.stderr}"
    except subprocess.TimeoutExpired as hung:
        told, ended = (hung.stdout or b"").decode(), "it hung"
    lines = [json.loads(line) for line in told.splitlines()]
    if len(lines) % 2:
        lines.append(ended)
    return dict(zip(lines[::2], lines[1::2], strict=True))


@pytest.fixture(scope="module")
def named() -> dict[str, str]:
    return outcomes("named", seed=2)


@pytest.mark.parametrize("name", NAMED)
def test_what_no_state_is_both_machines_refuse(named: dict[str, str], name: str) -> None:
    assert named.get(name) == "refused"


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_one_thing_changed_is_refused_by_both_or_lived_with_by_both(seed: int) -> None:
    """`stopped`: what it says can be, but not go on, a lease that isn't in its offer's count; both say so by the same error."""
    came = outcomes("chance", seed, CASES)
    assert set(came.values()) <= {"refused", "lived", "stopped"}, came
    of = [list(came.values()).count(what) for what in ("refused", "lived")]
    assert min(of) > CASES // 6, f"seed {seed} proves nothing: {of}"


@pytest.mark.parametrize("half", [PLAIN, compiled_half()], ids=["law", "compiled"])
def test_an_order_is_live_once(half: Half) -> None:
    shard = Shard()
    number = shard.place(bid(ALICE, 10_000, 1))
    state = half.restored(shard.machine.snapshot()).state
    with pytest.raises(ValueError, match="live already"):
        state.add_order(state.records.own(state.records.law(state.orders[number])))
    assert [order.order_id for order in state.orders_by(ALICE)] == [number]


def test_a_bid_stands_in_no_row() -> None:
    """Where an ask has its neighbours in the compiled machine, a bid has where to deliver."""
    shard = Shard()
    number = shard.place(bid(ALICE, 10_000, 1))
    row = shard.twin.state.rows[PAT, BARON]
    with pytest.raises(ValueError, match="is no ask"):
        row.spot_asks[number] = None
    with pytest.raises(KeyError):
        del row.spot_asks[number]
    assert list(row.spot_asks) == []
