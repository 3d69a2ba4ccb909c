"""Purge: end and wipe every sandbox of a home, whatever state it is in, without Monarch.

What Monarch still expects to hear stays in the journal as wiped, for the agent that is started next.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from provisioner.agent import home as homes
from provisioner.agent import journal
from provisioner.agent.errors import AgentError
from provisioner.agent.journal import Phase
from provisioner.agent.sandbox import lifecycle

AT_ONCE = 8


class Purged(msgspec.Struct, frozen=True):
    """Names of the sandboxes ("LEASE.GENERATION") that are gone, and of those that aren't, with why."""

    destroyed: list[str]
    failed: dict[str, str]


def purge(home: Path) -> Purged:
    """End and wipe all of the home's sandboxes; the home is held meanwhile. Raises AgentError `home_in_use`, `bad_home`."""
    if not home.is_dir():
        return Purged([], {})
    with homes.held(home):
        directories = lifecycle.survey(home)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            problems = list(threads.map(_destroy, directories))
        failed = {directory.name: why for directory, why in zip(directories, problems, strict=True) if why}
        _write_down(home, {name.rpartition(".")[0] for name in failed})
        return Purged([directory.name for directory in directories if directory.name not in failed], failed)


def _destroy(directory: Path) -> str:
    try:
        lifecycle.destroy(directory)
    except (AgentError, OSError) as error:
        return str(error)
    return ""


def _write_down(home: Path, left: set[str]) -> None:
    try:
        entries = journal.load(home)
    except AgentError:
        # With no sandbox left there is nothing in it that anybody could need.
        if not left:
            (home / journal.JOURNAL_NAME).unlink(missing_ok=True)
        return
    try:
        journal.save(
            home,
            {
                lease_id: entry
                if lease_id in left or entry.phase in journal.GONE
                else msgspec.structs.replace(entry, phase=Phase.WIPED, authorized_keys=())
                for lease_id, entry in entries.items()
            },
        )
    except OSError as error:
        raise AgentError("bad_home", f"{home} can't be written: {error}", "make room, and purge again") from error
