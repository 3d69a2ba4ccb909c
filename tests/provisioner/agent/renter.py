"""A renter with the real OpenSSH clients: what they type, and what comes back."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from provisioner.agent.sandbox.lifecycle import Sandbox
from tests.provisioner.agent.gate import Gate

TIMEOUT_S = 60


@dataclass
class Renter:
    """One renter of one sandbox; the host key that the sandbox announced is the only one it accepts."""

    sandbox: Sandbox
    gate: Gate
    private_key: Path
    known_hosts: Path

    @classmethod
    def of(cls, sandbox: Sandbox, gate: Gate, private_key: Path, folder: Path) -> Renter:
        known_hosts = folder / f"known_hosts.{gate.port}"
        known_hosts.write_text(f"[127.0.0.1]:{gate.port} {sandbox.host_key}\n")
        return cls(sandbox, gate, private_key, known_hosts)

    def options(self) -> list[str]:
        settings = {
            "IdentityFile": str(self.private_key),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
            "Port": str(self.gate.port),
        }
        return ["-F", "none", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]

    def command(self, *words: str) -> list[str]:
        return ["ssh", *self.options(), "gpu@127.0.0.1", *words]

    def ssh(self, command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command(command), input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False)

    def says(self, command: str) -> str:
        done = self.ssh(command)
        assert done.returncode == 0, (command, done.returncode, done.stdout, done.stderr)
        return done.stdout.decode().strip()

    def scp(self, source: str, target: str, *flags: str) -> None:
        subprocess.run(
            ["scp", *flags, *self.options(), source, target], capture_output=True, timeout=TIMEOUT_S, check=True
        )

    def sftp(self, batch: str) -> str:
        command = ["sftp", *self.options(), "-b", "-", "gpu@127.0.0.1"]
        done = subprocess.run(command, input=batch, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        return done.stdout
