"""Questions to the ledger: sums that can't overflow, where a moment begins, one account's balances and transfers.

Each takes a connection inside a transaction, so that several answers are of one moment. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, select, union_all

from engine.kinds import Pot, TransferCode
from engine.units import INT64_MAX
from settlement.postings import PotKey
from settlement.tables import BALANCES, POSITION, POSTINGS
from settlement.views import BalanceRow, TransferRow

MAX_PAGE: Final = 200
"""Transfers in one answer."""
_LIMB_BITS: Final = 32


class Position(NamedTuple):
    """How far the ledger has got: the last command that it took in, and that command's time."""

    seq: int
    ts_ns: int


def position(connection: Connection) -> Position:
    """Where the ledger stands."""
    return Position(*connection.execute(select(POSITION.c.seq, POSITION.c.ts_ns)).one())


def wide_sum(amount: ColumnElement[int]) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """Two columns whose `widen` is the sum of amounts above zero: gross sums may pass int64, where SQL fails."""
    high = func.sum(amount.bitwise_rshift(_LIMB_BITS))
    low = func.sum(amount.bitwise_and((1 << _LIMB_BITS) - 1))
    return high, low


def widen(high: int | None, low: int | None) -> int:
    """The sum that two columns of `wide_sum` stand for; 0 of no rows."""
    return ((high or 0) << _LIMB_BITS) + (low or 0)


def first_position_at(connection: Connection, ts_ns: int) -> int:
    """The smallest position such that all postings from it on are of `ts_ns` or later.

    Times never decrease along positions, so halving finds it without an index on time.
    """
    column = POSTINGS.c.position
    low, high = 0, (connection.scalar(select(func.max(column))) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(
            select(column, POSTINGS.c.ts_ns).where(column >= middle).order_by(column).limit(1)
        ).first()
        if found is None or found.ts_ns >= ts_ns:
            high = middle
        else:
            low = found.position + 1
    return low


def balances(connection: Connection, account: int) -> list[BalanceRow]:
    """The account's pots that were ever touched."""
    rows = connection.execute(
        select(BALANCES.c.pot, BALANCES.c.amount_micros).where(BALANCES.c.account == account).order_by(BALANCES.c.pot)
    )
    return [BalanceRow(pot=Pot(pot), amount_micros=amount) for pot, amount in rows]


def all_balances(connection: Connection) -> dict[PotKey, int]:
    """Every pot as the balances table has it."""
    rows = connection.execute(select(BALANCES.c.account, BALANCES.c.pot, BALANCES.c.amount_micros))
    return {PotKey(account, pot): amount for account, pot, amount in rows}


def transfers(connection: Connection, account: int, before_position: int, limit: int) -> list[TransferRow]:
    """The account's transfers before a position (0: from the newest), newest first; at most `limit`, at most 200."""
    columns = POSTINGS.c
    size = max(1, min(limit, MAX_PAGE))
    # A cursor may come from anywhere: what no position can be is before the newest, or before nothing.
    before = max(0, min(before_position or INT64_MAX, INT64_MAX))
    sides = (
        (columns.debit_account == account,),
        (columns.credit_account == account, columns.debit_account != account),
    )
    # Each side by its own index: together they would be read whole and sorted.
    halves = [
        select(
            select(POSTINGS)
            .where(*side, columns.position < before)
            .order_by(columns.position.desc())
            .limit(size)
            .subquery()
        )
        for side in sides
    ]
    both = union_all(*halves).subquery()
    return _transfer_rows(connection.execute(select(both).order_by(both.c.position.desc()).limit(size)))


def _transfer_rows(rows: Iterable[Row[Any]]) -> list[TransferRow]:
    return [
        TransferRow(
            position=row.position,
            ts_ns=row.ts_ns,
            code=TransferCode(row.code),
            amount_micros=row.amount_micros,
            debit_account=row.debit_account,
            debit_pot=Pot(row.debit_pot),
            credit_account=row.credit_account,
            credit_pot=Pot(row.credit_pot),
            ref=row.ref,
        )
        for row in rows
    ]
