"""From what is on disk to a machine that goes on: newest snapshot, replay of the commands after it, events made whole.

Replay is also the proof that the engine is deterministic: each event record that it derives must equal, byte for byte,
the one that was published, else nothing starts. The event log is only ever completed from here, never corrected. It
knows the logs through their interface alone.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, NamedTuple

from engine.codec import DecodeError
from engine.halves import Half
from engine.limits import Limits
from engine.machine import Machine
from exchange.log.interface import LogReader, LogWriter, Record
from exchange.sequencer.errors import RecoveryError
from exchange.sequencer.genesis import read_limits, settle_limits
from exchange.sequencer.snapshots import Snapshot, SnapshotStore

BATCH_RECORDS: Final = 256
"""Commands that are read and replayed at a time: so few that what they and their events are in is still near when it is let go."""

_logger = logging.getLogger(__name__)


class Recovered(NamedTuple):
    """A machine that stands after the last durable command, with every event before it in the event log."""

    machine: Machine
    snapshots: SnapshotStore
    snapshot_seq: int
    """Where the replay began: 0 for the shard's first command."""
    replayed: int
    """Commands that were replayed."""
    published: int
    """Event records that were missing in the event log, and were added."""


async def recover(
    home: Path, shard: int, commands: LogReader, events: LogWriter, limits: Limits, half: Half
) -> Recovered:
    """Bring a shard back, or begin it with `limits`; RecoveryError when what is on disk contradicts itself.

    Runs the engine on the event loop: for a start, before anything is served. LogError as the logs raise it.
    """
    last, published = await commands.last_seq(), await events.last_seq()
    if published > last:
        raise RecoveryError(
            f"the event log of shard {shard} goes to {published}, the command log only to {last}: commands were lost. "
            "Restore the home from a backup; don't start from what is left."
        )
    snapshots = SnapshotStore(home, shard)
    machine = _newest(snapshots, half, last, lambda snapshot: snapshot.events_seq <= published)
    settle_limits(home, shard, limits, new=last == 0)
    if machine is None:
        machine = half.machine(shard, limits)
    began, added = machine.last_seq, 0
    position = began
    async for derived in _replayed(machine, commands, last):
        if position < published:
            there = await _between(events, position, min(machine.last_seq, published))
            _compare([record for record in derived if record.seq <= published], there)
        missing = [record for record in derived if record.seq > published]
        await events.append(missing)
        added += len(missing)
        position = machine.last_seq
    _logger.info("shard %d stands at %d: replayed from %d, added %d event records", shard, last, began, added)
    return Recovered(machine, snapshots, began, last - began, added)


async def replay_to(
    home: Path, shard: int, commands: LogReader, seq: int, half: Half, *, from_first: bool = False
) -> Machine:
    """The machine as it stood after command `seq`, from snapshot and log; writes nothing, and Monarch may run meanwhile.

    With `from_first` no snapshot is trusted. RecoveryError when the log doesn't reach so far, or can't be replayed.
    """
    last = await commands.last_seq()
    if not 0 <= seq <= last:
        raise RecoveryError(f"shard {shard} can't be replayed to {seq}: its command log goes to {last}.")
    machine = None
    if not from_first:
        machine = _newest(SnapshotStore(home, shard), half, last, lambda snapshot: snapshot.seq <= seq)
    if machine is None:
        machine = half.machine(shard, read_limits(home, shard))
    async for _ in _replayed(machine, commands, seq):
        pass
    return machine


def _newest(snapshots: SnapshotStore, half: Half, last: int, fits: Callable[[Snapshot], bool]) -> Machine | None:
    """The machine of the newest snapshot that is whole and fits; None when there is none."""
    for snapshot in snapshots.newest_first():
        if snapshot.seq > last:
            raise RecoveryError(
                f"there is a snapshot of shard {snapshot.shard} at {snapshot.seq}, and its command log goes only to {last}: "
                "commands were lost. Restore the home from a backup; don't start from what is left."
            )
        if not fits(snapshot):
            continue
        try:
            machine = half.restored(snapshot.state)
        except DecodeError as error:
            _logger.warning("the engine can't restore the snapshot at %d (%s); going back", snapshot.seq, error)
            continue
        if (machine.last_seq, machine.state_hash()) == (snapshot.seq, snapshot.state_hash):
            return machine
        _logger.warning("the snapshot at %d restores to another state than it was taken of; going back", snapshot.seq)
    return None


async def _replayed(machine: Machine, commands: LogReader, until: int) -> AsyncIterator[list[Record]]:
    """Apply the commands after the machine's up to `until`; gives the event records of each batch."""
    while machine.last_seq < until:
        batch = await commands.read(machine.last_seq, min(BATCH_RECORDS, until - machine.last_seq))
        if not batch:
            raise RecoveryError(
                f"the command log ends at {machine.last_seq}, before {until}: restore it from a backup."
            )
        for expected, record in enumerate(batch, machine.last_seq + 1):
            if record.seq != expected:
                raise RecoveryError(
                    f"command {expected} is missing: after it comes {record.seq}. Restore the log from a backup."
                )
        yield _applied(machine, batch)


def _applied(machine: Machine, batch: list[Record]) -> list[Record]:
    """Apply records that follow each other; gives the events' records of those that have any."""
    try:
        told = machine.batch(tuple(record.data for record in batch), batch[0].seq)
    except DecodeError as error:
        seq = machine.last_seq + 1
        raise RecoveryError(
            f"command {seq} can't be read ({error}): start the version that wrote it, or restore the log."
        ) from error
    except Exception as error:
        raise RecoveryError(
            f"the engine fails at command {machine.last_seq} ({error!r}): start a version that mends it. Everything up to "
            f"{machine.last_seq - 1} is whole, and the log must stay as it is."
        ) from error
    return [Record(record.seq, events) for record, events in zip(batch, told, strict=True) if events]


async def _between(events: LogReader, after_seq: int, until: int) -> list[Record]:
    """The event records after a position, up to and with `until`."""
    found: list[Record] = []
    while after_seq < until and (batch := await events.read(after_seq, BATCH_RECORDS)):
        found += [record for record in batch if record.seq <= until]
        after_seq = batch[-1].seq
    return found


def _compare(derived: list[Record], published: list[Record]) -> None:
    """RecoveryError at the first command whose events, derived again, aren't those that were published."""
    if derived == published:
        return
    ours, theirs = dict(derived), dict(published)
    seq = min(seq for seq in ours.keys() | theirs.keys() if ours.get(seq) != theirs.get(seq))
    raise RecoveryError(
        f"command {seq} gives other events now than were published: the engine isn't the one that ran, or isn't "
        "deterministic. Start the version that wrote the log; don't delete anything, and report this with the log."
    )
