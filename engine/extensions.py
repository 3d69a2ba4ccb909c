"""Extending an on-demand lease at the price of its Baron's offer, by its renter's word or by itself (rulebook §8).

No order is placed: the lease's own GPUs stay with it, and the old term is paid at the old price to its end. It knows no
order books.
"""

from __future__ import annotations

from typing import Final

from engine import charging, cuts, leases, raises, rows, timers
from engine.kinds import Kind, LeaseState, Pot
from engine.messages import ExtendLease, LeasePriced, Offer, SetAutoExtend
from engine.reasons import Reason
from engine.state import Lease, Refused, State, short_of_funds
from engine.units import NS_PER_HOUR, NS_PER_S

AUTO_HOURS: Final = 1
"""What a lease that extends itself buys at a time."""


def extend(state: State, command: ExtendLease) -> None:
    """So many hours more, from 10 minutes before the end of the term."""
    lease = _ondemand(state, command.account, command.lease_id)
    now_ns = state.last_ts_ns
    if now_ns >= lease.term_end_ns:
        raise Refused(Reason.LEASE_ENDED, "lease_id")
    if now_ns < lease.term_end_ns - state.limits.extend_s * NS_PER_S:
        raise Refused(Reason.TOO_EARLY_TO_EXTEND, "lease_id")
    _extend(state, lease, command.hours, now_ns)


def set_auto_extend(state: State, command: SetAutoExtend) -> None:
    """Whether the lease extends itself from now on; inside its last 10 minutes, at once."""
    lease = _ondemand(state, command.account, command.lease_id)
    lease.auto_extend = command.auto_extend
    timers.arm_auto_extend(state, lease)
    leases.changed(state, lease)


def auto_extend(state: State, lease: Lease) -> None:
    """The timer: an hour more; what can't be had isn't tried again, and the lease ends with its term."""
    try:
        _extend(state, lease, AUTO_HOURS, lease.auto_due_ns)
    except Refused:
        lease.auto_extend = False
        timers.arm_auto_extend(state, lease)
        leases.changed(state, lease)


def _ondemand(state: State, account: int, lease_id: int) -> Lease:
    """A lease of this renter that can be extended, in kind and state."""
    lease = leases.rented(state, account, lease_id)
    if lease.kind is not Kind.ONDEMAND:
        raise Refused(Reason.NOT_ONDEMAND, "lease_id")
    if lease.state is LeaseState.ENDING:
        raise Refused(Reason.LEASE_UNDER_NOTICE, "lease_id")
    return lease


def _extend(state: State, lease: Lease, hours: int, now_ns: int) -> None:
    """Move the end of the term; Refused, and nothing changed, when the hours can't be had or paid for."""
    if not 1 <= hours <= state.limits.max_term_hours:
        raise Refused(Reason.INVALID_HOURS, "hours")
    row = rows.row_of_lease(state, lease)
    offer = _offer(state, lease)
    if lease.state is not LeaseState.ACTIVE or offer is None or state.barons[lease.baron].shut:
        raise Refused(Reason.CANNOT_EXTEND, "lease_id")
    old_end_ns = lease.term_end_ns
    term_end_ns = old_end_ns + hours * NS_PER_HOUR
    if term_end_ns > timers.hour_floor_ns(now_ns) + offer.max_hours * NS_PER_HOUR:
        raise Refused(Reason.CANNOT_EXTEND, "hours")
    if offer.price_ticks > lease.limit_ticks:
        raise Refused(Reason.PRICE_ABOVE_MAXIMUM, "lease_id")
    # Hours that it touches already are its own.
    start_h, end_h = rows.hour_after(old_end_ns), rows.hour_after(term_end_ns)
    # Of hours that are over by now those count that a timer may be late for.
    free_h = max(start_h, rows.kept_from_h(state, row))
    if free_h < end_h and rows.free(state, row, free_h, end_h) < lease.quantity:
        raise Refused(Reason.CANNOT_EXTEND, "hours")
    # The prefund covered no more than the old term: what comes is added, from the last full hour on.
    posted_ns = charging.posted_ns(lease)
    prices = raises.priced(lease, offer.price_ticks, old_end_ns)
    longer = lease.with_prices(offer.price_ticks, prices, term_end_ns)
    if not charging.filled_up(state, longer, posted_ns):
        needed = charging.missing_micros(state, longer, posted_ns)
        raise short_of_funds(needed, state.accounts[lease.renter].pots[Pot.AVAILABLE], "hours")
    # A lease's timer is known by its term's end.
    timers.arm_lease(state, lease, 0)
    lease.term_end_ns, lease.prefund_micros = term_end_ns, longer.prefund_micros
    lease.price_ticks, lease.prices = longer.price_ticks, prices
    timers.arm_lease(state, lease, leases.next_due_ns(lease, posted_ns))
    timers.arm_auto_extend(state, lease)
    rows.add_sold(state, row, start_h, end_h, lease.quantity, since_h=start_h)
    state.emit(
        LeasePriced(lease_id=lease.lease_id, price_ticks=lease.price_ticks, from_ns=old_end_ns, term_end_ns=term_end_ns)
    )
    cuts.settle(state, row)


def _offer(state: State, lease: Lease) -> Offer | None:
    """What its seller offers on-demand on its Baron."""
    baron = state.barons[lease.baron]
    _, ondemand = state.markets[baron.sku, baron.region]
    listing = rows.row_of_lease(state, lease).listings.get(ondemand)
    return listing.offer if listing is not None else None
