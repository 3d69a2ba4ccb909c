"""What is to become of each lease: Monarch's list, the clock and what happened, against what the journal says.

Pure functions from journal to journal, so that whatever crashes, the next pass says the same again. Time is an
argument. Nothing here touches the machine or a socket.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from provisioner.agent.journal import GONE, WANTED, Entries, Entry, Phase
from provisioner.agent.sandbox.spec import GENERATION_MAX, LEASE_ID
from provisioner.wire import MAX_GPUS, Desired, LeaseReport, LeaseSpec, SandboxState

LEASES_MAX = 2048
"""So many reports, each of REPORT_DETAIL_CHARS_MAX at most, fit one message."""
REPORT_DETAIL_CHARS_MAX = 200
TIME_NS_MAX = 2**63 - 1
FEWER_GPUS = "it has fewer GPUs from now on, and starts again with none of its files"

_SAID = {
    Phase.STARTING: SandboxState.STARTING,
    Phase.RUNNING: SandboxState.RUNNING,
    Phase.FAILING: SandboxState.FAILED,
    Phase.FAILED: SandboxState.FAILED,
    Phase.ENDING: SandboxState.WIPING,
    Phase.WIPED: SandboxState.WIPED,
}


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that became of a lease's sandbox. Base of the six below."""

    lease_id: str
    generation: int


class Started(Happening, frozen=True, kw_only=True):
    """Its sshd answers, and it has these GPUs."""

    host_key: str
    gpus: tuple[str, ...]


class StartFailed(Happening, frozen=True, kw_only=True):
    detail: str


class Died(Happening, frozen=True, kw_only=True):
    """It ran, and doesn't any more."""

    detail: str


class Exhausted(Happening, frozen=True, kw_only=True):
    """It ran, and died of its own tenant's hunger for memory: it is started again in its place, and the lease runs on."""

    detail: str


class Wiped(Happening, frozen=True, kw_only=True):
    """Nothing of it is left, verified."""


class WipeFailed(Happening, frozen=True, kw_only=True):
    """Something is left; it is tried again."""

    detail: str


def problem(desired: Desired) -> str | None:
    """Why a Desired can't be meant, or None. Lease ids become names of directories: nothing else may pass here."""
    ids = [spec.lease_id for spec in desired.leases]
    if len(ids) > LEASES_MAX:
        return f"more than {LEASES_MAX} leases"
    if len(set(ids)) != len(ids):
        return "a lease is listed twice"
    for spec in desired.leases:
        if LEASE_ID.fullmatch(spec.lease_id) is None:
            return f"{spec.lease_id[:80]!r} is no lease id"
        if not 0 <= spec.generation <= GENERATION_MAX:
            return f"generation {spec.generation} of {spec.lease_id}"
        if not 1 <= len(spec.gpus) <= MAX_GPUS or len(set(spec.gpus)) != len(spec.gpus):
            return f"the GPUs of {spec.lease_id}: at least one, none twice"
        if not 0 <= spec.paid_until_ns <= TIME_NS_MAX:
            return f"paid_until_ns {spec.paid_until_ns} of {spec.lease_id}"
    return None


def revise(entries: Entries, desired: Desired) -> dict[str, Entry]:
    """The journal after Monarch's list: what is missing starts, what isn't listed ends, what is forgotten goes."""
    wanted = {spec.lease_id: spec for spec in desired.leases}
    forgotten = frozenset(desired.forget)
    revised: dict[str, Entry] = {}
    for lease_id, entry in entries.items():
        spec = wanted.get(lease_id)
        if spec is not None and spec.generation == entry.generation:
            revised[lease_id] = _renewed(entry, spec)
        elif spec is not None and spec.generation > entry.generation and entry.phase in GONE:
            # Only now, with the old generation wiped: never two of one lease at once. It queues for its GPUs anew.
            continue
        elif entry.phase in GONE and spec is None and lease_id in forgotten:
            continue
        else:
            revised[lease_id] = _unwanted(entry)
    for lease_id, spec in wanted.items():
        if lease_id not in revised and len(revised) < LEASES_MAX:
            revised[lease_id] = _begun(spec)
    return revised


def expire(entries: Entries, now_ns: int) -> dict[str, Entry]:
    """The journal when Monarch is lost: what is paid no longer ends. `now_ns`: since the epoch."""
    return {
        lease_id: _over(entry, Phase.ENDING) if entry.phase in WANTED and now_ns >= entry.paid_until_ns else entry
        for lease_id, entry in entries.items()
    }


def settle(entries: Entries, happenings: Iterable[Happening]) -> dict[str, Entry]:
    """The journal after what happened. What came too late, because something else was decided meanwhile, changes nothing."""
    settled = dict(entries)
    for happening in happenings:
        entry = settled.get(happening.lease_id)
        if entry is not None and entry.generation == happening.generation:
            settled[entry.lease_id] = _after(entry, happening)
    return settled


def startable(entries: Entries) -> list[Entry]:
    """What may start now, first come first: a lease whose GPUs another still has waits until those are wiped."""
    held: set[str] = set()
    for entry in entries.values():
        if entry.phase not in GONE and entry.phase is not Phase.STARTING:
            held.update(entry.gpus, entry.leaving)
    ready = []
    for entry in entries.values():
        if entry.phase is Phase.STARTING:
            if held.isdisjoint(entry.gpus):
                ready.append(entry)
            held.update(entry.gpus, entry.leaving)
    return ready


def wipeable(entries: Entries) -> list[Entry]:
    """What is to be ended and wiped."""
    return [entry for entry in entries.values() if entry.phase in (Phase.ENDING, Phase.FAILING)]


def reports(entries: Entries) -> list[LeaseReport]:
    """What Monarch is told: every lease once, at its one generation."""
    return [
        LeaseReport(
            lease_id=entry.lease_id,
            generation=entry.generation,
            state=_SAID[entry.phase],
            host_key=entry.host_key if entry.phase is Phase.RUNNING else "",
            detail=_plain(entry.detail),
            gpus=[] if entry.phase in GONE else [*entry.gpus, *entry.leaving],
        )
        for entry in entries.values()
    ]


def _begun(spec: LeaseSpec) -> Entry:
    return Entry(
        lease_id=spec.lease_id,
        generation=spec.generation,
        phase=Phase.STARTING,
        gpus=tuple(spec.gpus),
        authorized_keys=tuple(spec.authorized_keys),
        paid_until_ns=spec.paid_until_ns,
    )


def _renewed(entry: Entry, spec: LeaseSpec) -> Entry:
    """Paid time moves on; with fewer GPUs than it has, it starts again with those."""
    if entry.phase not in WANTED:
        return entry
    if set(spec.gpus) < set(entry.gpus):
        going = tuple(uuid for uuid in entry.gpus if uuid not in spec.gpus)
        entry = msgspec.structs.replace(
            entry, phase=Phase.STARTING, gpus=tuple(spec.gpus), leaving=entry.leaving + going, detail=FEWER_GPUS
        )
    return msgspec.structs.replace(entry, paid_until_ns=spec.paid_until_ns)


def _unwanted(entry: Entry) -> Entry:
    match entry.phase:
        case Phase.STARTING | Phase.RUNNING | Phase.FAILING:
            return _over(entry, Phase.ENDING)
        case Phase.FAILED:
            return msgspec.structs.replace(entry, phase=Phase.WIPED)
        case Phase.ENDING | Phase.WIPED:
            return entry


def _over(entry: Entry, phase: Phase, detail: str | None = None) -> Entry:
    return msgspec.structs.replace(
        entry,
        phase=phase,
        authorized_keys=(),
        detail=entry.detail if detail is None else detail,
    )


def _after(entry: Entry, happening: Happening) -> Entry:
    match happening, entry.phase:
        case Started(host_key=host_key, gpus=gpus), Phase.STARTING if set(gpus) != set(entry.gpus):
            # It was told meanwhile to have fewer: it starts again.
            return msgspec.structs.replace(entry, host_key=host_key)
        case Started(host_key=host_key), Phase.STARTING:
            return msgspec.structs.replace(entry, phase=Phase.RUNNING, host_key=host_key, leaving=(), detail="")
        case StartFailed(detail=detail), Phase.STARTING:
            return _over(entry, Phase.FAILING, detail)
        case Died(detail=detail), Phase.RUNNING:
            return _over(entry, Phase.FAILING, detail)
        case Exhausted(detail=detail), Phase.RUNNING:
            return msgspec.structs.replace(entry, phase=Phase.STARTING, detail=detail)
        case Wiped(), Phase.FAILING:
            return msgspec.structs.replace(entry, phase=Phase.FAILED)
        case Wiped(), Phase.ENDING:
            return msgspec.structs.replace(entry, phase=Phase.WIPED, detail="")
        case WipeFailed(detail=detail), Phase.ENDING:
            return msgspec.structs.replace(entry, detail=detail)
        case _:
            return entry


def _plain(detail: str) -> str:
    """ASCII on one line with nothing to escape, so that a report has a known size."""
    spaced = " ".join(detail.replace('"', "'").replace("\\", "/").split())
    text = "".join(char if " " <= char <= "~" else "?" for char in spaced)
    return text if len(text) <= REPORT_DETAIL_CHARS_MAX else text[: REPORT_DETAIL_CHARS_MAX - 3] + "..."
