"""Tables by id: after any calls what a dict would say, with the same order; and the memories that forget their oldest."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.compiled import doors_tables as doors
from engine.compiled.tables import IdMemory, IdTable
from engine.ids import make_id
from engine.kinds import OrderStatus

MANY = 20_000
NOBODY = 2**64 - 1

ids = (
    st.integers(0, 20)
    | st.builds(make_id, st.integers(0, 1), st.integers(1, 9), st.integers(0, 2))
    | st.sampled_from([0, 2**32 - 1, 2**63, NOBODY - 1])
)
values = st.integers(0, 5)
strangers = st.sampled_from([-1, NOBODY, NOBODY + 1, 2**100, -(2**100), "7", None, (1, 2)])


class Tables(RuleBasedStateMachine):
    """An IdTable beside a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: IdTable[int] = IdTable()
        self.law: dict[int, int] = {}

    @rule(key=ids, value=values, compiled=st.booleans())
    def put(self, key: int, value: int, compiled: bool) -> None:
        if compiled:
            doors.table_put(self.seen, key, value)
        else:
            self.seen[key] = value
        self.law[key] = value

    @rule(key=ids, value=values)
    def put_new(self, key: int, value: int) -> None:
        """By who knows that it isn't in."""
        if key not in self.law:
            doors.table_put_new(self.seen, key, value)
            self.law[key] = value

    @rule(start=st.integers(0, 300), count=st.integers(1, 100))
    def put_many(self, start: int, count: int) -> None:
        some = {number: number % 7 for number in range(start, start + count)}
        self.seen.update(some)
        self.law.update(some)

    @rule(share=st.integers(2, 4))
    def drop_some(self, share: int) -> None:
        for key in [key for key in self.law if key % share]:
            assert doors.table_drop(self.seen, key)
            del self.law[key]

    @rule(count=st.integers(1, 100))
    def drop_oldest(self, count: int) -> None:
        for key in list(self.law)[:count]:
            del self.seen[key], self.law[key]

    @rule(key=ids, value=values)
    def setdefault(self, key: int, value: int) -> None:
        assert self.seen.setdefault(key, value) == self.law.setdefault(key, value)

    @rule(key=ids)
    def pop(self, key: int) -> None:
        assert self.seen.pop(key, None) == self.law.pop(key, None)
        with pytest.raises(KeyError):
            self.seen.pop(key)

    @rule(key=ids)
    def delete(self, key: int) -> None:
        if key in self.law:
            del self.seen[key], self.law[key]
        with pytest.raises(KeyError):
            del self.seen[key]
        assert not doors.table_drop(self.seen, key)

    @rule(key=ids)
    def look(self, key: int) -> None:
        assert (key in self.seen) == (key in self.law)
        assert self.seen.get(key) == self.law.get(key) == doors.table_find(self.seen, key)
        assert self.seen.get(key, 99) == self.law.get(key, 99)
        if key in self.law:
            assert self.seen[key] == self.law[key]

    @rule(key=strangers)
    def look_for_a_stranger(self, key: Any) -> None:
        assert key not in self.seen
        assert self.seen.get(key) is None
        with pytest.raises(KeyError):
            self.seen[key]
        with pytest.raises(OverflowError):
            self.seen[key] = 1

    @rule()
    def clear(self) -> None:
        self.seen.clear()
        self.law.clear()

    @invariant()
    def equal(self) -> None:
        assert list(self.seen) == list(self.law), "in order of entry"
        assert list(self.seen.items()) == list(self.law.items())
        assert list(self.seen.values()) == list(self.law.values()) == doors.table_walk(self.seen)
        assert list(reversed(self.seen.values())) == list(reversed(self.law.values()))  # type: ignore[call-overload]
        assert self.seen.keys() == self.law.keys()
        assert (len(self.seen), bool(self.seen)) == (len(self.law), bool(self.law))
        assert self.seen == self.law
        assert repr(self.seen) == repr(self.law)


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class Memories(RuleBasedStateMachine):
    """An IdMemory beside a dict, with few ids and many: some of each are looked through, more have an index.

    Nothing is looked for but by rules: what came since the last was is in no index yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: IdMemory[int] = IdMemory(range(6))
        self.law: dict[int, int] = {}
        self.made = 0

    @rule(key=ids, value=values, most=st.sampled_from([1, 7, 8, 9, 31, 33, 1_000]))
    def remember(self, key: int, value: int, most: int) -> None:
        if key in self.law:
            doors.memory_remember(self.seen, key, value, most)
        else:
            doors.memory_remember_new(self.seen, key, value, most)
        self.law[key] = value
        self.forget_beyond(most)

    @rule(count=st.integers(1, 100), value=values, most=st.sampled_from([0, 1, 40, 100, 2**62]))
    def remember_many(self, count: int, value: int, most: int) -> None:
        """Each new; the oldest go, whether they are in an index or not."""
        for _ in range(count):
            self.made += 1
            self.law[make_id(1, self.made, 7)] = value
            doors.memory_remember_new(self.seen, make_id(1, self.made, 7), value, most)
            self.forget_beyond(most)

    @rule(count=st.integers(0, 100), value=values, most=st.sampled_from([0, 1, 40, 100, 2**62]))
    def remember_together(self, count: int, value: int, most: int) -> None:
        new = [(make_id(1, self.made + nth, 7), value) for nth in range(1, count + 1)]
        self.made += count
        assert doors.memory_remember_many(self.seen, new, most)
        for key, _ in new:
            self.law[key] = value
            self.forget_beyond(most)

    def forget_beyond(self, most: int) -> None:
        if len(self.law) > most:
            del self.law[next(iter(self.law))]

    @rule(count=st.integers(1, 60))
    def drop_newest(self, count: int) -> None:
        for key in list(self.law)[-count:]:
            assert self.seen.pop(key) == self.law.pop(key)

    @rule(chance=st.randoms(use_true_random=False), share=st.integers(1, 4))
    def drop_some(self, chance: Any, share: int) -> None:
        for key in [key for key in self.law if chance.randrange(4) < share]:
            assert self.seen.pop(key) == self.law.pop(key)

    @rule(key=ids)
    def look(self, key: int) -> None:
        assert doors.memory_find(self.seen, key) == self.law.get(key, -1)
        assert (key in self.seen) == (key in self.law)

    @rule()
    def look_for_each(self) -> None:
        assert all(doors.memory_find(self.seen, key) == value for key, value in self.law.items())

    @rule()
    def look_for_what_is_gone(self) -> None:
        gone = [key for seq in range(1, self.made + 1) if (key := make_id(1, seq, 7)) not in self.law]
        assert all(doors.memory_find(self.seen, key) == -1 for key in gone)
        assert doors.memory_find(self.seen, NOBODY) == -1

    @rule()
    def clear(self) -> None:
        self.seen.clear()
        self.law.clear()

    @invariant()
    def equal(self) -> None:
        assert doors.memory_walk(self.seen) == list(self.law.items()) == list(self.seen.items())
        assert len(self.seen) == len(self.law)


TestMemories = Memories.TestCase
TestMemories.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.tuples(ids, st.sampled_from(OrderStatus)), max_size=60), st.integers(1, 9))
def test_a_memory_forgets_its_oldest_as_the_law_does(closed: list[tuple[int, OrderStatus]], most: int) -> None:
    """As `engine.client_ids.closed` keeps a dict; in Python's words and in one call."""
    law: dict[int, OrderStatus] = {}
    seen, quick = IdMemory(OrderStatus), IdMemory(OrderStatus)
    members = tuple(OrderStatus)
    remembered: IdMemory[OrderStatus]
    for key, status in closed:
        for each in (law, seen):
            each[key] = status
            if len(each) > most:
                del each[next(iter(each))]
        doors.memory_remember(quick, key, members.index(status), most)
        for remembered in (seen, quick):
            assert list(remembered.items()) == list(law.items())
            assert all(remembered[key] is law[key] for key in law)
        assert doors.memory_walk(quick) == [(key, members.index(value)) for key, value in law.items()]
        assert doors.memory_find(quick, key) == (members.index(law[key]) if key in law else -1)
        assert doors.memory_find(quick, NOBODY) == -1


def test_a_memory_of_nothing_but_ids() -> None:
    seen = IdMemory([None], {5: None, 3: None})
    assert list(seen.items()) == [(5, None), (3, None)]
    with pytest.raises(ValueError, match="not in tuple"):
        seen[7] = 1  # type: ignore[assignment]
    assert 7 not in seen
    assert list(seen) == [5, 3]


def test_a_bounded_memory_keeps_its_size() -> None:
    memory: IdMemory[None] = IdMemory([None])
    for number in range(100):
        doors.memory_remember(memory, number, 0, 100)
    before = doors.size_bytes(memory)
    for number in range(100, MANY):
        doors.memory_remember(memory, number, 0, 100)
    assert doors.size_bytes(memory) == before
    assert list(memory) == list(range(MANY - 100, MANY))


@pytest.mark.parametrize("count", [1, 8, 9, 16, 32])
def test_bytes_of_few(count: int) -> None:
    """Most accounts remember a few: there is nothing but their keys and numbers."""
    memory: IdMemory[None] = IdMemory([None])
    for seq in range(1, count + 1):
        doors.memory_remember_new(memory, make_id(1, seq, 0), 0, 10_000)
    assert doors.size_bytes(memory) <= 9 * max(8, 2 * (count - 1))


def test_bytes_of_many() -> None:
    memory = IdMemory(OrderStatus, ((make_id(1, seq, 0), OrderStatus.FILLED) for seq in range(1, 10_001)))
    assert doors.size_bytes(memory) < 30 * 10_000
    table = IdTable((number, None) for number in range(100_000))
    assert doors.size_bytes(table) < 43 * 100_000, "small numbers are known without a search too"
    table = IdTable((make_id(1, seq, 0), None) for seq in range(1, 100_001))
    assert doors.size_bytes(table) < 32 * 100_000
    empty: IdTable[None] = IdTable()
    assert doors.size_bytes(empty) == 0


@pytest.mark.parametrize("change", ["put", "drop", "clear"])
def test_a_walk_stops_when_the_table_changes(change: str) -> None:
    def change_while_walking(way: Callable[[IdTable[str]], Iterable[object]]) -> Iterator[object]:
        table = IdTable({1: "a", 2: "b", 3: "c"})
        for found in way(table):
            match change:
                case "put":
                    table[9] = "d"
                case "drop":
                    del table[2]
                case _:
                    table.clear()
            yield found

    for way in (iter, lambda table: reversed(table.values())):
        with pytest.raises(RuntimeError, match="changed"):
            list(change_while_walking(way))
    table = IdTable({1: "a"})
    for _ in IdTable({1: "a"}).items():
        table[1] = "z"


class Thing:
    """Something whose end can be seen."""


@pytest.mark.parametrize("way", ["pop", "delete", "clear", "replace", "with the table"])
def test_a_table_holds_what_is_in_it_and_no_longer(way: str) -> None:
    table: IdTable[Thing] = IdTable()
    thing = Thing()
    watched = weakref.ref(thing)
    table[1] = thing
    del thing
    gc.collect()
    assert watched() is table[1]
    match way:
        case "pop":
            table.pop(1)
        case "delete":
            doors.table_drop(table, 1)
        case "clear":
            table.clear()
        case "replace":
            table[1] = Thing()
        case _:
            del table
    gc.collect()
    assert watched() is None


def test_letting_go_may_change_the_table() -> None:
    """An object's end runs what it likes: the table is whole by then."""
    table: IdTable[object] = IdTable()

    class Nosy:
        def __del__(self) -> None:
            table.setdefault(50, "came late")
            assert len(list(table)) == len(table)

    for number in range(20):
        table[number] = Nosy()
    del table[3]
    table[4] = None
    assert table.pop(50) == "came late"
    table.clear()
    assert list(table) == []


def test_equality_is_that_of_dicts() -> None:
    assert IdTable({1: 2, 3: 4}) == IdTable({3: 4, 1: 2})
    assert IdTable({1: 2}) != {1: 3}
