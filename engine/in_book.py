"""What the shard itself does to an order that stands in a book: cancel it, cut it in place, move its window.

Each goes through the book, and the book's events change the rows. None of them can be refused, and none trades.
"""

from __future__ import annotations

from engine import book_events, book_orders, rows, timers
from engine.reasons import Reason
from engine.records import EventKind, unpack_events
from engine.state import Broken, Order, State


def cancel(state: State, order: Order, reason: Reason) -> None:
    """Cancel what a live order leaves, armed or at rest."""
    book_events.must(state, order.instrument, book_orders.cancel(order, state.last_ts_ns, reason))


def shrink(state: State, order: Order, quantity: int, reason: Reason) -> None:
    """Take GPUs off an order in place, its priority kept; all that it leaves: cancel."""
    book_events.must(state, order.instrument, book_orders.reduce(order, state.last_ts_ns, quantity, reason))


def move_window(state: State, ask: Order, window_end_ns: int) -> None:
    """Give an ask a later end of its fixed hours, its priority kept; the hours must be free."""
    rows.widen(state, ask, rows.hour_of(window_end_ns))
    timers.disarm_order(state, ask)
    ask.window_end_ns = window_end_ns
    timers.arm_order(state, ask)
    book_events.must(state, ask.instrument, book_orders.move_window(ask, state.last_ts_ns))


def withdraw(state: State, order: Order, quantity: int) -> None:
    """Take GPUs off an order at rest that it found elsewhere: its book counts them neither as filled nor in its total.

    The shard has said of them what there is to say (`engine.displacement`), so the book's event says nothing more.
    """
    command = book_orders.reduce(order, state.last_ts_ns, quantity, Reason.NONE)
    (event,) = unpack_events(state.books[order.instrument].submit(command))
    if event.kind is EventKind.REJECTED or event.leaves != order.leaves_quantity:
        raise Broken(f"the book and the shard differ in what {order.order_id} leaves")
