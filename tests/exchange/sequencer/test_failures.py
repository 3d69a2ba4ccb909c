"""How the sequencer fails: logs that another has taken over, a machine with a bug, snapshots that can't be written."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from engine.book_plain import PlainBook
from engine.halves import PLAIN
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import Command, Deposit, Reply, Tick
from exchange.log.interface import Fenced, LogError
from exchange.log.topics import COMMANDS, EVENTS
from exchange.sequencer.errors import RecoveryError
from exchange.sequencer.interface import OutcomeUnknown, Overloaded
from tests.exchange.sequencer.conftest import SHARD, House
from tests.exchange.sequencer.traffic import Traffic, deposit, founding
from tests.waiting import TIMEOUT_S


async def test_a_failed_command_log_leaves_outcomes_unknown_and_stops_for_good(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    shard = house.shard()
    sequencer = await shard.start(max_batch=3)
    await shard.submit(founding())
    seen: list[Reply] = []
    sequencer.subscribe(seen.append)
    taken_over = await shard.log.open_writer(SHARD, COMMANDS)
    done = await asyncio.gather(*(sequencer.submit(deposit(number)) for number in (1, 2, 3, 4)), return_exceptions=True)
    assert [type(one) for one in done] == [OutcomeUnknown, OutcomeUnknown, OutcomeUnknown, Overloaded]
    assert not sequencer.healthy
    assert isinstance(sequencer.failure, Fenced)
    with pytest.raises(Overloaded):
        await sequencer.submit(Tick())
    await asyncio.wait_for(sequencer.ended(), TIMEOUT_S)
    await asyncio.wait_for(sequencer.stop(), TIMEOUT_S)
    assert seen == []
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    assert await taken_over.last_seq() == len(founding())
    await taken_over.close()


async def test_a_failed_event_log_stops_it_too_and_loses_no_events(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start()
    founded = await shard.submit(founding())
    await asyncio.wait_for(shard.events.wait(len(founded) - 1), TIMEOUT_S)
    taken_over = await shard.log.open_writer(SHARD, EVENTS)
    reply = await sequencer.submit(deposit(1))
    await asyncio.wait_for(sequencer.ended(), TIMEOUT_S)
    assert isinstance(sequencer.failure, LogError)
    assert not sequencer.healthy
    await taken_over.close()
    await shard.close()
    assert await house.published() == founded

    again = house.shard()
    assert (await again.recover()).published == 1
    assert await house.published() == [*founded, reply]


class Poisoned(Machine):
    """A machine with a bug: a deposit of 666 makes it fail."""

    def _play(self, command: Command) -> None:
        if isinstance(command, Deposit) and command.amount_micros == 666:
            raise KeyError("a bug")
        super()._play(command)


async def test_a_bug_in_the_machine_stops_it_loudly(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = house.shard()
    sequencer = await shard.start(machine=Poisoned(SHARD, Limits(), PlainBook))
    await shard.submit(founding())
    done = await asyncio.gather(*(sequencer.submit(deposit(number)) for number in (1, 666, 2)), return_exceptions=True)
    assert [type(one) for one in done] == [OutcomeUnknown] * 3
    assert isinstance(sequencer.failure, KeyError)
    assert not sequencer.healthy
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL
    assert record.exc_info is not None
    await shard.close()

    # The command is in the log: the same engine says where it fails, a mended one goes on.
    with monkeypatch.context() as patch:
        patch.setattr("tests.exchange.sequencer.conftest.PLAIN", PLAIN._replace(kind=Poisoned))
        broken = house.shard()
        with pytest.raises(RecoveryError, match=rf"the engine fails at command {len(founding()) + 2} .*mends it"):
            await broken.recover()
        await broken.close()
    mended = house.shard()
    await mended.start()
    assert mended.machine.last_seq == len(founding()) + 3


async def test_snapshots_are_taken_as_it_goes_and_at_the_end(house: House) -> None:
    shard = house.shard()
    sequencer = await shard.start(snapshot_every=20, max_batch=5)
    await shard.submit(founding())
    traffic = Traffic(1)
    for _ in range(100):
        traffic.learn(await sequencer.submit(traffic.next()))
    await shard.close()
    assert sequencer.figures.snapshots >= 3
    assert sequencer.figures.failed_snapshots == 0
    again = house.shard()
    recovered = await again.recover()
    assert (recovered.snapshot_seq, recovered.replayed) == (sequencer.seq, 0)
    assert recovered.machine.state_hash() == shard.machine.state_hash()
    assert len(recovered.snapshots.seqs()) == 3


async def test_a_snapshot_that_cannot_be_written_harms_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    shard = house.shard()
    sequencer = await shard.start(snapshot_every=5)
    Path(house.home, "snapshots").write_text("a file stands where the folder should be")
    await shard.submit(founding())
    await shard.submit([deposit(1)])
    await shard.close()
    assert sequencer.failure is None
    assert sequencer.figures.failed_snapshots >= 1
    assert "couldn't be written" in caplog.text
