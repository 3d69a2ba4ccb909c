"""Reconciliation: what should run on a Baron, compared with what its agent says, gives what to do. A pure function.

It is called at every heartbeat, after every change in the log and every few seconds, and says the same thing again until
the log or the agent shows that it was done: whatever crashes, the next call repairs. It knows no socket, clock or SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from engine.ids import format_id, parse_id
from engine.kinds import Fault, LeaseState, Presence
from engine.limits import Limits
from engine.messages import LeaseFailed, LeaseWiped, ReportOutage, SetCapacity, SetPresence
from provisioner.records import BaronRow, LeaseRow
from provisioner.settings import MAX_FORGET, Timings, to_ns
from provisioner.wire import MAX_LEASES, MAX_MESSAGE_BYTES, Desired, LeaseReport, LeaseSpec, SandboxState, encode

MAX_DETAIL_CHARS = Limits().max_detail_chars

Word = SetCapacity | SetPresence | LeaseFailed | LeaseWiped
"""What is said of a Baron and its leases; what is said of the Baron itself is due once until the log shows it."""


class Vouch(NamedTuple):
    """When the agent last said that a lease runs, and how long ago that is while Monarch listened."""

    seen_ns: int
    age_ns: int


class Gap(NamedTuple):
    """Between two heartbeats that vouched for a lease, on the wall's clock: too long for it to have been reachable."""

    from_ns: int
    to_ns: int


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a Baron's agent now.

    reports: its last heartbeat of this session by lease, None when there was none. silent_ns: since it last spoke, or
    since Monarch listens. spoke: it has spoken since then. inventory None: never heard of. vouched: of leases that were
    reported RUNNING since Monarch listens. absent_ns: since when Desired, in this session, leaves a lease out.
    gaps: between words that vouched, of which the engine hasn't heard.
    """

    inventory: tuple[str, ...] | None
    simulated: bool
    unhealthy: frozenset[str]
    reports: Mapping[int, LeaseReport] | None
    spoke: bool
    silent_ns: int
    listening_ns: int
    vouched: Mapping[int, Vouch]
    gaps: Mapping[int, tuple[Gap, ...]] = {}
    absent_ns: Mapping[int, int]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: rows to write down first, then gates to hold open, commands to submit, and the list to send.

    running: leases that may become active once their gate is open. reachable: active ones. over: ended, and not wiped yet.
    outages: gaps that the engine hasn't heard of, each to be said once.
    baron: the row that it was made from.
    """

    known: tuple[int, ...]
    over: tuple[int, ...]
    rows: tuple[LeaseRow, ...]
    specs: tuple[LeaseSpec, ...]
    forget: tuple[str, ...]
    running: tuple[LeaseRow, ...]
    reachable: tuple[LeaseRow, ...]
    commands: tuple[Word, ...]
    outages: tuple[ReportOutage, ...]
    baron: BaronRow


def reconcile(baron: BaronRow, leases: Sequence[LeaseRow], view: AgentView, timings: Timings, now_ns: int) -> Plan:
    """Compare and decide (§4 "Lost capacity", §8). `leases`: all of the Baron's that aren't wiped yet, in order of id."""
    leases, learnt = _recover(leases, view)
    taken = {uuid for lease in leases for uuid in lease.gpus or ()}
    gpus_known = all(lease.gpus is not None for lease in leases)
    wanted: list[LeaseRow] = []
    running: list[LeaseRow] = []
    reachable: list[LeaseRow] = []
    commands: list[Word] = []
    lost_ns = _lost_ns(baron, leases, view, timings, now_ns)
    for lease in leases:
        report = (view.reports or {}).get(lease.lease_id)
        if lease.over:
            if _is_wiped(lease, report, view, timings):
                commands.append(LeaseWiped(lease_id=lease.lease_id))
            continue
        # One that waits for another's wipe isn't wanted yet; one that had notice before it ran isn't any more.
        if not lease.live or lease.given_up:
            continue
        if report is not None and lease.gpus is not None and report.generation != lease.generation:
            report = None
        if (failed := _failure(baron, lease, report, view, timings, now_ns, lost_ns)) is not None:
            commands.append(failed)
            continue
        lease_now = _let_go(lease, report, taken)
        kept = _assign(lease_now, view, taken) if gpus_known else lease_now
        if report is not None and report.state is SandboxState.RUNNING and lease.state is LeaseState.PROVISIONING:
            kept = msgspec.structs.replace(kept, host_key=report.host_key or kept.host_key)
            if kept.host_key:
                running.append(kept)
        if kept.state is not LeaseState.PROVISIONING:
            reachable.append(kept)
        if kept != lease:
            learnt[kept.lease_id] = kept
        if kept.gpus:
            wanted.append(kept)
    if not any(isinstance(command, LeaseFailed) and command.fault is Fault.PROVIDER for command in commands):
        # Which leases the Baron fails is said first: the machine would choose others, or charge them otherwise.
        wiped = {command.lease_id for command in commands if isinstance(command, LeaseWiped)}
        unwiped = [lease for lease in leases if lease.over and lease.lease_id not in wiped]
        said = (_capacity(baron, unwiped, view, timings), _presence(baron, view, timings, lost_ns))
        commands += [word for word in said if word is not None]
    forget = _forget(leases, view)
    return Plan(
        known=tuple(lease.lease_id for lease in leases),
        over=tuple(lease.lease_id for lease in leases if lease.over),
        rows=tuple(learnt.values()),
        specs=_fit(wanted, forget, timings, now_ns),
        forget=forget,
        running=tuple(running),
        reachable=tuple(reachable),
        commands=tuple(commands),
        outages=tuple(
            ReportOutage(lease_id=lease.lease_id, from_ns=gap.from_ns, to_ns=gap.to_ns)
            for lease in leases
            if lease.used
            for gap in view.gaps.get(lease.lease_id, ())
            if lease.active_ns < gap.to_ns <= now_ns
        ),
        baron=baron,
    )


def _recover(leases: Sequence[LeaseRow], view: AgentView) -> tuple[list[LeaseRow], dict[int, LeaseRow]]:
    """What a lost database knew of leases' GPUs, from what the agent says it has; all leases, and those that are new.

    What it has more than its lease has GPUs, the lease had before it shrank.
    A lease that the agent doesn't have gets GPUs anew as its next generation: a list of the lost database, that is still
    on its way, can't start it on the old ones beside. One with GPUs that can't be its own stays as it is, and fails.
    """
    taken = {uuid for lease in leases for uuid in lease.gpus or ()}
    all_leases: list[LeaseRow] = []
    learnt: dict[int, LeaseRow] = {}
    for lease in leases:
        kept = lease
        if lease.gpus is None and view.reports is not None:
            report = view.reports.get(lease.lease_id)
            if report is None and lease.state is LeaseState.PROVISIONING:
                kept = msgspec.structs.replace(lease, generation=lease.generation + 1, gpus=())
            elif report is not None and len(report.gpus) >= lease.quantity and taken.isdisjoint(report.gpus):
                kept = msgspec.structs.replace(lease, generation=report.generation, gpus=tuple(report.gpus))
                taken.update(report.gpus)
        if kept is not lease:
            learnt[kept.lease_id] = kept
        all_leases.append(kept)
    return all_leases, learnt


def _capacity(baron: BaronRow, unwiped: Sequence[LeaseRow], view: AgentView, timings: Timings) -> SetCapacity | None:
    """The GPUs that count now, where the log says otherwise; no opinion where the agent didn't speak, or not for too long.

    Those of a lease that is over the machine keeps from sale by itself until they are wiped (§4): where they are gone or
    sick they are so after that, for else they would be missing twice.
    """
    if not baron.registered or not _speaks(view, timings) or view.inventory is None:
        return None
    kept = {uuid for lease in unwiped for uuid in lease.gpus or ()}
    gpus, simulated = len((set(view.inventory) - view.unhealthy) | kept), view.simulated
    if (gpus, simulated) == (baron.verified_gpus, baron.simulated):
        return None
    return SetCapacity(baron=baron.baron, gpus=gpus, simulated=simulated)


def _was_heard(baron: BaronRow, view: AgentView) -> bool:
    """Whether anything was ever heard of the Baron: one that nobody has run yet isn't missed."""
    return baron.registered and (view.inventory is not None or baron.verified_gpus > 0)


def _speaks(view: AgentView, timings: Timings) -> bool:
    return view.spoke and view.silent_ns < to_ns(timings.silence_s)


def _presence(baron: BaronRow, view: AgentView, timings: Timings, lost_ns: int | None) -> SetPresence | None:
    """Whether the Baron is heard of, where the log says otherwise; no opinion while Monarch waits for a first word."""
    if not _was_heard(baron, view):
        return None
    if _speaks(view, timings):
        presence = Presence.REPORTING
    elif lost_ns is not None:
        presence = Presence.LOST
    elif view.silent_ns >= to_ns(timings.silence_s) and baron.presence is Presence.REPORTING:
        presence = Presence.QUIET
    else:
        return None
    if presence is baron.presence:
        return None
    return SetPresence(baron=baron.baron, presence=presence, as_of_ns=lost_ns or 0)


def _lost_ns(baron: BaronRow, leases: Sequence[LeaseRow], view: AgentView, timings: Timings, now_ns: int) -> int | None:
    """When a Baron that is lost last vouched for its leases, to be told now; None: it isn't lost, or the log has it."""
    silent = view.silent_ns >= to_ns(timings.fail_s)
    if not silent or baron.presence is Presence.LOST or not _was_heard(baron, view):
        return None
    seen = [_seen_ns(baron, lease, view) for lease in leases if lease.used]
    return min(max(seen, default=baron.last_heartbeat_ns), now_ns)


def _failure(
    baron: BaronRow,
    lease: LeaseRow,
    report: LeaseReport | None,
    view: AgentView,
    timings: Timings,
    now_ns: int,
    lost_ns: int | None,
) -> LeaseFailed | None:
    """Why a live lease can't go on, if so. The provider's failure is charged to when the lease was last vouched for.

    Nothing that an agent says makes a failure the renter's: its provider would be paid for saying so. What a lost Baron
    vouched for to the last fails with it, and isn't told one by one.
    """
    fault, why = Fault.PROVIDER, ""
    if not lease.ssh_keys:
        fault, why = Fault.RENTER, "the delivery holds no SSH key"
    elif report is not None and report.state is SandboxState.FAILED:
        why = report.detail or "the sandbox failed"
    else:
        starting = lease.state is LeaseState.PROVISIONING
        falls_with_it = lost_ns is not None and (starting or _seen_ns(baron, lease, view) >= lost_ns)
        why = _broken(lease, report, view) or ("" if falls_with_it else _overdue(baron, lease, view, timings, now_ns))
    if not why:
        return None
    as_of_ns = now_ns
    if fault is Fault.PROVIDER and lease.state is not LeaseState.PROVISIONING:
        as_of_ns = _vouch(baron, lease, view).seen_ns
    as_of_ns = min(max(as_of_ns, lease.start_ns), max(now_ns, lease.start_ns))
    return LeaseFailed(lease_id=lease.lease_id, fault=fault, as_of_ns=as_of_ns, detail=why[:MAX_DETAIL_CHARS])


def _broken(lease: LeaseRow, report: LeaseReport | None, view: AgentView) -> str:
    """What the agent's words show: the sandbox or its GPUs are gone."""
    gpus = set(lease.kept_gpus)
    if view.inventory is not None and (gone := gpus - set(view.inventory)):
        return f"GPU {min(gone)} is gone from the Baron"
    if sick := gpus & view.unhealthy:
        return f"GPU {min(sick)} is not healthy"
    if view.reports is None:
        return ""
    if report is None:
        return "" if lease.state is LeaseState.PROVISIONING else "the agent doesn't know the lease any more"
    if report.state in (SandboxState.WIPING, SandboxState.WIPED):
        return "the agent ended the lease by itself"
    if lease.gpus is None:
        return f"the agent doesn't say which {lease.quantity} GPUs of its own the lease has"
    if lease.state is not LeaseState.PROVISIONING and report.host_key not in ("", lease.host_key):
        return "the sandbox was lost, and another stands in its place"
    return ""


def _overdue(baron: BaronRow, lease: LeaseRow, view: AgentView, timings: Timings, now_ns: int) -> str:
    """What the clock shows. Only time in which Monarch listened counts."""
    if lease.state is LeaseState.PROVISIONING:
        waited_ns = min(now_ns - (lease.provisioning_ns or lease.start_ns), view.listening_ns)
        return "" if waited_ns < to_ns(timings.provisioning_s) else "not provisioned in time"
    if _vouch(baron, lease, view).age_ns >= to_ns(timings.fail_s):
        return "no heartbeat has vouched for the lease for too long"
    return ""


def _vouch(baron: BaronRow, lease: LeaseRow, view: AgentView) -> Vouch:
    """Before the agent has spoken of a lease, Monarch's last run vouches: up to the heartbeat that it wrote down."""
    vouch = view.vouched.get(lease.lease_id, Vouch(baron.last_heartbeat_ns, view.listening_ns))
    return Vouch(max(vouch.seen_ns, lease.active_ns), vouch.age_ns)


def _seen_ns(baron: BaronRow, lease: LeaseRow, view: AgentView) -> int:
    """The last heartbeat that vouched for a lease, whatever it was when it came."""
    vouch = view.vouched.get(lease.lease_id)
    return baron.last_heartbeat_ns if vouch is None else vouch.seen_ns


def _is_wiped(lease: LeaseRow, report: LeaseReport | None, view: AgentView, timings: Timings) -> bool:
    """Nothing is left of a lease that is over: the agent says so, or it never had it."""
    if report is not None:
        if report.state is not SandboxState.WIPED:
            return False
        if lease.gpus is None or report.generation == lease.generation:
            return True
    elif lease.gpus == ():
        return True
    if view.reports is None:
        return False
    # A heartbeat may have been on its way before the agent read of this generation: only lasting absence counts.
    return view.absent_ns.get(lease.lease_id, -1) >= to_ns(timings.absent_s)


def _assign(lease: LeaseRow, view: AgentView, taken: set[str]) -> LeaseRow:
    """Give a lease its GPUs, once: the first free ones by uuid. Too few free: none, and it is tried again."""
    if lease.gpus or view.inventory is None:
        return lease
    free = sorted(set(view.inventory) - view.unhealthy - taken)
    if len(free) < lease.quantity:
        return lease
    gpus = tuple(free[: lease.quantity])
    taken.update(gpus)
    return msgspec.structs.replace(lease, gpus=gpus)


def _let_go(lease: LeaseRow, report: LeaseReport | None, taken: set[str]) -> LeaseRow:
    """A lease that shrank has its other GPUs until the agent runs it without them: then they are free."""
    stays = lease.kept_gpus
    if lease.gpus == stays or not lease.gpus or report is None or report.state is not SandboxState.RUNNING:
        return lease
    if set(report.gpus) != set(stays):
        return lease
    taken.difference_update(set(lease.gpus) - set(stays))
    return msgspec.structs.replace(lease, gpus=stays)


def _forget(leases: Sequence[LeaseRow], view: AgentView) -> tuple[str, ...]:
    """Wiped leases that no row speaks of any more: the log has them as wiped, and the store has that on disk."""
    known = {lease.lease_id for lease in leases}
    wiped = [
        report.lease_id
        for lease_id, report in (view.reports or {}).items()
        if report.state is SandboxState.WIPED and lease_id not in known
    ]
    return tuple(sorted(wiped)[:MAX_FORGET])


def _fit(wanted: Sequence[LeaseRow], forget: tuple[str, ...], timings: Timings, now_ns: int) -> tuple[LeaseSpec, ...]:
    """The list that fits one message. Active leases come first: a new one that finds no room waits, and none is cut."""
    room_bytes = MAX_MESSAGE_BYTES - len(encode(Desired(leases=[], forget=list(forget))))
    paid_until_ns = now_ns + to_ns(timings.paid_ahead_s)
    specs: list[LeaseSpec] = []
    for lease in sorted(wanted, key=lambda row: (row.state is LeaseState.PROVISIONING, row.lease_id)):
        spec = LeaseSpec(
            lease_id=format_id("lse", lease.lease_id),
            generation=lease.generation,
            gpus=list(lease.kept_gpus),
            authorized_keys=list(lease.ssh_keys),
            paid_until_ns=min(lease.term_end_ns or paid_until_ns, lease.ends_ns or paid_until_ns, paid_until_ns),
        )
        room_bytes -= len(encode(spec)) + 1
        if room_bytes < 0 or len(specs) == MAX_LEASES:
            break
        specs.append(spec)
    return tuple(sorted(specs, key=lambda spec: parse_id("lse", spec.lease_id)))
