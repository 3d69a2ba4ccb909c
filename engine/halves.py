"""Which half of the engine a server runs on: the compiled one or none.

A server that fell back to the plain book and grid would be right and many times slower, and nobody would know; so it says
what is missing and stops. Tests and benches that want the plain half name it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.book import Book, BookLimits
from engine.book_plain import PlainBook
from engine.grid import GridFactory
from engine.grid_plain import PlainGrid
from engine.limits import Limits
from engine.machine import Machine


class Half(NamedTuple):
    """What makes machines, and their order books and hour grids."""

    book: Callable[[BookLimits], Book]
    grid: GridFactory
    kind: type[Machine] = Machine

    def machine(self, shard: int, limits: Limits) -> Machine:
        """A machine that has seen no command yet."""
        return self.kind(shard, limits, self.book, self.grid)

    def restored(self, data: bytes) -> Machine:
        """The machine of a snapshot; `engine.codec.DecodeError` when the bytes aren't one."""
        return self.kind.restore(data, self.book, self.grid)


PLAIN: Final = Half(PlainBook, PlainGrid)
"""The law, as simply as it can be said."""


class CompiledHalfMissing(Exception):
    """The compiled half can't be loaded; the message says why, and how to build it."""


def compiled_half() -> Half:
    """What a server runs on; CompiledHalfMissing when it isn't there or doesn't load."""
    try:
        from engine.book_fast import FastBook
        from engine.compiled.machine import FastMachine
        from engine.grid_fast import FastGrid
    except ImportError as error:
        raise CompiledHalfMissing(
            f"the compiled half of the engine isn't here ({error}): build it with `make build`, or in your own environment "
            "with `pip install .`; there is no slower one to fall back to"
        ) from error
    return Half(FastBook, FastGrid, FastMachine)
