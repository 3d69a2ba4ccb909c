"""The read side over a real event log: it follows, it wakes those who wait, it starts where it stood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from engine.codec import encode_events
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import LogError, LogWriter, Record
from exchange.market_data.feed import Feed
from exchange.read.interface import OrderRow
from exchange.read.side import SqlReadSide
from tests.exchange.market_data.chance import run
from tests.exchange.market_data.commands import Exchange, bid, opened
from tests.waiting import TIMEOUT_S


@pytest.fixture
async def events(tmp_path: Path) -> AsyncIterator[LogWriter]:
    writer = await EmbeddedLog(tmp_path / "log").open_writer(0, "events")
    yield writer
    await writer.close()


def records(exchange: Exchange, first: int = 0) -> list[Record]:
    return [Record(reply.seq, encode_events(reply.ts_ns, reply.events)) for reply in exchange.replies[first:]]


async def orders_at(path: Path, events: LogWriter, seq: int) -> list[OrderRow]:
    """Open a read side, let it come to `seq`, close it."""
    side = SqlReadSide.open(path, Feed())
    running = asyncio.create_task(side.run(events))
    assert await side.reached(seq, TIMEOUT_S)
    orders = await side.orders(21, False, 0, 200)
    await stop(side, running)
    return orders


async def stop(side: SqlReadSide, running: asyncio.Task[None]) -> None:
    running.cancel()
    await asyncio.wait([running])
    await side.close()


async def test_it_follows_the_log_and_wakes_who_waits(events: LogWriter, tmp_path: Path) -> None:
    side = SqlReadSide.open(tmp_path / "read.db", Feed())
    running = asyncio.create_task(side.run(events))
    exchange = opened()
    waiting = asyncio.create_task(side.reached(exchange.seq, TIMEOUT_S))
    await events.append(records(exchange))
    assert await waiting
    assert side.position() == exchange.seq
    assert await side.reached(exchange.seq, 0)
    assert [row.baron for row in await side.barons(11, 0, 10)] == [1]

    known = len(exchange.replies)
    exchange.apply(bid(21, 1, 100, 3, client_order_id="mine"))
    await events.append(records(exchange, known))
    assert await side.reached(exchange.seq, TIMEOUT_S)
    row = await side.order_by_client_id(21, "mine")
    assert row is not None
    assert row == await side.order(row.order_id)
    assert [row] == await side.orders(21, True, 0, 10)
    assert (await side.snapshot()).orders == [row]
    await stop(side, running)


async def test_who_waits_for_what_never_comes_is_told_so(events: LogWriter, tmp_path: Path) -> None:
    side = SqlReadSide.open(tmp_path / "read.db", Feed())
    running = asyncio.create_task(side.run(events))
    assert not await side.reached(1, 0.01)
    waiting = [asyncio.create_task(side.reached(seq, TIMEOUT_S)) for seq in (3, 1, 2)]
    exchange = opened()
    await events.append(records(exchange))
    assert await asyncio.gather(*waiting) == [True, True, True]
    await stop(side, running)


async def test_it_reads_on_from_where_it_stood(events: LogWriter, tmp_path: Path) -> None:
    exchange = opened()
    for _ in run(exchange, Random(5), 200):
        pass
    half = exchange.replies[len(exchange.replies) // 2].seq
    await events.append([record for record in records(exchange) if record.seq <= half])
    await orders_at(tmp_path / "read.db", events, half)
    await events.append([record for record in records(exchange) if record.seq > half])
    last = await events.last_seq()
    resumed = await orders_at(tmp_path / "read.db", events, last)
    assert resumed
    assert resumed == await orders_at(tmp_path / "straight.db", events, last)


async def test_a_log_that_ends_before_the_rows_halts(events: LogWriter, tmp_path: Path) -> None:
    exchange = opened()
    await events.append(records(exchange))
    side = SqlReadSide.open(tmp_path / "read.db", Feed())
    running = asyncio.create_task(side.run(events))
    assert await side.reached(exchange.seq, TIMEOUT_S)
    await stop(side, running)

    other = await EmbeddedLog(tmp_path / "other").open_writer(0, "events")
    again = SqlReadSide.open(tmp_path / "read.db", Feed())
    with pytest.raises(LogError, match="rebuild"):
        await again.run(other)
    await again.close()
    await other.close()
