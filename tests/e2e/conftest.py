"""One exchange for the tests of a module, with its Barons' GPUs on offer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.exchange import Exchange, left_of

TOOLS = Path(__file__).resolve().parents[2] / "build" / "tools"


@pytest.fixture
def stopped_exchange(tmp_path: Path) -> Iterator[Exchange]:
    """Nothing runs yet; whatever the test starts is ended, and nothing of it may be left."""
    with Exchange(tmp_path, TOOLS) as exchange:
        yield exchange
    assert left_of(tmp_path) == []


@pytest.fixture
def exchange(stopped_exchange: Exchange) -> Exchange:
    """Monarch and one Baron of eight simulated GPUs, on offer for spot and on-demand at 2.0000."""
    stopped_exchange.start_monarch()
    stopped_exchange.settle()
    stopped_exchange.start_barons(1)
    stopped_exchange.offer_all()
    return stopped_exchange
