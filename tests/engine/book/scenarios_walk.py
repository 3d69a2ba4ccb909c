"""Scenarios: priority, times in force, market orders and the walk's limit in `continuous` (docs/book.md, "The walk")."""

from __future__ import annotations

from typing import Final

from engine.book import BookLimits
from engine.records import Flag
from tests.engine.book.cases import Case
from tests.engine.book.words import (
    CANCEL_OLDEST,
    FOK,
    IOC,
    MARKET,
    buy,
    cancel,
    sell,
)

POST_ONLY = int(Flag.POST_ONLY)
_THREE: Final = (sell(1, 10, 3), sell(2, 11, 3), sell(3, 10, 3))
PRIORITY: Final = [
    Case(
        "price, then time, at the maker's price: a buy",
        (
            *_THREE,
            buy(4, 11, 7),
            "trade 1 x4 buy 3@10 other 4",
            "trade 3 x4 buy 3@10 other 1",
            "trade 2 x4 buy 1@11 leaves 2",
        ),
        asks="2@11",
        bids="",
    ),
    Case(
        "price, then time, at the maker's price: a sell",
        (
            *(buy(1, 10, 3), buy(2, 9, 3), buy(3, 10, 3)),
            sell(4, 9, 7),
            "trade 1 x4 sell 3@10 other 4",
            "trade 3 x4 sell 3@10 other 1",
            "trade 2 x4 sell 1@9 leaves 2",
        ),
        bids="2@9",
        asks="",
    ),
    Case(
        "a marketable limit stops at its own price and rests",
        (*_THREE, buy(4, 10, 9), "trade 1 x4 buy 3@10 other 6", "trade 3 x4 buy 3@10 other 3"),
        bids="3@10",
        asks="3@11",
        orders={4: "3/3/9@10"},
    ),
    Case("a price that doesn't cross rests", (*_THREE, buy(4, 9, 9)), bids="9@9", asks="6@10x2 3@11"),
    *(
        Case(
            f"cancelling {place} of a queue loses nobody",
            (
                *(sell(number, 10, 1) for number in (1, 2, 3)),
                cancel(gone),
                f"canceled {gone} sell 1@10 requested",
                buy(4, 10, 9),
                *(f"trade {number} x4 buy 1@10 other {left}" for number, left in zip(rest, (8, 7), strict=True)),
            ),
            bids="7@10",
            asks="",
        )
        for place, gone, rest in (("the head", 1, (2, 3)), ("the middle", 2, (1, 3)), ("the tail", 3, (1, 2)))
    ),
    Case(
        "the best level that emptied is no level",
        (sell(1, 10, 1), sell(2, 11, 1), cancel(1), buy(3, 10, 1), sell(4, 12, 1)),
        bids="1@10",
        asks="1@11 1@12",
    ),
    Case(
        "a partly filled maker keeps its place",
        (*_THREE, buy(4, 10, 1), buy(5, 10, 1)),
        ask_queue="1 3 2",
        asks="4@10x2 3@11",
    ),
    Case(
        "nobody's orders trade with nobody's",
        (sell(1, 10, 1), buy(2, 10, 1), "trade 1 x2 buy 1@10"),
        asks="",
        bids="",
    ),
    Case(
        "an ioc never rests",
        (
            *_THREE,
            buy(4, 10, 9, tif=IOC),
            "trade 1 x4 buy 3@10 other 6",
            "trade 3 x4 buy 3@10 other 3",
            "canceled 4 buy 3@10 ioc_remainder",
        ),
        bids="",
        asks="3@11",
    ),
    Case("an ioc that finds nothing goes", (buy(4, 10, 9, tif=IOC), "canceled 4 buy 9@10 ioc_remainder"), bids=""),
    Case(
        "a fok is whole or refused",
        (
            *_THREE,
            buy(4, 10, 7, tif=FOK),
            "rejected 4 fok_killed",
            buy(4, 9, 1, tif=FOK),
            "rejected 4 no_liquidity",
            buy(4, 10, 6, tif=FOK),
            "trade 1 x4 buy 3@10 other 3",
            "trade 3 x4 buy 3@10",
        ),
        asks="3@11",
        bids="",
    ),
    Case(
        "post-only never takes",
        (
            *_THREE,
            buy(4, 10, 1, flags=POST_ONLY),
            "rejected 4 post_only_would_trade",
            buy(4, 9, 1, flags=POST_ONLY),
            sell(5, 9, 1, flags=POST_ONLY),
            "rejected 5 post_only_would_trade",
        ),
        bids="1@9",
    ),
    Case(
        "post-only rests across an order that it couldn't trade with",
        (sell(1, 10, 4, lot=4), buy(2, 10, 3, flags=POST_ONLY)),
        bids="3@10",
        asks="0+4@10",
    ),
    Case(
        "post-only before its own account's order",
        (
            sell(1, 10, 4, account=5),
            buy(2, 10, 3, account=5, stp=CANCEL_OLDEST, flags=POST_ONLY),
            "rejected 2 self_trade",
        ),
        bids="",
        asks="4@10",
    ),
]

MARKET_ORDERS: Final = [
    Case(
        "a market buy is protected 5 % above the best, rounded down",
        (
            sell(1, 119, 1),
            sell(2, 124, 1),
            sell(3, 125, 1),
            buy(4, 0, 3, MARKET, IOC),
            "accepted 4 buy 3@124 leaves 3",
            "trade 1 x4 buy 1@119 other 2",
            "trade 2 x4 buy 1@124 other 1",
            "canceled 4 buy 1@124 market_remainder",
        ),
        asks="1@125",
    ),
    Case(
        "a market sell is protected 5 % below the best, rounded up",
        (
            buy(1, 119, 1),
            buy(2, 114, 1),
            buy(3, 113, 1),
            sell(4, 0, 3, MARKET, IOC),
            "accepted 4 sell 3@114 leaves 3",
            "trade 1 x4 sell 1@119 other 2",
            "trade 2 x4 sell 1@114 other 1",
            "canceled 4 sell 1@114 market_remainder",
        ),
        bids="1@113",
    ),
    Case(
        "protection stays on the grid of prices",
        (
            sell(1, 990, 1),
            buy(2, 0, 1, MARKET, FOK),
            "accepted 2 buy 1@1000 leaves 1",
            "trade 1 x2 buy 1@990",
            buy(3, 1, 2),
            sell(4, 0, 1, MARKET, IOC),
            "accepted 4 sell 1@1 leaves 1",
            "trade 3 x4 sell 1@1 leaves 1",
        ),
        limits=BookLimits(price_max=1000, band_ppm=0),
    ),
    Case(
        "a given protection holds",
        (
            sell(1, 100, 1),
            buy(2, 99, 1, MARKET, IOC),
            "accepted 2 buy 1@99 leaves 1",
            "canceled 2 buy 1@99 market_remainder",
        ),
        asks="1@100",
    ),
    Case(
        "a market order into nothing is refused",
        (buy(1, 0, 1, MARKET, IOC), "rejected 1 no_liquidity", buy(1, 0, 1, MARKET, FOK), "rejected 1 no_liquidity"),
    ),
    Case(
        "a market fok that is not whole within its protection is killed",
        (sell(1, 100, 1), sell(2, 106, 1), buy(3, 0, 2, MARKET, FOK), "rejected 3 fok_killed"),
        asks="1@100 1@106",
    ),
    Case(
        "protection is reckoned from the best that another account offers and that it may trade with",
        (
            sell(1, 100, 1, account=5),
            sell(2, 110, 4, lot=4),
            sell(3, 120, 1, hours=2),
            sell(4, 200, 1, account=6),
            buy(5, 0, 1, MARKET, IOC, account=5, stp=CANCEL_OLDEST),
            "accepted 5 buy 1@210 leaves 1",
            "canceled 1 sell 1@100 self_trade",
            "trade 4 x5 buy 1@200",
        ),
        asks="0+4@110 0+1@120",
    ),
    Case(
        "protection looks at so many orders",
        (
            sell(1, 100, 1, account=5),
            sell(2, 101, 1, account=5),
            sell(3, 102, 1),
            buy(4, 0, 1, MARKET, IOC, account=5),
            "rejected 4 no_liquidity",
            cancel(1),
            buy(4, 0, 1, MARKET, IOC, account=5),
            "accepted 4 buy 1@107 leaves 1",
            "canceled 4 buy 1@107 self_trade",
        ),
        limits=BookLimits(max_looked=2),
    ),
]

LIMITS: Final = [
    Case(
        "a walk looks at so many orders, those that it passes over too",
        (
            sell(1, 10, 1, hours=2),
            *(sell(number, 10, 1) for number in (2, 3, 4)),
            buy(5, 10, 9),
            "trade 2 x5 buy 1@10 other 8",
            "trade 3 x5 buy 1@10 other 7",
            "canceled 5 buy 7@10 walk_limit",
            buy(6, 10, 1),
            "trade 4 x6 buy 1@10",
        ),
        asks="0+1@10",
        bids="",
        limits=BookLimits(max_looked=3),
    ),
    Case(
        "who is filled by the last look isn't cancelled, nor who finds no more",
        (
            *(sell(number, 10, 1) for number in (2, 3, 4)),
            buy(5, 10, 2),
            "trade 2 x5 buy 1@10 other 1",
            "trade 3 x5 buy 1@10",
            sell(6, 11, 1),
            buy(7, 10, 2),
            "trade 4 x7 buy 1@10 other 1",
            buy(8, 9, 1),
        ),
        bids="1@10 1@9",
        asks="1@11",
        limits=BookLimits(max_looked=2),
    ),
    Case(
        "an iceberg's next slice is another look",
        (
            sell(1, 10, 6, display_quantity=2),
            buy(2, 10, 5, tif=FOK),
            "rejected 2 walk_limit",
            buy(2, 10, 5),
            "trade 1 x2 buy 2@10 leaves 4 other 3",
            "refilled 1 sell 2@10 leaves 4",
            "trade 1 x2 buy 2@10 leaves 2 other 1",
            "refilled 1 sell 2@10 leaves 2",
            "canceled 2 buy 1@10 walk_limit",
        ),
        asks="2@10",
        limits=BookLimits(max_looked=2),
    ),
    Case(
        "a post-only order looks at so many",
        (
            sell(1, 10, 1, hours=2),
            sell(2, 10, 1, hours=2),
            buy(3, 10, 1, flags=POST_ONLY),
            "rejected 3 walk_limit",
            buy(3, 10, 1, hours=2, flags=POST_ONLY),
            "rejected 3 post_only_would_trade",
        ),
        limits=BookLimits(max_looked=1),
    ),
]

WALKS: Final = [*PRIORITY, *MARKET_ORDERS, *LIMITS]
