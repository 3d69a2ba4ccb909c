"""One real exchange for all tests of the client: `monarch up` and a simulated Baron, offered anew for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hourbook.client import Client
from tests.e2e.exchange import Exchange, left_of

TOOLS = Path(__file__).resolve().parents[2] / "build" / "tools"


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    home = tmp_path_factory.mktemp("exchange")
    with Exchange(home, TOOLS) as exchange:
        exchange.start_monarch()
        exchange.settle()
        exchange.start_barons(1)
        yield exchange
    assert left_of(home) == []


@pytest.fixture
def exchange(running: Exchange) -> Iterator[Exchange]:
    """Eight GPUs on spot and on-demand at 2.0000; leases and open orders that a test leaves are ended."""
    running.offer_all()
    yield running
    for who in ("renter", "provider"):
        with Client(running.url, running.world.key(who)) as client:
            for order in client.orders(only_open=True):
                if order.origin != "offer":
                    client.cancel(order.id)
            for lease in client.leases(only_open=True):
                if not lease.is_over:
                    client.end_lease(lease.id)
                running.wait_wiped(lease.id)


@pytest.fixture
def renter(exchange: Exchange) -> Iterator[Client]:
    with Client(exchange.url, exchange.world.key("renter")) as client:
        yield client


@pytest.fixture
def provider(exchange: Exchange) -> Iterator[Client]:
    with Client(exchange.url, exchange.world.key("provider")) as client:
        yield client
