"""A segment of a random flow, lived by one book under the auditor; the way in is one command at a time."""

from __future__ import annotations

from engine.kinds import Side
from engine.records import COMMAND_BYTES, unpack_command, unpack_events
from tests.engine.book.differential_pair import BookFactory
from tests.engine.book.flows import Segment
from tests.engine.book.laws import Auditor, Breach
from tests.engine.book.table import command_line, event_line

ALL_LEVELS = 1 << 30
LINES_SHOWN = 20


def audited(segment: Segment, factory: BookFactory) -> Auditor:
    """A segment's life under the auditor; Breach, with the last commands, when a law is broken."""
    book, auditor = factory(segment.limits), Auditor(segment.limits)
    lines: list[str] = []
    for at in range(0, len(segment.commands), COMMAND_BYTES):
        record = segment.commands[at : at + COMMAND_BYTES]
        command = unpack_command(record)
        events = list(unpack_events(book.submit(command)))
        lines[:-LINES_SHOWN] = []
        lines.append("\n".join([command_line(record), *(f"    {event_line(event)}" for event in events)]))
        try:
            auditor.feed(command, events)
            assert len(book) == len(auditor), "live orders are those that were told"
            for side in Side:
                assert book.depth(side, ALL_LEVELS) == auditor.depth(side), "the depth is the sum of its orders"
        except AssertionError as breach:
            where = f"seed {segment.seed}, segment {segment.number}, command {at // COMMAND_BYTES}"
            raise Breach("\n".join([*lines, f"{where}: {breach}"])) from breach
    return auditor
