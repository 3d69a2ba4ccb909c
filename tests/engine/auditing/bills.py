"""The auditor of bills: what each lease's seller has to come in a month, from the events alone (rulebook §9).

It knows the calendar by `datetime`, reckons credits in fractions and outages as the union of what was noted.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from engine.kinds import LeaseState, ObligationChange, Pot, Presence, TransferCode
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
    gpu_hour_micros: int = 0
    """What an hour of one GPU pays: an obligation's."""
    quantity: int = 0
    """Of how many GPUs its last hours were paid."""
    baron: int = 0
    until_h: int = 0
    """Up to when its hours were paid."""


class Billing:
    def __init__(self, max_outages: int) -> None:
        self.max_outages = max_outages
        self.bills: dict[int, SeenBill] = {}
        self.delivers: dict[int, int] = {}
        """By forward's lease: its obligation."""
        self.failing: LeaseChanged | None = None
        """What was said to have failed last; None: a Baron was lost since."""

    def closed_micros(self, lease_id: int) -> int:
        """What the lease's months charged that were closed while it ran."""
        return self.bills[lease_id].closed

    def take(self, event: Event) -> None:
        match event:
            case LeaseScheduled():
                self.bills[event.lease_id] = SeenBill(event.renter, event.provider)
            case BaronPresence():
                self.failing = None
            case LeaseChanged():
                if event.state is LeaseState.FAILED and not event.wiped:
                    self.failing = event
                bill = self.bills[event.lease_id]
                bill.active_ns, bill.over_ns = event.active_ns, event.ended_ns
            case Transfer() if event.ref in self.bills:
                self._transfer(self.bills[event.ref], event)
            case ObligationChanged():
                self._owed(event)
            case OutageNoted():
                # A forward's lease has no bill: the obligation that it delivers has.
                bill = self.bills[self.delivers.get(event.lease_id, event.lease_id)]
                bill.outages.append((event.from_ns, event.to_ns))
                # Of very many, late reports of long ago don't count.
                assert event.out_ns == _union(bill.outages, 0) or len(bill.outages) > self.max_outages
            case BillClosed():
                self._close(self.bills[event.lease_id], event)

    def check_lost(self, command: Command, events: list[Event]) -> None:
        """What was paid for hours in which a Baron was lost already is its holders' again, but for closed months."""
        if not isinstance(command, SetPresence) or command.presence is not Presence.LOST:
            return
        if not isinstance(events[0], Rejected):
            lost = [bill for bill in self.bills.values() if bill.baron == command.baron and bill.charge]
            assert all(bill.until_h * HOUR_NS <= command.as_of_ns for bill in lost), "a lost hour is refunded"

    def check(self, pots: Counter[tuple[int, Pot]]) -> None:
        """A seller's receivable is what its leases' bills say, none of them below zero."""
        owed: Counter[int] = Counter()
        for bill in self.bills.values():
            assert bill.receivable >= 0 <= bill.charge
            owed[bill.provider] += bill.receivable
        kept = {account: amount for (account, pot), amount in pots.items() if pot is Pot.RECEIVABLE and amount}
        assert kept == {account: amount for account, amount in owed.items() if amount}

    def _owed(self, event: ObligationChanged) -> None:
        """An obligation has a bill of its own, which runs from its first hour that is paid to the last."""
        bill = self.bills.setdefault(event.obligation_id, SeenBill(event.holder, event.provider))
        if event.change in (ObligationChange.PAID, ObligationChange.DELIVERED) and not bill.active_ns:
            bill.active_ns = (event.start_h - 1) * HOUR_NS
        if event.live and event.lease_id:
            self.delivers[event.lease_id] = event.obligation_id
        if event.change in (ObligationChange.PAID, ObligationChange.DELIVERED):
            bill.baron, bill.quantity = event.baron, event.quantity
            bill.gpu_hour_micros, bill.until_h = event.price_ticks * MICROS_PER_TICK, event.start_h
        if not event.live:
            bill.over_ns = min(event.start_h * HOUR_NS, bill.over_ns or event.start_h * HOUR_NS)

    def _transfer(self, bill: SeenBill, transfer: Transfer) -> None:
        receivable = (bill.provider, Pot.RECEIVABLE)
        sign = 0
        if (transfer.debit_account, transfer.debit_pot) == receivable:
            sign = -1
            bill.moved[transfer.code] += transfer.amount_micros
            if transfer.code is TransferCode.REFUND and bill.gpu_hour_micros:
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
        """Whole hours of all its GPUs; or of those of a lease that has just failed, while the others were delivered."""
        gpu_hours, part = divmod(amount_micros, bill.gpu_hour_micros)
        assert not part, "an hour is refunded whole"
        if self.failing is None:
            gpus = bill.quantity
        else:
            hours = bill.until_h - max(bill.active_ns, bill.month_ns, self.failing.ended_ns) // HOUR_NS
            gpus, part = divmod(gpu_hours, hours)
            assert not part and 0 < gpus <= min(bill.quantity, self.failing.quantity), "of the GPUs that failed"
        hours, part = divmod(gpu_hours, gpus)
        assert not part, "an hour is refunded whole"
        if gpus < bill.quantity:
            bill.quantity -= gpus
            return
        bill.until_h -= hours
        bill.over_ns = bill.until_h * HOUR_NS

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
        out_ns = _union([(begin, min(end, until_ns)) for begin, end in bill.outages], begins_ns)
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
        bill.bond = 0
        bill.moved.clear()


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
