"""Raising the price of a spot lease: the one number that decides whose lease yields first (rulebook §7).

The charge is the sum over the prices of their times; the prefund is filled up at the new price before it counts.
"""

from __future__ import annotations

from engine import charging, leases, spot_leases
from engine.kinds import Kind, LeaseState, Pot
from engine.messages import LeasePriced, RaisePrice
from engine.reasons import Reason
from engine.state import Lease, Refused, State, short_of_funds
from engine.units import PRICE_MAX_TICKS, PRICE_MIN_TICKS


def raise_price(state: State, command: RaisePrice) -> None:
    """The renter pays more from now on; refused for a newcomer that waits, under notice, for no higher price, without funds."""
    lease = leases.rented(state, command.account, command.lease_id)
    if lease.kind is not Kind.SPOT:
        raise Refused(Reason.NOT_SPOT, "lease_id")
    if lease.state is LeaseState.SCHEDULED:
        raise Refused(Reason.LEASE_SCHEDULED, "lease_id")
    if lease.state is LeaseState.ENDING:
        raise Refused(Reason.LEASE_UNDER_NOTICE, "lease_id")
    if not PRICE_MIN_TICKS <= command.price_ticks <= PRICE_MAX_TICKS:
        raise Refused(Reason.INVALID_PRICE, "price_ticks")
    if command.price_ticks <= lease.price_ticks:
        raise Refused(Reason.PRICE_NOT_HIGHER, "price_ticks")
    if len(lease.prices) > state.limits.max_raises:
        raise Refused(Reason.TOO_MANY_RAISES, "price_ticks")
    now_ns = state.last_ts_ns
    # What the prefund covers began with the last full hour: what is dearer from now on is added to it.
    at_ns = charging.posted_ns(lease) if lease.state is LeaseState.ACTIVE else now_ns
    prices = priced(lease, command.price_ticks, now_ns)
    raised = lease.with_prices(command.price_ticks, prices, lease.term_end_ns)
    if not charging.filled_up(state, raised, at_ns):
        needed = charging.missing_micros(state, raised, at_ns)
        raise short_of_funds(needed, state.accounts[lease.renter].pots[Pot.AVAILABLE], "price_ticks")
    lease.prefund_micros = raised.prefund_micros
    before_ticks = lease.price_ticks
    lease.price_ticks, lease.prices = raised.price_ticks, raised.prices
    spot_leases.raised(state, lease, before_ticks)
    state.emit(
        LeasePriced(
            lease_id=lease.lease_id, price_ticks=lease.price_ticks, from_ns=now_ns, term_end_ns=lease.term_end_ns
        )
    )


def priced(lease: Lease, price_ticks: int, from_ns: int) -> list[tuple[int, int]]:
    """The lease's prices with one more, from a time on; the same price as before is none."""
    if price_ticks == lease.price_ticks:
        return lease.prices
    return [*(lease.prices or [(lease.start_ns, lease.price_ticks)]), (from_ns, price_ticks)]
