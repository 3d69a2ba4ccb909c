"""The end of a calendar month for one bill: what its lease used up to then is posted, and the bill closed (rulebook §9).

A lease whose first hour runs over the month's end is billed with the next month: what its provider fails inside its first
hour costs nothing, and what was paid out can't be taken back. It knows neither orders nor capacity.
"""

from __future__ import annotations

from engine import bills, charging, leases, periods, timers
from engine.dues import Bill
from engine.kinds import Kind
from engine.state import State
from engine.units import NS_PER_HOUR


def close(state: State, bill: Bill) -> None:
    """The timer of a bill's month."""
    month_end_ns = bill.due_ns
    lease = state.leases.get(bill.bill_id)
    if lease is not None and lease.kind is not Kind.FORWARD and lease.live and lease.active_ns:
        if month_end_ns - lease.active_ns < NS_PER_HOUR:
            timers.arm_bill(state, bill, periods.month_end_ns(month_end_ns))
            return
        charging.post(state, lease, charging.usage(lease, lease.active_ns, month_end_ns))
        leases.changed(state, lease)
    bills.close(state, bill)
