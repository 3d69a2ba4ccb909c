"""Opens the registry's SQLite file: mode 0600, WAL, every commit on disk before it is answered.

It knows how to open, check and close; what the rows mean is the other rooms' business.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select

from exchange.registry.tables import METADATA, VERSION, VERSIONS

if TYPE_CHECKING:
    import sqlite3

BUSY_TIMEOUT_MS: Final = 5_000


class WrongVersion(Exception):
    """The file was written by another version of this program; the message says what to do."""


def open_database(path: Path) -> Engine:
    """The engine of the registry at `path`, made when it isn't there; WrongVersion when this program can't use it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    engine = create_engine(f"sqlite:///{path}", connect_args={"isolation_level": None})
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            _check_or_create(connection, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _set_up(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    # Taking the write lock first means that a transaction never fails halfway because another process wrote.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check_or_create(connection: Connection, path: Path) -> None:
    if not inspect(connection).get_table_names():
        METADATA.create_all(connection)
        connection.execute(insert(VERSIONS).values(version=VERSION))
        return
    found = None
    if inspect(connection).has_table(VERSIONS.name):
        found = connection.execute(select(VERSIONS.c.version)).scalar_one_or_none()
    if found != VERSION:
        raise WrongVersion(
            f"{path} is of version {found}, this program reads {VERSION}: start the version that wrote it"
        )
