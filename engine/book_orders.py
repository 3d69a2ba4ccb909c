"""From the shard's orders to the book's records: which of an order's terms the book knows, and as what.

Account and Baron go by their numbers. A spot bid's hours are its lease's upper limit and no condition, so the book
doesn't hear of them; gtd and day rest as gtc, and their time is the shard's timers' to keep. Tags and connections are
the shard's own. It changes nothing.
"""

from __future__ import annotations

from typing import Final

from engine.kinds import COVERS, Kind, Origin, Side, TimeInForce
from engine.reasons import Reason
from engine.records import Command, Flag, Given, Op, Session, shape_of
from engine.state import Baron, Order
from engine.units import NS_PER_HOUR

_POST_ONLY: Final = int(Flag.POST_ONLY)
_SAME_BARON: Final = int(Flag.SAME_BARON)
_IN_BOOK: Final = {
    TimeInForce.GTC: TimeInForce.GTC,
    TimeInForce.GTD: TimeInForce.GTC,
    TimeInForce.DAY: TimeInForce.GTC,
    TimeInForce.IOC: TimeInForce.IOC,
    TimeInForce.FOK: TimeInForce.FOK,
}


def new(order: Order, ts_ns: int) -> Command:
    """The order as it enters, with what it leaves now."""
    bid = order.side is Side.BUY
    term_hours = order.hours if order.kind is Kind.ONDEMAND else 0
    return Command(
        op=Op.NEW,
        order_id=order.order_id,
        ts_ns=ts_ns,
        account=order.account,
        price=order.price_ticks,
        quantity=order.leaves_quantity,
        shape=shape_of(order.side, order.order_type, _IN_BOOK[order.time_in_force], order.self_trade),
        flags=order.post_only * _POST_ONLY | order.same_baron * _SAME_BARON,
        display_quantity=order.display_quantity,
        min_quantity=order.min_quantity,
        stop_price=order.stop_price_ticks,
        window_end_h=order.window_end_ns // NS_PER_HOUR,
        baron=order.baron,
        features=order.features | COVERS if order.origin is Origin.COVER else order.features,
        hours=term_hours if bid else order.min_hours,
        lot=order.lot,
        min_rating=order.min_rating,
    )


def cancel(order: Order, ts_ns: int, reason: Reason) -> Command:
    return Command(op=Op.CANCEL, order_id=order.order_id, ts_ns=ts_ns, reason=reason)


def reduce(order: Order, ts_ns: int, quantity: int, reason: Reason) -> Command:
    """Take off `quantity` GPUs in place."""
    return Command(op=Op.REDUCE, order_id=order.order_id, ts_ns=ts_ns, quantity=quantity, reason=reason)


def amend(order: Order, ts_ns: int, price_ticks: int, quantity: int, *, anew: bool) -> Command:
    """A new price and total quantity; as they stand where they don't change. Anew: even less keeps no place."""
    given = Given.QUANTITY | Given.ANEW if anew else Given.QUANTITY
    if price_ticks != order.price_ticks:
        given |= Given.PRICE
    return Command(op=Op.AMEND, order_id=order.order_id, ts_ns=ts_ns, price=price_ticks, quantity=quantity, flags=given)


def move_window(order: Order, ts_ns: int) -> Command:
    """The ask's window, as the shard has set it."""
    return Command(
        op=Op.MOVE_WINDOW, order_id=order.order_id, ts_ns=ts_ns, window_end_h=order.window_end_ns // NS_PER_HOUR
    )


def fire(order: Order, ts_ns: int) -> Command:
    return Command(op=Op.FIRE, order_id=order.order_id, ts_ns=ts_ns)


def set_baron(baron: Baron, ts_ns: int, *, covers: bool = True) -> Command:
    """What its asks offer, as the shard has it; covers: they may be met by a cover."""
    features = baron.features | COVERS if covers else baron.features
    return Command(op=Op.SET_BARON, ts_ns=ts_ns, baron=baron.baron, features=features, min_rating=baron.rating)


def set_session(session: Session, ts_ns: int) -> Command:
    return Command(op=Op.SET_SESSION, ts_ns=ts_ns, shape=session)


def tick(ts_ns: int) -> Command:
    return Command(op=Op.TICK, ts_ns=ts_ns)
