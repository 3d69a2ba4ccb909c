"""The ledger as a consumer: whole batches, repeats skipped, and a loud halt for what must never happen."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from engine.codec import encode_events
from engine.kinds import EndReason, LeaseState, Pot, TransferCode
from engine.messages import EXCHANGE_ACCOUNT, LeaseChanged, Reply, Transfer
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import LogWriter, Record
from settlement import queries
from settlement.errors import LedgerError, LedgerHalted
from settlement.ledger import Settlement
from settlement.postings import PotKey
from settlement.views import BalanceRow, TransferRow
from tests.settlement.conftest import OpenLedger
from tests.settlement.made import ACCOUNTS, START_NS, deposit, histories, transfer


def whole(account: int) -> Callable[[Connection], list[TransferRow]]:
    return partial(queries.transfers, account=account, before_position=0, limit=queries.MAX_PAGE)


def expected_balances(history: list[Reply]) -> dict[PotKey, int]:
    """Counted one transfer at a time."""
    balances: Counter[PotKey] = Counter()
    for reply in history:
        for event in reply.events:
            if isinstance(event, Transfer):
                balances[PotKey(event.debit_account, event.debit_pot)] -= event.amount_micros
                balances[PotKey(event.credit_account, event.credit_pot)] += event.amount_micros
    return dict(balances)


@settings(max_examples=25)
@given(history=histories(), data=st.data())
def test_any_batches_with_any_repeats_give_the_same_ledger(history: list[Reply], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        ledger = Settlement.open(path)
        start = 0
        while start < len(history):
            again = data.draw(st.integers(0, start), label="from")
            end = data.draw(st.integers(start + 1, len(history)), label="to")
            ledger.apply(history[again:end])
            if data.draw(st.booleans(), label="reopen"):
                ledger.close()
                ledger = Settlement.open(path)
            assert ledger.position() == history[end - 1].seq
            start = end
        assert ledger.read(queries.all_balances) == expected_balances(history)
        seen = {row.position for account in (0, *ACCOUNTS) for row in ledger.read(whole(account))}
        assert len(seen) == sum(isinstance(event, Transfer) for reply in history for event in reply.events)
        ledger.close()


async def test_transfers_page_from_the_newest(ledger: Settlement) -> None:
    ledger.apply([deposit(seq, 1 + seq % 2, seq) for seq in range(1, 42)])
    hold = transfer(PotKey(1, Pot.AVAILABLE), PotKey(1, Pot.HELD), 1, TransferCode.HOLD, 9)
    ledger.apply([Reply(42, START_NS, (hold,))])
    pages = []
    before = 0
    while page := await ledger.transfers(1, before, 3):
        pages.append(page)
        before = page[-1].position
    amounts = [row.amount_micros for page in pages for row in page]
    assert amounts == [1, *range(40, 0, -2)]
    assert all(len(page) == 3 for page in pages[:-1])


async def test_a_page_is_never_longer_than_its_limit(ledger: Settlement) -> None:
    ledger.apply([deposit(seq, 1, seq) for seq in range(1, 260)])
    assert len(await ledger.transfers(1, 0, 10**9)) == queries.MAX_PAGE
    assert len(await ledger.transfers(1, 0, 0)) == 1
    assert len(await ledger.transfers(1, 2**70, 5)) == 5
    assert await ledger.transfers(1, -1, 5) == []


async def test_an_account_that_never_was_has_nothing(ledger: Settlement) -> None:
    assert await ledger.balances(77) == []
    assert await ledger.transfers(77, 0, 10) == []


HALTS = {
    "sequence stands still": [deposit(5, 1, 1), deposit(5, 1, 1)],
    "sequence goes back": [deposit(6, 1, 1), deposit(5, 1, 1)],
    "time goes back": [deposit(5, 1, 1), deposit(6, 1, 1, START_NS - 1)],
    "time goes back behind the ledger": [deposit(5, 1, 1, START_NS - 1)],
    "a lease changes that never was": [
        Reply(
            5,
            START_NS,
            (
                LeaseChanged(
                    lease_id=9,
                    renter=1,
                    provider=2,
                    baron=3,
                    state=LeaseState.ACTIVE,
                    reason=EndReason.NONE,
                    active_ns=START_NS,
                    ended_ns=0,
                    charged_micros=0,
                    wiped=False,
                    access=b"",
                    detail="",
                ),
            ),
        )
    ],
    "more than int64 of money": [deposit(5, 1, 2**62), deposit(6, 2, 2**62), deposit(7, 3, 2**62)],
    "an index out of range": [Reply(5, START_NS, deposit(5, 1, 1).events * 70_000)],
}


@pytest.mark.parametrize("name", HALTS)
def test_what_must_never_happen_halts_and_keeps_nothing(ledger: Settlement, name: str) -> None:
    ledger.apply([deposit(4, 1, 10)])
    with pytest.raises(LedgerHalted):
        ledger.apply(HALTS[name])
    assert ledger.halted
    assert ledger.position() == 4
    assert ledger.read(queries.position).seq == 4
    assert ledger.read(queries.all_balances) == {PotKey(EXCHANGE_ACCOUNT, Pot.CASH): -10, PotKey(1, Pot.AVAILABLE): 10}
    with pytest.raises(LedgerHalted, match="halted before"):
        ledger.apply([deposit(9, 1, 1)])


def test_a_second_writer_halts_the_first(open_ledger: OpenLedger, tmp_path: Path) -> None:
    first = open_ledger(tmp_path / "ledger.db")
    second = open_ledger(tmp_path / "ledger.db")
    second.apply([deposit(1, 1, 1)])
    with pytest.raises(LedgerHalted, match="another process"):
        first.apply([deposit(1, 1, 1)])
    assert second.read(queries.all_balances)[PotKey(1, Pot.AVAILABLE)] == 1


def test_a_file_that_is_no_ledger_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(LedgerError, match="built anew from the event log"):
        Settlement.open(path)


def test_a_schema_of_a_later_version_is_refused(open_ledger: OpenLedger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(LedgerError, match="9999"):
        Settlement.open(path)


def record(reply: Reply) -> Record:
    return Record(reply.seq, encode_events(reply.ts_ns, reply.events))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[LogWriter]:
    """An event log on real files, with two commands in it."""
    writer = await EmbeddedLog(tmp_path).open_writer(0, "events")
    await writer.append([record(deposit(1, 1, 10)), record(deposit(3, 1, 20))])
    yield writer
    await writer.close()


async def test_it_follows_the_log_and_tells_who_waits(ledger: Settlement, log: LogWriter) -> None:
    run = asyncio.create_task(ledger.run(log))
    try:
        assert await ledger.reached(3, 30)
        assert not await ledger.reached(4, 0.01)
        waiting = asyncio.create_task(ledger.reached(7, 30))
        await log.append([record(deposit(7, 1, 5))])
        assert await waiting
        assert await ledger.balances(1) == [BalanceRow(pot=Pot.AVAILABLE, amount_micros=35)]
    finally:
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


BAD_RECORDS = {
    "unreadable": Record(9, b"\x01junk"),
    "empty": Record(9, b""),
    "older than the one before": record(deposit(9, 1, 1, START_NS - 1)),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
async def test_a_bad_record_halts_and_releases_who_waits(ledger: Settlement, log: LogWriter, name: str) -> None:
    run = asyncio.create_task(ledger.run(log))
    assert await ledger.reached(3, 30)
    waiting = asyncio.create_task(ledger.reached(20, 30))
    await log.append([BAD_RECORDS[name]])
    with pytest.raises(LedgerHalted):
        await run
    assert not await waiting
    assert ledger.halted
    assert ledger.position() == 3


async def test_a_log_that_ends_before_the_ledger_halts_it(ledger: Settlement, log: LogWriter) -> None:
    ledger.apply([deposit(9, 1, 10)])
    with pytest.raises(LedgerHalted, match="ends at 3"):
        await ledger.run(log)
    assert ledger.halted
