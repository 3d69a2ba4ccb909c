"""The contract of exchange.log.interface, which every implementation keeps."""

from __future__ import annotations

import asyncio

import pytest

from exchange.log.interface import Fenced, LogError, LogWriter, Record
from tests.exchange.log.conftest import OpenLog
from tests.waiting import TIMEOUT_S


def records(*seqs: int) -> list[Record]:
    return [Record(seq, f"record {seq}".encode()) for seq in seqs]


async def test_an_empty_log_has_nothing_and_ends_at_zero(log: OpenLog) -> None:
    writer = await log.writer()
    assert await writer.read(0, 10) == []
    assert await writer.last_seq() == 0


async def test_a_reader_of_a_topic_that_nobody_wrote_finds_nothing(log: OpenLog) -> None:
    reader = await log.reader()
    assert await reader.read(0, 10) == []
    assert await reader.last_seq() == 0


async def test_what_was_appended_is_read_in_order_after_any_position(log: OpenLog) -> None:
    writer, reader = await log.writer(), await log.reader()
    await writer.append(records(1, 2, 3))
    await writer.append(records(4, 5))
    for view in (writer, reader):
        assert await view.read(0, 10) == records(1, 2, 3, 4, 5)
        assert await view.read(2, 2) == records(3, 4)
        assert await view.read(5, 10) == []
        assert await view.last_seq() == 5


async def test_sequence_numbers_may_have_gaps(log: OpenLog) -> None:
    writer = await log.writer()
    await writer.append(records(3, 7))
    await writer.append(records(20))
    assert await writer.read(0, 10) == records(3, 7, 20)
    assert await writer.read(4, 10) == records(7, 20)
    assert await writer.read(7, 10) == records(20)


@pytest.mark.parametrize("batch", [(5, 6), (4, 6), (6, 6), (7, 6), (0,), (-1,)])
async def test_a_batch_out_of_order_changes_nothing_and_harms_nothing(log: OpenLog, batch: tuple[int, ...]) -> None:
    writer = await log.writer()
    await writer.append(records(5))
    with pytest.raises(ValueError, match="can't follow"):
        await writer.append(records(*batch))
    await writer.append(records(6))
    assert await writer.read(0, 10) == records(5, 6)


async def test_an_empty_batch_is_nothing(log: OpenLog) -> None:
    writer = await log.writer()
    await writer.append([])
    assert await writer.last_seq() == 0


async def test_bytes_come_back_as_they_were(log: OpenLog) -> None:
    writer = await log.writer()
    odd = [Record(1, b""), Record(2, bytes(range(256))), Record(3, b"\0" * 300_000)]
    await writer.append(odd)
    assert await writer.read(0, 10) == odd


async def test_appends_that_overlap_stand_in_the_order_of_their_calls(log: OpenLog) -> None:
    writer = await log.writer()
    await asyncio.gather(*(writer.append(records(seq)) for seq in range(1, 101)))
    assert await writer.read(0, 1_000) == records(*range(1, 101))


async def test_topics_and_shards_are_apart(log: OpenLog) -> None:
    first, second, third = (
        await log.writer("commands"),
        await log.writer("events"),
        await log.writer("commands", shard=1),
    )
    await first.append(records(1))
    await second.append(records(2))
    assert await first.read(0, 10) == records(1)
    assert await second.read(0, 10) == records(2)
    assert await third.read(0, 10) == []


async def test_a_log_goes_on_where_it_ended_in_a_higher_epoch(log: OpenLog) -> None:
    writer = await log.writer()
    before = writer.epoch
    await writer.append(records(1, 2))
    await log.close()
    writer = await log.writer()
    assert writer.epoch > before
    assert await writer.last_seq() == 2
    await writer.append(records(3))
    assert await writer.read(0, 10) == records(1, 2, 3)


async def test_the_newer_writer_fences_the_older_for_good(log: OpenLog) -> None:
    older = await log.writer()
    await older.append(records(1))
    newer = await log.writer()
    assert newer.epoch > older.epoch
    for _ in range(2):
        with pytest.raises(LogError):
            await older.append(records(2))
    await newer.append([Record(2, b"the newer one's")])
    assert await newer.read(0, 10) == [*records(1), Record(2, b"the newer one's")]


async def test_the_first_append_of_a_fenced_writer_says_so(log: OpenLog) -> None:
    older = await log.writer()
    await log.writer()
    with pytest.raises(Fenced, match="epoch"):
        await older.append(records(1))


async def test_wait_returns_at_once_when_something_is_there(log: OpenLog) -> None:
    writer, reader = await log.writer(), await log.reader()
    await writer.append(records(1, 2))
    async with asyncio.timeout(TIMEOUT_S):
        await reader.wait(1)
        await writer.wait(0)


async def test_wait_wakes_every_reader_at_an_append_and_not_before(log: OpenLog) -> None:
    writer, reader, other = await log.writer(), await log.reader(), await log.reader()
    await writer.append(records(1))
    waiting = [asyncio.create_task(view.wait(1)) for view in (writer, reader, other)]
    await reader.last_seq()
    assert not any(task.done() for task in waiting)
    await writer.append(records(2))
    await asyncio.wait_for(asyncio.gather(*waiting), TIMEOUT_S)
    assert await reader.read(1, 10) == records(2)


async def test_a_cancelled_wait_leaves_the_reader_whole(log: OpenLog) -> None:
    writer, reader = await log.writer(), await log.reader()
    waiting = asyncio.create_task(reader.wait(0))
    await reader.last_seq()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await writer.append(records(1))
    await asyncio.wait_for(reader.wait(0), TIMEOUT_S)
    assert await reader.read(0, 10) == records(1)


async def test_a_reader_that_was_first_sees_the_writer_that_comes_later(log: OpenLog) -> None:
    reader = await log.reader()
    waiting = asyncio.create_task(reader.wait(0))
    writer: LogWriter = await log.writer()
    await writer.append(records(1))
    await asyncio.wait_for(waiting, TIMEOUT_S)
    assert await reader.read(0, 10) == records(1)


async def test_a_reader_in_wait_outlives_its_writer(log: OpenLog) -> None:
    first, reader = await log.writer(), await log.reader()
    waiting = asyncio.create_task(reader.wait(0))
    await reader.last_seq()
    await first.close()
    second = await log.writer()
    await second.append(records(1))
    await asyncio.wait_for(waiting, TIMEOUT_S)
