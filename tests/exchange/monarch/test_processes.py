"""The demo's children: stopped by pid, and what a killed demo left is found again, but nobody else is ever signalled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exchange.monarch.demo import processes
from exchange.monarch.demo.processes import MARK, ChildFailed, Children
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


KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from exchange.monarch.demo import processes

class Fatal(subprocess.Popen):
    def __init__(self, *words, **options):
        super().__init__(*words, **options)
        print(self.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "at once":
    processes.subprocess.Popen = Fatal
children = processes.Children(Path(sys.argv[1]))
children.start("sleeper", sys.argv[3:], {})
print(children.pid("sleeper"), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def left_behind(folder: Path, when: str, command: list[str] = SLEEP) -> int:
    """The pid of a child whose demo was killed: after it was started, or before that could be noted anywhere."""
    line = [sys.executable, "-c", KILLED, str(folder), when, *command]
    killed = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
    pid = int(killed.stdout)
    assert alive(pid)
    return pid


@pytest.mark.parametrize("when", ["later", "at once"])
def test_leftovers_of_a_killed_demo_are_stopped(tmp_path: Path, when: str) -> None:
    pid = left_behind(tmp_path, when)
    assert Children(tmp_path).stop_leftovers() == 1
    assert not alive(pid)
    assert Children(tmp_path).stop_leftovers() == 0


def test_leftovers_are_known_when_their_folder_was_removed(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    pid = left_behind(folder, "later")
    shutil.rmtree(folder)
    assert Children(folder).stop_leftovers() == 1
    assert not alive(pid)


def test_one_that_ignores_the_first_signal_gets_the_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_S", 0.5)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    pid = left_behind(tmp_path, "later", [sys.executable, "-c", deaf])
    children = Children(tmp_path)
    wait_until(lambda: "deaf" in children.log("sleeper").read_text(), "it to be deaf")
    assert children.stop_leftovers() == 1
    assert not alive(pid)


def test_what_an_interrupted_start_left_unknown_is_stopped_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *words: object, **options: object) -> None:
            super().__init__(*words, **options)  # type: ignore[call-overload]
            started.append(self)
            raise KeyboardInterrupt

    children = Children(tmp_path)
    children.start("known", SLEEP, {})
    monkeypatch.setattr("subprocess.Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        children.start("unknown", SLEEP, {})
    monkeypatch.undo()
    children.stop_all()
    [unknown] = started
    assert not alive(unknown.pid)
    unknown.wait()


@contextmanager
def stranger(*words: str, mark: str = "") -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | ({MARK: mark} if mark else {})
    with subprocess.Popen([*SLEEP, *words], env=environment) as process:
        try:
            wait_until(lambda: b"sleep" in Path(f"/proc/{process.pid}/cmdline").read_bytes(), "its own words")
            yield process
        finally:
            process.kill()


def test_nobody_else_is_signalled(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    with (
        stranger("--home", str(folder)) as names_it,
        stranger(mark=f"{folder}-other") as of_another,
        stranger(mark=str(tmp_path)) as of_the_parent,
    ):
        assert Children(folder).stop_leftovers() == 0
        assert [one.poll() for one in (names_it, of_another, of_the_parent)] == [None, None, None]


def test_it_never_stops_itself_or_its_own_children(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.start("sleeper", SLEEP, {})
    assert children.stop_leftovers() == 0
    children.check()
    children.stop_all()
    own = (
        "from pathlib import Path; from exchange.monarch.demo.processes import Children; "
        f"Children(Path({str(tmp_path)!r})).stop_leftovers()"
    )
    done = subprocess.run([sys.executable, "-c", own], env=os.environ | {MARK: str(tmp_path)}, timeout=30, check=False)
    assert done.returncode == 0
