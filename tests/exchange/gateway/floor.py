"""A whole exchange in one process for tests of the gateway: real log, sequencer, machine, read side, ledger, registry.

Only the Baron's side is missing: tests enter what a provisioner would (SetCapacity, LeaseActive, LeaseWiped).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from fastapi import FastAPI

from engine.book_plain import PlainBook
from engine.ids import parse_id
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import Command, ListMarket, Reply, SetCapacity
from exchange.gateway import ports
from exchange.gateway.app import create_app
from exchange.gateway.deps import Deps
from exchange.gateway.sse import LeaseStreams
from exchange.log.embedded import EmbeddedLog
from exchange.market_data.feed import Feed
from exchange.read.side import SqlReadSide
from exchange.registry.pending import send_pending
from exchange.registry.registry import Registry
from exchange.sequencer.sequencer import Sequencer
from settlement.ledger import Settlement
from tests.waiting import TIMEOUT_S

SKU: Final = "H100-SXM5-80GB"
SPOT: Final = f"{SKU}.us-east.spot"
ONDEMAND: Final = f"{SKU}.us-east.ondemand"
START_NS: Final = 1_760_000_000 * 10**9
SSH_KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
ALL_SCOPES: Final = ["read", "trade", "rent", "provide"]
ACCESS: Final = b'{"host":"127.0.0.1","port":22001,"user":"gpu","host_key":"ssh-ed25519 AAAAHOST"}'

# Numbers of a JSON body are decimal strings and ints; tests look into them freely.
Json = Any


class Ledger:
    """Settlement's rows as the gateway's: the same fields under the names that its ports have."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement

    def position(self) -> int:
        return self._settlement.position()

    async def reached(self, seq: int, timeout_s: float) -> bool:
        return await self._settlement.reached(seq, timeout_s)

    async def balances(self, account: int) -> list[ports.BalanceRow]:
        return msgspec.convert(await self._settlement.balances(account), list[ports.BalanceRow], from_attributes=True)

    async def transfers(self, account: int, before_position: int, limit: int) -> list[ports.TransferRow]:
        rows = await self._settlement.transfers(account, before_position, limit)
        return msgspec.convert(rows, list[ports.TransferRow], from_attributes=True)

    async def statement(self, account: int, month: str) -> ports.Statement:
        found = await self._settlement.statement(account, month)
        return msgspec.convert(found, ports.Statement, from_attributes=True)


class Client:
    """Speaks for one key (none: for nobody), over HTTP into the application."""

    def __init__(self, http: httpx.AsyncClient, token: str | None, account: str = "") -> None:
        self.http = http
        self.token = token
        self.account = account

    async def ask(self, method: str, path: str, body: Json = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= options.pop("headers", {})
        if body is not None:
            options["json"] = body
        return await self.http.request(method, f"/v1{path}", headers=headers, **options)

    async def get(self, path: str, **params: Any) -> Json:
        return _expect(await self.ask("GET", path, params=params), 200)

    async def post(self, path: str, body: Json, status: int = 201, **headers: str) -> Json:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return _expect(await self.ask("POST", path, body, headers=named), status)

    async def delete(self, path: str) -> Json:
        return _expect(await self.ask("DELETE", path), 200)

    async def refused(self, method: str, path: str, body: Json = None, **options: Any) -> Json:
        """The problem of a request that must be refused."""
        response = await self.ask(method, path, body, **options)
        assert response.headers["content-type"] == "application/problem+json", response.text
        problem = response.json()
        assert problem["status"] == response.status_code >= 400
        assert problem["type"] == f"urn:hourbook:error:{problem['code']}"
        return problem


class Floor:
    """The exchange's parts, every reply since its start, and the few things that tests do beside the API."""

    def __init__(self, app: FastAPI, deps: Deps, machine: Machine, clock: Clock, http: httpx.AsyncClient) -> None:
        self.app = app
        self.deps = deps
        self.machine = machine
        self.clock = clock
        self.http = http
        self.replies: list[Reply] = []
        self.admin: Client

    async def enter(self, command: Command) -> Reply:
        return await self.deps.submit(command)

    async def open(self, name: str, dollars: str | None = None, scopes: list[str] | None = None) -> Client:
        """A new account with a key, and money if wanted."""
        made = await self.admin.post("/accounts", {"name": name, "scopes": scopes or ALL_SCOPES})
        if dollars is not None:
            await self.admin.post("/deposits", {"account": made["id"], "amount": dollars})
        return Client(self.http, made["key"]["token"], made["id"])

    async def baron(self, provider: Client, gpus: int = 8, region: str = "us-east") -> str:
        """A Baron with verified, simulated GPUs; its id."""
        made = await provider.post("/barons", {"sku": SKU, "region": region, "name": "rack 1"})
        await self.enter(SetCapacity(baron=number_of(made["id"]), gpus=gpus, simulated=True))
        return str(made["id"])

    async def seller(self, price: str = "2.0000", gpus: int = 8, symbol: str = SPOT) -> tuple[Client, str]:
        """A provider with one Baron, all offered in one instrument."""
        provider = await self.open("provider", "1000.00")
        baron = await self.baron(provider, gpus)
        offer = {"baron": baron, "instrument": symbol, "price": price, "gpus": gpus}
        if symbol == ONDEMAND:
            offer |= {"max_hours": 48}
        assert (await provider.ask("PUT", "/asks", {"offers": [offer]})).status_code == 200
        return provider, baron

    async def renter(self, dollars: str = "1000") -> Client:
        """An account with money and an SSH key."""
        renter = await self.open("renter", dollars)
        await renter.post("/ssh-keys", {"name": "laptop", "public_key": SSH_KEY})
        return renter


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


def number_of(public_id: str) -> int:
    return parse_id(public_id[:3], public_id)


def _expect(response: httpx.Response, status: int) -> Json:
    assert response.status_code == status, response.text
    return response.json()


@asynccontextmanager
async def floor(home: Path, change: Callable[[Deps], Deps] = lambda deps: deps) -> AsyncIterator[Floor]:
    """Bring an exchange up in `home` with one SKU in two regions, and down again."""
    clock = Clock()
    log = EmbeddedLog(home)
    commands, events = await log.open_writer(0, "commands"), await log.open_writer(0, "events")
    machine = Machine(0, Limits(), PlainBook)
    sequencer = Sequencer(machine, commands, events, clock_ns=clock, tick_s=60.0)
    feed = Feed()
    sequencer.subscribe(feed.on_reply)
    read = SqlReadSide.open(home / "read.db", feed)
    settlement = Settlement.open(home / "ledger.db")
    registry = Registry.open(home / "registry.db", clock)
    await sequencer.start()
    feed.seed(await read.snapshot())
    readers = [await log.open_reader(0, "events") for _ in range(2)]
    tasks = [asyncio.create_task(read.run(readers[0])), asyncio.create_task(settlement.run(readers[1]))]
    streams = LeaseStreams(feed, read)

    def quoter(
        account: int,
        instruments: tuple[int, ...],
        quantity: int,
        hours: int,
        max_price_ticks: int,
        *,
        features: int = 0,
        same_baron: bool = False,
        min_rating: int = 0,
    ) -> list[ports.QuoteLine]:
        wish = (quantity, hours, max_price_ticks, clock())
        lines = machine.quote(
            account, instruments, *wish, features=features, same_baron=same_baron, min_rating=min_rating
        )
        return [ports.QuoteLine(**line._asdict()) for line in lines]

    deps = Deps(
        submit=sequencer.submit,
        read=read,
        ledger=Ledger(settlement),
        quoter=quoter,
        registry=registry,
        lease_events=streams,
        maker_fee_ppm=0,
        taker_fee_ppm=5_000,
        clock_ns=clock,
    )
    try:
        listed = [await sequencer.submit(ListMarket(sku=SKU, region=region)) for region in ("us-east", "us-west")]
        await read.reached(listed[-1].seq, TIMEOUT_S)
        _, admin = await registry.create_admin((0, 5_000))
        await send_pending(registry, sequencer.submit)
        deps = change(deps)
        app = create_app(deps)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hourbook.test") as http:
            made = Floor(app, deps, machine, clock, http)
            sequencer.subscribe(made.replies.append)
            made.admin = Client(http, admin.token)
            yield made
    finally:
        streams.stop()
        await sequencer.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await read.close()
        settlement.close()
        await registry.close()
        for part in (*readers, commands, events):
            await part.close()
