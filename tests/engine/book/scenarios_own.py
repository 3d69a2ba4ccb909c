"""Scenarios: an order meets one of its own account's; the taker's mode rules (rulebook §5, docs/book.md, "The walk")."""

from __future__ import annotations

from typing import Final

from engine.book import BookLimits
from engine.records import Flag
from tests.engine.book.cases import Case
from tests.engine.book.words import (
    CANCEL_BOTH,
    CANCEL_OLDEST,
    DECREMENT,
    FOK,
    MARKET,
    STOP_LIMIT,
    amend,
    buy,
    sell,
)

_OWN: Final = (sell(1, 10, 2), sell(2, 10, 3, account=5), sell(3, 10, 4))
_TOO_SMALL: Final = (sell(1, 10, 50, account=5), sell(2, 11, 100, min_quantity=60))
"""A buy of 100 by account 5 could take all from the second, but not once the first has taken 50 off it."""

OWN: Final = [
    Case(
        "cancel_newest: what is left of the taker",
        (*_OWN, buy(4, 10, 9, account=5), "trade 1 x4 buy 2@10 other 7", "canceled 4 buy 7@10 self_trade"),
        asks="7@10x2",
        bids="",
    ),
    Case(
        "cancel_oldest: the maker, and the walk goes on",
        (
            *_OWN,
            buy(4, 10, 9, stp=CANCEL_OLDEST, account=5),
            "trade 1 x4 buy 2@10 other 7",
            "canceled 2 sell 3@10 self_trade",
            "trade 3 x4 buy 4@10 other 3",
        ),
        asks="",
        bids="3@10",
    ),
    Case(
        "cancel_both: first the maker",
        (
            *_OWN,
            buy(4, 10, 9, stp=CANCEL_BOTH, account=5),
            "trade 1 x4 buy 2@10 other 7",
            "canceled 2 sell 3@10 self_trade",
            "canceled 4 buy 7@10 self_trade",
        ),
        asks="4@10",
        bids="",
    ),
    Case(
        "decrement: the smaller maker goes, and the walk goes on",
        (
            *_OWN,
            buy(4, 10, 9, stp=DECREMENT, account=5),
            "trade 1 x4 buy 2@10 other 7",
            "canceled 2 sell 3@10 self_trade",
            "amended kept_priority 4 buy 6@10 leaves 4 self_trade",
            "trade 3 x4 buy 4@10",
        ),
        asks="",
        bids="",
    ),
    Case(
        "decrement: the smaller taker goes, and the maker keeps its place",
        (
            *_OWN,
            buy(4, 10, 4, stp=DECREMENT, account=5),
            "trade 1 x4 buy 2@10 other 2",
            "amended kept_priority 2 sell 1@10 leaves 1 self_trade",
            "canceled 4 buy 2@10 self_trade",
        ),
        ask_queue="2 3",
        asks="5@10x2",
        bids="",
    ),
    Case(
        "decrement: equals go both",
        (
            sell(1, 10, 3, account=5),
            buy(2, 10, 3, stp=DECREMENT, account=5),
            "canceled 1 sell 3@10 self_trade",
            "canceled 2 buy 3@10 self_trade",
        ),
        asks="",
        bids="",
    ),
    Case(
        "decrement: an iceberg's hidden part counts, and its slice stays while it can",
        (
            sell(1, 10, 9, account=5, display_quantity=3),
            buy(2, 10, 5, stp=DECREMENT, account=5),
            "amended kept_priority 1 sell 4@10 leaves 4 self_trade",
            "canceled 2 buy 5@10 self_trade",
            buy(3, 10, 2, stp=DECREMENT, account=5),
            "amended kept_priority 1 sell 2@10 leaves 2 self_trade",
            "canceled 3 buy 2@10 self_trade",
        ),
        asks="2@10",
        orders={1: "2/2/2@10"},
    ),
    *(
        Case(
            f"decrement: an order with {name} is cancelled whole",
            (maker, buy(2, 10, 4, stp=DECREMENT, account=5), "canceled 1 sell 8@10 self_trade"),
            asks="",
            bids="4@10",
        )
        for name, maker in (
            ("a lot", sell(1, 10, 8, account=5, lot=4)),
            ("a minimum", sell(1, 10, 8, account=5, min_quantity=4)),
        )
    ),
    Case(
        "decrement: one that wants one Baron is cancelled whole",
        (
            buy(1, 10, 2, account=5, flags=int(Flag.SAME_BARON)),
            sell(2, 10, 4, stp=DECREMENT, account=5),
            "canceled 1 buy 2@10 self_trade",
        ),
        asks="4@10",
        bids="",
    ),
    Case(
        "one's own order that it couldn't trade with is passed over",
        (
            sell(1, 10, 8, account=5, lot=8),
            sell(2, 10, 4),
            buy(3, 10, 4, stp=CANCEL_OLDEST, account=5),
            "trade 2 x3 buy 4@10",
        ),
        asks="0+8@10",
    ),
    Case(
        "the maker's mode doesn't matter",
        (sell(1, 10, 8, stp=CANCEL_OLDEST, account=5), buy(2, 10, 4, account=5), "canceled 2 buy 4@10 self_trade"),
        asks="8@10",
    ),
    Case(
        "a fok ends at its own under cancel_newest and cancel_both",
        (
            *_OWN,
            buy(4, 10, 6, tif=FOK, account=5),
            "rejected 4 self_trade",
            buy(4, 10, 6, tif=FOK, stp=CANCEL_BOTH, account=5),
            "rejected 4 self_trade",
            buy(4, 10, 2, tif=FOK, account=5),
            "trade 1 x4 buy 2@10",
        ),
        asks="7@10x2",
    ),
    Case(
        "a fok counts its own as nothing under cancel_oldest, and cancels them if it succeeds",
        (
            *_OWN,
            buy(4, 10, 7, tif=FOK, stp=CANCEL_OLDEST, account=5),
            "rejected 4 fok_killed",
            buy(4, 10, 6, tif=FOK, stp=CANCEL_OLDEST, account=5),
            "trade 1 x4 buy 2@10 other 4",
            "canceled 2 sell 3@10 self_trade",
            "trade 3 x4 buy 4@10",
        ),
        asks="",
    ),
    Case(
        "a fok under decrement counts its own as nothing, and then takes less from the others",
        (
            *_OWN,
            buy(4, 10, 7, tif=FOK, stp=DECREMENT, account=5),
            "rejected 4 fok_killed",
            buy(4, 10, 6, tif=FOK, stp=DECREMENT, account=5),
            "trade 1 x4 buy 2@10 other 4",
            "canceled 2 sell 3@10 self_trade",
            "amended kept_priority 4 buy 3@10 leaves 1 self_trade",
            "trade 3 x4 buy 1@10 leaves 3",
        ),
        asks="3@10",
        bids="",
    ),
    Case(
        "a fok under decrement that its own order takes up whole",
        (
            sell(1, 10, 3, account=5),
            sell(2, 10, 3),
            buy(3, 10, 3, tif=FOK, stp=DECREMENT, account=5),
            "canceled 1 sell 3@10 self_trade",
            "canceled 3 buy 3@10 self_trade",
        ),
        asks="3@10",
        bids="",
    ),
    *(
        Case(
            f"a fok {kind} that decrement would leave too small for a minimum is killed, and nothing changes",
            (
                *_TOO_SMALL,
                taker,
                "rejected 3 fok_killed",
            ),
            bids="",
            asks="50@10 0+100@11",
            orders={1: "50/50/50@10"},
        )
        for kind, taker in (
            ("limit", buy(3, 11, 100, tif=FOK, stp=DECREMENT, account=5)),
            ("market order", buy(3, 11, 100, MARKET, FOK, stp=DECREMENT, account=5)),
            ("market order without a price", buy(3, 0, 100, MARKET, FOK, stp=DECREMENT, account=5)),
        )
    ),
    Case(
        "a fok that decrement would leave too small, behind a fill",
        (
            sell(1, 99, 10),
            sell(2, 100, 50, account=5),
            sell(3, 101, 100, min_quantity=60),
            buy(4, 101, 100, tif=FOK, stp=DECREMENT, account=5),
            "rejected 4 fok_killed",
            buy(4, 101, 110, tif=FOK, stp=DECREMENT, account=5),
            "rejected 4 fok_killed",
            sell(5, 101, 100),
            buy(4, 101, 110, tif=FOK, stp=DECREMENT, account=5),
            "trade 1 x4 buy 10@99 other 100",
            "canceled 2 sell 50@100 self_trade",
            "amended kept_priority 4 buy 60@101 leaves 50 self_trade",
            "trade 5 x4 buy 50@101 leaves 50",
        ),
        bids="",
        asks="50+100@101x2",
    ),
    Case(
        "a stop with fok that decrement would leave too small goes when it fires, and nothing else",
        (
            *_TOO_SMALL,
            buy(3, 11, 100, STOP_LIMIT, FOK, stp=DECREMENT, account=5, stop_price=9),
            buy(6, 9, 1),
            sell(7, 9, 1),
            "trade 6 x7 sell 1@9",
            "canceled 3 buy 100@11 fok_killed",
        ),
        asks="50@10 0+100@11",
    ),
    *(
        Case(
            f"a fok that decrement would lead to {what} is refused so, and nothing changes",
            (
                *before,
                sell(11, 100, 1, account=5),
                sell(12, 100, 3, min_quantity=3),
                *behind,
                buy(14, 200, 3, tif=FOK, stp=DECREMENT, account=5),
                f"rejected 14 {reason}",
            ),
            bids="",
            asks=asks,
            limits=limits,
        )
        for what, reason, before, behind, asks, limits in (
            ("the walk's limit", "walk_limit", (), (sell(13, 100, 9),), "10+3@100x3", BookLimits(max_looked=2)),
            (
                "the band",
                "outside_band",
                (sell(1, 100, 1), buy(2, 100, 1)),
                (sell(13, 140, 9),),
                "1+3@100x2 9@140",
                BookLimits(),
            ),
        )
    ),
    Case(
        "an amended order walks with its own mode",
        (
            sell(1, 10, 3, account=5),
            buy(2, 9, 1, stp=CANCEL_OLDEST, account=5),
            amend(2, price=10),
            "amended 2 buy 1@10 leaves 1",
            "canceled 1 sell 3@10 self_trade",
        ),
        bids="1@10",
        asks="",
    ),
]
