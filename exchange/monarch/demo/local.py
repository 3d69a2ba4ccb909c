"""A whole exchange on this machine: `monarch up` and `baron run`, each a process of its own, on loopback and under one home.

The demo, a bench and the end-to-end tests stand on it. It knows how to start all and how to leave nothing behind, and
neither what is rented nor who watches.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from exchange.monarch.config import load
from exchange.monarch.demo.processes import Children
from exchange.monarch.demo.rest import TIMEOUT_S, Rest, RestError
from exchange.monarch.demo.world import (
    BARONS,
    GPUS_PER_BARON,
    PATIENCE_S,
    SKU,
    DemoError,
    World,
    baron,
    environment,
    script,
)
from exchange.monarch.places import Places
from provisioner.agent.tools import Tools, fetch

READY_S: Final = PATIENCE_S
POLL_S: Final = 0.05
MONARCH: Final = "monarch"

T = TypeVar("T")


class LocalPorts(NamedTuple):
    """0 for any free one; for the gate, both."""

    api: int = 0
    agents: int = 0
    gate_first: int = 0
    gate_last: int = 0


FREE_PORTS: Final = LocalPorts()


class LocalExchange:
    """Monarch and the demo's Barons in `home`; programs that this machine lacks are kept in `tools_dir`.

    `url` and `agents_url` are empty until Monarch was started. What is waited for too long raises DemoError, what ended
    by itself ChildFailed.
    """

    def __init__(self, home: Path, tools_dir: Path, ports: LocalPorts = FREE_PORTS) -> None:
        self.world = World(home.resolve())
        self.children = Children(self.world.home / "logs")
        self.url = ""
        self.agents_url = ""
        self._tools_dir = tools_dir.resolve()
        self._ports = ports

    def prepare(self) -> Tools:
        """Fetch what programs are missing, and make the administrator, once. Raises DemoError, AgentError."""
        tools = fetch(self._tools_dir)
        self.world.bootstrap(load(None, {}, {"home": self.world.monarch_home}))
        return tools

    def start_monarch(self) -> None:
        """Start it and wait until it is ready; on the ports that it had, when it is started again."""
        home, ports = self.world.monarch_home, self._ports
        command = [
            *(script("monarch"), "up", "--home", str(home), "--allow-simulated"),
            *("--api-port", str(ports.api), "--agents-port", str(ports.agents)),
            *("--gate-port-first", str(ports.gate_first), "--gate-port-last", str(ports.gate_last)),
        ]
        self.children.start(MONARCH, command, environment())
        running = self.wait("the exchange to be ready", self._running)
        self.url, self.agents_url = running["api_url"], running["agents_url"]
        self.wait("the exchange to be ready", lambda: Rest(self.url).get("/v1/health/ready"))
        api, agents = (urlsplit(url).port or 0 for url in (self.url, self.agents_url))
        self._ports = ports._replace(api=api, agents=agents)

    def kill_monarch(self) -> None:
        """SIGKILL."""
        self.children.kill(MONARCH)

    def settle(self) -> None:
        """Accounts with money and keys."""
        self.wait("the administrator's account to be open", lambda: self.rest("admin").get("/v1/account"))
        self.world.settle(self.url)

    def start_barons(self, *numbers: int) -> None:
        """Enrol the demo's Barons if need be, run the numbered ones, and wait until their GPUs count."""
        self.world.barons(self.url, self.agents_url)
        for number in numbers:
            self.start_baron(number)
        wanted = {self.world.baron_id(number) for number in numbers}
        self.wait("the Barons' GPUs to be verified", lambda: wanted <= self._serving())

    def start_baron(self, number: int) -> None:
        """Run one that is enrolled, and don't wait."""
        home = str(self.world.baron_home(number))
        command = [script("baron"), "run", "--home", home, "--simulate", f"{SKU}:{GPUS_PER_BARON}"]
        self.children.start(f"baron-{number}", [*command, "--tools", str(self._tools_dir)], environment())

    def rest(self, who: str, timeout_s: float = TIMEOUT_S) -> Rest:
        """The API with the key of `admin`, `provider` or `renter`."""
        return Rest(self.url, self.world.key(who), timeout_s)

    def wait(self, what: str, look: Callable[[], T | None], timeout_s: float = READY_S) -> T:
        """The first true value of `look`; an exchange that refuses or doesn't answer is asked again."""
        deadline = time.monotonic() + timeout_s
        seen = ""
        while time.monotonic() < deadline:
            self.children.check()
            try:
                if found := look():
                    return found
            except RestError as error:
                seen = f" ({error})"
            time.sleep(POLL_S)
        raise DemoError(f"waited {timeout_s:.0f} s in vain for {what}{seen}; logs are in {self.world.home / 'logs'}")

    def purge(self) -> None:
        """End and wipe every sandbox of every Baron, none of which may run. Raises DemoError after all were tried."""
        problems = []
        for number in range(1, BARONS + 1):
            home = self.world.baron_home(number)
            if home.is_dir():
                try:
                    baron("purge", home, "--tools", str(self._tools_dir))
                except DemoError as error:
                    problems.append(str(error))
        if problems:
            raise DemoError("; ".join(problems))

    def stop(self) -> None:
        """End every process, then wipe what sandboxes they left. Raises ChildFailed, DemoError."""
        try:
            self.children.stop_all()
        finally:
            self.purge()

    def _running(self) -> dict[str, Any] | None:
        """What our Monarch says of itself; one that was killed may have left its own words."""
        try:
            running: dict[str, Any] = json.loads(Places(self.world.monarch_home).running.read_text())
        except FileNotFoundError:
            return None
        return running if running["pid"] == self.children.pid(MONARCH) else None

    def _serving(self) -> set[str]:
        barons = self.rest("provider").get("/v1/barons")["barons"]
        heard = [one for one in barons if one["online"] and one["presence"] == "reporting"]
        return {one["id"] for one in heard if one["verified_gpus"] == GPUS_PER_BARON}
