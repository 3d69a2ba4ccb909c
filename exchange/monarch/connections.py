"""How many connections the API holds, and how long one may take to say what it wants.

Nobody needs a key to open a socket, so sockets are bounded before anything is read: beyond the bound a new one is dropped
at once, and one that doesn't finish a request's head in time is closed. The files that the log and the ledger need are
never among those that callers can use up.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any, Final

from exchange.gateway.http_protocol import HttpProtocol

MAX_CONNECTIONS: Final = 8_192
FILES_RESERVED: Final = 256
"""Open files kept for logs, databases and the gate when the process may not have many."""
HEAD_S: Final = 10.0
"""From a connection's first moment, and from each request's first byte, to the end of that request's head."""


def raise_file_limit() -> int:
    """Let the process open as many files as the system allows it; how many connections that leaves to callers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(16, min(MAX_CONNECTIONS, (soft - FILES_RESERVED) // 2))


class BoundedHttp(HttpProtocol):
    """The gateway's HTTP with the bounds above; `max_connections` is set by `bounded`."""

    max_connections: int = MAX_CONNECTIONS
    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        crowded = len(self.connections) >= self.max_connections
        super().connection_made(transport)
        if crowded:
            transport.abort()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        if self._head is None:
            self._head = self.loop.call_later(HEAD_S, self._too_slow)

    def _head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _too_slow(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            self.transport.close()


def bounded(max_connections: int) -> type[Any]:
    """The protocol class with this bound, for uvicorn's configuration."""
    return type("BoundedHttp", (BoundedHttp,), {"max_connections": max_connections})
