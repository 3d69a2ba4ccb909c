"""What every subcommand gets: the client with its key, the configuration, and whether to answer in JSON."""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple, Protocol

from hourbook.cli.config import Config, UsageError
from hourbook.client import Client
from hourbook.models import Lease


class Session(NamedTuple):
    client: Client
    config: Config
    json: bool


class Commands(Protocol):
    """Where subcommands are added: what argparse's add_subparsers gives."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser: ...


def find_lease(session: Session, named: str) -> Lease:
    """The lease of that id; for `latest` the newest that isn't over. UsageError when there is none."""
    if named != "latest":
        return session.client.lease(named)
    for lease in session.client.leases(only_open=True):
        if not lease.is_over:
            return lease
    raise UsageError("you have no running lease; rent one: hourbook rent --sku H100-SXM5-80GB")
