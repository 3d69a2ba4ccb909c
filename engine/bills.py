"""Bills: what a lease earns its seller month by month, how it ran in it, and the close that pays it out (rulebook §9).

A bill knows what of the seller's `receivable` is its lease's, so that refunds and credits never take another's; and it
keeps a bounded list of outages, of which overlapping ones count once. It reckons in whole numbers, and meters nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from sortedcontainers import SortedList

from engine import money, periods, timers
from engine.dues import Bill, PaidHours
from engine.kinds import Pot, TransferCode
from engine.messages import BillClosed, OutageNoted, ReportOutage
from engine.obligation import Obligation
from engine.reasons import Reason
from engine.state import Lease, Refused, State
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


def began(state: State, lease: Lease) -> None:
    """A forward's lease runs from its start on, with a key or without, for the hours that it delivers are paid alike (§9)."""
    bill = of(state, lease.lease_id, lease.renter, lease.provider, lease.start_ns)
    bill.run_from_ns = lease.start_ns


# ---------------------------------------------------------------- a forward's hours


def of_hour(state: State, obligation: Obligation) -> Bill:
    """The bill that an obligation's next hour is paid on: that of the lease that delivers it, whichever obligations share it.

    An hour that is over without a lease, for its holder has none or let all of it, is on the obligation's own; that never ran.
    """
    from_ns = obligation.start_h * NS_PER_HOUR
    lease = state.leases.get(obligation.lease_id)
    delivers = lease is not None and lease.live and lease.start_ns < from_ns + NS_PER_HOUR
    bill_id = obligation.lease_id if delivers else obligation.obligation_id
    return of(state, bill_id, obligation.holder, obligation.provider, from_ns)


def delivered(state: State, bill: Bill, obligation: Obligation, pay_micros: int) -> None:
    """An hour of a forward's obligation was paid into its provider's receivable."""
    posted(bill, pay_micros, 0)
    _forget_hours(state, bill)
    paid = PaidHours(
        baron=obligation.baron,
        obligation_id=obligation.obligation_id,
        quantity=obligation.quantity,
        hour_micros=pay_micros,
        from_h=obligation.start_h,
        until_h=obligation.start_h + 1,
    )
    hours = bill.hours = bill.hours or []
    if hours and hours[-1] == replace(paid, from_h=hours[-1].from_h, until_h=paid.from_h):
        hours[-1].until_h = paid.until_h
    else:
        hours.append(paid)
    index(state, bill)


def index(state: State, bill: Bill) -> None:
    """Have its paid hours found by their Baron."""
    if bill.hours:
        last = bill.hours[-1]
        state.paid_of.setdefault(last.baron, SortedList()).add((last.until_h, bill.bill_id))


def undelivered(state: State, baron: int, as_of_ns: int) -> list[Bill]:
    """Bills that were paid for an hour of a Baron in which it failed, or for a later one; the last paid first."""
    paid = state.paid_of.get(baron)
    first = (as_of_ns // NS_PER_HOUR + 1, 0)
    return [state.bills[bill_id] for _, bill_id in paid.irange(first, reverse=True)] if paid else []


def undelivered_of(state: State, obligation: Obligation, as_of_ns: int) -> list[Bill]:
    """Those of them that hours of an obligation are on, or hours before it that its lease delivered."""

    def has(bill: Bill) -> bool:
        return any(paid.obligation_id == obligation.obligation_id for paid in bill.hours or ())

    late = undelivered(state, obligation.baron, as_of_ns)
    return [bill for bill in late if bill.bill_id == obligation.lease_id or has(bill)]


def undo(state: State, bill: Bill, as_of_ns: int, quantity: int = 0) -> None:
    """Refund, whole, the hours that weren't delivered: the one that the failure fell in and all that were paid after it (§9).

    quantity: of so many GPUs, the others of which it delivered; 0: of all. The pay is the bill's receivable still, for a close
    forgets its hours: what was paid out stays paid.
    """
    hour = as_of_ns // NS_PER_HOUR
    kept: list[PaidHours] = []
    micros = 0
    for paid in bill.hours or ():
        from_h = max(paid.from_h, hour)
        if paid.until_h <= from_h:
            kept.append(paid)
            continue
        failed = min(quantity or paid.quantity, paid.quantity)
        hour_micros = paid.hour_micros // paid.quantity * failed
        micros += hour_micros * (paid.until_h - from_h)
        if paid.from_h < from_h:
            # Its Baron may turn out to have been lost before.
            kept.append(replace(paid, until_h=from_h))
        if failed < paid.quantity:
            left, left_micros = paid.quantity - failed, paid.hour_micros - hour_micros
            kept.append(replace(paid, from_h=from_h, quantity=left, hour_micros=left_micros))
    receivable, available = (bill.provider, Pot.RECEIVABLE), (bill.renter, Pot.AVAILABLE)
    money.transfer(state, receivable, available, micros, TransferCode.REFUND, bill.bill_id)
    posted(bill, -micros, 0)
    _forget_hours(state, bill)
    bill.hours = kept or None
    index(state, bill)
    if bill.over_ns and bill.charge_micros == 0:
        _drop(state, bill)


def _forget_hours(state: State, bill: Bill) -> None:
    """None of its hours are undone any more, or others are its last."""
    if not bill.hours:
        return
    last = bill.hours[-1]
    paid = state.paid_of[last.baron]
    paid.remove((last.until_h, bill.bill_id))
    if not paid:
        del state.paid_of[last.baron]


# ---------------------------------------------------------------- what it has


def refundable_micros(state: State, bill_id: int) -> int:
    """How much of what was posted can be taken back: this month's charge. What was paid out at a close stays paid."""
    bill = state.bills.get(bill_id)
    return bill.charge_micros if bill is not None else 0


def ended(state: State, bill_id: int, over_ns: int) -> None:
    """Its lease is over: the month's close is its last. One that charged nothing has nothing to close."""
    bill = state.bills.get(bill_id)
    if bill is None:
        return
    bill.over_ns = over_ns
    # A failure may be charged to before an outage that was reported.
    bill.outages = [(from_ns, min(to_ns, over_ns)) for from_ns, to_ns in bill.outages if from_ns < over_ns]
    if bill.charge_micros == 0:
        _drop(state, bill)


# ---------------------------------------------------------------- outages


def report_outage(state: State, command: ReportOutage) -> None:
    """Count what of a time lies in the month that the lease's bill is open for; refused where nothing of it does."""
    bill = state.bills.get(command.lease_id)
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
