"""`GET /v1/leases/{id}/events`: a lease's state now, and each change until it has ended, as server-sent events.

The state comes from the feed's memory and the changes from the feed itself, on one event loop, so nothing falls between
them. A lease that is wiped has left memory; its last state comes from the read models, and is the only event. A stream
lives no longer than the key it was opened with.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import msgspec
from starlette.responses import Response, StreamingResponse

from engine.reasons import Reason
from engine.units import NS_PER_S
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
MAX_STREAMS_PER_ACCOUNT: Final = 64
MAX_WAITING: Final = 64
"""Changes that are kept for a reader; one more ends the stream, and reading anew begins with the state then."""

_LOG: Final = logging.getLogger(__name__)
_KEEP_ALIVE: Final = b": keep-alive\n\n"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class LeaseStreams:
    """Called by the gateway for each request.

    The composition root calls `close_key` when a key is revoked, and `stop` so that the server can stop.
    """

    def __init__(
        self,
        feed: Feed,
        read: ReadSide,
        keep_alive_s: float = KEEP_ALIVE_S,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._feed = feed
        self._read = read
        self._keep_alive_s = keep_alive_s
        self._clock_ns = clock_ns
        self._streams: dict[int, dict[_Stream, None]] = {}
        self._of_account: Counter[int] = Counter()
        self._stopping = False
        feed.listen(self._on_update)

    @property
    def open(self) -> int:
        """How many streams there are."""
        return self._of_account.total()

    async def __call__(self, principal: Principal, lease_id: int, recheck: Callable[[], Awaitable[None]]) -> Response:
        """The stream; Problem unknown_lease when the principal neither rents nor delivers the lease.

        `recheck` raises Problem when the key isn't valid any more.
        """
        self._check_room(principal.account)
        row = await self._now(lease_id)
        if row is None or principal.account not in (row.renter, row.provider):
            raise Problem(Reason.UNKNOWN_LEASE, "No lease of yours has that id")
        # Others may have come meanwhile.
        self._check_room(principal.account)
        events = self._events(row, principal, recheck)
        return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)

    def close_key(self, key_id: int) -> None:
        """End every stream of a key that was revoked."""
        self._end(lambda stream: stream.principal.key_id == key_id)

    def stop(self) -> None:
        """End every stream, and refuse new ones."""
        self._stopping = True
        self._end(lambda _: True)

    def _end(self, wanted: Callable[[_Stream], bool]) -> None:
        for streams in self._streams.values():
            for stream in streams:
                if wanted(stream):
                    stream.end()

    def _check_room(self, account: int) -> None:
        if self._stopping or not self._feed.ready:
            raise Problem("not_ready", "The exchange is starting or stopping", retry_after_ms=RETRY_AFTER_MS)
        if self.open >= MAX_STREAMS:
            raise Problem("overloaded", "There are as many streams as there may be", retry_after_ms=RETRY_AFTER_MS)
        if self._of_account[account] >= MAX_STREAMS_PER_ACCOUNT:
            wrong = f"The account has {MAX_STREAMS_PER_ACCOUNT} streams"
            raise Problem("overloaded", wrong, retry_after_ms=RETRY_AFTER_MS)

    async def _events(
        self, row: LeaseRow, principal: Principal, recheck: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[bytes, None]:
        stream = _Stream(principal)
        self._streams.setdefault(row.lease_id, {})[stream] = None
        self._of_account[principal.account] += 1
        try:
            # A key that was revoked while the request was checked is found here, one that is later by `close_key`.
            await recheck()
            async with aclosing(self._changes(stream, row)) as changes:
                async for change in changes:
                    yield change
        except Problem as problem:
            _LOG.info("a lease's stream ended before it began: %s", problem)
        finally:
            self._forget(row.lease_id, stream)

    async def _changes(self, stream: _Stream, row: LeaseRow) -> AsyncGenerator[bytes, None]:
        """The state now, and each change while the stream's key lives."""
        instrument = self._feed.live.instrument(row.instrument)
        account = stream.principal.account
        # Time may have passed since the request was checked; from here on every change comes through the stream.
        current = self._feed.live.lease(row.lease_id) or await self._final(row)
        if self._is_over(stream):
            return
        yield _event(current, instrument, account, self._clock_ns())
        while is_open(current):
            change = await stream.next(min(self._keep_alive_s, self._seconds_left(stream.principal)))
            if self._is_over(stream):
                return
            if change is not None:
                current = change
                yield _event(current, instrument, account, self._clock_ns())
            else:
                yield _KEEP_ALIVE

    def _is_over(self, stream: _Stream) -> bool:
        return self._stopping or stream.ended or not self._seconds_left(stream.principal)

    def _seconds_left(self, principal: Principal) -> float:
        """Until the key expires; 0 when it has."""
        if not principal.expires_ns:
            return math.inf
        return max(0, principal.expires_ns - self._clock_ns()) / NS_PER_S

    def _forget(self, lease_id: int, stream: _Stream) -> None:
        account = stream.principal.account
        self._of_account[account] -= 1
        if not self._of_account[account]:
            del self._of_account[account]
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

    def __init__(self, principal: Principal) -> None:
        self.principal = principal
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


def _event(row: LeaseRow, instrument: InstrumentRow, account: int, now_ns: int) -> bytes:
    data = msgspec.json.encode(leases.lease(row, instrument, account, now_ns))
    return b"event: lease\nid: %d\ndata: %b\n\n" % (row.seq, data)
