"""balance, limits, statement: what you have, what you may, and where it went."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from hourbook.cli.output import emit, note, table
from hourbook.cli.session import Commands, Session


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    balance = commands.add_parser("balance", parents=[common], help="your balances, from the ledger")
    balance.set_defaults(run=_balance)
    limits = commands.add_parser("limits", parents=[common], help="what your account may have open")
    limits.set_defaults(run=_limits)
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


def _limits(_options: argparse.Namespace, session: Session) -> int:
    limits = session.client.limits()
    if session.json:
        emit(limits)
        return 0
    rows = [
        ("open orders", limits.max_open_orders),
        ("dollars held", limits.max_notional),
        ("GPUs, bid for and leased", limits.max_gpus),
    ]
    own = "the exchange's own bound"
    table(("at most", "limit"), [(what, own if limit is None else limit) for what, limit in rows], "")
    if limits.killed:
        note("Stopped: an operator has cancelled your orders and refuses new ones; leases run on.")
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
        leases = [(line.lease_id, line.usage, line.fee, line.credit, line.paid_out) for line in statement.leases]
        table(("lease", "usage", "fee", "credit", "paid out"), leases, "")
    return 0
