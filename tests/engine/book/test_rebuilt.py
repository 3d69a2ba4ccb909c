"""L3 from events alone: what each order shows and where it stands, rebuilt as docs/book.md says, is what the book says.

No command is read, and no event twice: whoever follows a book's events has its queues.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import pytest

from engine.book import Book
from engine.kinds import Side
from engine.records import COMMAND_BYTES, EVENT_BYTES, BookEvent, EventFlag, EventKind, unpack_events
from tests.engine.book.cases import BookFactory
from tests.engine.book.flows import segments
from tests.engine.book.flows_regimes import REGIMES

COMMANDS: Final = 2_000
BATCH_COMMANDS: Final = 50
EVENTS_ROOM: Final = 1 << 15


@dataclasses.dataclass
class Shown:
    """An order as its events tell it."""

    side: int
    price: int
    leaves: int
    display: int
    armed: bool
    place: int = 0
    shown: int = 0

    def show(self) -> None:
        self.shown = min(self.display, self.leaves) if self.display else self.leaves


class Queues:
    """All orders of a book, by its events."""

    def __init__(self) -> None:
        self.orders: dict[int, Shown] = {}
        self._places = 0

    def read(self, event: BookEvent) -> None:
        """Take in the next event."""
        match event.kind:
            case EventKind.ACCEPTED:
                armed = bool(event.flags & EventFlag.ARMED)
                order = Shown(event.side, event.price, event.leaves, event.other_leaves, armed)
                self.orders[event.order_id] = order
                self._to_the_back(order)
            case EventKind.TRIGGERED:
                order = self.orders[event.order_id]
                order.armed, order.price, order.leaves = False, event.price, event.leaves
                self._to_the_back(order)
            case EventKind.AMENDED:
                self._amended(self.orders[event.order_id], event)
            case EventKind.TRADE:
                self._filled(event.order_id, event.leaves, 0 if event.flags & EventFlag.AUCTION else event.quantity)
                self._filled(event.other_id, event.other_leaves, 0)
            case EventKind.REFILLED:
                order = self.orders[event.order_id]
                self._to_the_back(order)
                order.shown = event.quantity
            case EventKind.CANCELED:
                self.orders.pop(event.order_id, None)
            case EventKind.REJECTED | EventKind.SESSION | EventKind.CLEARED:
                pass

    def _to_the_back(self, order: Shown) -> None:
        self._places += 1
        order.place = self._places
        order.show()

    def _amended(self, order: Shown, event: BookEvent) -> None:
        order.leaves = event.leaves
        if order.armed:
            return
        if event.flags & EventFlag.KEPT_PRIORITY:
            order.shown = min(order.shown, order.leaves)
        else:
            order.price = event.price
            self._to_the_back(order)

    def _filled(self, order_id: int, leaves: int, slice_taken: int) -> None:
        order = self.orders[order_id]
        order.leaves = leaves
        if not leaves:
            del self.orders[order_id]
        elif slice_taken:
            order.shown -= slice_taken
        else:
            order.show()

    def resting(self, side: Side) -> list[tuple[int, int, int, int]]:
        """Id, price, leaves and what is shown of those at rest, in order of priority."""
        sign = -1 if side is Side.BUY else 1
        there = [(sign * order.price, order.place, order_id) for order_id, order in self.orders.items()]
        line = [(order_id, self.orders[order_id]) for _, _, order_id in sorted(there)]
        return [
            (order_id, order.price, order.leaves, order.shown)
            for order_id, order in line
            if order.side == side and not order.armed
        ]


def told(book: Book, side: Side) -> list[tuple[int, int, int, int]]:
    return [(order.order_id, order.price, order.leaves, order.shown) for order in book.resting(side)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("regime", REGIMES)
def test_the_queues_are_in_the_events(make_book: BookFactory, regime: str) -> None:
    """After each command; and icebergs were among them where the regime has any."""
    icebergs = 0
    for segment in segments(21, COMMANDS, regime):
        book, queues = make_book(segment.limits), Queues()
        for at in range(0, len(segment.commands), COMMAND_BYTES):
            for event in unpack_events(book.submit(memoryview(segment.commands)[at : at + COMMAND_BYTES])):
                queues.read(event)
            for side in Side:
                assert queues.resting(side) == told(book, side), (segment.seed, segment.number, at // COMMAND_BYTES)
            icebergs += any(order.shown < order.leaves and not order.armed for order in queues.orders.values())
    assert icebergs or REGIMES[regime].iceberg == 0


@pytest.mark.timeout(300)
def test_the_queues_are_in_a_batchs_events(make_book: BookFactory) -> None:
    """In one pass over what `batch` wrote, many commands at a time."""
    out = bytearray(EVENTS_ROOM * EVENT_BYTES)
    for segment in segments(22, 5 * COMMANDS, "wild"):
        book, queues = make_book(segment.limits), Queues()
        size = BATCH_COMMANDS * COMMAND_BYTES
        for at in range(0, len(segment.commands), size):
            result = book.batch(memoryview(segment.commands)[at : at + size], out)
            assert result.pending == 0
            for event in unpack_events(memoryview(out)[: result.written * EVENT_BYTES]):
                queues.read(event)
            for side in Side:
                assert queues.resting(side) == told(book, side), (segment.seed, segment.number, at // COMMAND_BYTES)
