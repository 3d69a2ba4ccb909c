"""The fast book under AddressSanitizer and UBSan: the random lives, with every byte watched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.book.differential_sanitized import ROOT, build, run

PROGRAM = "tests.engine.book.differential_sanitized"
COMMANDS = 20_000
SEEDS = ("31", "32", "33", "34")
CROWD = 20_000
"""Orders that stand at once, at least."""
RUN_S = 300


@pytest.fixture(scope="module")
def library() -> Path:
    return build()


@pytest.mark.timeout(1_800)
def test_no_byte_is_read_or_written_where_none_should_be(library: Path) -> None:
    done = run(library, PROGRAM, str(COMMANDS), *SEEDS, timeout_s=RUN_S)
    assert done.returncode == 0, f"{done.stdout[-8_000:]}\n{done.stderr[-8_000:]}"
    *played, crowd, last = done.stdout.splitlines()
    assert (played, last) == ([f"seed {seed}" for seed in SEEDS], "sanitized and equal")
    assert int(crowd.removeprefix("a crowd of ").replace(",", "")) > CROWD
    assert "runtime error" not in done.stderr


@pytest.mark.timeout(1_800)
def test_it_is_the_sanitized_build_that_runs(tmp_path: Path) -> None:
    """Where there is none, the build in use is found and refused: the check above can't pass by mistake."""
    plain = subprocess.run(
        [sys.executable, "-m", PROGRAM, str(tmp_path), "1", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert plain.returncode != 0
    assert "isn't the sanitized build" in plain.stderr


@pytest.mark.timeout(1_800)
def test_a_write_behind_the_end_is_caught(library: Path) -> None:
    done = run(library, PROGRAM, str(COMMANDS), timeout_s=RUN_S)
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
