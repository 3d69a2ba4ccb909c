"""The order book's records: the fixed-width commands that go into a book and the events that come out (docs/book.md).

This is the layout that batches, compiled callers and a book's own journal share (command records in a row, which `batch` plays
again); the exchange's log carries the shard's commands, not these. Little-endian, no padding but what is named, every number an
integer. A command is one cache line of 64 bytes, an event 40 bytes, a level's delta 32 bytes. Fields that don't
apply to an op are zero. `numpy.dtype(COMMAND_DTYPE)` gives the same layout as an array's. It knows no rule of matching.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason


class Op(IntEnum):
    """What a command record asks of the book."""

    NEW = 1
    CANCEL = 2
    AMEND = 3
    REDUCE = 4
    """Take `quantity` GPUs off an order in place, priority kept; all of it: cancel. The engine's own, never a client's."""
    MOVE_WINDOW = 5
    """Change an ask's `window_end_h` in place, priority kept."""
    MASS_CANCEL = 6
    """Cancel every order of `account` (0: of all), of the sides in `flags`, with `tag` (0: any), armed stops included."""
    SET_BARON = 7
    """From now on `baron` has the rating `min_rating` and the `features`."""
    SET_SESSION = 8
    """Go to the session in `shape`; into CONTINUOUS by way of the auction's clearing (§6)."""
    TICK = 9
    """Time passes: stops that wait to fire fire, a clearing goes on."""
    FIRE = 10
    """Fire one triggered stop, for a caller that checks each first (`BookLimits.fires` off)."""


class Session(IntEnum):
    """An instrument's session (§6)."""

    PRE_OPEN = 1
    AUCTION = 2
    CONTINUOUS = 3
    HALTED = 4
    EXPIRED = 5


class SelfTrade(IntEnum):
    """What happens when an order meets one of its own account; the taker's mode rules (§5)."""

    CANCEL_NEWEST = 0
    CANCEL_OLDEST = 1
    CANCEL_BOTH = 2
    DECREMENT = 3


class Flag(IntFlag):
    """`flags` of a NEW record."""

    POST_ONLY = 1
    SAME_BARON = 2


class Given(IntFlag):
    """`flags` of an AMEND record: which fields it carries, the others stay as they are; and whether it keeps no place."""

    PRICE = 1
    QUANTITY = 2
    ANEW = 4
    """Something that the book doesn't know is more than before (an expiry): even a pure reduction enters anew."""


class Sides(IntFlag):
    """`flags` of a MASS_CANCEL record."""

    BUY = 1
    SELL = 2


class EventKind(IntEnum):
    """What an event record says. Fields that aren't named are zero; `command` is always the command's index.

    Except in SESSION and CLEARED, `side` is the side of `order_id` (in TRADE: the taker's, 0 in an auction).
    """

    ACCEPTED = 1
    """order_id, side, price (limit, or protection as reckoned; 0: reckoned at the trigger), quantity, leaves.

    other_leaves: its display quantity, 0 unless an iceberg; flags ARMED.
    """
    REJECTED = 2
    """order_id, reason. Nothing changed."""
    TRADE = 3
    """order_id: maker, other_id: taker (in an auction: ask and bid); price, quantity, leaves (maker's), other_leaves."""
    CANCELED = 4
    """order_id, side, price, quantity: what was still unfilled, reason."""
    AMENDED = 5
    """order_id, side, price, quantity (new total), leaves, reason; flags KEPT_PRIORITY."""
    TRIGGERED = 6
    """A stop enters now: order_id, side, price (limit or protection), quantity, leaves."""
    REFILLED = 7
    """An iceberg shows anew, at the back of its level: order_id, side, price, quantity (now shown), leaves."""
    SESSION = 8
    """The session is now `flags` (a Session); reason; price: reference rounded down, 0 none; other_id: an auction's end, ns."""
    CLEARED = 9
    """An auction's result, before its trades: price, quantity (volume), leaves (surplus), side of the surplus (0: none)."""


class EventFlag(IntFlag):
    """`flags` of events other than SESSION."""

    KEPT_PRIORITY = 1
    ARMED = 2
    """An accepted stop waits for its trigger."""
    AUCTION = 4
    """A trade of an auction: both are makers."""


# ---------------------------------------------------------------- layouts

_COMMAND_FIELDS: Final = (
    ("order_id", "u8"),
    ("ts_ns", "i8"),
    ("account", "u4"),
    ("price", "i4"),
    ("quantity", "u4"),
    ("display_quantity", "u4"),
    ("min_quantity", "u4"),
    ("stop_price", "i4"),
    ("window_end_h", "u4"),
    ("baron", "u4"),
    ("tag", "u4"),
    ("features", "u2"),
    ("hours", "u2"),
    ("lot", "u2"),
    ("min_rating", "u1"),
    ("reason", "u1"),
    ("op", "u1"),
    ("shape", "u1"),
    ("flags", "u1"),
    ("reserved", "u1"),
)
_EVENT_FIELDS: Final = (
    ("order_id", "u8"),
    ("other_id", "u8"),
    ("command", "u4"),
    ("price", "i4"),
    ("quantity", "u4"),
    ("leaves", "u4"),
    ("other_leaves", "u4"),
    ("kind", "u1"),
    ("side", "u1"),
    ("reason", "u1"),
    ("flags", "u1"),
)
_DELTA_FIELDS: Final = (
    ("unconditional", "u8"),
    ("conditional", "u8"),
    ("price", "i4"),
    ("orders", "u4"),
    ("command", "u4"),
    ("side", "u1"),
    ("reserved", "V3"),
)

COMMAND_DTYPE: Final = [(name, "<" + kind) for name, kind in _COMMAND_FIELDS]
EVENT_DTYPE: Final = [(name, "<" + kind) for name, kind in _EVENT_FIELDS]
DELTA_DTYPE: Final = [(name, kind if kind == "V3" else "<" + kind) for name, kind in _DELTA_FIELDS]
"""For `numpy.dtype(...)`; NumPy isn't needed here."""

_CODES: Final = {"u8": "Q", "i8": "q", "u4": "I", "i4": "i", "u2": "H", "u1": "B", "V3": "3x"}


def _layout(fields: tuple[tuple[str, str], ...]) -> struct.Struct:
    return struct.Struct("<" + "".join(_CODES[kind] for _, kind in fields))


COMMAND: Final = _layout(_COMMAND_FIELDS)
EVENT: Final = _layout(_EVENT_FIELDS)
DELTA: Final = _layout(_DELTA_FIELDS)
COMMAND_BYTES: Final = COMMAND.size
EVENT_BYTES: Final = EVENT.size
DELTA_BYTES: Final = DELTA.size

LIFETIMES: Final = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
"""The times in force that a book has; others are its caller's to keep."""
TYPE_SHIFT: Final = 1
TIME_SHIFT: Final = 3
SELF_TRADE_SHIFT: Final = 5
SHAPE_BITS: Final = 7
"""`shape` of a NEW record: bit 0 sell; bits 1-2 type - 1; bits 3-4 time in force - 1; bits 5-6 self-trade mode."""


def shape_of(
    side: Side,
    order_type: OrderType = OrderType.LIMIT,
    time_in_force: TimeInForce = TimeInForce.GTC,
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
) -> int:
    """The `shape` byte of a NEW record."""
    return (
        (side is Side.SELL)
        | (order_type - 1) << TYPE_SHIFT
        | (time_in_force - 1) << TIME_SHIFT
        | self_trade << SELF_TRADE_SHIFT
    )


class Command(NamedTuple):
    """A command record as Python sees it; units as in docs/book.md. What `submit` takes, from whoever has no bytes."""

    op: Op
    order_id: int = 0
    ts_ns: int = 0
    account: int = 0
    price: int = 0
    quantity: int = 0
    shape: int = 0
    flags: int = 0
    display_quantity: int = 0
    min_quantity: int = 0
    stop_price: int = 0
    window_end_h: int = 0
    baron: int = 0
    tag: int = 0
    features: int = 0
    hours: int = 0
    lot: int = 0
    min_rating: int = 0
    reason: int = 0
    reserved: int = 0

    def pack(self) -> bytes:
        """Its 64 bytes; `struct.error` for a value that its field can't hold."""
        return COMMAND.pack(*(getattr(self, name) for name, _ in _COMMAND_FIELDS))


class BookEvent(NamedTuple):
    """An event record as Python sees it. `flags` of a SESSION event is a Session."""

    kind: EventKind
    order_id: int
    other_id: int
    command: int
    price: int
    quantity: int
    leaves: int
    other_leaves: int
    side: int
    reason: Reason
    flags: int

    def pack(self) -> bytes:
        """Its 40 bytes."""
        return EVENT.pack(*(getattr(self, name) for name, _ in _EVENT_FIELDS))


class Delta(NamedTuple):
    """A level's new totals; `orders` 0: the level is gone. `command` is the one that changed it last."""

    side: Side
    price: int
    unconditional: int
    conditional: int
    orders: int
    command: int

    def pack(self) -> bytes:
        """Its 32 bytes."""
        return DELTA.pack(self.unconditional, self.conditional, self.price, self.orders, self.command, self.side)


# Looked up, since calling an enum takes longer than all the rest of an event.
_KINDS: Final = {int(kind): kind for kind in EventKind}
_REASONS: Final = {int(reason): reason for reason in Reason}


def unpack_command(data: bytes | memoryview) -> Command:
    """The command of 64 bytes, whatever its values; `op` is left a plain number where it is unknown."""
    row = dict(zip((name for name, _ in _COMMAND_FIELDS), COMMAND.unpack(data), strict=True))
    op = row.pop("op")
    return Command(Op(op) if op in Op.__members__.values() else op, **row)


def unpack_events(data: bytes | memoryview) -> Iterator[BookEvent]:
    """The events of a buffer of whole records."""
    for order_id, other_id, command, price, quantity, leaves, other, kind, side, reason, flags in EVENT.iter_unpack(
        data
    ):
        yield BookEvent(
            _KINDS[kind], order_id, other_id, command, price, quantity, leaves, other, side, _REASONS[reason], flags
        )


def unpack_deltas(data: bytes | memoryview) -> Iterator[Delta]:
    """The level deltas of a buffer of whole records."""
    for unconditional, conditional, price, orders, command, side in DELTA.iter_unpack(data):
        yield Delta(Side(side), price, unconditional, conditional, orders, command)
