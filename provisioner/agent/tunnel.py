"""How the agent connects to Monarch: WebSockets, outward only, bounded, and never led elsewhere with a credential."""

from __future__ import annotations

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from provisioner.agent.home import is_loopback
from provisioner.wire import MAX_DIAL_FRAME_BYTES, MAX_MESSAGE_BYTES, MonarchMessage, decode_monarch

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
PING_S = 5.0
PONG_TIMEOUT_S = 15.0
QUEUED_FRAMES_MAX = 16
WRITE_LIMIT_BYTES = 1 << 18
CLOSE_INVALID = 1008


class Nonsense(Exception):
    """Monarch sent what the protocol doesn't have, or at the wrong time; the text says what."""


class _Straight(connect):
    """Follows no redirect: a credential goes where the operator said, and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def for_messages(monarch: str, path: str, credential: str = "") -> connect:
    """A connection for the protocol's messages, watched by pings."""
    return _Straight(
        monarch + path,
        additional_headers=_bearer(credential) if credential else None,
        proxy=None if is_loopback(monarch) else True,
        compression=None,
        open_timeout=OPEN_TIMEOUT_S,
        close_timeout=CLOSE_TIMEOUT_S,
        ping_interval=PING_S,
        ping_timeout=PONG_TIMEOUT_S,
        max_size=MAX_MESSAGE_BYTES,
        max_queue=QUEUED_FRAMES_MAX,
    )


def for_bytes(monarch: str, path: str, token: str) -> connect:
    """A connection for the bytes of one SSH connection.

    No pings: a renter who reads nothing for a while stops the frames, and the answers behind them.
    """
    return _Straight(
        monarch + path,
        additional_headers=_bearer(token),
        proxy=None if is_loopback(monarch) else True,
        compression=None,
        open_timeout=OPEN_TIMEOUT_S,
        close_timeout=CLOSE_TIMEOUT_S,
        ping_interval=None,
        max_size=MAX_DIAL_FRAME_BYTES,
        max_queue=QUEUED_FRAMES_MAX,
        write_limit=WRITE_LIMIT_BYTES,
    )


async def receive(tunnel: ClientConnection) -> MonarchMessage:
    """The next message. Raises Nonsense, ConnectionClosed."""
    frame = await tunnel.recv()
    if not isinstance(frame, str):
        raise Nonsense("a binary frame: messages are JSON in text frames")
    try:
        message: MonarchMessage = decode_monarch(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Nonsense(str(error)) from error
    return message


def why(error: Exception) -> str:
    """What went wrong with a connection, in words for the log; never what was sent."""
    if isinstance(error, InvalidStatus):
        return f"Monarch's door answers with HTTP {error.response.status_code}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


def _bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}
