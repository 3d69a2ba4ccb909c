"""Delivery: an obligation whose hours have begun has a lease, once its holder has said where to (rulebook §8, §9).

Obligations of equal quantity that follow one another share a lease; where the quantity changes, the one ends and another
begins. Money goes by the obligation's hours, whatever becomes of its lease: a forward's lease charges nothing, and its bill has
the pay of the hours that it delivered.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine import bills, cuts, leases, obligation_hours, obligations, order_terms, rows, subleases, timers
from engine.kinds import Kind, LeaseState, ObligationChange
from engine.messages import LeasePriced, LeaseScheduled, SetDelivery
from engine.obligation import Obligation
from engine.reasons import Reason
from engine.row import Row
from engine.state import Lease, Refused, State
from engine.units import NS_PER_HOUR, NS_PER_S


def set_delivery(state: State, command: SetDelivery) -> None:
    """Say where an obligation is delivered to; one that runs without a lease has one from now on."""
    state.open_account(command.account)
    obligation = state.obligations.get(command.obligation_id)
    if obligation is None or obligation.holder != command.account:
        raise Refused(Reason.UNKNOWN_OBLIGATION, "obligation_id")
    order_terms.check_delivery(state, command.delivery)
    lease = state.leases.get(obligation.lease_id)
    opens = lease is None and obligation.running and state.last_ts_ns < obligation.end_h * NS_PER_HOUR
    if lease is not None and lease.state is not LeaseState.SCHEDULED:
        raise Refused(Reason.NO_LEASE_NOW, "obligation_id")
    now_h = rows.hour_of(state.last_ts_ns)
    if opens and not subleases.own_quantity(state, obligation, now_h):
        raise Refused(Reason.NO_LEASE_NOW, "obligation_id")
    with obligations.changing(state, obligation, obligation.due_ns):
        obligation.delivery = command.delivery
    obligations.say(state, obligation, ObligationChange.ADDRESSED)
    if lease is not None:
        _provision(state, obligation, lease)
    elif opens:
        _open(state, obligation, state.last_ts_ns, subleases.own_quantity(state, obligation, now_h))


def start(state: State, obligation: Obligation) -> None:
    """The timer: its first hour begins; it takes over the lease of one that has just ended, or has a new one.

    GPUs that its holder let go on to be let; where all of them are, it has none of its own.
    """
    due_ns = obligation.due_ns
    obligation_hours.begin(state, obligation)
    quantity = subleases.own_quantity(state, obligation, obligation.start_h)
    waiting = state.handovers.get((obligation.holder, obligation.baron, quantity, due_ns))
    if waiting:
        # The oldest lease: the order in which their obligations ended isn't part of a snapshot.
        _take_over(state, obligation, state.leases[min(waiting)])
    elif quantity:
        _open(state, obligation, due_ns, quantity)


def full_hour(state: State, obligation: Obligation) -> None:
    """The timer: an hour is over, and paid; after the last its lease is there for the obligation that follows."""
    lease, due_ns = state.leases.get(obligation.lease_id), obligation.due_ns
    if obligation_hours.pay(state, obligation):
        return
    if lease is not None and lease.live:
        leases.left(state, lease)
    make_room(state, rows.row_of(state, obligation.holder, obligation.baron), due_ns)


def make_room(state: State, row: Row, as_of_ns: int) -> None:
    """A holder's own leases leave what it sold on spot or on-demand: those of its newest obligations first (§4, §8).

    So it is when it sells, and when hours of another obligation are over: what it let goes on in what it has left.
    """
    lacking = subleases.lacking(state, row, rows.hour_of(as_of_ns)) if row.firm_gpus or row.spot_gpus else 0
    if lacking <= 0 or not row.own_gpus:
        return
    for obligation in reversed(tuple(obligations.held(state, row.account, row.baron))):
        lease = state.leases.get(obligation.lease_id)
        if lacking > 0 and lease is not None and lease.live:
            going = min(lacking, lease.quantity)
            lacking -= going
            leases.shrink(state, lease, going, as_of_ns)
    cuts.changed(state, state.barons[row.baron], row)


def terms_follow(state: State, changed: Iterable[Obligation]) -> None:
    """After a trade: the leases of these run as long as their obligations, which it cut or joined.

    One that is over, and waits for its wipe, keeps its GPUs no longer than its obligation.
    """
    for obligation in changed:
        lease = state.leases.get(obligation.lease_id)
        end_ns = obligation.end_h * NS_PER_HOUR
        if lease is not None and lease.live:
            _run_until(state, lease, end_ns)
        elif lease is not None and lease.wipe_due_ns > end_ns:
            overdue_ns = lease.ended_ns + state.limits.wipe_s * NS_PER_S
            timers.arm_wipe(state, lease, max(end_ns, overdue_ns))


def _open(state: State, obligation: Obligation, start_ns: int, quantity: int) -> None:
    """A lease of its own; it waits, scheduled, where nobody has said where to deliver."""
    lease = state.records.lease(
        lease_id=state.new_id(),
        renter=obligation.holder,
        provider=obligation.provider,
        baron=obligation.baron,
        kind=Kind.FORWARD,
        quantity=quantity,
        offer_quantity=0,
        price_ticks=0,
        start_ns=start_ns,
        term_end_ns=obligation.end_h * NS_PER_HOUR,
        minimum_s=0,
        renter_fee_ppm=0,
        provider_fee_ppm=0,
        prefund_micros=0,
        state=LeaseState.PROVISIONING if obligation.delivery else LeaseState.SCHEDULED,
        obligation_id=obligation.obligation_id,
    )
    leases.begin(state, lease)
    bills.began(state, lease)
    obligation.lease_id = lease.lease_id
    obligations.say(state, obligation, ObligationChange.LEASED)
    state.emit(
        LeaseScheduled(
            lease_id=lease.lease_id,
            obligation_id=obligation.obligation_id,
            order_id=0,
            renter=lease.renter,
            provider=lease.provider,
            baron=lease.baron,
            instrument=obligation.instrument,
            kind=lease.kind,
            quantity=lease.quantity,
            price_ticks=0,
            start_ns=lease.start_ns,
            term_end_ns=lease.term_end_ns,
            minimum_s=0,
            renter_fee_ppm=0,
            provider_fee_ppm=0,
            state=lease.state,
            delivery=obligation.delivery,
        )
    )
    baron = state.barons[lease.baron]
    baron.leased_gpus += lease.quantity
    cuts.changed(state, baron, rows.own_row(state, baron))


def _take_over(state: State, obligation: Obligation, lease: Lease) -> None:
    leases.taken_over(state, lease, obligation)
    obligation.lease_id = lease.lease_id
    obligations.say(state, obligation, ObligationChange.LEASED)
    _run_until(state, lease, obligation.end_h * NS_PER_HOUR)
    if lease.state is LeaseState.SCHEDULED and obligation.delivery:
        _provision(state, obligation, lease)


def _provision(state: State, obligation: Obligation, lease: Lease) -> None:
    """A lease that waited for somebody to say where to deliver waits no longer."""
    lease.state = LeaseState.PROVISIONING
    leases.changed(state, lease, delivery=obligation.delivery)


def _run_until(state: State, lease: Lease, term_end_ns: int) -> None:
    """Move the end of a lease's term; its price stays nothing."""
    if term_end_ns == lease.term_end_ns:
        return
    # A lease's timer is known by its term's end.
    timers.arm_lease(state, lease, 0)
    lease.term_end_ns = term_end_ns
    timers.arm_lease(state, lease, term_end_ns)
    state.emit(LeasePriced(lease_id=lease.lease_id, price_ticks=0, from_ns=state.last_ts_ns, term_end_ns=term_end_ns))
