"""The read models' writer: events in, rows and position out, in one transaction of a SQLite database of its own.

The database is a cache of the log. It is written through one connection by one thread at a time, with
`synchronous=NORMAL`: after a power cut it may stand a little earlier, rows and position together, and reads on from
there. A file that is damaged or has another schema is set aside and made anew. It never decides and never answers
queries (`exchange.read.queries` does).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw
import msgspec

from engine.messages import Offer, Reply
from exchange.read import schema
from exchange.read.interface import (
    AccountLimitsRow,
    BaronRow,
    InstrumentRow,
    LeaseRow,
    ObligationRow,
    OrderRow,
    TradeRow,
)
from exchange.read.projection import ReadError, project

BUSY_TIMEOUT_MS: Final = 5_000
WAL_PAGES: Final = 4_000
"""The write-ahead log is folded back into the file at this many pages (16 MB)."""

log = logging.getLogger(__name__)


class StaleSchema(Exception):
    """The file was made by another version of the projection."""


def connect(path: Path, read_only: bool) -> apsw.Connection:
    """A connection to the read models' file, set up; apsw.Error when it can't be opened."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    except apsw.Error:
        connection.close()
        raise
    return connection


class ReadModel:
    """Blocking; not for two threads at once."""

    def __init__(self, path: Path, connection: apsw.Connection) -> None:
        self.path = path
        self._connection = connection
        self._position = _read_position(connection)

    @classmethod
    def open(cls, path: Path) -> ReadModel:
        """Open or make the database. A damaged or older one is renamed to `NAME.old`, and the log makes it anew."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return cls(path, _open(path))
        except (apsw.NotADBError, apsw.CorruptError, StaleSchema) as error:
            log.warning("read models: %s; set aside and made anew from the log", error)
            _set_aside(path)
            return cls(path, _open(path))

    @property
    def position(self) -> int:
        """Sequence of the last command whose events are in the rows; 0 at the beginning."""
        return self._position

    def apply(self, replies: Sequence[Reply]) -> int:
        """Take in commands' events, in order, in one transaction; returns the new position.

        What was taken in before is skipped. ReadError, and nothing changed, when sequences don't increase inside the
        batch, when rows are missing, or when somebody else has moved the position.
        """
        for earlier, later in itertools.pairwise(replies):
            if later.seq <= earlier.seq:
                raise ReadError(f"the log goes back from command {earlier.seq} to {later.seq}; it is damaged")
        fresh = [reply for reply in replies if reply.seq > self._position]
        if not fresh:
            return self._position
        batch = _Batch(self._connection)
        try:
            with self._connection:
                self._advance(fresh[-1])
                for reply in fresh:
                    project(reply, batch)
                batch.write()
        except apsw.CorruptError as error:
            self.close()
            _set_aside(self.path)
            raise ReadError(f"the read models' file was damaged ({error}); it is set aside: start again") from error
        self._position = fresh[-1].seq
        return self._position

    def close(self) -> None:
        self._connection.close()

    def _advance(self, last: Reply) -> None:
        # A transaction that begins by writing holds the lock from here on, so nobody else can pass between.
        self._connection.execute(
            "UPDATE position SET seq = ?, ts_ns = ? WHERE seq = ?", (last.seq, last.ts_ns, self._position)
        )
        if self._connection.changes() != 1:
            raise ReadError(f"another process writes {self.path}; run one Monarch on a data directory")


class _Batch:
    """The Store of one transaction: rows are read once, changed in memory, and written at the end, each table in one go."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._instruments: dict[int, InstrumentRow] = {}
        self._orders: dict[int, OrderRow] = {}
        self._trades: dict[int, TradeRow] = {}
        self._leases: dict[int, LeaseRow] = {}
        self._obligations: dict[int, ObligationRow] = {}
        self._barons: dict[int, BaronRow] = {}
        self._offers: dict[int, tuple[Offer, ...]] = {}
        self._limits: dict[int, AccountLimitsRow] = {}

    def order(self, order_id: int) -> OrderRow | None:
        return self._orders.get(order_id) or self._load("orders", OrderRow, order_id)

    def save_order(self, row: OrderRow) -> None:
        self._orders[row.order_id] = row

    def lease(self, lease_id: int) -> LeaseRow | None:
        return self._leases.get(lease_id) or self._load("leases", LeaseRow, lease_id)

    def save_lease(self, row: LeaseRow) -> None:
        self._leases[row.lease_id] = row

    def save_obligation(self, row: ObligationRow) -> None:
        self._obligations[row.obligation_id] = row

    def baron(self, baron: int) -> BaronRow | None:
        return self._barons.get(baron) or self._load("barons", BaronRow, baron)

    def save_baron(self, row: BaronRow) -> None:
        self._barons[row.baron] = row

    def listed(self, instrument: int) -> InstrumentRow | None:
        return self._instruments.get(instrument) or self._load("instruments", InstrumentRow, instrument)

    def instruments_of(self, sku: str, region: str) -> list[InstrumentRow]:
        where = f"sku = ? AND region = ? AND {schema.LISTED}"
        statement = f"SELECT {schema.columns('instruments')} FROM instruments WHERE {where}"  # noqa: S608
        kept = (schema.from_sql(InstrumentRow, found) for found in self._connection.execute(statement, (sku, region)))
        rows = {row.instrument: row for row in kept}
        rows |= {row.instrument: row for row in self._instruments.values() if (row.sku, row.region) == (sku, region)}
        return [row for row in rows.values() if row.listed]

    def save_instrument(self, row: InstrumentRow) -> None:
        self._instruments[row.instrument] = row

    def save_trade(self, row: TradeRow) -> None:
        self._trades[row.trade_id] = row

    def save_offers(self, account: int, offers: tuple[Offer, ...]) -> None:
        self._offers[account] = offers

    def save_account_limits(self, row: AccountLimitsRow) -> None:
        self._limits[row.account] = row

    def write(self) -> None:
        """Write every changed row; the caller holds the transaction."""
        tables: tuple[tuple[str, dict[int, msgspec.Struct]], ...] = (
            ("instruments", dict(self._instruments)),
            ("orders", dict(self._orders)),
            ("trades", dict(self._trades)),
            ("leases", dict(self._leases)),
            ("obligations", dict(self._obligations)),
            ("barons", dict(self._barons)),
            ("account_limits", dict(self._limits)),
        )
        for table, rows in tables:
            self._connection.executemany(schema.upsert(table), map(schema.to_sql, rows.values()))
        encode = msgspec.msgpack.encode
        self._connection.executemany(
            "INSERT OR REPLACE INTO offers (account, offers) VALUES (?, ?)",
            ((account, encode(offers)) for account, offers in self._offers.items()),
        )

    def _load(self, table: str, struct: type[schema.Row], key: int) -> schema.Row | None:
        statement = f"SELECT {schema.columns(table)} FROM {table} WHERE {schema.TABLES[table][1]} = ?"  # noqa: S608
        values = self._connection.execute(statement, (key,)).fetchone()
        return None if values is None else schema.from_sql(struct, values)


def _open(path: Path) -> apsw.Connection:
    connection = connect(path, read_only=False)
    try:
        if connection.pragma("schema_version") == 0:
            _create(connection)
        elif connection.pragma("application_id") != schema.APPLICATION_ID:
            raise ReadError(f"{path} is a database of something else; move it away")
        elif connection.pragma("user_version") != schema.FINGERPRINT:
            raise StaleSchema(f"{path} has an older schema")
        _read_position(connection)
    except (apsw.Error, ReadError, StaleSchema):
        connection.close()
        raise
    return connection


def _create(connection: apsw.Connection) -> None:
    with connection:
        connection.execute(schema.DDL)
        connection.pragma("application_id", schema.APPLICATION_ID)
        connection.pragma("user_version", schema.FINGERPRINT)


def _read_position(connection: apsw.Connection) -> int:
    seq = connection.execute("SELECT seq FROM position").get
    if not isinstance(seq, int):
        raise apsw.CorruptError("the position is missing")
    return seq


def _set_aside(path: Path) -> None:
    """Rename the file, over an earlier one set aside; its write-ahead log belongs to it alone and goes."""
    path.replace(path.with_name(path.name + ".old"))
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
