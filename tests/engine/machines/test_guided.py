"""The engine that servers run: compiled by what a market's day was seen to take, it is the same machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import pytest

from bench.machines.flow import Fetch, logged, mixed, played
from engine.compiled.batch import GUIDED
from engine.halves import PLAIN, compiled_half
from engine.limits import Limits
from engine.machine import Machine

ROOT: Final = Path(__file__).resolve().parents[3]
PARTS: Final = (
    "engine",
    "bench",
    "tests",
    "provisioner",
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "Makefile",
    ".ci",
)
ORDERS: Final = 1_000
ACCOUNTS: Final = 50
BUILD_S: Final = 1_100
OURS: Final = ("MAKE", "MFLAGS", "HOURBOOK_", "CFLAGS")


def life() -> tuple[Machine, list[Fetch]]:
    """The law's machine amid a market, and the records that it is to play."""
    flow = mixed(ORDERS, ACCOUNTS)
    machine = PLAIN.machine(0, Limits())
    played(machine, flow.opening)
    return machine, logged(flow.steps)


def ending(machine: Machine, fetches: Sequence[Fetch]) -> str:
    """All that a machine says of the records, and what it ends in."""
    said = blake2b(digest_size=16)
    for records in fetches:
        for told in machine.batch(records, machine.last_seq + 1):
            said.update(len(told).to_bytes(4, "big") + told)
    return f"{said.hexdigest()} {machine.state_hash()}"


def told() -> None:
    """Of the engine that is imported: whether it is guided, and how the life ends."""
    machine, fetches = life()
    sys.stdout.write(f"{GUIDED} {ending(compiled_half().restored(machine.snapshot()), fetches)}")


@pytest.mark.timeout(BUILD_S + 100)
def test_make_guided_builds_the_law(tmp_path: Path) -> None:
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy2(ROOT / name, tmp_path / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    # The environment is this one, and stays as it is.
    make = ["nice", "make", "-o", f"{sys.prefix}/.installed", "guided", f"VENV={sys.prefix}"]
    build = subprocess.Popen(
        make,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = build.communicate(timeout=BUILD_S)
    except subprocess.TimeoutExpired:
        os.killpg(build.pid, signal.SIGKILL)
        raise
    assert build.returncode == 0, said
    tell = [sys.executable, "-c", f"from {__name__} import told; told()"]
    found = subprocess.run(tell, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout == f"True {ending(*life())}"
