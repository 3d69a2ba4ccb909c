"""Rows: the arithmetic of what an account has of a Baron, hour by hour (rulebook §4).

    deliverable(h) = verified + bought(h) - sold(h)        free(h) = deliverable(h) - reserved(h)

Every change of a grid is made here or with the spans made here: from the running hour on, for hours that are over count
no more, whatever stood in them, and are given back. It knows neither prices nor money, and decides nothing.
"""

from __future__ import annotations

from engine.grid import HourGrid
from engine.kinds import Kind
from engine.row import Row
from engine.state import Baron, Lease, Order, State
from engine.units import NS_PER_HOUR, NS_PER_S


def hour_of(ts_ns: int) -> int:
    """The full hour since the epoch that holds a time."""
    return ts_ns // NS_PER_HOUR


def hour_after(ts_ns: int) -> int:
    """The first full hour at or after a time."""
    return -(-ts_ns // NS_PER_HOUR)


def row_of(state: State, account: int, baron: int) -> Row:
    """The row, made when it is first asked for."""
    row = state.rows.get((account, baron))
    if row is None:
        row = state.records.row(account, baron, state.grid_factory())
        state.rows[account, baron] = row
        state.rows_of.setdefault(baron, {})[account] = row
    return row


def row_of_ask(state: State, ask: Order) -> Row:
    return state.rows[ask.account, ask.baron]


def row_of_lease(state: State, lease: Lease) -> Row:
    """The row that sold it."""
    return state.rows[lease.provider, lease.baron]


def own_row(state: State, baron: Baron) -> Row:
    """The row of a Baron's provider."""
    return state.rows[baron.provider, baron.baron]


def verified(state: State, row: Row) -> int:
    """GPUs that the row has in every hour: the Baron's, if it is its provider's row."""
    baron = state.barons[row.baron]
    return baron.counted_gpus if baron.provider == row.account else 0


def deliverable(state: State, row: Row, start_h: int, end_h: int) -> int:
    """The least that is deliverable in the hours of a span that isn't empty; negative where more was sold."""
    return verified(state, row) + row.grid.least_deliverable(start_h, end_h)


def free(state: State, row: Row, start_h: int, end_h: int) -> int:
    """The least that is free for firm asks in the hours of a span that isn't empty."""
    return verified(state, row) + row.grid.least_free(start_h, end_h)


def deliverable_to_spot(state: State, row: Row) -> int:
    """What firm sales leave to spot leases: the less of this hour and of that of two minutes from now (§4)."""
    now_ns = state.last_ts_ns
    ahead_ns = now_ns + state.limits.notice_s * NS_PER_S
    return deliverable(state, row, hour_of(now_ns), hour_of(ahead_ns) + 1)


def spot_free(state: State, row: Row) -> int:
    """GPUs that its open spot asks may stand on; negative where firm sales took what spot leases are on."""
    return deliverable_to_spot(state, row) - row.spot_gpus


def window_of(state: State, ask: Order) -> tuple[int, int]:
    """The hours that a firm ask reserves, from the running one on; empty (start >= end) when they are over."""
    start_h = hour_of(state.last_ts_ns)
    if ask.kind is Kind.FORWARD:
        start_h = max(start_h, state.instruments[ask.instrument].start_h)
    return start_h, ask.window_end_ns // NS_PER_HOUR


def add_sold(state: State, row: Row, start_h: int, end_h: int, quantity: int) -> None:
    """Sell GPUs in a span, or give them back (negative); of a span that began, what is left of it."""
    start_h = max(start_h, hour_of(state.last_ts_ns))
    if start_h < end_h and quantity:
        _grid(state, row).add_sold(start_h, end_h, quantity)


def add_bought(state: State, row: Row, start_h: int, end_h: int, quantity: int) -> None:
    """Buy GPUs in a span, or sell them on (negative); of a span that began, what is left of it."""
    start_h = max(start_h, hour_of(state.last_ts_ns))
    if start_h < end_h and quantity:
        _grid(state, row).add_bought(start_h, end_h, quantity)


def sold_span(lease: Lease) -> tuple[int, int]:
    """The hours that an on-demand lease takes, those that it touches taken whole."""
    return hour_of(lease.start_ns), hour_after(lease.term_end_ns)


def stand(state: State, ask: Order, quantity: int) -> None:
    """An open ask stands on more GPUs of its row, or on fewer (negative): a firm one in each hour of its window."""
    row = row_of_ask(state, ask)
    if ask.kind is Kind.SPOT:
        row.spot_asked_gpus += quantity
        return
    start_h, end_h = window_of(state, ask)
    if start_h < end_h and quantity:
        _grid(state, row).add_reserved(start_h, end_h, quantity)


def widen(state: State, ask: Order, window_end_h: int) -> None:
    """A firm ask stands in the hours up to this one as well, as of now; the caller gives it the window."""
    start_h = max(hour_of(state.last_ts_ns), ask.window_end_ns // NS_PER_HOUR)
    if start_h < window_end_h and ask.leaves_quantity:
        _grid(state, row_of_ask(state, ask)).add_reserved(start_h, window_end_h, ask.leaves_quantity)


def _grid(state: State, row: Row) -> HourGrid:
    """A row's grid, to be changed: without its past, since it spans only so much and rows live longer."""
    row.grid.forget(hour_of(state.last_ts_ns))
    return row.grid
