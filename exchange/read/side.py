"""The read side as the gateway asks it: the event log followed by one thread, queries answered by a few others.

`run` follows the log into the read model; queries go to read-only connections and never wait for the writer. Books
and curves come from memory (`exchange.market_data`), which the composition root hands over.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol, TypeVar

from engine.codec import decode_events
from engine.kinds import Kind
from engine.messages import Offer
from exchange.log.consumer import follow
from exchange.log.interface import LogReader, Record
from exchange.read.interface import (
    AccountLimitsRow,
    BaronRow,
    BookView,
    CurveView,
    InstrumentRow,
    LeaseRow,
    ObligationRow,
    OrderRow,
    TradeRow,
)
from exchange.read.model import ReadModel, connect
from exchange.read.queries import Queries, Snapshot

BATCH_MAX: Final = 2_000
"""Commands whose events make one transaction."""
READER_THREADS: Final = 2
WAITERS_MAX: Final = 10_000
"""Callers of `reached` at a time; one more is told that it isn't."""

T = TypeVar("T")


class Memory(Protocol):
    """What is told from memory: `exchange.market_data.feed.Feed`."""

    def book(self, instrument: int, max_levels: int) -> BookView: ...

    def curve(self, sku: str, region: str) -> CurveView: ...


class SqlReadSide:
    """Implements `exchange.read.interface.ReadSide`. Open it, let `run` follow the log, `close` it after `run` has ended."""

    def __init__(self, model: ReadModel, memory: Memory) -> None:
        self._model = model
        self._memory = memory
        self._progress = _Progress(model.position)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="read-writer")
        self._own = threading.local()
        self._connections: list[Queries] = []
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="read-query")

    @classmethod
    def open(cls, path: Path, memory: Memory) -> SqlReadSide:
        """Blocking. `memory` answers for books and curves; ReadError when the file is somebody else's."""
        return cls(ReadModel.open(path), memory)

    async def run(self, events: LogReader) -> None:
        """Follow the event log until cancelled; ReadError or LogError when that can't go on."""
        await follow(events, self.position(), self._apply, BATCH_MAX)

    async def close(self) -> None:
        """Wait for the transaction and the queries that are under way, and close the file."""
        await asyncio.to_thread(self._close)

    def position(self) -> int:
        return self._progress.seq

    async def reached(self, seq: int, timeout_s: float) -> bool:
        return await self._progress.reached(seq, timeout_s)

    async def snapshot(self) -> Snapshot:
        """What lives now, at one position; for `exchange.market_data`."""
        return await self._ask(lambda queries: queries.snapshot())

    async def instruments(self, sku: str = "", region: str = "", kind: Kind | None = None) -> list[InstrumentRow]:
        return await self._ask(lambda queries: queries.instruments(sku, region, kind))

    async def instrument(self, instrument: int) -> InstrumentRow | None:
        return await self._ask(lambda queries: queries.instrument(instrument))

    async def instrument_of(self, symbol: str) -> InstrumentRow | None:
        return await self._ask(lambda queries: queries.instrument_of(symbol))

    async def order(self, order_id: int) -> OrderRow | None:
        return await self._ask(lambda queries: queries.order(order_id))

    async def order_by_client_id(self, account: int, client_order_id: str) -> OrderRow | None:
        return await self._ask(lambda queries: queries.order_by_client_id(account, client_order_id))

    async def orders(self, account: int, open_only: bool, before_id: int, limit: int) -> list[OrderRow]:
        return await self._ask(lambda queries: queries.orders(account, open_only, before_id, limit))

    async def trades(self, instrument: int, before_id: int, limit: int) -> list[TradeRow]:
        return await self._ask(lambda queries: queries.trades(instrument, before_id, limit))

    async def lease(self, lease_id: int) -> LeaseRow | None:
        return await self._ask(lambda queries: queries.lease(lease_id))

    async def leases(
        self, account: int, as_provider: bool, open_only: bool, before_id: int, limit: int
    ) -> list[LeaseRow]:
        return await self._ask(lambda queries: queries.leases(account, as_provider, open_only, before_id, limit))

    async def leases_of_order(self, order_id: int) -> list[LeaseRow]:
        return await self._ask(lambda queries: queries.leases_of_order(order_id))

    async def obligation(self, obligation_id: int) -> ObligationRow | None:
        return await self._ask(lambda queries: queries.obligation(obligation_id))

    async def obligations(
        self, account: int, as_provider: bool, live_only: bool, before_id: int, limit: int
    ) -> list[ObligationRow]:
        return await self._ask(lambda queries: queries.obligations(account, as_provider, live_only, before_id, limit))

    async def owed(self, account: int) -> list[ObligationRow]:
        return await self._ask(lambda queries: queries.owed(account))

    async def offers(self, account: int) -> list[Offer]:
        return await self._ask(lambda queries: queries.offers(account))

    async def offer_asks(self, account: int) -> list[OrderRow]:
        return await self._ask(lambda queries: queries.offer_asks(account))

    async def account_limits(self, account: int) -> AccountLimitsRow | None:
        return await self._ask(lambda queries: queries.account_limits(account))

    async def baron(self, baron: int) -> BaronRow | None:
        return await self._ask(lambda queries: queries.baron(baron))

    async def barons(self, provider: int, before_id: int, limit: int) -> list[BaronRow]:
        return await self._ask(lambda queries: queries.barons(provider, before_id, limit))

    def book(self, instrument: int, max_levels: int) -> BookView:
        return self._memory.book(instrument, max_levels)

    def curve(self, sku: str, region: str) -> CurveView:
        return self._memory.curve(sku, region)

    async def _apply(self, records: list[Record]) -> None:
        loop = asyncio.get_running_loop()
        self._progress.advance(await loop.run_in_executor(self._writer, self._apply_blocking, records))

    def _apply_blocking(self, records: list[Record]) -> int:
        return self._model.apply([decode_events(record.seq, record.data) for record in records])

    async def _ask(self, question: Callable[[Queries], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, lambda: question(self._queries()))

    def _queries(self) -> Queries:
        mine: Queries | None = getattr(self._own, "queries", None)
        if mine is None:
            mine = self._own.queries = Queries(connect(self._model.path, read_only=True))
            self._connections.append(mine)
        return mine

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        for queries in self._connections:
            queries.close()
        self._model.close()


class _Progress:
    """The position, and who waits for which one. Lives on the event loop."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._entered = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def reached(self, seq: int, timeout_s: float) -> bool:
        if seq <= self.seq:
            return True
        if len(self._waiting) >= WAITERS_MAX:
            self._drop_gone()
            if len(self._waiting) >= WAITERS_MAX:
                return False
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entered += 1
        heapq.heappush(self._waiting, (seq, self._entered, arrival))
        try:
            await asyncio.wait_for(arrival, timeout_s)
        except TimeoutError:
            return False
        return True

    def advance(self, seq: int) -> None:
        self.seq = seq
        while self._waiting and self._waiting[0][0] <= seq:
            arrival = heapq.heappop(self._waiting)[2]
            if not arrival.done():
                arrival.set_result(None)

    def _drop_gone(self) -> None:
        self._waiting = [entry for entry in self._waiting if not entry[2].done()]
        heapq.heapify(self._waiting)
