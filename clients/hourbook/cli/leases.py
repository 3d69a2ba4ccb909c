"""rent, leases, end, release: GPUs in and out of your hands."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from hourbook.cli.config import UsageError
from hourbook.cli.market import add_wish
from hourbook.cli.orders import repeat_key, show
from hourbook.cli.output import emit, mark, note, table
from hourbook.cli.session import Commands, Session, find_lease
from hourbook.errors import Unreachable
from hourbook.models import Lease

WAIT_S: Final = 660.0
"""A little more than the exchange gives a Baron to start a lease."""
_RECONNECT_S: Final = 0.5


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    rent = commands.add_parser("rent", parents=[common], help="take the best price, all or nothing")
    add_wish(rent)
    rent.add_argument("--ssh-key", action="append", type=Path, metavar="FILE", help="public key; else the account's")
    rent.add_argument("--auto-extend", action="store_true", help="on-demand: extend by an hour at a time by itself")
    rent.add_argument("--no-wait", dest="wait", action="store_false", help="don't wait until the leases are active")
    rent.add_argument(
        "--idempotency-key", type=repeat_key, metavar="KEY", help="repeat a rental whose outcome is unknown"
    )
    rent.set_defaults(run=_rent)
    leases = commands.add_parser("leases", parents=[common], help="your leases, newest first")
    leases.add_argument("--all", action="store_true", help="those that are over as well")
    leases.add_argument(
        "--provider",
        action="store_true",
        help="those that you provide: on your Barons, or of bought hours that you let",
    )
    leases.add_argument("--limit", type=int, default=50, help="at most so many (50)")
    leases.set_defaults(run=_leases)
    end = commands.add_parser("end", parents=[common], help="end a lease; the minimum of its kind is charged")
    end.add_argument("lease", metavar="LEASE", help="its id, or `latest`")
    end.set_defaults(run=_end)
    more = commands.add_parser(
        "raise", parents=[common], help="pay more for a spot lease from now on, so that it yields later"
    )
    more.add_argument("lease", metavar="LEASE", help="its id, or `latest`")
    more.add_argument("price", metavar="PRICE", help="dollars per GPU-hour, above what it pays")
    more.set_defaults(run=_raise)
    longer = commands.add_parser(
        "extend", parents=[common], help="hours more of an on-demand lease, at its Baron's offer"
    )
    longer.add_argument("lease", metavar="LEASE", help="its id, or `latest`")
    how = longer.add_mutually_exclusive_group()
    how.add_argument("--hours", type=int, default=1, help="from ten minutes before the term's end (1)")
    how.add_argument("--auto", choices=("on", "off"), help="whether it extends itself by an hour at a time from now on")
    longer.set_defaults(run=_extend)
    back = commands.add_parser("release", parents=[common], help="sell GPUs of a running reservation")
    back.add_argument("lease", metavar="LEASE", help="its id, or `latest`")
    back.add_argument("gpus", type=int, metavar="GPUS", help="how many of its GPUs")
    back.add_argument("price", metavar="PRICE", help="dollars per GPU-hour")
    back.add_argument(
        "--as",
        dest="release_as",
        choices=("spot", "ondemand", "forwards"),
        default="spot",
        help="on spot, on-demand to the end of its hours, or as whole listed forwards",
    )
    back.add_argument(
        "--idempotency-key", type=repeat_key, metavar="KEY", help="repeat a release whose outcome is unknown"
    )
    back.set_defaults(run=_release)


def wait_active(session: Session, lease: Lease) -> Lease:
    """The lease once it is active or over; UsageError after WAIT_S. Says what it waits for when that takes a while."""
    deadline = time.monotonic() + WAIT_S
    if lease.state not in ("active", "ending") and not lease.is_over:
        note(f"{lease.id}: {lease.state} on {lease.baron} ...")
    while lease.ssh is None and not lease.is_over:
        if time.monotonic() > deadline:
            raise UsageError(f"{lease.id} is still {lease.state} after {WAIT_S:.0f} s; look again: hourbook leases")
        for change in _changes(session, lease.id):
            lease = change
            if lease.ssh is not None or lease.is_over:
                break
    return lease


def _changes(session: Session, lease_id: str) -> Iterator[Lease]:
    """The lease's changes until its stream ends; a broken stream is one that ended."""
    try:
        yield from session.client.lease_events(lease_id)
    except Unreachable as error:
        note(str(error))
        time.sleep(_RECONNECT_S)


def _rent(options: argparse.Namespace, session: Session) -> int:
    keys = None if options.ssh_key is None else [public_key(file) for file in options.ssh_key]
    rental = session.client.rent(
        options.sku,
        options.gpus,
        options.hours,
        options.kind,
        options.regions,
        options.max_price,
        ssh_keys=keys,
        idempotency_key=options.idempotency_key or "",
        features=options.features,
        same_baron=options.same_baron,
        min_rating=options.min_rating,
        auto_extend=options.auto_extend,
    )
    leases = rental.leases
    if options.wait:
        leases = [wait_active(session, lease) for lease in leases]
    if session.json:
        emit(leases)
    else:
        _show(leases)
        for lease in leases:
            note(
                f"{lease.id} failed: {lease.detail or lease.reason}" if lease.is_over else f"  hourbook ssh {lease.id}"
            )
    return 1 if any(lease.is_over for lease in leases) else 0


def _leases(options: argparse.Namespace, session: Session) -> int:
    role: Literal["renter", "provider"] = "provider" if options.provider else "renter"
    leases = session.client.leases(only_open=not options.all, role=role, limit=options.limit)
    if session.json:
        emit(leases)
    else:
        _show(leases)
    return 0


def _end(options: argparse.Namespace, session: Session) -> int:
    return _answer(session, session.client.end_lease(find_lease(session, options.lease).id))


def _raise(options: argparse.Namespace, session: Session) -> int:
    return _answer(session, session.client.raise_price(find_lease(session, options.lease).id, options.price))


def _extend(options: argparse.Namespace, session: Session) -> int:
    lease = find_lease(session, options.lease)
    if options.auto is not None:
        return _answer(session, session.client.set_auto_extend(lease.id, options.auto == "on"))
    return _answer(session, session.client.extend(lease.id, options.hours))


def _release(options: argparse.Namespace, session: Session) -> int:
    lease = find_lease(session, options.lease)
    released = session.client.release(
        lease.id, options.gpus, options.price, options.release_as, idempotency_key=options.idempotency_key or ""
    )
    if session.json:
        emit(released)
        return 0
    show(released.orders)
    note(f"{released.lease.id} has {released.lease.gpus} GPUs; with each that is sold it starts again, its files gone.")
    return 0


def _answer(session: Session, lease: Lease) -> int:
    if session.json:
        emit(lease)
    else:
        _show([lease])
    return 0


def _show(leases: list[Lease]) -> None:
    rows = [
        (lease.id, lease.state, _why(lease), lease.instrument, lease.gpus, lease.price, lease.started, lease.charged,
         lease.accrued, mark(lease.baron, lease.simulated))
        for lease in leases
    ]  # fmt: skip
    headings = ("lease", "state", "reason", "instrument", "GPUs", "price", "started", "charged", "accrued", "Baron")
    table(headings, rows, "No leases.")


def _why(lease: Lease) -> str | None:
    """Why it ended, or will: under notice with the time."""
    if lease.state == "ending" and lease.ends is not None:
        return f"{lease.reason} at {lease.ends:%H:%M:%S}Z"
    return lease.reason


def public_key(file: Path) -> str:
    """The line of a public key file; UsageError when it can't be read."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read {file}: {error}; give a public key file such as ~/.ssh/id_ed25519.pub") from error
