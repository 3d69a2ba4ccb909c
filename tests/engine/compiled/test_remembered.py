"""What client ids stood for, in C: after any calls what the law's dicts would say, in the same order, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine import client_ids
from engine.book_plain import PlainBook
from engine.compiled import doors_ids as doors
from engine.compiled.machine import CompiledState
from engine.compiled.remembered import RememberedIds
from engine.kinds import OrderStatus
from engine.limits import Limits
from engine.messages import PlaceOrder
from engine.state import Account, Order, Remembered, State
from tests.engine.machines.test_fields import FULL
from tests.engine.shard import bid

MANY: Final = 20_000
MOST: Final = 500
NUMBER: Final = 11

texts = st.sampled_from(["a", "b", "c" * 8, "c" * 9, "order-1", "order-2", "z" * 36]) | st.text(max_size=20)
digests = st.binary(min_size=16, max_size=16)
meanings = st.builds(Remembered, digest=digests, seq=st.integers(0, 2**64 - 1), order_id=st.integers(0, 2**64 - 1))
strangers: st.SearchStrategy[Any] = st.sampled_from([None, 7, b"a", ("a",), "\ud800"])


def meaning(number: int) -> Remembered:
    return Remembered(digest=number.to_bytes(16, "little"), seq=number, order_id=2 * number)


class Tables(RuleBasedStateMachine):
    """A table beside a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = RememberedIds()
        self.law: dict[str, Remembered] = {}

    @rule(text=texts, value=meanings, compiled=st.booleans())
    def put(self, text: str, value: Remembered, compiled: bool) -> None:
        if compiled:
            doors.ids_put(self.seen, text, value.digest, value.seq, value.order_id)
        else:
            self.seen[text] = value
        self.law[text] = value

    @rule(start=st.integers(0, 300), count=st.integers(1, 100))
    def put_many(self, start: int, count: int) -> None:
        for number in range(start, start + count):
            self.seen[f"order-{number}"] = self.law[f"order-{number}"] = meaning(number)

    @rule(share=st.integers(2, 4))
    def drop_some(self, share: int) -> None:
        for place, text in enumerate(list(self.law)):
            if place % share:
                assert doors.ids_drop(self.seen, text)
                del self.law[text]

    @rule(count=st.integers(1, 100))
    def drop_oldest(self, count: int) -> None:
        for text in list(self.law)[:count]:
            assert doors.ids_oldest(self.seen) == text == next(iter(self.seen))
            assert self.seen.pop(text) == self.law.pop(text)

    @rule(count=st.integers(1, 3))
    def drop_newest(self, count: int) -> None:
        for text in list(self.law)[-count:]:
            del self.seen[text], self.law[text]

    @rule(text=texts)
    def pop(self, text: str) -> None:
        assert self.seen.pop(text, None) == self.law.pop(text, None)
        with pytest.raises(KeyError):
            self.seen.pop(text)
        with pytest.raises(KeyError):
            del self.seen[text]
        assert not doors.ids_drop(self.seen, text)

    @rule(text=texts)
    def look(self, text: str) -> None:
        found = self.law.get(text)
        assert (text in self.seen) == (found is not None)
        assert self.seen.get(text) == found
        assert doors.ids_find(self.seen, text) == (found and msgspec.structs.astuple(found))
        if found is not None:
            assert self.seen[text] == found

    @rule(text=strangers)
    def look_for_a_stranger(self, text: Any) -> None:
        assert text not in self.seen
        assert self.seen.get(text) is None
        with pytest.raises(KeyError):
            self.seen[text]

    @invariant()
    def equal(self) -> None:
        assert list(self.seen) == list(self.law), "in order of entry"
        assert list(self.seen.items()) == list(self.law.items())
        assert list(self.seen.values()) == list(self.law.values())
        assert self.seen.keys() == self.law.keys()
        assert (len(self.seen), bool(self.seen)) == (len(self.law), bool(self.law))
        assert self.seen == self.law == RememberedIds(self.law)
        assert doors.ids_oldest(self.seen) == next(iter(self.law), None)


TestTables = Tables.TestCase
TestTables.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(meanings.filter(lambda each: each.seq < 2**63 > each.order_id), st.sampled_from([b"", b"x" * 15, b"x" * 17]))
def test_what_is_no_meaning_is_not_taken(value: Remembered, digest: bytes) -> None:
    seen = RememberedIds({"a": value})
    for wrong in ({"digest": digest}, {"seq": -1}, {"order_id": 2**64}):
        with pytest.raises((ValueError, OverflowError)):
            seen["b"] = msgspec.structs.replace(value, **wrong)
    assert seen == {"a": value}


def state_of(limits: Limits, compiled: bool) -> tuple[State, Account]:
    state: State = CompiledState(1, limits) if compiled else State(1, limits, PlainBook)
    state.accounts[NUMBER] = state.new_account(NUMBER, 0, 0)
    return state, state.accounts[NUMBER]


def lived(chance: Random, state: State, account: Account, most: int) -> Iterator[object]:
    """Ids come and orders close by the law's own rooms; after each step, what is remembered."""
    live: list[Order] = []
    for seq in range(1, 3 * most):
        state.last_seq, state.made = seq, 0
        state.begin()
        command: PlaceOrder = bid(NUMBER, 100 + seq, 1, client_order_id=f"id-{chance.randrange(2 * most)}")
        first = client_ids.find(account, command.client_order_id)
        if first is not None:
            yield first.seq, first.order_id, first.digest
            continue
        order = state.records.order(
            **{
                **FULL[Order],
                "order_id": state.new_id(),
                "account": NUMBER,
                "client_order_id": command.client_order_id,
            }
        )
        state.add_order(order)
        live.append(order)
        client_ids.remember(state, account, command.client_order_id, command, order.order_id)
        if chance.random() < 0.6:
            gone = live.pop(chance.randrange(len(live)))
            state.drop_order(gone)
            client_ids.closed(state, account, gone, OrderStatus.CANCELED)
        yield dict(account.client_ids) if seq % most == 0 else len(account.client_ids), dict(account.older_live_ids)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), most=st.sampled_from([1, 2, 7, 60]))
def test_an_account_forgets_as_the_law_says_whatever_its_tables(seed: int, most: int) -> None:
    limits = Limits(max_client_ids=most)
    told = [list(lived(Random(seed), *state_of(limits, compiled), most)) for compiled in (False, True)]
    assert told[0] == told[1]


def test_a_bounded_memory_keeps_its_size() -> None:
    ids = RememberedIds()
    for number in range(MOST):
        ids[f"id-{number:09}"] = meaning(number)
    before = doors.ids_bytes(ids)
    for number in range(MOST, MANY):
        ids[f"id-{number:09}"] = meaning(number)
        ids.pop(next(iter(ids)))
    assert doors.ids_bytes(ids) == before
    assert list(ids) == [f"id-{number:09}" for number in range(MANY - MOST, MANY)]


def test_bytes_of_many() -> None:
    ids = RememberedIds((f"order-{number:012}", meaning(number)) for number in range(10_000))
    assert doors.ids_bytes(ids) < 100 * 10_000
    assert doors.ids_bytes(RememberedIds()) == 0


@pytest.mark.parametrize("change", ["put", "drop"])
def test_a_walk_stops_when_the_table_changes(change: str) -> None:
    ids = RememberedIds({"a": meaning(1), "b": meaning(2), "c": meaning(3)})

    def change_while_walking() -> Iterator[str]:
        for text in ids:
            if change == "put":
                ids["d"] = meaning(4)
            else:
                del ids["b"]
            yield text

    with pytest.raises(RuntimeError, match="changed"):
        list(change_while_walking())
    for _ in ids.items():
        ids["a"] = meaning(9)
