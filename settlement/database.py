"""The ledger's file: how it is opened, and by whom it is written.

SQLite in WAL at `synchronous=FULL`. One connection writes, and it alone checkpoints; every other one is opened read-only,
because SQLite before 3.51.3 can damage a WAL file when two connections race a checkpoint. This room knows no table
and no event.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from settlement.errors import LedgerError

MAX_READERS: Final = 4
"""Connections that read at once; one more waits for one of them."""
BUSY_TIMEOUT_S: Final = 5.0
READER_WAIT_S: Final = 30.0

_MIGRATIONS: Final = Path(__file__).with_name("migrations")


def open_writer(path: Path) -> Engine:
    """The one connection that writes; brings the schema up to date. LedgerError when the file can't be used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = _engine(path, mode="rwc", connections=1)

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    _begin_with(engine, "BEGIN IMMEDIATE")
    try:
        with engine.begin() as connection:
            _migrate(connection)
    except (SQLAlchemyError, CommandError) as error:
        engine.dispose()
        raise LedgerError(
            f"the ledger {path} can't be opened for writing: {error}. Stop another program that holds it; if the file is "
            "damaged, move it away: it is built anew from the event log"
        ) from error
    return engine


def open_reader(path: Path) -> Engine:
    """Read-only connections; each transaction sees one moment. LedgerError when there is no such file."""
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {path}; give the directory of an exchange that has run")
    engine = _engine(path, mode="ro", connections=MAX_READERS)
    _begin_with(engine, "BEGIN")
    return engine


def _engine(path: Path, mode: str, connections: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=f"file:{quote(str(path.resolve()))}", query={"mode": mode, "uri": "true"}),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=READER_WAIT_S,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _plain_transactions(connection: Any, _record: object) -> None:
        # The driver's own mode begins a transaction only before a write: reads would not see one moment.
        connection.isolation_level = None

    return engine


def _begin_with(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
