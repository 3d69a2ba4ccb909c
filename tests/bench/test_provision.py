"""The provisioning bench itself: a real exchange, a real ssh, and nothing left of either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN_S = 110


def _run(*arguments: str, tmp: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", "provision", *arguments],
        env={**os.environ, "TMPDIR": str(tmp)},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def test_a_rental_is_measured_to_its_remote_command_and_nothing_is_left(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    folder = tmp_path / "run"
    folder.mkdir()
    done = _run("--rentals", "1", "--json", str(figures), tmp=folder)
    # 1 is a goal missed on a busy machine: the figures are there all the same.
    assert done.returncode in (0, 1), done.stderr
    made = json.loads(figures.read_bytes())
    values = {row["name"]: row["value"] for row in made["rows"]}
    assert values["rentals"] == 1
    in_order = [
        values["of that: POST /rentals answered, durable, p50"],
        values["of that: lease active, p50"],
        values["POST /rentals to first remote command, p50"],
    ]
    assert 0 < in_order[0] < in_order[1] < in_order[2]
    bare_s = values["bare: sandbox started to first remote command, p50"]
    assert values["rental / bare sandbox and ssh"] == pytest.approx(in_order[2] / bare_s)
    assert list(folder.iterdir()) == []
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    left = [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if str(folder) in _words(entry)]
    assert left == []


@pytest.mark.parametrize("count", ["0", "-1", "10001", "many"])
def test_a_count_that_makes_no_sense_is_refused(count: str, tmp_path: Path) -> None:
    done = _run("--rentals", count, tmp=tmp_path)
    assert done.returncode == 2
    assert "--rentals" in done.stderr


def _words(cmdline: Path) -> str:
    try:
        return cmdline.read_bytes().decode(errors="replace")
    except OSError:
        return ""
