"""Records of the logs: every message survives its bytes, and bytes that aren't a record are refused, never guessed."""

from __future__ import annotations

import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import codec, messages

COMMANDS = typing.get_args(messages.Command)
EVENTS = typing.get_args(messages.Event)
int64 = st.integers(-(2**63), 2**63 - 1)


def instances(kinds: tuple[type[msgspec.Struct], ...]) -> st.SearchStrategy[typing.Any]:
    return st.one_of([_instance(kind) for kind in kinds])


def _instance(kind: type[msgspec.Struct]) -> st.SearchStrategy[typing.Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: _value(hints[field.name]) for field in msgspec.structs.fields(kind)})


def _value(hint: typing.Any) -> st.SearchStrategy[typing.Any]:
    if typing.get_origin(hint) is tuple:
        return st.lists(_value(typing.get_args(hint)[0]), max_size=3).map(tuple)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _instance(hint)
    if hint is int:
        return int64
    if hint == int | None:
        return st.none() | int64
    return st.from_type(hint)


@given(int64, instances(COMMANDS))
def test_a_command_survives_its_bytes(ts_ns: int, command: messages.Command) -> None:
    assert codec.decode_command(codec.encode_command(ts_ns, command)) == (ts_ns, command)


@given(int64, st.lists(instances(EVENTS), max_size=5))
def test_events_survive_their_bytes(ts_ns: int, events: list[messages.Event]) -> None:
    assert codec.decode_events(7, codec.encode_events(ts_ns, events)) == messages.Reply(7, ts_ns, tuple(events))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_decode_error(data: bytes) -> None:
    for decode in (codec.decode_command, lambda record: codec.decode_events(1, record)):
        for record in (data, bytes([codec.FORMAT]) + data):
            try:
                decode(record)
            except codec.DecodeError:
                continue


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d + b"\x00", lambda d: b"\x02" + d[1:], lambda d: b""])
def test_a_damaged_record_is_refused(damage: typing.Callable[[bytes], bytes]) -> None:
    record = codec.encode_command(1, messages.CancelOrder(account=1, order_id=2))
    with pytest.raises(codec.DecodeError):
        codec.decode_command(damage(record))


def test_a_text_that_is_none_is_no_record() -> None:
    record = codec.encode_command(1, messages.CancelOrder(account=1, order_id=0, client_order_id="mine"))
    with pytest.raises(codec.DecodeError, match="utf-8"):
        codec.decode_command(record.replace(b"mine", b"m\xffne"))


def test_tags_are_distinct_and_start_at_one() -> None:
    for kinds in (COMMANDS, EVENTS):
        tags = [kind.__struct_config__.tag for kind in kinds]
        assert tags[0] == 1
        assert tags == sorted(set(tags))
