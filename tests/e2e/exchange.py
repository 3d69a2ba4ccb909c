"""A whole exchange for the end-to-end tests: the demo's own, with what a test asks of it and a user doesn't.

Where a test kills a process, it is started again on the same home and ports.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from exchange.monarch.demo.local import LocalExchange
from exchange.monarch.demo.story import ssh_command
from exchange.monarch.demo.world import REGION, SKU, environment, script
from tests.waiting import wait_until

SPOT = f"{SKU}.{REGION}.spot"
ONDEMAND = f"{SKU}.{REGION}.ondemand"
START_S = 60.0


class Exchange(LocalExchange):
    """One exchange with the demo's Barons on free ports; `with` stops it and removes every sandbox."""

    def __init__(self, home: Path, tools_dir: Path) -> None:
        super().__init__(home, tools_dir)
        self.prepare()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def monarch_home(self) -> Path:
        return self.world.monarch_home

    def offer(self, *offers: dict[str, Any]) -> None:
        """Let these offers of the provider stand, and no others."""
        self.rest("provider").put("/v1/asks", {"offers": list(offers)})

    def offer_all(self, price: str = "2.0000") -> None:
        """Every Baron's GPUs, on spot and on-demand."""
        barons = self.rest("provider").get("/v1/barons")["barons"]
        spot = [{"baron": baron["id"], "instrument": SPOT, "price": price, "gpus": 8} for baron in barons]
        self.offer(*spot, *({**offer, "instrument": ONDEMAND, "max_hours": 24} for offer in spot))

    def rent(self, **wish: Any) -> dict[str, Any]:
        """Rent as the renter; the rental's answer."""
        body = {"sku": SKU, "regions": [REGION], "kind": "spot", "gpus": 1, "hours": 1, **wish}
        return dict(self.rest("renter").post("/v1/rentals", body))

    def wait_active(self, lease_id: str) -> dict[str, Any]:
        return wait_until(lambda: self._in_state(lease_id, "active"), f"{lease_id} to be active")

    def wait_wiped(self, lease_id: str) -> dict[str, Any]:
        def wiped() -> dict[str, Any] | None:
            lease: dict[str, Any] = self.rest("renter").get(f"/v1/leases/{lease_id}")
            return lease if lease["wiped"] else None

        return wait_until(wiped, f"{lease_id} to be wiped", START_S)

    def ssh(self, lease: dict[str, Any], command: str) -> subprocess.CompletedProcess[str]:
        """Run a remote command with the real client and the lease's own options."""
        line = [*ssh_command(lease, self.world), command]
        return subprocess.run(line, capture_output=True, text=True, timeout=START_S, check=False)

    def ssh_when_up(self, lease: dict[str, Any], command: str) -> str:
        """The same, again until it succeeds: after a restart the way in takes a moment."""

        def answered() -> subprocess.CompletedProcess[str] | None:
            done = self.ssh(lease, command)
            return done if done.returncode == 0 else None

        return wait_until(answered, f"ssh to {lease['id']}", START_S).stdout

    def verify(self) -> subprocess.CompletedProcess[str]:
        command = [script("monarch"), "verify", "--home", str(self.monarch_home)]
        return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=START_S, check=False)

    def _in_state(self, lease_id: str, state: str) -> dict[str, Any] | None:
        self.children.check()
        lease: dict[str, Any] = self.rest("renter").get(f"/v1/leases/{lease_id}")
        assert lease["state"] in {state, "provisioning"}, lease
        return lease if lease["state"] == state else None


def left_of(home: Path) -> list[str]:
    """What is left on this machine of the exchange in `home`: processes, mounts, and directories of sandboxes."""
    found = [f"directory {path}" for path in home.glob("barons/*/leases/*")]
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            words, settings, mounts = (_read(process / name) for name in ("cmdline", "environ", "mountinfo"))
            traces = [*names_in(mounts, home), *_open_in(process, home)]
            if str(home) in words + settings or traces:
                found.append(f"process {process.name}: {words} {traces}")
    return found


def names_in(mounts: str, home: Path) -> list[str]:
    """The mounts whose source or place is in `home`; a sandbox's processes have them and needn't name it otherwise."""
    return [line for line in mounts.splitlines() if str(home) in line]


def _open_in(process: Path, home: Path) -> list[str]:
    """The process's open files in `home`: root's sandboxes are known by nothing else, for what they see is copied."""
    try:
        files = [str(file.readlink()) for file in (process / "fd").iterdir()]
    except OSError:
        return []
    return [file for file in files if str(home) in file]


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
