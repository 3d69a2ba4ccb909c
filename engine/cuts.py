"""What a row's capacity no longer carries is cut: open asks that would sell what isn't there any more (rulebook §4).

Firm asks are cut where an hour of theirs lacks GPUs, spot asks to what firm sales leave over, newest first. What firm
sales take from running spot leases is noted here, and `engine.preemption` sees to it when the command ends.
"""

from __future__ import annotations

from engine import in_book, open_orders, rows, timers
from engine.messages import CapacityChanged
from engine.reasons import Reason
from engine.row import Row
from engine.state import Baron, Order, State


def changed(state: State, baron: Baron, row: Row) -> None:
    """After GPUs of a Baron were verified, lost, leased or wiped: say so, and bring the row that it touched to order."""
    state.emit(
        CapacityChanged(
            baron=baron.baron,
            verified_gpus=baron.verified_gpus,
            leased_gpus=baron.leased_gpus,
            simulated=baron.simulated,
        )
    )
    open_orders.touch(state, baron.baron)
    settle(state, row)


def settle(state: State, row: Row) -> None:
    """Cut its spot asks to what is free for them now and in two minutes; note where spot leases lack GPUs."""
    free = rows.spot_free(state, row)
    if free < 0:
        state.short_rows[row.account, row.baron] = None
    cut_spot(state, row, max(0, free))
    timers.arm_look_ahead(state, row)


def cut_firm(state: State, row: Row) -> None:
    """Cut firm asks, newest first, each by the most that an hour of it lacks."""
    for order_id in reversed(tuple(row.firm_asks)):
        ask = state.orders[order_id]
        start_h, end_h = rows.window_of(state, ask)
        if start_h < end_h:
            _shrink(state, ask, -rows.free(state, row, start_h, end_h))


def cut_spot(state: State, row: Row, bound_gpus: int) -> None:
    while row.spot_asked_gpus > bound_gpus:
        newest = state.orders[next(reversed(row.spot_asks))]
        _shrink(state, newest, row.spot_asked_gpus - bound_gpus)


def _shrink(state: State, ask: Order, excess_gpus: int) -> None:
    """Take so much off an ask, to a multiple of its lot; all that it leaves, or more: it goes."""
    if excess_gpus > 0:
        lot = max(ask.lot, 1)
        in_book.shrink(state, ask, min(ask.leaves_quantity, -(-excess_gpus // lot) * lot), Reason.CAPACITY_CUT)
