"""Leases that nobody delivered while Monarch was away: their agents ended them by themselves.

An agent that has lost Monarch keeps its leases for `paid_ahead_s`, then ends them. When Monarch comes back later than that,
the timers that fell due meanwhile would charge hours which nobody delivered; so these leases fail first, as of their
Baron's last heartbeat (rulebook §4, "Lost capacity"). One under notice that was over before its agent gave up was delivered
whole. Pure: it is given what is on disk and the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.kinds import Fault
from engine.messages import LeaseFailed
from provisioner.records import LeaseRow

DETAIL = "Monarch was away for longer than agents keep leases"


def lapsed(
    leases: Iterable[LeaseRow], heartbeats_ns: Mapping[int, int], now_ns: int, paid_ahead_ns: int
) -> list[LeaseFailed]:
    """The failures to enter before anything else at a start; heartbeats_ns: each Baron's last.

    A Baron whose last heartbeat isn't known (0 or none: the database was lost) tells by itself, when its agent is back.
    """
    failures = []
    for lease in leases:
        heartbeat_ns = heartbeats_ns.get(lease.baron, 0)
        heard_ns = max(heartbeat_ns, lease.start_ns)
        over_ns = min(now_ns, lease.ends_ns or now_ns)
        if heartbeat_ns and lease.used and over_ns - heard_ns > paid_ahead_ns:
            failure = LeaseFailed(lease_id=lease.lease_id, fault=Fault.PROVIDER, as_of_ns=heard_ns, detail=DETAIL)
            failures.append(failure)
    return failures
