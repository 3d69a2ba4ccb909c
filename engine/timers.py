"""The timers of a shard: one sorted list of (due, kind, id), derived from the rows that they belong to (rulebook §2).

It says when something is due and in which order; what happens then is its owner's room. Nothing here is in a snapshot:
`rearm` makes the list again from the rows.
"""

from __future__ import annotations

from enum import IntEnum

from engine.kinds import Kind, Origin, Side
from engine.state import Baron, Lease, Order, State
from engine.units import NS_PER_HOUR


class TimerKind(IntEnum):
    """The fixed list that orders timers of one instant: what ends comes before what goes on."""

    WINDOW_CLOSED = 1
    TERM_END = 2
    LEASE_HOUR = 3
    OFFER_HOUR = 4


def hour_floor_ns(ts_ns: int) -> int:
    """The start of the full hour (UTC) that holds ts_ns."""
    return ts_ns - ts_ns % NS_PER_HOUR


def next_hour_ns(ts_ns: int) -> int:
    """The first full hour after ts_ns."""
    return hour_floor_ns(ts_ns) + NS_PER_HOUR


def arm_order(state: State, order: Order) -> None:
    """An on-demand ask goes when less than one hour of its window is left; an offer's window moves on instead (§4)."""
    if _has_window(order):
        state.timers.add(_order_timer(order))


def disarm_order(state: State, order: Order) -> None:
    if _has_window(order):
        state.timers.discard(_order_timer(order))


def arm_lease(state: State, lease: Lease, due_ns: int) -> None:
    """Set the lease's one timer; 0 for none."""
    if lease.due_ns:
        state.timers.remove(_lease_timer(lease))
    lease.due_ns = due_ns
    if due_ns:
        state.timers.add(_lease_timer(lease))


def arm_offers(state: State, baron: Baron, due_ns: int) -> None:
    """Set the Baron's one timer for its offers; 0 for none."""
    if baron.offer_due_ns:
        state.timers.remove((baron.offer_due_ns, TimerKind.OFFER_HOUR, baron.baron))
    baron.offer_due_ns = due_ns
    if due_ns:
        state.timers.add((due_ns, TimerKind.OFFER_HOUR, baron.baron))


def next_due_ns(state: State) -> int | None:
    """When the earliest timer is due; None when there is none."""
    return state.timers[0][0] if state.timers else None


def rearm(state: State) -> None:
    """Make the list again from the rows, as after a restore."""
    state.timers.clear()
    state.timers.update(_order_timer(order) for order in state.orders.values() if _has_window(order))
    state.timers.update(_lease_timer(lease) for lease in state.leases.values() if lease.due_ns)
    state.timers.update(
        (baron.offer_due_ns, TimerKind.OFFER_HOUR, baron.baron) for baron in state.barons.values() if baron.offer_due_ns
    )


def _has_window(order: Order) -> bool:
    return order.side is Side.SELL and order.kind is Kind.ONDEMAND and order.origin is not Origin.OFFER


def _order_timer(order: Order) -> tuple[int, int, int]:
    return order.window_end_ns - NS_PER_HOUR + 1, TimerKind.WINDOW_CLOSED, order.order_id


def _lease_timer(lease: Lease) -> tuple[int, int, int]:
    kind = TimerKind.TERM_END if lease.due_ns == lease.term_end_ns else TimerKind.LEASE_HOUR
    return lease.due_ns, kind, lease.lease_id
