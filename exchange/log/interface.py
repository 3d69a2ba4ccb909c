"""The log: one ordered topic of records of one shard, durable, read from any position.

Two topics a shard: commands and events (architecture, "The sequencer and the log"). The embedded log implements this on
SQLite; Kafka will implement the same. A log knows bytes and sequence numbers, never what a record means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """A record at its place. Sequence numbers increase; they may have gaps (a command without events has no event record)."""

    seq: int
    data: bytes


class LogError(Exception):
    """The log can't go on: damaged, full, or fenced by a newer epoch. Whoever meets it stops acknowledging."""


class Fenced(LogError):
    """Another writer with a higher epoch has taken over."""


class LogReader(Protocol):
    """Any number of readers, in any process."""

    async def read(self, after_seq: int, max_records: int) -> list[Record]:
        """Up to `max_records` records after `after_seq`, in order; empty when there are none yet."""

    async def wait(self, after_seq: int) -> None:
        """Return as soon as a record after `after_seq` may be there. Cancel it to stop waiting."""

    async def last_seq(self) -> int:
        """Sequence of the last durable record, 0 when there is none."""

    async def close(self) -> None: ...


class LogWriter(LogReader, Protocol):
    """The one writer of a topic, in its own epoch."""

    @property
    def epoch(self) -> int: ...

    async def append(self, records: Sequence[Record]) -> None:
        """Append in order; returns when all are durable, or raises LogError: then their outcome isn't known."""
