"""Scenarios: auctions so crowded that the search for one's own ends at its limit (docs/book.md, check 14).

Strangers' orders at a good price must shut out nobody who has no order of his own on their side; who has one is told
`walk_limit`. Whether he has is a count that every command may change, and each scenario asks it again after one.
"""

from __future__ import annotations

from typing import Final

from engine.book import BookLimits
from engine.records import Command, Session
from tests.engine.book.cases import NOTHING, Case
from tests.engine.book.words import (
    NOW_NS,
    NS_PER_S,
    amend,
    buy,
    cancel,
    mass_cancel,
    reduce,
    sell,
    session,
    tick,
)

_FOUR: Final = BookLimits(max_looked=4, band_ppm=0)
_AUCTION: Final = session(Session.AUCTION)
_CONTINUOUS: Final = session(Session.CONTINUOUS)
_ASKS: Final = tuple(sell(number, 10, 1, account=9) for number in (1, 2, 3, 4, 5))
_BIDS: Final = tuple(buy(number, 30, 1, account=9) for number in (1, 2, 3, 4, 5))
_FAR: Final = sell(6, 20, 4, account=5)
_ENTERS: Final = buy(11, 10, 2, account=5)
_REFUSED: Final = (_ENTERS, "rejected 11 walk_limit")
_LET_IN: Final = (_ENTERS, "accepted 11 buy 2@10 leaves 2")


def _crowd(name: str, *life: Command | str, limits: BookLimits = _FOUR, bids: str | None = None) -> Case:
    """A crowd of asks before trading, and more than one may look at."""
    return Case(f"a crowded auction: {name}", (_AUCTION, *_ASKS, *life), bids=bids, limits=limits)


CROWDS: Final = [
    _crowd("a buyer with no ask is let in", *_LET_IN, bids="2@10"),
    _crowd("account 0 is let in", sell(6, 20, 1), buy(11, 10, 2), "accepted 11 buy 2@10 leaves 2"),
    _crowd("one's own ask behind it", _FAR, *_REFUSED, bids=""),
    _crowd("one's own ask in it", sell(6, 9, 1, account=5), _ENTERS, "rejected 11 self_trade", bids=""),
    _crowd("one's own ask elsewhere, but nobody in the way", _FAR, buy(11, 9, 2, account=5), bids="2@9"),
    _crowd("an iceberg of one's own", sell(6, 20, 4, account=5, display_quantity=1), *_REFUSED),
    _crowd("others' asks aren't one's own", sell(6, 20, 1, account=6), *_LET_IN),
    _crowd("others' bids neither", sell(6, 20, 1, account=6), buy(7, 5, 1, account=5), *_LET_IN),
    Case(
        "a crowded auction: a seller with no bid is let in, one with a bid is not",
        (
            session(Session.PRE_OPEN),
            *_BIDS,
            sell(11, 30, 2, account=5),
            "accepted 11 sell 2@30 leaves 2",
            buy(6, 20, 1, account=6),
            sell(12, 30, 2, account=6),
            "rejected 12 walk_limit",
        ),
        asks="2@30",
        limits=_FOUR,
    ),
    Case(
        "a crowded auction: one's own conditional ask is none that one may not cross",
        (sell(6, 20, 4, account=5, hours=2), _AUCTION, *_ASKS, *_LET_IN),
        limits=_FOUR,
    ),
    *(
        _crowd(f"the only ask is gone by {name}", _FAR, *_REFUSED, *gone, *_LET_IN)
        for name, gone in (
            ("a cancel", (cancel(6),)),
            ("a reduction to nothing", (reduce(6, 4),)),
            ("an amend to nothing", (amend(6, quantity=0),)),
            ("a mass cancel of the account", (mass_cancel(account=5),)),
            ("a cancel in a halt", (session(Session.HALTED), cancel(6), _AUCTION)),
            ("a cancel in continuous trading", (_CONTINUOUS, cancel(6), _AUCTION)),
            ("an amend and then a cancel", (amend(6, price=25), *_REFUSED, cancel(6))),
        )
    ),
    *(
        _crowd(f"the only ask stays after {name}", _FAR, *_REFUSED, *stays, *_REFUSED)
        for name, stays in (
            ("a reduction", (reduce(6, 3),)),
            ("a smaller total", (amend(6, quantity=1),)),
            ("a larger total", (amend(6, quantity=9),)),
            ("another price", (amend(6, price=25),)),
            ("a cancel of another account's", (cancel(5), sell(7, 10, 1, account=6))),
            ("a mass cancel of bids", (mass_cancel(1),)),
            ("a halt", (session(Session.HALTED), _AUCTION)),
            ("continuous trading", (_CONTINUOUS, _AUCTION)),
        )
    ),
    _crowd(
        "of two asks one is cancelled, then the other",
        _FAR,
        sell(7, 21, 1, account=5),
        *_REFUSED,
        cancel(6),
        *_REFUSED,
        cancel(7),
        *_LET_IN,
    ),
    _crowd(
        "all are cancelled, and others come",
        _FAR,
        *_REFUSED,
        mass_cancel(),
        *(sell(number, 10, 1, account=8) for number in (21, 22, 23, 24, 25)),
        *_LET_IN,
    ),
    _crowd(
        "an ask that comes after one was let in",
        *_LET_IN,
        _FAR,
        buy(12, 10, 1, account=5),
        "rejected 12 walk_limit",
        bids="2@10",
    ),
    _crowd(
        "an ask that comes and goes in continuous trading between two",
        *_LET_IN,
        cancel(11),
        _CONTINUOUS,
        _FAR,
        _AUCTION,
        *_REFUSED,
        _CONTINUOUS,
        cancel(6),
        _AUCTION,
        *_LET_IN,
    ),
    _crowd(
        "a bid that is amended into it",
        buy(7, 5, 1, account=5),
        amend(7, price=10),
        "amended 7 buy 1@10 leaves 1",
        amend(7, price=5),
        _FAR,
        amend(7, price=10),
        "rejected 7 walk_limit",
        bids="1@5",
    ),
    _crowd(
        "a clearing fills the only ask, by parts",
        sell(6, 8, 3, account=5),
        _ENTERS,
        "rejected 11 self_trade",
        *(buy(number, 12, 1, account=7) for number in (21, 22)),
        _CONTINUOUS,
        _AUCTION,
        buy(11, 10, 2, account=5),
        "rejected 11 self_trade",
        buy(23, 8, 1, account=7),
        _CONTINUOUS,
        _AUCTION,
        *_LET_IN,
    ),
    _crowd(
        "a clearing that isn't finished, and cancels in the midst of it",
        _FAR,
        sell(7, 21, 1, account=8),
        *_REFUSED,
        *(buy(number, 10, 1, account=7) for number in (21, 22, 23, 24, 25)),
        _CONTINUOUS,
        _ENTERS,
        "rejected 11 session_closed",
        cancel(6),
        tick(),
        _AUCTION,
        *(sell(number, 10, 1, account=8) for number in (31, 32, 33, 34, 35)),
        *_LET_IN,
        buy(12, 10, 1, account=8),
        "rejected 12 self_trade",
    ),
    _crowd(
        "it expires in the midst of it",
        _FAR,
        *_REFUSED,
        session(Session.EXPIRED),
        _ENTERS,
        "rejected 11 session_closed",
        tick(),
        NOTHING,
        bids="",
    ),
    *(
        Case(
            f"a breach into a crowd: the remainder of {name}",
            (
                sell(1, 100, 1),
                buy(2, 100, 1),
                *own,
                *(sell(number, 140, 1, account=9) for number in (4, 5, 6, 7)),
                buy(8, 150, 1, account=5),
                f"session auction x{NOW_NS + 120 * NS_PER_S} reference 100 outside_band",
                *end,
                buy(9, 150, 1, account=7),
                "accepted 9 buy 1@150 leaves 1",
            ),
            bids=bids,
            limits=BookLimits(max_looked=3),
        )
        for name, own, end, bids in (
            (
                "who has an ask behind it goes",
                (sell(3, 200, 1, account=5),),
                ("canceled 8 buy 1@150 walk_limit",),
                "1@150",
            ),
            ("who has none joins", (sell(3, 200, 1, account=6),), (), "2@150x2"),
            ("who has a conditional one joins", (sell(3, 200, 2, account=5, hours=2),), (), "2@150x2"),
        )
    ),
]
