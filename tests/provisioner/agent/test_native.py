"""The native pieces build from their sources, and PID 1 refuses what it can't serve."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from provisioner.agent.native import build
from provisioner.agent.sandbox.command import INIT


def test_the_pieces_build_and_are_left_alone_when_built(tmp_path: Path) -> None:
    build.build(tmp_path, "cc")
    built = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert set(built) == set(build.PIECES)
    build.build(tmp_path, "cc")
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == built


def test_init_needs_nothing_of_its_root(tmp_path: Path) -> None:
    build.build(tmp_path, "cc")
    headers = subprocess.run(["readelf", "-ld", tmp_path / "hourbook-init"], capture_output=True, text=True, check=True)
    assert "INTERP" not in headers.stdout and "NEEDED" not in headers.stdout


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_compiler_that_fails_is_said(tmp_path: Path, compiler: str) -> None:
    with pytest.raises(build.BuildFailed, match="apt-get install gcc libc6-dev"):
        build.build(tmp_path, compiler)
    assert list(tmp_path.iterdir()) == []


GOOD = {
    "--instance": "x",
    "--listen-fd": "0",
    "--ready-fd": "1",
    "--log-fd": "2",
    "--connections": "4",
    "--log-bytes": "65536",
    "--processes": "100",
    "--open-files": "100",
    "--session-oom-score": "500",
}
BAD = [
    {"--listen-fd": "x"},
    {"--listen-fd": "-1"},
    {"--connections": "0"},
    {"--connections": "1025"},
    {"--log-bytes": "1"},
    {"--processes": "0"},
    {"--open-files": "3"},
    {"--session-oom-score": "1001"},
    {"--session-oom-score": "-500"},
    {"--ready-fd": "99999999999999999999"},
    {"--unknown": "1"},
]


@pytest.mark.parametrize("change", BAD, ids=lambda change: " ".join(*change.items()))
def test_init_refuses_bad_options(change: dict[str, str]) -> None:
    words = [word for pair in {**GOOD, **change}.items() for word in pair]
    done = subprocess.run([INIT, *words, "--", "/usr/bin/true"], capture_output=True, timeout=20, check=False)
    assert done.returncode == 2 and done.stderr


@pytest.mark.parametrize("missing", GOOD)
def test_init_refuses_a_missing_option(missing: str) -> None:
    words = [word for name, value in GOOD.items() if name != missing for word in (name, value)]
    done = subprocess.run([INIT, *words, "--", "/usr/bin/true"], capture_output=True, timeout=20, check=False)
    assert done.returncode == 2 and done.stderr


def test_a_newer_source_is_built_again(tmp_path: Path) -> None:
    build.build(tmp_path, "cc")
    piece = tmp_path / "hourbook-init"
    old_ns = time.time_ns() - 10**18
    os.utime(piece, ns=(old_ns, old_ns))
    build.build(tmp_path, "cc")
    assert piece.stat().st_mtime_ns > old_ns
