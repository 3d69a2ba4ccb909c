"""Commands and events as a reader sees them: one line a command, its events beneath, and where two books differ, both.

It knows the names of fields and values, and leaves out what is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum, IntFlag
from itertools import zip_longest

import msgspec

from engine.book import BookLimits
from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import (
    SELF_TRADE_SHIFT,
    TIME_SHIFT,
    TYPE_SHIFT,
    BookEvent,
    Command,
    EventFlag,
    EventKind,
    Flag,
    Given,
    Op,
    SelfTrade,
    Session,
    Sides,
    unpack_command,
)

_FLAGS: dict[int, type[IntFlag]] = {Op.NEW: Flag, Op.AMEND: Given, Op.MASS_CANCEL: Sides}
_EVERY = BookLimits()


def _named(kind: type[IntEnum], value: int) -> str:
    return kind(value).name.lower() if value in set(kind) else str(value)


def _flags(kind: type[IntFlag], value: int) -> str:
    names = [flag.name or "" for flag in kind if value & flag]
    beyond = value & ~sum(kind)
    return "+".join([*(name.lower() for name in names), *([str(beyond)] if beyond else [])])


def _shape(command: Command) -> str:
    """Side, type, time in force and mode of a NEW; a session's name; else the number."""
    shape = command.shape
    if command.op == Op.SET_SESSION:
        return _named(Session, shape)
    if command.op != Op.NEW:
        return f"shape={shape}" if shape else ""
    side = Side.SELL if shape & 1 else Side.BUY
    words = [
        side.name.lower(),
        _named(OrderType, (shape >> TYPE_SHIFT & 3) + 1),
        _named(TimeInForce, (shape >> TIME_SHIFT & 3) + 1),
        _named(SelfTrade, shape >> SELF_TRADE_SHIFT & 3),
    ]
    return " ".join([*words, *(["shape-bit-7"] if shape >> 7 else [])])


def command_line(record: bytes) -> str:
    """One command in words."""
    command = unpack_command(record)
    words = [_named(Op, command.op).upper(), _shape(command)]
    for name in Command._fields:
        value = getattr(command, name)
        if name in ("op", "shape") or not value:
            continue
        if name == "flags":
            words.append(_flags(_FLAGS[command.op], value) if command.op in _FLAGS else f"flags={value}")
        elif name == "reason":
            words.append(f"reason={_named(Reason, value)}")
        else:
            words.append(f"{name}={value}")
    return " ".join(word for word in words if word)


def event_line(event: BookEvent) -> str:
    """One event in words."""
    words = [event.kind.name]
    for name in BookEvent._fields:
        value = getattr(event, name)
        if name in ("kind", "command") or not value:
            continue
        if name == "side":
            words.append(_named(Side, value))
        elif name == "reason":
            words.append(_named(Reason, value))
        elif name == "flags" and event.kind is EventKind.SESSION:
            words.append(_named(Session, value))
        elif name == "flags":
            words.append(_flags(EventFlag, value))
        else:
            words.append(f"{name}={value}")
    return " ".join(words)


def limits_line(limits: BookLimits) -> str:
    """The limits that aren't the rulebook's."""
    changed = [
        f"{name}={value}" for name, value in msgspec.structs.asdict(limits).items() if value != getattr(_EVERY, name)
    ]
    return "limits: " + (", ".join(changed) or "the rulebook's")


def both_lines(plain: Sequence[BookEvent], other: Sequence[BookEvent]) -> Iterator[str]:
    """The events of both books: `=` where they are one, `-` the plain book's, `+` the other's."""
    for one, two in zip_longest(plain, other):
        if one == two and one is not None:
            yield f"      = {event_line(one)}"
            continue
        if one is not None:
            yield f"      - {event_line(one)}"
        if two is not None:
            yield f"      + {event_line(two)}"
