"""Every order book, by name: what is tested of one is tested of all."""

from __future__ import annotations

import pytest

from engine.book_fast import FastBook
from engine.book_plain import PlainBook
from tests.engine.book.cases import BookFactory

BOOKS: dict[str, BookFactory] = {"plain": PlainBook, "fast": FastBook}


@pytest.fixture(params=sorted(BOOKS))
def make_book(request: pytest.FixtureRequest) -> BookFactory:
    """Makes an order book with the limits that it is given."""
    return BOOKS[request.param]
