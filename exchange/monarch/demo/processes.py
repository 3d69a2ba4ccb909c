"""The demo's child processes: started with a log each, marked in their environment, stopped by pid and nothing else.

A child is known by its mark alone, which it carries from its first instruction: whatever moment a demo is killed in, the
next one finds what it started. This room knows processes, never what they do.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

STOP_S: Final = 15.0
MARK: Final = "CHILD_OF_DEMO"
"""Variable that every child has, with the folder of its logs. Not called HOURBOOK_*: those are settings."""
_PROC: Final = Path("/proc")
_START_TIME_FIELD: Final = 19
"""In /proc/PID/stat, counted from the state, which is the first field after the name."""


class ChildFailed(Exception):
    """A child ended by itself, or can't be ended; the message holds its name, its exit code and the end of its log."""


class Children:
    """Children of this demo, in order of start; `folder` holds their logs, and is what they are known by."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def stop_leftovers(self) -> int:
        """Stop what runs with this folder's mark and isn't ours, the youngest first; how many there were.

        Whoever calls it must know that no other demo of this folder runs. Raises ChildFailed when one can't be ended.
        """
        ours = {os.getpid(), *(child.pid for _, child in self._running)}
        found = [pid for pid in _all_pids() if pid not in ours and self._is_marked(pid)]
        return sum(self._stop_foreign(pid) for pid in sorted(found, key=_start_time, reverse=True))

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a child with this environment and its mark; its output goes to `<name>.log`.

        It gets no terminal and no signal meant for the demo.
        """
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, MARK: str(self._folder)},
                start_new_session=True,
            )
        self._running.append((name, child))

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

    def stop(self, name: str) -> None:
        """End one child: SIGTERM, then SIGKILL after 15 s."""
        for entry in [entry for entry in self._running if entry[0] == name]:
            _stop_child(entry[1])
            self._running.remove(entry)

    def stop_all(self) -> None:
        """End all, the last started first, and any that an interrupted start left unknown."""
        for name, _ in reversed(list(self._running)):
            self.stop(name)
        self.stop_leftovers()

    def _is_marked(self, pid: int) -> bool:
        """Whether this process carries our mark; in another mount namespace the same path is another folder."""
        try:
            variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
            return f"{MARK}={self._folder}".encode() in variables and _mounts_of(pid) == _mounts_of(os.getpid())
        except OSError:
            # It is gone, or another user's: neither is ours to end.
            return False

    def _stop_foreign(self, pid: int) -> bool:
        with _held(pid) as process:
            # Looked at again now that it is held: the pid may have passed to somebody else.
            if process is None or not self._is_marked(pid):
                return False
            for step in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, step)
                if _has_ended(process, STOP_S):
                    return True
        raise ChildFailed(f"process {pid}, which an earlier demo started, doesn't end; end it, and try again")


@contextlib.contextmanager
def _held(pid: int) -> Iterator[int | None]:
    """The process itself, whatever becomes of its pid; None when there is none any more."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield process
    finally:
        os.close(process)


def _has_ended(process: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(timeout_s * 1_000))


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _mounts_of(pid: int) -> str:
    return str((_PROC / str(pid) / "ns" / "mnt").readlink())


def _start_time(pid: int) -> int:
    """The kernel's start time of a process in clock ticks since boot; 0 when there is none."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[_START_TIME_FIELD])


def _stop_child(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _tail(path: Path, lines: int = 15) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(unreadable: {error})"
