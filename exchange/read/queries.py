"""The read models' questions in SQL: every one answered from an index, pages by id, newest first.

Blocking, on a read-only connection that one thread uses at a time. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

import apsw
import msgspec

from engine.kinds import Kind, Origin
from engine.messages import Offer
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

PAGE_MAX: Final = 200
_NEWEST: Final = 2**63 - 1

Row = TypeVar("Row", bound=msgspec.Struct)


class Snapshot(msgspec.Struct, frozen=True):
    """What lives at one position: the start of whoever keeps it in memory from there on."""

    seq: int
    ts_ns: int
    instruments: list[InstrumentRow]
    orders: list[OrderRow]
    leases: list[LeaseRow]
    barons: list[BaronRow]
    last_prices: dict[int, int] = {}
    """By listed forward, of those that have traded."""


class Queries:
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def snapshot(self) -> Snapshot:
        """Listed instruments, live orders, leases that aren't wiped and all Barons, as of one position."""
        with self._connection:
            position = self._connection.execute("SELECT seq, ts_ns FROM position").fetchone()
            # A lease outlives the forward that it was bought as.
            leased = "instrument IN (SELECT instrument FROM leases WHERE wiped = 0)"
            where = f"{schema.LISTED} OR {leased} ORDER BY instrument"
            instruments = self._rows("instruments", InstrumentRow, where, ())
            last_prices = dict(self._last_prices())
            orders = self._rows("orders", OrderRow, f"{schema.LIVE_ORDER} ORDER BY order_id", ())
            leases = self._rows("leases", LeaseRow, "wiped = 0 ORDER BY lease_id", ())
            barons = self._rows("barons", BaronRow, "true ORDER BY baron", ())
        seq, ts_ns = msgspec.convert(position, tuple[int, int])
        return Snapshot(seq, ts_ns, instruments, orders, leases, barons, last_prices)

    def instruments(self, sku: str = "", region: str = "", kind: Kind | None = None) -> list[InstrumentRow]:
        wanted = {"sku": sku, "region": region, "kind": kind}
        given = {column: value for column, value in wanted.items() if value}
        where = " AND ".join([schema.LISTED, *(f"{column} = ?" for column in given)])
        return self._rows("instruments", InstrumentRow, f"{where} ORDER BY instrument", tuple(given.values()))

    def instrument(self, instrument: int) -> InstrumentRow | None:
        return self._one("instruments", InstrumentRow, "instrument = ?", (instrument,))

    def instrument_of(self, symbol: str) -> InstrumentRow | None:
        """The newest of that symbol."""
        return self._one("instruments", InstrumentRow, "symbol = ? ORDER BY instrument DESC LIMIT 1", (symbol,))

    def order(self, order_id: int) -> OrderRow | None:
        return self._one("orders", OrderRow, "order_id = ?", (order_id,))

    def order_by_client_id(self, account: int, client_order_id: str) -> OrderRow | None:
        """The newest order of that client id: an id may come again once the engine has forgotten it (§5)."""
        if not client_order_id:
            return None
        # The word about '' is what the partial index asks for.
        where = "account = ? AND client_order_id = ? AND client_order_id <> '' ORDER BY order_id DESC LIMIT 1"
        return self._one("orders", OrderRow, where, (account, client_order_id))

    def orders(self, account: int, open_only: bool, before_id: int, limit: int) -> list[OrderRow]:
        return self._page(
            "orders", OrderRow, "account = ?", account, schema.LIVE_ORDER if open_only else "", before_id, limit
        )

    def trades(self, instrument: int, before_id: int, limit: int) -> list[TradeRow]:
        return self._page("trades", TradeRow, "instrument = ?", instrument, "", before_id, limit)

    def lease(self, lease_id: int) -> LeaseRow | None:
        return self._one("leases", LeaseRow, "lease_id = ?", (lease_id,))

    def leases(self, account: int, as_provider: bool, open_only: bool, before_id: int, limit: int) -> list[LeaseRow]:
        whose = "provider = ?" if as_provider else "renter = ?"
        return self._page("leases", LeaseRow, whose, account, schema.OPEN_LEASE if open_only else "", before_id, limit)

    def leases_of_order(self, order_id: int) -> list[LeaseRow]:
        return self._rows("leases", LeaseRow, "order_id = ? ORDER BY lease_id", (order_id,))

    def obligation(self, obligation_id: int) -> ObligationRow | None:
        return self._one("obligations", ObligationRow, "obligation_id = ?", (obligation_id,))

    def obligations(
        self, account: int, as_provider: bool, live_only: bool, before_id: int, limit: int
    ) -> list[ObligationRow]:
        whose = "provider = ?" if as_provider else "holder = ?"
        also = schema.LIVE_OBLIGATION if live_only else ""
        return self._page("obligations", ObligationRow, whose, account, also, before_id, limit)

    def owed(self, account: int) -> list[ObligationRow]:
        where = f"holder = ? AND {schema.LIVE_OBLIGATION} ORDER BY obligation_id"
        return self._rows("obligations", ObligationRow, where, (account,))

    def offers(self, account: int) -> list[Offer]:
        found = self._connection.execute("SELECT offers FROM offers WHERE account = ?", (account,)).fetchone()
        return [] if found is None else msgspec.msgpack.decode(found[0], type=list[Offer])

    def offer_asks(self, account: int) -> list[OrderRow]:
        """Live asks that were placed for the account's offers: at most one each."""
        where = f"account = ? AND origin = ? AND {schema.LIVE_ORDER} ORDER BY order_id"
        return self._rows("orders", OrderRow, where, (account, int(Origin.OFFER)))

    def account_limits(self, account: int) -> AccountLimitsRow | None:
        return self._one("account_limits", AccountLimitsRow, "account = ?", (account,))

    def baron(self, baron: int) -> BaronRow | None:
        return self._one("barons", BaronRow, "baron = ?", (baron,))

    def barons(self, provider: int, before_id: int, limit: int) -> list[BaronRow]:
        return self._page("barons", BaronRow, "provider = ?", provider, "", before_id, limit)

    def _last_prices(self) -> Iterator[tuple[int, int]]:
        """(instrument, ticks) of the last trade in each listed forward that has any."""
        newest = "SELECT price_ticks FROM trades WHERE instrument = ? ORDER BY trade_id DESC LIMIT 1"
        for forward in self.instruments(kind=Kind.FORWARD):
            for (price_ticks,) in self._connection.execute(newest, (forward.instrument,)):
                yield forward.instrument, msgspec.convert(price_ticks, int)

    def _page(
        self, table: str, struct: type[Row], whose: str, owner: int, also: str, before_id: int, limit: int
    ) -> list[Row]:
        key = schema.TABLES[table][1]
        where = " AND ".join(filter(None, (whose, also, f"{key} < ?")))
        bound = before_id or _NEWEST
        return self._rows(
            table, struct, f"{where} ORDER BY {key} DESC LIMIT ?", (owner, bound, max(1, min(limit, PAGE_MAX)))
        )

    def _one(self, table: str, struct: type[Row], where: str, values: tuple[Any, ...]) -> Row | None:
        return next(iter(self._rows(table, struct, where, values)), None)

    def _rows(self, table: str, struct: type[Row], where: str, values: tuple[Any, ...]) -> list[Row]:
        statement = f"SELECT {schema.columns(table)} FROM {table} WHERE {where}"  # noqa: S608
        return [schema.from_sql(struct, found) for found in self._connection.execute(statement, values)]

    def close(self) -> None:
        self._connection.close()
