"""The three ways into the plain book, and what comes out of them: event records, and the deltas of levels.

Every way packs, unpacks and applies one command after another; events wait in one queue until a caller has room for them.
This room knows the layouts and no rule of matching.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from functools import wraps
from operator import index, itemgetter
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from engine.book import BatchResult, Level
from engine.kinds import Side
from engine.reasons import Reason
from engine.records import (
    COMMAND,
    COMMAND_BYTES,
    COMMAND_DTYPE,
    DELTA,
    DELTA_BYTES,
    EVENT,
    EVENT_BYTES,
    Command,
    EventKind,
)

_LAYOUT: Final = [name for name, _ in COMMAND_DTYPE]
_AS_COMMAND: Final[Callable[[tuple[int, ...]], tuple[int, ...]]] = itemgetter(*map(_LAYOUT.index, Command._fields))
"""A record's values in the order of Command's fields."""
_AS_RECORD: Final[Callable[[tuple[Any, ...]], tuple[Any, ...]]] = itemgetter(*map(Command._fields.index, _LAYOUT))
"""And a Command's values in the order of the record's fields."""
_NO_OP: Final[Any] = 0
ORDER_ID_MAX: Final = 2**64 - 1
QUANTITY_FIELD_MAX: Final = 2**32 - 1

_Answer = TypeVar("_Answer")
_Arguments = ParamSpec("_Arguments")


def alone(
    call: Callable[Concatenate[Any, _Arguments], _Answer],
) -> Callable[Concatenate[Any, _Arguments], _Answer]:
    """A method of a book that nobody else may be inside of meanwhile."""

    @wraps(call)
    def guarded(book: Doors, /, *arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Answer:
        book._take_turn()
        try:
            return call(book, *arguments, **named)
        finally:
            book._end_turn()

    return guarded


class Doors(ABC):
    """Commands in, events and deltas out; `_apply` is the book behind."""

    def __init__(self) -> None:
        self._unread: deque[tuple[int, ...]] = deque()
        self._index = 0
        self._changed: dict[tuple[Side, int], int] = {}
        self._keeps_changes = False
        self._turn = [self]

    @abstractmethod
    def _apply(self, command: Command) -> None:
        """Apply one command; whatever it holds, it is answered by events."""

    @abstractmethod
    def _level(self, side: Side, price: int) -> Level:
        """A level's displayed totals now."""

    # ------------------------------------------------------------ in

    def submit(self, order: Any) -> bytes:
        """Apply one command; its event records (rulebook §6, docs/book.md)."""
        return self.submit_many((order,))

    def submit_many(self, orders: Iterable[Any]) -> bytes:
        """Apply commands in order; all event records, each with the index of its command."""
        # All are read before the first is applied: a wrong one leaves the book as it was.
        return self._apply_all([record_of(order) for order in orders])

    @alone
    def _apply_all(self, records: list[bytes]) -> bytes:
        self._keep_changes(False)
        for self._index, record in enumerate(records):
            self._apply(command_of(record, 0))
        events = b"".join(EVENT.pack(*event) for event in self._unread)
        self._unread.clear()
        return events

    @alone
    def batch(self, commands: Any, out: Any, deltas: Any = None) -> BatchResult:
        """Apply packed commands while `out` has room; ValueError where `commands` isn't whole records."""
        records = _bytes_of(commands) // COMMAND_BYTES
        if _bytes_of(commands) % COMMAND_BYTES:
            raise ValueError(f"commands are whole records of {COMMAND_BYTES} bytes")
        room = _room(out, EVENT_BYTES)
        changes_room = 0 if deltas is None else _room(deltas, DELTA_BYTES)
        if _overlap(commands, out, b"" if deltas is None else deltas):
            raise ValueError("commands, out and deltas may not overlap")
        self._keep_changes(deltas is not None)
        written = self._write_events(out, 0, room)
        consumed = 0
        while consumed < records and written < room:
            self._index = consumed
            self._apply(command_of(commands, consumed * COMMAND_BYTES))
            consumed += 1
            written += self._write_events(out, written, room)
        told = self._write_changes(deltas, changes_room)
        return BatchResult(consumed, written, told, len(self._unread))

    def _take_turn(self) -> None:
        # Taking from a list is one step for every thread, so that of two only one gets in.
        try:
            self._turn.pop()
        except IndexError:
            raise RuntimeError("another thread is using this book: give each book one thread at a time") from None

    def _end_turn(self) -> None:
        self._turn.append(self)

    # ------------------------------------------------------------ out

    def _say(
        self,
        kind: EventKind,
        order_id: int = 0,
        side: int = 0,
        price: int = 0,
        quantity: int = 0,
        leaves: int = 0,
        reason: Reason = Reason.NONE,
        flags: int = 0,
        other_id: int = 0,
        other_leaves: int = 0,
    ) -> None:
        """One event of the command that is being applied, in the layout's order."""
        event = order_id, other_id, self._index, price, quantity, leaves, other_leaves, kind, side, reason, flags
        self._unread.append(event)

    def _reject(self, order_id: int, reason: Reason) -> None:
        self._say(EventKind.REJECTED, order_id, reason=reason)

    def _write_events(self, out: Any, written: int, room: int) -> int:
        count = min(len(self._unread), room - written)
        for place in range(written, written + count):
            EVENT.pack_into(out, place * EVENT_BYTES, *self._unread.popleft())
        return count

    def _keep_changes(self, keep: bool) -> None:
        """Begin a call: what an earlier one left untold counts as its first command's; without a buffer it is forgotten."""
        self._keeps_changes = keep
        self._changed = dict.fromkeys(self._changed, 0) if keep else {}

    def _touch(self, side: Side, price: int) -> None:
        """A level changed: it keeps its place in the order of first change, and the command is the last one."""
        if self._keeps_changes:
            self._changed[side, price] = self._index

    def _write_changes(self, deltas: Any, room: int) -> int:
        told = list(self._changed)[:room]
        for place, (side, price) in enumerate(told):
            level = self._level(side, price)
            totals = level.unconditional, level.conditional, price, level.orders, self._changed.pop((side, price))
            DELTA.pack_into(deltas, place * DELTA_BYTES, *totals, side)
        return len(told)


def record_of(order: Any) -> bytes:
    """The 64 bytes of a Command, or of a buffer that holds a record.

    A value that its field can't hold makes a record of no op; ValueError and TypeError as `engine.book.Book.submit` says.
    """
    if not isinstance(order, Command):
        if _bytes_of(order) != COMMAND_BYTES:
            raise ValueError(f"a command is a record of {COMMAND_BYTES} bytes")
        return memoryview(order).tobytes()
    if len(order) != len(Command._fields):
        raise ValueError(f"a command has {len(Command._fields)} fields")
    try:
        return COMMAND.pack(*_AS_RECORD(order))
    except (struct.error, TypeError, OverflowError):
        return Command(_NO_OP, order_id=id_of(order[1])).pack()


def id_of(value: Any) -> int:
    """An order id as whatever Python can use as an index; 0, which is nobody's, for what its field can't hold."""
    try:
        order_id = index(value)
    except (TypeError, OverflowError):
        return 0
    return order_id if 0 <= order_id <= ORDER_ID_MAX else 0


def command_of(records: Any, offset: int) -> Command:
    """The command at a place in a buffer; its `op` is a plain number."""
    return Command._make(_AS_COMMAND(COMMAND.unpack_from(records, offset)))


def saturated(quantity: int) -> int:
    """A sum of quantities as a 32-bit field can say it."""
    return min(quantity, QUANTITY_FIELD_MAX)


def _bytes_of(buffer: Any) -> int:
    view = memoryview(buffer)
    if not view.c_contiguous:
        raise BufferError("give a contiguous buffer")
    return view.nbytes


def _room(buffer: Any, record_bytes: int) -> int:
    if memoryview(buffer).readonly:
        raise BufferError("give a writable buffer")
    return _bytes_of(buffer) // record_bytes


_OTHERS: Final = bytes(range(255, -1, -1))
"""For each byte another one."""


def _overlap(commands: Any, out: Any, deltas: Any) -> bool:
    """Whether two of them share a byte: what is written into one would change what is read from the other."""
    return _shows(commands, out) or _shows(commands, deltas) or _shows(out, deltas)


def _shows(watched: Any, written: Any) -> bool:
    """Whether what is written into one buffer shows in the other; found out by doing so, and put back."""
    if not (_bytes_of(watched) and _bytes_of(written)):
        return False
    before, kept = bytes(watched), bytes(written)
    view = memoryview(written).cast("B")
    view[:] = kept.translate(_OTHERS)
    shows = bytes(watched) != before
    view[:] = kept
    return shows
