"""Statements: one account's calendar month, UTC (rulebook §9), whose parts add up to the whole exactly.

Opening plus all lines is closing; usage and fees of the leases together are the lines of their codes. The month is read
backwards from today's balance, so that the newest month, which is asked for most, costs only its own postings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, or_, select

from engine.kinds import Pot, TransferCode
from engine.units import NS_PER_S
from settlement import queries
from settlement.postings import CHARGE_CODES, CLOSE_CODES
from settlement.tables import OBLIGATIONS, POSTINGS
from settlement.views import LeaseChargeLine, Statement, StatementLine

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2261
"""Nanoseconds since the epoch end inside 2262."""

_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)


class MonthBounds(NamedTuple):
    """A month's first nanosecond, and the next month's."""

    start_ns: int
    end_ns: int


class _Moved(NamedTuple):
    """Postings of one direction, code and lease together; `sign` is -1 out of the account, 1 into it, 0 inside it."""

    code: TransferCode
    ref: int
    is_fee: bool
    sign: int
    transfers: int
    amount_micros: int


def month_bounds(month: str) -> MonthBounds:
    """The bounds of a month `YYYY-MM` in UTC; ValueError for another form, or a year outside 1970 to 2261."""
    match = _MONTH.fullmatch(month)
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        raise ValueError(f"a month of the form YYYY-MM, from {FIRST_YEAR}-01 to {LAST_YEAR}-12")
    year, number = int(match[1]), int(match[2])
    start = datetime(year, number, 1, tzinfo=UTC)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    return MonthBounds(int(start.timestamp()) * NS_PER_S, int(end.timestamp()) * NS_PER_S)


def statement(connection: Connection, account: int, month: str) -> Statement:
    """The account's statement of a month; ValueError for another form than `YYYY-MM`.

    A month that isn't over closes at the ledger's position; one without postings opens and closes at the same amount.
    """
    bounds = month_bounds(month)
    first = queries.first_position_at(connection, bounds.start_ns)
    after = queries.first_position_at(connection, bounds.end_ns)
    now_micros = sum(row.amount_micros for row in queries.balances(connection, account))
    later_micros = _net_from(connection, account, after)
    lines: dict[TransferCode, tuple[int, int]] = {}
    leases: dict[int, LeaseChargeLine] = {}
    for moved in _moved(connection, account, range(first, after)):
        amount = moved.sign * moved.amount_micros
        transfers, total = lines.get(moved.code, (0, 0))
        lines[moved.code] = (transfers + moved.transfers, total + amount)
        if moved.ref:
            leases[moved.ref] = _added(leases.get(moved.ref) or LeaseChargeLine(lease=moved.ref), moved)
    closing = now_micros - later_micros
    return Statement(
        account=account,
        month=month,
        seq=queries.position(connection).seq,
        opening_micros=closing - sum(total for _, total in lines.values()),
        closing_micros=closing,
        lines=[
            StatementLine(code=code, transfers=transfers, amount_micros=total)
            for code, (transfers, total) in sorted(lines.items())
        ],
        leases=[line for _, line in sorted(leases.items())],
    )


def _added(line: LeaseChargeLine, moved: _Moved) -> LeaseChargeLine:
    """A lease's line with one more sum. A payout moves inside the account, so that its amount counts, not its sign."""
    amount = moved.sign * moved.amount_micros
    if moved.code is TransferCode.PAYOUT:
        return replace(line, paid_out_micros=line.paid_out_micros + moved.amount_micros)
    if moved.code is TransferCode.PENALTY:
        return replace(line, credit_micros=line.credit_micros + amount)
    if moved.is_fee:
        return replace(line, fee_micros=line.fee_micros + amount)
    return replace(line, usage_micros=line.usage_micros + amount)


def _net_from(connection: Connection, account: int, first: int) -> int:
    """What the account's postings from position `first` on moved into it, in all."""
    columns = POSTINGS.c
    net = 0
    for sign, ours, other in (
        (-1, columns.debit_account, columns.credit_account),
        (1, columns.credit_account, columns.debit_account),
    ):
        query = select(*queries.wide_sum(columns.amount_micros))
        high, low = connection.execute(query.where(ours == account, other != account, columns.position >= first)).one()
        net += sign * queries.widen(high, low)
    return net


def _moved(connection: Connection, account: int, positions: range) -> Iterator[_Moved]:
    """The account's postings at these positions, gathered."""
    columns = POSTINGS.c
    # A forward's hours that no lease delivered show in the lines alone.
    leased = and_(
        columns.code.in_((*CHARGE_CODES, *CLOSE_CODES)), columns.ref.not_in(select(OBLIGATIONS.c.obligation_id))
    )
    ref = case((leased, columns.ref), else_=0)
    is_fee = or_(columns.debit_pot == Pot.FEES, columns.credit_pot == Pot.FEES)
    out_sign: ColumnElement[int] = case((columns.credit_account == account, 0), else_=-1)
    into = (columns.credit_account == account, columns.debit_account != account)
    sides: tuple[tuple[ColumnElement[int], tuple[ColumnElement[bool], ...]], ...] = (
        (out_sign, (columns.debit_account == account,)),
        (literal(1), into),
    )
    for sign, conditions in sides:
        inside = (columns.position >= positions.start, columns.position < positions.stop)
        query = select(
            columns.code,
            ref.label("ref"),
            is_fee.label("is_fee"),
            sign.label("sign"),
            func.count(),
            *queries.wide_sum(columns.amount_micros),
        ).where(*conditions, *inside)
        for code, lease, fee, direction, count, high, low in connection.execute(
            query.group_by(columns.code, "ref", "is_fee", "sign")
        ):
            yield _Moved(TransferCode(code), lease, bool(fee), direction, count, queries.widen(high, low))
