"""Waking the readers of a topic that live in the writer's process, at once and from any thread.

Readers in other processes look for themselves. A bell knows how far the topic is durable, nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Bell:
    """One topic's bell: rung by its writer from the thread that made records durable, heard on any event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_seq = 0
        self._writers = 0
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    @property
    def attended(self) -> bool:
        """Whether a writer in this process rings it; else `wait` returns at once, and one has to look."""
        return self._writers > 0

    def attend(self, last_seq: int) -> None:
        """A writer has opened the topic, which is durable up to `last_seq`."""
        with self._lock:
            self._writers += 1
        self.ring(last_seq)

    def leave(self) -> None:
        """A writer has closed the topic; who waits has to look elsewhere from here on."""
        with self._lock:
            self._writers -= 1
        self.ring(0)

    def ring(self, last_seq: int) -> None:
        """Wake all who wait: the topic is durable up to `last_seq`."""
        with self._lock:
            self._last_seq = max(self._last_seq, last_seq)
            waiting, self._waiting = self._waiting, {}
        for future, loop in waiting.items():
            # A loop that was closed while its task waited has nobody left to wake.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_wake, future)

    async def wait(self, after_seq: int) -> None:
        """Return when a record after `after_seq` is durable, when a writer leaves, or at once when none is there."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._last_seq > after_seq or not self._writers:
                return
            self._waiting[future] = loop
        try:
            await future
        finally:
            with self._lock:
                self._waiting.pop(future, None)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
