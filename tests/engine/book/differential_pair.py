"""Two books that live the same life: one is fed through every door as the other is, and everything that they say is compared.

Batches with buffers of odd sizes and addresses, single calls, lists, and restores of each other's state in between. Nothing
here knows what a book should do: whatever differs, differs.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from engine.book import Book, BookLimits, decode_state, encode_state
from engine.kinds import Side
from engine.records import COMMAND_BYTES, DELTA_BYTES, EVENT_BYTES, Command, Op, unpack_command

BookFactory = Callable[[BookLimits], Book]

STEP_COMMANDS: Final = (1, 1, 1, 2, 3, 7, 20, 64, 200, 700)
OUT_ROOMS: Final = (0, 1, 39, 40, 41, 79, 80, 200, 999, 4_000, 4_000, 64_000, 64_000)
DELTA_ROOMS: Final = (-1, 0, 31, 32, 33, 100, 3_200, 64_000, 64_000)
"""Bytes; -1: no buffer at all."""
ENOUGH: Final = 1 << 16
UNTOUCHED: Final = 0xA5
CHECK_EVERY: Final = 300
LONG: Final = 15_000
LOOKS_AT_A_CROWD: Final = 6


def fast_book() -> BookFactory:
    """The compiled book."""
    factory: BookFactory = importlib.import_module("engine.book_fast").FastBook
    return factory


def order_of(factory: BookFactory) -> Callable[..., Any]:
    """What makes this book's own kind of order, of a command's fields; a Command where it has none."""
    makes: Callable[..., Any] = getattr(importlib.import_module(factory.__module__), "Order", Command)
    return makes


class Way(IntEnum):
    """How a step's commands go in."""

    BATCH = 0
    SUBMIT = 1
    SUBMIT_MANY = 2
    SUBMIT_ORDERS = 3
    """As SUBMIT, the other book given orders of its own kind."""
    SUBMIT_MANY_ORDERS = 4


class Check(IntEnum):
    """What is compared after a step, besides what came out."""

    GLANCE = 0
    ALL = 1
    RESTORE = 2
    """All, and both books go on as new ones made of the other's state."""


class Step(NamedTuple):
    """Some commands, the way in, and the room for what comes out."""

    way: Way
    commands: tuple[bytes, ...]
    out_room: int = ENOUGH
    delta_room: int = ENOUGH
    offset: int = 0
    """Where the buffers begin in theirs: a record need not be aligned."""
    check: Check = Check.GLANCE


class Difference(AssertionError):
    """The books differ; `step` is where, `what` is what."""

    def __init__(self, step: int, what: str, plain: object, other: object) -> None:
        super().__init__(f"step {step}, {what}:\n  plain {plain}\n  other {other}")
        self.step = step
        self.what = what


def plan(chance: random.Random, commands: bytes) -> Iterator[Step]:
    """A segment's commands in steps of every way and size, with buffers of every size."""
    records = [commands[at : at + COMMAND_BYTES] for at in range(0, len(commands), COMMAND_BYTES)]
    done = checked = 0
    # A crowd is seldom looked at whole: that takes the longer the more live.
    check_every = CHECK_EVERY if len(records) <= LONG else len(records) // LOOKS_AT_A_CROWD
    while done < len(records):
        taken = tuple(records[done : done + chance.choice(STEP_COMMANDS)])
        done += len(taken)
        check = Check.GLANCE
        if done - checked >= check_every or done == len(records):
            checked = done
            check = chance.choice([Check.ALL, Check.ALL, Check.RESTORE])
        draw = chance.random()
        way = Way.BATCH if draw < 0.7 else chance.choice(list(Way))
        offset = chance.choice([0, 0, 0, 1, 3, 7])
        yield Step(way, taken, chance.choice(OUT_ROOMS), chance.choice(DELTA_ROOMS), offset, check)


class Pair:
    """Two books that live the same life."""

    def __init__(self, limits: BookLimits, plain: BookFactory, other: BookFactory) -> None:
        self.limits = limits
        self.factories = plain, other
        self.books = plain(limits), other(limits)
        self.at = 0

    def run(self, steps: Sequence[Step]) -> None:
        """Apply them; Difference at the first thing that isn't equal."""
        for self.at, step in enumerate(steps):
            self._apply(step)
            self._glance()
            if step.check is not Check.GLANCE:
                self.compare(step.commands)
            if step.check is Check.RESTORE:
                self.restore()

    def same(self, what: str, ask: Callable[[Book], object]) -> Any:
        """What both answer."""
        plain, other = (ask(book) for book in self.books)
        if plain != other:
            raise Difference(self.at, what, plain, other)
        return plain

    def _apply(self, step: Step) -> None:
        if step.way is Way.BATCH:
            self._batch(step)
            return
        commands = [unpack_command(record) for record in step.commands]
        own: Callable[..., Any] = Command
        if step.way in (Way.SUBMIT_ORDERS, Way.SUBMIT_MANY_ORDERS):
            own = order_of(self.factories[1])
        many = step.way in (Way.SUBMIT_MANY, Way.SUBMIT_MANY_ORDERS)
        for call in [commands] if many else [[command] for command in commands]:
            plain, other = self.books
            if many:
                answers = plain.submit_many(call), other.submit_many([own(*command) for command in call])
            else:
                answers = plain.submit(call[0]), other.submit(own(*call[0]))
            self._equal(f"the events of {step.way.name.lower()}", *answers)

    def _equal(self, what: str, plain: object, other: object) -> None:
        if plain != other:
            raise Difference(self.at, what, _shortest(plain, other), _shortest(other, plain))

    def _batch(self, step: Step) -> None:
        data = b"".join(step.commands)
        room = step.out_room
        while True:
            consumed, pending = self._call(data, step, room)
            data = data[consumed * COMMAND_BYTES :]
            if not data and not pending:
                return
            # A room that takes no event would stand still for ever.
            room = step.out_room if step.out_room >= EVENT_BYTES and len(data) < 64 * COMMAND_BYTES else ENOUGH

    def _call(self, data: bytes, step: Step, room: int) -> tuple[int, int]:
        answers = []
        for book in self.books:
            out, deltas = bytearray([UNTOUCHED]) * (step.offset + room), None
            if step.delta_room >= 0:
                deltas = bytearray([UNTOUCHED]) * (step.offset + step.delta_room)
            shifted = memoryview(bytes(step.offset) + data)[step.offset :]
            result = book.batch(
                shifted, memoryview(out)[step.offset :], None if deltas is None else memoryview(deltas)[step.offset :]
            )
            answers.append((tuple(result), bytes(out), bytes(deltas or b"")))
        plain, other = answers
        for what, one, two in zip(("the result of batch", "the events of batch", "deltas"), plain, other, strict=True):
            self._equal(what, one, two)
        (consumed, written, told, pending), out_bytes, delta_bytes = plain
        spare = out_bytes[step.offset + written * EVENT_BYTES :] + delta_bytes[step.offset + told * DELTA_BYTES :]
        if spare.strip(bytes([UNTOUCHED])):
            raise Difference(self.at, "bytes behind the last record", "written", "written")
        return consumed, pending

    def _glance(self) -> None:
        self.same(
            "len, session, last price, stops due, next stop, clearing price",
            lambda book: (
                len(book),
                book.session,
                book.last_price,
                book.stops_due,
                book.next_stop(),
                book.clearing_price,
            ),
        )

    def compare(self, commands: Sequence[bytes] = ()) -> None:
        """All that can be asked of a book."""
        self.same("state", lambda book: encode_state(book.state()))
        self.same("reference", lambda book: book.reference())
        self.same("indicative", lambda book: book.indicative())
        for side in Side:
            for levels in (0, 1, 5, 1 << 30):
                self.same(f"depth of {side.name}", lambda book, s=side, n=levels: book.depth(s, n))  # type: ignore[misc]
            for orders in (None, 0, 3):
                self.same(f"resting of {side.name}", lambda book, s=side, n=orders: list(book.resting(s, n)))  # type: ignore[misc]
        for record in commands[-3:]:
            command = unpack_command(record)
            self.same("contains", lambda book, i=command.order_id: (i in book, _got(book, i)))  # type: ignore[misc]
            if command.op == Op.NEW and command.quantity:
                self.same("walk", lambda book, c=command: _told(book.walk, c))  # type: ignore[misc]
                self.same("protection", lambda book, c=command: _told(book.protection, c))  # type: ignore[misc]

    def restore(self) -> None:
        """Both go on as new books that became what the other was."""
        plain, other = (book.state() for book in self.books)
        self.books = self.factories[0](BookLimits()), self.factories[1](BookLimits())
        for book, state in zip(self.books, (other, plain), strict=True):
            book.restore(decode_state(encode_state(state)))
        self.same("a restored state", lambda book: (encode_state(book.state()), book.state() == plain))


def _told(question: Callable[[Any], object], command: Any) -> object:
    """Its answer; ValueError where the record is malformed."""
    try:
        return question(command)
    except ValueError:
        return ValueError


def _got(book: Book, order_id: int) -> object:
    try:
        return book.get(order_id)
    except KeyError as error:
        return error.args


def _shortest(one: object, other: object) -> object:
    """Of two differing byte strings, what stands around the first difference."""
    if not isinstance(one, bytes) or not isinstance(other, bytes):
        return one
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"{len(one)} bytes, from {at}: {one[at : at + 8].hex()}"
