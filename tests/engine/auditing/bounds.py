"""An account's own limits: nothing grows beyond them, whenever they were set (docs/machine.md)."""

from __future__ import annotations

from engine.kinds import Kind, Pot, Side
from tests.engine.auditing.seen import Seen


def check_account_limits(seen: Seen) -> None:
    """Nothing grows beyond an account's limits, whenever they were set; a killed account has no orders."""
    for number, limits in seen.limits.items():
        orders = [order for order in seen.orders.values() if order.accepted.account == number]
        bids_gpus = sum(order.leaves for order in orders if order.accepted.side is Side.BUY)
        stands = (
            len(orders),
            bids_gpus + _leased_gpus(seen, number) + _owed_gpus(seen, number),
            seen.pots[number, Pot.HELD] - seen.topped_up[number],
        )
        before = seen.stood.get(number, stands)
        bounds = (
            limits.max_open_orders or seen.machine.state.limits.max_open_orders,
            limits.max_gpus,
            limits.max_notional_micros,
        )
        for what, now, was, most in zip(("orders", "GPUs", "notional"), stands, before, bounds, strict=True):
            assert not most or now <= max(most, was), f"an account's {what} grew to {now}, beyond {most}"
        assert not limits.killed or not orders, "a killed account has no orders"
        seen.stood[number] = (*stands[:2], seen.pots[number, Pot.HELD])


def _leased_gpus(seen: Seen, renter: int) -> int:
    """GPUs of the account's leases that aren't wiped."""
    leases = (lease.scheduled for lease in seen.unwiped.values() if lease.scheduled.renter == renter)
    return sum(lease.quantity for lease in leases if lease.kind is not Kind.FORWARD)


def _owed_gpus(seen: Seen, holder: int) -> int:
    """GPUs of the account's obligations in their fullest hour."""
    owed = [each for each in seen.obligations.values() if each.holder == holder]
    return max((sum(o.quantity for o in owed if o.start_h <= each.start_h < o.end_h) for each in owed), default=0)
