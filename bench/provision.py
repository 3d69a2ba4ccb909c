"""From `POST /rentals` to the first successful remote command, over the real ssh, against a sandbox without an exchange.

`python -m bench provision [--rentals 30]`. A real Monarch and a Baron with simulated GPUs run in a folder of their own; each
rental is followed on its lease's event stream, entered with the command that the API gives, ended, and wiped. Between the
rentals the same sandbox is started bare on the same machine, so that both see the same load.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec
from tqdm import tqdm

from bench.common import latency
from bench.common.report import Row, exactly, parser, publish, report
from bench.provisioning.bare import Bare, is_root, public_key_of
from bench.provisioning.exchange import Exchange
from exchange.monarch.demo.processes import ChildFailed
from exchange.monarch.demo.rest import RestError
from exchange.monarch.demo.world import REGION, SKU, DemoError, World
from provisioner.agent import tools
from provisioner.agent.errors import AgentError

RENTALS: Final = 30
QUICK_RENTALS: Final = 5
RENTALS_MAX: Final = 10_000
GOAL_S: Final = 2.0
STEP_S: Final = 60.0
POLL_S: Final = 0.02
PRICE: Final = "2.0000"
REMOTE: Final = "id -un"
TOOLS_DIR: Final = Path(__file__).resolve().parents[1] / "build" / "tools"
"""Kept between runs: what is downloaded into it never changes."""


class Failed(Exception):
    """A rental that didn't come to its remote command; the message says where it stopped."""


class Rental(NamedTuple):
    """Seconds from the request: answered, lease active, first remote command done; then end asked to wiped."""

    answered_s: float
    active_s: float
    command_s: float
    wiped_s: float


class BareRun(NamedTuple):
    """Seconds from the start of a bare sandbox to its first remote command, and for one more ssh when it stands."""

    command_s: float
    ssh_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 when the goal is missed, 2 when the exchange or a rental failed."""
    options = _parser().parse_args(arguments)
    rentals = QUICK_RENTALS if options.quick else options.rentals
    # Whoever ends the bench ends the exchange under it as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        rows = run(rentals)
    except KeyboardInterrupt:
        print("bench provision: stopped, and everything with it", file=sys.stderr)
        return 130
    except (
        *(ChildFailed, RestError, DemoError, AgentError, Failed),
        *(httpx.HTTPError, subprocess.SubprocessError),
    ) as error:
        print(f"bench provision: {error}", file=sys.stderr)
        return 2
    return publish(report(rows), options.json)


def run(rentals: int) -> list[Row]:
    """So many rentals, each beside a bare sandbox, one after the other."""
    found = tools.fetch(TOOLS_DIR)
    with (
        tempfile.TemporaryDirectory(prefix="hourbook-bench-") as folder,
        Exchange(Path(folder, "exchange"), TOOLS_DIR, PRICE) as exchange,
        Bare(Path(folder, "bare"), found, public_key_of(exchange.world.ssh_key)) as bare,
        httpx.Client(
            base_url=exchange.url,
            headers={"Authorization": f"Bearer {exchange.world.key('renter')}"},
            timeout=STEP_S,
            trust_env=False,
        ) as renter,
    ):
        # The first of each loads programs into the page cache: it is part of no figure.
        _rent(renter, exchange.world)
        _bare(bare, exchange.world, 0)
        rented: list[Rental] = []
        bared: list[BareRun] = []
        for number in tqdm(range(1, rentals + 1), desc="rentals", unit="lease", disable=None):
            rented.append(_rent(renter, exchange.world))
            bared.append(_bare(bare, exchange.world, number))
    return _rows(rentals, rented, bared)


def _parser() -> argparse.ArgumentParser:
    options = parser("provision", __doc__ or "")
    options.add_argument("--rentals", type=_count, default=RENTALS, metavar="N", help=f"how many (default {RENTALS})")
    return options


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= RENTALS_MAX:
        raise argparse.ArgumentTypeError(f"from 1 to {RENTALS_MAX} rentals")
    return number


def _rent(renter: httpx.Client, world: World) -> Rental:
    wish = {"sku": SKU, "regions": [REGION], "kind": "spot", "gpus": 1, "hours": 1}
    began = time.perf_counter()
    answer = renter.post("/v1/rentals", json=wish)
    answered = time.perf_counter()
    if answer.is_error:
        raise Failed(f"the rental was refused: {answer.text}")
    lease_id = answer.json()["leases"][0]["id"]
    lease = _active(renter, lease_id)
    active = time.perf_counter()
    _remote(lease["ssh"]["command"], world)
    done = time.perf_counter()
    wiped_s = _end(renter, lease_id)
    return Rental(answered - began, active - began, done - began, wiped_s)


def _active(renter: httpx.Client, lease_id: str) -> dict[str, Any]:
    """The lease when it is active, from its event stream."""
    with renter.stream("GET", f"/v1/leases/{lease_id}/events") as stream:
        if stream.is_error:
            raise Failed(f"{lease_id} has no event stream: {stream.read().decode()}")
        for line in stream.iter_lines():
            if not line.startswith("data:"):
                continue
            lease: dict[str, Any] = msgspec.json.decode(line.removeprefix("data:"))
            if lease["state"] == "active":
                return lease
            if lease["state"] not in ("scheduled", "provisioning"):
                raise Failed(f"{lease_id} is {lease['state']} ({lease['reason']}): {lease['detail']}")
    raise Failed(f"the event stream of {lease_id} ended before it was active")


def _remote(ssh_line: str, world: World) -> None:
    """Run a remote command with the API's own line and the renter's key; the first try must succeed."""
    program, *rest = shlex.split(ssh_line)
    own = ["-F", "none", "-i", str(world.ssh_key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    done = subprocess.run([program, *own, *rest, REMOTE], capture_output=True, text=True, timeout=STEP_S, check=False)
    if done.returncode != 0 or done.stdout.strip() != "gpu":
        raise Failed(f"ssh ended with {done.returncode}, and printed {done.stdout!r} {done.stderr!r}")


def _end(renter: httpx.Client, lease_id: str) -> float:
    """End the lease and wait until it is wiped; how long that took."""
    began = time.perf_counter()
    renter.delete(f"/v1/leases/{lease_id}").raise_for_status()
    while not (lease := renter.get(f"/v1/leases/{lease_id}").raise_for_status().json())["wiped"]:
        if time.perf_counter() - began > STEP_S:
            raise Failed(f"{lease_id} isn't wiped after {STEP_S:.0f} s: {lease}")
        time.sleep(POLL_S)
    return time.perf_counter() - began


def _bare(bare: Bare, world: World, number: int) -> BareRun:
    began = time.perf_counter()
    line = bare.start(number)
    _remote(line, world)
    done = time.perf_counter()
    _remote(line, world)
    again = time.perf_counter()
    bare.destroy()
    return BareRun(done - began, again - done)


def _rows(rentals: int, rented: Sequence[Rental], bared: Sequence[BareRun]) -> list[Row]:
    exchanged = [each.command_s for each in rented]
    alone, ssh = [each.command_s for each in bared], [each.ssh_s for each in bared]
    p50 = latency.percentile(exchanged, 50)
    who = "as root, each sandbox with a host uid of its own" if is_root() else "as an ordinary user"
    return [
        exactly("rentals", len(rented), "leases", rentals, f"each to its remote command, at the first try; {who}"),
        *latency.rows("POST /rentals to first remote command", exchanged, GOAL_S, "goal: under 2 s"),
        *latency.rows("of that: POST /rentals answered, durable", [each.answered_s for each in rented]),
        *latency.rows("of that: lease active", [each.active_s for each in rented]),
        *latency.rows("end asked to wiped", [each.wiped_s for each in rented]),
        *latency.rows("bare: sandbox started to first remote command", alone),
        *latency.rows("bare: ssh into a sandbox that stands", ssh),
        Row("rental / bare sandbox and ssh", p50 / latency.percentile(alone, 50), "x", against="p50 of both, same run"),
        Row("rental / bare ssh", p50 / latency.percentile(ssh, 50), "x", against="p50 of both, same run"),
    ]
