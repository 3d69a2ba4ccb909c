"""SQLite as the embedded log uses it: the one place that opens its files and reads its errors.

Log files are opened through apsw alone. Before SQLite 3.51.3 two connections racing a checkpoint can corrupt a WAL file,
and two SQLite libraries in one process break each other's locks, so nothing else may open these files while we run. It
knows nothing of records.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from exchange.log.interface import LogError

SQLITE_MIN_VERSION: Final = 3_051_003
"""3.51.3, in SQLite's own numbering."""
BUSY_TIMEOUT_MS: Final = 5_000
"""How long a writer waits for another connection's lock before it gives up."""
CHECKPOINT_PAGES: Final = 4_000
"""WAL pages after which a commit also checkpoints: 16 MB, so that most commits don't pay for one."""

_ADVICE: Final = (
    "Keep a copy of its folder, then restore the folder from a backup. If only files of the topic 'events' are damaged, "
    "move that topic's files away instead: they are derived again from the commands at the next start."
)


class Damaged(LogError):
    """A file of the log isn't what was written. The message names it, and says what to do."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} is damaged: {what}. {_ADVICE}")


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors about `path` into LogError, and Damaged where the file is at fault."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise Damaged(path, str(error)) from error
    except apsw.FullError as error:
        raise LogError(
            f"{path}: the disk is full. Free space, then start again; nothing acknowledged is lost."
        ) from error
    except apsw.Error as error:
        raise LogError(f"{path}: {error}. Look to the disk, then start again; nothing acknowledged is lost.") from error
    except OSError as error:
        raise LogError(f"{error}. Look to the disk and its permissions, then start again.") from error


def connect(path: Path, *, writable: bool) -> apsw.Connection:
    """Open a file of the log, making it if it is `writable` and not there; LogError for SQLite's errors."""
    version = apsw.sqlitelibversion()
    if apsw.SQLITE_VERSION_NUMBER < SQLITE_MIN_VERSION or _number(version) < SQLITE_MIN_VERSION:
        raise LogError(f"apsw carries SQLite {version}, which can corrupt the log: install apsw 3.51.3 or newer.")
    access = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if writable else apsw.SQLITE_OPEN_READONLY
    with translated(path):
        connection = apsw.Connection(str(path), flags=access)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            if writable:
                connection.pragma("journal_mode", "wal")
                connection.pragma("synchronous", "full")
                connection.wal_autocheckpoint(CHECKPOINT_PAGES)
        except apsw.Error:
            connection.close()
            raise
        return connection


def _number(version: str) -> int:
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    return major * 1_000_000 + minor * 1_000 + patch
