"""positions, obligations, deliver: what was bought forward, who owes it, and where to deliver it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from hourbook.cli.leases import public_key
from hourbook.cli.output import emit, mark, table
from hourbook.cli.session import Commands, Session
from hourbook.owed import Obligation


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    positions = commands.add_parser("positions", parents=[common], help="what you have bought forward, hour by hour")
    positions.set_defaults(run=_positions)
    obligations = commands.add_parser("obligations", parents=[common], help="forwards' obligations, newest first")
    obligations.add_argument("--all", action="store_true", help="those that are over as well")
    obligations.add_argument("--provider", action="store_true", help="those that your Barons owe")
    obligations.add_argument("--limit", type=int, default=50, help="at most so many (50)")
    obligations.set_defaults(run=_obligations)
    deliver = commands.add_parser("deliver", parents=[common], help="say where an obligation is delivered to")
    deliver.add_argument("obligation", metavar="OBLIGATION")
    deliver.add_argument("--ssh-key", action="append", type=Path, metavar="FILE", help="public key; else the account's")
    deliver.set_defaults(run=_deliver)


def _positions(_options: argparse.Namespace, session: Session) -> int:
    found = session.client.positions()
    if session.json:
        emit(found)
        return 0
    rows = [(each.baron, each.sku, each.region, each.start, each.end, each.gpus) for each in found.positions]
    table(("Baron", "SKU", "region", "start", "end", "GPUs"), rows, "You have bought nothing forward.")
    return 0


def _obligations(options: argparse.Namespace, session: Session) -> int:
    role: Literal["holder", "provider"] = "provider" if options.provider else "holder"
    found = session.client.obligations(only_open=not options.all, role=role, limit=options.limit)
    return _answer(session, found)


def _deliver(options: argparse.Namespace, session: Session) -> int:
    keys = [public_key(file) for file in options.ssh_key or ()]
    return _answer(session, [session.client.set_delivery(options.obligation, keys)])


def _answer(session: Session, found: list[Obligation]) -> int:
    if session.json:
        emit(found)
        return 0
    rows = [
        (each.id, mark(each.baron, each.simulated), each.gpus, each.start, each.end, each.price, each.escrow, each.bond,
         each.delivery, each.lease, each.change)
        for each in found
    ]  # fmt: skip
    headings = ("obligation", "Baron", "GPUs", "start", "end", "price", "escrow", "bond", "delivery", "lease", "change")
    table(headings, rows, "Nobody owes anything.")
    return 0
