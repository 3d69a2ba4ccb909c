"""Real exchanges behind real servers on threads of their own, with a little of everything in them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import uvicorn

from tests.exchange.gateway.floor import ONDEMAND, SKU, SPOT, Client, Floor, floor
from tests.exchange.gateway_ws.house import house
from tests.waiting import TIMEOUT_S, wait_until_async

T = TypeVar("T")


@dataclasses.dataclass
class Served:
    """Where it listens, a key with every scope, and names and ids of what is there, by the field that holds them."""

    url: str
    token: str
    known: dict[str, str]


@dataclasses.dataclass
class Traded:
    """An exchange with its WebSockets: where it listens, a trader's key, its Baron, and what its log said of weight."""

    url: str
    token: str
    baron: str
    complaints: list[str]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with _beside(lambda: _serve(tmp_path_factory.mktemp("exchange"))) as found:
        yield found


@pytest.fixture(scope="session")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traded]:
    with _beside(lambda: _trade(tmp_path_factory.mktemp("house"))) as found:
        yield found


@contextmanager
def _beside(make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """What `make` brings up, on a thread and an event loop of its own; it is brought down at the end."""
    ready: list[T] = []
    failures: list[BaseException] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with make() as found:
            ready.append(found)
            started.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(run())
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            loop.close()
            started.set()

    thread = threading.Thread(target=work, name="exchange")
    thread.start()
    assert started.wait(TIMEOUT_S)
    assert not failures, failures
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


class _Complaints(logging.Handler):
    """Keeps what is logged as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@asynccontextmanager
async def _trade(home: Path) -> AsyncIterator[Traded]:
    """A trader with a Baron and money, and a stranger's quotes to trade with."""
    complaints = _Complaints()
    logging.getLogger().addHandler(complaints)
    try:
        async with house(home) as exchange:
            trader, stranger = await exchange.party(baron=True), await exchange.party(baron=True)
            async with exchange.trade(stranger) as wire:
                for symbol in (SPOT, ONDEMAND):
                    ask = {"instrument": symbol, "side": "sell", "quantity": 100, "price": "2.0000"}
                    ask |= {"baron": stranger.baron} | ({"max_hours": 24} if symbol == ONDEMAND else {})
                    bid = {"instrument": symbol, "side": "buy", "quantity": 100, "price": "1.9000"}
                    await wire.ok("quotes.set", name=symbol.rpartition(".")[2], quotes=[bid, ask])
            yield Traded(f"ws{exchange.url}/ws/v1", trader.token, trader.baron, complaints.said)
    finally:
        logging.getLogger().removeHandler(complaints)


@asynccontextmanager
async def _serve(home: Path) -> AsyncIterator[Served]:
    async with floor(home) as exchange:
        known = await _fill(exchange)
        config = uvicorn.Config(exchange.app, log_level="critical", lifespan="off", ws="websockets-sansio")
        server = uvicorn.Server(config)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            running = asyncio.create_task(server.serve([listener]))
            await wait_until_async(lambda: server.started or running.done(), "the server")
            try:
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                yield Served(url, str(exchange.admin.token), known)
            finally:
                server.should_exit = True
                await running


async def _fill(exchange: Floor) -> dict[str, str]:
    """Offers of a stranger, and for the administration itself: money, an SSH key, an order, a Baron, a lease that ended."""
    admin: Client = exchange.admin
    await exchange.seller(price="2.0000", symbol=SPOT)
    await exchange.seller(price="2.5000", symbol=ONDEMAND)
    account = (await admin.get("/account"))["id"]
    await admin.post("/deposits", {"account": account, "amount": "1000000"})
    renter = await exchange.renter()
    line = (await renter.get("/ssh-keys"))["ssh_keys"][0]["public_key"]
    await admin.post("/ssh-keys", {"name": "laptop", "public_key": line})
    order = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "0.5000", "client_order_id": "mine"}
    placed = await admin.post("/orders", order)
    baron = await admin.post("/barons", {"sku": SKU, "region": "us-east", "name": "mine"})
    lease = (await admin.post("/rentals", {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}))["leases"][0]["id"]
    await admin.delete(f"/leases/{lease}")
    return {
        "order_id": placed["order"]["id"],
        "client_order_id": "mine",
        "lease_id": lease,
        "baron_id": baron["id"],
        "baron": baron["id"],
        "account": account,
        "symbol": SPOT,
        "instrument": SPOT,
        "sku": SKU,
        "region": "us-east",
    }
