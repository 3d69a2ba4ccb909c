"""What a scenario is, and how a book is led through it: command by command, in batches, and through its own state.

The tables stand in `scenarios*.py`; `test_scenarios.py` runs each of them on each book.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.book import Book, BookLimits, decode_state, encode_state
from engine.kinds import Side
from engine.records import EVENT_BYTES, BookEvent, Command, EventKind, Op, unpack_events
from tests.engine.book.words import depth, line, order_line, queue, stops

BookFactory = Callable[[BookLimits], Book]
NOTHING = "nothing"
"""A command that must write no event."""


class Case(NamedTuple):
    """A scenario: commands, each followed by the lines of the events that it must write.

    A command without lines must only not be rejected. The ACCEPTED of a NEW, if it says just what the record did, may be
    left out. None: not looked at.
    """

    name: str
    life: tuple[Command | str, ...]
    bids: str | None = None
    asks: str | None = None
    bid_queue: str | None = None
    ask_queue: str | None = None
    stops: str | None = None
    orders: dict[int, str] | None = None
    limits: BookLimits = BookLimits()


def steps(case: Case) -> Iterator[tuple[Command, list[str]]]:
    """Each command and the lines that must follow it."""
    command: Command | None = None
    lines: list[str] = []
    for item in (*case.life, None):
        if isinstance(item, str):
            lines.append(item)
            continue
        if command is not None:
            yield command, lines
        command, lines = item, []


def _plainly_accepted(command: Command, event: BookEvent) -> bool:
    quantities = (event.quantity, event.leaves, event.other_leaves)
    said = (event.kind, event.order_id, event.price, quantities, event.flags)
    asked = (command.quantity, command.quantity, command.display_quantity)
    plain = (EventKind.ACCEPTED, command.order_id, command.price, asked, 0)
    return command.op == Op.NEW and said == plain


def check_events(command: Command, lines: list[str], events: bytes) -> None:
    """The events of a command are those of its lines."""
    written = list(unpack_events(events))
    if not lines:
        assert not any(event.kind is EventKind.REJECTED for event in written), (command, [*map(line, written)])
        return
    if written and not lines[0].startswith("accepted") and _plainly_accepted(command, written[0]):
        del written[0]
    assert [line(event) for event in written] == [text for text in lines if text != NOTHING], command


def check_end(case: Case, book: Book) -> None:
    """The book is as the case says."""
    ends = (
        (case.bids, depth(book, Side.BUY)),
        (case.asks, depth(book, Side.SELL)),
        (case.bid_queue, queue(book, Side.BUY)),
        (case.ask_queue, queue(book, Side.SELL)),
        (case.stops, stops(book)),
    )
    for expected, found in ends:
        assert expected is None or expected == found
    for order_id, text in (case.orders or {}).items():
        assert order_line(book.get(order_id)) == text, order_id


def run_single(case: Case, make: BookFactory) -> bytes:
    """One call a command; the events, with the index each would have in one call for all."""
    book = make(case.limits)
    written = bytearray()
    for index, (command, lines) in enumerate(steps(case)):
        events = book.submit(command)
        check_events(command, lines, events)
        for event in unpack_events(events):
            written += event._replace(command=index).pack()
    check_end(case, book)
    return bytes(written)


def run_restored(case: Case, make: BookFactory) -> None:
    """Each command meets a new book that has become what the one before it was, by way of bytes."""
    book = make(case.limits)
    for command, lines in steps(case):
        state = book.state()
        book = make(BookLimits(max_looked=1))
        book.restore(decode_state(encode_state(state)))
        assert book.state() == state
        check_events(command, lines, book.submit(command))
    check_end(case, book)


def run_batch(case: Case, make: BookFactory, room: int) -> bytes:
    """All commands by batches with room for so many events; the events, indexed as in one call."""
    book = make(case.limits)
    records = b"".join(command.pack() for command, _ in steps(case))
    written = bytearray()
    consumed = 0
    while True:
        out = bytearray(room * EVENT_BYTES)
        result = book.batch(memoryview(records)[consumed * 64 :], out)
        written += out[: result.written * EVENT_BYTES]
        consumed += result.consumed
        if not result.pending and consumed * 64 == len(records):
            break
        assert result.written == room
    check_end(case, book)
    return bytes(written)
