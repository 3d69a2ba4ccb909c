"""The words in which the book's scenarios are written: commands by functions, events and depth by short lines of text.

A line shows every field of an event that isn't zero, so that nothing goes unlooked at. No book is known here.
"""

from __future__ import annotations

from typing import Any, Final

from engine.book import Book, RestingOrder
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import (
    BookEvent,
    Command,
    EventFlag,
    EventKind,
    Given,
    Op,
    SelfTrade,
    Session,
    Sides,
    shape_of,
)

BUY, SELL = Side.BUY, Side.SELL
MARKET, STOP, STOP_LIMIT = OrderType.MARKET, OrderType.STOP, OrderType.STOP_LIMIT
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
CANCEL_NEWEST, CANCEL_OLDEST = SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_OLDEST
CANCEL_BOTH, DECREMENT = SelfTrade.CANCEL_BOTH, SelfTrade.DECREMENT

NOW_NS: Final = 1_800_000_000 * 10**9
"""The scenarios' time, the beginning of an hour: that of every command which gives no other."""
NOW_H: Final = NOW_NS // (3_600 * 10**9)
NS_PER_S: Final = 10**9


def order(
    side: Side,
    order_id: int,
    price: int,
    quantity: int,
    kind: OrderType = OrderType.LIMIT,
    tif: TimeInForce = TimeInForce.GTC,
    stp: SelfTrade = SelfTrade.CANCEL_NEWEST,
    **fields: Any,
) -> Command:
    """A NEW of account 0 at NOW_NS, if `fields` don't say otherwise."""
    fields.setdefault("ts_ns", NOW_NS)
    return Command(Op.NEW, order_id, price=price, quantity=quantity, shape=shape_of(side, kind, tif, stp), **fields)


def buy(order_id: int, price: int, quantity: int, *arguments: Any, **fields: Any) -> Command:
    return order(BUY, order_id, price, quantity, *arguments, **fields)


def sell(order_id: int, price: int, quantity: int, *arguments: Any, **fields: Any) -> Command:
    return order(SELL, order_id, price, quantity, *arguments, **fields)


def does(op: Op, order_id: int = 0, **fields: Any) -> Command:
    """Any other command, at NOW_NS."""
    fields.setdefault("ts_ns", NOW_NS)
    return Command(op, order_id, **fields)


def cancel(order_id: int, **fields: Any) -> Command:
    return does(Op.CANCEL, order_id, **fields)


def reduce(order_id: int, quantity: int, **fields: Any) -> Command:
    return does(Op.REDUCE, order_id, quantity=quantity, **fields)


def amend(
    order_id: int, price: int | None = None, quantity: int | None = None, *, anew: bool = False, **fields: Any
) -> Command:
    """An AMEND of what is given; anew: that keeps no place."""
    flags = (Given.PRICE if price is not None else 0) | (Given.QUANTITY if quantity is not None else 0)
    flags |= Given.ANEW if anew else 0
    return does(Op.AMEND, order_id, price=price or 0, quantity=quantity or 0, flags=int(flags), **fields)


def mass_cancel(sides: int = Sides.BUY | Sides.SELL, **fields: Any) -> Command:
    return does(Op.MASS_CANCEL, flags=int(sides), **fields)


def baron(number: int, rating: int, features: int = 0, **fields: Any) -> Command:
    return does(Op.SET_BARON, baron=number, min_rating=rating, features=features, **fields)


def session(to: Session, **fields: Any) -> Command:
    return does(Op.SET_SESSION, shape=int(to), **fields)


def tick(**fields: Any) -> Command:
    return does(Op.TICK, **fields)


def _amount(event: BookEvent) -> str:
    if event.kind is EventKind.SESSION and event.quantity == 0:
        return f"reference {event.price}" if event.price else ""
    return f"{event.quantity}@{event.price}" if event.quantity or event.price else ""


def line(event: BookEvent) -> str:
    """An event but its command's index: kind, ids, side, quantity@price, the rest by name where it isn't zero.

    The other id stands behind an x: a trade's taker, or when an auction ends.
    """
    flags: list[str]
    if event.kind is EventKind.SESSION:
        flags = [Session(event.flags).name.lower()]
    else:
        flags = [flag.name.lower() for flag in EventFlag if event.flags & flag and flag.name]
    words = [
        event.kind.name.lower(),
        *flags,
        f"{event.order_id}" if event.order_id else "",
        f"x{event.other_id}" if event.other_id else "",
        Side(event.side).name.lower() if event.side else "",
        _amount(event),
        f"leaves {event.leaves}" if event.leaves else "",
        f"other {event.other_leaves}" if event.other_leaves else "",
        event.reason.name.lower() if event.reason else "",
    ]
    return " ".join(word for word in words if word)


def depth(book: Book, side: Side) -> str:
    """Levels from the best: unconditional+conditional@price, and how many orders where there is more than one."""
    return " ".join(
        f"{level.unconditional}{f'+{level.conditional}' if level.conditional else ''}@{level.price}"
        f"{f'x{level.orders}' if level.orders > 1 else ''}"
        for level in book.depth(side, 1_000)
    )


def queue(book: Book, side: Side) -> str:
    """Ids at rest, in priority order."""
    return " ".join(str(order.order_id) for order in book.resting(side))


def stops(book: Book) -> str:
    """Ids of armed stops in order of entry, a triggered one with a mark."""
    return " ".join(f"{stop.order_id}{'!' if stop.triggered else ''}" for stop in book.state().stops)


def order_line(order: RestingOrder) -> str:
    """What changes in an order's life: shown/leaves/total@price."""
    return f"{order.shown}/{order.leaves}/{order.quantity}@{order.price}"
