"""A whole exchange for the end-to-end tests: `monarch up` and `baron run` as processes of their own, on free ports.

It is set up as the demo's world is, through the public API, and every process is stopped by pid. Where a test kills one,
it is started again on the same home and ports.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

from exchange.monarch.config import load
from exchange.monarch.demo.processes import Children
from exchange.monarch.demo.rest import Rest, RestError
from exchange.monarch.demo.story import ssh_command
from exchange.monarch.demo.world import GPUS_PER_BARON, REGION, SKU, World, script
from provisioner.agent.tools import fetch
from tests.waiting import wait_until

SPOT = f"{SKU}.{REGION}.spot"
ONDEMAND = f"{SKU}.{REGION}.ondemand"
START_S = 60.0


class Exchange:
    """One exchange with the demo's Barons; `with` stops it and removes every sandbox."""

    def __init__(self, home: Path, tools_dir: Path) -> None:
        self.world = World(home)
        self._tools_dir = tools_dir
        self._api_port, self._agents_port = _free_ports(2)
        self.url = f"http://127.0.0.1:{self._api_port}"
        self.children = Children(home / "logs")
        self._barons: list[int] = []
        fetch(tools_dir)
        self.world.bootstrap(load(None, {}, {"home": self.world.monarch_home}))

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.children.stop_all()
        for number in self._barons:
            self._baron_command("purge", number)

    @property
    def monarch_home(self) -> Path:
        return self.world.monarch_home

    def start_monarch(self) -> None:
        """Start it and wait until it is ready."""
        command = [script("monarch"), "up", "--home", str(self.monarch_home), "--allow-simulated"]
        ports = ["--api-port", str(self._api_port), "--agents-port", str(self._agents_port)]
        gate = ["--gate-port-first", "0", "--gate-port-last", "0"]
        self.children.start("monarch", [*command, *ports, *gate], {})
        wait_until(self._ready, "the exchange to be ready", START_S)

    def kill_monarch(self) -> None:
        self.children.kill("monarch")

    def settle(self) -> None:
        """Accounts with money and keys."""
        wait_until(self._admin_open, "the administrator's account to be open", START_S)
        self.world.settle(self.url)

    def start_barons(self, *numbers: int) -> None:
        """Enrol the demo's Barons if need be, run the numbered ones, and wait until their GPUs count."""
        self.world.barons(self.url, f"ws://127.0.0.1:{self._agents_port}")
        for number in numbers:
            self.start_baron(number)
        wait_until(
            lambda: (
                sum(baron["verified_gpus"] > 0 for baron in self.rest("provider").get("/v1/barons")["barons"])
                >= len(numbers)
            ),
            "verified GPUs",
            START_S,
        )

    def start_baron(self, number: int) -> None:
        if number not in self._barons:
            self._barons.append(number)
        home = str(self.world.baron_home(number))
        command = [script("baron"), "run", "--home", home, "--simulate", f"{SKU}:{GPUS_PER_BARON}"]
        self.children.start(f"baron-{number}", [*command, "--tools", str(self._tools_dir)], {})

    def offer(self, *offers: dict[str, Any]) -> None:
        """Let these offers of the provider stand, and no others."""
        self.rest("provider").put("/v1/asks", {"offers": list(offers)})

    def offer_all(self, price: str = "2.0000") -> None:
        """Every Baron's GPUs, on spot and on-demand."""
        barons = self.rest("provider").get("/v1/barons")["barons"]
        spot = [{"baron": baron["id"], "instrument": SPOT, "price": price, "gpus": 8} for baron in barons]
        self.offer(*spot, *({**offer, "instrument": ONDEMAND, "max_hours": 24} for offer in spot))

    def rest(self, who: str) -> Rest:
        return Rest(self.url, self.world.key(who))

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
        return subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)

    def _in_state(self, lease_id: str, state: str) -> dict[str, Any] | None:
        self.children.check()
        lease: dict[str, Any] = self.rest("renter").get(f"/v1/leases/{lease_id}")
        assert lease["state"] in {state, "provisioning"}, lease
        return lease if lease["state"] == state else None

    def _ready(self) -> bool:
        self.children.check()
        try:
            return bool(Rest(self.url).get("/v1/health/ready"))
        except RestError:
            return False

    def _admin_open(self) -> bool:
        try:
            return bool(self.rest("admin").get("/v1/account"))
        except RestError:
            return False

    def _baron_command(self, name: str, number: int) -> None:
        command = [script("baron"), name, "--home", str(self.world.baron_home(number)), "--tools", str(self._tools_dir)]
        subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=True)


def left_of(home: Path) -> list[str]:
    """Processes and mounts on this machine that name `home`."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(home) in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(home) in words:
                found.append(words)
    return found


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
