"""The demo's child processes: started with a log each, remembered on disk, stopped by pid and nothing else.

What a killed demo left running is known by pid and start time, so that a recycled pid is never signalled. This room
knows processes, never what they do.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_S = 15.0
POLL_S = 0.05


class ChildFailed(Exception):
    """A child ended by itself; the message holds its name, its exit code and the end of its log."""


class Children:
    """Children of this demo, in order of start; `folder` holds their logs and `children.json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = folder / "children.json"
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def stop_leftovers(self) -> int:
        """Stop what an earlier demo left running; how many there were."""
        leftovers = [(pid, started) for pid, started in self._read_record() if _start_time(pid) == started]
        for pid, started in reversed(leftovers):
            _stop_foreign(pid, started)
        self._record.unlink(missing_ok=True)
        return len(leftovers)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a child; its output goes to `<name>.log`. It gets no terminal and no signal meant for the demo."""
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self._running.append((name, child))
        self._write_record()

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def check(self) -> None:
        """Raise ChildFailed when one of them has ended."""
        for name, child in self._running:
            if (code := child.poll()) is not None:
                raise ChildFailed(f"{name} ended with {code}; the end of {self.log(name)}:\n{_tail(self.log(name))}")

    def pid(self, name: str) -> int:
        """Of a running child; KeyError when there is none of that name."""
        return {running: child.pid for running, child in self._running}[name]

    def kill(self, name: str) -> None:
        """SIGKILL one child and collect it."""
        for entry in [entry for entry in self._running if entry[0] == name]:
            entry[1].kill()
            entry[1].wait()
            self._running.remove(entry)
        self._write_record()

    def stop(self, name: str) -> None:
        """End one child: SIGTERM, then SIGKILL after 15 s."""
        for entry in [entry for entry in self._running if entry[0] == name]:
            _stop_child(entry[1])
            self._running.remove(entry)
        self._write_record()

    def stop_all(self) -> None:
        """End all, the last started first."""
        for name, _ in reversed(list(self._running)):
            self.stop(name)
        self._record.unlink(missing_ok=True)

    def _write_record(self) -> None:
        entries = [[child.pid, _start_time(child.pid)] for _, child in self._running]
        fresh = self._record.with_suffix(".tmp")
        fresh.write_text(json.dumps(entries))
        fresh.replace(self._record)

    def _read_record(self) -> list[tuple[int, int]]:
        try:
            return [(int(pid), int(started)) for pid, started in json.loads(self._record.read_text())]
        except (FileNotFoundError, ValueError, TypeError):
            return []


def _start_time(pid: int) -> int:
    """The kernel's start time of a process in clock ticks since boot; 0 when there is none (or it is a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def _stop_child(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _stop_foreign(pid: int, started: int) -> None:
    for step in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, step)
        deadline = time.monotonic() + STOP_S
        while _start_time(pid) == started and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if _start_time(pid) != started:
            return


def _tail(path: Path, lines: int = 15) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(unreadable: {error})"
