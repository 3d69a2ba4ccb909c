"""What `make` asks of the system before each chore, as somebody meets it whose system has next to nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT

SHELL = ("sh", "dirname", "id")
SSH = ("ssh", "scp", "sftp", "ssh-keygen")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs to be the whole PATH: a shell's few, and an apt-get and a sudo that only write down their words."""
    for name in SHELL:
        found = shutil.which(name)
        assert found is not None, name
        (tmp_path / name).symlink_to(found)
    said = tmp_path / "said"
    said.touch()
    give(tmp_path, "apt-get", f'echo "$*" >>{said}')
    give(tmp_path, "sudo", f'[ "$*" = "-n true" ] || echo "sudo $*" >>{said}')
    return tmp_path


def give(folder: Path, name: str, text: str = "exit 0") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def asked(bare: Path, chore: str) -> tuple[int, set[str]]:
    """The exit code, and the packages that apt was asked for."""
    done = subprocess.run(
        [ROOT / ".ci" / "system-packages", chore],
        env={"PATH": str(bare)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    installs = [line.partition("--no-install-recommends")[2] for line in (bare / "said").read_text().splitlines()]
    return done.returncode, set(" ".join(installs).split())


def test_the_build_wants_a_compiler_and_a_python(bare: Path) -> None:
    assert asked(bare, "build") == (1, {"gcc", "libc6-dev", "python3", "python3-venv", "python3-dev"})


def test_beside_a_python_that_is_too_old_it_wants_a_newer_one(bare: Path) -> None:
    give(bare, "cc")
    give(bare, "python3", "exit 1")
    assert asked(bare, "build") == (1, {"python3.11", "python3.11-venv", "python3.11-dev"})


def test_the_demo_wants_what_its_story_runs_and_no_browser(bare: Path) -> None:
    assert asked(bare, "demo") == (1, {"curl", "openssh-client"})


def test_the_tests_want_a_browser_as_well(bare: Path) -> None:
    assert asked(bare, "test") == (1, {"curl", "openssh-client", "chromium"})


def test_where_all_is_there_apt_is_asked_for_nothing(bare: Path) -> None:
    for name in ("curl", *SSH):
        give(bare, name)
    assert asked(bare, "demo") == (0, set())


@pytest.mark.parametrize("chore", ["demo", "test"])
def test_each_chore_sees_to_its_own_packages(chore: str) -> None:
    dry = subprocess.run(["make", "-n", chore], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert f".ci/system-packages {chore}" in dry.stdout.splitlines()
