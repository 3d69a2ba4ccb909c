"""The demo's children: stopped by pid, and what a killed demo left is found again, but never a stranger's pid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exchange.monarch.demo.processes import ChildFailed, Children
from tests.waiting import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_stop_ends_it_and_its_log_stays(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.start("talker", [sys.executable, "-c", "print('hello', flush=True); import time; time.sleep(600)"], {})
    pid = children.pid("talker")
    wait_until(lambda: "hello" in children.log("talker").read_text(), "its first word")
    children.stop_all()
    assert not alive(pid)


def test_one_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.start("quitter", [sys.executable, "-c", "raise SystemExit('I quit')"], {})

    def told() -> str | None:
        try:
            children.check()
        except ChildFailed as error:
            return str(error)
        return None

    assert "I quit" in wait_until(told, "the quitter's end")
    children.stop_all()


def test_leftovers_of_a_killed_demo_are_stopped(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from exchange.monarch.demo.processes import Children\n"
        f"children = Children(Path({str(tmp_path)!r}))\n"
        f"children.start('sleeper', {SLEEP!r}, {{}})\n"
        "print(children.pid('sleeper'), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    pid = int(killed.stdout)
    assert alive(pid)
    assert Children(tmp_path).stop_leftovers() == 1
    assert not alive(pid)
    assert Children(tmp_path).stop_leftovers() == 0


def test_a_pid_of_somebody_else_is_never_signalled(tmp_path: Path) -> None:
    (tmp_path / "children.json").write_text(json.dumps([[os.getpid(), 1]]))
    assert Children(tmp_path).stop_leftovers() == 0


@pytest.mark.parametrize("text", ["", "{", "[[1]]", "null"])
def test_a_record_that_cannot_be_read_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "children.json").write_text(text)
    assert Children(tmp_path).stop_leftovers() == 0
