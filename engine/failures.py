"""What a provider fails to deliver: an obligation with its lease, and what lacks GPUs in the running hour (rulebook §4, §8).

Where GPUs are short, what was sold first is served first, whole, and what finds too few left fails. A failure of an
obligation's lease is the obligation's (`engine.leases`), and the other way round here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine import leases, obligations, rows
from engine.obligation import Obligation
from engine.row import Row
from engine.state import Lease, State

EVENTS_ENOUGH: Final = 2**14
"""A command that made so many events ends no more: they are numbered in 16 bits, and an ask or a lease makes several."""


def fail(state: State, obligation: Obligation, as_of_ns: int) -> None:
    """The provider fails an obligation, and what stands on it, as of a time that is over."""
    lease = state.leases.get(obligation.lease_id)
    if lease is not None and lease.live:
        # Alone it would take no more GPUs of the obligation with it than its own.
        leases.fail(state, lease, as_of_ns, follows=True)
    leases.fail_obligation(state, obligation, as_of_ns)


def running(state: State, baron: int) -> list[Obligation]:
    """Obligations of a Baron whose first hour has begun, oldest first."""
    return sorted((each for each in _owed(state, baron) if each.running), key=lambda each: each.obligation_id)


def running_h(state: State, baron: int) -> int:
    """The hour that runs for a Baron's obligations, as of the timer that fires: one that is late finds them as they were then."""
    return max((each.start_h for each in _owed(state, baron) if each.running), default=rows.hour_of(state.last_ts_ns))


def fail_short(state: State, row: Row, as_of_ns: int, hour: int) -> None:
    """On-demand leases and obligations of the running hour fail, newest first, for which those before them leave too few GPUs (§4).

    Leases that are over and wait for their wipe lack none: theirs come back, or leave what counts. Nor do failed
    obligations, whose hours stay sold. A command that has made 2^14 events stops there, and a Tick goes on.
    """
    counted_h = max(hour, rows.kept_from_h(state, row))
    if rows.deliverable(state, row, counted_h, counted_h + 1) >= 0:
        # All that was sold is there: thousands of obligations may begin in one hour, and each would go through all.
        return
    firm: list[tuple[int, Lease | Obligation]] = [
        (number, state.leases[number]) for number in row.firm_leases if state.leases[number].live
    ]
    if state.barons[row.baron].provider == row.account:
        firm += [(each.obligation_id, each) for each in _owed(state, row.baron) if each.start_h <= hour < each.end_h]
    left, failing = _has(state, row, counted_h), list[Lease | Obligation]()
    for _, oldest in sorted(firm, key=lambda item: item[0]):
        if oldest.quantity <= left:
            left -= oldest.quantity
        else:
            failing.append(oldest)
    for newest in reversed(failing):
        if len(state.events) >= EVENTS_ENOUGH:
            state.shutting.add(row.baron)
            return
        # A compiled lease is no struct of the law's.
        if isinstance(newest, Obligation):
            fail(state, newest, as_of_ns)
        else:
            leases.fail(state, newest, as_of_ns)


def _has(state: State, row: Row, hour: int) -> int:
    """GPUs that a row has in an hour before it sells any: verified, or bought."""
    return rows.verified(state, row) + row.grid.at(hour).bought


def _owed(state: State, baron: int) -> Iterator[Obligation]:
    """All obligations on a Baron."""
    for holder in state.rows_of.get(baron, {}):
        yield from obligations.held(state, holder, baron)
