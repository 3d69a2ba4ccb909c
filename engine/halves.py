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


class Half(NamedTuple):
    """What makes a machine's order books and hour grids, in the order in which `Machine` takes them."""

    book: Callable[[BookLimits], Book]
    grid: GridFactory


PLAIN: Final = Half(PlainBook, PlainGrid)
"""The law, as simply as it can be said."""


class CompiledHalfMissing(Exception):
    """The compiled half can't be loaded; the message says why, and how to build it."""


def compiled_half() -> Half:
    """What a server runs on; CompiledHalfMissing when it isn't there or doesn't load."""
    try:
        from engine.book_fast import FastBook
        from engine.grid_fast import FastGrid
    except ImportError as error:
        raise CompiledHalfMissing(
            f"the compiled half of the engine isn't here ({error}): build it with `make build`, or in your own environment "
            "with `pip install .`; there is no slower one to fall back to"
        ) from error
    return Half(FastBook, FastGrid)
