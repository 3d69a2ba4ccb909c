"""The command lines that make a sandbox: the way in, bubblewrap's, and that of the init inside.

As root the lease first gets a host uid of its own, and a private mount namespace with copies of its few sources at
a place that this uid can reach, so that the Baron's directories stay closed to it and their paths unknown. As an
ordinary user bubblewrap alone maps that user, and binds the sources themselves. Nothing here starts anything.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Sequence
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
SSHD_LOG_BYTES = 256 * 1024

LISTEN_FD, READY_FD, LOG_FD, INFO_FD = 3, 4, 5, 6

TOOLS_INSIDE = "/opt/hourbook/tools"
INIT_INSIDE = "/opt/hourbook/init"
# A directory to cover in the private mount namespace: every system has these, and a lease needs none of them.
STAGES = ("/mnt", "/srv", "/media")

# Out of memory, the kernel ends what has the highest score, which is its share of the memory in thousandths plus this.
# Sessions stand this far above the agent, so that they go first and the init that lets renters in goes last.
SESSION_OOM_SCORE = 500
OOM_SCORE_MAX = 1000
OWN_OOM_SCORE = Path("/proc/self/oom_score_adj")

# Arguments: STAGE SESSION_OOM_SCORE CGROUP_PROCS... @ NAME SOURCE... -- COMMAND... (an ordinary user: no STAGE, nothing
# copied). Where root may lower a score, the floor below which no session comes is set first, by the newer file; the
# older one (-16 there is -941 here) lowers this process, and with it the init, and leaves that floor alone.
ENTER = """
set -eu
stage=$1; sessions=$2; shift 2
while [ "$1" != @ ]; do echo $$ > "$1"; shift; done
shift
if [ -n "$stage" ]; then
    mount -t tmpfs -o mode=0755,size=64m hourbook "$stage"
    read -r score < /proc/self/oom_score_adj
    { echo "$sessions" > /proc/self/oom_score_adj && echo -16 > /proc/self/oom_adj; } 2>/dev/null ||
        echo "$score" > /proc/self/oom_score_adj
fi
while [ "$1" != -- ]; do cp -a "$2" "$stage/$1"; shift 2; done
shift
exec "$@"
"""

# Without the first kind no program reaches a GPU; the second kind not every driver makes.
GPU_CONTROL_NODES = ("nvidiactl", "nvidia-uvm")
GPU_FURTHER_NODES = ("nvidia-uvm-tools", "nvidia-modeset")


def command(directory: Path, record: Record, spec: SandboxSpec, tools: Tools) -> list[str]:
    """The whole command line, to be run with the descriptors above.

    Raises AgentError `sandbox_failed`, `no_device_node`.
    """
    sources = {"inside": directory / INSIDE, "native": INIT.parent}
    if tools.unpacked is not None:
        sources["tools"] = tools.unpacked
    etc_root = sources["inside"] / "etc"
    generated = sorted(str(path.relative_to(etc_root)) for path in etc_root.rglob("*") if path.is_file())
    joined = [f"{group}/cgroup.procs" for group in record.cgroups]
    if not record.private_uid:
        bwrap = [str(tools.bwrap), *_bwrap(sources, spec, record, tools, generated)]
        return ["/bin/sh", "-c", ENTER, "enter", "", str(session_oom_score()), *joined, "@", "--", *bwrap]
    stage = _stage(list(sources.values()))
    staged = {name: Path(stage) / name for name in sources}
    binary = tools.bwrap
    if tools.unpacked is not None and binary.is_relative_to(tools.unpacked):
        binary = staged["tools"] / binary.relative_to(tools.unpacked)
    identity = [f"--reuid={record.host_uid}", f"--regid={record.host_uid}", "--clear-groups", "--no-new-privs"]
    copied = [word for name, source in sources.items() for word in (name, str(source))]
    return [
        *("/usr/bin/env", "unshare", "--mount", "--propagation", "private"),
        *("/bin/sh", "-c", ENTER, "enter", stage, str(session_oom_score()), *joined, "@", *copied, "--"),
        *("setpriv", *identity, "--inh-caps=-all", "--"),
        str(binary),
        *_bwrap(staged, spec, record, tools, generated),
    ]


def session_oom_score() -> int:
    """What the kernel adds to the score of a tenant's processes: never below what this process, and an init of its, has."""
    return min(OOM_SCORE_MAX, max(0, int(OWN_OOM_SCORE.read_text())) + SESSION_OOM_SCORE)


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


def _bwrap(
    sources: dict[str, Path], spec: SandboxSpec, record: Record, tools: Tools, generated: Sequence[str]
) -> list[str]:
    limits = spec.limits
    sshd = _inside(tools.sshd, tools)
    library_path = ":".join(_inside(path, tools) for path in tools.library_dirs)
    return [
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
        *_etc(sources["inside"], generated),
        *_gpus(sources, spec),
        *("--ro-bind", str(sources["native"] / INIT.name), INIT_INSIDE),
        *(["--ro-bind", str(sources["tools"]), TOOLS_INSIDE] if "tools" in sources else []),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", etc.HOME, "--"),
        *(INIT_INSIDE, INSTANCE_OPTION, record.instance),
        *("--listen-fd", str(LISTEN_FD), "--ready-fd", str(READY_FD), "--log-fd", str(LOG_FD)),
        *("--connections", str(limits.connections), "--log-bytes", str(SSHD_LOG_BYTES)),
        *("--processes", str(_within(resource.RLIMIT_NPROC, limits.processes))),
        *("--open-files", str(_within(resource.RLIMIT_NOFILE, limits.open_files))),
        *("--session-oom-score", str(session_oom_score())),
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


def _etc(inside: Path, generated: Sequence[str]) -> list[str]:
    bindings = etc.host_bindings()
    parents = {str(parent) for _, target in bindings for parent in Path(target).parents}
    words = _folders(*sorted(parents - {"/", "/etc"}))
    for source, target in bindings:
        words += ["--ro-bind", str(source), target]
    for name in generated:
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
    for name in (*(f"nvidia{gpu.minor}" for gpu in spec.gpus), *GPU_CONTROL_NODES):
        if not Path("/dev", name).exists():
            raise AgentError("no_device_node", f"/dev/{name} isn't there", "run as root: nvidia-modprobe -u -c 0")
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name in GPU_FURTHER_NODES:
        words += ["--dev-bind-try", f"/dev/{name}", f"/dev/{name}"]
    return words


def _within(kind: int, wanted: int) -> int:
    """A limit that we may set: never above our own."""
    _, hard = resource.getrlimit(kind)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
