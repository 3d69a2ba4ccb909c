"""Scenarios: icebergs and amends (docs/book.md, "Checks", "The walk")."""

from __future__ import annotations

from typing import Final

from engine.book import BookLimits
from engine.records import Flag, Op
from tests.engine.book.cases import Case
from tests.engine.book.words import (
    FOK,
    IOC,
    STOP,
    amend,
    baron,
    buy,
    cancel,
    does,
    reduce,
    sell,
)

POST_ONLY = int(Flag.POST_ONLY)
_THREE: Final = (sell(1, 10, 3), sell(2, 11, 3), sell(3, 10, 3))

ICEBERGS: Final = [
    Case(
        "an iceberg shows its slice alone, and its refill goes to the back",
        (
            sell(1, 10, 10, display_quantity=4),
            sell(2, 10, 3),
            buy(3, 10, 5),
            "trade 1 x3 buy 4@10 leaves 6 other 1",
            "refilled 1 sell 4@10 leaves 6",
            "trade 2 x3 buy 1@10 leaves 2",
            buy(4, 10, 3),
            "trade 2 x4 buy 2@10 other 1",
            "trade 1 x4 buy 1@10 leaves 5",
        ),
        asks="3@10",
        orders={1: "3/5/10@10"},
    ),
    Case(
        "the same walk meets the refill again",
        (
            sell(1, 10, 5, display_quantity=2),
            sell(2, 10, 1),
            buy(3, 10, 6, tif=FOK),
            "trade 1 x3 buy 2@10 leaves 3 other 4",
            "refilled 1 sell 2@10 leaves 3",
            "trade 2 x3 buy 1@10 other 3",
            "trade 1 x3 buy 2@10 leaves 1 other 1",
            "refilled 1 sell 1@10 leaves 1",
            "trade 1 x3 buy 1@10",
        ),
        asks="",
    ),
    Case(
        "an iceberg that takes rests with its slice",
        (sell(1, 10, 1), buy(2, 10, 8, display_quantity=3)),
        bids="3@10",
        orders={2: "3/7/8@10"},
    ),
    Case(
        "an iceberg's reduction keeps its place, and cuts the slice last",
        (
            sell(1, 10, 10, display_quantity=4),
            sell(2, 10, 1),
            amend(1, quantity=6),
            "amended kept_priority 1 sell 6@10 leaves 6",
            reduce(1, 3),
            "amended kept_priority 1 sell 3@10 leaves 3 requested",
        ),
        asks="4@10x2",
        ask_queue="1 2",
        orders={1: "3/3/3@10"},
    ),
    Case(
        "an iceberg amended anew shows a whole slice, at the back",
        (
            sell(1, 10, 10, display_quantity=4),
            sell(2, 10, 1),
            buy(3, 10, 3),
            amend(1, quantity=12),
            "amended 1 sell 12@10 leaves 9",
        ),
        asks="5@10x2",
        ask_queue="2 1",
        orders={1: "4/9/12@10"},
    ),
    Case(
        "a slice below the minimum shows anew at once, at the back",
        (
            sell(1, 10, 100, display_quantity=10, min_quantity=5),
            sell(2, 10, 9, lot=3),
            buy(3, 10, 8, tif=IOC),
            "trade 1 x3 buy 8@10 leaves 92",
            "refilled 1 sell 10@10 leaves 92",
            buy(4, 10, 5, tif=IOC),
            "trade 2 x4 buy 3@10 leaves 6 other 2",
            "canceled 4 buy 2@10 ioc_remainder",
            buy(5, 10, 11, tif=IOC),
            "trade 2 x5 buy 6@10 other 5",
            "trade 1 x5 buy 5@10 leaves 87",
        ),
        asks="0+5@10",
        orders={1: "5/87/100@10"},
    ),
    Case(
        "a slice of just the minimum stays, and so does one of all that is left",
        (
            sell(1, 10, 9, display_quantity=4, min_quantity=3),
            buy(2, 10, 3),
            "trade 1 x2 buy 3@10 leaves 6",
            "refilled 1 sell 4@10 leaves 6",
            buy(3, 10, 3),
            "trade 1 x3 buy 3@10 leaves 3",
            "refilled 1 sell 3@10 leaves 3",
            sell(4, 11, 8, display_quantity=6, min_quantity=3),
            sell(5, 11, 1),
            buy(6, 11, 6),
            "trade 1 x6 buy 3@10 other 3",
            "trade 4 x6 buy 3@11 leaves 5",
        ),
        asks="1+3@11x2",
        ask_queue="4 5",
        orders={4: "3/5/8@11"},
    ),
    *(
        Case(
            f"the same walk meets what shows anew before its slice is empty: {int(tif)}",
            (
                buy(1, 10, 30, display_quantity=10, min_quantity=3),
                buy(2, 10, 8),
                sell(3, 10, 24, lot=8, tif=tif),
                "trade 1 x3 sell 8@10 leaves 22 other 16",
                "refilled 1 buy 10@10 leaves 22",
                "trade 2 x3 sell 8@10 other 8",
                "trade 1 x3 sell 8@10 leaves 14",
                "refilled 1 buy 10@10 leaves 14",
            ),
            bids="0+10@10",
            orders={1: "10/14/30@10"},
        )
        for tif in (IOC, FOK)
    ),
    Case(
        "what cuts an iceberg leaves no less shown than its minimum, or all",
        (
            sell(1, 10, 20, display_quantity=10, min_quantity=6),
            buy(2, 10, 6, tif=IOC),
            "trade 1 x2 buy 6@10 leaves 14",
            "refilled 1 sell 10@10 leaves 14",
            reduce(1, 6),
            "amended kept_priority 1 sell 14@10 leaves 8 requested",
            amend(1, quantity=10),
            "amended kept_priority 1 sell 10@10 leaves 4",
            buy(3, 10, 4, tif=IOC),
            "trade 1 x3 buy 4@10",
        ),
        asks="",
    ),
]

AMENDS: Final = [
    Case(
        "only a smaller total keeps priority",
        (
            sell(1, 10, 5),
            sell(2, 10, 5),
            amend(1, quantity=4),
            "amended kept_priority 1 sell 4@10 leaves 4",
            amend(1, price=10, quantity=3),
            "amended kept_priority 1 sell 3@10 leaves 3",
        ),
        ask_queue="1 2",
    ),
    *(
        Case(f"an amend that {name} goes to the back", (sell(1, 10, 5), sell(2, 10, 5), command, said), ask_queue="2 1")
        for name, command, said in (
            ("raises the total", amend(1, quantity=6), "amended 1 sell 6@10 leaves 6"),
            ("changes nothing", amend(1, quantity=5), "amended 1 sell 5@10 leaves 5"),
            ("gives the same price", amend(1, price=10), "amended 1 sell 5@10 leaves 5"),
            ("changes the price and less", amend(1, price=11, quantity=4), "amended 1 sell 4@11 leaves 4"),
        )
    ),
    Case(
        "an amended partial keeps its residual",
        (
            sell(1, 10, 9),
            buy(2, 10, 4),
            amend(1, price=11),
            "amended 1 sell 9@11 leaves 5",
            amend(1, quantity=7),
            "amended kept_priority 1 sell 7@11 leaves 3",
        ),
        asks="3@11",
        orders={1: "3/3/7@11"},
    ),
    Case(
        "an amend at or below what is filled closes",
        (
            sell(1, 10, 9),
            buy(2, 10, 4),
            amend(1, quantity=4),
            "canceled 1 sell 5@10 requested",
            sell(1, 10, 9),
            amend(1, quantity=0),
            "canceled 1 sell 9@10 requested",
        ),
        asks="",
    ),
    Case(
        "an amend through the spread trades at the makers' prices",
        (
            *_THREE,
            buy(4, 9, 5),
            buy(5, 9, 5),
            amend(4, price=11, quantity=8),
            "amended 4 buy 8@11 leaves 8",
            "trade 1 x4 buy 3@10 other 5",
            "trade 3 x4 buy 3@10 other 2",
            "trade 2 x4 buy 2@11 leaves 1",
        ),
        bids="5@9",
        asks="1@11",
    ),
    Case(
        "an amend's checks",
        (
            sell(1, 10, 8, lot=4, account=3),
            sell(2, 10, 640, display_quantity=10),
            amend(7, price=10),
            "rejected 7 unknown_order",
            amend(1, price=10, account=4),
            "rejected 1 unknown_order",
            amend(1),
            "rejected 1 nothing_to_amend",
            amend(1, price=-3),
            "rejected 1 invalid_price",
            does(Op.AMEND, 1, flags=1),
            "rejected 1 invalid_price",
            amend(1, price=BookLimits().price_max + 1),
            "rejected 1 invalid_price",
            amend(1, quantity=BookLimits().quantity_max + 1),
            "rejected 1 invalid_quantity",
            amend(1, quantity=6),
            "rejected 1 invalid_quantity",
            amend(2, quantity=641),
            "rejected 2 invalid_quantity",
            amend(1, quantity=4),
            "amended kept_priority 1 sell 4@10 leaves 4",
        ),
        ask_queue="1 2",
    ),
    Case(
        "anew even a pure reduction gives up its place, and nothing at all may be amended",
        (
            sell(1, 10, 5),
            sell(2, 10, 5, display_quantity=2),
            sell(3, 10, 5),
            amend(1, quantity=4, anew=True),
            "amended 1 sell 4@10 leaves 4",
            amend(2, anew=True),
            "amended 2 sell 5@10 leaves 5",
            amend(1, quantity=0, anew=True),
            "canceled 1 sell 4@10 requested",
        ),
        ask_queue="3 2",
        asks="7@10x2",
    ),
    Case(
        "anew an order at rest trades with what it has come to fit",
        (
            baron(7, 10),
            sell(1, 10, 5, baron=7),
            buy(2, 10, 5, min_rating=20),
            baron(7, 20),
            amend(2, quantity=3, anew=True),
            "amended 2 buy 3@10 leaves 3",
            "trade 1 x2 buy 3@10 leaves 2",
        ),
        asks="2@10",
        bids="",
    ),
    Case(
        "anew a stop goes to the end of the stops even for less",
        (
            buy(1, 20, 5, STOP, stop_price=15),
            buy(2, 20, 5, STOP, stop_price=15),
            amend(1, quantity=4, anew=True),
            "amended 1 buy 4@20 leaves 4",
            amend(2, quantity=4),
            "amended kept_priority 2 buy 4@20 leaves 4",
        ),
        stops="2 1",
    ),
    Case(
        "a post-only order stays post-only; refused, it stands unchanged",
        (
            sell(1, 10, 1),
            buy(2, 9, 1, flags=POST_ONLY),
            buy(3, 9, 1),
            amend(2, price=10),
            "rejected 2 post_only_would_trade",
            amend(2, price=8),
            "amended 2 buy 1@8 leaves 1",
        ),
        bids="1@9 1@8",
    ),
    Case(
        "a stale amend or cancel is refused",
        (
            sell(1, 10, 1),
            buy(2, 10, 1),
            amend(1, price=9),
            "rejected 1 unknown_order",
            cancel(2),
            "rejected 2 unknown_order",
        ),
    ),
]

ORDERS: Final = [*ICEBERGS, *AMENDS]
