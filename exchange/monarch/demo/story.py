"""The story that the demo tells by itself: rent, ssh, scp, sftp, end the lease, statement, verify; each step timed.

Every step runs the command that a person would type (curl, ssh, scp, sftp, monarch verify), and fails loudly.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.request import getproxies_environment

from exchange.monarch.demo.patience import QUIET_S, Patience
from exchange.monarch.demo.rest import Rest
from exchange.monarch.demo.world import PATIENCE_S, REGION, SKU, DemoError, World, script

STEP_S = PATIENCE_S
POLL_S = 0.02
TRIES = 3
AGAIN_S = 1.0
FILE_BYTES = 1 << 20
GREETING = b"SSH-2.0-"
CONNECTION_LOST = 255
"""The exit code of ssh, scp and sftp when the connection couldn't be made, or broke."""
GREETING_S = 2.0


class StepFailed(Exception):
    """A step of the story went wrong; the message says which, and what was seen."""


def rent_command(url: str, key: str) -> list[str]:
    """The curl that rents one GPU at the best price."""
    body = json.dumps({"sku": SKU, "regions": [REGION], "kind": "spot", "gpus": 1, "hours": 1}, separators=(",", ":"))
    headers = ["-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"]
    # It may be typed where the same proxy is set as here; where none is, the line is the shorter for it.
    straight = ["--noproxy", "*"] if {"http", "all"} & set(getproxies_environment()) else []
    return ["curl", "-sS", *straight, f"{url}/v1/rentals", *headers, "-d", body]


def ssh_command(lease: dict[str, Any], world: World) -> list[str]:
    """The lease's own ssh command, with the demo renter's key."""
    program, *rest = shlex.split(lease["ssh"]["command"])
    return [program, "-i", str(world.ssh_key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", *rest]


def ssh_answers(lease: dict[str, Any]) -> bool:
    """Whether the sshd of an active lease greets at its port; it may be waited for 2 s, twice.

    After a restart a lease counts as active until its Baron has said that its sandbox is gone: the state alone proves
    nothing.
    """
    try:
        with socket.create_connection((lease["ssh"]["host"], lease["ssh"]["port"]), GREETING_S) as connection:
            # The gate takes nobody to the sandbox who hasn't named itself.
            connection.sendall(GREETING + b"hourbook_demo\r\n")
            return connection.recv(len(GREETING)) == GREETING
    except OSError:
        return False


def copy_command(program: str, lease: dict[str, Any], world: World) -> list[str]:
    """The same for scp and sftp, whose port flag is -P; the target is left to the caller."""
    *options, _target = ssh_command(lease, world)[1:]
    return [program, "-q", *["-P" if option == "-p" else option for option in options]]


class Story:
    """One telling, against a running demo. What the exchange is slow to answer is waited for with `patience`."""

    def __init__(self, world: World, url: str, say: Callable[[str], None], patience: Patience) -> None:
        self._world = world
        self._rest = Rest(url, world.key("renter"), QUIET_S)
        self._patience = patience
        self._url = url
        self._say = say
        self._lease: dict[str, Any] = {}
        self._took: list[tuple[str, float]] = []

    def tell(self) -> None:
        """All steps in order; StepFailed at the first that fails."""
        began = time.monotonic()
        self._step("rent (curl POST /v1/rentals)", self._rent)
        self._step("lease active", self._wait_active)
        self._step("ssh", self._ssh)
        self._say(f"  from POST /v1/rentals to the first remote command's answer: {time.monotonic() - began:.2f} s")
        self._step("scp, there and back", self._scp)
        self._step("sftp", self._sftp)
        self._step("end the lease, wiped", self._end)
        self._step("statement", self._statement)
        self._step("verify", self._verify)

    def _step(self, name: str, act: Callable[[], str]) -> None:
        began = time.monotonic()
        try:
            seen = act()
        except (OSError, subprocess.SubprocessError, KeyError, ValueError, DemoError) as error:
            raise StepFailed(f"{name}: {error}") from error
        self._say(f"  {time.monotonic() - began:6.2f} s  {name:32} {seen}")

    def _rent(self) -> str:
        command = rent_command(self._url, self._world.key("renter"))
        rental = json.loads(self._run("the rental", command).stdout)
        if "leases" not in rental:
            raise StepFailed(f"the rental was refused: {rental}")
        self._lease = rental["leases"][0]
        return f"{self._lease['id']} at ${self._lease['price']} an hour"

    def _wait_active(self) -> str:
        deadline = time.monotonic() + STEP_S
        while self._lease["state"] != "active":
            if self._lease["state"] in {"ended", "failed"} or time.monotonic() > deadline:
                raise StepFailed(f"the lease is {self._lease['state']}: {self._lease}")
            time.sleep(POLL_S)
            self._lease = self._patience.get(self._rest, f"/v1/leases/{self._lease['id']}")
        return f"on {self._lease['baron']}, port {self._lease['ssh']['port']}"

    def _ssh(self) -> str:
        line = [*ssh_command(self._lease, self._world), "hostname && id -un && ls /dev/nvidia[0-9]*"]
        done = self._run("ssh", line)
        lines = done.stdout.split()
        if lines[1] != "gpu" or len(lines) != 3:
            raise StepFailed(f"the remote command printed {done.stdout!r}")
        return " ".join(lines)

    def _scp(self) -> str:
        here = self._world.home / "renter"
        sent, returned = here / "sent", here / "returned"
        sent.write_bytes(os.urandom(FILE_BYTES))
        target = f"{self._lease['ssh']['user']}@{self._lease['ssh']['host']}"
        scp = copy_command("scp", self._lease, self._world)
        self._run("scp", [*scp, str(sent), f"{target}:data"])
        self._run("scp", [*scp, f"{target}:data", str(returned)])
        if sent.read_bytes() != returned.read_bytes():
            raise StepFailed("the file came back different")
        return f"{FILE_BYTES} bytes, equal"

    def _sftp(self) -> str:
        target = f"{self._lease['ssh']['user']}@{self._lease['ssh']['host']}"
        batch = "ls -l data\nrename data moved\nls\n"
        done = self._run("sftp", [*copy_command("sftp", self._lease, self._world), "-b", "-", target], batch)
        if "moved" not in done.stdout:
            raise StepFailed(f"sftp printed {done.stdout!r}")
        return "listed and renamed it"

    def _end(self) -> str:
        path = f"/v1/leases/{self._lease['id']}"
        self._patience.end_lease(self._rest, self._lease["id"])
        deadline = time.monotonic() + STEP_S
        while not (lease := self._patience.get(self._rest, path))["wiped"]:
            if time.monotonic() > deadline:
                raise StepFailed(f"the sandbox isn't wiped: {lease}")
            time.sleep(POLL_S)
        return f"{lease['state']} ({lease['reason']}), charged ${lease['charged']}"

    def _statement(self) -> str:
        lease = self._patience.get(self._rest, f"/v1/leases/{self._lease['id']}")
        month = datetime.now(UTC).strftime("%Y-%m")
        statement = self._patience.get(self._rest, f"/v1/statements/{month}?min_seq={lease['seq']}")
        lines = [line for line in statement["leases"] if line["lease_id"] == self._lease["id"]]
        if not lines or lines[0]["usage"] != f"-{lease['charged']}":
            raise StepFailed(f"the lease's charge {lease['charged']} isn't in the statement: {statement}")
        return f"usage {lines[0]['usage']}, fee {lines[0]['fee']}, closing {statement['closing']}"

    def _verify(self) -> str:
        done = self._run("verify", [script("monarch"), "verify", "--home", str(self._world.monarch_home)])
        return done.stdout.strip().splitlines()[-1]

    def _run(self, what: str, command: list[str], typed: str = "") -> subprocess.CompletedProcess[str]:
        """The program, run to its end; what lost its connection to the lease, as when the exchange stalled, has another try."""
        tries = 0
        while (done := self._patience.run(what, command, typed)).returncode != 0:
            tries += 1
            said = done.stderr.strip() or done.stdout.strip()
            if done.returncode != CONNECTION_LOST or tries == TRIES:
                raise StepFailed(f"{shlex.join(command)} ended with {done.returncode}: {said}")
            self._say(f"  {what} has no connection; trying again. {said}")
            time.sleep(AGAIN_S)
        return done
