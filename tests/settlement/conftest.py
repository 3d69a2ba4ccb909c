"""What the tests of settlement share: a ledger on a real file, closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from settlement.ledger import Settlement

OpenLedger = Callable[[Path], Settlement]


@pytest.fixture
def open_ledger() -> Iterator[OpenLedger]:
    """Opens ledgers by path and closes them when the test is over."""
    opened: list[Settlement] = []

    def opening(path: Path) -> Settlement:
        opened.append(Settlement.open(path))
        return opened[-1]

    yield opening
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: OpenLedger, tmp_path: Path) -> Settlement:
    """A new ledger."""
    return open_ledger(tmp_path / "ledger.db")
