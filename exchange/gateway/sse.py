"""`GET /v1/leases/{id}/events`: a lease's state now, and each change until it has ended, as server-sent events.

The state comes from the feed's memory and the changes from the feed itself, on one event loop, so nothing falls between
them. A lease that is wiped has left memory; its last state comes from the read models, and is the only event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.reasons import Reason
from exchange.gateway.errors import RETRY_AFTER_MS, Problem
from exchange.gateway.views import leases
from exchange.market_data.feed import Feed
from exchange.market_data.live import Update
from exchange.read.interface import InstrumentRow, LeaseRow, ReadSide
from exchange.read.projection import is_open
from exchange.registry.rows import Principal

KEEP_ALIVE_S: Final = 15.0
READ_WAIT_S: Final = 5.0
MAX_STREAMS: Final = 4_096
MAX_WAITING: Final = 64
"""Changes that are kept for a reader; one more ends the stream, and reading anew begins with the state then."""

_KEEP_ALIVE: Final = b": keep-alive\n\n"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class LeaseStreams:
    """Called by the gateway for each request; `stop` ends every stream, so that the server can stop."""

    def __init__(self, feed: Feed, read: ReadSide, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._feed = feed
        self._read = read
        self._keep_alive_s = keep_alive_s
        self._streams: dict[int, dict[_Stream, None]] = {}
        self._count = 0
        self._stopping = False
        feed.listen(self._on_update)

    async def __call__(self, _request: Request, principal: Principal, lease_id: int) -> Response:
        """The stream; Problem unknown_lease when the principal neither rents nor delivers the lease."""
        if self._stopping or not self._feed.ready:
            raise Problem("not_ready", "The exchange is starting or stopping", retry_after_ms=RETRY_AFTER_MS)
        if self._count >= MAX_STREAMS:
            raise Problem("overloaded", "There are as many streams as there may be", retry_after_ms=RETRY_AFTER_MS)
        row = await self._now(lease_id)
        if row is None or principal.account not in (row.renter, row.provider):
            raise Problem(Reason.UNKNOWN_LEASE, "No lease of yours has that id")
        events = self._events(lease_id, row, principal.account)
        return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)

    def stop(self) -> None:
        """End every stream, and refuse new ones."""
        self._stopping = True
        for streams in self._streams.values():
            for stream in streams:
                stream.end()

    async def _events(self, lease_id: int, row: LeaseRow, account: int) -> AsyncIterator[bytes]:
        stream = _Stream()
        self._streams.setdefault(lease_id, {})[stream] = None
        self._count += 1
        instrument = self._feed.live.instrument(row.instrument)
        try:
            # Time may have passed since the request was checked; from here on every change comes through the stream.
            current = self._feed.live.lease(lease_id) or await self._final(row)
            yield _event(current, instrument, account)
            while is_open(current) and not self._stopping:
                change = await stream.next(self._keep_alive_s)
                if change is not None:
                    current = change
                    yield _event(current, instrument, account)
                elif stream.ended:
                    return
                else:
                    yield _KEEP_ALIVE
        finally:
            self._count -= 1
            del self._streams[lease_id][stream]
            if not self._streams[lease_id]:
                del self._streams[lease_id]

    async def _now(self, lease_id: int) -> LeaseRow | None:
        live = self._feed.live.lease(lease_id)
        if live is not None:
            return live
        if not await self._read.reached(self._feed.live.seq, READ_WAIT_S):
            raise Problem("read_side_behind", "The read models are behind", retry_after_ms=RETRY_AFTER_MS)
        return await self._read.lease(lease_id)

    async def _final(self, row: LeaseRow) -> LeaseRow:
        """The last state of a lease that has left memory; `row` when the read models can't tell in time."""
        if is_open(row) and await self._read.reached(self._feed.live.seq, READ_WAIT_S):
            return await self._read.lease(row.lease_id) or row
        return row

    def _on_update(self, update: Update) -> None:
        for change in update.changes.leases:
            for stream in self._streams.get(change.row.lease_id, ()):
                stream.put(change.row)


class _Stream:
    """One reader's changes, in order, bounded."""

    def __init__(self) -> None:
        self._waiting: deque[LeaseRow] = deque()
        self._filled = asyncio.Event()
        self.ended = False

    def put(self, row: LeaseRow) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.end()
        if not self.ended:
            self._waiting.append(row)
            self._filled.set()

    def end(self) -> None:
        self.ended = True
        self._filled.set()

    async def next(self, timeout_s: float) -> LeaseRow | None:
        """The next change; None after `timeout_s` without one, or at the end."""
        if not self._waiting and not self.ended:
            self._filled.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._filled.wait()
            except TimeoutError:
                return None
        return self._waiting.popleft() if self._waiting else None


def _event(row: LeaseRow, instrument: InstrumentRow, account: int) -> bytes:
    data = msgspec.json.encode(leases.lease(row, instrument, account))
    return b"event: lease\nid: %d\ndata: %b\n\n" % (row.seq, data)
