"""Rows: the arithmetic of what an account has of a Baron, hour by hour (rulebook §4).

    deliverable(h) = verified + bought(h) - sold(h)        free(h) = deliverable(h) - reserved(h)

Every change of a grid is made here or with the spans made here: from the running hour on, or from that in which a timer
was due that fires late. Hours before the last day's end are over for every timer: they count no more, whatever stood in
them, and are given back. It knows neither prices nor money, and decides nothing.
"""

from __future__ import annotations

from typing import Final

from engine.grid import HourGrid
from engine.kinds import Kind
from engine.row import Row
from engine.state import Baron, Lease, Order, State
from engine.units import NS_PER_HOUR, NS_PER_S

KEPT_MOST_H: Final = 366 * 24
"""Hours that are over are kept for timers that are late, but no more than these: a grid spans only so much."""
_DAY_H: Final = 24


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


def deliverable_to_spot(state: State, row: Row, as_of_ns: int) -> int:
    """What firm sales leave to spot leases at a time: the less of its hour and of that of two minutes later (§4)."""
    ahead_ns = as_of_ns + state.limits.notice_s * NS_PER_S
    return deliverable(state, row, hour_of(as_of_ns), hour_of(ahead_ns) + 1)


def spot_free(state: State, row: Row) -> int:
    """GPUs that its open spot asks may stand on; negative where firm sales took what spot leases are on."""
    return deliverable_to_spot(state, row, state.last_ts_ns) - row.spot_gpus


def is_late(state: State, row: Row) -> bool:
    """Whether a look ahead of its own is overdue: until it fires nobody knows what of its spot leases is left by now."""
    return 0 < row.look_ahead_ns <= state.last_ts_ns


def kept_from_h(state: State, row: Row) -> int:
    """The first hour whose counts are whole: that of its market's last day's end, up to which every timer has fired."""
    baron, now_h = state.barons[row.baron], hour_of(state.last_ts_ns)
    spot, _ = state.markets.get((baron.sku, baron.region), (0, 0))
    calendar = state.calendars.get(spot)
    day_end_h = hour_of(calendar.due_ns) - _DAY_H if calendar is not None else now_h
    return max(min(now_h, day_end_h), now_h - KEPT_MOST_H)


def short_from_ns(state: State, row: Row) -> int:
    """When an overdue look ahead will have found that its spot leases, as they are now, lack GPUs; 0: none will."""
    if not is_late(state, row):
        return 0
    notice_ns, stays = state.limits.notice_s * NS_PER_S, row.spot_gpus - row.leaving_gpus
    start_h = max(hour_of(row.look_ahead_ns + notice_ns), kept_from_h(state, row))
    end_h = max(start_h, hour_of(state.last_ts_ns + notice_ns)) + 1
    if deliverable(state, row, start_h, end_h) >= stays:
        return 0
    short_h = next(hour for hour in range(start_h, end_h) if deliverable(state, row, hour, hour + 1) < stays)
    return max(row.look_ahead_ns, short_h * NS_PER_HOUR - notice_ns)


def window_of(state: State, ask: Order) -> tuple[int, int]:
    """The hours that a firm ask reserves, from the running one on; empty (start >= end) when they are over."""
    start_h = hour_of(state.last_ts_ns)
    if ask.kind is Kind.FORWARD:
        start_h = max(start_h, state.instruments[ask.instrument].start_h)
    return start_h, ask.window_end_ns // NS_PER_HOUR


def add_sold(state: State, row: Row, start_h: int, end_h: int, quantity: int, *, since_h: int | None = None) -> None:
    """Sell GPUs in a span, or give them back (negative); of a span that began, what is left of it.

    since_h: the running hour as of a timer that may be late; None: as of now.
    """
    start_h = max(start_h, _since(state, row, since_h))
    if start_h < end_h and quantity:
        _grid(state, row).add_sold(start_h, end_h, quantity)


def add_bought(state: State, row: Row, start_h: int, end_h: int, quantity: int, *, since_h: int | None = None) -> None:
    """Buy GPUs in a span, or sell them on (negative); of a span that began, what is left of it. since_h: as with `add_sold`."""
    start_h = max(start_h, _since(state, row, since_h))
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


def forget(state: State, row: Row) -> None:
    """Give back what is over for every timer, since a grid spans only so much and rows live longer."""
    row.grid.forget(kept_from_h(state, row))


def _since(state: State, row: Row, since_h: int | None) -> int:
    return hour_of(state.last_ts_ns) if since_h is None else max(since_h, kept_from_h(state, row))


def _grid(state: State, row: Row) -> HourGrid:
    """A row's grid, to be changed."""
    forget(state, row)
    return row.grid
