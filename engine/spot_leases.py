"""Spot leases in the order in which they yield: lowest price first, the newest first among equals (rulebook §7).

A row knows those of its own that firm sales may take, an instrument those that a bid may displace; both find the first
in O(log n) of all that run. What its row counts of a lease, from fill to wipe, is kept here too. Nobody gets notice here,
and no money moves.
"""

from __future__ import annotations

from sortedcontainers import SortedList

from engine import rows
from engine.kinds import Kind, LeaseState
from engine.state import Lease, State

_YIELDS = (LeaseState.PROVISIONING, LeaseState.ACTIVE)
"""Started or about to be, and without notice."""


def began(state: State, lease: Lease) -> None:
    """A lease came to be. One that waits for another's GPUs is a claim of its row, and counts when it is served."""
    if lease.kind is not Kind.SPOT:
        return
    row = rows.row_of_lease(state, lease)
    if lease.waits_for:
        row.claims[lease.lease_id] = None
    else:
        row.spot_leases.add(_place(lease))


def active(state: State, lease: Lease) -> None:
    """It runs: from now on it can be displaced."""
    if lease.kind is Kind.SPOT:
        _displaceable(state, lease).add(_place(lease))


def raised(state: State, lease: Lease, before_ticks: int) -> None:
    """It pays more than before, and yields later."""
    before = before_ticks, -lease.lease_id
    row = rows.row_of_lease(state, lease)
    row.spot_leases.remove(before)
    row.spot_leases.add(_place(lease))
    if lease.state is LeaseState.ACTIVE:
        leases = _displaceable(state, lease)
        leases.remove(before)
        leases.add(_place(lease))


def leaves(state: State, lease: Lease) -> None:
    """It gets notice, or ends without; to be told while its state is the old one. Its GPUs leave unless they are promised."""
    if not yields(lease):
        return
    row = rows.row_of_lease(state, lease)
    row.spot_leases.remove(_place(lease))
    if lease.state is LeaseState.ACTIVE:
        _displaceable(state, lease).remove(_place(lease))
    if not lease.promised_to:
        row.leaving_gpus += lease.quantity


def yields(lease: Lease) -> bool:
    """Whether it is a spot lease that may get notice still."""
    return lease.kind is Kind.SPOT and lease.state in _YIELDS


def gone(state: State, lease: Lease) -> None:
    """Its GPUs are its row's again: it is wiped, or has waited for its wipe too long."""
    row = rows.row_of_lease(state, lease)
    row.spot_gpus -= lease.quantity
    if not lease.promised_to:
        row.leaving_gpus -= lease.quantity


def served(state: State, displaced: Lease, newcomer: Lease) -> None:
    """The displaced lease is wiped, and its newcomer has the GPUs: those of an offer are leased under it still."""
    row, baron = rows.row_of_lease(state, newcomer), state.barons[newcomer.baron]
    del row.claims[newcomer.lease_id]
    newcomer.waits_for = 0
    newcomer.state = LeaseState.PROVISIONING
    newcomer.offer_quantity = displaced.offer_quantity
    if newcomer.offer_quantity:
        row.listings[instrument_of(state, newcomer)].offer_leased_gpus += newcomer.offer_quantity
    baron.leased_gpus += newcomer.quantity
    row.spot_gpus += newcomer.quantity
    row.spot_leases.add(_place(newcomer))


def claim_ended(state: State, newcomer: Lease) -> None:
    """A newcomer won't have what it waited for: the displaced lease's GPUs are promised to nobody, and leave."""
    row = rows.row_of_lease(state, newcomer)
    displaced = state.leases[newcomer.waits_for]
    del row.claims[newcomer.lease_id]
    newcomer.waits_for = displaced.promised_to = 0
    row.leaving_gpus += displaced.quantity


def instrument_of(state: State, lease: Lease) -> int:
    """The instrument in which spot leases of its market are traded."""
    baron = state.barons[lease.baron]
    return state.markets[baron.sku, baron.region][0]


def rearm(state: State) -> None:
    """Make the indexes again from the leases, as after a restore."""
    state.spot_index.clear()
    for row in state.rows.values():
        row.spot_leases.clear()
    for lease in state.leases.values():
        if lease.kind is Kind.SPOT and lease.state in _YIELDS:
            rows.row_of_lease(state, lease).spot_leases.add(_place(lease))
            if lease.state is LeaseState.ACTIVE:
                active(state, lease)


def _place(lease: Lease) -> tuple[int, int]:
    return lease.price_ticks, -lease.lease_id


def _displaceable(state: State, lease: Lease) -> SortedList[tuple[int, int]]:
    return state.spot_index.setdefault(instrument_of(state, lease), state.records.pairs())
