"""The `monarch` command: up, admin, verify, demo. It reads the configuration, hands over, and prints errors for people.

Every command has `--json`. Exit codes: 0 done, 1 it failed or found something wrong, 2 the arguments can't be used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from engine.halves import CompiledHalfMissing
from exchange.monarch.config import Config, ConfigError, check_ports, load

_Tasks: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
PRIVATE_UMASK = 0o077
"""Everything that Monarch writes is its own alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except ConfigError as error:
        print(f"monarch: {error}", file=sys.stderr)
        return 2
    except CompiledHalfMissing as error:
        print(f"monarch: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def _folder(name: str) -> Path:
    """A directory that was named; no name is no word for the one that somebody happens to stand in."""
    if not name:
        raise argparse.ArgumentTypeError("it is empty; name a directory")
    return Path(name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="monarch", description="The server side of hourbook, an exchange for GPU-hours."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="TOML file; HOURBOOK_* and flags win over it")
    common.add_argument("--home", type=_folder, metavar="DIR", help="data directory (default: $HOURBOOK_HOME)")
    common.add_argument("--json", action="store_true", help="print JSON")

    up = commands.add_parser("up", parents=[common], help="run the exchange, all parts in one process")
    up.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    for name, what in (
        ("api-port", "REST and WebSocket"),
        ("agents-port", "Barons' agents"),
        ("gate-port-first", "first port for leases"),
        ("gate-port-last", "last port for leases"),
    ):
        up.add_argument(f"--{name}", type=int, metavar="PORT", help=what)
    up.add_argument("--allow-simulated", action="store_const", const=True, help="admit Barons without real GPUs")
    up.set_defaults(run=_up)

    admin = commands.add_parser("admin", help="administration").add_subparsers(required=True, metavar="TASK")
    bootstrap = admin.add_parser("bootstrap", parents=[common], help="make the first account and print its key, once")
    bootstrap.set_defaults(run=_bootstrap)

    session = admin.add_parser("session", parents=[common], help="halt an instrument, open it, or hold an auction")
    session.add_argument("symbol", metavar="SYMBOL", help="such as H100-SXM5-80GB.us-east.spot")
    session.add_argument("session", choices=("pre_open", "auction", "continuous", "halted"))
    session.set_defaults(run=_session)
    features = admin.add_parser("features", parents=[common], help="say which features a Baron has, all of them")
    features.add_argument("baron", metavar="BARON")
    features.add_argument(
        "features", nargs="*", metavar="FEATURE", help="infiniband, nvlink, certified, secure; or none"
    )
    features.set_defaults(run=_features)

    _add_accounts(admin, common)

    verify = commands.add_parser(
        "verify", parents=[common], help="prove that the ledger equals the engine, and all sums to zero"
    )
    verify.set_defaults(run=_verify)

    demo = commands.add_parser("demo", help="exchange, two simulated Barons and a market maker on this machine")
    demo.add_argument(
        "--once", action="store_true", help="tell the story by itself, then stop: rent, ssh, scp, statement, verify"
    )
    demo.add_argument(
        "--home", type=_folder, default=Path(".demo"), metavar="DIR", help="where it keeps everything (default .demo)"
    )
    demo.add_argument("--api-port", type=int, default=8700, metavar="PORT")
    demo.add_argument("--agents-port", type=int, default=8701, metavar="PORT")
    demo.add_argument("--gate-port-first", type=int, default=22_000, metavar="PORT")
    demo.add_argument("--gate-port-last", type=int, default=22_999, metavar="PORT")
    demo.set_defaults(run=_demo)
    return parser


def _add_accounts(admin: _Tasks, common: argparse.ArgumentParser) -> None:
    """What an operator says of Barons' ratings and of accounts."""
    rating = admin.add_parser("rating", parents=[common], help="say how a Baron is rated")
    rating.add_argument("baron", metavar="BARON")
    rating.add_argument("rating", type=int, metavar="RATING", help="0 to 100")
    rating.set_defaults(run=_rating)
    outage = admin.add_parser("outage", parents=[common], help="say when a lease could not be used, for its credit")
    outage.add_argument("lease", metavar="LEASE")
    outage.add_argument("began", metavar="BEGAN", help="such as 2026-12-24T18:00:00Z")
    outage.add_argument("ended", metavar="ENDED")
    outage.set_defaults(run=_outage)
    limits = admin.add_parser(
        "limits", parents=[common], help="what an account may have open: show it, or with flags set all of it"
    )
    limits.add_argument("account", metavar="ACCOUNT")
    limits.add_argument("--max-open-orders", type=int, metavar="ORDERS")
    limits.add_argument("--max-notional", metavar="DOLLARS", help="held for its bids and leases")
    limits.add_argument("--max-gpus", type=int, metavar="GPUS", help="of its bids and leases together")
    limits.add_argument("--none", action="store_true", help="take all limits away")
    limits.set_defaults(run=_limits)
    kill = admin.add_parser("kill", parents=[common], help="stop an account: cancel its orders, refuse new ones")
    kill.add_argument("account", metavar="ACCOUNT")
    kill.add_argument("--off", action="store_true", help="let it trade again")
    kill.set_defaults(run=_kill)


def _config(options: argparse.Namespace) -> Config:
    names = ("home", "host", "api_port", "agents_port", "gate_port_first", "gate_port_last", "allow_simulated")
    flags: dict[str, Any] = {name: getattr(options, name, None) for name in names}
    return load(options.config, os.environ, flags)


def _up(options: argparse.Namespace) -> int:
    from exchange.monarch.up import run

    os.umask(PRIVATE_UMASK)
    return run(_config(options))


def _bootstrap(options: argparse.Namespace) -> int:
    from exchange.monarch.admin import AdminExists, bootstrap

    os.umask(PRIVATE_UMASK)
    try:
        made = bootstrap(_config(options))
    except AdminExists as error:
        print(f"monarch: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"account": made.account, "key": made.key}))
    else:
        print(f"account  {made.account}\nkey      {made.key}\nIt has every scope and is shown only now. Keep it.")
    return 0


def _session(options: argparse.Namespace) -> int:
    from exchange.monarch import operate

    return _operate(
        options,
        lambda: operate.set_session(_config(options), os.environ, options.symbol, options.session),
        lambda answer: f"{answer['symbol']} {answer['session']}",
    )


def _features(options: argparse.Namespace) -> int:
    from exchange.monarch import operate

    return _operate(
        options,
        lambda: operate.set_features(_config(options), os.environ, options.baron, options.features),
        lambda answer: f"{answer['baron']} {' '.join(answer['features']) or 'no features'}",
    )


def _rating(options: argparse.Namespace) -> int:
    from exchange.monarch import operate

    return _operate(
        options,
        lambda: operate.set_rating(_config(options), os.environ, options.baron, options.rating),
        lambda answer: f"{answer['baron']} {answer['rating']}",
    )


def _outage(options: argparse.Namespace) -> int:
    from exchange.monarch import operate

    return _operate(
        options,
        lambda: operate.report_outage(_config(options), os.environ, options.lease, options.began, options.ended),
        lambda answer: f"{answer['lease_id']} was out for {answer['out_s']} s this month",
    )


def _limits(options: argparse.Namespace) -> int:
    from exchange.monarch import operate

    given = {name: getattr(options, name) for name in ("max_open_orders", "max_notional", "max_gpus")}
    asks = all(value is None for value in given.values()) and not options.none
    if options.none and any(value is not None for value in given.values()):
        raise ConfigError("--none takes all limits away; give it alone")
    return _operate(
        options,
        lambda: operate.limits(_config(options), os.environ, options.account, None if asks else given),
        _limits_said,
    )


def _kill(options: argparse.Namespace) -> int:
    from exchange.monarch import operate

    return _operate(
        options,
        lambda: operate.set_kill_switch(_config(options), os.environ, options.account, not options.off),
        lambda answer: f"{_limits_said(answer)}; {answer['canceled_orders']} orders cancelled",
    )


def _limits_said(answer: dict[str, Any]) -> str:
    limits = [f"{name} {answer[name]}" for name in ("max_open_orders", "max_notional", "max_gpus") if answer[name]]
    killed = ["stopped"] if answer["killed"] else []
    return f"{answer['account']} {', '.join(limits + killed) or 'no limits'}"


def _operate(
    options: argparse.Namespace, tell: Callable[[], dict[str, Any]], say: Callable[[dict[str, Any]], str]
) -> int:
    from exchange.monarch.demo.rest import RestError
    from exchange.monarch.operate import NotReachable

    try:
        answer = tell()
    except (NotReachable, RestError) as error:
        print(f"monarch: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer) if options.json else say(answer))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from exchange.monarch.verify import run

    return run(_config(options), options.json)


def _demo(options: argparse.Namespace) -> int:
    from exchange.monarch.demo.local import LocalPorts
    from exchange.monarch.demo.run import run

    ports = LocalPorts(options.api_port, options.agents_port, options.gate_port_first, options.gate_port_last)
    check_ports(*ports)
    return run(options.home, ports, options.once)
