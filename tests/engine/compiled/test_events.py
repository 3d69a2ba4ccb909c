"""Events that the compiled machine writes: byte for byte what the law's encoder makes of them."""

from __future__ import annotations

import enum
import typing

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


def _canceled(order_id: int) -> messages.Canceled:
    return messages.Canceled(order_id=order_id, account=1, instrument=2, quantity=3, reason=Reason.REQUESTED)


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_event_has_the_bytes_of_the_law(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    event = data.draw(messages_of(kind))
    assert doors_wire.Tape().record(1, [event]) == codec.encode_events(1, [event])


@given(NUMBERS, st.lists(st.one_of([messages_of(kind) for kind in WRITTEN]), max_size=20))
def test_events_in_a_row_are_one_record(ts_ns: int, events: list[messages.Event]) -> None:
    assert doors_wire.Tape().record(ts_ns, events) == codec.encode_events(ts_ns, events)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 65_535, 65_536])
def test_the_record_says_how_many_events_it_has_in_the_fewest_bytes(count: int) -> None:
    events = [_canceled(number << 16) for number in range(count)]
    assert doors_wire.Tape().record(2**60, events) == codec.encode_events(2**60, events)


def test_records_stand_one_behind_another() -> None:
    tape = doors_wire.Tape()
    for count in (3, 0, 40, 1):
        events = [_canceled(number) for number in range(count)]
        assert tape.record(count, events) == codec.encode_events(count, events)
    tape.clear()
    assert tape.record(7, [_canceled(7)]) == codec.encode_events(7, [_canceled(7)])


@pytest.mark.parametrize("dropped", [1, 20, 300])
def test_what_a_refused_command_wrote_is_forgotten(dropped: int) -> None:
    refused = [_canceled(number) for number in range(dropped)]
    kept = [messages.Rejected(account=1, reason=Reason.UNKNOWN_ORDER, field="order_id")]
    assert doors_wire.Tape().record(5, kept, refused) == codec.encode_events(5, kept)


def test_events_that_the_law_s_encoder_writes_keep_their_place() -> None:
    events: list[messages.Event] = [_canceled(1), messages.BaronRating(baron=1, rating=70), _canceled(2)]
    assert doors_wire.Tape().record(5, events) == codec.encode_events(5, events)


def test_half_a_surrogate_pair_is_an_error_as_in_the_law() -> None:
    event = messages.Rejected(account=1, reason=Reason.UNKNOWN_ORDER, client_order_id="\ud800")
    with pytest.raises(UnicodeEncodeError):
        doors_wire.Tape().record(1, [event])
    with pytest.raises(UnicodeEncodeError):
        codec.encode_events(1, [event])


def test_every_code_is_one_byte() -> None:
    """The wire writes members of vocabularies without a look at how large they are."""
    for room in (kinds, reasons, records):
        for vocabulary in vars(room).values():
            if isinstance(vocabulary, type) and issubclass(vocabulary, enum.IntEnum) and vocabulary.__members__:
                assert min(vocabulary) >= 0
                assert max(vocabulary) < 128
