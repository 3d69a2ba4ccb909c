"""The figures' two forms, and the exit status that says whether a goal was missed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main, names
from bench.common.report import Report, Row, exactly, publish, report, table

ROOT = Path(__file__).resolve().parents[2]
ROWS = [Row("rate", 12_345.6, "1/s"), Row("share", 0.25, "%"), exactly("sum", 0, "USD", 0, "zero"), Row("name", "x")]


def test_table_is_markdown_with_every_figure() -> None:
    lines = table(Report("m", "d", "c", ROWS)).splitlines()
    assert lines[0] == "m; d; commit c"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:] if "---" not in line]
    assert cells == [
        ["figure", "value", "unit", "goal", "against"],
        ["rate", "12,346", "1/s", "", ""],
        ["share", "0.25", "%", "", ""],
        ["sum", "0", "USD", "0 met", "zero"],
        ["name", "x", "", "", ""],
    ]
    assert len({len(line) for line in lines[2:]}) == 1


def test_json_is_the_promised_form(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.json"
    assert publish(report(ROWS), path) == 0
    made = msgspec.json.decode(path.read_bytes())
    assert list(made) == ["machine", "date", "commit", "rows"]
    assert all(made[name] for name in ("machine", "date", "commit"))
    assert [list(row) for row in made["rows"]] == [["name", "value", "unit", "goal", "met", "against"]] * len(ROWS)
    assert made["rows"][0]["goal"] is None


def test_a_missed_goal_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(report([*ROWS, exactly("all", 1, "jobs", 2, "")]), None) == 1
    assert "MISSED: all is 1 jobs, and should be 2" in capsys.readouterr().err


def test_the_runner_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert "jobs" in names()
    assert main([]) == 0
    assert "A trace of real GPU jobs" in capsys.readouterr().out
    assert main(["none"]) == 2
    assert "no bench 'none'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["bench", "jobs"], ["bench.jobs"]])
def test_both_ways_to_run_are_the_same(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--data", "none.csv"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "none.csv" in done.stderr
