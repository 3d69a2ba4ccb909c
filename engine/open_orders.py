"""A live order's bookkeeping: it is admitted, shrinks, and is closed; every table that knows it follows at once.

The tables are the orders, their account's count, the Baron's listing of an ask, the book, the timers and the hold. The
hold of a bid is always exactly a function of what it leaves (rulebook §9). It never decides why an order changes.
"""

from __future__ import annotations

from engine import client_ids, money, timers
from engine.kinds import Kind, OrderStatus, Origin, Side
from engine.messages import Amended, Canceled
from engine.reasons import Reason
from engine.resting import Resting, Taker
from engine.state import Listing, Order, State


def listing_of(state: State, ask: Order) -> Listing:
    """Where an ask stands among what its Baron sells."""
    return state.barons[ask.baron].listing(ask.kind)


def touch(state: State, baron: int) -> None:
    """Something changed that the Baron's offers may grow by: they are looked at when the command ends (§4)."""
    state.touched_barons[baron] = None


def book_hours(order: Order) -> int:
    """The hours that eligibility asks for: a spot bid's are its lease's upper limit, and no condition (§5)."""
    return order.hours if order.kind is Kind.ONDEMAND else 0


def as_taker(order: Order) -> Taker:
    """The order as a book sees an incoming one."""
    return Taker(
        order.account, order.side, order.price_ticks, order.leaves_quantity, book_hours(order), order.window_end_ns
    )


def as_resting(order: Order) -> Resting:
    """The order as a book keeps it."""
    return Resting(
        order.order_id,
        order.account,
        order.side,
        order.price_ticks,
        order.leaves_quantity,
        book_hours(order),
        order.window_end_ns,
    )


def admit(state: State, order: Order) -> None:
    """Take a new order into the tables, with its hold; it isn't in the book yet."""
    state.orders[order.order_id] = order
    state.accounts[order.account].open_orders += 1
    if order.side is Side.BUY:
        hold = money.order_hold_micros(state, order, order.leaves_quantity)
        money.change_hold(state, order.account, hold, order.order_id)
    else:
        listing = listing_of(state, order)
        listing.asks[order.order_id] = None
        listing.asked_gpus += order.leaves_quantity
        timers.arm_order(state, order)


def shrink(state: State, order: Order, quantity: int, reason: Reason) -> None:
    """Take GPUs off a resting order (fewer than it leaves) in place, its priority kept."""
    before = order.leaves_quantity
    state.books[order.instrument].reduce(order.order_id, quantity)
    order.leaves_quantity -= quantity
    order.quantity -= quantity
    if order.side is Side.SELL:
        listing_of(state, order).asked_gpus -= quantity
        touch(state, order.baron)
    emit_amended(state, order, True, reason)
    if order.side is Side.BUY:
        release_down(state, order, before)


def release_down(state: State, order: Order, before_quantity: int) -> None:
    """Bring a bid's hold down from what `before_quantity` needed to what it leaves now."""
    freed = money.order_hold_micros(state, order, before_quantity) - money.order_hold_micros(
        state, order, order.leaves_quantity
    )
    money.change_hold(state, order.account, -freed, order.order_id)


def emit_amended(state: State, order: Order, kept_priority: bool, reason: Reason) -> None:
    state.emit(
        Amended(
            order_id=order.order_id,
            account=order.account,
            instrument=order.instrument,
            price_ticks=order.price_ticks,
            quantity=order.quantity,
            leaves_quantity=order.leaves_quantity,
            kept_priority=kept_priority,
            window_end_ns=order.window_end_ns,
            reason=reason,
        )
    )


def close(state: State, order: Order, reason: Reason) -> None:
    """Cancel what a live order leaves, whether it rests or is just coming in."""
    book = state.books[order.instrument]
    if order.order_id in book:
        book.remove(order.order_id)
    state.emit(
        Canceled(
            order_id=order.order_id,
            account=order.account,
            instrument=order.instrument,
            quantity=order.leaves_quantity,
            reason=reason,
        )
    )
    before = order.leaves_quantity
    if order.side is Side.SELL:
        listing_of(state, order).asked_gpus -= before
    order.leaves_quantity = 0
    if order.side is Side.BUY:
        release_down(state, order, before)
    expired = reason is Reason.WINDOW_CLOSED
    forget(state, order, OrderStatus.EXPIRED if expired else OrderStatus.CANCELED)


def forget(state: State, order: Order, status: OrderStatus) -> None:
    """Drop an order that leaves nothing from the tables; its final state is remembered for a while."""
    account = state.accounts[order.account]
    del state.orders[order.order_id]
    account.open_orders -= 1
    client_ids.closed(state, account, order, status)
    if order.side is Side.SELL:
        listing = listing_of(state, order)
        del listing.asks[order.order_id]
        if order.origin is Origin.OFFER:
            listing.offer_order_id = 0
        timers.disarm_order(state, order)
        touch(state, order.baron)
