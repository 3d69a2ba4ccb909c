"""Scenarios: what is refused, and why (docs/book.md, "Checks"). Each record fails the check that it names and no earlier one."""

from __future__ import annotations

from typing import Final

from engine.book import BookLimits
from engine.reasons import Reason
from engine.records import Command, Flag, Op, Session, Sides
from tests.engine.book.cases import Case
from tests.engine.book.words import (
    DECREMENT,
    FOK,
    IOC,
    MARKET,
    NOW_NS,
    STOP,
    STOP_LIMIT,
    amend,
    baron,
    buy,
    cancel,
    does,
    mass_cancel,
    reduce,
    sell,
    session,
    tick,
)

POST_ONLY, SAME_BARON = int(Flag.POST_ONLY), int(Flag.SAME_BARON)
PRICE_MAX, QUANTITY_MAX = BookLimits().price_max, BookLimits().quantity_max

_MALFORMED: Final = {
    "op 0": does(Op(1), 7)._replace(op=0),  # type: ignore[arg-type]
    "op 11": does(Op(1), 7)._replace(op=11),  # type: ignore[arg-type]
    "op 255": does(Op(1), 7)._replace(op=255),  # type: ignore[arg-type]
    "reserved": buy(7, 100, 1, reserved=1),
    "reserved of a tick": tick(order_id=7, reserved=1),
    "time in force 4": buy(7, 100, 1)._replace(shape=0b0011000),
    "shape's last bit": buy(7, 100, 1)._replace(shape=0b10000000),
    "a flag of new": buy(7, 100, 1, flags=4),
    "a flag of amend": does(Op.AMEND, 7, flags=8),
    "a mass cancel of no side": does(Op.MASS_CANCEL, 7),
    "a side of mass cancel": does(Op.MASS_CANCEL, 7, flags=5),
    "session 0": does(Op.SET_SESSION, 7, shape=0),
    "session 6": does(Op.SET_SESSION, 7, shape=6),
    "a reason of cancel": cancel(7, reason=89),
    "a reason of reduce": reduce(7, 1, reason=255),
    "a reason of mass cancel": mass_cancel(order_id=7, reason=200),
    "a reason of a session": session(Session.HALTED, order_id=7, reason=200),
    "Baron 0": baron(0, 50, order_id=7),
    "a rating of 101": baron(1, 101, order_id=7),
}
_NO_ID: Final = {op: does(op) for op in (Op.NEW, Op.CANCEL, Op.AMEND, Op.REDUCE, Op.MOVE_WINDOW, Op.FIRE)}

_REFUSED: Final[dict[str, tuple[Command, Reason]]] = {
    "no quantity": (buy(1, 100, 0), Reason.INVALID_QUANTITY),
    "too great a quantity": (buy(1, 100, QUANTITY_MAX + 1), Reason.INVALID_QUANTITY),
    "no price": (buy(1, 0, 1), Reason.INVALID_PRICE),
    "a negative price": (sell(1, -1, 1), Reason.INVALID_PRICE),
    "too high a price": (sell(1, PRICE_MAX + 1, 1), Reason.INVALID_PRICE),
    "a stop limit without a limit": (sell(1, 0, 1, STOP_LIMIT, stop_price=9), Reason.INVALID_PRICE),
    "a stop buy without protection": (buy(1, 0, 1, STOP, stop_price=9), Reason.INVALID_PRICE),
    "a market order's negative price": (sell(1, -1, 1, MARKET, IOC), Reason.INVALID_PRICE),
    "a market order's price beyond all": (buy(1, PRICE_MAX + 1, 1, MARKET, IOC), Reason.INVALID_PRICE),
    "a stop without stop price": (sell(1, 5, 1, STOP), Reason.INVALID_PRICE),
    "a stop price beyond all": (sell(1, 5, 1, STOP_LIMIT, stop_price=PRICE_MAX + 1), Reason.INVALID_PRICE),
    "a limit with a stop price": (sell(1, 5, 1, stop_price=4), Reason.INVALID_ORDER),
    "a market order with a stop price": (sell(1, 5, 1, MARKET, IOC, stop_price=-4), Reason.INVALID_ORDER),
    "a market order that stays": (buy(1, 100, 1, MARKET), Reason.INVALID_ORDER),
    "a post-only ioc": (buy(1, 100, 1, tif=IOC, flags=POST_ONLY), Reason.INVALID_ORDER),
    "a post-only fok": (buy(1, 100, 1, tif=FOK, flags=POST_ONLY), Reason.INVALID_ORDER),
    "a post-only market order": (buy(1, 100, 1, MARKET, IOC, flags=POST_ONLY), Reason.INVALID_ORDER),
    "a post-only stop limit": (buy(1, 100, 1, STOP_LIMIT, stop_price=1, flags=POST_ONLY), Reason.INVALID_ORDER),
    "too small a slice": (buy(1, 100, 65, display_quantity=1), Reason.INVALID_QUANTITY),
    "a minimum above the quantity": (buy(1, 100, 5, min_quantity=6), Reason.INVALID_QUANTITY),
    "a minimum above the slice": (buy(1, 100, 5, min_quantity=3, display_quantity=2), Reason.INVALID_QUANTITY),
    "a buy on a Baron": (buy(1, 100, 5, baron=1), Reason.INVALID_ORDER),
    "a buy with a lot": (buy(1, 100, 5, lot=1), Reason.INVALID_ORDER),
    "a buy with a window": (buy(1, 100, 5, window_end_h=1), Reason.INVALID_ORDER),
    "a sell that asks for features": (sell(1, 100, 5, features=1), Reason.INVALID_ORDER),
    "a sell that asks for a rating": (sell(1, 100, 5, min_rating=1), Reason.INVALID_ORDER),
    "a sell on the same Baron": (sell(1, 100, 5, flags=SAME_BARON), Reason.INVALID_ORDER),
    "a rating above 100": (buy(1, 100, 5, min_rating=101), Reason.INVALID_ORDER),
    "a whole that shows a part": (buy(1, 100, 5, flags=SAME_BARON, display_quantity=5), Reason.INVALID_ORDER),
    "a broken lot": (sell(1, 100, 5, lot=2), Reason.INVALID_QUANTITY),
    "a slice of a broken lot": (sell(1, 100, 8, lot=4, display_quantity=2), Reason.INVALID_QUANTITY),
    "a decrement of lots": (sell(1, 100, 8, stp=DECREMENT, lot=4), Reason.INVALID_ORDER),
    "a decrement with a minimum": (sell(1, 100, 8, stp=DECREMENT, min_quantity=4), Reason.INVALID_ORDER),
    "a decrement on one Baron": (buy(1, 100, 8, stp=DECREMENT, flags=SAME_BARON), Reason.INVALID_ORDER),
}

# Where a record fails two checks, the earlier one speaks.
_ORDER: Final[dict[str, tuple[Command, Reason]]] = {
    "malformed before time": (buy(1, 100, 1, ts_ns=-1, reserved=1), Reason.MALFORMED_RECORD),
    "time before the rest": (buy(1, 100, 0, ts_ns=NOW_NS - 1), Reason.TIME_WENT_BACK),
    "id before quantity": (buy(9, 100, 0), Reason.DUPLICATE_ORDER_ID),
    "quantity before price": (buy(1, 0, 0), Reason.INVALID_QUANTITY),
    "price before stop price": (buy(1, 0, 1, stop_price=5), Reason.INVALID_PRICE),
    "stop price before kind": (buy(1, 1, 1, MARKET, stop_price=5), Reason.INVALID_ORDER),
    "post-only before slice": (buy(1, 1, 65, tif=IOC, flags=POST_ONLY, display_quantity=1), Reason.INVALID_ORDER),
    "slice before side": (buy(1, 1, 65, display_quantity=1, lot=1), Reason.INVALID_QUANTITY),
    "side before lot": (buy(1, 1, 5, lot=2), Reason.INVALID_ORDER),
    "lot before decrement": (sell(1, 1, 5, stp=DECREMENT, lot=2), Reason.INVALID_QUANTITY),
}

_ACCEPTED: Final = {
    "the least": buy(1, 1, 1),
    "the most": sell(1, PRICE_MAX, QUANTITY_MAX),
    "the smallest slice": buy(1, 100, 64, display_quantity=1),
    "a slice above the quantity": buy(1, 100, 4, display_quantity=9),
    "a minimum of the slice": buy(1, 100, 5, min_quantity=2, display_quantity=2),
    "a rating of 100": buy(1, 100, 5, min_rating=100),
    "whole lots": sell(1, 100, 8, lot=4, display_quantity=4),
    "a decrement that asks for 1": sell(1, 100, 8, stp=DECREMENT, min_quantity=1, lot=1),
    "the greatest id": buy(2**64 - 1, 100, 1),
    "fields that a new doesn't use": buy(1, 100, 1, reason=255),
    "unused fields": sell(1, 100, 1, hours=1, window_end_h=2**32 - 1, baron=2**32 - 1, tag=2**32 - 1),
}


def _accepted_line(command: Command) -> str:
    side = "sell" if command.shape & 1 else "buy"
    quantity = command.quantity
    display = f" other {command.display_quantity}" if command.display_quantity else ""
    return f"accepted {command.order_id} {side} {quantity}@{command.price} leaves {quantity}{display}"


def _cases() -> list[Case]:
    cases = [
        Case(f"malformed: {name}", (command, f"rejected {command.order_id} malformed_record"), "", "")
        for name, command in _MALFORMED.items()
    ]
    cases += [
        Case(f"malformed: {op.name} of id 0", (command, "rejected malformed_record")) for op, command in _NO_ID.items()
    ]
    cases += [
        Case(f"refused: {name}", (command, f"rejected 1 {reason.name.lower()}"), "", "")
        for name, (command, reason) in _REFUSED.items()
    ]
    cases += [
        Case(
            f"order of checks: {name}", (sell(9, 200, 1), command, f"rejected {command.order_id} {reason.name.lower()}")
        )
        for name, (command, reason) in _ORDER.items()
    ]
    cases += [Case(f"accepted: {name}", (command, _accepted_line(command))) for name, command in _ACCEPTED.items()]
    return cases


CHECKS: Final = [
    *_cases(),
    Case("a tick writes nothing", (tick(), "nothing")),
    Case("a Baron's rating writes nothing", (baron(1, 100, 3), "nothing")),
    Case(
        "fields that an op doesn't use are not looked at",
        (buy(1, 9, 1), cancel(1, shape=255, flags=255, hours=9), "canceled 1 buy 1@9 requested"),
    ),
    Case(
        "time may stand still and goes on even by what is refused",
        (
            buy(1, 9, 1, ts_ns=NOW_NS),
            buy(2, 0, 1, ts_ns=NOW_NS + 5),
            "rejected 2 invalid_price",
            cancel(1, ts_ns=NOW_NS + 4),
            "rejected 1 time_went_back",
            cancel(9, ts_ns=NOW_NS + 5),
            "rejected 9 unknown_order",
        ),
        bids="1@9",
    ),
    Case(
        "an id that has left is free again",
        (
            buy(1, 9, 1),
            sell(1, 99, 1),
            "rejected 1 duplicate_order_id",
            cancel(1),
            sell(1, 99, 1),
            buy(2, 99, 1),
            "trade 1 x2 buy 1@99",
            buy(1, 9, 2),
        ),
        bids="2@9",
        asks="",
    ),
    Case(
        "a cancel is for the account's own order",
        (
            buy(1, 9, 1, account=4),
            cancel(1, account=5),
            "rejected 1 unknown_order",
            cancel(1, account=4, reason=int(Reason.DEAD_MAN)),
            "canceled 1 buy 1@9 dead_man",
            cancel(1),
            "rejected 1 unknown_order",
        ),
    ),
    Case(
        "a reduction keeps its place and lowers the total",
        (
            sell(1, 9, 5, account=4),
            sell(2, 9, 5),
            reduce(1, 0),
            "rejected 1 invalid_quantity",
            reduce(1, 2, account=3),
            "rejected 1 unknown_order",
            reduce(1, 2, reason=int(Reason.CAPACITY_CUT)),
            "amended kept_priority 1 sell 3@9 leaves 3 capacity_cut",
            reduce(2, 1),
            "amended kept_priority 2 sell 4@9 leaves 4 requested",
        ),
        asks="7@9x2",
        ask_queue="1 2",
        orders={1: "3/3/3@9"},
    ),
    Case(
        "a reduction by all cancels",
        (
            sell(1, 9, 5),
            reduce(1, 5, reason=int(Reason.CAPACITY_CUT)),
            "canceled 1 sell 5@9 capacity_cut",
            sell(2, 9, 5),
            reduce(2, 2**32 - 1),
            "canceled 2 sell 5@9 requested",
        ),
        asks="",
    ),
    Case(
        "a window moves in place",
        (
            sell(1, 9, 5, account=4, window_end_h=1),
            sell(2, 9, 5),
            buy(3, 8, 5),
            does(Op.MOVE_WINDOW, 3, window_end_h=5),
            "rejected 3 invalid_order",
            does(Op.MOVE_WINDOW, 1, account=1, window_end_h=5),
            "rejected 1 unknown_order",
            does(Op.MOVE_WINDOW, 1, account=4, window_end_h=0, reason=255),
            "amended kept_priority 1 sell 5@9 leaves 5 window_moved",
            buy(4, 9, 1),
            "trade 1 x4 buy 1@9 leaves 4",
        ),
        ask_queue="1 2",
    ),
    Case(
        "a mass cancel takes sides, accounts and tags, in priority order, stops last",
        (
            buy(1, 8, 1, account=1, tag=7),
            buy(2, 9, 1, account=1, tag=7),
            buy(3, 9, 1, account=2, tag=7),
            sell(4, 10, 1, account=1, tag=8),
            sell(5, 11, 1, account=1, tag=7),
            sell(6, 7, 1, STOP, account=1, tag=7, stop_price=6),
            mass_cancel(account=1, tag=7),
            "canceled 2 buy 1@9 mass_canceled",
            "canceled 1 buy 1@8 mass_canceled",
            "canceled 5 sell 1@11 mass_canceled",
            "canceled 6 sell 1@7 mass_canceled",
            mass_cancel(Sides.SELL, reason=int(Reason.DISCONNECTED)),
            "canceled 4 sell 1@10 disconnected",
            mass_cancel(account=1),
            "nothing",
            mass_cancel(Sides.BUY),
            "canceled 3 buy 1@9 mass_canceled",
        ),
        bids="",
        asks="",
        stops="",
    ),
    Case(
        "an account has so many conditional orders, armed ones included, those that can't rest not",
        (
            buy(1, 9, 1, account=5, hours=2),
            buy(2, 9, 1, STOP, account=5, hours=2, stop_price=20),
            buy(3, 9, 1, account=5, hours=2),
            "rejected 3 too_many_conditional",
            sell(3, 99, 1, account=5, min_quantity=1, hours=3),
            "rejected 3 too_many_conditional",
            buy(3, 9, 1, tif=IOC, account=5, hours=2),
            "canceled 3 buy 1@9 ioc_remainder",
            buy(3, 9, 1, STOP, IOC, account=5, hours=2, stop_price=20),
            "rejected 3 too_many_conditional",
            buy(4, 9, 1, STOP, account=5, stop_price=20),
            buy(5, 9, 1, account=6, hours=2),
            buy(6, 9, 1, hours=2),
            buy(7, 9, 1, hours=2),
            buy(8, 9, 1, hours=2),
            cancel(2),
            buy(9, 9, 1, account=5, hours=2),
        ),
        bid_queue="1 5 6 7 8 9",
        limits=BookLimits(max_conditional_account=2),
    ),
    Case(
        "a side rests so many conditional orders",
        (
            buy(1, 9, 2, min_quantity=2),
            buy(2, 9, 2, min_quantity=2),
            "canceled 2 buy 2@9 conditional_limit",
            sell(3, 10, 2, min_quantity=2),
            sell(4, 9, 3, min_quantity=2),
            "trade 1 x4 sell 2@9 other 1",
            "canceled 4 sell 1@9 conditional_limit",
            buy(5, 9, 2, min_quantity=2),
        ),
        bids="0+2@9",
        asks="0+2@10",
        limits=BookLimits(max_conditional_side=1),
    ),
    Case(
        "one of its own at the side's limit may still be amended",
        (
            buy(1, 9, 2, min_quantity=2),
            amend(1, price=8),
            "amended 1 buy 2@8 leaves 2",
        ),
        bids="0+2@8",
        limits=BookLimits(max_conditional_side=1, max_conditional_account=1),
    ),
    Case(
        "bounds of 0 are none",
        (
            *(sell(number, 9, 65, display_quantity=1, account=1, min_quantity=1, hours=2) for number in range(1, 40)),
            buy(99, 9, 65 * 39, hours=2),
        ),
        asks="",
        limits=BookLimits(max_looked=0, display_ratio=0, max_conditional_account=0, max_conditional_side=0),
    ),
]
