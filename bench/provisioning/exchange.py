"""A whole exchange for a bench: `monarch up` and one `baron run` as processes of their own, on free ports of loopback.

Its accounts, keys and Baron are the demo's, made through the public API. It knows how to stand an exchange up and take it
down again, and nothing of what is measured on it.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from exchange.monarch.config import load
from exchange.monarch.demo.processes import Children
from exchange.monarch.demo.rest import Rest, RestError
from exchange.monarch.demo.world import GPUS_PER_BARON, REGION, SKU, World, script

READY_S: Final = 60.0
POLL_S: Final = 0.05
BARON: Final = 1


class NotReady(Exception):
    """The exchange didn't come up; the message says what was waited for, and where the logs are."""


class Exchange:
    """One Baron of 8 simulated GPUs, all on offer; `with` ends the processes and wipes what sandboxes are left."""

    def __init__(self, home: Path, tools_dir: Path, price: str) -> None:
        self.world = World(home)
        self._tools_dir = tools_dir
        self._price = price
        self._children = Children(home / "logs")
        self._baron_home = self.world.baron_home(BARON)
        self.url = ""

    def __enter__(self) -> Exchange:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop()

    def rest(self, who: str) -> Rest:
        """The API with the key of `admin`, `provider` or `renter`."""
        return Rest(self.url, self.world.key(who))

    def _start(self) -> None:
        api_port, agents_port = _free_ports(2)
        self.url = f"http://127.0.0.1:{api_port}"
        home = self.world.monarch_home
        self.world.bootstrap(load(None, {}, {"home": home}))
        up = [script("monarch"), "up", "--home", str(home), "--allow-simulated"]
        ports = ["--api-port", str(api_port), "--agents-port", str(agents_port)]
        self._children.start("monarch", [*up, *ports, "--gate-port-first", "0", "--gate-port-last", "0"], {})
        self._wait("the exchange to be ready", lambda: Rest(self.url).get("/v1/health/ready"))
        self._wait("the administrator's account", lambda: self.rest("admin").get("/v1/account"))
        self.world.settle(self.url)
        self.world.barons(self.url, f"ws://127.0.0.1:{agents_port}")
        run = [script("baron"), "run", "--home", str(self._baron_home), "--tools", str(self._tools_dir)]
        self._children.start("baron", [*run, "--simulate", f"{SKU}:{GPUS_PER_BARON}"], {})
        self._wait("the Baron's GPUs to be verified", self._offer)
        self._wait("its ask in the book", lambda: Rest(self.url).get(f"/v1/books/{SKU}.{REGION}.spot")["asks"])

    def _offer(self) -> bool:
        """Offer what is verified; whether that is everything."""
        provider = self.rest("provider")
        verified = [baron for baron in provider.get("/v1/barons")["barons"] if baron["verified_gpus"]]
        if not verified:
            return False
        spot = {"instrument": f"{SKU}.{REGION}.spot", "price": self._price}
        provider.put("/v1/asks", {"offers": [{"baron": verified[0]["id"], "gpus": GPUS_PER_BARON, **spot}]})
        return True

    def _wait(self, what: str, look: Callable[[], object]) -> None:
        deadline = time.monotonic() + READY_S
        last = ""
        while time.monotonic() < deadline:
            self._children.check()
            try:
                if look():
                    return
            except RestError as error:
                last = f" ({error})"
            time.sleep(POLL_S)
        raise NotReady(f"waited {READY_S:.0f} s in vain for {what}{last}; logs are in {self.world.home / 'logs'}")

    def _stop(self) -> None:
        self._children.stop_all()
        if self._baron_home.is_dir():
            purge = [script("baron"), "purge", "--home", str(self._baron_home), "--tools", str(self._tools_dir)]
            subprocess.run(purge, check=True, capture_output=True, timeout=READY_S)


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
