"""The auditor: follows the events alone, keeps its own books, and holds the machine to the laws after every command.

It reckons with fractions where the engine reckons with rounded integers, and shares none of its arithmetic. What it
checks stands in `saw`; a broken law is an AssertionError in the test that drove the machine there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engine.kinds import Kind, OrderStatus
from engine.machine import Machine
from engine.messages import (
    Amended,
    Canceled,
    Command,
    Event,
    LeaseChanged,
    LeaseScheduled,
    ObligationOpened,
    Rejected,
    Tick,
    Traded,
)
from engine.state import Instrument
from tests.engine.auditing import barons, bills, bounds, charges, covers, prices, rows, tables, yielding
from tests.engine.auditing.delivery import Delivering
from tests.engine.auditing.hours import Hours
from tests.engine.auditing.obligations import Owing
from tests.engine.auditing.records import SeenLease
from tests.engine.auditing.seen import Seen


class Auditor(Seen):
    """What was seen, and the laws."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        limits = machine.state.limits
        self.hours = Hours(limits.notice_s, limits.wipe_s)
        self.kinds: dict[int, Kind] = {}
        self.billing = bills.Billing(limits.max_outages)
        self.owing = Owing()
        self.delivering = Delivering(self.owing, self.hours)
        self.pricing = prices.Prices()
        self.covering = covers.Covering(machine, self.owing)

    def saw(self, now_ns: int, command: Command, events: list[Event]) -> None:
        """Take in one command and its events, and check every law."""
        rejected = [event for event in events if isinstance(event, Rejected)]
        # A Tick is refused for its time alone: what else it says to be rejected is a cover.
        covers_alone = isinstance(command, Tick) and all(each.order_status is OrderStatus.REJECTED for each in rejected)
        refused = bool(rejected) and events[0] is rejected[0] and not covers_alone
        if refused:
            assert len(events) == 1, "a refused command has Rejected as its only event"
        assert refused or all(each.order_status is OrderStatus.REJECTED for each in rejected)
        self.topped_up.clear()
        # What has expired since is spoken of still.
        for number, listed in self._listed_since():
            self.kinds[number] = listed.kind
            if listed.kind is Kind.FORWARD:
                self.hours.spans[number] = (listed.start_h, listed.end_h)
        self.hours.begin(now_ns)
        self.pricing.begin(now_ns)
        self.owing.begin(command, events)
        self.delivering.begin(now_ns)
        _trades_make_leases(events)
        ended = [self._look(command, event) for event in events]
        for lease in ended:
            if lease is not None:
                charges.check_charge(lease, self.billing.closed_micros(lease.scheduled.lease_id))
        bounds.check_account_limits(self)
        self.covering.take(now_ns, [] if refused else events, self.leases)
        due_ns = self.machine.next_due_ns()
        settled = due_ns is None or due_ns > now_ns
        on_time = settled and self.ticked_in_time
        if not refused:
            self.owing.finish()
            self.delivering.finish(command, events, settled=settled, on_time=on_time)
        self.pricing.finish(on_time=on_time)
        if settled:
            self.hours.settled_ns = now_ns
            barons.check_shortage(self, self.hours, command, events)
            barons.check_waits(self.hours)
            self.billing.check_lost(command, events)
        yielding.check_displaced(self.hours, now_ns, events, on_time=self.ticked_in_time)
        self.commands += 1
        if self.commands % self.every:
            return
        rows.check_rows(self.hours, on_time=settled)
        rows.check_tables(self.hours, self.machine.state)
        rows.check_behind(self.hours, self.obligations.values())
        tables.check_money(self)
        self.billing.check(self.pots)
        books = self.machine.state.books
        told = {number: books[number].state() for number in self.used & books.keys()}
        tables.check_orders_and_books(self, told, now_ns, on_time=settled)
        barons.check_barons(self, self.hours, told)

    def _listed_since(self) -> list[tuple[int, Instrument]]:
        """Instruments that were listed since it was asked last, by number."""
        instruments, first = self.machine.state.instruments, max(self.kinds, default=0) + 1
        numbers = range(first, self.machine.state.next_instrument)
        return [(number, instruments[number]) for number in numbers if number in instruments]

    def _look(self, command: Command, event: Event) -> SeenLease | None:
        """One event, first as it finds things, then taken in; the lease, when it ended one."""
        match event:
            case Amended() | Canceled():
                order = self.orders[event.order_id]
                rows.check_cut(self.hours, event, order, self.kinds[order.accepted.instrument])
            case LeaseChanged():
                yielding.check_change(self.hours, event)
            case Traded() if event.displaced_lease_id:
                yielding.check_displacing(self, self.hours, event)
        self.delivering.take(event, command)
        self.owing.take(event, self.orders, self.hours.spans)
        self.pricing.take(event, self.orders, self.hours.spans)
        self.billing.take(event)
        self.hours.take(event, self.orders, self.kinds)
        return self._take(event)


def _trades_make_leases(events: Sequence[Event]) -> None:
    """What is bought is sold, is owed and is let: by lease, the same GPUs in all four; of forwards: `Owing`."""
    traded: Counter[int] = Counter()
    for event in events:
        if isinstance(event, Traded) and event.lease_id:
            traded[event.lease_id] += event.quantity
    opened = {event.lease_id: event for event in events if isinstance(event, ObligationOpened)}
    scheduled = {event.lease_id: event for event in events if isinstance(event, LeaseScheduled) and event.order_id}
    assert dict(traded) == {lease: event.quantity for lease, event in opened.items()}
    assert dict(traded) == {lease: event.quantity for lease, event in scheduled.items()}
    displacing = {event.lease_id for event in events if isinstance(event, Traded) and event.displaced_lease_id}
    keys = Counter(
        (event.order_id, event.provider, event.baron, event.price_ticks, event.renter_fee_ppm, event.provider_fee_ppm)
        for event in scheduled.values()
        if event.lease_id not in displacing
    )
    assert all(count == 1 for count in keys.values()), "fills of one order, seller, Baron and price are one lease"
