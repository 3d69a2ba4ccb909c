"""The sorted sets: after any calls what a sorted list would say, in memory that goes back."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sortedcontainers import SortedList

from engine.compiled import doors_tables as doors
from engine.compiled.ordered import PairSet, TimerSet
from engine.units import INT64_MAX

Timer = tuple[int, int, int]
Pair = tuple[int, int]
INT64_MIN = -INT64_MAX - 1
UINT64_MAX = 2**64 - 1
A_LEAF = 64
MANY = 20_000

numbers = st.integers(INT64_MIN, INT64_MAX) | st.integers(-3, 3) | st.sampled_from([INT64_MIN, INT64_MAX])
timers = st.tuples(
    st.integers(0, 4) | numbers, st.integers(0, 3) | st.sampled_from([255]), st.integers(0, 9) | st.just(UINT64_MAX)
)
pairs = st.tuples(st.integers(0, 4) | numbers, st.integers(-9, 9) | numbers)
crowds = st.tuples(st.integers(0, 50), st.integers(1, 400), st.integers(1, 7))
"""Where they begin, how many, and how far apart: so that leaves fill up, split and join."""


class Pairs(RuleBasedStateMachine):
    """A PairSet beside a sorted list."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.law = PairSet(), SortedList[Pair]()

    @rule(pair=pairs)
    def add(self, pair: Pair) -> None:
        if pair in self.law:
            with pytest.raises(ValueError, match="is in already"):
                self.seen.add(pair)
            assert not doors.pair_insert(self.seen, *pair)
        else:
            self.seen.add(pair)
            self.law.add(pair)

    @rule(crowd=crowds, shuffled=st.randoms(use_true_random=False))
    def add_many(self, crowd: tuple[int, int, int], shuffled: random.Random) -> None:
        begin, count, step = crowd
        fresh = [pair for place in range(count) if (pair := (begin + place * step, -place)) not in self.law]
        shuffled.shuffle(fresh)
        self.seen.update(fresh)
        self.law.update(fresh)

    @rule(pair=pairs)
    def discard(self, pair: Pair) -> None:
        assert doors.pair_has(self.seen, *pair) == (pair in self.law) == (pair in self.seen)
        self.seen.discard(pair)
        self.law.discard(pair)

    @precondition(lambda self: self.law)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(self.law))
        self.seen.remove(pair)
        self.law.remove(pair)
        with pytest.raises(ValueError, match="isn't in"):
            self.seen.remove(pair)
        assert not doors.pair_drop(self.seen, *pair)

    @rule(share=st.integers(1, 5), from_end=st.booleans())
    def remove_many(self, share: int, from_end: bool) -> None:
        count = len(self.law) // share
        gone = list(self.law)[-count:] if from_end else list(self.law)[:count]
        for pair in gone if count else []:
            assert doors.pair_drop(self.seen, *pair)
            self.law.remove(pair)

    @rule(pair=pairs)
    def look(self, pair: Pair) -> None:
        assert list(self.seen.irange(maximum=pair)) == list(self.law.irange(maximum=pair))
        behind = next(self.law.irange(minimum=pair, inclusive=(False, True)), None)
        assert doors.pair_following(self.seen, *pair) == behind

    @rule()
    def clear(self) -> None:
        self.seen.clear()
        self.law.clear()

    @invariant()
    def equal(self) -> None:
        assert list(self.seen) == list(self.law)
        assert (len(self.seen), bool(self.seen)) == (len(self.law), bool(self.law))
        first = self.law[0] if self.law else None
        assert doors.pair_first(self.seen) == first
        assert not self.law or self.seen[0] == first


TestPairs = Pairs.TestCase
TestPairs.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.tuples(st.booleans(), timers), max_size=60))
def test_timers_are_those_of_a_sorted_list(calls: list[tuple[bool, Timer]]) -> None:
    seen, law = TimerSet(), SortedList[Timer]()
    for goes_in, timer in calls:
        assert doors.timer_has(seen, *timer) == (timer in law)
        if goes_in:
            assert doors.timer_insert(seen, *timer) == (timer not in law)
            law.update([timer] if timer not in law else [])
        else:
            assert doors.timer_drop(seen, *timer) == (timer in law)
            law.discard(timer)
        assert list(seen) == list(law)
        assert doors.timer_first(seen) == (law[0] if law else None)
    assert [seen[place] for place in range(len(seen))] == list(law)


@pytest.mark.parametrize("seed", range(4))
def test_long_lives(seed: int) -> None:
    """Crowds that come and go, in order, against it and by chance: every way in which nodes split and join."""
    chance = random.Random(seed)
    seen, law = TimerSet(), set[Timer]()
    for phase in range(24):
        span, grows = chance.choice([30, 3_000, 10**15]), chance.random() < 0.55
        order = chance.choice(["chance", "up", "down"])
        for step in range(MANY // 24):
            due = {"chance": chance.randrange(span), "up": phase * span + step, "down": -phase * span - step}[order]
            timer = due, chance.randrange(17), chance.randrange(3)
            if grows:
                assert doors.timer_insert(seen, *timer) == (timer not in law)
                law.add(timer)
            else:
                leaves = timer if chance.random() < 0.3 or not law else seen[0]
                assert doors.timer_drop(seen, *leaves) == (leaves in law)
                law.discard(leaves)
        assert list(seen) == sorted(law)
        assert doors.timer_first(seen) == min(law, default=None)
    for timer in chance.sample(sorted(law), len(law)):
        assert doors.timer_drop(seen, *timer)
    assert not seen
    assert list(seen) == []


@pytest.mark.parametrize("change", ["drop it", "drop the next", "add behind", "add before", "clear"])
@pytest.mark.parametrize("size", [1, A_LEAF, 10 * A_LEAF])
def test_a_walk_goes_on_from_the_last_item_whatever_changed(change: str, size: int) -> None:
    items = PairSet()
    items.update((number, 0) for number in range(0, size * 10, 10))
    seen: list[Pair] = []
    for item in items:
        seen.append(item)
        if len(seen) == max(1, size // 2):
            number = item[0]
            match change:
                case "drop it":
                    items.remove(item)
                case "drop the next":
                    items.discard((number + 10, 0))
                case "add behind":
                    items.add((number + 1, 0))
                case "add before":
                    items.add((number - 1, 0))
                case _:
                    items.clear()
    law = [(number, 0) for number in range(0, size * 10, 10)]
    at = max(1, size // 2)
    expected = {
        "drop it": law,
        "drop the next": law[:at] + law[at + 1 :],
        "add behind": [*law[:at], (law[at - 1][0] + 1, 0), *law[at:]],
        "add before": law,
        "clear": law[:at],
    }
    assert seen == expected[change]


def test_a_walk_that_ended_stays_ended() -> None:
    items = PairSet()
    walk = iter(items)
    assert next(walk, None) is None
    items.add((1, 1))
    assert next(walk, None) is None


def test_what_a_key_cannot_hold_is_refused() -> None:
    with pytest.raises(OverflowError):
        TimerSet().add((2**63, 1, 1))
    with pytest.raises(OverflowError):
        TimerSet().add((1, 256, 1))
    with pytest.raises(OverflowError):
        PairSet().add((1, -(2**63) - 1))
    wrong: Any = (1,)
    with pytest.raises(ValueError, match="unpack"):
        PairSet().add(wrong)
    with pytest.raises(IndexError):
        PairSet()[0]


def test_pairs_that_come_in_order_are_packed_and_memory_goes_back() -> None:
    pairs = PairSet()
    assert doors.size_bytes(pairs) == 0, "a row without spot leases costs nothing"
    for price_ticks in range(MANY):
        pairs.add((price_ticks, price_ticks))
    assert doors.size_bytes(pairs) < 19 * MANY
    for price_ticks in range(MANY):
        pairs.remove((price_ticks, price_ticks))
    assert doors.size_bytes(pairs) < 2_000
    pairs.clear()
    assert doors.size_bytes(pairs) == 0


def test_memory_of_timers_by_chance() -> None:
    chance, timers = random.Random(7), TimerSet()
    for number in range(MANY):
        timers.add((chance.randrange(10**18), 1, number))
    assert doors.size_bytes(timers) < 30 * MANY
    for timer in chance.sample(list(timers), MANY * 9 // 10):
        timers.remove(timer)
    assert doors.size_bytes(timers) < 60 * len(timers), "no leaf stays nearly empty"


def test_few_items_are_few_bytes() -> None:
    """Rows are many, and most have a lease or two."""
    pairs = PairSet()
    pairs.update([(1, -1), (2, -2)])
    assert doors.size_bytes(pairs) < 100
