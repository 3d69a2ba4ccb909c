"""Snapshots of the machine on disk: so that a start needn't replay the log from its first command.

`<home>/snapshots/<shard>/<seq>.snap`: a line that names the format, a digest, and the state with where it stands. A
snapshot is only ever a shortcut: one that is damaged or missing costs time, and the log stays whole. The state is bytes
here; what they mean is the engine's affair.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from exchange.log.files import make_folder, sync_folder, write_durably

KEPT: Final = 3
"""Snapshots that are kept, the newest ones."""

_MAGIC: Final = b"hourbook snapshot 1\n"
_DIGEST_BYTES: Final = 32
_SUFFIX: Final = ".snap"
_logger = logging.getLogger(__name__)


class Snapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The machine's state after command `seq`; `events_seq` is the last record that the event log had by then."""

    shard: int
    seq: int
    events_seq: int
    state_hash: str
    state: bytes


class SnapshotStore:
    """The snapshots of one shard. Everything here blocks; OSError when the disk refuses."""

    def __init__(self, home: Path, shard: int) -> None:
        self.shard = shard
        self._folder = home / "snapshots" / str(shard)

    def write(self, snapshot: Snapshot) -> None:
        """Write a snapshot durably, then forget all but the newest KEPT, and what a crash left half written."""
        make_folder(self._folder)
        body = msgspec.msgpack.encode(snapshot)
        write_durably(self._file(snapshot.seq), _MAGIC + _digest(body) + body)
        for seq in self.seqs()[KEPT:]:
            self._file(seq).unlink(missing_ok=True)
        for draft in self._folder.glob("*.tmp"):
            draft.unlink(missing_ok=True)
        sync_folder(self._folder)

    def seqs(self) -> list[int]:
        """The sequence numbers that there are snapshots of, newest first."""
        return sorted(
            (int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal()), reverse=True
        )

    def newest_first(self) -> Iterator[Snapshot]:
        """Every snapshot that is whole; one that isn't is passed over with a warning."""
        for seq in self.seqs():
            snapshot = self._read(seq)
            if snapshot is not None:
                yield snapshot

    def _read(self, seq: int) -> Snapshot | None:
        file = self._file(seq)
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            # A running Monarch has written newer ones and removed this.
            return None
        body = data[len(_MAGIC) + _DIGEST_BYTES :]
        if data[: len(_MAGIC) + _DIGEST_BYTES] != _MAGIC + _digest(body):
            _logger.warning("%s is damaged or of another format; going back to the one before it", file)
            return None
        try:
            snapshot = msgspec.msgpack.decode(body, type=Snapshot)
        except msgspec.MsgspecError as error:
            _logger.warning("%s can't be read (%s); going back to the one before it", file, error)
            return None
        if (snapshot.shard, snapshot.seq) != (self.shard, seq):
            _logger.warning(
                "%s is of shard %d at %d; going back to the one before it", file, snapshot.shard, snapshot.seq
            )
            return None
        return snapshot

    def _file(self, seq: int) -> Path:
        return self._folder / f"{seq}{_SUFFIX}"


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
