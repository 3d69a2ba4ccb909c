"""The `hourbook` command: reads what was typed, runs it, and turns errors into sentences and exit codes.

0 done; 1 the exchange refused, or a lease failed; 2 it can't be done as typed; 3 the outcome is unknown; 4 no answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from hourbook.cli import access, config, forwards, leases, market, money, orders, providers, ssh
from hourbook.cli.config import UsageError
from hourbook.cli.output import note
from hourbook.cli.session import Session
from hourbook.client import Client
from hourbook.errors import HourbookError, OutcomeUnknown, Rejected, Unreachable, still_unknown

REFUSED: Final = 1
USAGE: Final = 2
UNKNOWN: Final = 3
NO_ANSWER: Final = 4
INTERRUPTED: Final = 130

_HINTS: Final = {
    "unauthorized": "Give a valid key: hourbook login (or set HOURBOOK_KEY).",
    "no_ssh_key": "Store one: hourbook ssh-keys add ~/.ssh/id_ed25519.pub",
    "unreachable": "Is this the right address? HOURBOOK_URL, or hourbook login --url URL",
    "unknown_instrument": "See what is listed: hourbook markets; forwards: hourbook curve SKU REGION",
    "unknown_lease": "See your leases: hourbook leases --all",
    "unknown_order": "See your orders: hourbook orders --all",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script; returns the exit code."""
    typed, command = _split(list(sys.argv[1:] if argv is None else argv))
    options = _parser().parse_args(typed)
    options.command = command
    try:
        return _run(options)
    except UsageError as error:
        note(f"hourbook: {error}")
        return USAGE
    except (ValueError, TypeError) as error:
        note(f"hourbook: {error}")
        return USAGE
    except HourbookError as error:
        return _tell(error, options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED


def _run(options: argparse.Namespace) -> int:
    found = config.load(os.environ)
    if options.command and options.run_name != "ssh":
        raise UsageError("only `hourbook ssh` takes a command after `--`")
    with Client(found.url, found.key) as client:
        return int(options.run(options, Session(client, found, options.json)))


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the first `--`, and what after it."""
    if "--" not in words:
        return words, []
    place = words.index("--")
    return words[:place], words[place + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hourbook",
        description="Rent and trade GPU-hours. HOURBOOK_URL and HOURBOOK_KEY, or `hourbook login`, say where and who.",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="answer in JSON")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="run_name")
    for room in (access, market, leases, ssh, orders, forwards, money, providers):
        room.add(commands, common)
    return parser


def _tell(error: HourbookError, options: argparse.Namespace) -> int:
    error = _of_repeat(error, getattr(options, "idempotency_key", None) or "")
    key = error.idempotency_key if isinstance(error, OutcomeUnknown) else ""
    if options.json:
        told = msgspec.to_builtins(error.problem) | ({"idempotency_key": key} if key else {})
        note(msgspec.json.encode(told).decode())
    else:
        note(f"hourbook: {error}")
        met = error.last if isinstance(error, OutcomeUnknown) else None
        if hint := _HINTS.get(met.code if met else error.code):
            note(hint)
        if key and hasattr(options, "idempotency_key"):
            note(f"To repeat the very same request: --idempotency-key {key}")
    if isinstance(error, OutcomeUnknown):
        return UNKNOWN
    return NO_ANSWER if isinstance(error, Unreachable) else REFUSED


def _of_repeat(error: HourbookError, idempotency_key: str) -> HourbookError:
    """The error of a command that repeats an earlier one: it is still unknown what became of that, unless it says so."""
    if not idempotency_key or isinstance(error, OutcomeUnknown) or (isinstance(error, Rejected) and error.settles):
        return error
    return still_unknown("an earlier request with this key may have been done", error, idempotency_key)


if __name__ == "__main__":
    raise SystemExit(main())
