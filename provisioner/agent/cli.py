"""The `baron` command: enroll, run, inventory, purge. It reads the arguments, hands over, and prints for people or as JSON.

Results go to stdout, the agent's events and errors to stderr. Exit codes: 0 done, 1 it failed, 2 the arguments can't be used.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from provisioner.agent import devices
from provisioner.agent import home as homes
from provisioner.agent.enrolment import enroll
from provisioner.agent.errors import AgentError
from provisioner.agent.events import EventLog
from provisioner.agent.purge import purge
from provisioner.agent.run import Agent


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script; returns the exit code."""
    try:
        try:
            return _main(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has left: there is nobody to tell, now or when Python flushes what is left.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        return 1


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    # What goes wrong with a connection, the agent's own log says in a line; the library would say it in forty.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    try:
        return int(options.run(options, homes.home_directory(options.home)))
    except AgentError as error:
        _print_error(error, as_json=options.json)
        return 1
    except KeyboardInterrupt:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="baron", description="Sells this node's GPU-hours: the agent of a Baron.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", metavar="DIR", help=f"the Baron's own directory (default: ${homes.HOME_VARIABLE})")
    common.add_argument("--json", action="store_true", help="print JSON")
    fetched = argparse.ArgumentParser(add_help=False)
    fetched.add_argument(
        "--tools",
        metavar="DIR",
        help=f"missing programs are kept here (default: ${homes.TOOLS_VARIABLE}, else HOME/tools)",
    )
    simulating = argparse.ArgumentParser(add_help=False)
    simulating.add_argument("--simulate", metavar="SKU:N", help="show N simulated GPUs, as H100-SXM5-80GB:8")

    one = commands.add_parser(
        "enroll", parents=[common], help="exchange a single-use token for this Baron's credential"
    )
    one.add_argument("--monarch", required=True, metavar="URL", help="Monarch's address for agents, ws://HOST:PORT")
    one.add_argument("--token", required=True, help="the token that registering the Baron gave")
    one.set_defaults(run=_enroll)
    one = commands.add_parser("run", parents=[common, fetched, simulating], help="serve leases until stopped")
    one.set_defaults(run=_run)
    one = commands.add_parser(
        "inventory", parents=[common, simulating], help="show this node's GPUs as Monarch would see them"
    )
    one.set_defaults(run=_inventory)
    # --tools as `run` has it, so that both take the same line; what ends a sandbox, every system has.
    one = commands.add_parser("purge", parents=[common, fetched], help="end and wipe every sandbox of this home")
    one.set_defaults(run=_purge)
    return parser


def _enroll(options: argparse.Namespace, home: Path) -> int:
    identity = enroll(home, options.monarch, options.token)
    if not homes.is_loopback(identity.monarch) and identity.monarch.startswith("ws:"):
        print(f"baron: the way to {identity.monarch} is not encrypted: use wss:// on a network", file=sys.stderr)
    sentence = f"Enrolled as {identity.baron_id} at {identity.monarch}; the credential is in {home}. Next: baron run"
    _print({"baron_id": identity.baron_id, "monarch": identity.monarch, "home": str(home)}, sentence, options.json)
    return 0


def _run(options: argparse.Namespace, home: Path) -> int:
    log = EventLog(sys.stderr, as_json=options.json)
    if options.simulate is not None:
        devices.parse_simulate(options.simulate)
    with homes.held(home):
        agent = Agent(home, homes.tools_directory(options.tools, home), options.simulate, log)
        try:
            code = 0 if asyncio.run(agent.run()) else 1
        except AgentError as error:
            _print_error(error, as_json=options.json)
            code = 1
        if not agent.settled:
            # A thread is still at a sandbox; the next agent finishes that, and this one was told to end now.
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
        return code


def _inventory(options: argparse.Namespace, home: Path) -> int:
    identity = homes.read_identity(home)
    found = devices.discover(options.simulate, identity.baron_id if identity else "")
    if options.json:
        print(json.dumps(msgspec.to_builtins(found)))
        return 0
    kind = "simulated, " if found.simulated else ""
    print(f"{len(found.gpus)} GPUs ({kind}driver {found.driver_version}, CUDA {found.cuda_version})")
    for gpu in found.gpus:
        health = "" if gpu.healthy else "  UNHEALTHY"
        print(
            f"{gpu.index:>3}  {gpu.sku or 'no known SKU':<18} {gpu.memory_mib:>7} MiB  {gpu.uuid}  {gpu.name}{health}"
        )
    return 0


def _purge(options: argparse.Namespace, home: Path) -> int:
    purged = purge(home)
    done = f"{len(purged.destroyed)} sandboxes ended and wiped in {home}"
    _print(msgspec.to_builtins(purged), done, options.json)
    for name, why in purged.failed.items():
        if not options.json:
            print(f"baron: {name} is still there: {why}", file=sys.stderr)
    return 1 if purged.failed else 0


def _print(result: dict[str, Any], sentence: str, as_json: bool) -> None:
    print(json.dumps(result) if as_json else sentence)


def _print_error(error: AgentError, *, as_json: bool) -> None:
    if as_json:
        problem = {"code": error.code, "detail": error.detail, "remedy": error.remedy}
        print(json.dumps({"error": problem}), file=sys.stderr)
    else:
        print(f"baron: {error.detail}; {error.remedy} [{error.code}]", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
