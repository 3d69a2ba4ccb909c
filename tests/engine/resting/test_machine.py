"""The whole machine on the plain book and on the fast one: the same events, the same state, whatever comes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.books import fast_book_factory
from engine.kinds import Side
from engine.limits import Limits
from engine.machine import Machine
from tests.engine import sequences
from tests.engine.sequences import Step
from tests.engine.shard import Shard

FastBook = fast_book_factory()


@settings(max_examples=60)
@given(steps=sequences.steps, limits=st.sampled_from([Limits(max_term_hours=30), sequences.TIGHT]))
def test_the_machine_lives_the_same_life_on_either_book(steps: list[Step], limits: Limits) -> None:
    shard = Shard(limits, usd=200)
    # The shard has each command's events compared with its twin's.
    twin = shard.twin = Machine.restore(shard.machine.snapshot(), FastBook)
    for step in steps:
        sequences.play(shard, step)
        assert twin.state_hash() == shard.machine.state_hash()
        for instrument in shard.machine.state.books:
            for side in Side:
                assert twin.depth(instrument, side, 10) == shard.machine.depth(instrument, side, 10)
    again = Machine.restore(twin.snapshot(), FastBook)
    assert again.state_hash() == twin.state_hash()
    sequences.wind_down(shard)
    assert twin.snapshot() == shard.machine.snapshot()
