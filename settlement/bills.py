"""The proof of leases' closed months: what was charged, credited and paid out, reckoned again (rulebook §9).

The engine counts as months end; this room knows only dates and what was closed, has a calendar of its own, and states the
credits once more as fractions. It must never take over the engine's formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from engine.kinds import Pot, TransferCode
from engine.units import NS_PER_HOUR, NS_PER_S, PPM
from settlement import queries
from settlement.charges import Clock, charge_until
from settlement.leases import LeaseTerms, Price
from settlement.tables import BILLS, OUTAGES, POSTINGS

CREDITS: Final = (
    (Fraction(95, 100), Fraction(1)),
    (Fraction(99, 100), Fraction(1, 4)),
    (Fraction(995, 1000), Fraction(1, 10)),
)
"""Below such an uptime, such a part of the month's charge."""
CREDIT_LEAST_NS: Final = 24 * NS_PER_HOUR
CARRIED_NS: Final = NS_PER_HOUR
"""A lease that is younger at a month's end is billed with the next month."""
OUTAGES_APART: Final = 64
"""Of so many outages in a month each counts; of more, late reports of long ago don't."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Outage = tuple[int, int]
"""[from, to), in ns."""
Compare = Callable[[str, str, object, object], None]
"""check, subject, expected, found."""


class ClosedMonth(NamedTuple):
    """A row of the table: amounts in micro-dollars, `bond_micros` a part of `credit_micros`; over: its lease had ended."""

    month_end_ns: int
    charge_micros: int
    run_ns: int
    out_ns: int
    credit_micros: int
    paid_micros: int
    bond_micros: int
    over: bool


class Owed(NamedTuple):
    """What is asked of a forward's obligation; start_h: the first hour that isn't paid."""

    obligation_id: int
    start_h: int
    live: bool


class Settled(NamedTuple):
    """What postings say went out of a lease's receivable at its closes."""

    credit_micros: int = 0
    paid_micros: int = 0


class Billed(NamedTuple):
    """What the ledger has of the bills of a lease, or of an obligation."""

    months: Sequence[ClosedMonth] = ()
    """In order."""
    moved: Settled = Settled()
    outages: Sequence[Outage] = ()
    """In order, as they were noted."""


def billed(connection: Connection) -> dict[int, Billed]:
    """The bills by lease or obligation."""
    months, moved, outages = _closed_months(connection), _settled(connection), _outages(connection)
    return {
        number: Billed(months.get(number, ()), moved.get(number, Settled()), outages.get(number, ()))
        for number in {**months, **moved, **outages}
    }


def _closed_months(connection: Connection) -> dict[int, list[ClosedMonth]]:
    names = ClosedMonth._fields
    query = select(BILLS.c.lease_id, *(BILLS.c[name] for name in names))
    months: dict[int, list[ClosedMonth]] = {}
    for lease_id, *row in connection.execute(query.order_by(BILLS.c.lease_id, BILLS.c.month_end_ns)):
        months.setdefault(lease_id, []).append(ClosedMonth(*row))
    return months


def _outages(connection: Connection) -> dict[int, list[Outage]]:
    outages: dict[int, list[Outage]] = {}
    for lease_id, from_ns, to_ns in connection.execute(select(OUTAGES).order_by(*OUTAGES.primary_key)):
        outages.setdefault(lease_id, []).append((from_ns, to_ns))
    return outages


def _settled(connection: Connection) -> dict[int, Settled]:
    """What was credited and paid out of receivables, by lease."""
    columns = POSTINGS.c
    query = select(columns.ref, columns.code, *queries.wide_sum(columns.amount_micros)).where(
        columns.debit_pot == Pot.RECEIVABLE, columns.code.in_((TransferCode.PENALTY, TransferCode.PAYOUT))
    )
    sums: dict[int, Settled] = {}
    for ref, code, high, low in connection.execute(query.group_by(columns.ref, columns.code)):
        name = "credit_micros" if code == TransferCode.PENALTY else "paid_micros"
        sums[ref] = sums.get(ref, Settled())._replace(**{name: queries.widen(high, low)})
    return sums


def paid_until_ns(months: Sequence[ClosedMonth]) -> int:
    """Up to when a lease's use is closed, so that no failure takes it back; 0: no month ended while it ran."""
    return max((month.month_end_ns for month in months if not month.over), default=0)


def prove(
    compare: Compare,
    lease: LeaseTerms,
    prices: Sequence[Price],
    own: Billed,
    posted_micros: int,
    clock: Clock,
) -> None:
    """Compare a lease's closed months with its dates, with its outages, and with what was posted for it.

    posted_micros: its usage, or the pay of the hours of obligations that it delivered; less what was refunded of either.
    """
    subject, months = f"lease {lease.lease_id}", own.months
    compare("closes moved what they say", subject, _sums(months), own.moved)
    closed_micros = sum(month.charge_micros for month in months if not month.over)
    until_ns = paid_until_ns(months)
    due = charge_until(lease, prices, until_ns).usage_micros if until_ns else 0
    if lease.is_forward:
        due = min(closed_micros, posted_micros)
    compare("closed months have their charge", subject, due, closed_micros)
    if months and months[-1].over:
        total = sum(month.charge_micros for month in months)
        compare("an ended lease's months are its charge", subject, posted_micros, total)
    _prove_calendar(compare, subject, lease, months, posted_micros, clock)
    before_micros, from_ns = 0, lease.runs_from_ns
    for month in months:
        named = f"{subject}, month to {month.month_end_ns}"
        _prove_credit(compare, named, lease, month, before_micros, from_ns, own.outages)
        before_micros += month.charge_micros
        from_ns = month.month_end_ns


def _sums(months: Sequence[ClosedMonth]) -> Settled:
    credit = sum(month.credit_micros - month.bond_micros for month in months)
    return Settled(credit, sum(month.paid_micros for month in months))


def prove_obligation(compare: Compare, owed: Owed, own: Billed, posted_micros: int, clock: Clock) -> None:
    """Compare an obligation's closed months with what was posted for the hours that no lease of it delivered.

    posted_micros: their pay. No lease, no uptime: such months never run, and have no credit.
    """
    subject, months = f"obligation {owed.obligation_id}", own.months
    compare("closes moved what they say", subject, _sums(months), own.moved)
    for month in months:
        named = f"{subject}, month to {month.month_end_ns}"
        compare("month ran as long as its dates say", named, 0, month.run_ns)
        _prove_out(compare, named, month, own.outages, (0, 0))
        _prove_sums(compare, named, month, 0, month.charge_micros)
    ends = [month.month_end_ns for month in months]
    compare("months close at their ends", subject, [month_end_ns(end - 1) for end in ends], ends)
    charged = sum(month.charge_micros for month in months)
    delivered_ns = owed.start_h * NS_PER_HOUR
    # What is delivered up to a month's end is closed then; of what is over nothing is left after that.
    closed = posted_micros if (months and months[-1].over) or delivered_ns in ends else min(charged, posted_micros)
    compare("an obligation's months are its pay", subject, closed, charged)
    if posted_micros and not owed.live and month_end_ns(delivered_ns) < clock.fired_ns:
        compare("an obligation that is over is paid out", subject, posted_micros, charged)


def _prove_credit(
    compare: Compare,
    subject: str,
    lease: LeaseTerms,
    month: ClosedMonth,
    before_micros: int,
    from_ns: int,
    outages: Sequence[Outage],
) -> None:
    """Run, outages, credit and payout of one month; before_micros: charged in the months before it."""
    until_ns = min(lease.ended_ns, month.month_end_ns) if month.over else month.month_end_ns
    run_ns = max(0, until_ns - from_ns) if lease.runs_from_ns else 0
    compare("month ran as long as its dates say", subject, run_ns, month.run_ns)
    _prove_out(compare, subject, month, outages, (from_ns, from_ns + run_ns))
    fee = Fraction(lease.provider_fee_ppm, PPM)
    there = month.charge_micros - (int(fee * (before_micros + month.charge_micros)) - int(fee * before_micros))
    _prove_sums(compare, subject, month, run_ns, there)


def _prove_out(
    compare: Compare, subject: str, month: ClosedMonth, outages: Sequence[Outage], run: tuple[int, int]
) -> None:
    """How long it was out of what it ran in the month."""
    inside = [(max(begin, run[0]), min(end, run[1])) for begin, end in outages]
    inside = [(begin, end) for begin, end in inside if begin < end]
    out_ns = at_ns = 0
    for begin, end in inside:
        out_ns += max(0, end - max(begin, at_ns))
        at_ns = max(at_ns, end)
    if len(inside) > OUTAGES_APART:
        out_ns = min(out_ns, month.out_ns)
    compare("month was out as long as was noted", subject, out_ns, month.out_ns)


def _prove_sums(compare: Compare, subject: str, month: ClosedMonth, run_ns: int, there_micros: int) -> None:
    """Credit and payout of a month that ran so long, with so much in the receivable."""
    due = int(month.charge_micros * _part(run_ns, month.out_ns))
    credit = min(due, there_micros)
    compare("month's credit is what its uptime says", subject, credit, month.credit_micros - month.bond_micros)
    compare("bond gives no more than lacks", subject, True, 0 <= month.bond_micros <= due - credit)
    compare("month's rest is paid out", subject, there_micros - credit, month.paid_micros)


def _part(run_ns: int, out_ns: int) -> Fraction:
    """The part of a month's charge that goes back."""
    if run_ns < CREDIT_LEAST_NS:
        return Fraction(0)
    uptime = 1 - Fraction(out_ns, run_ns)
    return next((part for bound, part in CREDITS if uptime < bound), Fraction(0))


def _prove_calendar(
    compare: Compare,
    subject: str,
    lease: LeaseTerms,
    months: Sequence[ClosedMonth],
    posted_micros: int,
    clock: Clock,
) -> None:
    """Each month that a lease ran out is closed, and none but at a month's end; an ended one's last is closed at last."""
    ends = [month.month_end_ns for month in months]
    compare("months close at their ends", subject, [month_end_ns(end - 1) for end in ends], ends)
    if not lease.ended_ns:
        # A forward's hours are paid whole: nothing of them is carried.
        carried_ns = 0 if lease.is_forward else CARRIED_NS - 1
        due = _ends(lease.runs_from_ns + carried_ns, clock.fired_ns) if lease.runs_from_ns else []
        compare("months of a running lease are closed", subject, due, [end for end in ends if end < clock.fired_ns])
        return
    # Its last bill is its month's, or, failed as of the month before or in its first hour, the next one's; there is none where
    # it failed as of before the last close, and was charged nothing since.
    latest_ns = month_end_ns(month_end_ns(lease.ended_ns))
    if latest_ns < clock.fired_ns:
        charged = sum(month.charge_micros for month in months)
        compare("an ended lease is paid out", subject, posted_micros, charged)


def _ends(after_ns: int, before_ns: int) -> list[int]:
    """The months' ends between two times."""
    ends = []
    end_ns = month_end_ns(after_ns)
    while end_ns < before_ns:
        ends.append(end_ns)
        end_ns = month_end_ns(end_ns)
    return ends


def month_end_ns(ts_ns: int) -> int:
    """When the month that holds a time is over, UTC."""
    day = _EPOCH + timedelta(seconds=ts_ns // NS_PER_S)
    following = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
    return (following - _EPOCH) // timedelta(seconds=1) * NS_PER_S
