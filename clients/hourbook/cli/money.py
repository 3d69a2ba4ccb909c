"""balance, statement: what you have, and where it went."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from hourbook.cli.output import emit, table
from hourbook.cli.session import Commands, Session


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    balance = commands.add_parser("balance", parents=[common], help="your balances, from the ledger")
    balance.set_defaults(run=_balance)
    statement = commands.add_parser("statement", parents=[common], help="a month's statement")
    statement.add_argument("month", nargs="?", metavar="MONTH", help="such as 2026-12, UTC; this month if left out")
    statement.set_defaults(run=_statement)


def _balance(_options: argparse.Namespace, session: Session) -> int:
    balances = session.client.balances()
    if session.json:
        emit(balances)
        return 0
    pots = ("available", "held", "escrow", "receivable", "bond")
    table(("pot", "dollars"), [(pot, getattr(balances, pot)) for pot in pots], "")
    return 0


def _statement(options: argparse.Namespace, session: Session) -> int:
    month = options.month or datetime.now(UTC).strftime("%Y-%m")
    statement = session.client.statement(month)
    if session.json:
        emit(statement)
        return 0
    print(f"{statement.account}  {statement.month}")
    lines = [(line.code, line.transfers, line.amount) for line in statement.lines]
    rows = [("opening", None, statement.opening), *lines, ("closing", None, statement.closing)]
    table(("what", "transfers", "dollars"), rows, "")
    if statement.leases:
        print()
        table(("lease", "usage", "fee"), [(line.lease_id, line.usage, line.fee) for line in statement.leases], "")
    return 0
