"""The auditor of bills: what each lease's seller has to come in a month, from the events alone (rulebook §9).

It knows the calendar by `datetime`, reckons credits in fractions and outages as the union of what was noted.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from engine.kinds import Kind, LeaseState, ObligationChange, Pot, Presence, TransferCode
from engine.messages import (
    BaronPresence,
    BillClosed,
    Command,
    Event,
    LeaseChanged,
    LeaseScheduled,
    ObligationChanged,
    OutageNoted,
    Rejected,
    SetPresence,
    Transfer,
)
from engine.units import MICROS_PER_TICK

DAY_NS = 86_400 * 10**9
HOUR_NS = 3_600 * 10**9


@dataclasses.dataclass
class SeenBill:
    renter: int
    provider: int
    charge: int = 0
    receivable: int = 0
    active_ns: int = 0
    over_ns: int = 0
    month_ns: int = 0
    """When the month began that is open, if one was closed before."""
    closed: int = 0
    """Charged in months that were closed while it ran."""
    outages: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    moved: Counter[TransferCode] = dataclasses.field(default_factory=Counter)
    """Out of the receivable, since the last close."""
    bond: int = 0
    """Out of its bond to the renter, likewise."""
    baron: int = 0
    """A forward's: which is to deliver."""
    hours: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """A forward's that were paid in the open month, and not refunded: (GPUs, what one of them pays)."""

    def outages_until(self, end_ns: int) -> list[tuple[int, int]]:
        """Those before a time, for it may have ended before one that was noted; 0: all."""
        return [(begin, min(end, end_ns or end)) for begin, end in self.outages if not end_ns or begin < end_ns]


class Billing:
    def __init__(self, max_outages: int) -> None:
        self.max_outages = max_outages
        self.bills: dict[int, SeenBill] = {}
        self.paying: Transfer | None = None
        """What came out of an escrow for an hour of which nothing was said yet."""
        self.starts: dict[int, int] = {}
        """By forward's lease."""
        self.failing: LeaseChanged | None = None
        """What was said to have failed last; None: a Baron was lost since."""

    def closed_micros(self, lease_id: int) -> int:
        """What the lease's months charged that were closed while it ran; a forward's charges nothing itself."""
        return 0 if lease_id in self.starts else self.bills[lease_id].closed

    def take(self, event: Event) -> None:
        match event:
            case LeaseScheduled():
                bill = self.bills[event.lease_id] = SeenBill(event.renter, event.provider, baron=event.baron)
                if event.kind is Kind.FORWARD:
                    self.starts[event.lease_id] = bill.active_ns = event.start_ns
            case BaronPresence():
                self.failing = None
            case LeaseChanged():
                if event.state is LeaseState.FAILED and not event.wiped:
                    self.failing = event
                bill = self.bills[event.lease_id]
                # A forward's lease runs from its start.
                bill.active_ns = self.starts.get(event.lease_id, event.active_ns)
                bill.over_ns = event.ended_ns
            case Transfer() if event.ref in self.bills:
                self._transfer(self.bills[event.ref], event)
            case ObligationChanged():
                self._owed(event)
            case OutageNoted():
                bill = self.bills[event.lease_id]
                bill.outages.append((event.from_ns, event.to_ns))
                # Of very many, late reports of long ago don't count.
                out_ns = _union(bill.outages_until(bill.over_ns), 0)
                assert event.out_ns == out_ns or len(bill.outages) > self.max_outages
            case BillClosed():
                self._close(self.bills[event.lease_id], event)

    def check_lost(self, command: Command, events: list[Event]) -> None:
        """What was paid for hours in which a Baron was lost already is its holders' again, but for closed months."""
        if not isinstance(command, SetPresence) or command.presence is not Presence.LOST:
            return
        if not isinstance(events[0], Rejected):
            paid = [max(bill.hours) for bill in self.bills.values() if bill.baron == command.baron and bill.hours]
            assert all((hour + 1) * HOUR_NS <= command.as_of_ns for hour in paid), "a lost hour is refunded"

    def check(self, pots: Counter[tuple[int, Pot]]) -> None:
        """A seller's receivable is what its leases' bills say, none of them below zero."""
        owed: Counter[int] = Counter()
        for bill in self.bills.values():
            assert bill.receivable >= 0 <= bill.charge
            owed[bill.provider] += bill.receivable
        kept = {account: amount for (account, pot), amount in pots.items() if pot is Pot.RECEIVABLE and amount}
        assert kept == {account: amount for account, amount in owed.items() if amount}

    def _owed(self, event: ObligationChanged) -> None:
        """An hour is paid on the bill of the lease that runs at its end; without one on the obligation's, which never ran."""
        own = self.bills.setdefault(event.obligation_id, SeenBill(event.holder, event.provider, baron=event.baron))
        if not event.live:
            own.over_ns = event.start_h * HOUR_NS
        if event.change not in (ObligationChange.PAID, ObligationChange.DELIVERED):
            return
        paying, self.paying = self.paying, None
        hour = event.start_h - 1
        lease = self.bills.get(event.lease_id)
        delivers = lease is not None and not lease.over_ns and lease.active_ns < event.start_h * HOUR_NS
        bill = lease if lease is not None and delivers else own
        gpu_micros = event.price_ticks * MICROS_PER_TICK
        assert paying is not None and self.bills[paying.ref] is bill, "an hour is its lease's"
        assert paying.amount_micros == event.quantity * gpu_micros and hour not in bill.hours
        bill.hours[hour] = (event.quantity, gpu_micros)

    def _transfer(self, bill: SeenBill, transfer: Transfer) -> None:
        if (transfer.code, transfer.debit_pot) == (TransferCode.USAGE, Pot.ESCROW):
            self.paying = transfer
        receivable = (bill.provider, Pot.RECEIVABLE)
        sign = 0
        if (transfer.debit_account, transfer.debit_pot) == receivable:
            sign = -1
            bill.moved[transfer.code] += transfer.amount_micros
            if transfer.code is TransferCode.REFUND and bill.hours:
                self._refunded(bill, transfer.amount_micros)
        if (transfer.debit_account, transfer.debit_pot) == (bill.provider, Pot.BOND):
            bill.bond += transfer.amount_micros if transfer.code is TransferCode.PENALTY else 0
        if (transfer.credit_account, transfer.credit_pot) == receivable:
            sign += 1
        bill.receivable += sign * transfer.amount_micros
        fee = 0 in (transfer.debit_account, transfer.credit_account)
        if transfer.code in (TransferCode.USAGE, TransferCode.REFUND) and not fee:
            bill.charge += sign * transfer.amount_micros

    def _refunded(self, bill: SeenBill, amount_micros: int) -> None:
        """Whole hours, all that were paid since the failure, of all their GPUs; or of a lease's that failed alone (§9)."""
        most = max(quantity for quantity, _ in bill.hours.values())
        if self.failing is None:
            tried = [(hour, most) for hour in bill.hours]
        else:
            since = self.failing.ended_ns // HOUR_NS
            tried = [(since, gpus) for gpus in range(min(most, self.failing.quantity), 0, -1)]
        fits = [each for each in tried if _worth(bill, *each) == amount_micros]
        assert fits, "an hour is refunded whole"
        since, gpus = fits[0]
        for hour in [hour for hour in bill.hours if hour >= since]:
            quantity, gpu_micros = bill.hours.pop(hour)
            if quantity > gpus:
                bill.hours[hour] = (quantity - gpus, gpu_micros)

    def _close(self, bill: SeenBill, event: BillClosed) -> None:
        assert (event.renter, event.provider) == (bill.renter, bill.provider)
        assert event.charge_micros == bill.charge, "a month's charge is what was posted in it"
        end = datetime.fromtimestamp(0, UTC) + timedelta(seconds=event.month_end_ns // 10**9)
        assert event.month_end_ns % DAY_NS == 0 and end.day == 1, "a month ends with its last day"
        begins_ns = max(bill.active_ns, bill.month_ns)
        until_ns = min(bill.over_ns or event.month_end_ns, event.month_end_ns)
        run_ns = max(0, until_ns - begins_ns) if bill.active_ns else 0
        assert event.run_ns == run_ns
        assert event.over == (bill.over_ns > 0)
        out_ns = _union(bill.outages_until(until_ns), begins_ns)
        assert event.out_ns == min(run_ns, out_ns) or len(bill.outages) > self.max_outages
        due = math.floor(bill.charge * credit(run_ns, event.out_ns))
        # What went out for this close is off the receivable already.
        there = bill.receivable + bill.moved[TransferCode.PENALTY] + bill.moved[TransferCode.PAYOUT]
        credited = event.credit_micros - event.bond_micros
        assert credited == min(due, there) == bill.moved[TransferCode.PENALTY]
        assert event.paid_micros == there - credited == bill.moved[TransferCode.PAYOUT]
        assert 0 <= event.bond_micros <= due - credited
        assert event.over or event.bond_micros == bill.bond
        assert bill.receivable == 0, "a close leaves nothing"
        if not event.over:
            bill.closed += bill.charge
        bill.charge, bill.outages, bill.month_ns = 0, [], event.month_end_ns
        bill.hours.clear()
        bill.bond = 0
        bill.moved.clear()


def _worth(bill: SeenBill, since: int, gpus: int) -> int:
    """What a bill's hours from one on paid, for so many GPUs of each."""
    paid = [each for hour, each in bill.hours.items() if hour >= since]
    return sum(min(gpus, quantity) * gpu_micros for quantity, gpu_micros in paid)


def credit(run_ns: int, out_ns: int) -> Fraction:
    """The part of a month's charge that its outages give back."""
    if run_ns < DAY_NS:
        return Fraction(0)
    uptime = 1 - Fraction(out_ns, run_ns)
    if uptime < Fraction(95, 100):
        return Fraction(1)
    if uptime < Fraction(99, 100):
        return Fraction(1, 4)
    return Fraction(1, 10) if uptime < Fraction(995, 1000) else Fraction(0)


def _union(outages: list[tuple[int, int]], from_ns: int) -> int:
    total = 0
    at_ns = from_ns
    for begin, end in sorted(outages):
        total += max(0, end - max(begin, at_ns))
        at_ns = max(at_ns, end)
    return total
