"""A shard on disk, opened and closed as Monarch does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from engine.codec import decode_events
from engine.halves import PLAIN
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import Command, Reply
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import LogWriter, Record
from exchange.log.topics import COMMANDS, EVENTS
from exchange.sequencer.recovery import Recovered, recover
from exchange.sequencer.sequencer import Sequencer

SHARD = 0
START_NS = 1_760_000_000 * 10**9


class Clock:
    """A clock that a test turns, and that counts who looks at it."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.looks = 0

    def __call__(self) -> int:
        self.looks += 1
        return self.now_ns


class Shard:
    """One run of a shard, from recovery to the end; options are the Sequencer's."""

    def __init__(self, home: Path, clock: Callable[[], int]) -> None:
        self.home = home
        self.log = EmbeddedLog(home, max_file_bytes=200_000)
        self._clock = clock
        self.commands: LogWriter
        self.events: LogWriter
        self.recovered: Recovered
        self.sequencer: Sequencer

    @property
    def machine(self) -> Machine:
        return self.recovered.machine

    async def recover(self, limits: Limits | None = None) -> Recovered:
        self.commands = await self.log.open_writer(SHARD, COMMANDS)
        self.events = await self.log.open_writer(SHARD, EVENTS)
        self.recovered = await recover(self.home, SHARD, self.commands, self.events, limits or Limits(), PLAIN)
        return self.recovered

    async def start(
        self,
        machine: Machine | None = None,
        limits: Limits | None = None,
        opening: Iterable[Command] = (),
        **options: Any,
    ) -> Sequencer:
        await self.recover(limits)
        chosen: dict[str, Any] = {"tick_s": 60.0, "snapshots": self.recovered.snapshots} | options
        self.sequencer = Sequencer(machine or self.machine, self.commands, self.events, clock_ns=self._clock, **chosen)
        await self.sequencer.start(opening)
        return self.sequencer

    async def commands_from(self, records: list[Record]) -> Recovered:
        """Begin the shard with a command log that is already there, and derive everything else from it."""
        await self.recover()
        await self.commands.append(records)
        await self.close()
        return await self.recover()

    async def submit(self, commands: Iterable[Command]) -> list[Reply]:
        return await asyncio.gather(*(self.sequencer.submit(command) for command in commands))

    async def close(self) -> None:
        if hasattr(self, "sequencer"):
            await self.sequencer.stop()
        for name in ("commands", "events"):
            if writer := getattr(self, name, None):
                await writer.close()


class House:
    """A home in which one shard after another is opened; all are closed at the end."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = Clock()
        self._shards: list[Shard] = []

    def shard(self) -> Shard:
        shard = Shard(self.home, self.clock)
        self._shards.append(shard)
        return shard

    async def close(self) -> None:
        for shard in self._shards:
            await shard.close()

    async def records(self, topic: str) -> list[Record]:
        """The whole topic, read by a reader of its own."""
        reader = await EmbeddedLog(self.home).open_reader(SHARD, topic)
        found: list[Record] = []
        while batch := await reader.read(found[-1].seq if found else 0, 1_000):
            found += batch
        await reader.close()
        return found

    async def published(self) -> list[Reply]:
        return [decode_events(*record) for record in await self.records(EVENTS)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "home")
    yield house
    await house.close()
