"""The embedded log: SQLite files in the data directory, a set for each shard and topic (architecture, "The sequencer and the log").

`<home>/log/<shard>/<topic>.001.db`, `.002.db` and so on. Each writer and each reader has a thread of its own for what
blocks. When a file has grown to its size, its writer seals it inside the epoch's check and goes on in the next, so that
two writers can never stand in different files. This knows files and epochs, never what a record means.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from exchange.log.bell import Bell
from exchange.log.files import make_folder
from exchange.log.interface import LogError, Record
from exchange.log.segment import Place, Segment, Tail
from exchange.log.sqlite import Damaged, translated

MAX_FILE_BYTES: Final = 1 << 30
POLL_S: Final = 0.05
"""How often a reader looks for records of a writer in another process."""
MAX_OPEN_FILES: Final = 2
"""Files that one reader keeps open: where it reads, and the newest."""

T = TypeVar("T")


class EmbeddedLog:
    """The log below one home. Readers wake at once when the writer was opened from the same object, else within POLL_S."""

    def __init__(self, home: Path, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._root = home / "log"
        self._max_file_bytes = max_file_bytes
        self._bells: dict[tuple[int, str], Bell] = {}

    async def open_writer(self, shard: int, topic: str) -> EmbeddedWriter:
        """Open a topic for appending, in the next epoch: from here on its former writer is fenced."""
        folder = self._folder(shard, topic)
        bell = self._bell(shard, topic)
        writer = EmbeddedWriter(folder, bell, self._max_file_bytes)
        try:
            await writer.open()
        except BaseException:
            await writer.close()
            raise
        return writer

    async def open_reader(self, shard: int, topic: str) -> EmbeddedReader:
        """Open a topic for reading; it need not exist yet, and nothing is ever written by it."""
        return EmbeddedReader(self._folder(shard, topic), self._bell(shard, topic))

    def _folder(self, shard: int, topic: str) -> TopicFolder:
        return TopicFolder(self._root / str(shard), shard, topic)

    def _bell(self, shard: int, topic: str) -> Bell:
        return self._bells.setdefault((shard, topic), Bell())


class TopicFolder:
    """Where the files of one topic lie, and how they are numbered."""

    def __init__(self, path: Path, shard: int, topic: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", topic):
            raise ValueError(f"a topic is named in small letters, not {topic!r}")
        self.path = path
        self.shard = shard
        self.topic = topic
        self._name = re.compile(re.escape(topic) + r"\.([0-9]{3,})\.db")

    def numbers(self) -> list[int]:
        """Numbers of the files that are there, rising."""
        names = (self._name.fullmatch(path.name) for path in self.path.glob(f"{self.topic}.*.db"))
        return sorted(int(name.group(1)) for name in names if name)

    def file(self, number: int) -> Path:
        return self.path / f"{self.topic}.{number:03d}.db"

    def open(self, number: int, *, writable: bool) -> Segment | None:
        """Open a file that is there; None when its making was never finished."""
        return Segment.open(self.file(number), self.shard, self.topic, number, writable=writable)

    def create(self, number: int, base: Tail, epoch: int) -> Segment:
        return Segment.create(self.file(number), Place(self.shard, self.topic, number, base.seq, base.crc), epoch)


class EmbeddedReader:
    """Reads one topic, whoever writes it, in this process or another; satisfies LogReader."""

    def __init__(self, folder: TopicFolder, bell: Bell) -> None:
        self._folder = folder
        self._bell = bell
        self._open: dict[int, Segment] = {}
        self._closed = False
        self._reading = ThreadPoolExecutor(1, thread_name_prefix=f"log-read-{folder.topic}")

    async def read(self, after_seq: int, max_records: int) -> list[Record]:
        """As LogReader; a batch may end early, at 16 MiB or at the end of a file, and is empty only at the log's end."""
        return await self._off_loop(self._reading, lambda: self._read(after_seq, max_records))

    async def wait(self, after_seq: int) -> None:
        while not self._bell.attended:
            if await self.last_seq() > after_seq:
                return
            await asyncio.sleep(POLL_S)
        await self._bell.wait(after_seq)

    async def last_seq(self) -> int:
        return await self._off_loop(self._reading, self._last_seq)

    async def close(self) -> None:
        """Close the files and end the thread; a second call does nothing, and whatever else is called fails."""
        if not self._closed:
            closing = self._off_loop(self._reading, self._close_files)
            self._closed = True
            await closing
            self._reading.shutdown()

    def _off_loop(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> asyncio.Future[T]:
        if self._closed:
            raise LogError(f"the log of {self._folder.topic} is closed")
        return asyncio.get_running_loop().run_in_executor(thread, work)

    def _read(self, after_seq: int, max_records: int) -> list[Record]:
        segment = self._at(after_seq)
        while segment is not None:
            sealed = segment.sealed()
            records = segment.read(after_seq, max_records)
            if records or not sealed:
                return records
            segment = self._segment(segment.place.number + 1)
        return []

    def _last_seq(self) -> int:
        newest = self._newest()
        return newest.tail().seq if newest else 0

    def _newest(self) -> Segment | None:
        for number in reversed(self._folder.numbers()):
            if segment := self._segment(number):
                return segment
        return None

    def _at(self, after_seq: int) -> Segment | None:
        """The last file that starts at or before a position, or the newest that is open and does."""
        started = [segment for segment in self._open.values() if segment.place.base_seq <= after_seq]
        if started:
            return max(started, key=lambda segment: segment.place.number)
        numbers = self._folder.numbers()
        for number in reversed(numbers):
            segment = self._segment(number)
            if segment and segment.place.base_seq <= after_seq:
                return segment
        if numbers and self._segment(numbers[0]):
            raise Damaged(self._folder.file(numbers[0]), "the files before it are missing")
        return None

    def _segment(self, number: int) -> Segment | None:
        """An open file, the ones longest open closed for it; None when it isn't made yet."""
        if segment := self._open.get(number):
            return segment
        numbers = self._folder.numbers()
        if number not in numbers:
            if numbers and number < numbers[-1]:
                raise Damaged(self._folder.file(number), "it is missing, and later ones are there")
            return None
        segment = self._folder.open(number, writable=False)
        if segment is None:
            if number < numbers[-1]:
                raise Damaged(self._folder.file(number), "it is empty, and later ones are there")
            return None
        while len(self._open) >= MAX_OPEN_FILES:
            self._open.pop(next(iter(self._open))).close()
        self._open[number] = segment
        return segment

    def _close_files(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


class EmbeddedWriter(EmbeddedReader):
    """The one writer of a topic, in its own epoch; satisfies LogWriter. Made by EmbeddedLog.open_writer."""

    def __init__(self, folder: TopicFolder, bell: Bell, max_file_bytes: int) -> None:
        super().__init__(folder, bell)
        self._max_file_bytes = max_file_bytes
        self._writing = ThreadPoolExecutor(1, thread_name_prefix=f"log-write-{folder.topic}")
        self._segment_now: Segment | None = None
        self._tail = Tail(0, 0)
        self._epoch = 0
        self._failure: LogError | None = None

    @property
    def epoch(self) -> int:
        return self._epoch

    async def open(self) -> None:
        """Take the next epoch; Damaged when the last record isn't what was written."""
        await self._off_loop(self._writing, self._take_over)

    async def append(self, records: Sequence[Record]) -> None:
        """As LogWriter. After a failure every append fails: a disk that lost a write once isn't asked a second time.

        ValueError, and nothing changed, when the sequence numbers don't rise from the last one in the log.
        """
        batch = list(records)
        if batch:
            await self._off_loop(self._writing, lambda: self._append(batch))

    async def close(self) -> None:
        """As a reader's, after the appends that were called before it."""
        if not self._closed:
            await self._off_loop(self._writing, self._close_writing)
            self._writing.shutdown()
            await super().close()

    def _take_over(self) -> None:
        with translated(self._folder.path):
            make_folder(self._folder.path)
        numbers = self._folder.numbers()
        if numbers != list(range(1, len(numbers) + 1)):
            raise Damaged(self._folder.path, f"of the files of {self._folder.topic} only {numbers} are there")
        segment = None
        if numbers:
            segment = self._folder.open(numbers[-1], writable=True)
        if segment is None and len(numbers) > 1:
            segment = self._folder.open(numbers[-2], writable=True)
            if segment is None:
                raise Damaged(self._folder.file(numbers[-2]), "it is empty, and a later one is there")
        if segment is None:
            segment = self._folder.create(1, Tail(0, 0), 0)
        while (epoch := segment.take_epoch()) is None:
            segment = self._next(segment, segment.epoch())
        self._segment_now = segment
        self._epoch = epoch
        self._tail = segment.tail()
        segment.read(self._tail.seq - 1, 1)
        self._bell.attend(self._tail.seq)

    def _next(self, sealed: Segment, epoch: int) -> Segment:
        """The file after a sealed one, made if it isn't there."""
        number, tail = sealed.place.number + 1, sealed.tail()
        sealed.close()
        return self._folder.create(number, tail, epoch)

    def _append(self, records: list[Record]) -> None:
        if self._failure is not None:
            raise LogError(f"the log takes nothing more after: {self._failure}") from self._failure
        segment = self._segment_now
        if segment is None:
            raise LogError("the log is closed")
        last = self._tail.seq
        for record in records:
            if record.seq <= last:
                raise ValueError(f"record {record.seq} can't follow {last}")
            last = record.seq
        try:
            if segment.size_bytes() >= self._max_file_bytes:
                segment.seal(self._epoch)
                segment = self._segment_now = self._next(segment, self._epoch)
            self._tail = segment.append(records, self._epoch, self._tail)
        except LogError as error:
            self._failure = error
            raise
        self._bell.ring(self._tail.seq)

    def _close_writing(self) -> None:
        if self._segment_now is not None:
            self._segment_now.close()
            self._segment_now = None
            self._bell.leave()
