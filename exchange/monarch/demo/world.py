"""The demo's world: its accounts, keys, money, Barons and files, made once and found again by the next demo.

Everything goes through the public API with the administrator's key. What was made is kept in `demo.json` (0600), because
keys are shown once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from exchange.monarch.admin import AdminExists, bootstrap
from exchange.monarch.config import ENV_PREFIX, Config
from exchange.monarch.demo.rest import Rest
from provisioner.agent import home as homes

SKU = "H100-SXM5-80GB"
REGION = "us-east"
BARONS = 2
GPUS_PER_BARON = 8
RENTER_DOLLARS = "1000.00"
PROVIDER_DOLLARS = "1000.00"
BARON_COMMAND_S = 300
PATIENCE_S = 120.0
"""So long a demo waits for an answer of its exchange."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class DemoError(Exception):
    """The demo can't go on; the message says what to do."""


def script(name: str) -> str:
    """Path of a command of this installation, beside the interpreter that runs this."""
    return str(Path(sys.executable).with_name(name))


def environment() -> dict[str, str]:
    """The caller's, without settings of hourbook: what somebody set for another exchange is none of the demo's.

    A proxy that it names is for the world outside: it isn't taken to loopback, where all of the demo is.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    past = kept.get("no_proxy") or kept.get("NO_PROXY") or ""
    if past != "*":
        past = ",".join(filter(None, (past, *LOOPBACK)))
    return kept | {"no_proxy": past, "NO_PROXY": past}


class World:
    """What the demo made, kept under `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._file = home / "demo.json"
        self._made: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}

    @property
    def monarch_home(self) -> Path:
        return self.home / "monarch"

    @property
    def tools_dir(self) -> Path:
        return self.home / "tools"

    @property
    def ssh_key(self) -> Path:
        return self.home / "renter" / "id_ed25519"

    def baron_home(self, number: int) -> Path:
        return self.home / "barons" / str(number)

    def key(self, who: str) -> str:
        """The bearer key of `admin`, `provider` or `renter`."""
        return str(self._made[f"{who}_key"])

    @property
    def is_settled(self) -> bool:
        """Whether its accounts exist, so that there may be leases."""
        return "renter_key" in self._made

    def baron_id(self, number: int) -> str:
        return str(self._made[f"baron_{number}"])

    def bootstrap(self, config: Config) -> None:
        """The administrator's key, before Monarch runs for the first time."""
        if "admin_key" in self._made:
            return
        try:
            made = bootstrap(config)
        except AdminExists as error:
            raise DemoError(
                f"{self.home} holds an exchange whose keys are lost: remove {self.home} and start again"
            ) from error
        self._keep(admin_account=made.account, admin_key=made.key)

    def settle(self, url: str) -> None:
        """Accounts with money, and the renter's SSH key."""
        admin = Rest(url, self.key("admin"), PATIENCE_S)
        for who, scopes, dollars in (
            ("provider", ["read", "rent", "provide", "trade"], PROVIDER_DOLLARS),
            ("renter", ["read", "rent", "trade"], RENTER_DOLLARS),
        ):
            if f"{who}_key" not in self._made:
                made = admin.post("/v1/accounts", {"name": f"demo {who}", "scopes": scopes})
                self._keep(**{f"{who}_account": made["id"], f"{who}_key": made["key"]["token"]})
            account = self._made[f"{who}_account"]
            admin.post("/v1/deposits", {"account": account, "amount": dollars}, f"demo-first-deposit-{account}")
        self._ssh_key(url)

    def barons(self, url: str, agents_url: str) -> None:
        """Register and enrol the Barons, and tell those of an earlier demo where Monarch listens now."""
        provider = Rest(url, self.key("provider"), PATIENCE_S)
        for number in range(1, BARONS + 1):
            if f"baron_{number}" in self._made:
                _follow(self.baron_home(number), agents_url)
                continue
            made = provider.post("/v1/barons", {"sku": SKU, "region": REGION, "name": f"demo-{number}"})
            home = self.baron_home(number)
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            baron("enroll", home, "--monarch", agents_url, "--token", made["enrolment_token"])
            self._keep(**{f"baron_{number}": made["id"]})

    def _ssh_key(self, url: str) -> None:
        if not self.ssh_key.exists():
            self.ssh_key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            keygen = shutil.which("ssh-keygen")
            if keygen is None:
                raise DemoError("ssh-keygen is missing; run: apt-get install openssh-client")
            command = [keygen, "-q", "-t", "ed25519", "-N", "", "-C", "hourbook-demo", "-f", str(self.ssh_key)]
            subprocess.run(command, check=True, capture_output=True, timeout=BARON_COMMAND_S)
        if "ssh_key" not in self._made:
            public = self.ssh_key.with_suffix(".pub").read_text().strip()
            renter = Rest(url, self.key("renter"), PATIENCE_S)
            made = renter.post("/v1/ssh-keys", {"name": "demo", "public_key": public})
            self._keep(ssh_key=made["id"])

    def _keep(self, **values: Any) -> None:
        self._made |= values
        fresh = self._file.with_suffix(".tmp")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self._made, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)


def baron(task: str, home: Path, *flags: str) -> None:
    """Run a task of the `baron` command that ends by itself; DemoError with what it said when it fails."""
    command = [script("baron"), task, "--home", str(home), *flags]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment(), timeout=BARON_COMMAND_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DemoError(f"baron {task} failed: {error}") from error
    if done.returncode != 0:
        raise DemoError(f"baron {task} failed: {done.stderr.strip()}")


def _follow(home: Path, agents_url: str) -> None:
    """The same Monarch on another port is no reason to enrol again: only the address in the credential is new."""
    identity = homes.read_identity(home)
    if identity is not None and identity.monarch != agents_url:
        with homes.held(home):
            homes.write_identity(home, msgspec.structs.replace(identity, monarch=agents_url))
