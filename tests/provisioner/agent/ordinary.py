"""A Baron run by an ordinary user, from the tools to the wipe, as one program.

Run as `ordinary.py HOME`: fetches the tools, starts two sandboxes, enters them with ssh, destroys them, and prints
what it found as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from provisioner.agent import devices, tools
from provisioner.agent.sandbox import lifecycle, record
from provisioner.agent.sandbox.spec import SandboxSpec
from tests.provisioner.agent import traces
from tests.provisioner.agent.conftest import LIMITS
from tests.provisioner.agent.gate import Gate
from tests.provisioner.agent.renter import Renter


def main() -> None:
    home = Path(sys.argv[1])
    found = tools.fetch(home / "tools")
    key = home / "key"
    subprocess.run([found.ssh_keygen, "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    gpus = devices.discover("L40S-PCIE-48GB:2", "ordinary").gpus
    report: dict[str, object] = {"uid": os.geteuid()}
    said: list[str] = []
    left: list[str] = []
    for gpu in gpus:
        spec = SandboxSpec(f"lease-{gpu.minor}", 1, (public,), (gpu,), LIMITS, simulated=True)
        sandbox = lifecycle.start(home, spec, found)
        gate = Gate(Path(sandbox.directory))
        renter = Renter.of(sandbox, gate, key, home)
        said.append(
            renter.says("id -u; hostname; ls -d /dev/nvidia*; pgrep -c sleep; (setsid sleep 999 >/dev/null 2>&1 &)")
        )
        report["unenforced"] = list(sandbox.unenforced)
        gate.close()
    for directory in lifecycle.survey(home):
        standing = record.read(directory)
        assert standing is not None
        lifecycle.destroy(directory)
        left += traces.of(directory, standing)
    print(json.dumps({**report, "said": said, "left": left}))


if __name__ == "__main__":
    main()
