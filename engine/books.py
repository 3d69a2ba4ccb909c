"""Which book a server runs on: the compiled one or none.

A server that fell back to the plain book would be right and many times slower, and nobody would know; so it says what
is missing and stops. Tests and benches that want the plain book name it.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.book import Book, BookLimits


class CompiledBookMissing(Exception):
    """The compiled order book can't be loaded; the message says why, and how to build it."""


def fast_book_factory() -> Callable[[BookLimits], Book]:
    """What makes the server's books; CompiledBookMissing when the compiled half isn't there or doesn't load."""
    try:
        from engine.book_fast import FastBook
    except ImportError as error:
        raise CompiledBookMissing(
            f"the compiled order book isn't here ({error}): build it with `make build`, or in your own environment "
            "with `pip install .`; there is no slower one to fall back to"
        ) from error
    return FastBook
