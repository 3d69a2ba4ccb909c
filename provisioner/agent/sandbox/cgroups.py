"""Memory and process limits of a sandbox by control groups, version 1 or 2, wherever this process may write them.

A sandbox's groups lie below the agent's own, so that what the operator allows the Baron bounds its tenants too.
Where none can be made it says which limits are not kept. Nothing here knows leases beyond a name.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from provisioner.agent.sandbox import processes
from provisioner.agent.sandbox.processes import ProcessId
from provisioner.agent.sandbox.spec import MIB, Limits

REMOVE_POLL_S = 0.01
CONTROLLERS = ("memory", "pids")


@dataclass(frozen=True, slots=True)
class Base:
    """A directory below which groups can be made, and the controllers that they have there."""

    directory: Path
    controllers: frozenset[str]
    version: int


def plan(name: str) -> tuple[dict[Path, Base], tuple[str, ...]]:
    """The groups that a sandbox called `name` will have, and the limits that nothing can keep on this host."""
    bases = [base for base in _bases() if os.access(base.directory, os.W_OK | os.X_OK)]
    kept = frozenset[str]().union(*(base.controllers for base in bases))
    unenforced = [limit for controller, limit in (("memory", "memory_bytes"),) if controller not in kept]
    return {base.directory / name: base for base in bases}, tuple(unenforced)


def create(groups: dict[Path, Base], limits: Limits) -> None:
    """Make the planned groups with their limits. Raises OSError where the kernel refuses one."""
    for directory, base in groups.items():
        directory.mkdir(exist_ok=True)
        if "memory" in base.controllers:
            name = "memory.max" if base.version == 2 else "memory.limit_in_bytes"
            (directory / name).write_text(str(limits.memory_bytes))
            _forbid_swap(directory, base.version, limits)
        if "pids" in base.controllers:
            (directory / "pids.max").write_text(str(limits.processes))


def own_oom_kills(directory: Path) -> int:
    """How many of a group's processes the kernel has killed because of the group's own limit; 0 where nothing counts them.

    What it killed while only the host, or a group above, was short of memory doesn't count: that isn't the tenant's.
    """
    events = _counters(directory / "memory.events")
    if events:
        return events.get("oom_kill", 0) if events.get("oom", 0) else 0
    try:
        most_bytes = int((directory / "memory.max_usage_in_bytes").read_text())
        limit_bytes = int((directory / "memory.limit_in_bytes").read_text())
    except FileNotFoundError:
        return 0
    # Version 1 says what was the most that was used, and one page more, or a few at once, was refused.
    reached = most_bytes + MIB >= limit_bytes
    return _counters(directory / "memory.oom_control").get("oom_kill", 0) if reached else 0


def remove(directory: Path, timeout_s: float) -> bool:
    """Remove a group once the last of its processes is collected; False where one still holds it at the end."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(REMOVE_POLL_S)
        else:
            return True


def members(directory: Path) -> list[ProcessId]:
    """The processes that are in a group now; none where there is no such group."""
    try:
        pids = (directory / "cgroup.procs").read_text().split()
    except OSError:
        # It was removed before, or while, it was read.
        return []
    return [process for process in map(processes.identity, map(int, pids)) if process is not None]


def _counters(path: Path) -> dict[str, int]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: int(value) for name, _, value in (line.partition(" ") for line in lines)}


def _forbid_swap(directory: Path, version: int, limits: Limits) -> None:
    name, value = (
        ("memory.swap.max", "0") if version == 2 else ("memory.memsw.limit_in_bytes", str(limits.memory_bytes))
    )
    if (directory / name).exists():
        (directory / name).write_text(value)


def _bases() -> list[Base]:
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    bases = []
    for mount_root, mount_point, kind, options in _mounts():
        for _, names, path in own:
            controllers = frozenset(CONTROLLERS) & frozenset(names.split(","))
            below = _below(path, mount_root)
            if below is None or (kind == "cgroup2") != (names == ""):
                continue
            directory = mount_point / below
            if kind == "cgroup2":
                controllers = _delegated(directory)
                if controllers:
                    bases.append(Base(directory, controllers, 2))
            elif controllers and controllers <= options and all(base.controllers != controllers for base in bases):
                bases.append(Base(directory, controllers, 1))
    return bases


def _mounts() -> list[tuple[str, Path, str, frozenset[str]]]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            fields = left.split()
            found.append((fields[3], Path(fields[4]), kind, frozenset(options.split(","))))
    return found


def _below(path: str, mount_root: str) -> str | None:
    """Where a group lies below its mount; None where the mount shows another part of the hierarchy."""
    try:
        below = Path(path).relative_to(mount_root)
    except ValueError:
        return None
    return None if ".." in below.parts else str(below)


def _delegated(directory: Path) -> frozenset[str]:
    """Controllers of version 2 that groups below `directory` have; turned on here where the kernel lets us."""
    try:
        available = frozenset((directory / "cgroup.controllers").read_text().split()) & frozenset(CONTROLLERS)
        enabled = frozenset((directory / "cgroup.subtree_control").read_text().split())
        if available - enabled:
            (directory / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in available - enabled))
            enabled = frozenset((directory / "cgroup.subtree_control").read_text().split())
    except OSError:
        # A group with processes of its own can't have groups with controllers below it: those limits aren't kept.
        return frozenset()
    return available & enabled
