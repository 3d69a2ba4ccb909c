"""The auditor: follows the events alone, keeps its own books, and holds the machine to the laws after every command.

It reckons with fractions where the engine reckons with rounded integers, and shares none of its arithmetic. What it
checks stands in `saw`; a broken law is an AssertionError in the test that drove the machine there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.messages import Event, LeaseScheduled, ObligationOpened, Rejected, Traded
from tests.engine.auditing import barons, bounds, charges, tables
from tests.engine.auditing.seen import Seen


class Auditor(Seen):
    """What was seen, and the laws."""

    def saw(self, now_ns: int, events: Sequence[Event]) -> None:
        """Take in one command's events, and check every law."""
        rejected = [event for event in events if isinstance(event, Rejected)]
        assert not rejected or len(events) == 1, "a refused command has Rejected as its only event"
        self.topped_up.clear()
        _trades_make_leases(events)
        ended = [self._take(event) for event in events]
        for lease in ended:
            if lease is not None:
                charges.check_charge(lease)
        bounds.check_account_limits(self)
        self.commands += 1
        if self.commands % self.every:
            return
        tables.check_money(self)
        tables.check_orders_and_books(self, now_ns)
        barons.check_capacity(self)


def _trades_make_leases(events: Sequence[Event]) -> None:
    """What is bought is sold, is owed and is let: by lease, the same GPUs in all four."""
    traded: Counter[int] = Counter()
    for event in events:
        if isinstance(event, Traded):
            traded[event.lease_id] += event.quantity
    opened = {event.lease_id: event for event in events if isinstance(event, ObligationOpened)}
    scheduled = {event.lease_id: event for event in events if isinstance(event, LeaseScheduled)}
    assert dict(traded) == {lease: event.quantity for lease, event in opened.items()}
    assert dict(traded) == {lease: event.quantity for lease, event in scheduled.items()}
    keys = Counter(
        (event.order_id, event.baron, event.price_ticks, event.renter_fee_ppm, event.provider_fee_ppm)
        for event in scheduled.values()
    )
    assert all(count == 1 for count in keys.values()), "fills of one order, Baron and price are one lease"
