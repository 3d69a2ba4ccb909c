"""The programs that a sandbox is made with: bubblewrap, OpenSSH's sshd and ssh-keygen, and util-linux's small ones.

Found where the system has them; what is missing of the first three is downloaded by apt and unpacked under the
Baron's own directory, never installed: Debian's openssh-server would start a public daemon. Nothing here knows leases.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.agent.errors import AgentError

# Daemons live outside an ordinary user's PATH.
SYSTEM_DIRS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
# The Debian packages that carry each tool, with the libraries that a plain system lacks.
PACKAGES: dict[str, tuple[str, ...]] = {
    "bwrap": ("bubblewrap",),
    "sshd": ("openssh-server", "libwrap0"),
    "ssh-keygen": ("openssh-client",),
}
# Part of util-linux, which every Debian has; only root needs them.
ROOT_TOOLS = ("setpriv", "unshare", "mount", "sh")
APT_TIMEOUT_S = 300
PROBE_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Tools:
    """Absolute paths on the host. `unpacked` is the root of what apt unpacked, None where the system has it all;
    `library_dirs` are the folders in it that sshd needs on its library path."""

    bwrap: Path
    sshd: Path
    ssh_keygen: Path
    unpacked: Path | None
    library_dirs: tuple[Path, ...]
    bwrap_options: frozenset[str]

    def environment(self) -> dict[str, str]:
        """What the tools run with: nothing of the caller's, so that no secret of the Baron's leaks with it."""
        return {"PATH": ":".join(SYSTEM_DIRS), "LANG": "C.UTF-8"}


def locate(tools_dir: Path) -> Tools:
    """Find every tool on the system or unpacked under `tools_dir`. Raises AgentError `missing_tools`."""
    tools_dir = tools_dir.resolve()
    found = {name: _find(name, tools_dir) for name in PACKAGES}
    missing = [name for name, path in found.items() if path is None]
    if os.geteuid() == 0:
        missing += [name for name in ROOT_TOOLS if _on_system(name) is None]
    if missing:
        raise AgentError("missing_tools", f"not found: {', '.join(missing)}", _install_line(missing))
    paths = {name: path for name, path in found.items() if path is not None}
    root = _root(tools_dir)
    used = [path for path in paths.values() if path.is_relative_to(root)]
    libraries = _library_dirs(root) if used else ()
    bwrap = paths["bwrap"]
    return Tools(
        bwrap=bwrap,
        sshd=paths["sshd"],
        ssh_keygen=paths["ssh-keygen"],
        unpacked=root if used else None,
        library_dirs=libraries,
        bwrap_options=_options(bwrap),
    )


def fetch(tools_dir: Path) -> Tools:
    """`locate`, after downloading and unpacking under `tools_dir` what the system lacks. Blocks, up to minutes.

    Needs no privilege, changes nothing outside `tools_dir`, and may be called by several processes at once.
    Raises AgentError `missing_tools`, `fetch_failed`.
    """
    tools_dir = tools_dir.resolve()
    tools_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (tools_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in PACKAGES if _find(name, tools_dir) is None]
        if missing:
            if _on_system("apt-get") is None or _on_system("dpkg") is None:
                raise AgentError("missing_tools", f"not found: {', '.join(missing)}", _install_line(missing))
            _download_and_unpack(missing, tools_dir)
    return locate(tools_dir)


def _root(tools_dir: Path) -> Path:
    return tools_dir / "root"


def _on_system(name: str) -> Path | None:
    found = shutil.which(name, path=":".join(SYSTEM_DIRS)) or shutil.which(name)
    return Path(found).resolve() if found else None


def _find(name: str, tools_dir: Path) -> Path | None:
    system = _on_system(name)
    if system is not None:
        return system
    for folder in ("usr/sbin", "usr/bin"):
        unpacked = _root(tools_dir) / folder / name
        if os.access(unpacked, os.X_OK):
            return unpacked
    return None


def _library_dirs(root: Path) -> tuple[Path, ...]:
    return tuple(sorted({path.parent for path in root.rglob("*.so.*")}))


def _options(bwrap: Path) -> frozenset[str]:
    """The options that this bwrap knows; older ones lack some that only harden."""
    try:
        done = subprocess.run(
            [bwrap, "--help"], capture_output=True, text=True, env={}, timeout=PROBE_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise AgentError("missing_tools", f"{bwrap} doesn't run: {error}", _install_line(["bwrap"])) from error
    words = (done.stdout + done.stderr).split()
    return frozenset(word for word in words if word.startswith("--"))


def _install_line(missing: Sequence[str]) -> str:
    packages = {package for name in missing for package in PACKAGES.get(name, ("util-linux",))}
    # The server is never named for installing: it would listen on every address as soon as it is there.
    installable = sorted(packages - {"openssh-server", "libwrap0"})
    if "openssh-server" not in packages:
        return f"run: apt-get install -y {' '.join(installable)}"
    return (
        f"run on Debian or Ubuntu: apt-get update && apt-get download {' '.join(sorted(packages))}, "
        "and unpack each with dpkg -x FILE TOOLS_DIR/root"
    )


def _download_and_unpack(missing: Sequence[str], tools_dir: Path) -> None:
    packages = [package for name in missing for package in PACKAGES[name]]
    debs = tools_dir / "debs"
    partial = tools_dir / "root.partial"
    for leftover in (debs, partial):
        shutil.rmtree(leftover, ignore_errors=True)
    debs.mkdir()
    partial.mkdir()
    if _root(tools_dir).is_dir():
        shutil.copytree(_root(tools_dir), partial, symlinks=True, dirs_exist_ok=True)
    if _run(["apt-get", "-q", "download", *packages], debs).returncode != 0:
        _download_with_own_lists(packages, tools_dir, debs)
    for deb in sorted(debs.glob("*.deb")):
        unpacked = _run(["dpkg", "-x", str(deb), str(partial)], debs)
        if unpacked.returncode != 0:
            raise AgentError("fetch_failed", f"dpkg -x {deb.name}: {unpacked.stderr.strip()}", _install_line(missing))
    shutil.rmtree(_root(tools_dir), ignore_errors=True)
    partial.replace(_root(tools_dir))
    shutil.rmtree(debs)


def _download_with_own_lists(packages: Sequence[str], tools_dir: Path, debs: Path) -> None:
    """The system's package lists are empty or out of date: keep lists of our own, so no privilege is needed."""
    state = tools_dir / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    own = [
        "-o", f"Dir::State::Lists={state / 'lists'}",
        "-o", f"Dir::Cache={state / 'cache'}",
        "-o", "Debug::NoLocking=true",
        "-o", "APT::Sandbox::User=root",
        "-o", "APT::Update::Error-Mode=any",
    ]  # fmt: skip
    for step in (["update"], ["download", *packages]):
        done = _run(["apt-get", "-q", *own, *step], debs)
        if done.returncode != 0:
            detail = done.stderr.strip().splitlines()
            raise AgentError(
                "fetch_failed",
                f"apt-get {step[0]}: {detail[-1] if detail else 'failed'}",
                f"is the network there? By hand: apt-get update && apt-get download {' '.join(packages)}, "
                f"and dpkg -x each into {_root(tools_dir)}",
            )
    shutil.rmtree(state)


def _run(command: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": ":".join(SYSTEM_DIRS), "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=APT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AgentError(
            "fetch_failed", f"{command[0]} took more than {APT_TIMEOUT_S} s", "look at the network and try again"
        ) from error
