"""Bytes of commands and events: what the logs carry.

One record is a format byte and a msgpack array. Decoding is strict: anything else raises DecodeError, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from engine.messages import Command, Event, Reply

FORMAT: Final = 1

T = TypeVar("T")


class DecodeError(ValueError):
    """A record isn't one of ours: damaged, cut, or of a later format."""


class _CommandRecord(msgspec.Struct, frozen=True, array_like=True):
    ts_ns: int
    command: Command


class _EventsRecord(msgspec.Struct, frozen=True, array_like=True):
    ts_ns: int
    events: tuple[Event, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode_command = msgspec.msgpack.Decoder(_CommandRecord).decode
_decode_events = msgspec.msgpack.Decoder(_EventsRecord).decode
_PREFIX: Final = bytes([FORMAT])


def encode_command(ts_ns: int, command: Command) -> bytes:
    """Record of a command, stamped with its time."""
    return _PREFIX + _encode(_CommandRecord(ts_ns, command))


def decode_command(data: bytes) -> tuple[int, Command]:
    """(ts_ns, command) of a record; DecodeError when it isn't one."""
    record = _decode(_decode_command, data)
    return record.ts_ns, record.command


def encode_events(ts_ns: int, events: Sequence[Event]) -> bytes:
    """Record of all events of one command, in order; their index is their place."""
    return _PREFIX + _encode(_EventsRecord(ts_ns, tuple(events)))


def decode_events(seq: int, data: bytes) -> Reply:
    """The events of command `seq`, as the sequencer's Reply; DecodeError when it isn't a record."""
    record = _decode(_decode_events, data)
    return Reply(seq, record.ts_ns, record.events)


def _decode(decode: Callable[[bytes], T], data: bytes) -> T:
    if data[:1] != _PREFIX:
        raise DecodeError(f"not a record of format {FORMAT}")
    try:
        return decode(data[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError(str(error)) from error
