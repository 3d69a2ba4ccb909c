"""Events that the compiled machine writes: byte for byte what the law's encoder makes of them."""

from __future__ import annotations

import enum
import typing
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import codec, kinds, messages, reasons, records
from engine.compiled import doors_wire
from engine.reasons import Reason
from tests.engine.compiled.drawing import NUMBERS, messages_of

WRITTEN: typing.Final = (
    messages.Accepted,
    messages.Amended,
    messages.Canceled,
    messages.CapacityChanged,
    messages.Duplicate,
    messages.LeaseChanged,
    messages.LeasePriced,
    messages.LeaseScheduled,
    messages.ObligationChanged,
    messages.ObligationOpened,
    messages.Refilled,
    messages.Rejected,
    messages.Traded,
    messages.Transfer,
    messages.Triggered,
)
"""The events that C writes; the law's encoder writes all others, into the same sink."""


def record(ts_ns: int, events: Sequence[messages.Event], tape: doors_wire.WiredTape | None = None) -> bytes:
    """The record of events that are all written in C."""
    if tape is None:
        tape = doors_wire.WiredTape()
    tape.forget()
    for event in events:
        tape.write(event)
    return tape.record(ts_ns)


def _canceled(order_id: int) -> messages.Canceled:
    return messages.Canceled(order_id=order_id, account=1, instrument=2, quantity=3, reason=Reason.REQUESTED)


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_event_has_the_bytes_of_the_law(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    event = data.draw(messages_of(kind))
    assert record(1, [event]) == codec.encode_events(1, [event])


@given(NUMBERS, st.lists(st.one_of([messages_of(kind) for kind in WRITTEN]), max_size=20))
def test_events_in_a_row_are_one_record(ts_ns: int, events: list[messages.Event]) -> None:
    assert record(ts_ns, events) == codec.encode_events(ts_ns, events)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 65_535, 65_536])
def test_the_record_says_how_many_events_it_has_in_the_fewest_bytes(count: int) -> None:
    events = [_canceled(number << 16) for number in range(count)]
    assert record(2**60, events) == codec.encode_events(2**60, events)


def test_a_tape_is_used_again() -> None:
    tape = doors_wire.WiredTape()
    for count in (3, 0, 4_000, 1):
        events = [_canceled(number) for number in range(count)]
        assert record(count, events, tape) == codec.encode_events(count, events)
        assert len(tape) == count


def test_events_of_python_rooms_keep_their_place() -> None:
    events: list[messages.Event] = [_canceled(1), messages.BaronRating(baron=1, rating=70), _canceled(2)]
    tape = doors_wire.WiredTape()
    tape.write(events[0])
    tape.append(events[1])
    tape.write(events[2])
    assert tape.record(5) == codec.encode_events(5, events)
    assert tape.events() == list(tape) == events


def test_half_a_surrogate_pair_is_an_error_as_in_the_law() -> None:
    event = messages.Rejected(account=1, reason=Reason.UNKNOWN_ORDER, client_order_id="\ud800")
    with pytest.raises(UnicodeEncodeError):
        record(1, [event])
    with pytest.raises(UnicodeEncodeError):
        codec.encode_events(1, [event])


def test_every_code_is_one_byte() -> None:
    """The wire writes members of vocabularies without a look at how large they are."""
    for room in (kinds, reasons, records):
        for vocabulary in vars(room).values():
            if isinstance(vocabulary, type) and issubclass(vocabulary, enum.IntEnum) and vocabulary.__members__:
                assert min(vocabulary) >= 0
                assert max(vocabulary) < 128
