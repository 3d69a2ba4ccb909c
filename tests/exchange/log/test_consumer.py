"""The loop that consumers share, on a real log."""

from __future__ import annotations

import asyncio

import pytest

from exchange.log.consumer import follow
from exchange.log.interface import LogError, Record
from tests.exchange.log.conftest import OpenLog
from tests.waiting import TIMEOUT_S


def record(seq: int) -> Record:
    return Record(seq, b"%d" % seq)


class Kept:
    """A consumer that keeps what it is given, and says when it has as much as is waited for."""

    def __init__(self, enough: int) -> None:
        self.batches: list[list[Record]] = []
        self._enough = enough
        self.full = asyncio.Event()

    async def apply(self, batch: list[Record]) -> None:
        self.batches.append(batch)
        if len(self.records) >= self._enough:
            self.full.set()

    @property
    def records(self) -> list[Record]:
        return [one for batch in self.batches for one in batch]


async def test_every_record_after_the_position_comes_once_in_order(log: OpenLog) -> None:
    writer, reader = await log.writer("events"), await log.reader("events")
    await writer.append([record(seq) for seq in (1, 2, 5, 6)])
    kept = Kept(enough=5)
    following = asyncio.create_task(follow(reader, 2, kept.apply, max_records=2))
    await writer.append([record(8)])
    await writer.append([record(9), record(10)])
    await asyncio.wait_for(kept.full.wait(), TIMEOUT_S)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert kept.records == [record(seq) for seq in (5, 6, 8, 9, 10)]
    assert all(1 <= len(batch) <= 2 for batch in kept.batches)


async def test_what_the_consumer_raises_ends_the_loop(log: OpenLog) -> None:
    writer = await log.writer("events")
    await writer.append([record(1)])

    async def broken(batch: list[Record]) -> None:
        raise RuntimeError(f"can't take {len(batch)}")

    with pytest.raises(RuntimeError, match="can't take 1"):
        await asyncio.wait_for(follow(writer, 0, broken), TIMEOUT_S)


async def test_a_position_beyond_the_log_is_refused(log: OpenLog) -> None:
    writer = await log.writer("events")
    await writer.append([record(1)])
    with pytest.raises(LogError, match="has taken in 2, and the log ends at 1"):
        await asyncio.wait_for(follow(writer, 2, Kept(1).apply), TIMEOUT_S)


class Shuffled:
    """A reader that breaks the contract: numbers that don't rise."""

    def __init__(self, *batches: list[Record]) -> None:
        self._batches = list(batches)

    async def read(self, after_seq: int, max_records: int) -> list[Record]:
        return self._batches.pop(0)

    async def wait(self, after_seq: int) -> None:
        raise AssertionError("there was something to read")

    async def last_seq(self) -> int:
        return 10

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(
    "batches", [([record(2), record(2)],), ([record(3), record(2)],), ([record(2)], [record(2)]), ([record(1)],)]
)
async def test_numbers_that_do_not_rise_end_the_loop_before_they_are_applied(batches: tuple[list[Record], ...]) -> None:
    kept = Kept(99)
    with pytest.raises(LogError, match="out of order"):
        await asyncio.wait_for(follow(Shuffled(*batches), 1, kept.apply), TIMEOUT_S)
    assert len(kept.batches) == len(batches) - 1
