"""What the gateway is given by the composition root, beside the read side and `Submit`: quotes, and settlement's read side.

The gateway imports neither the settlement nor the running machine: it sees these protocols.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from engine.kinds import Pot, TransferCode
from engine.reasons import Reason


class QuoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one instrument would give now. reason NONE: the whole quantity is there at up to `worst_price_ticks`.

    available_quantity: eligible GPUs inside the limit, at most the quantity asked for.
    cost_per_hour_micros: of the whole quantity at the fills' prices, rounded up, without fee; 0 when it isn't whole.
    fee_per_hour_micros: the taker's fee on it, rounded up; hold_micros: what must be available to rent it.
    simulated: some of the available GPUs are a simulated Baron's.
    """

    instrument: int
    reason: Reason
    quantity: int
    available_quantity: int
    best_price_ticks: int
    worst_price_ticks: int
    cost_per_hour_micros: int
    fee_per_hour_micros: int
    hold_micros: int
    simulated: bool


class Quoter(Protocol):
    def __call__(
        self,
        account: int,
        instruments: tuple[int, ...],
        quantity: int,
        hours: int,
        max_price_ticks: int,
        *,
        features: int = 0,
        same_baron: bool = False,
        min_rating: int = 0,
    ) -> list[QuoteLine]:
        """Quote each instrument as `Rent` would now, cheapest whole one first, then those that can't, with the reason."""


class BalanceRow(msgspec.Struct, frozen=True, kw_only=True):
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
    """What one lease moved in the month, seen from the account: usage and fee (negative: paid).

    credit_micros: for outages, or for its provider's failure (negative: given). paid_out_micros: from receivable to available.
    """

    lease: int
    usage_micros: int
    fee_micros: int
    credit_micros: int
    paid_out_micros: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar month (UTC) of one account; opening and closing are all its pots together."""

    account: int
    month: str
    seq: int
    opening_micros: int
    closing_micros: int
    lines: list[StatementLine]
    leases: list[LeaseChargeLine]


class LedgerView(Protocol):
    """Settlement's read side: the book of record."""

    def position(self) -> int: ...

    async def reached(self, seq: int, timeout_s: float) -> bool: ...

    async def balances(self, account: int) -> list[BalanceRow]: ...

    async def transfers(self, account: int, before_position: int, limit: int) -> list[TransferRow]: ...

    async def statement(self, account: int, month: str) -> Statement:
        """Of a month `YYYY-MM`; ValueError for another form."""
