"""Bought hours that are let out: what of a holder's GPUs its own leases have, and what its spot and on-demand leases (§8).

A sale of bought hours on spot or on-demand moves nothing: the holder stays between its Baron and its renter. So in each hour
its own leases and those that it sold have no more GPUs together than it bought; here is the arithmetic of that, and who
goes first where they had more. It ends no lease, and moves no money.
"""

from __future__ import annotations

from engine import obligations, rows
from engine.kinds import Kind
from engine.obligation import Obligation
from engine.row import Row
from engine.state import Lease, State


def is_sublease(state: State, lease: Lease) -> bool:
    """Whether its seller sold hours that it had bought, of another's Baron."""
    return lease.kind is not Kind.FORWARD and not sells_own(state, lease.provider, lease.baron)


def sells_own(state: State, seller: int, baron: int) -> bool:
    """Whether a seller is the Baron's provider."""
    return state.barons[baron].provider == seller


def holders_row(state: State, lease: Lease) -> Row:
    """The row of a forward's lease: its renter's, who bought the hours."""
    return rows.row_of(state, lease.renter, lease.baron)


def lacking(state: State, row: Row, hour: int) -> int:
    """GPUs that its own leases and those that it sold have beyond what it bought of an hour; negative: so many are idle.

    What is under notice, or over, leaves, and is counted on no more.
    """
    bought = row.grid.at(max(hour, rows.kept_from_h(state, row))).bought
    return row.own_gpus + row.firm_gpus + row.spot_gpus - row.leaving_gpus - bought


def own_quantity(state: State, obligation: Obligation, hour: int) -> int:
    """How many GPUs of an obligation, that has no lease, its holder's own lease can have: those that aren't let in this hour."""
    row = rows.row_of(state, obligation.holder, obligation.baron)
    if not row.firm_gpus and not row.spot_gpus:
        return obligation.quantity
    return max(0, min(obligation.quantity, -lacking(state, row, hour)))


def first_to_fail(state: State, row: Row, hour: int) -> Lease | None:
    """The lease that fails first where a Baron failed what the row had bought: spot as it yields, then the newest (§7, §4)."""
    if lacking(state, row, hour) <= 0:
        return None
    if row.claims:
        # Whoever waits there has nothing to wait for.
        return state.leases[state.leases[next(reversed(row.claims))].waits_for]
    if row.spot_leases:
        return state.leases[-row.spot_leases[0][1]]
    running = [number for number in row.firm_leases if state.leases[number].live]
    return state.leases[max(running)] if running else None


def behind(state: State, lease: Lease, as_of_ns: int) -> list[tuple[Obligation, int]]:
    """The obligations that a lease on bought hours stood on, and how many GPUs of each: the newest that have some let."""
    hour = rows.hour_of(as_of_ns)
    need = lease.quantity
    found: list[tuple[Obligation, int]] = []
    for obligation in reversed(tuple(obligations.held(state, lease.provider, lease.baron))):
        # One that runs may have been paid for that hour already.
        if hour >= obligation.end_h or not (obligation.running or obligation.start_h <= hour):
            continue
        own = state.leases.get(obligation.lease_id)
        taken = min(need, obligation.quantity - (own.quantity if own is not None and own.live else 0))
        if taken > 0:
            found.append((obligation, taken))
            need -= taken
        if need == 0:
            break
    return found
