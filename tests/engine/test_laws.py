"""The laws hold whatever comes: random lives of a shard, audited after every command, with a twin on the fast half."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.codec import decode_command, decode_events, encode_command, encode_events
from engine.halves import compiled_half
from engine.kinds import Pot
from engine.limits import Limits
from engine.messages import Command, Tick
from tests.engine import sequences, sequences_ahead, wild, winding
from tests.engine.sequences import Step
from tests.engine.shard import ALICE, START, Shard, bid


# A failure is worth the time that it takes to make it small.
@pytest.mark.timeout(600)
@settings(max_examples=120, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink])
@given(
    steps=sequences.steps,
    limits=st.sampled_from([Limits(max_term_hours=30), sequences.TIGHT]),
    restored_at=st.integers(0, 40),
    usd=st.sampled_from([40, 2_000]),
)
def test_the_laws_hold_and_a_restored_twin_on_the_fast_half_lives_the_same_life(
    steps: list[Step], limits: Limits, restored_at: int, usd: int
) -> None:
    _live(steps, limits, restored_at, usd)


@pytest.mark.timeout(600)
@settings(max_examples=50, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink])
@given(
    steps=sequences_ahead.steps_ahead,
    limits=st.sampled_from([Limits(max_term_hours=30), sequences.TIGHT]),
    restored_at=st.integers(0, 40),
    usd=st.sampled_from([100, 2_000]),
    start_ns=st.sampled_from([START, *sequences_ahead.BEGINS]),
)
def test_the_laws_hold_where_days_are_traded_ahead(
    steps: list[Step], limits: Limits, restored_at: int, usd: int, start_ns: int
) -> None:
    _live(steps, limits, restored_at, usd, start_ns)


@pytest.mark.timeout(600)
@settings(max_examples=60, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink])
@given(
    steps=sequences_ahead.steps_let,
    limits=st.sampled_from([Limits(max_term_hours=30), sequences.TIGHT]),
    restored_at=st.integers(0, 40),
    start_ns=st.sampled_from([START, *sequences_ahead.BEGINS]),
)
def test_the_laws_hold_where_holders_let_what_they_bought(
    steps: list[Step], limits: Limits, restored_at: int, start_ns: int
) -> None:
    _live(steps, limits, restored_at, 2_000, start_ns, holds=True)


def _live(
    steps: list[Step], limits: Limits, restored_at: int, usd: int, start_ns: int = START, *, holds: bool = False
) -> None:
    shard = Shard(limits, usd=usd, start_ns=start_ns)
    if holds:
        sequences_ahead.hold(shard)
    sequences.open_up(shard)
    for number, step in enumerate(steps):
        if number == restored_at:
            # The shard runs on the plain book and grid, its twin on the fast ones.
            shard.twin = compiled_half().restored(shard.machine.snapshot())
            assert shard.twin.state_hash() == shard.machine.state_hash()
        sequences.play(shard, step)
    if shard.twin is not None:
        assert shard.twin.snapshot() == shard.machine.snapshot()
        assert shard.twin.next_due_ns() == shard.machine.next_due_ns()
    winding.wind_down(shard)
    counts = shard.machine.counts()
    assert (counts.open_orders, counts.leases, len(shard.timers())) == (0, 0, 0)
    assert not any(pot is Pot.HELD for _, pot, _ in shard.machine.balances())
    assert not any(baron.leased_gpus for baron in shard.machine.state.barons.values())


@pytest.mark.timeout(600)
@settings(max_examples=400)
@given(commands=st.lists(wild.anything, max_size=6))
def test_any_command_that_decodes_is_answered(commands: list[Command]) -> None:
    shard = Shard(usd=200)
    sequences.open_up(shard)
    shard.lease(ALICE, 2, 3)
    shard.place(bid(ALICE, 10_000, 2, client_order_id="a"))
    for command in commands:
        decoded = decode_command(encode_command(shard.now_ns, command))[1]
        events = shard.apply(decoded)
        assert decode_events(1, encode_events(shard.now_ns, events)).events == tuple(events)
    shard.apply(Tick())
