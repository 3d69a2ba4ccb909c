"""One lease's steps on the machine: start, look after, take over, wipe. Each blocks, and says what happened.

They run in threads, one at a time for each lease. What goes wrong is a happening like any other, never an exception,
but for mistakes in this program. Nothing here decides what comes next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from provisioner.agent.errors import AgentError
from provisioner.agent.journal import Entry, Phase
from provisioner.agent.reconcile import Died, Happening, Started, StartFailed, Wiped, WipeFailed
from provisioner.agent.sandbox import lifecycle
from provisioner.agent.sandbox.lifecycle import Liveness
from provisioner.agent.sandbox.spec import SandboxSpec
from provisioner.agent.tools import Tools

MakeSpec = Callable[[Entry], SandboxSpec]
"""Raises AgentError when the lease can't run on this node."""


def directory(home: Path, entry: Entry) -> Path:
    """Where the lease's sandbox stands."""
    return lifecycle.lease_directory(home, entry.lease_id, entry.generation)


def start(home: Path, entry: Entry, make_spec: MakeSpec, tools: Tools) -> Happening:
    """Start the lease's sandbox, or find it running; Started once its sshd answers."""
    try:
        spec = make_spec(entry)
        sandbox = lifecycle.start(home, spec, tools)
        if lifecycle.adopt(Path(sandbox.directory)) is None:
            return _start_failed(entry, "the sandbox runs, and its sshd doesn't answer")
    except AgentError as error:
        return _start_failed(entry, str(error))
    except OSError as error:
        return _start_failed(entry, f"the sandbox can't be made: {error}")
    return Started(lease_id=entry.lease_id, generation=entry.generation, host_key=sandbox.host_key)


def take_over(home: Path, entry: Entry) -> Happening | None:
    """What became of a running lease while no agent was there; None when it runs on, its sshd answering.

    An interrupted start or end is gone on with by the same step again, so here is nothing to do for those.
    """
    if entry.phase is not Phase.RUNNING:
        return None
    try:
        sandbox = lifecycle.adopt(directory(home, entry))
    except (AgentError, OSError) as error:
        return _died(entry, str(error))
    return _died(entry, "it died while no agent was there") if sandbox is None else None


def look(home: Path, entries: Iterable[Entry]) -> list[Happening]:
    """Which of these, that ran, have died."""
    happened: list[Happening] = []
    for entry in entries:
        try:
            if lifecycle.probe(directory(home, entry)) is Liveness.DEAD:
                happened.append(_died(entry, "the sandbox's first process died"))
        except (AgentError, OSError) as error:
            happened.append(_died(entry, str(error)))
    return happened


def wipe(home: Path, entry: Entry) -> Happening:
    """End and wipe the lease's sandbox; Wiped once nothing of it is left."""
    try:
        lifecycle.destroy(directory(home, entry))
    except (AgentError, OSError) as error:
        return WipeFailed(lease_id=entry.lease_id, generation=entry.generation, detail=str(error))
    return Wiped(lease_id=entry.lease_id, generation=entry.generation)


def _died(entry: Entry, detail: str) -> Happening:
    return Died(lease_id=entry.lease_id, generation=entry.generation, detail=detail)


def _start_failed(entry: Entry, detail: str) -> Happening:
    return StartFailed(lease_id=entry.lease_id, generation=entry.generation, detail=detail)
