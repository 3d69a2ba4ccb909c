"""What the ledger shows: rows of balances, transfers and statements, in the engine's units.

Field by field they are what the gateway asks of settlement's read side; settlement may not import the gateway, so the
composition root carries one into the other by name.
"""

from __future__ import annotations

import msgspec

from engine.kinds import Pot, TransferCode


class BalanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One pot of an account, in micro-dollars."""

    pot: Pot
    amount_micros: int


class TransferRow(msgspec.Struct, frozen=True, kw_only=True):
    """One transfer as one account sees it. `position`: its sortable number (seq << 16 | index)."""

    position: int
    ts_ns: int
    code: TransferCode
    amount_micros: int
    debit_account: int
    debit_pot: Pot
    credit_account: int
    credit_pot: Pot
    ref: int


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """Sum of one code in a month, seen from the account: positive is money that came to it (its pots together)."""

    code: TransferCode
    transfers: int
    amount_micros: int


class LeaseChargeLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one lease moved in the month, seen from the account: usage and fee less refunds (negative: paid).

    credit_micros: for outages, or for its provider's failure (negative: given). paid_out_micros: from receivable to available.
    A forward's hours are paid inside the provider's account, from escrow to receivable: there they show as they are paid out.
    """

    lease: int
    usage_micros: int = 0
    fee_micros: int = 0
    credit_micros: int = 0
    paid_out_micros: int = 0


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar month (UTC) of one account; opening and closing are all its pots together."""

    account: int
    month: str
    seq: int
    opening_micros: int
    closing_micros: int
    lines: list[StatementLine]
    leases: list[LeaseChargeLine]
