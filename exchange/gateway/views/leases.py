"""A lease in its public form, and the one command that gets its renter in.

The command pins the host key with nothing on disk and asks nothing: ssh runs /bin/echo for the known_hosts line.
"""

from __future__ import annotations

import shlex
from bisect import bisect_right
from typing import Final

import msgspec

from engine.ids import format_id
from engine.kinds import EndReason, LeaseState, edge_name
from engine.messages import OutageNoted, Reply
from engine.units import NS_PER_HOUR, NS_PER_S, format_money, format_price, tick_ns, usage_micros
from exchange.gateway.views.text import View, format_price_if, format_time, format_time_if
from exchange.read.interface import InstrumentRow, LeaseRow

_REACHABLE: Final = frozenset({LeaseState.ACTIVE, LeaseState.ENDING})
_NO_FILE: Final = "/dev/null"


class _Access(msgspec.Struct, frozen=True):
    """The provisioner's `access` blob, as its ports state it."""

    host: str
    port: int
    user: str
    host_key: str


class Ssh(View, frozen=True):
    """How to get in. `command` needs nothing on disk but your own private key; add `-i FILE` where that isn't ssh's default."""

    host: str
    port: int
    user: str
    command: str
    host_key: str


class Lease(View, frozen=True):
    """`charged`: usage posted so far, without fees; it moves at each full hour of use, at a month's end, and when the lease ends.

    `accrued`: what has been used since, without fees, as of this answer; posted at the next full hour. A lease that ends
    sooner may be charged more (its kind's minimum), or nothing (a provider's failure inside the first hour).
    `ssh`: while it is active or ending, and to its renter alone.
    `ends`: when a lease that is `ending` will have ended, for its `reason`; null without notice.
    `max_price`: the most at which an on-demand lease is extended; `auto_extend`: it does so by itself, by an hour at a time.
    A forward's lease has no order and a price of nothing: its obligation is paid by the hour.
    `term_end` is null for a lease without end; `simulated`: the Baron has no real GPUs.
    """

    id: str
    state: str
    reason: str | None
    instrument: str
    sku: str
    region: str
    kind: str
    gpus: int
    price: str
    order_id: str | None
    baron: str
    simulated: bool
    started: str
    active: str | None
    ended: str | None
    term_end: str | None
    ends: str | None
    max_price: str | None
    auto_extend: bool
    charged: str
    accrued: str
    wiped: bool
    detail: str | None
    ssh: Ssh | None
    seq: int


class Leases(View, frozen=True):
    seq: int
    leases: list[Lease]
    next_cursor: str | None


class Rental(View, frozen=True):
    """What was rented: one lease a Baron and price. `duplicate`: a repeat, answered with what the first one made."""

    seq: int
    order_id: str
    instrument: str
    leases: list[Lease]
    duplicate: bool


def lease(row: LeaseRow, instrument: InstrumentRow, account: int, now_ns: int) -> Lease:
    """As its renter sees it now; to anyone else (its provider) without the way in and the renter's order."""
    is_renter = row.renter == account
    return Lease(
        id=format_id("lse", row.lease_id),
        state=edge_name(row.state),
        reason=None if row.reason is EndReason.NONE else edge_name(row.reason),
        instrument=instrument.symbol,
        sku=instrument.sku,
        region=instrument.region,
        kind=edge_name(row.kind),
        gpus=row.quantity,
        price=format_price(price_at(row, now_ns)),
        order_id=format_id("ord", row.order_id) if is_renter and row.order_id else None,
        baron=format_id("brn", row.baron),
        simulated=row.simulated,
        started=format_time(row.start_ns),
        active=format_time_if(row.active_ns),
        ended=format_time_if(row.ended_ns),
        term_end=format_time_if(row.term_end_ns),
        ends=format_time_if(ends_ns(row)),
        max_price=format_price_if(row.limit_ticks),
        auto_extend=row.auto_extend,
        charged=format_money(row.charged_micros),
        accrued=format_money(accrued_micros(row, now_ns)),
        wiped=row.wiped,
        detail=row.detail or None,
        ssh=_ssh(row.access) if is_renter and row.access and row.state in _REACHABLE else None,
        seq=row.seq,
    )


class Outage(View, frozen=True):
    """What counts of an outage: the part of it in the lease's running month. `out_s`: all of that month's, in whole seconds."""

    seq: int
    lease_id: str
    began: str
    ended: str
    out_s: int


def outage(reply: Reply) -> Outage:
    noted = next(event for event in reply.events if isinstance(event, OutageNoted))
    return Outage(
        seq=reply.seq,
        lease_id=format_id("lse", noted.lease_id),
        began=format_time(noted.from_ns),
        ended=format_time(noted.to_ns),
        out_s=noted.out_ns // NS_PER_S,
    )


def accrued_micros(row: LeaseRow, now_ns: int) -> int:
    """Use of a running lease that isn't posted yet, at `now_ns`, without fee: what the engine would post (§8).

    While it runs, full hours are posted, each at its end, so what is posted says how many. As in the engine, what is due
    is never more than to the next full hour, the term's end or the notice's: more isn't held for it before that has passed.
    """
    if row.state not in _REACHABLE or not row.active_ns:
        return 0
    prices = row.all_prices()

    def used(until_ns: int) -> int:
        return usage_micros(1, row.quantity, tick_ns(row.price_ticks, prices, row.active_ns, until_ns))

    def after(hours: int) -> int:
        return row.active_ns + hours * NS_PER_HOUR

    passed = max(0, now_ns - row.active_ns) // NS_PER_HOUR
    posted = bisect_right(range(passed + 1), row.charged_micros, key=lambda hours: used(after(hours))) - 1
    due_ns = ends_ns(row) or after(posted + 1)
    if row.term_end_ns:
        due_ns = min(due_ns, row.term_end_ns)
    return max(0, used(max(row.active_ns, min(now_ns, due_ns))) - row.charged_micros)


def price_at(row: LeaseRow, now_ns: int) -> int:
    """The price that holds then, in ticks: a new one may hold from later on."""
    prices = row.all_prices()
    return next((ticks for from_ns, ticks in reversed(prices) if from_ns <= now_ns), row.price_ticks)


def ends_ns(row: LeaseRow) -> int:
    """When a lease under notice will have ended, at its term's end at the latest; 0 without notice."""
    return min(row.ends_ns, row.term_end_ns or row.ends_ns)


def ssh_command(host: str, port: int, user: str, host_key: str) -> str:
    """A shell line that runs ssh without a prompt and accepts this host key alone."""
    known_hosts = f"/bin/echo [{host}]:{port} {host_key}"
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _NO_FILE,
        "GlobalKnownHostsFile": _NO_FILE,
        "KnownHostsCommand": known_hosts,
    }
    words = ["ssh", "-p", str(port), *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    return shlex.join([*words, f"{user}@{host}"])


def _ssh(blob: bytes) -> Ssh:
    access = msgspec.json.decode(blob, type=_Access)
    return Ssh(
        host=access.host,
        port=access.port,
        user=access.user,
        command=ssh_command(access.host, access.port, access.user, access.host_key),
        host_key=access.host_key,
    )
