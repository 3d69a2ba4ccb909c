"""The gate: a TCP port for each lease, whose connections are spliced through the agent's dial-back to the sandbox's sshd.

A connection that has a place (lobby.py) is announced to the agent with a single-use token and waits, for seconds at most,
until the agent dials back with it. A lease that ends takes its port, its connections and its waiting dials with it at once.
Everything is bounded, the log's growth too. The gate decides nothing about leases, and never looks at what it carries.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import resource
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from engine.ids import format_id
from provisioner.crowd import Flow, source
from provisioner.lobby import Caller, Lobby, TurnedAway
from provisioner.settings import Bounds, Timings
from provisioner.splice import splice
from provisioner.tally import Tally
from provisioner.wire import Dial

BACKLOG: Final = 128
TOKEN_BYTES: Final = 32
MIN_SHARE: Final = 4
BUSY_S: Final = 0.2
"""How long to wait before accepting again when the process has no file descriptor to spare."""
KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 20), (socket.TCP_KEEPCNT, 3))

DETAIL_CHARS: Final = 200

Announce = Callable[[int, Dial], Awaitable[bool]]
"""Tell a Baron's agent to dial back; False when it has no session."""

_log = logging.getLogger(__name__)


class _Port:
    """A lease's listening socket and what hangs on it."""

    def __init__(self, lease_id: int, baron: int, listener: socket.socket, lobby: Lobby, tally: Tally) -> None:
        self.lease_id = lease_id
        self.baron = baron
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self.lobby = lobby
        self.tally = tally
        self.accepting: asyncio.Task[None] | None = None
        self.callers: set[Caller] = set()


class _Waiting:
    """A connection whose dial-back hasn't come yet; later, where the dial-back's handler waits for its end."""

    def __init__(self, baron: int, lease_id: int, connection_id: str) -> None:
        self.baron = baron
        self.lease_id = lease_id
        self.connection_id = connection_id
        self.tunnel: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()


class Gate:
    """All on one event loop. `open` and `close` take effect before they return, but for what `stop` waits for."""

    def __init__(self, host: str, announce: Announce, timings: Timings, bounds: Bounds) -> None:
        self._host = host
        self._announce = announce
        self._timings = timings
        self._bounds = bounds
        self._ports: dict[int, _Port] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._closing: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ ports

    def open(self, lease_id: int, baron: int, port: int) -> int:
        """Listen for a lease, on any port when `port` is 0; the port. OSError when it can't be had."""
        if (opened := self._ports.get(lease_id)) is not None:
            return opened.port
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, port), family=family, backlog=BACKLOG)
        listener.setblocking(False)
        tally = Tally(f"gate port {listener.getsockname()[1]} of {format_id('lse', lease_id)}", self._timings.tally_s)
        lobby = Lobby(self._timings, self._bounds, tally, self._share, self._may_dial)
        entry = _Port(lease_id, baron, listener, lobby, tally)
        entry.accepting = asyncio.create_task(self._accept(entry), name=f"gate port {entry.port}")
        self._ports[lease_id] = entry
        return entry.port

    def port(self, lease_id: int) -> int | None:
        """The port that is open for the lease."""
        return entry.port if (entry := self._ports.get(lease_id)) is not None else None

    def close(self, lease_id: int) -> None:
        """End the port, its connections and its dials; the sockets close when the loop turns next."""
        if (entry := self._ports.pop(lease_id, None)) is None:
            return
        entry.lobby.close()
        entry.tally.close()
        for task in (entry.accepting, *(caller.task for caller in entry.callers)):
            if task is not None:
                task.cancel()
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """Close every port and wait until all sockets are closed."""
        for lease_id in list(self._ports):
            self.close(lease_id)
        while self._closing:
            await asyncio.wait(set(self._closing))

    def connections(self, lease_id: int) -> int:
        """Connections of a lease, those that wait for something included."""
        return len(entry.callers) if (entry := self._ports.get(lease_id)) is not None else 0

    # ------------------------------------------------------------ dial-backs

    def expects(self, token: str) -> bool:
        """Whether this token may be used now."""
        return token in self._waiting

    async def answer(self, token: str, tunnel: Connection) -> bool:
        """Use a token up: splice its connection to `tunnel` and return when that is over; False when it isn't valid."""
        waiting = self._waiting.pop(token, None)
        if waiting is None or waiting.tunnel.done():
            return False
        waiting.tunnel.set_result(tunnel)
        await waiting.over.wait()
        return True

    def refuse(self, baron: int, connection_id: str, detail: str) -> None:
        """The agent can't open a connection that it was asked for; another Baron's word on it counts nothing."""
        for token, waiting in self._waiting.items():
            if waiting.connection_id == connection_id and waiting.baron == baron:
                del self._waiting[token]
                if not waiting.tunnel.done():
                    waiting.tunnel.cancel()
                if (entry := self._ports.get(waiting.lease_id)) is not None:
                    entry.tally.count("not dialled back", repr(detail[:DETAIL_CHARS]))
                return

    # ------------------------------------------------------------ connections

    async def _accept(self, entry: _Port) -> None:
        loop = asyncio.get_running_loop()
        # Closed here and nowhere else: a socket that is closed while the loop still watches it leaves its number watched.
        with entry.listener:
            while True:
                try:
                    client, peer = await loop.sock_accept(entry.listener)
                except OSError as error:
                    if error.errno not in (errno.ECONNABORTED, errno.EPROTO):
                        entry.tally.count("not accepted", str(error))
                        await asyncio.sleep(BUSY_S)
                    continue
                self._take(entry, Caller(client, source(peer[0])))
                # Whoever is quick to connect again would keep this loop from ever giving way to the others.
                await asyncio.sleep(0)

    def _take(self, entry: _Port, caller: Caller) -> None:
        caller.task = asyncio.create_task(self._serve(entry, caller))
        caller.task.add_done_callback(lambda task: self._over(entry, caller, task))
        entry.callers.add(caller)
        entry.lobby.arrive(caller)
        if entry.lobby.waiting > self._bounds.callers_per_lease:
            entry.lobby.thin()
        elif sum(port.lobby.waiting for port in self._ports.values()) > min(self._bounds.callers, _files() // 4):
            max(self._ports.values(), key=lambda port: port.lobby.waiting).lobby.thin()

    def _over(self, entry: _Port, caller: Caller, task: asyncio.Task[None]) -> None:
        """A connection that broke for a reason of ours is told, and costs no other."""
        caller.client.close()
        entry.callers.discard(caller)
        entry.lobby.leave(caller)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, TurnedAway):
            entry.tally.count(str(error))
        elif isinstance(error, OSError):
            entry.tally.count("broken off", str(error))
        else:
            _log.error("a connection at the gate failed", exc_info=error)

    def _share(self) -> int:
        """A port's part of all connections, each of which is two files; the log and the ledger must never want for any."""
        return max(MIN_SHARE, min(self._bounds.connections, _files() // 8) // max(1, len(self._ports)))

    def _may_dial(self) -> bool:
        return len(self._waiting) < self._bounds.pending_dials

    async def _serve(self, entry: _Port, caller: Caller) -> None:
        client = caller.client
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            client.setsockopt(socket.IPPROTO_TCP, option, value)
        head, place = await entry.lobby.admitted(caller)
        waiting = _Waiting(entry.baron, entry.lease_id, secrets.token_hex(8))
        try:
            tunnel = await self._dial(entry, waiting)
            if tunnel is not None:
                place.reached_s = asyncio.get_running_loop().time()
                entry.lobby.look()
                await self._carry(client, tunnel, head, place.flow)
        finally:
            waiting.over.set()

    async def _dial(self, entry: _Port, waiting: _Waiting) -> Connection | None:
        """The agent's dial-back, or None when it didn't come in time."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        dial = Dial(connection_id=waiting.connection_id, lease_id=format_id("lse", waiting.lease_id), token=token)
        self._waiting[token] = waiting
        try:
            async with asyncio.timeout(self._timings.dial_s):
                if not await self._announce(waiting.baron, dial):
                    entry.tally.count("not dialled back", "the Baron has no session")
                    return None
                # Waited for, not awaited: a dial that the agent refuses is cancelled, and this task is not.
                await asyncio.wait({waiting.tunnel})
                return None if waiting.tunnel.cancelled() else waiting.tunnel.result()
        except TimeoutError:
            entry.tally.count("not dialled back", "not in time")
            return None
        finally:
            self._waiting.pop(token, None)

    async def _carry(self, client: socket.socket, tunnel: Connection, head: bytes, flow: Flow) -> None:
        try:
            await splice(client, tunnel, head, flow, self._timings)
        except asyncio.CancelledError:
            tunnel.transport.abort()
            raise
        with contextlib.suppress(ConnectionClosed):
            await tunnel.close()


def _files() -> int:
    """How many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
