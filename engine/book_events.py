"""What a book's events do to the shard: each record that a book wrote becomes its effect on rows and its own event.

`submit` is the one way into a book. A book's reject becomes `Refused`, with nothing changed. It knows no rule of
matching: the book has matched by the time that its events come here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine import fills, open_orders, timers
from engine.kinds import Side
from engine.messages import AuctionCleared, InstrumentSession, Refilled, Triggered
from engine.reasons import Reason
from engine.records import BookEvent, Command, EventFlag, EventKind, Session, unpack_events
from engine.state import Broken, Order, Refused, State

# Plain numbers: a flag's own `&` costs as much as the rest of an event.
_ARMED: Final = int(EventFlag.ARMED)
_KEPT_PRIORITY: Final = int(EventFlag.KEPT_PRIORITY)
_FIELDS: Final = {Reason.POST_ONLY_WOULD_TRADE: "post_only"}
"""Where a refusal of the book is one field's fault."""


def submit(
    state: State, instrument: int, command: Command, entering: Order | None = None, *, keeps_remainder: bool = False
) -> None:
    """Put a command to a book, and take in what it did; `entering` is a NEW's order. Refused: nothing changed.

    keeps_remainder: what an ioc's walk leaves isn't cancelled, but the caller's to fill elsewhere or to close.
    """
    for event in unpack_events(state.books[instrument].submit(command)):
        if event.kind is EventKind.REJECTED:
            raise Refused(event.reason, _FIELDS.get(event.reason, ""))
        if event.kind is EventKind.ACCEPTED:
            if entering is None:
                raise Broken(f"a book accepted {event.order_id}, which nobody entered")
            entering.armed = bool(event.flags & _ARMED)
            open_orders.admit(state, entering)
            if command.quantity < entering.leaves_quantity:
                # More of it than the command may do: it enters with the rest cancelled.
                _cut(state, entering, command.quantity)
        elif keeps_remainder and event.reason is Reason.IOC_REMAINDER:
            continue
        else:
            EFFECTS[event.kind](state, instrument, event)
    state.touched_books[instrument] = None


def _cut(state: State, order: Order, quantity: int) -> None:
    open_orders.amend(state, order, order.price_ticks, quantity, quantity, True, Reason.WALK_LIMIT)


def must(state: State, instrument: int, command: Command) -> None:
    """Put a command to a book that it can't refuse: Broken if it does."""
    try:
        submit(state, instrument, command)
    except Refused as refusal:
        raise Broken(f"a book refused {command.op.name} of {command.order_id}: {refusal.reason.name}") from refusal


def _traded(state: State, _instrument: int, event: BookEvent) -> None:
    fills.trade(state, event)


def _canceled(state: State, _instrument: int, event: BookEvent) -> None:
    order = state.orders[event.order_id]
    if event.quantity != order.leaves_quantity:
        raise Broken(f"a book cancelled {event.quantity} of {order.order_id}, which leaves {order.leaves_quantity}")
    open_orders.close(state, order, event.reason)


def _amended(state: State, _instrument: int, event: BookEvent) -> None:
    order = state.orders[event.order_id]
    if event.reason is Reason.WINDOW_MOVED:
        open_orders.emit_amended(state, order, True, event.reason)
        return
    kept_priority = bool(event.flags & _KEPT_PRIORITY)
    # A book gives no reason for what the order's owner asked for.
    reason = event.reason or Reason.REQUESTED
    # A book doesn't count what its order found elsewhere; an amendment never changes what is filled.
    quantity = event.leaves + order.filled
    open_orders.amend(state, order, event.price, quantity, event.leaves, kept_priority, reason)


def _triggered(state: State, instrument: int, event: BookEvent) -> None:
    order = state.orders[event.order_id]
    order.armed = False
    # A stop buy keeps the protection that it holds; what a stop sale's is, its trigger says.
    order.price_ticks = event.price
    state.emit(
        Triggered(
            order_id=order.order_id,
            account=order.account,
            instrument=instrument,
            price_ticks=order.price_ticks,
            leaves_quantity=order.leaves_quantity,
        )
    )


def _refilled(state: State, instrument: int, event: BookEvent) -> None:
    order = state.orders[event.order_id]
    state.emit(
        Refilled(
            order_id=order.order_id,
            account=order.account,
            instrument=instrument,
            price_ticks=event.price,
            quantity=event.quantity,
            leaves_quantity=event.leaves,
        )
    )


def _session(state: State, instrument: int, event: BookEvent) -> None:
    timers.arm_auction(state, instrument, event.other_id)
    state.emit(
        InstrumentSession(
            instrument=instrument,
            session=Session(event.flags),
            reason=event.reason,
            reference_ticks=event.price,
            until_ns=event.other_id,
        )
    )


def _cleared(state: State, instrument: int, event: BookEvent) -> None:
    state.emit(
        AuctionCleared(
            instrument=instrument,
            price_ticks=event.price,
            quantity=event.quantity,
            surplus_quantity=event.leaves,
            surplus_side=Side(event.side) if event.side else None,
        )
    )


EFFECTS: Final[dict[EventKind, Callable[[State, int, BookEvent], None]]] = {
    EventKind.TRADE: _traded,
    EventKind.CANCELED: _canceled,
    EventKind.AMENDED: _amended,
    EventKind.TRIGGERED: _triggered,
    EventKind.REFILLED: _refilled,
    EventKind.SESSION: _session,
    EventKind.CLEARED: _cleared,
}
