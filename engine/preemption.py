"""Pre-emption: firm sales, and capacity that went, take GPUs from spot leases, whole leases and with notice (rulebook §7).

First go the claims of newcomers, the newest first, then leases, lowest price first and newest first among equals, until
the rest have GPUs. It looks at a row two minutes before each full hour, as of then however late the Tick, so that no hour
is sold to spot and to a forward's holder; and, as of now, at rows that a command left short (`engine.cuts` notes them).
"""

from __future__ import annotations

from engine import cuts, leases, open_orders, rows, timers
from engine.kinds import EndReason, Kind, LeaseState
from engine.row import Row
from engine.state import Lease, State
from engine.units import NS_PER_HOUR

_YIELDS = (LeaseState.PROVISIONING, LeaseState.ACTIVE)


def look_ahead(state: State, row: Row) -> None:
    """The timer, two minutes before a full hour: what that hour's firm sales leave to spot counts from then on.

    More than one firing may make yield: it stays due. What is asked is sold from now on: it is cut as of now.
    """
    open_orders.touch(state, row.baron)
    if make_room(state, row, row.look_ahead_ns):
        timers.arm_look_ahead_again(state, row)
    cuts.settle(state, row)


def follow(state: State) -> None:
    """Have spot leases of all rows that are short yield; one command makes so many yield at most, a Tick goes on.

    A row whose look ahead is overdue waits for it: its leases may have lost their GPUs before.
    """
    short, state.short_rows = state.short_rows, {}
    left = state.limits.max_looked
    for key in sorted(short):
        row = state.rows[key]
        if rows.is_late(state, row):
            state.yielding.discard(key)
            continue
        left -= _make_room(state, row, state.last_ts_ns, left)
        if left == 0 and _first(state, row, state.last_ts_ns) is not None and shortage(state, row) > 0:
            state.yielding.add(key)
        else:
            state.yielding.discard(key)


def go_on(state: State) -> None:
    """A Tick: rows that a command before couldn't bring to an end are looked at when this one ends."""
    state.short_rows.update(dict.fromkeys(state.yielding))


def make_room(state: State, row: Row, due_ns: int) -> bool:
    """A timer takes GPUs from a row's spot leases as of its due time; False where more must yield than one firing makes.

    Before the row was looked at last, everything was as it should be.
    """
    as_of_ns = max(due_ns, row.look_ahead_ns - NS_PER_HOUR, rows.kept_from_h(state, row) * NS_PER_HOUR)
    return _make_room(state, row, as_of_ns, state.limits.max_looked) < state.limits.max_looked


def shortage(state: State, row: Row, as_of_ns: int = 0) -> int:
    """GPUs that its spot leases lack once all that leaves is gone; what is promised to a newcomer doesn't leave.

    as_of_ns: then, for the leases that had begun; 0: now.
    """
    as_of_ns = as_of_ns or state.last_ts_ns
    stays = row.spot_gpus - row.leaving_gpus - _begun_later_gpus(state, row, as_of_ns)
    return stays - rows.deliverable_to_spot(state, row, as_of_ns)


def _make_room(state: State, row: Row, as_of_ns: int, most: int) -> int:
    """Make claims and leases of a row yield until it isn't short, at most so many; how many did."""
    lacking = shortage(state, row, as_of_ns) if row.spot_gpus else 0
    made = 0
    while lacking > 0 and made < most and (lease := _first(state, row, as_of_ns)) is not None:
        leases.give_notice(state, lease, as_of_ns, EndReason.PREEMPTED)
        # A claim has as many GPUs as the lease that it waits for, which nobody is promised now.
        lacking -= lease.quantity
        made += 1
    return made


def _first(state: State, row: Row, as_of_ns: int) -> Lease | None:
    """The claim or lease that yields first, of those that had begun at a time; None: there is none."""
    if row.claims:
        return state.leases[next(reversed(row.claims))]
    found = (state.leases[-number] for _, number in row.spot_leases)
    return next((lease for lease in found if lease.start_ns <= as_of_ns), None)


def _begun_later_gpus(state: State, row: Row, as_of_ns: int) -> int:
    """GPUs of a row's spot leases that began after a time and stay: of those that a late Tick's own trades opened, or commands
    that came before it."""
    gpus = 0
    for lease in reversed(state.leases_of.get(row.baron, {}).values()) if as_of_ns < state.last_ts_ns else ():
        if lease.kind is Kind.FORWARD:
            # It may have begun as of a time that had passed.
            continue
        if lease.start_ns <= as_of_ns:
            break
        stays = lease.promised_to or lease.state in _YIELDS
        if lease.kind is Kind.SPOT and lease.provider == row.account and stays:
            gpus += lease.quantity
    return gpus
