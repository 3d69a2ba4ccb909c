"""A sandbox's life: started, found again, connected to, destroyed. The agent's loop calls this and nothing deeper.

Everything blocks, for some 100 ms at most unless it says otherwise: an asyncio agent calls it in a thread, one call a
lease at a time. Whatever dies in between, the record on disk leads back to the processes. It must never know
Monarch, money or time of leases.
"""

from __future__ import annotations

import enum
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import msgspec

from provisioner.agent.errors import AgentError
from provisioner.agent.sandbox import cgroups, command, etc, launch, processes, record
from provisioner.agent.sandbox.processes import ProcessId
from provisioner.agent.sandbox.record import Record
from provisioner.agent.sandbox.spec import Limits, SandboxSpec, check
from provisioner.agent.tools import Tools

LEASES = "leases"
START_TIMEOUT_S = 20.0
DESTROY_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 5.0
KEYGEN_TIMEOUT_S = 20.0
GREETING = b"SSH-2.0"
# Host uids for leases: above what systemd, containers and directories of users give out.
UID_FIRST = 1_879_048_192
UID_COUNT = 250_000_000
UID_TRIES = 16
WIPE_TIMEOUT_S = 1.0
END_ROUNDS = 5
# The kernel lets go of a group shortly after its last process was collected; what holds it longer is ended.
GROUP_EMPTIES_S = 0.2


class Liveness(enum.Enum):
    """What became of a sandbox since somebody last looked."""

    ALIVE = "alive"
    DEAD = "dead"


class Sandbox(msgspec.Struct, frozen=True):
    """A running sandbox. `host_key` is what its sshd shows, "ssh-ed25519 AAAA...", for the renter's known_hosts.

    `unenforced` names the limits that this host has no means to keep.
    """

    directory: str
    lease_id: str
    generation: int
    host_key: str
    gpu_uuids: tuple[str, ...]
    limits: Limits
    unenforced: tuple[str, ...]
    simulated: bool


def lease_directory(home: Path, lease_id: str, generation: int) -> Path:
    """Where a lease's sandbox lives below the Baron's home."""
    return home.resolve() / LEASES / f"{lease_id}.{generation}"


def survey(home: Path) -> list[Path]:
    """The directory of every sandbox that was ever begun and not yet destroyed: each to be adopted or destroyed."""
    leases = home.resolve() / LEASES
    return sorted(path for path in leases.iterdir() if path.is_dir()) if leases.is_dir() else []


def start(home: Path, spec: SandboxSpec, tools: Tools) -> Sandbox:
    """Start the lease's sandbox, or return the one that already runs; what half-stands, or has other GPUs, is destroyed first.

    Raises AgentError `bad_spec`, `sandbox_failed`, `no_device_node` (nothing is left of it), `not_wiped`, `bad_record`.
    """
    check(spec)
    directory = lease_directory(home, spec.lease_id, spec.generation)
    if directory.exists():
        running = adopt(directory)
        if running is not None and _has(running, spec):
            return running
        destroy(directory)
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700)
    try:
        return _start(directory, spec, tools)
    except (OSError, subprocess.SubprocessError) as error:
        destroy(directory)
        raise _not_made(error) from error
    except AgentError:
        destroy(directory)
        raise


def restart(directory: Path, spec: SandboxSpec, tools: Tools, why: str) -> Sandbox:
    """Start a sandbox again in its place, or return it if it runs and has the GPUs: same host key, none of its files.

    Its first process died, or it runs on with fewer GPUs: all that is left of what ran is ended before. why: its renter reads it.

    Raises AgentError `sandbox_failed` (of one that never ran, or not since this machine was started, too),
    `no_device_node`, `not_wiped`, `bad_record`; what is left then is to be destroyed.
    """
    running = adopt(directory)
    if running is not None and _has(running, spec):
        return running
    standing = record.read(directory)
    if standing is None or not standing.host_key or standing.boot_id != processes.boot_id():
        raise AgentError("sandbox_failed", f"nothing of {directory.name} can be started again", "destroy it")
    try:
        _end(standing)
        standing = msgspec.structs.replace(
            standing,
            phase="starting",
            init=None,
            launcher=None,
            gpu_uuids=tuple(gpu.uuid for gpu in spec.gpus),
            limits=spec.limits,
        )
        standing, groups = _planned(standing, tools)
        record.write(directory, standing)
        inside = directory / command.INSIDE
        _write(inside, etc.files(spec, standing.unenforced, command.sshd_helpers(tools), again=why))
        for simulated in set(inside.glob("gpu/*")) - {inside / "gpu" / f"nvidia{gpu.minor}" for gpu in spec.gpus}:
            simulated.unlink()
        return _run(directory, standing, groups, spec, tools)
    except OSError as error:
        raise _not_made(error) from error


def probe(directory: Path) -> Liveness:
    """Whether the sandbox's first process runs: cheap, for each heartbeat. Raises AgentError `bad_record`."""
    standing = record.read(directory)
    return Liveness.DEAD if standing is None or _init(standing) is None else Liveness.ALIVE


def own_oom_kills(directory: Path) -> int:
    """How many processes the kernel ended because this sandbox had used up its own memory, 0 where nobody counts them.

    Counted since it was started, also after its death and until it is destroyed. Raises AgentError `bad_record`.
    """
    standing = record.read(directory)
    return max((cgroups.own_oom_kills(Path(group)) for group in standing.cgroups), default=0) if standing else 0


def adopt(directory: Path, *, unheard: bool = False) -> Sandbox | None:
    """Take a sandbox over from an agent that is gone, if it runs and its sshd answers; None: destroy it.

    `unheard`: whether its sshd answers is no matter, for a tenant may have left it no memory to. Raises AgentError `bad_record`.
    """
    standing = record.read(directory)
    if standing is None or standing.phase == "ending":
        return None
    init = _init(standing)
    if init is None or not (unheard or _answers(directory)):
        return None
    if standing.init != init:
        standing = msgspec.structs.replace(standing, phase="running", init=init)
        record.write(directory, standing)
    return _sandbox(directory, standing)


def connect(directory: Path) -> socket.socket:
    """A fresh connection to the sandbox's sshd, not blocking, to be spliced. Raises AgentError `no_sandbox`."""
    try:
        return launch.connect(directory, timeout_s=0)
    except OSError as error:
        raise AgentError(
            "no_sandbox", f"nothing listens in {directory.name}: {error}", "probe it, and destroy it if it is dead"
        ) from error


def destroy(directory: Path) -> None:
    """Kill everything in the sandbox, wipe the lease's directory, and verify that nothing is left of either.

    May be called again at any time, after any crash; waits `DESTROY_TIMEOUT_S` at most for each step. Raises
    AgentError `not_wiped` (the record stays, so that it can be called again), `bad_record`.
    """
    standing = record.read(directory)
    if standing is not None:
        if standing.phase != "ending":
            standing = msgspec.structs.replace(standing, phase="ending")
            record.write(directory, standing)
        _end(standing)
        # What was only being spawned when it was looked for finds nothing to run on from here, or is found now.
        _remove_tree(directory / command.INSIDE)
        _end(standing)
    _wipe(directory)


def _start(directory: Path, spec: SandboxSpec, tools: Tools) -> Sandbox:
    instance = secrets.token_hex(16)
    private_uid = os.geteuid() == 0
    standing = Record(
        version=record.RECORD_VERSION,
        lease_id=spec.lease_id,
        generation=spec.generation,
        instance=instance,
        phase="starting",
        boot_id=processes.boot_id(),
        host_uid=_unused_uid(instance) if private_uid else os.geteuid(),
        private_uid=private_uid,
        cgroups=(),
        unenforced=(),
        gpu_uuids=tuple(gpu.uuid for gpu in spec.gpus),
        limits=spec.limits,
        simulated=spec.simulated,
        host_key="",
    )
    standing, groups = _planned(standing, tools)
    # Durable before anything runs: from here on, whoever comes next can find and end it.
    record.write(directory, standing)
    record.sync(directory.parent)
    standing = msgspec.structs.replace(standing, host_key=_furnish(directory, standing, spec, tools))
    record.write(directory, standing)
    return _run(directory, standing, groups, spec, tools)


def _planned(standing: Record, tools: Tools) -> tuple[Record, dict[Path, cgroups.Base]]:
    """The record with the groups that the sandbox will have, wherever this process is by now, and what each can."""
    name = f"hourbook-{standing.lease_id}.{standing.generation}-{standing.instance[:8]}"
    groups, unenforced = cgroups.plan(name)
    if "--size" not in tools.bwrap_options:
        unenforced += ("home_bytes", "tmp_bytes", "shm_bytes")
    named = tuple(str(path) for path in groups)
    return msgspec.structs.replace(standing, cgroups=named, unenforced=unenforced), groups


def _run(
    directory: Path, standing: Record, groups: dict[Path, cgroups.Base], spec: SandboxSpec, tools: Tools
) -> Sandbox:
    """Spawn what is furnished and on record as starting."""
    cgroups.create(groups, spec.limits)
    started = launch.spawn(directory, standing, spec, tools, START_TIMEOUT_S)
    standing = msgspec.structs.replace(
        standing,
        phase="running",
        init=processes.identity(started.init_pid),
        launcher=processes.identity(started.launcher_pid),
    )
    record.write(directory, standing)
    return _sandbox(directory, standing)


def _furnish(directory: Path, standing: Record, spec: SandboxSpec, tools: Tools) -> str:
    """Write what the sandbox will see of this directory, owned by the lease's uid; returns its public host key."""
    inside = directory / command.INSIDE
    for folder in ("etc/ssh", "gpu"):
        (inside / folder).mkdir(parents=True)
    _write(inside, etc.files(spec, standing.unenforced, command.sshd_helpers(tools)))
    if spec.simulated:
        for gpu in spec.gpus:
            (inside / "gpu" / f"nvidia{gpu.minor}").write_text(f"simulated {gpu.name} {gpu.uuid}\n")
    key = inside / "etc" / etc.KEY_FILE
    subprocess.run(
        [tools.ssh_keygen, "-q", "-t", "ed25519", "-N", "", "-C", spec.lease_id, "-f", key],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=tools.environment(),
        timeout=KEYGEN_TIMEOUT_S,
        check=True,
    )
    key.chmod(0o600)
    if standing.private_uid:
        for path in (inside, *inside.rglob("*")):
            os.chown(path, standing.host_uid, standing.host_uid, follow_symlinks=False)
    algorithm, public, *_ = key.with_suffix(".pub").read_text().split()
    return f"{algorithm} {public}"


def _write(inside: Path, files: dict[str, str]) -> None:
    """What the sandbox sees as /etc; what is there already keeps its owner."""
    for name, content in files.items():
        (inside / "etc" / name).write_text(content)
        (inside / "etc" / name).chmod(0o644)


def _has(sandbox: Sandbox, spec: SandboxSpec) -> bool:
    """Whether what runs has exactly the GPUs that it is to have."""
    return set(sandbox.gpu_uuids) == {gpu.uuid for gpu in spec.gpus}


def _unused_uid(instance: str) -> int:
    """A host uid that no process has, drawn from the instance so that Barons of one host need not agree on it."""
    first, count = _uid_window()
    for attempt in range(UID_TRIES):
        digest = hashlib.sha256(f"{instance}/{attempt}".encode()).digest()
        uid = first + int.from_bytes(digest[:8]) % count
        if not processes.of_uid(uid):
            return uid
    raise AgentError("sandbox_failed", "no unused host uid was found", "run the Baron with more uids mapped")


def _uid_window() -> tuple[int, int]:
    """Our range of uids, or where this user namespace maps fewer, the upper half of its largest range."""
    ranges = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if any(first <= UID_FIRST and first + count >= UID_FIRST + UID_COUNT for first, _, count in ranges):
        return UID_FIRST, UID_COUNT
    first, _, count = max(ranges, key=lambda span: span[2])
    if count < 2 * UID_TRIES:
        raise AgentError(
            "sandbox_failed",
            f"this user namespace maps {count} uids, too few to give each lease its own",
            "run the Baron as an ordinary user, or map more uids",
        )
    return first + count // 2, count // 2


def _init(standing: Record) -> ProcessId | None:
    """The sandbox's PID 1 as it runs now, by the record or, where that was never finished, by its command line."""
    if standing.boot_id != processes.boot_id():
        return None
    if standing.init is not None:
        return standing.init if processes.runs(standing.init) else None
    return next((one for one in _instance(standing) if processes.is_namespace_init(one.pid)), None)


def _instance(standing: Record) -> list[ProcessId]:
    """Every process started for this sandbox by us, whatever the record knows."""
    return processes.with_arguments((command.INSTANCE_OPTION, standing.instance))


def _end(standing: Record) -> None:
    """End the processes and remove the groups, which is what keeps later ones out: a start must join them first.

    A process that an agent was just spawning as it died bears the agent's command line still, so it isn't found by
    its own; but it joins a group before it does anything else.
    """
    _end_processes(standing)
    deadline = time.monotonic() + DESTROY_TIMEOUT_S
    for group in map(Path, standing.cgroups):
        while not cgroups.remove(group, GROUP_EMPTIES_S):
            if time.monotonic() >= deadline:
                raise _not_wiped(standing.lease_id, f"processes hold the control group {group}")
            processes.end(cgroups.members(group), GROUP_EMPTIES_S)
            _end_processes(standing)


def _end_processes(standing: Record) -> None:
    """End all that was started for the sandbox, in rounds: what was just being started is found in the next."""
    if standing.boot_id != processes.boot_id():
        return
    remembered = [process for process in (standing.launcher, standing.init) if process is not None]
    for _ in range(END_ROUNDS):
        running = {process for process in remembered if processes.runs(process)}
        running.update(_instance(standing))
        if standing.private_uid:
            running.update(processes.of_uid(standing.host_uid))
        left = processes.end(running, DESTROY_TIMEOUT_S)
        if left:
            raise _not_wiped(standing.lease_id, f"processes {', '.join(str(one.pid) for one in left)} don't end")
        if not running:
            break
    else:
        raise _not_wiped(standing.lease_id, "processes started again while they were ended")
    for process in remembered:
        processes.reap(process.pid)


def _wipe(directory: Path) -> None:
    """Remove the directory, its record last, so that until then a crash leads back here."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{directory}/" in line]
    if mounts:
        raise _not_wiped(directory.name, f"there is a mount below {directory}")
    try:
        for path in sorted(directory.iterdir(), key=lambda path: path.name == record.RECORD_NAME):
            if path.is_dir() and not path.is_symlink():
                _remove_tree(path)
            else:
                path.unlink()
        directory.rmdir()
        record.sync(directory.parent)
    except FileNotFoundError:
        # It was never made, or is gone already: what stands is checked below.
        pass
    except OSError as error:
        raise _not_wiped(directory.name, f"its directory can't be removed: {error}") from error
    if directory.exists():
        raise _not_wiped(directory.name, f"{directory} still exists")


def _remove_tree(tree: Path) -> None:
    """Remove it with what is written into it meanwhile, as by a dead agent's ssh-keygen. Raises AgentError `not_wiped`."""
    deadline = time.monotonic() + WIPE_TIMEOUT_S
    while tree.exists():
        try:
            shutil.rmtree(tree)
        except OSError as error:
            if time.monotonic() >= deadline:
                raise _not_wiped(tree.parent.name, f"{tree} can't be removed: {error}") from error


def _not_made(error: Exception) -> AgentError:
    return AgentError(
        "sandbox_failed", f"the sandbox can't be made: {error}", "look at the host's disk, memory and limits"
    )


def _not_wiped(name: str, detail: str) -> AgentError:
    return AgentError("not_wiped", f"lease {name}: {detail}", "destroy it again; until then its GPUs can't be leased")


def _answers(directory: Path) -> bool:
    """True when an sshd inside greets us."""
    try:
        with launch.connect(directory, ANSWER_TIMEOUT_S) as door:
            return door.recv(len(GREETING), socket.MSG_WAITALL) == GREETING
    except OSError:
        return False


def _sandbox(directory: Path, standing: Record) -> Sandbox:
    return Sandbox(
        directory=str(directory),
        lease_id=standing.lease_id,
        generation=standing.generation,
        host_key=standing.host_key,
        gpu_uuids=standing.gpu_uuids,
        limits=standing.limits,
        unenforced=standing.unenforced,
        simulated=standing.simulated,
    )
