"""The fast decoder's second fuzzer: random and mutated records by the hundred thousand, over the sanitized build alone.

`python -m tests.fuzz.book_records LIBRARY SECONDS SEED`. Records of random lives are given each other's fields, extreme
values and random bytes, and go in by `batch` with buffers of odd sizes and places. No book stands beside it: what is
looked for is a byte touched where none should be, a result that can't be, and a state that can't be taken up again.
"""

from __future__ import annotations

import importlib
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.engine.book.differential_sanitized import use

RECORD: Final = 64
EVENT: Final = 40
POOL_COMMANDS: Final = 40_000
LIFE_CHUNKS: Final = 12
CHUNKS: Final = (1, 7, 60, 400, 2_000)
ROOMS: Final = (0, 39, 40, 200, 4_001, 100_000)
FIELDS: Final = (
    *((start, 8) for start in (0, 8)),
    *((start, 4) for start in range(16, 52, 4)),
    *((start, 2) for start in range(52, 58, 2)),
    *((start, 1) for start in range(58, 64)),
)
"""Of a command record: where a field begins, and its bytes."""
TIME: Final = FIELDS[1]
EXTREMES: Final = (0, 1, 2, 3, 0x7F, 0x80, 0xFF)
NS_PER_S: Final = 10**9


def mutated(chance: random.Random, pool: bytes) -> bytearray:
    """Some records of the pool, side by side there, of which a few have other fields or no sense at all."""
    count = chance.choice(CHUNKS)
    first = chance.randrange(len(pool) // RECORD - count)
    records = bytearray(pool[first * RECORD : (first + count) * RECORD])
    for _ in range(int(count * chance.choice([0, 0.02, 0.1, 0.5])) + 1):
        at = chance.randrange(count) * RECORD
        start, size = chance.choice(FIELDS)
        # A wild time refuses all that comes after it: seldom.
        if (start, size) == TIME and chance.random() < 0.9:
            continue
        draw = chance.random()
        if draw < 0.4:
            other = chance.randrange(len(pool) // RECORD) * RECORD + start
            records[at + start : at + start + size] = pool[other : other + size]
        elif draw < 0.8:
            records[at + start : at + start + size] = bytes([chance.choice(EXTREMES)]) * size
        elif draw < 0.95:
            records[at + start : at + start + size] = chance.randbytes(size)
        else:
            records[at : at + 8] = chance.randbytes(8)
            records[at + 16 : at + RECORD] = chance.randbytes(RECORD - 16)
    return records


def fed(book: Any, chance: random.Random, records: bytearray) -> None:
    """All of the records through `batch`; RuntimeError for a result that can't be."""
    data = memoryview(records)
    while True:
        place, room = chance.choice([0, 1, 5]), chance.choice(ROOMS)
        out = memoryview(bytearray(place + room))[place:]
        deltas = memoryview(bytearray(place + chance.choice(ROOMS)))[place:] if chance.random() < 0.5 else None
        result = book.batch(data, out, deltas)
        whole = len(data) // RECORD
        idle = result.consumed < whole and (result.written + 1) * EVENT <= room
        if result.consumed > whole or result.written * EVENT > room or idle:
            raise RuntimeError(f"{result} of {whole} records, room for {room} bytes")
        data = data[result.consumed * RECORD :]
        if not data and not result.pending:
            return


def looked_at(book: Any, make: Any, codec: Any, sides: Sequence[Any]) -> None:
    """All that a book says, and a new book made of it; RuntimeError when that isn't the same."""
    state = codec.encode_state(book.state())
    for side in sides:
        book.depth(side, 1 << 30)
    book.indicative()
    book.reference()
    again = make(codec.BookLimits())
    again.restore(codec.decode_state(state))
    if codec.encode_state(again.state()) != state:
        raise RuntimeError("a book made of a state has another")


def main(library: str, seconds: str, seed: str) -> int:
    """Play until the time is over; prints how many records that were."""
    use(Path(library).resolve())
    flows = importlib.import_module("tests.engine.book.flows")
    codec, make = importlib.import_module("engine.book"), importlib.import_module("engine.book_fast").FastBook
    sides = list(importlib.import_module("engine.kinds").Side)
    pool = b"".join(segment.commands for segment in flows.segments(int(seed), POOL_COMMANDS))
    chance, count = random.Random(int(seed)), 0
    end_ns = time.monotonic_ns() + int(seconds) * NS_PER_S
    while time.monotonic_ns() < end_ns:
        book = make(flows.random_limits(chance))
        for _ in range(LIFE_CHUNKS):
            records = mutated(chance, pool)
            fed(book, chance, records)
            count += len(records) // RECORD
        looked_at(book, make, codec, sides)
    print(f"{count:,} records")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
