"""The demo itself: start everything, print how to rent and ssh, wait; on ctrl-c end the leases and leave nothing behind.

It runs the same commands that an operator and a provider run (`monarch up`, `baron enroll`, `baron run`), each in a
process of its own, on loopback, and writes only under its home.
"""

from __future__ import annotations

import fcntl
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from exchange.monarch.config import load
from exchange.monarch.demo import market_maker
from exchange.monarch.demo.processes import ChildFailed, Children
from exchange.monarch.demo.rest import Rest, RestError
from exchange.monarch.demo.story import StepFailed, Story, rent_command, ssh_command
from exchange.monarch.demo.world import BARONS, GPUS_PER_BARON, REGION, SKU, DemoError, World, script
from provisioner.agent.errors import AgentError
from provisioner.agent.tools import fetch

READY_S = 60.0
WIPED_S = 30.0
POLL_S = 0.1

T = TypeVar("T")


class DemoPorts(NamedTuple):
    api: int
    agents: int
    gate_first: int
    gate_last: int


class _Interrupted(Exception):
    """ctrl-c, or SIGTERM."""


def run(home: Path, ports: DemoPorts, once: bool) -> int:
    """Run the demo; 0 when all went well."""
    home = home.resolve()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"A demo runs in {home} already; stop it, or give another --home and ports.", file=sys.stderr)
            return 1
        try:
            return _Demo(home, ports).run(once)
        except (DemoError, ChildFailed, RestError, StepFailed, AgentError) as error:
            print(f"\nThe demo failed. {error}", file=sys.stderr)
            return 1


class _Demo:
    def __init__(self, home: Path, ports: DemoPorts) -> None:
        self._world = World(home)
        self._ports = ports
        self._url = f"http://127.0.0.1:{ports.api}"
        self._children = Children(home / "logs")

    def run(self, once: bool) -> int:
        if self._children.stop_leftovers():
            print("Stopped what an earlier demo left running.")
        _check_ports(self._ports)
        try:
            self._start()
            if once:
                print("\nThe story:")
                Story(self._world, self._url, print).tell()
                print("\nAll steps succeeded.")
            else:
                self._print_how()
                self._watch()
        except (KeyboardInterrupt, _Interrupted):
            print("\nStopping.")
        finally:
            # A second ctrl-c must not leave half of it behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._stop()
        return 0

    def _start(self) -> None:
        world, ports = self._world, self._ports
        print("Looking for bubblewrap and sshd ...", flush=True)
        fetch(world.tools_dir)
        flags = {"home": world.monarch_home, "allow_simulated": True}
        world.bootstrap(load(None, {}, flags))
        self._children.start(
            "monarch",
            [
                *(script("monarch"), "up", "--home", str(world.monarch_home), "--allow-simulated"),
                *("--api-port", str(ports.api), "--agents-port", str(ports.agents)),
                *("--gate-port-first", str(ports.gate_first), "--gate-port-last", str(ports.gate_last)),
            ],
            {},
        )
        print("Starting the exchange ...", flush=True)
        self._wait("the exchange to be ready", lambda: Rest(self._url).get("/v1/health/ready"))
        world.settle(self._url)
        print(f"Starting {BARONS} simulated Barons of {GPUS_PER_BARON} GPUs ...", flush=True)
        world.barons(self._url, f"ws://127.0.0.1:{ports.agents}")
        for number in range(1, BARONS + 1):
            home = world.baron_home(number)
            command = [script("baron"), "run", "--home", str(home), "--simulate", f"{SKU}:{GPUS_PER_BARON}"]
            self._children.start(f"baron-{number}", [*command, "--tools", str(world.tools_dir)], {})
        self._wait("the Barons' GPUs to be verified", self._capacity)
        print("Starting the market maker ...", flush=True)
        self._children.start(
            "market-maker",
            market_maker.command(world.home, SKU, REGION),
            {"HOURBOOK_URL": self._url, "HOURBOOK_KEY": world.key("provider")},
        )
        self._wait("asks in the book", lambda: Rest(self._url).get(f"/v1/books/{SKU}.{REGION}.spot")["asks"])

    def _capacity(self) -> bool:
        barons = Rest(self._url, self._world.key("provider")).get("/v1/barons")["barons"]
        return sum(int(baron["verified_gpus"]) for baron in barons) >= BARONS * GPUS_PER_BARON

    def _wait(self, what: str, look: Callable[[], T]) -> T:
        deadline = time.monotonic() + READY_S
        seen = ""
        while time.monotonic() < deadline:
            self._children.check()
            try:
                if found := look():
                    return found
            except RestError as error:
                seen = f" ({error})"
            time.sleep(POLL_S)
        raise DemoError(f"waited {READY_S:.0f} s in vain for {what}{seen}; see the logs in {self._world.home / 'logs'}")

    def _print_how(self) -> None:
        key = self._world.key("renter")
        hourbook = shlex.quote(script("hourbook"))
        print(
            f"""
hourbook runs. Everything is in {self._world.home}, on loopback, and simulated: no GPU is behind it.

  web address   {self._url}
  renter's key  {key}

Rent the best-priced H100 (in another terminal):

  {shlex.join(rent_command(self._url, key))}

The ssh command of each lease is printed here as soon as it is active. The same with the hourbook command:

  export HOURBOOK_URL={self._url} HOURBOOK_KEY={key}
  export HOURBOOK_IDENTITY={shlex.quote(str(self._world.ssh_key))}
  {hourbook} markets --sku {SKU}
  {hourbook} rent --sku {SKU} --gpus 2
  {hourbook} ssh
  {hourbook} end latest

Stop with ctrl-c.
""",
            flush=True,
        )

    def _watch(self) -> None:
        renter = Rest(self._url, self._world.key("renter"))
        shown: set[str] = set()
        while True:
            self._children.check()
            for lease in renter.get("/v1/leases?open=true")["leases"]:
                if lease["state"] == "active" and lease["id"] not in shown:
                    shown.add(lease["id"])
                    print(
                        f"{lease['id']} is active on {lease['baron']}:\n\n  {shlex.join(ssh_command(lease, self._world))}\n",
                        flush=True,
                    )
            time.sleep(POLL_S)

    def _stop(self) -> None:
        try:
            self._end_leases()
        except (RestError, DemoError, ChildFailed) as error:
            print(f"Could not end the leases ({error}); their sandboxes are removed all the same.", file=sys.stderr)
        finally:
            self._children.stop_all()
            self._purge()

    def _end_leases(self) -> None:
        """End every lease of the demo's accounts, and wait until the Barons have wiped them."""
        for who in ("renter", "provider"):
            account = Rest(self._url, self._world.key(who))
            for lease in account.get("/v1/leases?open=true&limit=200")["leases"]:
                account.delete(f"/v1/leases/{lease['id']}")
        provider = Rest(self._url, self._world.key("provider"))
        deadline = time.monotonic() + WIPED_S
        while any(baron["leased_gpus"] for baron in provider.get("/v1/barons")["barons"]):
            if time.monotonic() > deadline:
                raise DemoError("the Barons took too long to wipe them")
            self._children.check()
            time.sleep(POLL_S)

    def _purge(self) -> None:
        for number in range(1, BARONS + 1):
            home = self._world.baron_home(number)
            if home.is_dir():
                command = [script("baron"), "purge", "--home", str(home), "--tools", str(self._world.tools_dir)]
                done = subprocess.run(command, capture_output=True, text=True, timeout=READY_S, check=False)
                if done.returncode != 0:
                    print(f"baron purge failed: {done.stderr.strip()}", file=sys.stderr)


def _check_ports(ports: DemoPorts) -> None:
    for flag, port in (("--api-port", ports.api), ("--agents-port", ports.agents)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise DemoError(
                    f"port {port} is taken ({error.strerror}); free it, or: make demo ARGS='{flag} PORT'"
                ) from error
