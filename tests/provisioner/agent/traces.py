"""What a sandbox leaves on a host, looked for everywhere: processes, mounts, control groups, files."""

from __future__ import annotations

import os
from pathlib import Path

from provisioner.agent.sandbox import command, processes
from provisioner.agent.sandbox.record import Record


def of(directory: Path, standing: Record) -> list[str]:
    """Every trace, in words; empty where nothing is left."""
    found = [f"process {one.pid}" for one in processes.with_arguments((command.INSTANCE_OPTION, standing.instance))]
    if standing.private_uid:
        found += [f"process {one.pid} of uid {standing.host_uid}" for one in processes.of_uid(standing.host_uid)]
    found += [f"zombie {pid}" for pid in _zombie_children()]
    found += [f"group {group}" for group in standing.cgroups if Path(group).exists()]
    found += [f"mount {line}" for line in _mounts() if str(directory) in line]
    if directory.exists():
        found.append(f"files {[str(path) for path in directory.rglob('*')]}")
    return found


def _mounts() -> list[str]:
    lines: list[str] = []
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            lines += path.read_text().splitlines()
        except OSError:
            # It ended meanwhile, or is another user's.
            continue
    return lines


def _zombie_children() -> list[int]:
    me = str(os.getpid())
    children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    return [int(pid) for pid in children if ") Z " in Path(f"/proc/{pid}/stat").read_text()]
