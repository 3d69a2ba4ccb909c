"""One renter's TCP connection spliced to one WebSocket of the agent: raw bytes both ways, until both have ended.

Flow control is the sockets' own: a chunk is read only when the one before it was taken, so a slow side holds the other
and nothing piles up. A WebSocket has no half-close: an empty binary frame says that no more bytes come that way. What
the bytes are is end to end between the renter's ssh and the sandbox's sshd; nothing here looks at them.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from provisioner.crowd import Flow
from provisioner.settings import Timings
from provisioner.wire import MAX_DIAL_FRAME_BYTES

CLOSE_TOO_BIG: Final = 1009
CLOSE_TEXT: Final = 1003


class _Broken(Exception):
    """The peer sent what doesn't belong in a dial-back: the WebSocket is closed with `code`."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(what)
        self.code = code


async def splice(client: socket.socket, tunnel: Connection, head: bytes, flow: Flow, timings: Timings) -> None:
    """Carry bytes until either side is done; both are left for the caller to close. Cancel it to cut the connection.

    `head` was read from the client before, and goes first; `flow` counts what goes.
    Returns when the tunnel has closed, both directions have ended, or one has and the other was quiet for `half_closed_s`;
    and when either side broke, which is an end like any other.
    """
    outward = asyncio.create_task(_to_tunnel(client, tunnel, head, flow))
    inward = asyncio.create_task(_to_client(client, tunnel, flow))
    tasks = {outward, inward}
    try:
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # A closed tunnel may be met by the sender first, while the agent's last frames still wait to be handed on.
        if pending == {inward} and isinstance(outward.exception(), ConnectionClosed | None):
            await _outlast(inward, flow, timings.half_closed_s)
        elif pending == {outward} and inward.exception() is None:
            await _outlast(outward, flow, timings.half_closed_s)
        if inward.done() and isinstance(inward.exception(), ConnectionClosed):
            await _finish(client, outward, timings.linger_s)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, _Broken):
            await tunnel.close(end.code, str(end))
        elif isinstance(end, BaseException) and not isinstance(
            end, OSError | ConnectionClosed | asyncio.CancelledError
        ):
            raise end


async def _to_tunnel(client: socket.socket, tunnel: Connection, head: bytes, flow: Flow) -> None:
    """Until the client has sent all it will."""
    loop = asyncio.get_running_loop()
    chunk = head or await loop.sock_recv(client, MAX_DIAL_FRAME_BYTES)
    while chunk:
        await tunnel.send(chunk)
        flow.outward()
        chunk = await loop.sock_recv(client, MAX_DIAL_FRAME_BYTES)
    await tunnel.send(b"")


async def _to_client(client: socket.socket, tunnel: Connection, flow: Flow) -> None:
    """Until the sandbox has sent all it will; ConnectionClosed when the agent closed the tunnel."""
    loop = asyncio.get_running_loop()
    while chunk := await tunnel.recv():
        if isinstance(chunk, str):
            raise _Broken(CLOSE_TEXT, "bytes go in binary frames")
        if len(chunk) > MAX_DIAL_FRAME_BYTES:
            raise _Broken(CLOSE_TOO_BIG, f"a frame holds at most {MAX_DIAL_FRAME_BYTES} bytes")
        await loop.sock_sendall(client, chunk)
        flow.inward()
    client.shutdown(socket.SHUT_WR)


async def _outlast(task: asyncio.Task[None], flow: Flow, quiet_s: float) -> None:
    """Wait for the direction that is still open, as long as bytes move in it."""
    while True:
        chunks = flow.chunks
        done, _ = await asyncio.wait({task}, timeout=quiet_s)
        if done or flow.chunks == chunks:
            return


async def _finish(client: socket.socket, outward: asyncio.Task[None], linger_s: float) -> None:
    """Let the client read to the end: closing a socket with unread bytes in it would reset what it hasn't read yet."""
    outward.cancel()
    await asyncio.wait({outward})
    loop = asyncio.get_running_loop()
    try:
        client.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(linger_s):
            while await loop.sock_recv(client, MAX_DIAL_FRAME_BYTES):
                continue
    except (OSError, TimeoutError):
        return  # it is gone, or had its time
