"""The demo itself: start everything, print how to rent and ssh, wait; on ctrl-c end the leases and leave nothing behind.

It runs the same commands that an operator and a provider run (`monarch up`, `baron enroll`, `baron run`), each in a
process of its own, on loopback, and writes only under its home.
"""

from __future__ import annotations

import fcntl
import shlex
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

from exchange.monarch.demo import market_maker
from exchange.monarch.demo.local import LocalExchange, LocalPorts
from exchange.monarch.demo.patience import QUIET_S, Patience
from exchange.monarch.demo.processes import ChildFailed
from exchange.monarch.demo.rest import Rest, RestError
from exchange.monarch.demo.story import StepFailed, Story, rent_command, ssh_answers, ssh_command
from exchange.monarch.demo.world import BARONS, GPUS_PER_BARON, REGION, SKU, DemoError, environment, script
from exchange.monarch.signals import stop_signals
from provisioner.agent.errors import AgentError

WIPED_S: Final = 30.0
POLL_S: Final = 0.1
LEASES_PAGE: Final = 200
MARKET_MAKER: Final = "market-maker"
INTERRUPTED: Final = 130
"""The exit code of a story that was stopped before its end, as a shell gives it for ctrl-c."""


def run(home: Path, ports: LocalPorts, once: bool) -> int:
    """Run the demo; 0 when all went well and nothing is left."""
    home = home.resolve()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (home / "lock").open("w")
    except OSError as error:
        print(f"monarch: {home} can't hold the demo ({error.strerror}); give another --home.", file=sys.stderr)
        return 1
    for number in stop_signals():
        signal.signal(number, signal.default_int_handler)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"A demo runs in {home} already; stop it, or give another --home and ports.", file=sys.stderr)
            return 1
        return _Demo(home, ports).run(once)


class _Demo:
    def __init__(self, home: Path, ports: LocalPorts) -> None:
        self._ports = ports
        self._local = LocalExchange(home, home / "tools", ports)
        self._world = self._local.world
        self._say = partial(print, flush=True)
        self._patience = Patience(self._local.children.check, self._say)

    def run(self, once: bool) -> int:
        """Until the story is told, or until ctrl-c; the exit code."""
        try:
            code = self._until_told(once)
        finally:
            # A second ctrl-c must not leave half of it behind.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            is_clean = self._stop()
        return code if is_clean else 1

    def _until_told(self, once: bool) -> int:
        try:
            if self._local.children.stop_leftovers():
                print("Stopped what an earlier demo left running.", flush=True)
            _check_ports(self._ports)
            self._start()
            if once:
                print("\nThe story:", flush=True)
                Story(self._world, self._local.url, self._say, self._patience).tell()
                print("\nAll steps succeeded.", flush=True)
            else:
                self._print_how()
                self._watch()
        except KeyboardInterrupt:
            print("\nStopping.", flush=True)
            return INTERRUPTED if once else 0
        except (DemoError, ChildFailed, RestError, StepFailed, AgentError) as error:
            print(f"\nThe demo failed. {self._cause(error)}", file=sys.stderr)
            return 1
        return 0

    def _cause(self, error: Exception) -> Exception:
        """Why it failed: of a connection that broke, the process that died at its other end."""
        if not isinstance(error, RestError) or error.code != "unreachable":
            return error
        # Its sockets close before it can be waited for.
        time.sleep(POLL_S)
        try:
            self._local.children.check()
        except ChildFailed as died:
            return died
        return error

    def _stop(self) -> bool:
        """End the leases, the processes, and whatever sandboxes are left; whether that is all gone."""
        try:
            self._local.children.stop(MARKET_MAKER)
            if self._local.url and self._world.is_settled:
                self._end_leases()
        except (RestError, DemoError, ChildFailed) as error:
            print(f"Could not end the leases ({error}); their sandboxes are removed all the same.", file=sys.stderr)
        try:
            self._local.stop()
        except (DemoError, ChildFailed) as error:
            print(f"Something is left: {error}", file=sys.stderr)
            return False
        return True

    def _start(self) -> None:
        local = self._local
        print("Looking for bubblewrap and sshd ...", flush=True)
        local.prepare()
        print("Starting the exchange ...", flush=True)
        local.start_monarch()
        local.settle()
        print(f"Starting {BARONS} simulated Barons of {GPUS_PER_BARON} GPUs ...", flush=True)
        local.start_barons(*range(1, BARONS + 1))
        print("Starting the market maker ...", flush=True)
        access = {"HOURBOOK_URL": local.url, "HOURBOOK_KEY": self._world.key("provider")}
        command = market_maker.command(self._world.home, SKU, REGION)
        local.children.start(MARKET_MAKER, command, environment() | access)
        local.wait("asks in the book", lambda: Rest(local.url).get(f"/v1/books/{SKU}.{REGION}.spot")["asks"])

    def _print_how(self) -> None:
        key = self._world.key("renter")
        url = self._local.url
        hourbook = shlex.quote(script("hourbook"))
        print(
            f"""
hourbook runs. Everything is in {self._world.home}, on loopback, and simulated: no GPU is behind it.

  web page      {url}/
  renter's key  {key}

Open the page in a browser on this machine: it shows the books live, and with the key it rents. Or rent the best-priced
H100 in another terminal:

  {shlex.join(rent_command(url, key))}

The ssh command of each lease is printed here as soon as it is active. The same with the hourbook command:

  export HOURBOOK_URL={url} HOURBOOK_KEY={key}
  export HOURBOOK_IDENTITY={shlex.quote(str(self._world.ssh_key))}
  {hourbook} markets --sku {SKU}
  {hourbook} rent --sku {SKU} --gpus 2
  {hourbook} ssh
  {hourbook} end latest

Stop with ctrl-c, or by SIGTERM.
""",
            flush=True,
        )

    def _watch(self) -> None:
        renter = self._local.rest("renter", QUIET_S)
        shown: set[str] = set()
        while True:
            self._local.children.check()
            for lease in self._patience.get(renter, "/v1/leases?open=true")["leases"]:
                if lease["state"] == "active" and lease["id"] not in shown and ssh_answers(lease):
                    shown.add(lease["id"])
                    print(
                        f"{lease['id']} is active on {lease['baron']}:\n\n  {shlex.join(ssh_command(lease, self._world))}\n",
                        flush=True,
                    )
            time.sleep(POLL_S)

    def _end_leases(self) -> None:
        """End every lease of the demo's accounts, and wait until the Barons have wiped them."""
        # With nothing on offer, no resting bid turns the GPUs that come back into another lease.
        self._local.rest("provider").put("/v1/asks", {"offers": []})
        # Once before the first wait, which ends at once where a Baron has failed.
        self._are_wiped()
        self._local.wait("the Barons to have wiped their leases", self._are_wiped, WIPED_S)

    def _are_wiped(self) -> bool:
        """Ask the end of what is still open of the demo's accounts; whether all that they had is wiped.

        What somebody else rented isn't theirs to end: its sandboxes are removed with the others, and nobody waits for that.
        """
        are_wiped = True
        for who in ("renter", "provider"):
            account = self._local.rest(who)
            for lease in account.get(f"/v1/leases?open=true&limit={LEASES_PAGE}")["leases"]:
                account.delete(f"/v1/leases/{lease['id']}")
            latest = account.get(f"/v1/leases?limit={LEASES_PAGE}")["leases"]
            are_wiped &= all(lease["wiped"] for lease in latest)
        return are_wiped


def _check_ports(ports: LocalPorts) -> None:
    for flag, port in (("--api-port", ports.api), ("--agents-port", ports.agents)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise DemoError(
                    f"port {port} is taken ({error.strerror}); free it, or: make demo ARGS='{flag} PORT'"
                ) from error
