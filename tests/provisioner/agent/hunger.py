"""Renters who use up their sandbox's memory, and an init that dies of it: real processes, and the real kernel's choice.

Where no control group can be made, nothing bounds a sandbox's memory; what is eaten is bounded here, so that the
host doesn't suffer.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from provisioner.agent.sandbox import lifecycle, processes, record
from provisioner.agent.sandbox.lifecycle import Liveness
from tests.waiting import wait_until

EAT = (
    "import os, sys, time\n"
    "sys.stdin.readline()\n"
    "os.fork()\n"
    "eaten = []\n"
    "for _ in range({mib}):\n"
    "    eaten.append(bytearray(b'x') * (1 << 20))\n"
    "time.sleep(600)\n"
)
"""Waits for a line, then is two, who take that many MiB each and keep them: one alone would outweigh any init."""


def eater(mib: int) -> str:
    """A shell command for the sandbox."""
    return f'exec python3 -c "{EAT.format(mib=mib)}"'


def score_of(pid: int) -> int:
    """What the kernel adds to a process's share of the memory, in thousandths, when it looks for one to end."""
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def starve(directory: Path, command: list[str]) -> bool:
    """Make the sandbox's init die of its own tenant's hunger: whether that could be, for only root may prefer the init.

    `command` is the ssh of an `eater`. Where it can't be, or no group bounds the sandbox, the init is ended by hand.
    """
    standing = record.read(directory)
    assert standing is not None and standing.init is not None
    if os.geteuid() != 0 or "memory_bytes" in standing.unenforced:
        assert processes.end([standing.init], 20) == []
        return False
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert client.stdin is not None
        wait_until(lambda: eaters(standing.host_uid), "the eater")
        for process in processes.of_uid(standing.host_uid):
            score = 1000 if process == standing.init else 0
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                Path(f"/proc/{process.pid}/oom_score_adj").write_text(str(score))
        client.stdin.write(b"now\n")
        client.stdin.flush()
        wait_until(lambda: lifecycle.probe(directory) is Liveness.DEAD, "the end of the init")
        client.kill()
    return True


def eaters(uid: int) -> list[int]:
    """Pids of the sandbox's eaters, as the host counts them."""
    found = []
    for process in processes.of_uid(uid):
        # It may have ended since it was listed.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"eaten = []" in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                found.append(process.pid)
    return found
