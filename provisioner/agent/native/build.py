"""Builds the agent's two native pieces: the sandbox's PID 1 and the stub of NVML.

`setup.py` loads this file by its path, before anything is installed, so it must never import more than the
standard library. What the pieces do stands in the C files beside it.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
WARNINGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")

# What is built, from which source, with which further flags.
PIECES = {
    "hourbook-init": ("init.c", ("-static",)),
    "libnvidia-ml.so.1": (
        "nvml_stub.c",
        ("-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-soname,libnvidia-ml.so.1", "-Wl,-z,noexecstack"),
    ),
}


class BuildFailed(Exception):
    """A piece didn't compile; the message holds the command, what the compiler said and what to do."""


def build(out_dir: Path, cc: str = "cc") -> None:
    """Compile every piece with the C compiler `cc` (may carry flags) into `out_dir`; a piece newer than its source stays.

    Raises BuildFailed. Each piece is renamed into place, so that a half-written one is never found.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, (source_name, flags) in PIECES.items():
        source = SOURCES / source_name
        target = out_dir / name
        newest_source_ns = max(source.stat().st_mtime_ns, Path(__file__).stat().st_mtime_ns)
        if target.exists() and target.stat().st_mtime_ns > newest_source_ns:
            continue
        partial = out_dir / f".{name}.partial"
        command = [*shlex.split(cc), *WARNINGS, *flags, "-o", str(partial), str(source)]
        _compile(command)
        partial.replace(target)


def _compile(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BuildFailed(
            f"there is no C compiler '{command[0]}'; install one (apt-get install gcc libc6-dev) or set CC"
        ) from error
    if done.returncode != 0:
        raise BuildFailed(
            f"{shlex.join(command)} failed; a C compiler with static libc is needed "
            f"(apt-get install gcc libc6-dev):\n{done.stderr}"
        )


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCES / "bin")
