"""Dial-backs: one WebSocket to Monarch for each SSH connection, spliced to the sshd of the lease's sandbox.

Raw bytes both ways, in frames that the wire bounds; flow control is the sockets' own, for each chunk is read when the one
before it was taken. An empty frame says that no more bytes come that way. All of a lease's end with it. What the bytes
are is between the renter's ssh and the sandbox: nothing here looks at them.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from provisioner.agent import tunnel as tunnels
from provisioner.agent.errors import AgentError
from provisioner.agent.events import EventLog
from provisioner.agent.races import first_to_end
from provisioner.agent.sandbox import lifecycle
from provisioner.agent.sandbox.spec import CONNECTIONS_DEFAULT
from provisioner.wire import DIAL_PATH, MAX_DIAL_FRAME_BYTES, Dial, DialFailed

# Fewer than the sandbox takes: an sshd that is just ending still counts there, and so does the agent's own look.
SPLICES_PER_LEASE = CONNECTIONS_DEFAULT - 16
SPLICES_MAX = 1024
SOCKET_BUFFER_BYTES = 1 << 20
# A Monarch that vanished without a word: found out in 90 s, for there are no pings here.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
CLOSE_TEXT = 1003
TOKEN = re.compile(r"[!-~]{1,512}")

Fail = Callable[[DialFailed], Awaitable[None]]
"""Tells Monarch; never raises for a session that is over."""


class Splices:
    """All connections of all leases. `door` gives the directory of a running lease's sandbox."""

    def __init__(self, monarch: str, door: Callable[[str], Path | None], log: EventLog) -> None:
        self._monarch = monarch
        self._door = door
        self._log = log
        self._running: dict[str, set[asyncio.Task[None]]] = {}

    def dial(self, dial: Dial, fail: Fail) -> None:
        """Open what was asked for, in a task of its own; `fail` is told when it can't be."""
        task = asyncio.create_task(self._serve(dial, self._refusal(dial), fail), name=f"splice {dial.lease_id}")
        self._running.setdefault(dial.lease_id, set()).add(task)
        task.add_done_callback(lambda task: self._done(dial, task))

    def cut(self, lease_id: str) -> None:
        """End all connections of a lease."""
        for task in self._running.get(lease_id, ()):
            task.cancel()

    async def close(self, timeout_s: float) -> None:
        """End all connections, and wait for that, at most so long."""
        tasks = [task for running in self._running.values() for task in running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    def _refusal(self, dial: Dial) -> str:
        if len(self._running.get(dial.lease_id, ())) >= SPLICES_PER_LEASE:
            return f"the lease has {SPLICES_PER_LEASE} connections, and may have no more"
        if sum(map(len, self._running.values())) >= SPLICES_MAX:
            return f"the Baron has {SPLICES_MAX} connections, and may have no more"
        if TOKEN.fullmatch(dial.token) is None:
            return "the token can't stand in a header"
        return ""

    def _done(self, dial: Dial, task: asyncio.Task[None]) -> None:
        running = self._running[dial.lease_id]
        running.discard(task)
        if not running:
            del self._running[dial.lease_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.say("splice_failed", f"{dial.lease_id}: {type(error).__name__}: {error}", lease_id=dial.lease_id)

    async def _serve(self, dial: Dial, refusal: str, fail: Fail) -> None:
        directory = self._door(dial.lease_id)
        if refusal or directory is None:
            await fail(DialFailed(connection_id=dial.connection_id, detail=refusal or "no such lease runs here"))
            return
        try:
            door = lifecycle.connect(directory)
        except AgentError as error:
            await fail(DialFailed(connection_id=dial.connection_id, detail=error.detail))
            return
        with door:
            try:
                tunnel = await tunnels.for_bytes(self._monarch, DIAL_PATH, dial.token)
            except (OSError, WebSocketException) as error:
                detail = f"the dial-back failed: {tunnels.why(error)}"
                self._log.say("dial_failed", f"{dial.lease_id}: {detail}", lease_id=dial.lease_id)
                await fail(DialFailed(connection_id=dial.connection_id, detail=detail))
                return
            _tune(door, tunnel)
            try:
                await first_to_end(_outward(door, tunnel), _inward(door, tunnel))
            except asyncio.CancelledError:
                tunnel.transport.abort()
                raise
            except (OSError, ConnectionClosed):
                # One side hung up: an end like any other.
                pass
            await tunnel.close()


async def _outward(door: socket.socket, tunnel: ClientConnection) -> None:
    """From the sandbox to Monarch, until the sandbox has sent all: sshd never closes one way only, so that is the end."""
    loop = asyncio.get_running_loop()
    while chunk := await loop.sock_recv(door, MAX_DIAL_FRAME_BYTES):
        await tunnel.send(chunk)
    await tunnel.send(b"")


async def _inward(door: socket.socket, tunnel: ClientConnection) -> None:
    """From Monarch to the sandbox, until Monarch closes; ends by ConnectionClosed alone."""
    loop = asyncio.get_running_loop()
    while True:
        chunk = await tunnel.recv()
        if isinstance(chunk, str):
            await tunnel.close(CLOSE_TEXT, "bytes go in binary frames")
            continue
        try:
            if chunk:
                await loop.sock_sendall(door, chunk)
            else:
                door.shutdown(socket.SHUT_WR)
        except OSError:
            # sshd hung up; its last words are still on their way out, and decide when this ends.
            continue


def _tune(door: socket.socket, tunnel: ClientConnection) -> None:
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        door.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
    outside = tunnel.transport.get_extra_info("socket")
    outside.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        outside.setsockopt(socket.IPPROTO_TCP, option, value)
