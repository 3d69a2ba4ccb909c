"""The proof: ledger = engine at one sequence, nothing made or lost, and each lease charged what its dates say (rulebook §9).

It reads one moment of the ledger and compares it with the engine's balances at the same sequence; whoever runs it brings
the engine there. It changes nothing, prints nothing, and trusts no figure that the ledger keeps beside its postings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, not_, or_, select
from sqlalchemy.exc import SQLAlchemyError

from engine.kinds import EndReason, LeaseState, Pot, TransferCode
from engine.messages import EXCHANGE_ACCOUNT
from engine.units import MICROS_PER_TICK
from settlement import bills, queries
from settlement.charges import Charge, Clock, ended_charge, running_charges
from settlement.database import open_reader
from settlement.errors import LedgerError
from settlement.leases import LeaseTerms, Price
from settlement.postings import CHARGE_CODES, PotKey, below_zero, first_position
from settlement.queries import Position
from settlement.tables import LEASE_PRICES, LEASES, OBLIGATIONS, POSTINGS

MAX_FINDINGS: Final = 100
"""Findings that a proof keeps; the rest are only counted."""

_EXCHANGE_POTS: Final = (Pot.FEES, Pot.INSURANCE, Pot.CASH)
_TERMS: Final = LeaseTerms.__struct_fields__
_OVER: Final = (LeaseState.ENDED, LeaseState.FAILED)
_NOTICE_REASONS: Final = (EndReason.UNPAID, EndReason.PREEMPTED, EndReason.DISPLACED)


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """The engine after command `seq`. next_due_ns: its earliest timer, None without one; balances: every pot, zeros or not."""

    seq: int
    ts_ns: int
    next_due_ns: int | None
    balances: list[tuple[int, Pot, int]]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that isn't as it must be: which check, about what, what it should be and what it is."""

    check: str
    subject: str
    expected: str
    found: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared, and what was found; it holds when nothing was found."""

    seq: int
    postings: int
    pots: int
    leases: int
    leases_running: int
    findings: list[Finding]
    findings_total: int

    @property
    def holds(self) -> bool:
        return self.findings_total == 0


class _Findings:
    """Keeps the first findings and counts the rest: a broken ledger may have millions."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.total = 0

    def compare(self, check: str, subject: str, expected: object, found: object) -> None:
        if expected == found:
            return
        self.total += 1
        if len(self.kept) < MAX_FINDINGS:
            self.kept.append(Finding(check=check, subject=subject, expected=str(expected), found=str(found)))


class LedgerMoment:
    """One moment of a ledger, read-only: what it says doesn't change while the ledger goes on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.position: Position = queries.position(connection)

    def prove(self, engine: EngineState) -> Proof:
        """Compare this moment with the engine after the same command; what is wrong is a finding, never an error."""
        findings = _Findings()
        findings.compare("sequence", "engine", self.position.seq, engine.seq)
        kept = queries.all_balances(self._connection)
        posted = _posted(self._connection)
        _prove_balances(findings, kept, posted, _engine_balances(engine))
        postings = _prove_postings(findings, self._connection, self.position)
        due_ns = engine.ts_ns + 1 if engine.next_due_ns is None else min(engine.next_due_ns, engine.ts_ns + 1)
        _prove_obligations(findings, self._connection, posted)
        leases, running = _prove_leases(findings, self._connection, Clock(due_ns, engine.ts_ns))
        return Proof(
            seq=self.position.seq,
            postings=postings,
            pots=len(kept),
            leases=leases,
            leases_running=running,
            findings=findings.kept,
            findings_total=findings.total,
        )


@contextmanager
def ledger_moment(path: Path) -> Iterator[LedgerMoment]:
    """A moment of the ledger at `path`, while another process may go on writing it. LedgerError when there is none."""
    reader = open_reader(path)
    try:
        with reader.begin() as connection:
            yield LedgerMoment(connection)
    except SQLAlchemyError as error:
        raise LedgerError(
            f"the ledger {path} can't be read: {error}. Restore it, or build it anew from the event log"
        ) from error
    finally:
        reader.dispose()


def _engine_balances(engine: EngineState) -> dict[PotKey, int]:
    return {PotKey(account, pot): amount for account, pot, amount in engine.balances}


def _subject(key: PotKey) -> str:
    name = Pot(key.pot).name.lower() if key.pot in list(Pot) else f"no pot {key.pot}"
    return f"account {key.account}, {name}"


def _posted(connection: Connection) -> dict[PotKey, int]:
    """Each pot as its postings alone say."""
    columns = POSTINGS.c
    totals: dict[PotKey, int] = {}
    sides = ((columns.debit_account, columns.debit_pot, -1), (columns.credit_account, columns.credit_pot, 1))
    for account_column, pot_column, sign in sides:
        query = select(account_column, pot_column, *queries.wide_sum(columns.amount_micros))
        for account, pot, high, low in connection.execute(query.group_by(account_column, pot_column)):
            key = PotKey(account, pot)
            totals[key] = totals.get(key, 0) + sign * queries.widen(high, low)
    return totals


def _prove_balances(
    findings: _Findings, kept: dict[PotKey, int], posted: dict[PotKey, int], engine: dict[PotKey, int]
) -> None:
    for key in sorted({*kept, *posted, *engine}):
        subject = _subject(key)
        findings.compare("balance is the sum of its postings", subject, posted.get(key, 0), kept.get(key, 0))
        findings.compare("ledger is engine", subject, engine.get(key, 0), kept.get(key, 0))
    for name, balances in (("balances", kept), ("postings", posted), ("engine", engine)):
        findings.compare("all sums to zero", name, 0, sum(balances.values()))
        for key in below_zero(balances):
            findings.compare("only cash is below zero", f"{name}, {_subject(key)}", "0 or more", balances[key])


def _prove_postings(findings: _Findings, connection: Connection, position: Position) -> int:
    """Every posting moves more than nothing between two pots that may exist, inside the ledger's own sequence."""
    columns = POSTINGS.c
    wrong = or_(
        columns.amount_micros <= 0,
        and_(columns.debit_account == columns.credit_account, columns.debit_pot == columns.credit_pot),
        _misplaced(columns.debit_account, columns.debit_pot),
        _misplaced(columns.credit_account, columns.credit_pot),
        columns.code.not_in(list(TransferCode)),
        columns.position >= first_position(position.seq + 1),
        columns.position < first_position(1),
        columns.ts_ns > position.ts_ns,
    )
    for row in connection.execute(select(POSTINGS).where(wrong).order_by(columns.position)):
        findings.compare("posting is balanced", f"position {row.position}", "a movement between two pots", row._mapping)
    return connection.scalar(select(func.count()).select_from(POSTINGS)) or 0


def _misplaced(account: ColumnElement[int], pot: ColumnElement[int]) -> ColumnElement[bool]:
    """The exchange's pots belong to account 0, and no other pot does."""
    return (account == EXCHANGE_ACCOUNT) != pot.in_(_EXCHANGE_POTS)


def _prove_leases(findings: _Findings, connection: Connection, clock: Clock) -> tuple[int, int]:
    """Each lease's postings are what its dates say; returns leases, and those of them that run."""
    paid, strays = _paid(connection)
    for ref in strays:
        findings.compare(
            "charge belongs to a lease's parties", f"lease {ref}", "renter, provider and exchange", "others"
        )
    prices = _prices(connection)
    billed = bills.billed(connection)
    for owed, pay_micros in _owed(connection):
        own = billed.pop(owed.obligation_id, bills.Billed())
        bills.prove_obligation(findings.compare, owed, own, pay_micros, clock)
    count = running = 0
    for row in connection.execute(select(*(LEASES.c[name] for name in _TERMS)).order_by(LEASES.c.lease_id)):
        count += 1
        try:
            lease = msgspec.convert(dict(zip(_TERMS, row, strict=True)), LeaseTerms)
        except msgspec.ValidationError as error:
            findings.compare("lease can be read", f"lease {row.lease_id}", "a lease", error)
            continue
        posted = paid.pop(lease.lease_id, Charge(0, 0, 0))
        own_prices = prices.pop(lease.lease_id, [])
        subject = f"lease {lease.lease_id}"
        own = billed.pop(lease.lease_id, bills.Billed())
        bills.prove(findings.compare, lease, own_prices, own, posted.usage_micros, clock)
        closed_ns = bills.paid_until_ns(own.months)
        if lease.is_forward:
            # What it delivers is paid by the hour; the lease itself costs nothing.
            posted = posted._replace(usage_micros=0)
        if lease.state in _OVER:
            # A running lease says what was posted when it last changed, and its full hours change nothing.
            findings.compare("lease says what was posted", subject, posted.usage_micros, lease.charged_micros)
            _prove_ended(findings, subject, lease, own_prices, closed_ns, posted)
            continue
        running += 1
        _prove_notice(findings, subject, lease, posted)
        allowed = running_charges(lease, clock, own_prices, closed_ns)
        if posted not in allowed:
            findings.compare("lease is charged its full hours", subject, sorted(allowed), posted)
    for lease_id in prices:
        findings.compare("price has a lease", f"lease {lease_id}", "a lease", "none")
    for lease_id in billed:
        findings.compare("closed month has a lease", f"lease {lease_id}", "a lease", "none")
    for ref in paid:
        findings.compare("charge has a lease", f"lease {ref}", "a lease", "none")
    return count, running


def _prove_obligations(findings: _Findings, connection: Connection, posted: dict[PotKey, int]) -> None:
    """Escrow is what stands for hours that aren't paid, to the micro-dollar; a bond stands for those, or for a lease that runs."""
    columns = OBLIGATIONS.c
    escrow, bond = Counter[int](), Counter[int]()
    for row in connection.execute(select(OBLIGATIONS).order_by(columns.obligation_id)):
        subject = f"obligation {row.obligation_id}"
        due = row.price_ticks * MICROS_PER_TICK * row.quantity * (row.end_h - row.start_h) if row.live else 0
        findings.compare("obligation has its hours in escrow", subject, due, row.escrow_micros)
        if not row.live:
            findings.compare("obligation that is over has no bond", subject, 0, row.bond_micros)
        escrow[row.provider] += row.escrow_micros
        bond[row.provider] += row.bond_micros
    for (account, lease_id, over), micros in _lease_bonds(connection).items():
        if over:
            findings.compare("lease that is over has no bond", f"lease {lease_id}", 0, micros)
        bond[account] += micros
    for pot, due_of in ((Pot.ESCROW, escrow), (Pot.BOND, bond)):
        for account in sorted({*due_of, *(key.account for key in posted if key.pot == pot)}):
            key = PotKey(account, pot)
            findings.compare("escrow and bond have a reason", _subject(key), due_of[account], posted.get(key, 0))


def _owed(connection: Connection) -> Iterator[tuple[bills.Owed, int]]:
    """Obligations, each with what was posted as its pay, less that of hours that weren't delivered after all."""
    columns, moved = OBLIGATIONS.c, POSTINGS.c
    undone = _micros_by_ref(connection, moved.code == TransferCode.REFUND, moved.debit_pot == Pot.RECEIVABLE)
    pay = _micros_by_ref(connection, moved.code == TransferCode.USAGE)
    for owed in connection.execute(select(*(columns[name] for name in bills.Owed._fields))):
        yield bills.Owed(*owed), pay[owed.obligation_id] - undone[owed.obligation_id]


def _micros_by_ref(connection: Connection, *of: ColumnElement[bool]) -> Counter[int]:
    """What such postings of obligations come to, by obligation."""
    query = select(POSTINGS.c.ref, *queries.wide_sum(POSTINGS.c.amount_micros)).where(*of).group_by(POSTINGS.c.ref)
    sums = connection.execute(query.where(POSTINGS.c.ref.in_(select(OBLIGATIONS.c.obligation_id))))
    return Counter({ref: queries.widen(high, low) for ref, high, low in sums})


def _lease_bonds(connection: Connection) -> Counter[tuple[int, int, bool]]:
    """What is in bond for each lease, by (provider, lease, whether it is over)."""
    bonds: Counter[tuple[int, int, bool]] = Counter()
    sides = (
        (POSTINGS.c.debit_account, POSTINGS.c.debit_pot, -1),
        (POSTINGS.c.credit_account, POSTINGS.c.credit_pot, 1),
    )
    for account_column, pot_column, sign in sides:
        query = (
            select(account_column, LEASES.c.lease_id, LEASES.c.state, *queries.wide_sum(POSTINGS.c.amount_micros))
            .join(LEASES, LEASES.c.lease_id == POSTINGS.c.ref)
            .where(pot_column == Pot.BOND)
            .group_by(account_column, LEASES.c.lease_id)
        )
        for account, lease_id, state, high, low in connection.execute(query):
            bonds[account, lease_id, state in _OVER] += sign * queries.widen(high, low)
    return bonds


def _prove_notice(findings: _Findings, subject: str, lease: LeaseTerms, posted: Charge) -> None:
    """A running lease has neither reason nor end, but under notice a reason and when that is over."""
    if lease.state is LeaseState.ENDING:
        findings.compare("notice has a reason", subject, True, lease.reason in _NOTICE_REASONS)
        findings.compare("notice has a time", subject, True, lease.ends_ns > lease.active_ns)
        # Nothing is posted from the notice on but at a month's end, and its events said what was.
        findings.compare("lease says what was posted", subject, posted.usage_micros, lease.charged_micros)
        findings.compare("running lease has no end", subject, 0, lease.ended_ns)
        return
    free = (EndReason.NONE, 0, 0)
    findings.compare("running lease has no end", subject, free, (lease.reason, lease.ended_ns, lease.ends_ns))


def _prices(connection: Connection) -> dict[int, list[Price]]:
    """The prices of leases whose price changed, in order of their times."""
    prices: dict[int, list[Price]] = {}
    columns = LEASE_PRICES.c
    for lease_id, from_ns, price_ticks in connection.execute(
        select(columns.lease_id, columns.from_ns, columns.price_ticks).order_by(columns.lease_id, columns.from_ns)
    ):
        prices.setdefault(lease_id, []).append(Price(from_ns, price_ticks))
    return prices


def _prove_ended(
    findings: _Findings, subject: str, lease: LeaseTerms, prices: list[Price], closed_ns: int, posted: Charge
) -> None:
    try:
        due = ended_charge(lease, prices, closed_ns)
    except ValueError as error:
        findings.compare("lease ended for a reason of today", subject, "a reason with a rule", error)
        return
    findings.compare("lease is charged what its dates say", subject, due, posted)
    if lease.ends_ns:
        findings.compare("lease ends with its notice", subject, True, lease.ended_ns <= lease.ends_ns)


def _paid(connection: Connection) -> tuple[dict[int, Charge], list[int]]:
    """What each lease's postings come to, refunds taken off; and the leases that others than its parties paid for."""
    columns = POSTINGS.c
    parties = LEASES.c
    renter_out = columns.debit_account == parties.renter
    renter_in = columns.credit_account == parties.renter
    provider_out = columns.debit_account == parties.provider
    provider_in = columns.credit_account == parties.provider
    forward = parties.price_ticks == 0
    hour_pay = and_(provider_out, provider_in, columns.debit_pot == Pot.ESCROW, columns.credit_pot == Pot.RECEIVABLE)
    exchange_out = and_(columns.debit_account == EXCHANGE_ACCOUNT, columns.debit_pot == Pot.FEES)
    exchange_in = and_(columns.credit_account == EXCHANGE_ACCOUNT, columns.credit_pot == Pot.FEES)
    direction = case(
        (parties.lease_id.is_(None), 0),
        (and_(forward, hour_pay), 1),
        (and_(not_(forward), renter_out, provider_in), 1),
        (and_(provider_out, renter_in), -1),
        (and_(renter_out, exchange_in), 2),
        (and_(exchange_out, renter_in), -2),
        (and_(provider_out, exchange_in), 3),
        (and_(exchange_out, provider_in), -3),
        else_=4,
    ).label("direction")
    query = (
        select(columns.ref, direction, *queries.wide_sum(columns.amount_micros))
        .select_from(POSTINGS.outerjoin(LEASES, parties.lease_id == columns.ref))
        .where(columns.code.in_(CHARGE_CODES), columns.ref.not_in(select(OBLIGATIONS.c.obligation_id)))
        .group_by(columns.ref, "direction")
    )
    sums: dict[int, list[int]] = {}
    strays: list[int] = []
    for ref, way, high, low in connection.execute(query):
        amounts = sums.setdefault(ref, [0, 0, 0])
        if abs(way) in (1, 2, 3):
            amounts[abs(way) - 1] += queries.widen(high, low) * (1 if way > 0 else -1)
        elif way:
            strays.append(ref)
    return {ref: Charge(*amounts) for ref, amounts in sums.items()}, strays
