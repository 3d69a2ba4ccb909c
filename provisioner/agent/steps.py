"""One lease's steps on the machine: start, look after, take over, wipe. Each blocks, and says what happened.

They run in threads, one at a time for each lease. What goes wrong is a happening like any other, never an exception,
but for mistakes in this program. Nothing here decides what comes next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from provisioner.agent.errors import AgentError
from provisioner.agent.journal import Entry, Phase
from provisioner.agent.reconcile import Died, Exhausted, Happening, Started, StartFailed, Wiped, WipeFailed
from provisioner.agent.sandbox import lifecycle
from provisioner.agent.sandbox.lifecycle import Liveness
from provisioner.agent.sandbox.spec import SandboxSpec
from provisioner.agent.tools import Tools

MakeSpec = Callable[[Entry], SandboxSpec]
"""Raises AgentError when the lease can't run on this node."""


class Looked(NamedTuple):
    """What a look found: which have died, and the OOM kills so far of each that hasn't, by lease, for the next look."""

    happened: list[Happening]
    oom_kills: dict[str, int]


def directory(home: Path, entry: Entry) -> Path:
    """Where the lease's sandbox stands."""
    return lifecycle.lease_directory(home, entry.lease_id, entry.generation)


def start(home: Path, entry: Entry, make_spec: MakeSpec, tools: Tools) -> Happening:
    """Start the lease's sandbox, again if it ran before, or find it running; Started once its sshd answers."""
    try:
        spec = make_spec(entry)
        sandbox = (
            lifecycle.restart(directory(home, entry), spec, tools, entry.detail)
            if entry.host_key
            else lifecycle.start(home, spec, tools)
        )
        if lifecycle.adopt(Path(sandbox.directory)) is None:
            return _start_failed(entry, "the sandbox runs, and its sshd doesn't answer")
    except AgentError as error:
        return _start_failed(entry, str(error))
    except OSError as error:
        return _start_failed(entry, f"the sandbox can't be made: {error}")
    return Started(
        lease_id=entry.lease_id, generation=entry.generation, host_key=sandbox.host_key, gpus=sandbox.gpu_uuids
    )


def take_over(home: Path, entry: Entry) -> Happening | None:
    """What became of a running lease while no agent was there; None when it runs on.

    An interrupted start or end is gone on with by the same step again, so here is nothing to do for those.
    """
    if entry.phase is not Phase.RUNNING:
        return None
    try:
        sandbox = lifecycle.adopt(directory(home, entry), unheard=True)
    except (AgentError, OSError) as error:
        return _died(entry, str(error))
    return _died(entry, "it died while no agent was there") if sandbox is None else None


def look(home: Path, entries: Iterable[Entry], oom_kills: Mapping[str, int]) -> Looked:
    """Which of these, that ran, have died; `oom_kills` as the look before found them.

    One whose own memory ran out since it was last seen alive died by its renter's doing (docs/decisions/007). What
    died while nobody looked is the provider's.
    """
    happened: list[Happening] = []
    kills: dict[str, int] = {}
    for entry in entries:
        place = directory(home, entry)
        try:
            counted = lifecycle.own_oom_kills(place)
            if lifecycle.probe(place) is Liveness.ALIVE:
                kills[entry.lease_id] = counted
            elif lifecycle.own_oom_kills(place) > oom_kills.get(entry.lease_id, 0):
                happened.append(_exhausted(entry))
            else:
                happened.append(_died(entry, "the sandbox's first process died"))
        except (AgentError, OSError) as error:
            happened.append(_died(entry, str(error)))
    return Looked(happened, kills)


def wipe(home: Path, entry: Entry) -> Happening:
    """End and wipe the lease's sandbox; Wiped once nothing of it is left."""
    try:
        lifecycle.destroy(directory(home, entry))
    except (AgentError, OSError) as error:
        return WipeFailed(lease_id=entry.lease_id, generation=entry.generation, detail=str(error))
    return Wiped(lease_id=entry.lease_id, generation=entry.generation)


def _died(entry: Entry, detail: str) -> Happening:
    return Died(lease_id=entry.lease_id, generation=entry.generation, detail=detail)


def _exhausted(entry: Entry) -> Happening:
    detail = "it used up its own memory, and starts again with none of its files"
    return Exhausted(lease_id=entry.lease_id, generation=entry.generation, detail=detail)


def _start_failed(entry: Entry, detail: str) -> Happening:
    return StartFailed(lease_id=entry.lease_id, generation=entry.generation, detail=detail)
