"""What the fast book takes of the machine's memory, asked of the kernel, in a process of its own for each figure:
`python -m bench.order_books.memory orders|books COUNT` prints bytes for each.

Pages that a process touched are what a machine runs out of, so the resident set is measured, and not what was asked for.
"""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.order_books.engines import BATCH, EVENTS_ROOM
from bench.order_books.flows import FAIR
from engine.book_fast import FastBook
from engine.kinds import Side
from engine.records import EVENT_BYTES, Command, Op, shape_of

ROOT: Final = Path(__file__).resolve().parents[2]
TIMEOUT_S: Final = 300
LEVELS: Final = 300
_KB: Final = 1_024


def measured(what: str, count: int) -> float:
    """Bytes for each of so many resting `orders` of one book, or empty `books`; a process of its own measures them."""
    command = [sys.executable, "-m", "bench.order_books.memory", what, str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return float(done.stdout)


def resident_bytes() -> int:
    """The process's memory, without what it shares with others (the programs' own code)."""
    # The kernel's own sum over all pages: the counters in `status` lag behind by some dozens of pages.
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return _KB * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


def orders_bytes(count: int) -> float:
    """Bytes for each plain limit order at rest, as they lie near the touch."""
    out = bytearray(EVENTS_ROOM * EVENT_BYTES)
    book = FastBook()
    settle()
    before = resident_bytes()
    for first in range(1, count + 1, BATCH):
        # Made on the way: a list of all would leave room behind that the book could take unseen.
        book.batch(b"".join(resting(number) for number in range(first, min(first + BATCH, count + 1))), out)
    assert len(book) == count
    return (resident_bytes() - before) / count


def resting(number: int) -> bytes:
    """An order that crosses none of the others: buys and sells by turns, over a few hundred prices."""
    sells = number % 2
    distance = 1 + number * 7_919 % LEVELS
    shape = shape_of(Side.SELL if sells else Side.BUY)
    price = FAIR + distance if sells else FAIR - distance
    return Command(Op.NEW, number, price=price, quantity=1 + number % 100, account=1 + number % 200, shape=shape).pack()


def books_bytes(count: int) -> float:
    """Bytes for each book that has just been made, its Python object included."""
    books: list[FastBook | None] = [None] * (2 * count)
    # As many before: what they take is what was free in the process, so that those that count are given new memory.
    for index in range(count):
        books[index] = FastBook()
    settle()
    before = resident_bytes()
    for index in range(count, 2 * count):
        books[index] = FastBook()
    return (resident_bytes() - before) / count


def settle() -> None:
    """Give the system what the process has no use for, so that what comes is not put into old places unseen."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def main(arguments: Sequence[str]) -> int:
    """Measure one figure and print it."""
    what, count = arguments
    print({"orders": orders_bytes, "books": books_bytes}[what](int(count)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
