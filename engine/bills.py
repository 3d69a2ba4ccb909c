"""Bills: what a lease earns its seller month by month, how it ran in it, and the close that pays it out (rulebook §9).

A bill knows what of the seller's `receivable` is its lease's, so that refunds and credits never take another's; and it
keeps a bounded list of outages, of which overlapping ones count once. It reckons in whole numbers, and meters nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from engine import money, periods, timers
from engine.dues import Bill, PaidHours
from engine.kinds import Pot, TransferCode
from engine.messages import BillClosed, OutageNoted, ReportOutage
from engine.obligation import Obligation
from engine.reasons import Reason
from engine.state import Refused, State
from engine.units import NS_PER_DAY, NS_PER_HOUR

SLA_LEAST_NS: Final = NS_PER_DAY
"""A lease that ran less than this in a month has no credit for it."""
SLA_CREDITS: Final = ((950, 100), (990, 25), (995, 10))
"""(uptime in thousandths, credit in percent): below the first that it is below, so much of the month's charge."""
_PERCENT: Final = 100
_MILLE: Final = 1000


def of(state: State, bill_id: int, renter: int, provider: int, at_ns: int) -> Bill:
    """The bill of a lease, or of a forward's obligation, for the month of a time; made when it is first asked for."""
    bill = state.bills.get(bill_id)
    if bill is None:
        bill = state.records.bill(bill_id=bill_id, renter=renter, provider=provider, due_ns=0)
        state.bills[bill_id] = bill
        timers.arm_bill(state, bill, periods.month_end_ns(at_ns))
    return bill


def posted(bill: Bill, usage_micros: int, provider_fee_micros: int) -> None:
    """Usage came into the seller's receivable, and its fee went out of it; negative where they are refunded."""
    bill.charge_micros += usage_micros
    bill.receivable_micros += usage_micros - provider_fee_micros


def delivered(state: State, obligation: Obligation, pay_micros: int) -> None:
    """An hour of a forward's obligation was paid into its provider's receivable; its lease, if it has one, has no bill."""
    from_ns = obligation.start_h * NS_PER_HOUR
    bill = of(state, obligation.obligation_id, obligation.holder, obligation.provider, from_ns)
    bill.run_from_ns = bill.run_from_ns or from_ns
    # A lost Baron came back before all that it owed had failed.
    bill.over_ns = 0
    posted(bill, pay_micros, 0)
    _forget_hours(state, bill)
    goes_on = bill.hours is not None and bill.hours.until_h == obligation.start_h
    first_h = bill.hours.from_h if bill.hours is not None and goes_on else obligation.start_h
    bill.hours = PaidHours(
        baron=obligation.baron,
        lease_id=obligation.lease_id,
        quantity=obligation.quantity,
        hour_micros=pay_micros,
        from_h=first_h,
        until_h=obligation.start_h + 1,
    )
    index(state, bill)


def index(state: State, bill: Bill) -> None:
    """Its last hour was paid after those of all other bills of the Baron."""
    if bill.hours is not None:
        state.paid_of.setdefault(bill.hours.baron, {})[bill.bill_id] = None


def _index_anew(state: State, bill: Bill) -> None:
    """Its last hours are none of it any more: in the order of those that were paid it stands further back."""
    index(state, bill)
    if bill.hours is not None:
        paid = state.paid_of[bill.hours.baron]
        state.paid_of[bill.hours.baron] = dict.fromkeys(sorted(paid, key=lambda number: _paid_until(state, number)))


def _paid_until(state: State, bill_id: int) -> tuple[int, int]:
    hours = state.bills[bill_id].hours
    return hours.until_h if hours is not None else 0, bill_id


def undelivered(state: State, baron: int, as_of_ns: int, lease_id: int = 0) -> Iterator[Bill]:
    """Bills that were paid for an hour of a Baron in which it failed, or for a later one; the last paid first.

    lease_id: of those that this lease delivered alone; 0: of all.
    """
    hour = as_of_ns // NS_PER_HOUR
    for bill_id in reversed(list(state.paid_of.get(baron, ()))):
        bill = state.bills[bill_id]
        if bill.hours is None or bill.hours.until_h <= hour:
            return
        if lease_id in (0, bill.hours.lease_id):
            yield bill


def undo(state: State, bill: Bill, as_of_ns: int, quantity: int = 0) -> None:
    """Refund, whole, the hours that weren't delivered: the one that the failure fell in and all that were paid after it (§9).

    quantity: of so many GPUs, the others of which it delivered; 0: of all. The pay is the bill's receivable still, for a close
    forgets its hours: what was paid out stays paid.
    """
    hours = bill.hours
    from_h = max(hours.from_h, as_of_ns // NS_PER_HOUR) if hours is not None else 0
    if hours is None or hours.until_h <= from_h:
        return
    failed = min(quantity or hours.quantity, hours.quantity)
    hour_micros = hours.hour_micros // hours.quantity * failed
    micros = min(hour_micros * (hours.until_h - from_h), bill.receivable_micros)
    receivable, available = (bill.provider, Pot.RECEIVABLE), (bill.renter, Pot.AVAILABLE)
    money.transfer(state, receivable, available, micros, TransferCode.REFUND, bill.bill_id)
    posted(bill, -micros, 0)
    if failed < hours.quantity:
        left = hours.quantity - failed
        bill.hours = replace(hours, quantity=left, hour_micros=hours.hour_micros - hour_micros)
        return
    _forget_hours(state, bill)
    bill.hours = None
    if hours.from_h < from_h:
        # Its Baron may turn out to have been lost before.
        bill.hours = replace(hours, until_h=from_h)
        _index_anew(state, bill)
    ended(state, bill.bill_id, from_h * NS_PER_HOUR)


def _forget_hours(state: State, bill: Bill) -> None:
    """None of its hours are undone any more, or others are its last."""
    if bill.hours is None:
        return
    paid = state.paid_of[bill.hours.baron]
    del paid[bill.bill_id]
    if not paid:
        del state.paid_of[bill.hours.baron]


def refundable_micros(state: State, bill_id: int) -> int:
    """How much of what was posted can be taken back: this month's charge. What was paid out at a close stays paid."""
    bill = state.bills.get(bill_id)
    return bill.charge_micros if bill is not None else 0


def ended(state: State, bill_id: int, over_ns: int) -> None:
    """Its lease is over: the month's close is its last. One that charged nothing has nothing to close."""
    bill = state.bills.get(bill_id)
    if bill is None:
        return
    # Hours that were undone are no part of it any more.
    over_ns = bill.over_ns = min(over_ns, bill.over_ns or over_ns)
    # A failure may be charged to before an outage that was reported.
    bill.outages = [(from_ns, min(to_ns, over_ns)) for from_ns, to_ns in bill.outages if from_ns < over_ns]
    if bill.charge_micros == 0:
        _drop(state, bill)


# ---------------------------------------------------------------- outages


def report_outage(state: State, command: ReportOutage) -> None:
    """Count what of a time lies in the month that the lease's bill is open for; refused where nothing of it does."""
    lease = state.leases.get(command.lease_id)
    # A forward's lease has no bill: the obligation that it delivers has.
    bill = state.bills.get(lease.obligation_id if lease is not None and lease.obligation_id else command.lease_id)
    if bill is None:
        raise Refused(Reason.UNKNOWN_LEASE, "lease_id")
    if command.to_ns > state.last_ts_ns:
        raise Refused(Reason.INVALID_OUTAGE, "to_ns")
    from_ns = max(command.from_ns, bill.run_from_ns)
    to_ns = min(command.to_ns, bill.over_ns or command.to_ns, bill.due_ns)
    if not bill.run_from_ns or from_ns >= to_ns:
        raise Refused(Reason.INVALID_OUTAGE, "from_ns")
    _note(bill, from_ns, to_ns, state.limits.max_outages)
    state.emit(OutageNoted(lease_id=command.lease_id, from_ns=from_ns, to_ns=to_ns, out_ns=out_ns(bill)))


def out_ns(bill: Bill) -> int:
    """How long its lease was out in the month, what overlaps counted once."""
    return bill.out_ns + sum(to_ns - from_ns for from_ns, to_ns in bill.outages)


def _note(bill: Bill, from_ns: int, to_ns: int, most: int) -> None:
    """Take an outage in, joined with those that it touches. Of too many the oldest are only summed up from then on."""
    from_ns = max(from_ns, bill.out_until_ns)
    if from_ns >= to_ns:
        return
    apart = []
    for outage in bill.outages:
        if outage[1] < from_ns or to_ns < outage[0]:
            apart.append(outage)
        else:
            from_ns, to_ns = min(from_ns, outage[0]), max(to_ns, outage[1])
    bill.outages = sorted([*apart, (from_ns, to_ns)])
    while len(bill.outages) > most:
        oldest = bill.outages.pop(0)
        bill.out_ns += oldest[1] - oldest[0]
        bill.out_until_ns = oldest[1]


# ---------------------------------------------------------------- the close


def credit_percent(run_ns: int, missed_ns: int) -> int:
    """How much of a month's charge a lease's outages give back (§9)."""
    if run_ns < SLA_LEAST_NS:
        return 0
    up_ns = run_ns - missed_ns
    return next((percent for mille, percent in SLA_CREDITS if up_ns * _MILLE < run_ns * mille), 0)


def close(state: State, bill: Bill) -> None:
    """Its month is over and posted: the credit goes to the renter, what is left of the receivable is paid out.

    A credit is of the usage, and the seller's fee on it was taken before: what the receivable lacks comes out of the bond of
    a lease that goes on, and is at most what is there.
    """
    month_end_ns = bill.due_ns
    run_ns = max(0, min(bill.over_ns or month_end_ns, month_end_ns) - bill.run_from_ns) if bill.run_from_ns else 0
    missed_ns = min(run_ns, out_ns(bill))
    due = bill.charge_micros * credit_percent(run_ns, missed_ns) // _PERCENT
    credit = min(due, bill.receivable_micros)
    paid = bill.receivable_micros - credit
    receivable, ref = (bill.provider, Pot.RECEIVABLE), bill.bill_id
    bond = _take_bond(state, bill, due - credit)
    money.transfer(state, receivable, (bill.renter, Pot.AVAILABLE), credit, TransferCode.PENALTY, ref)
    money.transfer(state, receivable, (bill.provider, Pot.AVAILABLE), paid, TransferCode.PAYOUT, ref)
    state.emit(
        BillClosed(
            lease_id=bill.bill_id,
            renter=bill.renter,
            provider=bill.provider,
            month_end_ns=month_end_ns,
            charge_micros=bill.charge_micros,
            from_ns=bill.run_from_ns,
            run_ns=run_ns,
            out_ns=missed_ns,
            credit_micros=credit + bond,
            paid_micros=paid,
            bond_micros=bond,
            over=bill.over_ns > 0,
        )
    )
    if bill.over_ns:
        _drop(state, bill)
        return
    _forget_hours(state, bill)
    bill.hours = None
    bill.charge_micros = bill.receivable_micros = 0
    bill.run_from_ns = month_end_ns if bill.run_from_ns else 0
    bill.outages, bill.out_ns, bill.out_until_ns = [], 0, 0
    timers.arm_bill(state, bill, periods.month_end_ns(month_end_ns))


def _take_bond(state: State, bill: Bill, wanted_micros: int) -> int:
    """Of a credit, what its lease's bond gives; an obligation's receivable has no fee taken from it, and never lacks any."""
    lease = state.leases.get(bill.bill_id)
    if lease is None:
        return 0
    taken = min(wanted_micros, lease.bond_micros)
    lease.bond_micros -= taken
    available = (bill.renter, Pot.AVAILABLE)
    money.transfer(state, (bill.provider, Pot.BOND), available, taken, TransferCode.PENALTY, bill.bill_id)
    return taken


def _drop(state: State, bill: Bill) -> None:
    _forget_hours(state, bill)
    timers.arm_bill(state, bill, 0)
    del state.bills[bill.bill_id]
