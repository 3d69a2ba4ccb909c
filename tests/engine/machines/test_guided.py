"""The engine that servers run: compiled by what a market's day was seen to take, it is the same machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machines.flow import batched_s, logged, mixed, opened

ROOT = Path(__file__).resolve().parents[3]
PARTS = (
    "engine",
    "bench",
    "provisioner",
    "clients",
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "Makefile",
    ".ci",
)
ORDERS, ACCOUNTS = 400, 50
PLAYED = f"""
from bench.machines.flow import batched_s, logged, mixed, opened
from engine.compiled.batch import GUIDED
flow = mixed({ORDERS}, {ACCOUNTS})
machine = opened(flow)
batched_s(machine, logged(flow.steps))
print(GUIDED, machine.state_hash())
"""


@pytest.mark.timeout(1_200)
def test_make_guided_builds_the_same_machine(tmp_path: Path) -> None:
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy2(ROOT / name, tmp_path / name)
    venv = Path(sys.prefix)
    # The environment is this one, and stays as it is.
    make = ["make", "-C", str(tmp_path), "-o", f"{venv}/.installed", "guided", f"VENV={venv}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(make, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = subprocess.run(
        [sys.executable, "-c", PLAYED], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    flow = mixed(ORDERS, ACCOUNTS)
    machine = opened(flow)
    batched_s(machine, logged(flow.steps))
    assert told == f"True {machine.state_hash()}\n"
