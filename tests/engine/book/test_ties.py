"""Prices that tie for an auction's clearing, and which of them the law takes (docs/book.md, "Sessions").

Most volume first, then the least surplus, then the reference's nearest, the middle without one; the surplus is said as it
is at the price that was taken, whichever side others of the tied prices would name.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import pytest

from engine.book import BookLimits, Indicative
from engine.kinds import Side
from engine.records import EventKind, Session, unpack_events
from tests.engine.book.cases import BookFactory
from tests.engine.book.words import buy, line, sell, session

NO_REFERENCE: Final = 0


class Tie(NamedTuple):
    """Orders as (price, quantity) in order of entry, the last price before the auction, and what it says."""

    name: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    said: dict[int, str]
    """What CLEARED says by the reference."""


_TURNS: Final = ((10, 5), (20, 5)), ((5, 5), (11, 5))
"""Between 5 and 20 all prices trade 5 and leave 5: a bid's up to 10, an ask's from 11 on."""
_TIES: Final = (
    Tie(
        "the surplus turns from bids to asks within the tied range",
        *_TURNS,
        {
            1: "buy 5@5 leaves 5",
            5: "buy 5@5 leaves 5",
            10: "buy 5@10 leaves 5",
            11: "sell 5@11 leaves 5",
            20: "sell 5@20 leaves 5",
            30: "sell 5@20 leaves 5",
            NO_REFERENCE: "sell 5@12 leaves 5",
        },
    ),
    Tie(
        "bids alone are in surplus",
        ((20, 9),),
        ((10, 4),),
        {5: "buy 4@10 leaves 5", 15: "buy 4@15 leaves 5", 30: "buy 4@20 leaves 5", NO_REFERENCE: "buy 4@15 leaves 5"},
    ),
    Tie(
        "asks alone are in surplus",
        ((20, 4),),
        ((10, 9),),
        {
            5: "sell 4@10 leaves 5",
            15: "sell 4@15 leaves 5",
            30: "sell 4@20 leaves 5",
            NO_REFERENCE: "sell 4@15 leaves 5",
        },
    ),
    Tie(
        "nobody is in surplus, in a range between two that are",
        ((10, 2), (20, 5)),
        ((5, 5), (15, 3)),
        {5: "5@11", 12: "5@12", 30: "5@14", NO_REFERENCE: "5@12"},
    ),
    Tie(
        "most volume goes before least surplus, and before the reference",
        ((10, 9), (20, 5)),
        ((5, 5), (10, 4), (15, 1)),
        {1: "buy 9@10 leaves 5", 10: "buy 9@10 leaves 5", 30: "buy 9@10 leaves 5"},
    ),
    Tie(
        "a surplus that comes back smaller higher up",
        ((10, 4), (18, 1), (20, 5)),
        ((5, 5), (19, 7)),
        {1: "buy 5@11 leaves 1", 14: "buy 5@14 leaves 1", 30: "buy 5@18 leaves 1"},
    ),
    Tie(
        "the most volume makes the range",
        ((10, 3), (20, 5)),
        ((5, 5), (8, 2), (15, 1)),
        {1: "buy 7@8 leaves 1", 9: "buy 7@9 leaves 1", 30: "buy 7@10 leaves 1"},
    ),
    Tie(
        "one price alone",
        ((10, 5),),
        ((10, 5),),
        {1: "5@10", 30: "5@10", NO_REFERENCE: "5@10"},
    ),
)


_CASES: Final = [(tie, reference, said) for tie in _TIES for reference, said in tie.said.items()]


@pytest.mark.parametrize(("tie", "reference", "said"), _CASES, ids=[f"{case[0].name}: {case[1]}" for case in _CASES])
def test_which_of_the_tied_prices(make_book: BookFactory, tie: Tie, reference: int, said: str) -> None:
    book = make_book(BookLimits())
    before = (sell(98, reference, 1), buy(99, reference, 1)) if reference else ()
    orders = (
        *(buy(number, *bid) for number, bid in enumerate(tie.bids, 1)),
        *(sell(number, *ask) for number, ask in enumerate(tie.asks, 11)),
    )
    book.submit_many([*before, session(Session.AUCTION), *orders])
    would = book.indicative()
    cleared, *trades, opened = unpack_events(book.submit(session(Session.CONTINUOUS)))
    assert line(cleared) == f"cleared {said}"
    side = Side(cleared.side) if cleared.side else 0
    assert would == Indicative(cleared.price, cleared.quantity, cleared.leaves, side)
    assert {(trade.kind, trade.price) for trade in trades} == {(EventKind.TRADE, cleared.price)}
    assert (sum(trade.quantity for trade in trades), opened.kind) == (cleared.quantity, EventKind.SESSION)
