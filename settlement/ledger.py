"""The ledger: the book of record, a consumer of the event log.

A batch of commands enters whole or not at all: postings, balances, leases and the position change in one transaction, and
the position only if it still is what this process knew. So a repeat is skipped, and a gap, a step back or a second writer
halts the ledger. It has no opinion on money: what an event says is posted, and `settlement.verify` proves the rest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, bindparam, insert, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from engine.codec import DecodeError, decode_events
from engine.messages import Reply
from exchange.log.consumer import follow
from exchange.log.interface import LogError, LogReader, Record
from settlement import queries, statements
from settlement.database import open_reader, open_writer
from settlement.errors import LedgerHalted
from settlement.leases import LeaseRows
from settlement.postings import Posting, net, postings
from settlement.queries import Position
from settlement.tables import BALANCES, BILLS, LEASE_PRICES, LEASES, OBLIGATIONS, OUTAGES, POSITION, POSTINGS
from settlement.views import BalanceRow, Statement, TransferRow

MAX_BATCH_RECORDS: Final = 4_096
"""Commands that one transaction takes in."""

T = TypeVar("T")


class Settlement:
    """The ledger of one shard, in one file. One process writes it; any number may read."""

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self._writer = writer
        self._reader = reader
        self._lock = threading.Lock()
        self._moved = asyncio.Condition()
        self._halted = False
        with writer.connect() as connection:
            self._position = queries.position(connection)

    @classmethod
    def open(cls, path: Path) -> Settlement:
        """Open or make the ledger at `path`, bringing its schema up to date; LedgerError when it can't be used."""
        writer = open_writer(path)
        return cls(writer, open_reader(path))

    def close(self) -> None:
        """Finish the transaction that is under way, and let the file go."""
        with self._lock:
            self._reader.dispose()
            self._writer.dispose()

    def position(self) -> int:
        """Sequence of the last command in the ledger; 0 before the first."""
        return self._position.seq

    @property
    def halted(self) -> bool:
        """Whether the ledger met what must never happen; it takes nothing more in."""
        return self._halted

    def apply(self, replies: Sequence[Reply]) -> None:
        """Take in commands' events, in order, in one transaction; blocks until it is durable.

        What the ledger has is skipped. LedgerHalted (and nothing of the batch is kept) when sequence or time go back, a
        lease changes that never came to be, another writer moved the position, or the database refuses.
        """
        with self._lock:
            if self._halted:
                raise LedgerHalted("the ledger halted before; find the reason in the log and start again")
            try:
                fresh = self._fresh(replies)
                if fresh:
                    self._enter(fresh)
            except LedgerHalted:
                self._halted = True
                raise

    async def run(self, reader: LogReader) -> None:
        """Follow the event log until cancelled. LedgerHalted when the log can't be followed, or as `apply` says."""
        try:
            await follow(reader, self._position.seq, self._take, MAX_BATCH_RECORDS)
        except LogError as error:
            self._halted = True
            raise LedgerHalted(f"the ledger can't follow the event log: {error}") from error
        finally:
            # Whoever waits for a position must learn that none will come.
            async with self._moved:
                self._moved.notify_all()

    async def reached(self, seq: int, timeout_s: float) -> bool:
        """Wait until command `seq` is in the ledger; False when it isn't in time, or the ledger halted before it."""
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: self._position.seq >= seq or self._halted)
        except TimeoutError:
            return False
        return self._position.seq >= seq

    async def balances(self, account: int) -> list[BalanceRow]:
        """The account's pots that were ever touched, in micro-dollars."""
        return await asyncio.to_thread(self.read, partial(queries.balances, account=account))

    async def transfers(self, account: int, before_position: int, limit: int) -> list[TransferRow]:
        """The account's transfers before a position (0: from the newest), newest first; at most 200."""
        return await asyncio.to_thread(
            self.read, partial(queries.transfers, account=account, before_position=before_position, limit=limit)
        )

    async def statement(self, account: int, month: str) -> Statement:
        """The account's month `YYYY-MM`, UTC; ValueError for another form."""
        statements.month_bounds(month)
        return await asyncio.to_thread(self.read, partial(statements.statement, account=account, month=month))

    def read(self, question: Callable[[Connection], T]) -> T:
        """Ask in one read-only transaction; blocks."""
        with self._reader.begin() as connection:
            return question(connection)

    async def _take(self, records: list[Record]) -> None:
        await asyncio.to_thread(self._apply_records, records)
        async with self._moved:
            self._moved.notify_all()

    def _apply_records(self, records: Sequence[Record]) -> None:
        try:
            replies = [decode_events(record.seq, record.data) for record in records]
        except DecodeError as error:
            self._halted = True
            raise LedgerHalted(f"the event log holds a record that can't be read ({error}); restore the log") from error
        self.apply(replies)

    def _fresh(self, replies: Sequence[Reply]) -> list[Reply]:
        """The replies after the position; LedgerHalted unless sequence and time go forward."""
        last = Position(0, 0)
        for reply in replies:
            if reply.seq <= last.seq or reply.ts_ns < last.ts_ns:
                raise LedgerHalted(
                    f"command {reply.seq} at {reply.ts_ns} came after command {last.seq} at {last.ts_ns}: the event log goes "
                    "backwards; restore it"
                )
            last = Position(reply.seq, reply.ts_ns)
        fresh = [reply for reply in replies if reply.seq > self._position.seq]
        if fresh and fresh[0].ts_ns < self._position.ts_ns:
            raise LedgerHalted(
                f"command {fresh[0].seq} is older than command {self._position.seq}, which the ledger has: the event log is "
                "another exchange's; give the ledger's own"
            )
        return fresh

    def _enter(self, replies: Sequence[Reply]) -> None:
        made: list[Posting] = []
        leases = LeaseRows()
        try:
            for reply in replies:
                made += postings(reply)
                leases.take(reply)
            after = Position(replies[-1].seq, replies[-1].ts_ns)
            with self._writer.begin() as connection:
                _move(connection, self._position, after)
                _post(connection, made)
                _keep_leases(connection, leases)
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            raise LedgerHalted(
                f"commands {replies[0].seq} to {replies[-1].seq} can't be entered in the ledger ({error}); none of them was. "
                "Free disk space if it is full, and start again"
            ) from error
        self._position = after


def _move(connection: Connection, expected: Position, after: Position) -> None:
    """Move the position, if it is what this process knew; LedgerHalted when another writer moved it."""
    moved = connection.execute(
        update(POSITION).where(POSITION.c.seq == expected.seq).values(seq=after.seq, ts_ns=after.ts_ns)
    )
    if moved.rowcount != 1:
        raise LedgerHalted(
            f"the ledger isn't at command {expected.seq} any more: another process writes it; stop that one, and start again"
        )


def _post(connection: Connection, made: Sequence[Posting]) -> None:
    if not made:
        return
    connection.execute(insert(POSTINGS), [posting._asdict() for posting in made])
    statement = upsert(BALANCES)
    statement = statement.on_conflict_do_update(
        index_elements=[BALANCES.c.account, BALANCES.c.pot],
        set_={"amount_micros": BALANCES.c.amount_micros + statement.excluded.amount_micros},
    )
    changes: list[dict[str, Any]] = [
        {"account": key.account, "pot": key.pot, "amount_micros": amount} for key, amount in net(made).items()
    ]
    connection.execute(statement, changes)


def _keep_leases(connection: Connection, leases: LeaseRows) -> None:
    if leases.added:
        connection.execute(insert(LEASES), list(leases.added.values()))
    # Rows of one execution have the same columns: those of another set of them go apart.
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in leases.changed.values():
        alike.setdefault(tuple(sorted(row)), []).append({"changed_id": row.pop("lease_id"), **row})
    for rows in alike.values():
        changed = connection.execute(update(LEASES).where(LEASES.c.lease_id == bindparam("changed_id")), rows)
        if changed.rowcount != len(rows):
            raise LedgerHalted(
                f"{len(rows) - changed.rowcount} of {len(rows)} leases changed without having been scheduled: the event log "
                "lacks records; restore it"
            )
    if leases.bills:
        connection.execute(insert(BILLS), leases.bills)
    if leases.outages:
        # One may be reported again.
        connection.execute(upsert(OUTAGES).on_conflict_do_nothing(), leases.outages)
    if leases.prices:
        statement = upsert(LEASE_PRICES)
        statement = statement.on_conflict_do_update(
            index_elements=[LEASE_PRICES.c.lease_id, LEASE_PRICES.c.from_ns],
            set_={"price_ticks": statement.excluded.price_ticks},
        )
        connection.execute(statement, list(leases.prices.values()))
    if leases.obligations:
        statement = upsert(OBLIGATIONS)
        said = {name: statement.excluded[name] for name in leases.obligation_columns}
        statement = statement.on_conflict_do_update(index_elements=[OBLIGATIONS.c.obligation_id], set_=said)
        connection.execute(statement, list(leases.obligations.values()))
