"""Balances, transfers and statements in their public form. A counterparty is never named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.ids import format_id
from engine.kinds import Pot, edge_name
from engine.messages import EXCHANGE_ACCOUNT
from engine.units import format_money
from exchange.gateway import ports
from exchange.gateway.views.text import View, format_time

_POTS: Final = (Pot.AVAILABLE, Pot.HELD, Pot.ESCROW, Pot.RECEIVABLE, Pot.BOND)
_ID_PREFIX_CHARS: Final = 4


class Balances(View, frozen=True):
    """The pots of the account (rulebook §9), as the ledger has them at `seq`."""

    seq: int
    available: str
    held: str
    escrow: str
    receivable: str
    bond: str


class Party(View, frozen=True):
    """`whose`: you, exchange, or counterparty."""

    whose: str
    pot: str


class Transfer(View, frozen=True):
    """Money out of `debit` into `credit`. `ref`: what the id of its order or lease has after the prefix; null for none."""

    id: str
    time: str
    code: str
    amount: str
    debit: Party
    credit: Party
    ref: str | None


class Transfers(View, frozen=True):
    seq: int
    transfers: list[Transfer]
    next_cursor: str | None


class StatementLine(View, frozen=True):
    """The sum of one code in the month; positive is money that came to the account."""

    code: str
    transfers: int
    amount: str


class StatementLease(View, frozen=True):
    """What a lease moved; negative: what you paid. `credit`: for outages, or for its provider's failure.

    `paid_out`: what its month's close made available to its provider.
    """

    lease_id: str
    usage: str
    fee: str
    credit: str
    paid_out: str


class Statement(View, frozen=True):
    """A calendar month, UTC; `opening` and `closing` are all pots together."""

    account: str
    month: str
    seq: int
    opening: str
    closing: str
    lines: list[StatementLine]
    leases: list[StatementLease]


class Moved(View, frozen=True):
    """A deposit or withdrawal that was made. `duplicate`: by an earlier request with the same Idempotency-Key."""

    seq: int
    account: str
    amount: str
    duplicate: bool


def balances(seq: int, rows: Iterable[ports.BalanceRow]) -> Balances:
    amounts = {row.pot: row.amount_micros for row in rows}
    return Balances(seq=seq, **{edge_name(pot): format_money(amounts.get(pot, 0)) for pot in _POTS})


def transfer(row: ports.TransferRow, account: int) -> Transfer:
    return Transfer(
        id=format_id("trf", row.position),
        time=format_time(row.ts_ns),
        code=edge_name(row.code),
        amount=format_money(row.amount_micros),
        debit=_party(row.debit_account, row.debit_pot, account),
        credit=_party(row.credit_account, row.credit_pot, account),
        ref=format_id("ord", row.ref)[_ID_PREFIX_CHARS:] if row.ref else None,
    )


def statement(found: ports.Statement) -> Statement:
    return Statement(
        account=format_id("acc", found.account),
        month=found.month,
        seq=found.seq,
        opening=format_money(found.opening_micros),
        closing=format_money(found.closing_micros),
        lines=[
            StatementLine(code=edge_name(line.code), transfers=line.transfers, amount=format_money(line.amount_micros))
            for line in found.lines
        ],
        leases=[
            StatementLease(
                lease_id=format_id("lse", line.lease),
                usage=format_money(line.usage_micros),
                fee=format_money(line.fee_micros),
                credit=format_money(line.credit_micros),
                paid_out=format_money(line.paid_out_micros),
            )
            for line in found.leases
        ],
    )


def _party(number: int, pot: Pot, account: int) -> Party:
    whose = "you" if number == account else "exchange" if number == EXCHANGE_ACCOUNT else "counterparty"
    return Party(whose=whose, pot=edge_name(pot))
