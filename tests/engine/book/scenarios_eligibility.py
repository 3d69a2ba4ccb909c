"""Scenarios: who may trade with whom, and how much (docs/book.md, "Eligibility and the quantity of a fill")."""

from __future__ import annotations

from typing import Final

from engine.records import Flag
from tests.engine.book.cases import Case
from tests.engine.book.words import (
    IOC,
    NOW_H,
    NOW_NS,
    amend,
    baron,
    buy,
    sell,
)

SAME_BARON = int(Flag.SAME_BARON)
_HOUR_NS: Final = 3_600 * 10**9

ELIGIBILITY: Final = [
    Case(
        "an order passed over keeps its place",
        (
            sell(1, 10, 2, hours=24),
            sell(2, 10, 2),
            buy(3, 10, 1),
            "trade 2 x3 buy 1@10 leaves 1",
            buy(4, 10, 1, hours=24),
            "trade 1 x4 buy 1@10 leaves 1",
        ),
        ask_queue="1 2",
    ),
    Case(
        "a term at least min_hours, and an hour is none",
        (
            sell(1, 10, 1, hours=3),
            buy(2, 10, 1, hours=2),
            buy(3, 10, 1, hours=3),
            "trade 1 x3 buy 1@10",
            sell(4, 11, 1, hours=1),
            buy(5, 11, 1),
            "trade 4 x5 buy 1@11",
        ),
        bids="0+1@10",
    ),
    *(
        Case(
            f"a term of {hours} h {'fits' if fits else 'is too long'} {ahead_ns} ns before its window's end",
            (
                sell(1, 10, 1, window_end_h=NOW_H + 3),
                buy(2, 10, 1, hours=hours, ts_ns=NOW_NS + 3 * _HOUR_NS - ahead_ns),
                *(["trade 1 x2 buy 1@10"] if fits else []),
            ),
            asks="" if fits else "1@10",
        )
        for hours, ahead_ns, fits in (
            (0, _HOUR_NS, True),
            (0, _HOUR_NS - 1, False),
            (1, _HOUR_NS - 1, False),
            (3, 3 * _HOUR_NS, True),
            (3, 3 * _HOUR_NS - 1, False),
        )
    ),
    Case(
        "a sell that enters meets the bids whose term fits its window",
        (buy(1, 10, 1, hours=3), buy(2, 9, 1), sell(3, 9, 2, window_end_h=NOW_H + 2), "trade 2 x3 sell 1@9 other 1"),
        bids="0+1@10",
        asks="1@9",
    ),
    Case(
        "the Baron's rating now, 0 if never told",
        (
            sell(1, 10, 1, baron=7),
            buy(2, 10, 1, tif=IOC, min_rating=50),
            "canceled 2 buy 1@10 ioc_remainder",
            baron(7, 49),
            buy(2, 10, 1, tif=IOC, min_rating=50),
            "canceled 2 buy 1@10 ioc_remainder",
            baron(7, 50),
            buy(2, 10, 1, tif=IOC, min_rating=50),
            "trade 1 x2 buy 1@10",
            sell(3, 10, 1),
            buy(4, 10, 1, tif=IOC, min_rating=1),
            "canceled 4 buy 1@10 ioc_remainder",
        ),
    ),
    Case(
        "all the features asked for",
        (
            sell(1, 10, 2, baron=7),
            baron(7, 0, 0b0101),
            buy(2, 10, 1, tif=IOC, features=0b0111),
            "canceled 2 buy 1@10 ioc_remainder",
            buy(2, 10, 1, tif=IOC, features=0b0100),
            "trade 1 x2 buy 1@10 leaves 1",
            baron(7, 100, 0b1000),
            buy(2, 10, 1, tif=IOC, features=0b0100),
            "canceled 2 buy 1@10 ioc_remainder",
        ),
    ),
    Case(
        "orders at rest don't trade when they become eligible; the next one does",
        (
            sell(1, 10, 1, baron=7),
            buy(2, 10, 1, min_rating=50),
            baron(7, 90),
            "nothing",
            sell(3, 10, 1, baron=7),
            "trade 2 x3 sell 1@10",
        ),
        asks="1@10",
    ),
    Case(
        "an amend that changes nothing wakes a pair that became eligible",
        (
            sell(1, 10, 1, baron=7),
            buy(2, 10, 1, min_rating=50),
            baron(7, 90),
            amend(2, price=10),
            "amended 2 buy 1@10 leaves 1",
            "trade 1 x2 buy 1@10",
        ),
        asks="",
        bids="",
    ),
    Case(
        "one Baron for all, or nothing: the first that can",
        (
            sell(1, 10, 3),
            sell(2, 10, 4),
            buy(3, 10, 4, flags=SAME_BARON),
            "trade 2 x3 buy 4@10",
            buy(4, 10, 4, flags=SAME_BARON),
            sell(5, 10, 3),
            sell(6, 10, 9),
            "trade 4 x6 sell 4@10 other 5",
        ),
        bids="",
        asks="11@10x3",
    ),
    Case(
        "whole lots",
        (
            sell(1, 10, 16, lot=8),
            buy(2, 10, 15),
            "trade 1 x2 buy 8@10 leaves 8 other 7",
            buy(3, 9, 20),
            sell(4, 9, 24, lot=8),
            "trade 3 x4 sell 16@9 leaves 4 other 8",
        ),
        bids="7@10 4@9",
        asks="0+8@9 0+8@10",
    ),
    Case(
        "every fill is at least the minimum, or all that is left",
        (
            sell(1, 10, 4),
            sell(2, 10, 7),
            buy(3, 10, 10, min_quantity=5),
            "trade 2 x3 buy 7@10 other 3",
            sell(4, 10, 2),
            sell(5, 10, 3),
            "trade 3 x5 sell 3@10",
        ),
        asks="6@10x2",
        bids="",
    ),
    Case(
        "a maker's minimum too",
        (
            sell(1, 10, 9, min_quantity=5),
            buy(2, 10, 4),
            buy(3, 10, 6),
            "trade 1 x3 buy 6@10 leaves 3",
            buy(4, 10, 3),
            "trade 1 x4 buy 3@10",
        ),
        bids="4@10",
    ),
    Case(
        "what asks for 1 asks for nothing",
        (buy(1, 10, 1, min_quantity=1, hours=1), sell(2, 11, 1, min_quantity=1, hours=1, lot=1)),
        bids="1@10",
        asks="1@11",
    ),
    Case(
        "conditional quantity is told apart",
        (
            buy(1, 10, 1),
            buy(2, 10, 2, hours=2),
            buy(3, 10, 4, min_rating=1),
            buy(4, 10, 8, features=1),
            buy(5, 10, 16, flags=SAME_BARON),
            buy(6, 10, 32, min_quantity=2),
            sell(7, 11, 1, baron=9, window_end_h=NOW_H + 9),
            sell(8, 11, 2, lot=2),
            sell(9, 11, 4, hours=2),
            sell(10, 11, 8, min_quantity=2),
        ),
        bids="1+62@10x6",
        asks="1+14@11x4",
    ),
]
