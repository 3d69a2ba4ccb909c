"""The ledger's file: its schema is the one that queries use, one connection writes, and a kill costs nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, delete, select
from sqlalchemy.exc import OperationalError

from engine.kinds import Pot
from settlement import queries
from settlement.database import open_reader, open_writer
from settlement.ledger import Settlement
from settlement.postings import PotKey
from settlement.tables import LEASES, METADATA, POSTINGS
from settlement.verify import EngineState, ledger_moment
from tests.settlement.conftest import OpenLedger
from tests.settlement.made import START_NS
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


def test_migrations_make_the_tables_that_queries_use(tmp_path: Path) -> None:
    engine = open_writer(tmp_path / "ledger.db")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        durability = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    engine.dispose()
    assert durability == ["wal", 2]


def test_a_ledger_of_before_is_brought_up_to_date_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(ROOT / "settlement" / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "insert into leases values (7, 3, 1, 2, 20000, 5, 0, 60, 5000, 0, 5, 7, 6, 9, 66, 1)"
        )
    engine.dispose()
    writer = open_writer(path)
    with writer.connect() as connection:
        row = connection.execute(select(LEASES)).one()
        assert (row.lease_id, row.charged_micros, row.ends_ns) == (7, 66, 0)
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    writer.dispose()


def test_readers_cannot_write(open_ledger: OpenLedger, tmp_path: Path) -> None:
    open_ledger(tmp_path / "ledger.db")
    reader = open_reader(tmp_path / "ledger.db")
    with pytest.raises(OperationalError, match="readonly"), reader.begin() as connection:
        connection.execute(delete(POSTINGS))
    reader.dispose()


def test_opening_again_changes_nothing(open_ledger: OpenLedger, tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "ledger%20?.db"
    open_ledger(path).close()
    before = path.read_bytes()
    open_ledger(path).close()
    assert path.read_bytes() == before


WRITER = """
import itertools, sys
from pathlib import Path
from settlement.ledger import Settlement
from tests.settlement.made import deposit

ledger = Settlement.open(Path(sys.argv[1]))
for first in itertools.count(ledger.position() + 1, 7):
    ledger.apply([deposit(seq, 1, seq) for seq in range(first, first + 7)])
"""


def test_a_killed_ledger_has_whole_batches_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    seq = 0
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT)
        try:
            wait_until(partial(has_grown, path, seq), "a batch in the ledger")
        finally:
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
        ledger = Settlement.open(path)
        assert ledger.position() > seq
        seq = ledger.position()
        total = seq * (seq + 1) // 2
        assert seq % 7 == 0
        assert ledger.read(queries.all_balances)[PotKey(1, Pot.AVAILABLE)] == total
        ledger.close()
        balances = [(0, Pot.CASH, -total), (1, Pot.AVAILABLE, total)]
        with ledger_moment(path) as moment:
            assert moment.prove(EngineState(seq=seq, ts_ns=START_NS, next_due_ns=None, balances=balances)).holds


def has_grown(path: Path, seq: int) -> bool:
    """Whether the ledger at `path` is past a command; not while its file or its tables are still being made."""
    if not path.is_file():
        return False
    reader = open_reader(path)
    try:
        with reader.begin() as connection:
            return queries.position(connection).seq > seq
    except OperationalError as error:
        if "no such table" in str(error):
            return False
        raise
    finally:
        reader.dispose()
