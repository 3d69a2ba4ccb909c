"""How a sandbox is started and reached: the spawn, its descriptors, and the socket that is its only door.

What is run stands in command.py. Nothing here decides when; the lifecycle does.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from provisioner.agent.errors import AgentError
from provisioner.agent.sandbox import processes
from provisioner.agent.sandbox.command import INFO_FD, LISTEN_FD, LOG_FD, READY_FD, command
from provisioner.agent.sandbox.record import Record
from provisioner.agent.sandbox.spec import SandboxSpec
from provisioner.agent.tools import Tools

SOCKET_NAME = "ssh.sock"
SSHD_LOG = "sshd.log"
LAUNCH_LOG = "launch.log"
BACKLOG = 64
REPORT_BYTES_MAX = 4096
GIVE_UP_TIMEOUT_S = 5.0

# Copies of our descriptors wait above this before they get their numbers in the child.
FD_FLOOR = 64


@dataclass(frozen=True, slots=True)
class Started:
    """Pids as the host counts them: bubblewrap outside, and the sandbox's PID 1."""

    launcher_pid: int
    init_pid: int


def spawn(directory: Path, record: Record, spec: SandboxSpec, tools: Tools, timeout_s: float) -> Started:
    """Start the sandbox and wait until its init serves.

    Raises AgentError `sandbox_failed` with what was said, `no_device_node`.
    """
    line = command(directory, record, spec, tools)
    with ExitStack() as ours:
        with ExitStack() as theirs:
            ready_read, ready_write = _pipe(ours, theirs)
            info_read, info_write = _pipe(ours, theirs)
            said = _log(directory / LAUNCH_LOG, theirs)
            descriptors = {
                1: said,
                2: said,
                LISTEN_FD: theirs.enter_context(_listen(directory)).fileno(),
                READY_FD: ready_write,
                LOG_FD: _log(directory / SSHD_LOG, theirs),
                INFO_FD: info_write,
            }
            launcher = _spawn(line, tools.environment(), descriptors)
        deadline = time.monotonic() + timeout_s
        info = _read_until(info_read, b"}", deadline)
        ready = _read_until(ready_read, b"\n", deadline)
    if ready != b"ready\n" or b"}" not in info:
        _give_up(launcher)
        raise AgentError("sandbox_failed", f"the sandbox didn't start: {_said(directory)}", _remedy(directory))
    return Started(launcher_pid=launcher, init_pid=int(json.loads(info)["child-pid"]))


def connect(directory: Path, timeout_s: float) -> socket.socket:
    """A connection to the sandbox's sshd; 0 never waits, not even for a full backlog. Raises OSError."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.settimeout(timeout_s)
    return _at_door(directory, door, door.connect)


def _listen(directory: Path) -> socket.socket:
    (directory / SOCKET_NAME).unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    _at_door(directory, door, door.bind)
    (directory / SOCKET_NAME).chmod(0o600)
    door.listen(BACKLOG)
    return door


def _at_door(directory: Path, door: socket.socket, act: Callable[[str], None]) -> socket.socket:
    """Bind or connect at the lease's path, which may be longer than a socket's address can hold."""
    try:
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            act(f"/proc/self/fd/{handle}/{SOCKET_NAME}")
        finally:
            os.close(handle)
    except OSError:
        door.close()
        raise
    return door


def _give_up(launcher_pid: int) -> None:
    """End and collect the child that no record will name; what it started, its own command line leads to."""
    launcher = processes.identity(launcher_pid)
    if launcher is not None:
        processes.end([launcher], GIVE_UP_TIMEOUT_S)
    processes.reap(launcher_pid)


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def _log(path: Path, stack: ExitStack) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor


def _spawn(line: list[str], environment: dict[str, str], descriptors: dict[int, int]) -> int:
    """Start a program in a session of its own with exactly these descriptors and no input; it outlives us."""
    copies = {number: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, FD_FLOOR) for number, source in descriptors.items()}
    try:
        return os.posix_spawn(
            line[0],
            line,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                *((os.POSIX_SPAWN_DUP2, copy, number) for number, copy in copies.items()),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
        )
    finally:
        for copy in copies.values():
            os.close(copy)


def _read_until(descriptor: int, mark: bytes, deadline: float) -> bytes:
    data = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while mark not in data and len(data) < REPORT_BYTES_MAX:
        if not poll.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            break
        chunk = os.read(descriptor, REPORT_BYTES_MAX)
        if not chunk:
            break
        data += chunk
    return data


def _said(directory: Path) -> str:
    text = (directory / LAUNCH_LOG).read_text(errors="replace").strip()
    return " / ".join(text.splitlines()[-3:]) or "nothing was said"


def _remedy(directory: Path) -> str:
    said = (directory / LAUNCH_LOG).read_text(errors="replace")
    if "namespace" in said or "uid map" in said or "Operation not permitted" in said:
        return (
            "user namespaces must be allowed: sysctl -w user.max_user_namespaces=15000, and on Ubuntu "
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0; in a container, give it CAP_SYS_ADMIN and no masked /proc"
        )
    return "see the message; memory, disk and the limits of the agent's own user are the usual causes"
