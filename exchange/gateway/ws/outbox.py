"""One connection's outgoing messages: in order, bounded, sent by one task.

What to do when a reader is slow is its owner's choice: `lagging` says that it is, `overflowed` that it is beyond what is
kept. It knows texts and sizes, never what they say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

MAX_MESSAGES: Final = 4_096
MAX_BYTES: Final = 16 << 20
"""Kept for a reader at most; one more and it has overflowed."""
LAG_MESSAGES: Final = 128
LAG_BYTES: Final = 1 << 20
"""From here on a reader is lagging."""


class Outbox:
    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self.overflowed = False

    @property
    def lagging(self) -> bool:
        return len(self._waiting) >= LAG_MESSAGES or self._bytes >= LAG_BYTES

    def put(self, message: bytes) -> bool:
        """Keep a message for sending; False, and nothing more is ever kept, when that is one too many."""
        if self.overflowed or len(self._waiting) >= MAX_MESSAGES or self._bytes + len(message) > MAX_BYTES:
            self.overflowed = True
            return False
        self._waiting.append(message)
        self._bytes += len(message)
        self._filled.set()
        return True

    async def run(self, send: Callable[[str], Awaitable[None]], drained: Callable[[], None]) -> None:
        """Send without end; `drained` is called each time that nothing is waiting any more, and may put more."""
        while True:
            if not self._waiting:
                drained()
            if not self._waiting:
                self._filled.clear()
                await self._filled.wait()
                continue
            message = self._waiting.popleft()
            self._bytes -= len(message)
            await send(message.decode())
