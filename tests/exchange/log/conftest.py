"""The implementations of the log that the contract holds for, each opened as a user of it would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import LogReader, LogWriter

IMPLEMENTATIONS = ("embedded",)


class OpenLog:
    """One log under test, and what was opened of it, so that the fixture can close it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._log = EmbeddedLog(home)
        self._opened: list[LogReader] = []

    async def writer(self, topic: str = "commands", shard: int = 0) -> LogWriter:
        writer: LogWriter = await self._log.open_writer(shard, topic)
        self._opened.append(writer)
        return writer

    async def reader(self, topic: str = "commands", shard: int = 0) -> LogReader:
        reader: LogReader = await self._log.open_reader(shard, topic)
        self._opened.append(reader)
        return reader

    async def close(self) -> None:
        """Close all that was opened; what is opened next is a new process's view, as far as one process can have it."""
        while self._opened:
            await self._opened.pop().close()
        self._log = EmbeddedLog(self.home)


@pytest.fixture(params=IMPLEMENTATIONS)
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenLog]:
    opened = OpenLog(tmp_path)
    yield opened
    await opened.close()
