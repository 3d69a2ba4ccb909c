"""What the agent has on disk about its leases: one file, replaced whole and durably before anything in it is reported.

It says what was decided; the sandbox's own record says which processes that means. Kept until Monarch says `forget`.
Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from provisioner.agent import home as homes
from provisioner.agent.errors import AgentError

JOURNAL_NAME = "leases.json"
JOURNAL_VERSION = 1


class Phase(StrEnum):
    """How far a lease is. The one way through: starting, running, ending, wiped; or by failing, failed.

    Back from running to starting goes what died of its own tenant's hunger for memory, and what goes on with fewer GPUs."""

    STARTING = "starting"
    RUNNING = "running"
    FAILING = "failing"
    """It failed, and its sandbox is being wiped."""
    FAILED = "failed"
    """It failed and is wiped; said as such until Monarch wants it no more."""
    ENDING = "ending"
    """It is being ended and wiped."""
    WIPED = "wiped"


WANTED = frozenset({Phase.STARTING, Phase.RUNNING})
GONE = frozenset({Phase.FAILED, Phase.WIPED})
"""Nothing of it is left on the machine."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lease, its current generation. `gpus` are UUIDs; the keys are dropped once it ends; the detail says why it failed.

    A host key on a lease that is starting: it ran before, and starts again in its place, with that key."""

    lease_id: str
    generation: int
    phase: Phase
    gpus: tuple[str, ...]
    leaving: tuple[str, ...] = ()
    """GPUs that it is to have no more: its own until it has started again without them."""
    authorized_keys: tuple[str, ...] = ()
    paid_until_ns: int = 0
    host_key: str = ""
    detail: str = ""


Entries = Mapping[str, Entry]
"""By lease id, in the order in which they came; never changed in place."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    leases: list[Entry]


def load(home: Path) -> dict[str, Entry]:
    """All leases that Monarch may still ask about. Raises AgentError `bad_journal`, `bad_home`."""
    path = home / JOURNAL_NAME
    data = homes.read(path)
    if data is None:
        return {}
    remedy = "run: baron purge, which ends every sandbox of this home and begins a new journal"
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.DecodeError as error:
        raise AgentError("bad_journal", f"{path} can't be read: {error}", remedy) from error
    if file.version != JOURNAL_VERSION:
        raise AgentError("bad_journal", f"{path} has version {file.version}, not {JOURNAL_VERSION}", remedy)
    return {entry.lease_id: entry for entry in file.leases}


def save(home: Path, entries: Entries) -> None:
    """Replace the journal, durably. Raises OSError."""
    homes.replace_durably(home / JOURNAL_NAME, msgspec.json.encode(_File(JOURNAL_VERSION, list(entries.values()))))
