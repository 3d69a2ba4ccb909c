"""How a sandbox is started: the command lines of bubblewrap and of the init inside, and the spawn itself.

As root the lease first gets a host uid of its own, and a private mount namespace in which its few sources are
bound at a place that this uid can reach, so that the Baron's directories stay closed to it. As an ordinary user
bubblewrap alone maps that user. Nothing here decides when; the lifecycle does.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from provisioner.agent.devices import STUB_LIBRARY
from provisioner.agent.errors import AgentError
from provisioner.agent.sandbox import etc
from provisioner.agent.sandbox.record import Record
from provisioner.agent.sandbox.spec import SandboxSpec
from provisioner.agent.tools import Tools

INIT = Path(__file__).parent.parent / "native" / "bin" / "hourbook-init"
INSTANCE_OPTION = "--instance"
INSIDE = "inside"
SOCKET_NAME = "ssh.sock"
SSHD_LOG = "sshd.log"
LAUNCH_LOG = "launch.log"
SSHD_LOG_BYTES = 256 * 1024
BACKLOG = 64
REPORT_BYTES_MAX = 4096

LISTEN_FD, READY_FD, LOG_FD, INFO_FD = 3, 4, 5, 6
# Copies of our descriptors wait above this before they get their numbers in the child.
FD_FLOOR = 64

TOOLS_INSIDE = "/opt/hourbook/tools"
INIT_INSIDE = "/opt/hourbook/init"
# A directory to cover in the private mount namespace: every system has these, and a lease needs none of them.
STAGES = ("/mnt", "/srv", "/media")

# Arguments: STAGE CGROUP_PROCS... @ NAME SOURCE... -- COMMAND... (no STAGE, nothing bound: an ordinary user).
ENTER = """
set -eu
stage=$1; shift
while [ "$1" != @ ]; do echo $$ > "$1"; shift; done
shift
[ -z "$stage" ] || mount -t tmpfs -o mode=0755,size=64k hourbook "$stage"
while [ "$1" != -- ]; do mkdir "$stage/$1"; mount --bind "$2" "$stage/$1"; shift 2; done
shift
exec "$@"
"""

GPU_CONTROL_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")


@dataclass(frozen=True, slots=True)
class Started:
    """Pids as the host counts them: bubblewrap outside, and the sandbox's PID 1."""

    launcher_pid: int
    init_pid: int


def sshd_helpers(tools: Tools) -> dict[str, str]:
    """Settings for a newer sshd that runs programs of its own, where it was unpacked and not installed."""
    helpers = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
    if tools.unpacked is None or not tools.sshd.is_relative_to(tools.unpacked):
        return {}
    folder = "usr/lib/openssh"
    return {
        setting: f"{TOOLS_INSIDE}/{folder}/{name}"
        for setting, name in helpers.items()
        if (tools.unpacked / folder / name).exists()
    }


def spawn(directory: Path, record: Record, spec: SandboxSpec, tools: Tools, timeout_s: float) -> Started:
    """Start the sandbox and wait until its init serves. Raises AgentError `sandbox_failed` with what was said."""
    log = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    ready_read, ready_write = os.pipe()
    info_read, info_write = os.pipe()
    owned = [ready_read, ready_write, info_read, info_write]
    try:
        with _listen(directory) as listener:
            owned += [os.open(directory / SSHD_LOG, log, 0o600), os.open(directory / LAUNCH_LOG, log, 0o600)]
            descriptors: dict[int, int] = {1: owned[5], 2: owned[5]}
            descriptors |= {LISTEN_FD: listener.fileno(), READY_FD: ready_write}
            descriptors |= {LOG_FD: owned[4], INFO_FD: info_write}
            launcher = _spawn(_command(directory, record, spec, tools), tools.environment(), descriptors)
        os.close(ready_write)
        os.close(info_write)
        owned = [descriptor for descriptor in owned if descriptor not in (ready_write, info_write)]
        deadline = time.monotonic() + timeout_s
        info = _read_until(info_read, b"}", deadline)
        ready = _read_until(ready_read, b"\n", deadline)
    finally:
        for descriptor in owned:
            os.close(descriptor)
    if ready != b"ready\n" or b"}" not in info:
        raise AgentError("sandbox_failed", f"the sandbox didn't start: {_said(directory)}", _remedy(directory))
    return Started(launcher_pid=launcher, init_pid=int(json.loads(info)["child-pid"]))


def bind_or_connect(directory: Path, act: str) -> socket.socket:
    """A unix socket bound or connected to the lease's path, which may be longer than a socket's address can hold."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        getattr(door, act)(f"/proc/self/fd/{handle}/{SOCKET_NAME}")
    except OSError:
        door.close()
        raise
    finally:
        os.close(handle)
    return door


def _listen(directory: Path) -> socket.socket:
    (directory / SOCKET_NAME).unlink(missing_ok=True)
    listener = bind_or_connect(directory, "bind")
    (directory / SOCKET_NAME).chmod(0o600)
    listener.listen(BACKLOG)
    return listener


def _spawn(command: list[str], environment: dict[str, str], descriptors: dict[int, int]) -> int:
    """Start a program in a session of its own with exactly these descriptors and no input; it outlives us."""
    copies = {number: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, FD_FLOOR) for number, source in descriptors.items()}
    try:
        return os.posix_spawn(
            command[0],
            command,
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


def _command(directory: Path, record: Record, spec: SandboxSpec, tools: Tools) -> list[str]:
    sources = {"inside": directory / INSIDE, "native": INIT.parent}
    if tools.unpacked is not None:
        sources["tools"] = tools.unpacked
    joined = [f"{group}/cgroup.procs" for group in record.cgroups]
    if not record.private_uid:
        bwrap = _bwrap(sources, spec, record, tools, str(tools.bwrap))
        return ["/bin/sh", "-c", ENTER, "enter", "", *joined, "@", "--", *bwrap]
    stage = _stage(list(sources.values()))
    staged = {name: Path(stage) / name for name in sources}
    binary = tools.bwrap
    if tools.unpacked is not None and binary.is_relative_to(tools.unpacked):
        binary = staged["tools"] / binary.relative_to(tools.unpacked)
    identity = [f"--reuid={record.host_uid}", f"--regid={record.host_uid}", "--clear-groups", "--no-new-privs"]
    bound = [word for name, source in sources.items() for word in (name, str(source))]
    return [
        *("/usr/bin/env", "unshare", "--mount", "--propagation", "private"),
        *("/bin/sh", "-c", ENTER, "enter", stage, *joined, "@", *bound, "--"),
        *("setpriv", *identity, "--inh-caps=-all", "--"),
        *_bwrap(staged, spec, record, tools, str(binary)),
    ]


def _stage(sources: Iterable[Path]) -> str:
    """A directory that may be covered because none of the sources lies below it."""
    for stage in STAGES:
        if Path(stage).is_dir() and not any(source.resolve().is_relative_to(stage) for source in sources):
            return stage
    raise AgentError(
        "sandbox_failed",
        f"each of {', '.join(STAGES)} is missing or holds the Baron's files",
        "run: mkdir -p /srv, or move the Baron's home",
    )


def _bwrap(sources: dict[str, Path], spec: SandboxSpec, record: Record, tools: Tools, binary: str) -> list[str]:
    limits = spec.limits
    sshd = _inside(tools.sshd, tools)
    library_path = ":".join(_inside(path, tools) for path in tools.library_dirs)
    return [
        binary,
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try"),
        *(["--disable-userns"] if "--disable-userns" in tools.bwrap_options else []),
        *("--uid", str(etc.USER_ID), "--gid", str(etc.USER_ID), "--hostname", spec.lease_id),
        *("--as-pid-1", "--new-session", "--cap-drop", "ALL", "--info-fd", str(INFO_FD), "--clearenv"),
        *("--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "HOME", etc.HOME),
        *(["--setenv", "LD_LIBRARY_PATH", library_path] if library_path else []),
        *_folders("/home", "/etc", "/etc/ssh", "/opt", "/opt/hourbook", "/run", "/var", "/var/log", "/mnt"),
        *_system(),
        *("--proc", "/proc", "--dev", "/dev"),
        *_memory_folder("/dev/shm", limits.shm_bytes, "1777", tools),  # noqa: S108 - the sandbox's own
        *_memory_folder("/tmp", limits.tmp_bytes, "1777", tools),  # noqa: S108 - the sandbox's own
        *_memory_folder(etc.HOME, limits.home_bytes, "0700", tools),
        *("--symlink", "../tmp", "/var/tmp"),  # noqa: S108 - the sandbox's own
        *_etc(sources["inside"], spec, tools),
        *_gpus(sources, spec),
        *("--ro-bind", str(sources["native"] / INIT.name), INIT_INSIDE),
        *(["--ro-bind", str(sources["tools"]), TOOLS_INSIDE] if "tools" in sources else []),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", etc.HOME, "--"),
        *(INIT_INSIDE, INSTANCE_OPTION, record.instance),
        *("--listen-fd", str(LISTEN_FD), "--ready-fd", str(READY_FD), "--log-fd", str(LOG_FD)),
        *("--connections", str(limits.connections), "--log-bytes", str(SSHD_LOG_BYTES)),
        *("--processes", str(_within(resource.RLIMIT_NPROC, limits.processes))),
        *("--open-files", str(_within(resource.RLIMIT_NOFILE, limits.open_files))),
        *("--", sshd, "-i", "-e", "-f", "/etc/ssh/sshd_config"),
    ]


def _inside(path: Path, tools: Tools) -> str:
    """Where a tool's path on the host is found in the sandbox."""
    if tools.unpacked is not None and path.is_relative_to(tools.unpacked):
        return f"{TOOLS_INSIDE}/{path.relative_to(tools.unpacked)}"
    return str(path)


def _folders(*paths: str) -> list[str]:
    # Parents that bubblewrap makes by itself are closed to all but their owner.
    return [word for path in paths for word in ("--perms", "0755", "--dir", path)]


def _memory_folder(path: str, size_bytes: int, mode: str, tools: Tools) -> list[str]:
    size = ["--size", str(size_bytes)] if "--size" in tools.bwrap_options else []
    return [*size, "--perms", mode, "--tmpfs", path]


def _system() -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        host = Path("/", name)
        if host.is_symlink():
            words += ["--symlink", str(host.readlink()), str(host)]
        elif host.is_dir():
            words += ["--ro-bind", str(host), str(host)]
    return words


def _etc(inside: Path, spec: SandboxSpec, tools: Tools) -> list[str]:
    bindings = etc.host_bindings()
    parents = {str(parent) for _, target in bindings for parent in Path(target).parents}
    words = _folders(*sorted(parents - {"/", "/etc"}))
    for source, target in bindings:
        words += ["--ro-bind", str(source), target]
    for name in (*etc.files(spec, sshd_helpers(tools)), etc.KEY_FILE):
        words += ["--ro-bind", str(inside / "etc" / name), f"/etc/{name}"]
    for name, target in etc.LINKS.items():
        words += ["--symlink", target, f"/etc/{name}"]
    return words


def _gpus(sources: dict[str, Path], spec: SandboxSpec) -> list[str]:
    if spec.simulated:
        words = _folders(etc.STUB_FOLDER)
        # Read-only, for a plain file of the host's could be filled until the host's disk is.
        for gpu in spec.gpus:
            words += ["--ro-bind", str(sources["inside"] / "gpu" / f"nvidia{gpu.minor}"), f"/dev/nvidia{gpu.minor}"]
        stub = sources["native"] / STUB_LIBRARY.name
        return [*words, "--ro-bind", str(stub), f"{etc.STUB_FOLDER}/{STUB_LIBRARY.name}"]
    words = ["--ro-bind-try", "/sys/devices/system", "/sys/devices/system"]
    for gpu in spec.gpus:
        words += ["--dev-bind", f"/dev/nvidia{gpu.minor}", f"/dev/nvidia{gpu.minor}"]
    for name in GPU_CONTROL_NODES:
        words += ["--dev-bind-try", f"/dev/{name}", f"/dev/{name}"]
    return words


def _within(kind: int, wanted: int) -> int:
    """A limit that we may set: never above our own."""
    _, hard = resource.getrlimit(kind)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
