"""The fast book's Python doors: numbers are whole, and nobody enters while another thread is in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from engine.book_fast import FastBook, Order
from engine.kinds import Side
from engine.reasons import Reason
from engine.records import EVENT_BYTES, Command, EventKind, Op, shape_of, unpack_events

NEW = Command(Op.NEW, order_id=1, price=10, quantity=3)


@pytest.mark.parametrize("value", [10.0, 10.9, Decimal(10), "10", None])
@pytest.mark.parametrize("field", ["order_id", "ts_ns", "price", "quantity", "features", "shape", "op"])
def test_what_is_no_whole_number_is_refused_never_cut_off(field: str, value: Any) -> None:
    book = FastBook()
    [event] = unpack_events(book.submit(NEW._replace(**{field: value})))
    assert (event.kind, event.reason) == (EventKind.REJECTED, Reason.MALFORMED_RECORD)
    with pytest.raises(TypeError):
        Order(**{**NEW._asdict(), field: value})
    assert len(book) == 0


class _Meanwhile:
    """A sequence of one command that begins a long batch of the same book in another thread when it is read."""

    def __init__(self, book: FastBook) -> None:
        self._book = book
        commands = (NEW._replace(order_id=number, shape=shape_of(Side.BUY)) for number in range(1, 400_001))
        self._commands = b"".join(command.pack() for command in commands)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._book.batch(self._commands, bytearray(EVENT_BYTES * 400_000))

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Command]:
        self._thread.start()
        while self._thread.is_alive():
            try:
                len(self._book)
            except RuntimeError:
                break
        yield NEW._replace(order_id=500_000)

    def join(self) -> None:
        self._thread.join()


def test_a_batch_that_began_while_commands_were_read_keeps_them_out() -> None:
    book = FastBook()
    commands: Any = _Meanwhile(book)
    with pytest.raises(RuntimeError, match="another thread"):
        book.submit_many(commands)
    commands.join()
    assert len(book) == 400_000
