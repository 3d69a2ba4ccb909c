"""The batch decoder's fuzzer: any bytes as commands, buffers of odd sizes, and the plain book beside the fast one.

`python -m tests.fuzz.book_decoder fuzz CORPUS -runs=N -seed=S` lets libFuzzer (by way of atheris) look for inputs that take
the plain book to new places: the law's branches are what guides it. `python -m tests.fuzz.book_decoder LIBRARY CORPUS`
plays what it found over the sanitized build (`differential_sanitized.py`).
"""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from typing import Any, Final

from tests.engine.book.differential_sanitized import ROOT, use

FUZZED: Final = tuple(sorted(f"engine.{path.stem}" for path in (ROOT / "engine").glob("book_plain*.py")))
HEAD_BYTES: Final = 2
INPUT_BYTES: Final = HEAD_BYTES + 64 * 64
NAMES_OP: Final = 60
"""Where in a record its op stands."""


class Player:
    """Plays inputs; made after the books' modules are as the run wants them."""

    def __init__(self) -> None:
        pair = importlib.import_module("tests.engine.book.differential_pair")
        flows = importlib.import_module("tests.engine.book.flows")
        self.plain = importlib.import_module("engine.book_plain").PlainBook
        self.pair: Any = pair
        self.fast = pair.fast_book()
        self.limits = [flows.random_limits(random.Random(number)) for number in range(256)]

    def play(self, data: bytes) -> None:
        """Both books over an input; AssertionError where they differ. Its first bytes choose the limits and the buffers."""
        if len(data) < HEAD_BYTES:
            return
        limits, commands = self.limits[data[0]], data[HEAD_BYTES:INPUT_BYTES]
        whole = len(commands) // 64 * 64
        books = self.pair.Pair(limits, self.plain, self.fast)
        if whole != len(commands):
            books.same("the refusal of part of a record", lambda book: _refused(book, commands))
        steps = list(self.pair.plan(random.Random(data[1]), commands[:whole]))
        try:
            books.run(steps)
            books.compare()
        except AssertionError as difference:
            shrink = importlib.import_module("tests.engine.book.differential_shrink")
            segment = importlib.import_module("tests.engine.book.flows").Segment(0, 0, limits, commands[:whole])
            raise AssertionError(shrink.report(segment, steps, self.plain, self.fast, difference)) from difference


def _refused(book: Any, commands: bytes) -> bool:
    try:
        book.batch(commands, bytearray(4_000))
    except ValueError:
        return True
    return False


def mutated(atheris: Any, data: bytes, max_size: int, seed: int) -> bytes:
    """A new input: mostly records moved, doubled, dropped or given another's field; else libFuzzer's own changes of bytes."""
    chance = random.Random(seed)
    head, body = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"), data[HEAD_BYTES:]
    records = [body[at : at + 64] for at in range(0, len(body) - 63, 64)]
    if len(records) < 2 or chance.random() < 0.4:
        changed: bytes = atheris.Mutate(data, min(max_size, INPUT_BYTES))
        return changed
    at, other = chance.randrange(len(records)), chance.randrange(len(records))
    start, size = chance.choice(
        [(0, 8), (8, 8), (16, 4), (20, 4), (24, 4), (28, 4), (32, 4), (36, 4), (40, 4), (60, 3)]
    )
    match chance.randrange(5):
        case 0:
            records[at], records[other] = records[other], records[at]
        case 1:
            records.insert(at, records[other])
        case 2:
            del records[at]
        case 3:
            field = records[other][start : start + size]
            records[at] = records[at][:start] + field + records[at][start + size :]
        case _:
            changed_op = bytes([chance.randrange(1, 11)])
            records[at] = records[at][:NAMES_OP] + changed_op + records[at][NAMES_OP + 1 :]
    return (head + b"".join(records))[: min(max_size, INPUT_BYTES)]


def fuzz(arguments: list[str]) -> None:
    """libFuzzer's own arguments; ends the process."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=list(FUZZED)):
        for name in FUZZED:
            importlib.import_module(name)
    player = Player()

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        return mutated(atheris, data, max_size, seed)

    atheris.Setup([sys.argv[0], *arguments], player.play, custom_mutator=mutate)
    atheris.Fuzz()


def replay(library: str, corpus: str) -> None:
    """Every input of a corpus over the sanitized build."""
    use(Path(library).resolve())
    player = Player()
    inputs = sorted(Path(corpus).iterdir())
    for path in inputs:
        player.play(path.read_bytes())
    print(f"{len(inputs)} inputs, sanitized and equal")


if __name__ == "__main__":
    if sys.argv[1] == "fuzz":
        fuzz(sys.argv[2:])
    else:
        replay(*sys.argv[1:])
