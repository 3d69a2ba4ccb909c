"""Pre-emption: firm sales, and capacity that went, take GPUs from spot leases, whole leases and with notice (rulebook §7).

First go the claims of newcomers, the newest first, then leases, lowest price first and newest first among equals, until
the rest have GPUs. It looks at rows that a command left short (`engine.cuts` notes them), when that command ends.
"""

from __future__ import annotations

from engine import leases, rows
from engine.kinds import EndReason
from engine.row import Row
from engine.state import State


def follow(state: State) -> None:
    """Have spot leases of all rows that are short yield; one command makes so many yield at most, a Tick goes on."""
    short, state.short_rows = state.short_rows, {}
    left = state.limits.max_looked
    for key in sorted(short):
        row = state.rows[key]
        left -= _make_room(state, row, left)
        if left == 0 and _yields(row) and shortage(state, row) > 0:
            state.yielding.add(key)
        else:
            state.yielding.discard(key)


def go_on(state: State) -> None:
    """A Tick: rows that a command before couldn't bring to an end are looked at when this one ends."""
    state.short_rows.update(dict.fromkeys(state.yielding))


def shortage(state: State, row: Row) -> int:
    """GPUs that its spot leases lack once all that leaves is gone; what is promised to a newcomer doesn't leave."""
    return row.spot_gpus - row.leaving_gpus - rows.deliverable_to_spot(state, row)


def _yields(row: Row) -> bool:
    return bool(row.claims or row.spot_leases)


def _make_room(state: State, row: Row, most: int) -> int:
    """Make claims and leases of a row yield until it isn't short, at most so many; how many did."""
    lacking = shortage(state, row)
    made = 0
    while lacking > 0 and made < most and _yields(row):
        lease = state.leases[next(reversed(row.claims)) if row.claims else -row.spot_leases[0][1]]
        leases.give_notice(state, lease, state.last_ts_ns, EndReason.PREEMPTED)
        # A claim has as many GPUs as the lease that it waits for, which nobody is promised now.
        lacking -= lease.quantity
        made += 1
    return made
