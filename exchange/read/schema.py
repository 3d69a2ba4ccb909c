"""The read models' tables, made from the row structs: columns are the fields, so that neither can drift from the other.

Whoever changes a row, an index or the projection changes the schema's fingerprint (raise PROJECTION for the last), and
an older database is set aside and made anew from the log. It never knows what a row means.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_type_hints

import msgspec

from engine.kinds import Kind, LeaseState, OrderStatus
from engine.records import Session
from exchange.read.interface import (
    AccountLimitsRow,
    BaronRow,
    InstrumentRow,
    LeaseRow,
    ObligationRow,
    OrderRow,
    TradeRow,
)
from exchange.read.projection import ENDED_STATES, LIVE_STATUSES

APPLICATION_ID: Final = 0x48427264
"""Marks the file as ours ("HBrd"), so that nobody else's database is ever set aside."""
PROJECTION: Final = 2
"""Raise it when the same events make other rows than before."""

Row = TypeVar("Row", bound=msgspec.Struct)

TABLES: Final[dict[str, tuple[type[msgspec.Struct], str]]] = {
    "instruments": (InstrumentRow, "instrument"),
    "orders": (OrderRow, "order_id"),
    "trades": (TradeRow, "trade_id"),
    "leases": (LeaseRow, "lease_id"),
    "obligations": (ObligationRow, "obligation_id"),
    "barons": (BaronRow, "baron"),
    "account_limits": (AccountLimitsRow, "account"),
}


def _members(members: frozenset[OrderStatus] | frozenset[LeaseState]) -> str:
    return ", ".join(str(int(member)) for member in sorted(members))


# A query must repeat these words for SQLite to take the partial index.
LIVE_ORDER: Final = f"status IN ({_members(LIVE_STATUSES)})"
OPEN_LEASE: Final = f"state NOT IN ({_members(ENDED_STATES)})"

LIVE_OBLIGATION: Final = "live = 1"

LISTED: Final = f"(kind <> {int(Kind.FORWARD)} OR session <> {int(Session.EXPIRED)})"

_INDEXES: Final = f"""
CREATE INDEX instruments_listed ON instruments (sku, region, instrument) WHERE {LISTED};
CREATE INDEX instruments_by_symbol ON instruments (symbol);
CREATE INDEX orders_by_account ON orders (account, order_id);
CREATE INDEX orders_live ON orders (account, order_id) WHERE {LIVE_ORDER};
CREATE INDEX orders_by_client_id ON orders (account, client_order_id, order_id) WHERE client_order_id <> '';
CREATE INDEX trades_by_instrument ON trades (instrument, trade_id);
CREATE INDEX leases_by_renter ON leases (renter, lease_id);
CREATE INDEX leases_by_provider ON leases (provider, lease_id);
CREATE INDEX leases_open_by_renter ON leases (renter, lease_id) WHERE {OPEN_LEASE};
CREATE INDEX leases_open_by_provider ON leases (provider, lease_id) WHERE {OPEN_LEASE};
CREATE INDEX leases_by_order ON leases (order_id, lease_id);
CREATE INDEX leases_not_wiped ON leases (lease_id) WHERE wiped = 0;
CREATE INDEX obligations_by_holder ON obligations (holder, obligation_id);
CREATE INDEX obligations_by_provider ON obligations (provider, obligation_id);
CREATE INDEX obligations_live_by_holder ON obligations (holder, obligation_id) WHERE {LIVE_OBLIGATION};
CREATE INDEX obligations_live_by_provider ON obligations (provider, obligation_id) WHERE {LIVE_OBLIGATION};
CREATE INDEX barons_by_provider ON barons (provider, baron);
CREATE TABLE offers (account INTEGER PRIMARY KEY, offers BLOB NOT NULL) STRICT;
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, ts_ns INTEGER NOT NULL) STRICT;
INSERT INTO position VALUES (1, 0, 0);
"""  # noqa: S608


def _column_type(kind: Any) -> str:
    """The column's type and whether it may be NULL, which stands for None."""
    if isinstance(kind, UnionType):
        (kind,) = set(get_args(kind)) - {NoneType}
        return _storage_class(kind)
    return f"{_storage_class(kind)} NOT NULL"


def _storage_class(kind: Any) -> str:
    if kind is str:
        return "TEXT"
    if kind is bytes:
        return "BLOB"
    if kind in (int, bool) or issubclass(kind, IntEnum):
        return "INTEGER"
    raise TypeError(f"no column type for {kind}")


def _create(table: str) -> str:
    struct, key = TABLES[table]
    columns = (
        f"{name} {_column_type(kind)}{' PRIMARY KEY' if name == key else ''}"
        for name, kind in get_type_hints(struct).items()
    )
    return f"CREATE TABLE {table} ({', '.join(columns)}) STRICT;\n"


DDL: Final = "".join(_create(table) for table in TABLES) + _INDEXES
FINGERPRINT: Final = zlib.crc32(f"{PROJECTION}\n{DDL}".encode()) & 0x7FFF_FFFF
"""Stands in the file as SQLite's `user_version`."""


def columns(table: str) -> str:
    """The table's columns, in the order of the struct's fields."""
    return ", ".join(TABLES[table][0].__struct_fields__)


def upsert(table: str) -> str:
    """Statement that writes a row whole; its parameters are `to_sql` of the row."""
    places = ", ".join("?" * len(TABLES[table][0].__struct_fields__))
    return f"INSERT OR REPLACE INTO {table} ({columns(table)}) VALUES ({places})"  # noqa: S608


def to_sql(row: msgspec.Struct) -> tuple[Any, ...]:
    """A row's values in the order of its columns."""
    return msgspec.structs.astuple(row)


def from_sql(struct: type[Row], values: tuple[Any, ...]) -> Row:
    """The struct of a row read with `columns`."""
    return msgspec.convert(dict(zip(struct.__struct_fields__, values, strict=True)), struct, strict=False)
