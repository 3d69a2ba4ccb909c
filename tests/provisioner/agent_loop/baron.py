"""The real `baron` as a process of its own, and a renter's real ssh, for the tests of the loop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.provisioner.agent.conftest import ROOT, TOOLS_DIR

SKU = "H100-SXM5-80GB"
COMMAND_S = 60.0
BARON = (sys.executable, "-m", "provisioner.agent.cli")


def baron(*words: str) -> subprocess.CompletedProcess[str]:
    """Run one `baron` command to its end."""
    return subprocess.run([*BARON, *words], cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_S, check=False)


class Running:
    """`baron run` on a home; its events are kept in a file of their own."""

    def __init__(self, home: Path, events: Path, simulate: str = f"{SKU}:2") -> None:
        self._events = events
        with events.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*BARON, "run", "--json", "--home", home, "--tools", TOOLS_DIR, "--simulate", simulate],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                # A session of its own: a signal for the tests is not for it.
                start_new_session=True,
                env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
            )

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it has logged under this name so far."""
        lines = [json.loads(line) for line in self._events.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    def log(self) -> str:
        return self._events.read_text()

    def kill(self) -> None:
        """As a crash would: SIGKILL."""
        self._process.kill()
        self._process.wait()

    async def stop(self, how: int = signal.SIGTERM) -> int:
        """Tell it to stop; its exit code."""
        self._process.send_signal(how)
        return await self.ended()

    async def ended(self) -> int:
        return await asyncio.to_thread(self._process.wait, COMMAND_S)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None


class Renter:
    """A key pair and the real OpenSSH clients."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = folder / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._key], check=True)
        self.public_key = self._key.with_suffix(".pub").read_text().strip()

    def options(self, port: int, host_key: str) -> list[str]:
        known_hosts = self._folder / f"known_hosts.{port}"
        known_hosts.write_text(f"[127.0.0.1]:{port} {host_key}\n")
        settings = {
            "IdentityFile": str(self._key),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
            "Port": str(port),
        }
        return ["-F", "none", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]

    async def ssh(
        self, port: int, host_key: str, command: str, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        words = ["ssh", *self.options(port, host_key), "gpu@127.0.0.1", command]
        return await asyncio.to_thread(subprocess.run, words, input=stdin, capture_output=True, timeout=COMMAND_S)

    async def says(self, port: int, host_key: str, command: str) -> str:
        done = await self.ssh(port, host_key, command)
        assert done.returncode == 0, (command, done.returncode, done.stderr)
        return done.stdout.decode().strip()
