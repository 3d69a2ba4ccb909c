"""An order flow's columns of text as command records (engine.records), a whole block of rows at a time.

A column is read and packed at once, since Python does that several times faster than row by row; whoever calls this splits
the rows, and narrows down the one to blame when a block isn't plain. It knows words, numbers and where a record keeps them;
it never knows files, CSV or a rule of matching.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count, islice, repeat
from typing import Any, Final, NamedTuple, Protocol

from engine.kinds import OrderType, Side, TimeInForce, edge_name
from engine.records import COMMAND_BYTES, COMMAND_DTYPE, LIFETIMES, Command, Flag, Given, Op, SelfTrade, shape_of

COLUMNS: Final = tuple(
    "ts_ns op order_id account side type tif price quantity post_only display_quantity min_quantity stop_price stp".split()
)
USED: Final = {
    "cancel": frozenset(("ts_ns", "op", "order_id", "account")),
    "amend": frozenset(("ts_ns", "op", "order_id", "account", "price", "quantity")),
}
"""The columns that an op looks at, where they aren't all."""

OPS: Final = {"": Op.NEW, "new": Op.NEW, "amend": Op.AMEND, "cancel": Op.CANCEL}
SIDES: Final = {edge_name(side): side for side in Side}
TYPES: Final = {"": OrderType.LIMIT} | {edge_name(kind): kind for kind in (OrderType.LIMIT, OrderType.MARKET)}
STOPS: Final = {OrderType.LIMIT: OrderType.STOP_LIMIT, OrderType.MARKET: OrderType.STOP}
TIMES: Final = {edge_name(time): time for time in LIFETIMES}
MODES: Final = {"": SelfTrade.CANCEL_NEWEST} | {edge_name(mode): mode for mode in SelfTrade}
POST_ONLY: Final = {"": Flag(0), "0": Flag(0), "1": Flag.POST_ONLY}

KINDS_KEPT: Final = 4_096
"""Combinations of words that are remembered; there are fewer that mean something."""
DEFAULT: Final = ""
NOBODY: Final = ""

Columns = Mapping[str, Sequence[str]]


class Field(NamedTuple):
    """Where a record keeps a number: its bytes, and the array code of its type."""

    offset: int
    size: int
    code: str


def fields_of(layout: Sequence[tuple[str, str]]) -> dict[str, Field]:
    """The fields of a record without padding, from its NumPy dtype."""
    codes = {"u8": "Q", "i8": "q", "u4": "I", "i4": "i", "u2": "H", "u1": "B"}
    fields, offset = {}, 0
    for name, kind in layout:
        size = int(kind[2:])
        fields[name] = Field(offset, size, codes[kind[1:]])
        offset += size
    return fields


FIELDS: Final = fields_of(COMMAND_DTYPE)
NUMBERS: Final = ("price", "quantity", "display_quantity", "min_quantity", "stop_price")
KIND_FIELD: Final = Field(FIELDS["op"].offset, 4, "I")
"""op, shape, flags and reserved, written as one number."""
BIG_ENDIAN: Final = array("H", [1]).tobytes()[0] == 0


class Numbers(Protocol):
    """Anything that says which numbers are in it: a set, a book."""

    def __contains__(self, number: int, /) -> bool: ...


class Names:
    """A number for each name that is met, from 1; `of` is the way back. Without a name: 0."""

    def __init__(self) -> None:
        self.of: dict[int, str] = {}
        self._numbers = defaultdict[str, int](count(1).__next__, {NOBODY: 0})

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, names: Sequence[str]) -> list[int]:
        """The numbers of these names, of the new ones too."""
        known = len(self._numbers)
        numbers = list(map(self._numbers.__getitem__, names))
        if new := len(self._numbers) - known:
            # They stand at the end, newest last.
            met = (reversed(view) for view in (self._numbers.values(), self._numbers))
            self.of.update(islice(zip(*met, strict=True), new))
        return numbers

    def forget(self, live: Numbers) -> None:
        """All names but those whose number is in `live`."""
        self.of = {number: name for number, name in self.of.items() if number in live}
        self._numbers.clear()
        self._numbers[NOBODY] = 0
        self._numbers.update((name, number) for number, name in self.of.items())


class Kinds(dict[tuple[Any, ...], int]):
    """The last four bytes of a record for a combination of words; KeyError where one of them is no word of its column."""

    def __missing__(self, words: tuple[Any, ...]) -> int:
        op_word, side, kind, tif, post_only, mode, stop, price, quantity = words
        op, shape, flags = OPS[op_word], 0, 0
        if op is Op.NEW:
            order_type = TYPES[kind]
            default = TimeInForce.IOC if order_type is OrderType.MARKET else TimeInForce.GTC
            time_in_force = TIMES[tif] if tif else default
            flags = POST_ONLY[post_only]
            shape = shape_of(SIDES[side], STOPS[order_type] if stop else order_type, time_in_force, MODES[mode])
        elif op is Op.AMEND:
            flags = (Given.PRICE if price else 0) | (Given.QUANTITY if quantity else 0)
        number = int.from_bytes(Command(op, shape=shape, flags=flags).pack()[KIND_FIELD.offset :], "little")
        if len(self) < KINDS_KEPT:
            self[words] = number
        return number


class Run(NamedTuple):
    """Rows that were read, one after another, and their command records."""

    ts_ns: Sequence[int]
    order_ids: Sequence[str]
    commands: bytearray


class Packer:
    """Packs columns into records; numbers the names of orders and accounts, and fills in times that are left out."""

    def __init__(self) -> None:
        self.orders = Names()
        self.accounts = Names()
        self._kinds = Kinds()
        self._ts_ns = 0

    def pack(self, columns: Columns) -> Run:
        """The records of these rows. ValueError, KeyError or OverflowError when one isn't plain; then nothing came of it,
        but that some names may have got their number.

        columns: by name, all of one length above 0, `order_id` among them; one that isn't there is empty in every row.
        """
        order_ids = columns["order_id"]
        if not all(order_ids):
            raise ValueError("order_id is empty")
        rows = len(order_ids)
        commands = bytearray(COMMAND_BYTES * rows)
        times = _numbers(columns, "ts_ns", mixed=False) or [self._ts_ns] * rows
        _put(commands, FIELDS["ts_ns"], times)
        numbers = {name: _numbers(columns, name) for name in NUMBERS}
        for name, values in numbers.items():
            if values is not None:
                _put(commands, FIELDS[name], values)
        _put(commands, KIND_FIELD, self._kinds_of(columns, rows, numbers["stop_price"]))
        accounts = columns.get("account", ())
        if any(accounts):
            _put(commands, FIELDS["account"], self.accounts.number(accounts))
        _put(commands, FIELDS["order_id"], self.orders.number(order_ids))
        self._ts_ns = times[-1]
        return Run(times, order_ids, commands)

    def _kinds_of(self, columns: Columns, rows: int, stops: Sequence[int] | None) -> list[int]:
        empty = (DEFAULT,) * rows
        words = (columns.get(name, empty) for name in ("op", "side", "type", "tif", "post_only", "stp"))
        has_stop = repeat(False, rows) if stops is None else map(bool, stops)
        given = (map(bool, columns.get(name, empty)) for name in ("price", "quantity"))
        return list(map(self._kinds.__getitem__, zip(*words, has_stop, *given, strict=True)))


def plain_number(text: str) -> bool:
    """Whether it is a number as columns write them: digits alone, none of them of another script's."""
    return text.isascii() and text.isdigit()


def _numbers(columns: Columns, name: str, mixed: bool = True) -> array[int] | None:
    """A column's numbers, None when all are empty; an empty one among others counts 0, or is a ValueError if not `mixed`.

    OverflowError for one that its field can't hold.
    """
    column = columns.get(name, ())
    text = "".join(column)
    if not text:
        return None
    if not plain_number(text):
        raise ValueError(f"{name} has something that isn't a number")
    numbers = [int(cell) if cell else 0 for cell in column] if mixed and "" in column else map(int, column)
    return array(FIELDS[name].code, numbers)


def _put(commands: bytearray, field: Field, values: Sequence[int]) -> None:
    """Write the same field of all records at once."""
    column: Any = values if isinstance(values, array) else array(field.code, values)
    if BIG_ENDIAN:
        column = array(field.code, column)
        column.byteswap()
    code: Any = field.code
    words: Any = memoryview(commands).cast(code)
    words[field.offset // field.size :: COMMAND_BYTES // field.size] = memoryview(column)
