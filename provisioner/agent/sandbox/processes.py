"""Processes of the host as /proc shows them: who is who, across reuse of numbers, and how to end them for certain.

A pid alone is never trusted: it comes with its start time. Nothing here knows leases.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

PROC = Path("/proc")


class ProcessId(msgspec.Struct, frozen=True):
    """A process for good: its pid and, in clock ticks since boot, its start."""

    pid: int
    start_ticks: int


def boot_id() -> str:
    """This boot of the kernel: pids and start times mean nothing in another."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def identity(pid: int) -> ProcessId | None:
    """The process that has this pid now, or None where there is none, or only a zombie of it."""
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may hold anything, so the fields count from its end: state first, start 20th.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in (b"Z", b"X"):
        return None
    return ProcessId(pid, int(fields[19]))


def runs(process: ProcessId) -> bool:
    """True while this very process runs, a zombie not counted."""
    return identity(process.pid) == process


def with_arguments(arguments: Iterable[str]) -> list[ProcessId]:
    """Every process whose command line holds these arguments, one after the other."""
    wanted = b"".join(b"\0" + argument.encode() for argument in arguments) + b"\0"
    found = []
    for pid in _pids():
        try:
            line = (PROC / str(pid) / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        process = identity(pid) if wanted in line else None
        if process is not None:
            found.append(process)
    return found


def of_uid(uid: int) -> list[ProcessId]:
    """Every process whose real uid is `uid`, as this user namespace counts it."""
    return [process for process in map(identity, _pids()) if process and _status(process.pid, "Uid")[:1] == [str(uid)]]


def is_namespace_init(pid: int) -> bool:
    """True for the first process of a PID namespace below this one."""
    numbers = _status(pid, "NSpid")
    return len(numbers) > 1 and numbers[-1] == "1"


def end(processes: Iterable[ProcessId], timeout_s: float) -> list[ProcessId]:
    """SIGKILL each and wait until it is gone, reaping those that are our children; returns those that still run."""
    waiting: dict[int, tuple[int, ProcessId]] = {}
    poll = select.poll()
    try:
        for process in processes:
            descriptor = _open(process)
            if descriptor is not None:
                waiting[descriptor] = (descriptor, process)
                poll.register(descriptor, select.POLLIN)
                _kill(descriptor)
        deadline = time.monotonic() + timeout_s
        gone: set[int] = set()
        while len(gone) < len(waiting) and time.monotonic() < deadline:
            for descriptor, _ in poll.poll(max(1, int((deadline - time.monotonic()) * 1000))):
                poll.unregister(descriptor)
                gone.add(descriptor)
                reap(waiting[descriptor][1].pid)
        return [process for descriptor, process in waiting.values() if descriptor not in gone]
    finally:
        for descriptor in waiting:
            os.close(descriptor)


def reap(pid: int) -> None:
    """Collect a dead child; what isn't a child of ours, its own parent collects."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _kill(descriptor: int) -> None:
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        # It ended, and was collected, since it was found: the poll says so too.
        return


def _open(process: ProcessId) -> int | None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if runs(process):
        return descriptor
    os.close(descriptor)
    reap(process.pid)
    return None


def _pids() -> Iterator[int]:
    return (int(path.name) for path in PROC.iterdir() if path.name.isdigit())


def _status(pid: int, field: str) -> list[str]:
    try:
        lines = (PROC / str(pid) / "status").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return next((line.split()[1:] for line in lines if line.startswith(field + ":")), [])
