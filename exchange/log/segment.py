"""One file of a topic: a table of records, chained by checksum, and the epoch of the writer that may append to it.

A file starts where the one before it ends (`base_seq`, `base_crc`) and is sealed when it has grown to its size. Each
record's checksum goes on from the one before it, so that a record that was changed, lost or moved is found by whoever
reads past it. Everything here blocks; it never knows an event loop, nor which file comes next.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from exchange.log.files import sync_folder
from exchange.log.interface import Fenced, LogError, Record
from exchange.log.sqlite import Damaged, connect, translated

FORMAT: Final = 1
MAX_READ_BYTES: Final = 16 << 20
"""A read ends with the record that reaches this many bytes, whatever number was asked for."""

_SCHEMA: Final = """
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    base_seq INTEGER NOT NULL,
    base_crc INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    sealed INTEGER NOT NULL
) STRICT;
CREATE TABLE records (seq INTEGER PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
"""
_TAIL: Final = "SELECT seq, crc FROM records ORDER BY seq DESC LIMIT 1"
# The record at or before the position comes too: the chain of checksums goes on from it.
_READ: Final = """
SELECT seq, data, crc FROM records
WHERE seq >= coalesce((SELECT max(seq) FROM records WHERE seq <= ?1), ?1) ORDER BY seq LIMIT ?2
"""


class Place(NamedTuple):
    """Where a file stands: what every file of a topic says of itself, and what never changes in it."""

    shard: int
    topic: str
    number: int
    base_seq: int
    base_crc: int


class Tail(NamedTuple):
    """The last record of a file (its base when it has none), and the checksum up to there."""

    seq: int
    crc: int


def chain(crc: int, record: Record) -> int:
    """Checksum up to and with `record`, going on from the one before it."""
    return zlib.crc32(record.data, zlib.crc32(record.seq.to_bytes(8, "big"), crc))


class Segment:
    """One open file. A connection belongs to one thread at a time; LogError, Damaged and Fenced as in the interface."""

    def __init__(self, path: Path, connection: apsw.Connection, place: Place) -> None:
        self.path = path
        self.place = place
        self._connection = connection

    @classmethod
    def open(cls, path: Path, shard: int, topic: str, number: int, *, writable: bool) -> Segment | None:
        """Open a file that is there; None when its making was never finished, so that it holds nothing."""
        connection = connect(path, writable=writable)
        try:
            place = _read_place(path, connection)
            if place is not None and place[:3] != (shard, topic, number):
                raise Damaged(path, f"it says that it is file {place.number} of {place.topic} in shard {place.shard}")
        except LogError:
            connection.close()
            raise
        if place is None:
            connection.close()
            return None
        return cls(path, connection, place)

    @classmethod
    def create(cls, path: Path, place: Place, epoch: int) -> Segment:
        """Make a file, or open it when another writer was faster: an append tells whose it is."""
        connection = connect(path, writable=True)
        try:
            with translated(path), _transaction(connection):
                if not connection.table_exists("main", "meta"):
                    connection.execute(_SCHEMA)
                    connection.execute("INSERT INTO meta VALUES (1, ?, ?, ?, ?, ?, ?, ?, 0)", (FORMAT, *place, epoch))
            with translated(path):
                sync_folder(path.parent)
        except LogError:
            connection.close()
            raise
        return cls(path, connection, place)

    def close(self) -> None:
        with translated(self.path):
            self._connection.close()

    def take_epoch(self) -> int | None:
        """Take the epoch after the newest one, which fences its writer; None when the file is sealed."""
        with translated(self.path), _transaction(self._connection):
            epoch, sealed = self._connection.execute("SELECT epoch, sealed FROM meta").get
            if sealed:
                return None
            self._connection.execute("UPDATE meta SET epoch = ?", (epoch + 1,))
            return int(epoch) + 1

    def epoch(self) -> int:
        """The newest epoch that was taken in this file."""
        with translated(self.path):
            return int(self._connection.execute("SELECT epoch FROM meta").get)

    def sealed(self) -> bool:
        """Whether nothing will be appended here any more; what is read after this said True is all there is."""
        with translated(self.path):
            return bool(self._connection.execute("SELECT sealed FROM meta").get)

    def size_bytes(self) -> int:
        with translated(self.path):
            pages, page_bytes = self._connection.pragma("page_count"), self._connection.pragma("page_size")
            return int(pages) * int(page_bytes)

    def tail(self) -> Tail:
        with translated(self.path):
            found = self._connection.execute(_TAIL).get
            return Tail(*found) if found else Tail(self.place.base_seq, self.place.base_crc)

    def append(self, records: Sequence[Record], epoch: int, tail: Tail) -> Tail:
        """Append after `tail` and return the new one when all is durable; Fenced when `epoch` isn't the newest."""
        rows = []
        crc = tail.crc
        for record in records:
            crc = chain(crc, record)
            rows.append((record.seq, record.data, crc))
        with translated(self.path), _transaction(self._connection):
            self._check(epoch)
            self._connection.executemany("INSERT INTO records VALUES (?, ?, ?)", rows)
        return Tail(records[-1].seq, crc)

    def seal(self, epoch: int) -> None:
        """Close the file to appends, for ever; Fenced when `epoch` isn't the newest."""
        with translated(self.path), _transaction(self._connection):
            self._check(epoch)
            self._connection.execute("UPDATE meta SET sealed = 1")

    def read(self, after_seq: int, max_records: int) -> list[Record]:
        """Up to `max_records` (and about MAX_READ_BYTES) records after `after_seq`; Damaged when the chain is broken."""
        records: list[Record] = []
        crc, size, seq = self.place.base_crc, 0, self.place.base_seq
        with translated(self.path):
            cursor = self._connection.execute(_READ, (after_seq, max_records + 1))
            for seq, data, stored_crc in cursor:
                record = Record(seq, data)
                if seq > after_seq:
                    if chain(crc, record) != stored_crc:
                        raise Damaged(self.path, f"the checksum of record {seq} is wrong")
                    records.append(record)
                    size += len(data)
                crc = stored_crc
                if size >= MAX_READ_BYTES or len(records) == max_records:
                    cursor.close()
                    break
        return records

    def _check(self, epoch: int) -> None:
        newest, sealed = self._connection.execute("SELECT epoch, sealed FROM meta").get
        if newest != epoch or sealed:
            raise Fenced(
                f"{self.path}: epoch {newest} has taken over from {epoch}. Another Monarch writes this log: stop this one."
            )


@contextlib.contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """A write transaction that no other writer can stand in; durable when it has ended."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _read_place(path: Path, connection: apsw.Connection) -> Place | None:
    with translated(path):
        if not connection.table_exists("main", "meta"):
            return None
        found = connection.execute("SELECT format, shard, topic, number, base_seq, base_crc FROM meta").get
    if found is None:
        raise Damaged(path, "it doesn't say which file it is")
    if found[0] != FORMAT:
        raise LogError(f"{path} has format {found[0]}, this Monarch reads {FORMAT}: use the version that wrote it.")
    return Place(*found[1:])
