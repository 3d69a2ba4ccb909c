"""A process that starts a sandbox as an agent would, and then waits to be killed.

Run as a program: `starter.py HOME TOOLS_DIR SPEC_JSON`; prints a line when the sandbox stands.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import msgspec

from provisioner.agent import tools
from provisioner.agent.sandbox import lifecycle
from provisioner.agent.sandbox.spec import SandboxSpec


def main() -> None:
    home, tools_dir, spec = sys.argv[1:]
    sandbox = lifecycle.start(Path(home), msgspec.json.decode(spec, type=SandboxSpec), tools.locate(Path(tools_dir)))
    print(sandbox.host_key, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
