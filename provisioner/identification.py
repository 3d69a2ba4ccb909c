"""What a client of a lease's port says first: an SSH identification (RFC 4253 §4.2), waited for before anyone is bothered.

Both sides of SSH send theirs at once, and OpenSSH, PuTTY, libssh2, paramiko, asyncssh, JSch and Go's ssh do. The few that
wait for the server's (ssh-keyscan, SSH.NET before 2020) are silent, and the gate decides what silence is worth. Whoever
says something else is told apart here, from its first byte; what follows the identification is never looked at.
"""

from __future__ import annotations

import asyncio
import enum
import socket
from typing import Final

PREFIXES: Final = (b"SSH-2.0-", b"SSH-1.99-")
LINE_BYTES: Final = 255
"""The longest identification, its line feed included (RFC 4253 §4.2)."""
HEAD_BYTES: Final = 4_096
"""Read at once: the identification, and the first packet that most clients send right behind it."""


class Heard(enum.Enum):
    SSH = "an SSH identification"
    PART = "what may become one"
    OTHER = "something else"


def heard(head: bytes) -> Heard:
    """What a connection's first bytes are."""
    line, feed, _ = head.partition(b"\n")
    if not any(line.startswith(prefix[: len(line)]) for prefix in PREFIXES):
        return Heard.OTHER
    if not feed:
        return Heard.PART if len(line) < LINE_BYTES else Heard.OTHER
    said = line.removesuffix(b"\r")
    named = any(said.startswith(prefix) and said != prefix for prefix in PREFIXES)
    return Heard.SSH if named and len(line) < LINE_BYTES and b"\0" not in said else Heard.OTHER


class Silent(Exception):
    """Nothing at all was said in time."""


class NotSsh(Exception):
    """Something else was said, or an identification wasn't finished in time, or the client hung up."""


async def identification(client: socket.socket, deadline_s: float) -> bytes:
    """What the client says first: an identification, and maybe more. Raises Silent, NotSsh, OSError.

    The deadline is the loop's time.
    """
    head = b""
    while (found := heard(head)) is Heard.PART:
        if not await readable(client, deadline_s):
            raise NotSsh("unfinished") if head else Silent
        try:
            chunk = client.recv(HEAD_BYTES)
        except BlockingIOError:
            continue
        if not chunk:
            raise NotSsh("hung up")
        head += chunk
    if found is Heard.OTHER:
        raise NotSsh("something else")
    return head


async def readable(client: socket.socket, deadline_s: float) -> bool:
    """Whether there is something to read before the loop's time is `deadline_s`; reads nothing, so nothing can get lost."""
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_reader(client, came.set)
    try:
        async with asyncio.timeout_at(deadline_s):
            await came.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(client)
    return True


def hung_up(client: socket.socket) -> bool:
    """Whether the client is known to be gone, as far as its socket tells without reading."""
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
