"""The job bench on traces so small that every figure can be reckoned by hand: 16 GPUs at $2.00, two Barons of 8."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench import jobs
from bench.common.report import Row
from bench.simulation.books import Books
from bench.simulation.rentals import LIMITS
from bench.simulation.trace import read_jobs
from engine.messages import Deposit
from settlement.verify import Proof

TRACE = """timestamp,duration,num_gpus,gpu_time,cluster
2024-01-31 23:30:00,1800,8,14400,beta
2024-01-31 23:00:00,7200,4,28800,alpha
2024-01-31 23:10:00,5400,10,54000,beta
2024-01-31 23:59:59,600,2,1200,alpha
2024-02-01 00:00:00,600,2,1200,alpha
2024-02-01 00:40:00,36,12,432,alpha
2024-02-01 03:00:00,10000000,1,10000000,gamma
2024-02-01 04:00:00,36,17,612,gamma
"""
# alpha: 4 GPUs for 2 h is $16. beta: 10 for 1.5 h is $30; then 8 are asked for and 2 are free. alpha: 2 for the hour that
# 600 s cost is $4, leaving nothing; a second later 2 more find none. At 00:40 10 of 16 are free again but 4 of alpha's run
# on, so 12 are there: $24 for its hour. gamma asks for 2,778 hours, then for more GPUs than there are.
EXPECTED: dict[str, object] = {
    "jobs": 8,
    "jobs served": 4,
    "jobs refused": 4,
    "jobs served by more than one Baron": 2,
    "refused: invalid_hours": 1,
    "refused with fewer GPUs free than asked for": 3,
    "refused for a term above 2160 h": 1,
    "GPU-time served + refused": "10,100,644",
    "GPU-hours billed": 37.0,
    "peak of GPUs leased": 16,
    "spend of organisation alpha": "44.220000",
    "spend of organisation beta": "30.150000",
    "spend of organisation gamma": "0.000000",
    "usage in all statements": "74.000000",
    "fees in all statements": "0.370000",
    "leases still running": 0,
    "ledger's proof: differences": 0,
}
VARIES = ("commands/s", "time", "ledger's share", "machine")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return path


def rows_of(folder: Path, trace: Path) -> list[Row]:
    folder.mkdir()
    books = Books(folder / "ledger.db", LIMITS)
    try:
        return jobs.run(books, read_jobs(trace), 16, 20_000)
    finally:
        books.close()


def test_figures_are_those_reckoned_by_hand(tmp_path: Path, trace: Path) -> None:
    rows = {row.name: row for row in rows_of(tmp_path / "run", trace)}
    assert {name: rows[name].value for name in EXPECTED} == EXPECTED
    assert all(row.met is not False for row in rows.values())


def test_the_same_data_gives_the_same_numbers(tmp_path: Path, trace: Path) -> None:
    runs = [rows_of(tmp_path / name, trace) for name in ("one", "two")]
    first, second = ([row for row in rows if not row.name.startswith(VARIES)] for rows in runs)
    assert len(first) > 20
    assert first == second


def test_the_command_writes_json(tmp_path: Path, trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert jobs.main(["--data", str(trace), "--gpus", "16", "--quick", "--json", str(out)]) == 0
    made = {row["name"]: row["value"] for row in msgspec.json.decode(out.read_bytes())["rows"]}
    assert made["jobs served"] == 4
    assert "ledger's proof: differences" in capsys.readouterr().out


def test_money_that_the_ledger_never_saw_fails_the_bench(
    tmp_path: Path, trace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prove = Books.prove

    def prove_after_a_hidden_deposit(books: Books) -> Proof:
        books.flush()
        machine = books.machine
        machine.apply(machine.last_seq + 1, machine.last_ts_ns, Deposit(account=2, amount_micros=1, client_id="x"))
        return prove(books)

    monkeypatch.setattr(Books, "prove", prove_after_a_hidden_deposit)
    assert jobs.main(["--data", str(trace), "--gpus", "16"]) == 1
    assert "MISSED: ledger's proof" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", TRACE.splitlines()[0] + "\n", TRACE + "nonsense\n"])
def test_data_that_cannot_be_used_is_refused(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    assert jobs.main(["--data", str(path)]) == 2
    assert "bad.csv" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--gpus", "0"], ["--gpus", "8193"], ["--price", "2.00001"], ["--price", "0"]])
def test_options_out_of_range_are_refused(trace: Path, option: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        jobs.main(["--data", str(trace), *option])
    assert ended.value.code == 2
