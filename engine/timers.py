"""The timers of a shard: one sorted list of (due, kind, id), derived from the rows that they belong to (rulebook §2).

It says when something is due and in which order; what happens then is its owner's room. Nothing here is in a snapshot:
`rearm` makes the list again from the rows.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from engine.dues import Bill
from engine.kinds import Kind, LeaseState, Side
from engine.obligation import Obligation
from engine.row import Row
from engine.state import Account, Baron, Calendar, Lease, Order, State, Timer
from engine.units import NS_PER_HOUR, NS_PER_S

_ROW_BITS: Final = 32
"""Accounts and Barons are numbered below 2^32 (`engine.units.NUMBER_MAX`)."""


class TimerKind(IntEnum):
    """The fixed list that orders timers of one instant: what ends comes before what goes on."""

    ORDER_EXPIRED = 1
    WINDOW_CLOSED = 2
    DEAD_MAN = 3
    NOTICE_END = 4
    TERM_END = 5
    LEASE_HOUR = 6
    OBLIGATION_HOUR = 7
    OBLIGATION_START = 8
    DELIVERY_END = 9
    """A forward's lease whose hours are over, and that no obligation took over."""
    WIPE_OVERDUE = 10
    MONTH_CLOSE = 11
    AUTO_EXTEND = 12
    AUCTION_END = 13
    CALENDAR = 14
    LOOK_AHEAD = 15
    OFFER_HOUR = 16


def hour_floor_ns(ts_ns: int) -> int:
    """The start of the full hour (UTC) that holds ts_ns."""
    return ts_ns - ts_ns % NS_PER_HOUR


def next_hour_ns(ts_ns: int) -> int:
    """The first full hour after ts_ns."""
    return hour_floor_ns(ts_ns) + NS_PER_HOUR


def arm_order(state: State, order: Order) -> None:
    """A gtd or day order goes at its time; an on-demand ask when less of its window is left than it sells at least (§4)."""
    for timer in _order_timers(order):
        state.timers.add(timer)


def disarm_order(state: State, order: Order) -> None:
    for timer in _order_timers(order):
        state.timers.discard(timer)


def arm_lease(state: State, lease: Lease, due_ns: int) -> None:
    """Set the lease's one timer; 0 for none."""
    if lease.due_ns:
        state.timers.remove(_lease_timer(lease))
    lease.due_ns = due_ns
    if due_ns:
        state.timers.add(_lease_timer(lease))


def arm_auto_extend(state: State, lease: Lease) -> None:
    """Set when a lease extends itself, so long before its term's end; none for one that doesn't, or ends."""
    runs_on = lease.auto_extend and lease.state in (LeaseState.PROVISIONING, LeaseState.ACTIVE)
    due_ns = max(1, lease.term_end_ns - state.limits.extend_s * NS_PER_S) if runs_on else 0
    _set(state, TimerKind.AUTO_EXTEND, lease.lease_id, lease.auto_due_ns, due_ns)
    lease.auto_due_ns = due_ns


def arm_obligation(state: State, obligation: Obligation, due_ns: int) -> None:
    """Set an obligation's one timer: its first hour's start, then the end of each hour; 0 for none."""
    if obligation.due_ns:
        state.timers.remove(_obligation_timer(obligation))
    obligation.due_ns = due_ns
    if due_ns:
        state.timers.add(_obligation_timer(obligation))


def arm_wipe(state: State, lease: Lease, due_ns: int) -> None:
    """Set when a lease that is over has waited too long for its wipe; 0 for none."""
    _set(state, TimerKind.WIPE_OVERDUE, lease.lease_id, lease.wipe_due_ns, due_ns)
    lease.wipe_due_ns = due_ns


def arm_look_ahead(state: State, row: Row) -> None:
    """While anything of a row is spot, it is looked at two minutes before each full hour (§4)."""
    wanted = bool(row.spot_asks) or row.spot_gpus > 0
    if wanted == bool(row.look_ahead_ns):
        return
    notice_ns = state.limits.notice_s * NS_PER_S
    due_ns = next_hour_ns(state.last_ts_ns + notice_ns) - notice_ns if wanted else 0
    _set_look_ahead(state, row, due_ns)


def arm_look_ahead_again(state: State, row: Row) -> None:
    """Have looked at a row ahead of one hour: the next is that of the hour after it, though it be over; without leases, of
    one that comes."""
    notice_ns = state.limits.notice_s * NS_PER_S
    due_ns = (
        row.look_ahead_ns + NS_PER_HOUR if row.spot_gpus else next_hour_ns(state.last_ts_ns + notice_ns) - notice_ns
    )
    _set_look_ahead(state, row, due_ns)


def row_number(row: Row) -> int:
    """A row's number among timers."""
    return row.account << _ROW_BITS | row.baron


def row_key(number: int) -> tuple[int, int]:
    """The row of a timer: (account, Baron)."""
    return number >> _ROW_BITS, number & (1 << _ROW_BITS) - 1


def arm_offers(state: State, baron: Baron, due_ns: int) -> None:
    """Set the Baron's one timer for its offers; 0 for none."""
    _set(state, TimerKind.OFFER_HOUR, baron.baron, baron.offer_due_ns, due_ns)
    baron.offer_due_ns = due_ns


def arm_bill(state: State, bill: Bill, due_ns: int) -> None:
    """Set when a bill's month is closed; 0 for never again."""
    _set(state, TimerKind.MONTH_CLOSE, bill.bill_id, bill.due_ns, due_ns)
    bill.due_ns = due_ns


def arm_dead_man(state: State, account: Account, due_ns: int) -> None:
    """Set the account's dead-man switch; 0 for none."""
    _set(state, TimerKind.DEAD_MAN, account.account, account.dead_man_ns, due_ns)
    account.dead_man_ns = due_ns


def arm_auction(state: State, instrument: int, due_ns: int) -> None:
    """Set when an instrument's auction ends by itself; 0 for none."""
    _set(state, TimerKind.AUCTION_END, instrument, state.auction_ends.pop(instrument, 0), due_ns)
    if due_ns:
        state.auction_ends[instrument] = due_ns


def arm_calendar(state: State, calendar: Calendar, due_ns: int) -> None:
    """Set when a market's forwards change next."""
    _set(state, TimerKind.CALENDAR, calendar.market, calendar.due_ns, due_ns)
    calendar.due_ns = due_ns


def next_due_ns(state: State) -> int | None:
    """When the earliest timer is due, at once where something waits already; None when there is nothing to wait for."""
    if state.waiting or state.yielding or state.shutting or state.expiring or state.covers:
        return state.last_ts_ns
    return state.timers[0][0] if state.timers else None


def rearm(state: State) -> None:
    """Make the list again from the rows, as after a restore."""
    state.timers.clear()
    for order in state.orders.values():
        state.timers.update(_order_timers(order))
    state.timers.update(_lease_timer(lease) for lease in state.leases.values() if lease.due_ns)
    state.timers.update(
        (lease.auto_due_ns, TimerKind.AUTO_EXTEND, lease.lease_id)
        for lease in state.leases.values()
        if lease.auto_due_ns
    )
    state.timers.update(
        (lease.wipe_due_ns, TimerKind.WIPE_OVERDUE, lease.lease_id)
        for lease in state.leases.values()
        if lease.wipe_due_ns
    )
    state.timers.update((bill.due_ns, TimerKind.MONTH_CLOSE, bill.bill_id) for bill in state.bills.values())
    rearm_few(state)


def rearm_few(state: State) -> None:
    """Add those of what there are fewer of than of orders, leases and bills."""
    state.timers.update(_obligation_timer(each) for each in state.obligations.values() if each.due_ns)
    state.timers.update(
        (row.look_ahead_ns, TimerKind.LOOK_AHEAD, row_number(row)) for row in state.rows.values() if row.look_ahead_ns
    )
    state.timers.update(
        (baron.offer_due_ns, TimerKind.OFFER_HOUR, baron.baron) for baron in state.barons.values() if baron.offer_due_ns
    )
    state.timers.update(
        (account.dead_man_ns, TimerKind.DEAD_MAN, account.account)
        for account in state.accounts.values()
        if account.dead_man_ns
    )
    state.timers.update((row.due_ns, TimerKind.CALENDAR, row.market) for row in state.calendars.values())
    state.timers.update(
        (due_ns, TimerKind.AUCTION_END, instrument) for instrument, due_ns in state.auction_ends.items()
    )


def _set_look_ahead(state: State, row: Row, due_ns: int) -> None:
    _set(state, TimerKind.LOOK_AHEAD, row_number(row), row.look_ahead_ns, due_ns)
    row.look_ahead_ns = due_ns


def _set(state: State, kind: TimerKind, number: int, before_ns: int, due_ns: int) -> None:
    if before_ns:
        state.timers.remove((before_ns, kind, number))
    if due_ns:
        state.timers.add((due_ns, kind, number))


def _order_timers(order: Order) -> list[Timer]:
    timers: list[Timer] = []
    if order.expire_ns:
        timers.append((order.expire_ns, TimerKind.ORDER_EXPIRED, order.order_id))
    if order.side is Side.SELL and order.kind is Kind.ONDEMAND:
        closed_ns = order.window_end_ns - max(1, order.min_hours) * NS_PER_HOUR + 1
        timers.append((closed_ns, TimerKind.WINDOW_CLOSED, order.order_id))
    return timers


def _obligation_timer(obligation: Obligation) -> Timer:
    """What ends comes before what begins, so that it can take over the lease."""
    kind = TimerKind.OBLIGATION_HOUR if obligation.running else TimerKind.OBLIGATION_START
    return obligation.due_ns, kind, obligation.obligation_id


def _lease_timer(lease: Lease) -> Timer:
    if lease.due_ns == lease.ends_ns:
        kind = TimerKind.NOTICE_END
    elif lease.due_ns == lease.term_end_ns:
        kind = TimerKind.DELIVERY_END if lease.kind is Kind.FORWARD else TimerKind.TERM_END
    else:
        kind = TimerKind.LEASE_HOUR
    return lease.due_ns, kind, lease.lease_id
