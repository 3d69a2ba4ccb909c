"""Scenarios: who takes part in an auction: asks whose hours are over don't, and nobody looks for his own without end.

Rulebook §4 and §6; docs/book.md, check 14 and "Clearing".
"""

from __future__ import annotations

from typing import Final

from engine.book import BookLimits
from engine.records import Op, Session
from tests.engine.book.cases import Case
from tests.engine.book.words import (
    NOW_H,
    NOW_NS,
    NS_PER_S,
    amend,
    buy,
    cancel,
    does,
    sell,
    session,
    tick,
)

_HOUR_NS: Final = 3_600 * NS_PER_S
_PRE_OPEN, _AUCTION = session(Session.PRE_OPEN), session(Session.AUCTION)
_CONTINUOUS: Final = session(Session.CONTINUOUS)
_LATER: Final = NOW_NS + 1
"""When less than an hour is left of a window that ends an hour from now."""
_SHORT, _LONG = NOW_H + 1, NOW_H + 9

WINDOWS: Final = [
    Case(
        "an ask of whose window an hour is left takes part",
        (
            _AUCTION,
            sell(1, 9, 2, window_end_h=_SHORT),
            buy(2, 10, 3),
            _CONTINUOUS,
            "cleared buy 2@9 leaves 1",
            "trade auction 1 x2 2@9 other 1",
            "session continuous reference 9",
        ),
        asks="",
        bids="1@10",
    ),
    Case(
        "an ask of whose window less is left takes no part and stays, and the price is reckoned without it",
        (
            _AUCTION,
            sell(1, 5, 9, window_end_h=_SHORT),
            sell(2, 9, 2, window_end_h=_LONG),
            buy(3, 10, 3),
            session(Session.CONTINUOUS, ts_ns=_LATER),
            "cleared buy 2@9 leaves 1",
            "trade auction 2 x3 2@9 other 1",
            "session continuous reference 9",
        ),
        asks="9@5",
        bids="1@10",
    ),
    Case(
        "where only such an ask crosses nothing clears",
        (
            _AUCTION,
            sell(1, 5, 9, window_end_h=_SHORT),
            buy(2, 10, 3),
            session(Session.CONTINUOUS, ts_ns=_LATER),
            "session continuous",
        ),
        asks="9@5",
        bids="3@10",
    ),
    Case(
        "a window that ends in the midst of a clearing: its ask takes part no more, and what still crosses clears anew",
        (
            _AUCTION,
            *(sell(number, 8, 1) for number in (1, 2)),
            sell(3, 8, 4, window_end_h=_SHORT),
            sell(4, 10, 1),
            *(buy(number, 11, 1) for number in (5, 6, 7, 8)),
            _CONTINUOUS,
            "cleared sell 4@8 leaves 2",
            "trade auction 1 x5 1@8",
            "trade auction 2 x6 1@8",
            tick(ts_ns=_LATER),
            "cleared buy 1@10 leaves 1",
            "trade auction 4 x7 1@10",
            "session continuous reference 10",
        ),
        asks="4@8",
        bids="1@11",
        limits=BookLimits(max_looked=2),
    ),
    Case(
        "a window that is moved on in the midst of a clearing lets its ask join",
        (
            _AUCTION,
            *(sell(number, 8, 1) for number in (1, 2)),
            sell(3, 8, 4, window_end_h=_SHORT),
            buy(4, 8, 2),
            buy(5, 8, 2),
            session(Session.CONTINUOUS, ts_ns=_LATER),
            "cleared buy 2@8 leaves 2",
            "trade auction 1 x4 1@8 other 1",
            does(Op.MOVE_WINDOW, 3, window_end_h=_LONG, ts_ns=_LATER),
            "amended kept_priority 3 sell 4@8 leaves 4 window_moved",
            tick(ts_ns=_LATER),
            "trade auction 2 x4 1@8",
            tick(ts_ns=_LATER),
            "trade auction 3 x5 2@8 leaves 2",
            "session continuous reference 8",
        ),
        asks="2@8",
        bids="",
        limits=BookLimits(max_looked=1),
    ),
    Case(
        "an iceberg whose window is over hides nothing from the price",
        (
            _AUCTION,
            sell(1, 5, 9, window_end_h=_SHORT, display_quantity=2),
            sell(2, 9, 4, display_quantity=1),
            buy(3, 10, 3, display_quantity=1),
            session(Session.CONTINUOUS, ts_ns=NOW_NS + _HOUR_NS),
            "cleared sell 3@9 leaves 1",
            "trade auction 2 x3 3@9 leaves 1",
            "session continuous reference 9",
        ),
        asks="2@5 1@9",
    ),
    *(
        Case(
            f"before an auction whoever would cross too many to look at is refused: {opening.shape}",
            (
                *(sell(number, 10, 1, account=6) for number in (1, 2)),
                sell(3, 11, 1, account=5, lot=1),
                opening,
                buy(4, 10, 1, account=5),
                "accepted 4 buy 1@10 leaves 1",
                buy(5, 11, 1, account=5),
                "rejected 5 walk_limit",
                buy(5, 11, 1),
                "accepted 5 buy 1@11 leaves 1",
                amend(4, price=11),
                "rejected 4 walk_limit",
                cancel(1),
                amend(4, price=11),
                "rejected 4 self_trade",
                cancel(3),
                amend(4, price=11),
                "amended 4 buy 1@11 leaves 1",
            ),
            bid_queue="5 4",
            limits=BookLimits(max_looked=2),
        )
        for opening in (_PRE_OPEN, _AUCTION)
    ),
    Case(
        "conditional orders are looked at, too",
        (
            *(sell(number, 10, 2, account=6, lot=2) for number in (1, 2)),
            _AUCTION,
            sell(6, 50, 1, account=5),
            buy(3, 10, 1, account=5),
            "accepted 3 buy 1@10 leaves 1",
            sell(4, 9, 1, account=7),
            buy(5, 10, 1, account=5),
            "rejected 5 walk_limit",
        ),
        limits=BookLimits(max_looked=2),
    ),
]
