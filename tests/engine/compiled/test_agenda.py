"""Timers in crowds: those that are due far from now in no order, and yet always the answers of a sorted list."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sortedcontainers import SortedList

from engine.compiled import doors_tables as doors
from engine.compiled.ordered import TimerSet
from engine.units import INT64_MAX

ROOT: Final = Path(__file__).resolve().parents[3]
Timer = tuple[int, int, int]
WINDOW_NS: Final = 1 << 38
PLACES: Final = 256
A_CROWD: Final = 200
"""Enough of one window to leave the tree for a crowd."""
MANY: Final = 20_000
WORD: Final = 1 << 64

windows = st.sampled_from([0, 1, 2, -1, PLACES, PLACES + 1, 5 * PLACES, (1 << 25) - 1, -(1 << 25)])
"""Some that share a place for crowds, and the first and the last that there are."""
within = st.integers(0, 3) | st.integers(0, WINDOW_NS - 1) | st.just(WINDOW_NS - 1)
kinds = st.integers(0, 3) | st.just(255)
ids = st.integers(0, 30) | st.integers(0, WORD - 1) | st.just(WORD - 1)
timers = st.builds(
    lambda window, ns, kind, number: (window * WINDOW_NS + ns, kind, number), windows, within, kinds, ids
)


def crowd(window: int, count: int, step_ns: int, first_id: int = 0) -> list[Timer]:
    """As many timers of one window, all at one instant or one behind the other, with ids as orders have them."""
    return [(window * WINDOW_NS + place * step_ns, 2, (first_id + place) << 16) for place in range(count)]


class Timers(RuleBasedStateMachine):
    """A TimerSet beside a sorted list. Only `walk` looks at all of it: a walk takes every crowd into the tree."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.law = TimerSet(), SortedList[Timer]()

    @rule(timer=timers)
    def insert(self, timer: Timer) -> None:
        assert doors.timer_insert(self.seen, *timer) == (timer not in self.law)
        if timer not in self.law:
            self.law.add(timer)

    @rule(
        window=windows, count=st.integers(40, 600), step_ns=st.integers(0, 2), first=st.integers(0, 99), by=st.randoms()
    )
    def insert_many(self, window: int, count: int, step_ns: int, first: int, by: random.Random) -> None:
        come = crowd(window, count, step_ns, first)
        by.shuffle(come)
        for timer in come:
            self.insert(timer)

    @rule(timer=timers)
    def drop(self, timer: Timer) -> None:
        assert doors.timer_has(self.seen, *timer) == (timer in self.law)
        assert doors.timer_drop(self.seen, *timer) == (timer in self.law)
        self.law.discard(timer)

    @precondition(lambda self: self.law)
    @rule(share=st.integers(1, 4), by=st.randoms())
    def drop_many(self, share: int, by: random.Random) -> None:
        for timer in by.sample(list(self.law), len(self.law) // share):
            assert doors.timer_has(self.seen, *timer)
            self.seen.remove(timer)
            assert not doors.timer_drop(self.seen, *timer)
            assert timer not in self.seen
            self.law.remove(timer)

    @rule(now=timers)
    def due(self, now: Timer) -> None:
        expected = self.law[0] if self.law and self.law[0][0] <= now[0] else None
        assert doors.timer_due(self.seen, now[0]) == expected

    @rule(most=st.integers(1, 300))
    def fire(self, most: int) -> None:
        """As a Tick does: the first one goes, and its owner sets it anew, or not."""
        for turn in range(min(most, len(self.law))):
            timer = self.law.pop(0)
            assert doors.timer_first(self.seen) == timer == self.seen[0]
            self.seen.discard(timer)
            if turn % 3 == 0 and timer[0] < INT64_MAX - WINDOW_NS:
                self.insert((timer[0] + WINDOW_NS, timer[1], timer[2]))

    @rule(timer=timers)
    def walk(self, timer: Timer) -> None:
        assert list(self.seen.irange(maximum=timer)) == list(self.law.irange(maximum=timer))
        assert list(self.seen) == list(self.law)

    @rule()
    def clear(self) -> None:
        self.seen.clear()
        self.law.clear()
        assert doors.size_bytes(self.seen) == 0

    @invariant()
    def as_many(self) -> None:
        assert (len(self.seen), bool(self.seen)) == (len(self.law), bool(self.law))

    def teardown(self) -> None:
        assert list(self.seen) == list(self.law)


TestTimers = Timers.TestCase
TestTimers.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("seed", range(4))
def test_long_lives(seed: int) -> None:
    """Crowds that form, grow, shrink, come due and share places, while time goes on."""
    chance = random.Random(seed)
    seen, law, now = TimerSet(), SortedList[Timer](), 0
    for step in range(3 * MANY):
        far = chance.choice([0, 1, 3, 300, 300, 4 * PLACES]) * WINDOW_NS
        if chance.random() < (0.9 if step // 5_000 % 2 else 0.4):
            timer = now + far + chance.choice([1, step % 7, chance.randrange(WINDOW_NS)]), chance.randrange(17), step
            assert doors.timer_insert(seen, *timer)
            law.add(timer)
        elif law:
            timer = chance.choice(law)
            assert doors.timer_drop(seen, *timer)
            law.remove(timer)
        if step % 100 == 0:
            now += chance.randrange(WINDOW_NS // 4)
            while law and law[0][0] <= now:
                assert doors.timer_due(seen, now) == law[0]
                assert doors.timer_drop(seen, *law.pop(0))
            assert doors.timer_due(seen, now) is None
    assert list(seen) == list(law)


def test_a_walk_goes_on_while_crowds_form_before_and_behind_it() -> None:
    """Rooms may take out and set timers while they walk."""
    seen = TimerSet()
    seen.update([*crowd(1, A_CROWD, 1), *crowd(7, A_CROWD, 0), *crowd(9, 3, 0)])
    law = SortedList[Timer](seen)
    walked, turn = list[Timer](), 0
    for timer in seen:
        walked.append(timer)
        assert timer == law[turn]
        turn += 1
        if len(walked) == A_CROWD // 2:
            come = crowd(8, A_CROWD, 0)
            seen.update(come)
            law.update(come)
        elif timer[0] // WINDOW_NS == 7:
            seen.remove(timer)
            law.remove(timer)
            turn -= 1
    assert len(walked) == 3 * A_CROWD + 3
    assert list(seen) == list(law)


def _inverse(odd: int) -> int:
    return pow(odd, -1, WORD)


GOLDEN: Final = 0x9E3779B97F4A7C15
ODD: Final = 0xD6E8FEB86659FD93


def at_one_home(due_ns: int, kind: int, count: int) -> list[Timer]:
    """Timers that `crowds` would put in one place, however large its table is: its hash, undone."""
    rest = 1 << 63 | due_ns % WINDOW_NS << 8 | kind
    hashes = [0x5555_5555 << 32 | place for place in range(count)]
    mixed = [number * _inverse(ODD) % WORD for number in hashes]
    return [(due_ns, kind, (number ^ number >> 32) * _inverse(GOLDEN) % WORD ^ rest * ODD % WORD) for number in mixed]


@pytest.mark.parametrize("before", [0, A_CROWD])
def test_a_crowd_whose_timers_were_chosen_to_be_in_each_others_way_goes_back_to_the_tree(before: int) -> None:
    seen, law = TimerSet(), SortedList[Timer]()
    chosen = at_one_home(3 * WINDOW_NS + 5, 2, 2_000)
    for timer in [*crowd(3, before, 0), *chosen]:
        assert doors.timer_insert(seen, *timer)
        assert not doors.timer_insert(seen, *timer)
        law.add(timer)
    assert doors.size_bytes(seen) < 40 * len(law), "no table grows for them"
    assert doors.timer_first(seen) == law[0]
    for timer in chosen[::2]:
        assert doors.timer_drop(seen, *timer)
        law.remove(timer)
    assert list(seen) == list(law)


@given(st.integers(0, 1 << 20), st.integers(A_CROWD, 2 * A_CROWD))
@settings(max_examples=20, deadline=None)
def test_all_of_one_instant_fire_by_their_kind_and_id(window: int, count: int) -> None:
    seen = TimerSet()
    come = [(window * WINDOW_NS + 7, kind, number << 40) for kind in (11, 2) for number in range(count)]
    for timer in come:
        doors.timer_insert(seen, *timer)
    fired = list[Timer]()
    while (first := doors.timer_due(seen, window * WINDOW_NS + 7)) is not None:
        doors.timer_drop(seen, *first)
        fired.append(first)
    assert fired == sorted(come)


def test_memory_of_a_crowd_and_it_goes_back() -> None:
    seen = TimerSet()
    come = crowd(5, 4 * MANY, 0)
    for count, timer in enumerate(come, 1):
        seen.add(timer)
        assert count < 1_000 or doors.size_bytes(seen) < (50 if count < 2 * MANY else 40) * count
    for timer in come[: 4 * MANY * 9 // 10]:
        seen.remove(timer)
    assert doors.size_bytes(seen) < 100 * len(seen)
    for timer in come[4 * MANY * 9 // 10 :]:
        seen.remove(timer)
    assert doors.size_bytes(seen) < 3_000
    seen.clear()
    assert doors.size_bytes(seen) == 0


STARVED: Final = """
import resource
from engine.compiled import doors_tables as doors
from engine.compiled.ordered import TimerSet
from tests.engine.compiled.test_agenda import crowd

def bound(room):
    pages = int(open("/proc/self/statm").read().split()[0])
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    bytes_now = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (bytes_now + room if room else hard, hard))

seen, come = TimerSet(), crowd(5, 300_000, 0)
bound(3 << 20)
taken = starved = 0
for timer in come:
    try:
        taken += doors.timer_insert(seen, *timer)
    except MemoryError:
        starved += 1
        break
bound(0)
assert starved and 1_000 < taken == len(seen), (starved, taken)
assert all(doors.timer_has(seen, *timer) == (at < taken) for at, timer in enumerate(come))
seen.update(come[taken:])
bound(1 << 20)
for ask in (doors.timer_first, iter, lambda timers: next(iter(timers))):
    try:
        ask(seen)
    except MemoryError:
        starved += 1
bound(0)
assert starved == 3, starved
assert len(seen) == len(come) and all(doors.timer_has(seen, *timer) for timer in come)
assert doors.timer_first(seen) == come[0] and list(seen) == come
"""


def test_without_memory_nothing_changes_and_all_can_be_found() -> None:
    answer = subprocess.run([sys.executable, "-c", STARVED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
