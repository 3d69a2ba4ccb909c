"""A whole exchange behind a real server on a free loopback port, for tests of the WebSockets and the lease streams.

Log, sequencer, machine, read side, registry, gateway and uvicorn are the real ones; the ledger has no part in these tests
and follows nothing. The clock is real: only this side of the engine looks at it.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import httpx
import msgspec
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from engine.halves import PLAIN
from engine.ids import format_id
from engine.limits import Limits
from engine.messages import Command, Deposit, ListMarket, OpenAccount, RegisterBaron, Reply, SetCapacity
from engine.units import MICROS_PER_USD
from exchange.gateway.app import create_app
from exchange.gateway.deps import Deps
from exchange.gateway.ports import LedgerView
from exchange.gateway.sse import LeaseStreams
from exchange.gateway.ws.doors import Doors
from exchange.gateway.ws.messages import MAX_MESSAGE_BYTES
from exchange.gateway.ws.protocol import PING_S, WebSocketProtocol
from exchange.log.embedded import EmbeddedLog
from exchange.market_data.feed import Feed
from exchange.read.side import SqlReadSide
from exchange.registry.registry import Registry
from exchange.registry.rows import Principal, Scope
from exchange.sequencer.interface import Submit
from exchange.sequencer.recovery import recover
from exchange.sequencer.sequencer import Sequencer
from tests.waiting import TIMEOUT_S, wait_until_async

SKU: Final = "H100-SXM5-80GB"
SPOT: Final = f"{SKU}.us-east.spot"
ONDEMAND: Final = f"{SKU}.us-east.ondemand"
SSH_KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
GPUS: Final = 1_000

Json = Any


class Party:
    """An account and its first key."""

    def __init__(self, account: int, token: str, key_id: int, baron: str = "") -> None:
        self.account = account
        self.token = token
        self.key_id = key_id
        self.baron = baron


class Wire:
    """One client's WebSocket: requests by number, replies and events in the order in which they came."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._numbers = itertools.count(1)

    async def send(self, op: str, **params: Json) -> int:
        number = next(self._numbers)
        await self.connection.send(msgspec.json.encode({"id": number, "op": op, "params": params}).decode())
        return number

    async def next(self) -> Json:
        async with asyncio.timeout(TIMEOUT_S):
            return msgspec.json.decode(await self.connection.recv())

    async def skip_to(self, wanted: Callable[[Json], bool]) -> Json:
        """The next message that is wanted; others before it are passed over."""
        while not wanted(message := await self.next()):
            pass
        return message

    async def ask(self, op: str, **params: Json) -> Json:
        """The reply of a request; events before it are passed over."""
        number = await self.send(op, **params)
        return await self.skip_to(lambda message: message.get("id") == number)

    async def ok(self, op: str, **params: Json) -> Json:
        reply = await self.ask(op, **params)
        assert reply["status"] == 200, reply
        return reply

    async def refused(self, op: str, **params: Json) -> Json:
        """The error of a request that must be refused."""
        reply = await self.ask(op, **params)
        assert reply["status"] == reply["error"]["status"] >= 400, reply
        assert "result" not in reply
        return reply["error"]

    async def event(self, channel: str) -> Json:
        return await self.skip_to(lambda message: message.get("ch") == channel)

    async def closed(self) -> tuple[int | None, str | None]:
        """Code and reason of the close, when it has come."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


class House:
    def __init__(
        self,
        url: str,
        sequencer: Sequencer,
        registry: Registry,
        doors: Doors,
        streams: LeaseStreams,
        close_key: Callable[[int], None],
    ) -> None:
        self.url = url
        self.sequencer = sequencer
        self.close_key = close_key
        self.registry = registry
        self.doors = doors
        self.streams = streams
        self._deposits = itertools.count(1)

    async def enter(self, command: Command) -> Reply:
        return await self.sequencer.submit(command)

    async def party(self, *scopes: Scope, baron: bool = False) -> Party:
        """An account with money, an SSH key, a bearer key of these scopes, and a Baron if wanted."""
        row, key = await self.registry.create_account("party", scopes or tuple(Scope), (0, 5_000))
        await self.enter(OpenAccount(account=row.account, maker_fee_ppm=0, taker_fee_ppm=5_000))
        await self.registry.confirm_account(row.account)
        amount = 1_000_000 * MICROS_PER_USD
        await self.enter(Deposit(account=row.account, amount_micros=amount, client_id=f"d{next(self._deposits)}"))
        await self.registry.add_ssh_key(row.account, "laptop", SSH_KEY)
        party = Party(row.account, key.token, key.key.key_id)
        if baron:
            made = await self.registry.create_baron(row.account, SKU, "us-east", "rack")
            number = made.baron.baron
            await self.enter(RegisterBaron(baron=number, provider=row.account, sku=SKU, region="us-east"))
            await self.enter(SetCapacity(baron=number, gpus=GPUS, simulated=True))
            party.baron = format_id("brn", number)
        return party

    async def revoke(self, party: Party) -> None:
        """As the REST door does it."""
        principal = Principal(account=party.account, key_id=party.key_id, scopes=frozenset(Scope))
        await self.registry.revoke_key(principal, party.key_id)
        self.close_key(party.key_id)

    @asynccontextmanager
    async def trade(self, party: Party | None, **options: Any) -> AsyncIterator[Wire]:
        """`query`: what the address carries after the path; other options are the connection's."""
        query = options.pop("query", "")
        headers = {"Authorization": f"Bearer {party.token}"} if party else {}
        async with connect(f"ws{self.url}/ws/v1/trade{query}", additional_headers=headers, **options) as connection:
            yield Wire(connection)

    @asynccontextmanager
    async def market(self, **options: Any) -> AsyncIterator[Wire]:
        async with connect(f"ws{self.url}/ws/v1/market", **options) as connection:
            yield Wire(connection)

    def stuck_socket(self) -> socket.socket:
        """A socket to the server that takes little before its owner reads."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        host, _, port = self.url.removeprefix("://").partition(":")
        sock.connect((host, int(port)))
        return sock

    def http(self, party: Party) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {party.token}"}
        return httpx.AsyncClient(base_url=f"http{self.url}/v1", headers=headers, timeout=TIMEOUT_S)


class _NoLedger:
    """Stands where the ledger would; nothing here asks it."""

    def position(self) -> int:
        return 0


def _server(deps: Deps, ping_s: float) -> tuple[socket.socket, uvicorn.Server]:
    """uvicorn as Monarch sets it up, on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    # Small, so that a reader who doesn't read is noticed after few messages.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    config = uvicorn.Config(
        create_app(deps),
        log_level="warning",
        lifespan="off",
        ws=WebSocketProtocol,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        ws_ping_interval=ping_s,
        ws_ping_timeout=ping_s,
        timeout_graceful_shutdown=1,
    )
    return listener, uvicorn.Server(config)


@asynccontextmanager
async def house(
    home: Path,
    keep_alive_s: float = 15.0,
    ping_s: float = PING_S,
    stop_s: float = 10.0,
    through: Callable[[Submit], Submit] = lambda submit: submit,
) -> AsyncIterator[House]:
    """Bring it up in `home`, and down again; `through` may stand between the WebSockets and the sequencer."""
    log = EmbeddedLog(home)
    commands, events = await log.open_writer(0, "commands"), await log.open_writer(0, "events")
    reader = await log.open_reader(0, "events")
    recovered = await recover(home, 0, commands, events, Limits(), PLAIN)
    sequencer = Sequencer(recovered.machine, commands, events, tick_s=60.0, snapshots=recovered.snapshots)
    feed = Feed()
    sequencer.subscribe(feed.on_reply)
    read = SqlReadSide.open(home / "read.db", feed)
    registry = Registry.open(home / "registry.db", time.time_ns)
    following = asyncio.create_task(read.run(reader))
    await feed.start(read, reader, TIMEOUT_S)
    await sequencer.start()
    streams = LeaseStreams(feed, read, keep_alive_s)
    doors = Doors(feed=feed, submit=through(sequencer.submit), read=read, keys=registry, stored=registry)

    def close_key(key_id: int) -> None:
        doors.close_key(key_id)
        streams.close_key(key_id)

    deps = Deps(
        submit=sequencer.submit,
        read=read,
        ledger=cast(LedgerView, _NoLedger()),
        quoter=lambda *_, **__: [],
        registry=registry,
        lease_events=streams,
        maker_fee_ppm=0,
        taker_fee_ppm=5_000,
        on_key_revoked=close_key,
        routers=(doors.router,),
    )
    listener, server = _server(deps, ping_s)
    # The server's own handling of signals belongs to a main program.
    serving = asyncio.create_task(server._serve([listener]))
    try:
        await wait_until_async(lambda: server.started, "the server")
        # In a home that was used before, the market is there already.
        listed = await sequencer.submit(ListMarket(sku=SKU, region="us-east"))
        assert await read.reached(listed.seq, TIMEOUT_S)
        port = listener.getsockname()[1]
        yield House(f"://127.0.0.1:{port}", sequencer, registry, doors, streams, close_key)
    finally:
        streams.stop()
        await doors.stop(stop_s)
        server.should_exit = True
        await serving
        listener.close()
        await sequencer.stop()
        following.cancel()
        await asyncio.wait([following])
        await read.close()
        await registry.close()
        for part in (reader, commands, events):
            await part.close()
