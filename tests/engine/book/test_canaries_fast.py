"""Each bug in the fast book's own sources is caught, in a bounded run; the build without one passes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.book.canaries_fast import NAMES, NOBODY, build
from tests.engine.book.differential_sanitized import ROOT

PROGRAM = "tests.engine.book.canaries_fast"
RUN_S = 200


@pytest.fixture(scope="module")
def library() -> Path:
    return build()


def led(library: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", "-m", PROGRAM, str(library), name]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_S, check=False)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", NAMES)
def test_it_is_caught(library: Path, name: str) -> None:
    done = led(library, name)
    assert done.returncode == 0, f"{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}"
    assert done.stdout.strip() != ""


@pytest.mark.timeout(1_800)
def test_without_a_bug_the_same_build_passes(library: Path) -> None:
    done = led(library, NOBODY)
    assert done.returncode == 0, f"{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}"


def test_the_book_in_use_has_none() -> None:
    assert not hasattr(importlib.import_module("engine.book_fast"), "choose_canary")
    assert not [
        path.name for path in (ROOT / "engine").rglob("*.p[xy]*") if "CANARY" in path.read_text(errors="replace")
    ]
