"""Laws of statements: the parts add up to the whole, months join without a seam, and each is what a count by hand gives."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings

from engine.kinds import Pot, TransferCode
from engine.messages import EXCHANGE_ACCOUNT, Reply, Transfer
from engine.units import NS_PER_S
from settlement import queries, statements
from settlement.ledger import Settlement
from settlement.postings import CHARGE_CODES, PotKey
from settlement.statements import month_bounds
from settlement.views import Statement
from tests.settlement.made import ACCOUNTS, START_NS, deposit, histories, transfer


def month_of(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // NS_PER_S, UTC).strftime("%Y-%m")


def months_between(first: str, last: str) -> list[str]:
    numbers = [int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last)]
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(numbers[0], numbers[1] + 1)]


def counted(
    history: list[Reply], account: int, month: str
) -> tuple[dict[TransferCode, list[int]], dict[int, list[int]]]:
    """Lines and leases of a month, one transfer at a time."""
    lines: dict[TransferCode, list[int]] = defaultdict(lambda: [0, 0])
    leases: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for reply in history:
        for event in reply.events:
            if month_of(reply.ts_ns) != month or not isinstance(event, Transfer):
                continue
            if account not in (event.debit_account, event.credit_account):
                continue
            amount = event.amount_micros * ((event.credit_account == account) - (event.debit_account == account))
            lines[event.code][0] += 1
            lines[event.code][1] += amount
            if event.code in CHARGE_CODES:
                leases[event.ref][Pot.FEES in (event.debit_pot, event.credit_pot)] += amount
            elif event.code is TransferCode.PENALTY and event.ref:
                leases[event.ref][2] += amount
            elif event.code is TransferCode.PAYOUT and event.ref:
                leases[event.ref][3] += event.amount_micros
    return lines, leases


def check(statement: Statement, history: list[Reply]) -> None:
    lines, leases = counted(history, statement.account, statement.month)
    assert {line.code: [line.transfers, line.amount_micros] for line in statement.lines} == lines
    shown = {
        line.lease: [line.usage_micros, line.fee_micros, line.credit_micros, line.paid_out_micros]
        for line in statement.leases
    }
    assert shown == leases
    moved = sum(line.amount_micros for line in statement.lines)
    assert statement.opening_micros + moved == statement.closing_micros
    charged = sum(line.amount_micros for line in statement.lines if line.code in CHARGE_CODES)
    assert sum(line.usage_micros + line.fee_micros for line in statement.leases) == charged


@settings(max_examples=25)
@given(history=histories())
def test_parts_add_up_and_months_join(history: list[Reply]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Settlement.open(Path(folder, "ledger.db"))
        ledger.apply(history)
        for account in (EXCHANGE_ACCOUNT, *ACCOUNTS):
            before = 0
            for month in months_between(month_of(START_NS), month_of(history[-1].ts_ns)):
                statement = ledger.read(partial(statements.statement, account=account, month=month))
                check(statement, history)
                assert statement.opening_micros == before
                before = statement.closing_micros
                assert statement.seq == history[-1].seq
            kept = ledger.read(queries.all_balances)
            assert before == sum(amount for key, amount in kept.items() if key.account == account)
        ledger.close()


async def test_the_seam_of_two_months_is_at_midnight_utc(ledger: Settlement) -> None:
    first_ns, next_ns = month_bounds("2024-02")
    ledger.apply(
        [
            deposit(1, 1, 1, first_ns - 1),
            deposit(2, 1, 20, first_ns),
            deposit(3, 1, 300, next_ns - 1),
            deposit(4, 1, 4_000, next_ns),
        ]
    )
    statement = await ledger.statement(1, "2024-02")
    assert (statement.opening_micros, statement.closing_micros) == (1, 321)
    assert (next_ns - first_ns) // NS_PER_S == 29 * 86_400


async def test_a_month_before_or_after_all_is_empty(ledger: Settlement) -> None:
    ledger.apply([deposit(1, 1, 5, month_bounds("2024-02").start_ns)])
    before = await ledger.statement(1, "2023-12")
    after = await ledger.statement(1, "2030-01")
    assert (before.opening_micros, before.closing_micros, before.lines, before.leases) == (0, 0, [], [])
    assert (after.opening_micros, after.closing_micros, after.lines, after.leases) == (5, 5, [], [])


async def test_gross_sums_may_pass_int64(ledger: Settlement) -> None:
    available, held = PotKey(1, Pot.AVAILABLE), PotKey(1, Pot.HELD)
    large = 10**17
    there = transfer(available, held, large, TransferCode.HOLD, 1)
    back = transfer(held, available, large, TransferCode.RELEASE, 1)
    ledger.apply([deposit(1, 1, large)])
    ledger.apply([Reply(seq, START_NS, (there, back)) for seq in range(2, 102)])
    statement = await ledger.statement(1, month_of(START_NS))
    assert statement.closing_micros == large
    assert {line.code: line.transfers for line in statement.lines}[TransferCode.HOLD] == 100


@pytest.mark.parametrize(
    "month",
    [
        "",
        "2024",
        "2024-13",
        "2024-00",
        "2024-2",
        "24-02",
        "2024-02-01",
        " 2024-02",
        "2024-02\n",
        "1969-12",
        "2262-01",
        "٢٠٢٤-٠٢",
    ],
)
async def test_another_form_is_refused(ledger: Settlement, month: str) -> None:
    with pytest.raises(ValueError, match="YYYY-MM"):
        await ledger.statement(1, month)
