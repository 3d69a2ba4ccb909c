"""A shard under load in a process of its own, made to be killed: `python -m tests.crash.sequencer_worker HOME PLAN`.

PLAN is JSON (see `Plan`). Each acknowledged command is written to standard output as one line, in one write, after its
reply came; the process ends by a kill alone, its own (in the middle of a disk operation, counted from the start of the
load) or its parent's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import apsw
import msgspec

from engine.codec import encode_events
from engine.halves import PLAIN
from engine.limits import Limits
from engine.messages import Deposit, OpenAccount, Reply
from exchange.log.embedded import EmbeddedLog
from exchange.log.home_lock import HomeLock
from exchange.log.topics import COMMANDS, EVENTS
from exchange.sequencer.recovery import recover
from exchange.sequencer.sequencer import Sequencer
from tests.exchange.sequencer.traffic import Traffic, founding

SHARD = 0
SAVER = 9
"""The account that saves: its n-th deposit is of n micro-dollars, and is sent again until it is acknowledged."""
TIME_FACTOR = 7_200
"""Two hours of the market pass in a second, so that timers fire between any two kills."""
CLIENTS = 6


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    began_ns: int
    saved: int
    """The last deposit of SAVER that was acknowledged."""
    kill_at_operation: int
    """Disk operation in which the process kills itself; 0: it waits to be killed."""


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """`events` is the reply's record, as the event log must hold it. `saved`: which deposit of SAVER it was, or 0."""

    seq: int
    events: bytes
    saved: int = 0


class DyingFile(apsw.VFSFile):
    """A file on a disk whose machine loses power in the middle of an operation."""

    left = 0

    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)

    @classmethod
    def count(cls) -> None:
        if cls.left > 0:
            cls.left -= 1
            if cls.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if DyingFile.left == 1 and len(data) > 1:
            super().xWrite(data[: len(data) // 2], offset)
        self.count()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.count()
        super().xSync(flags)


class DyingDisk(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("dying", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> DyingFile:  # noqa: N802
        return DyingFile(name, flags)


def acknowledge(reply: Reply, saved: int = 0) -> None:
    line = Acknowledged(seq=reply.seq, events=encode_events(reply.ts_ns, reply.events), saved=saved)
    os.write(1, msgspec.json.encode(line) + b"\n")


async def trade(sequencer: Sequencer, traffic: Traffic) -> None:
    while True:
        reply = await sequencer.submit(traffic.next())
        traffic.learn(reply)
        acknowledge(reply)


async def save(sequencer: Sequencer, saved: int) -> None:
    while True:
        saved += 1
        reply = await sequencer.submit(Deposit(account=SAVER, amount_micros=saved, client_id=f"s-{saved}"))
        acknowledge(reply, saved)


async def main(home: Path, plan: Plan) -> None:
    disk = DyingDisk()
    with HomeLock(home):
        log = EmbeddedLog(home, max_file_bytes=100_000)
        commands, events = await log.open_writer(SHARD, COMMANDS), await log.open_writer(SHARD, EVENTS)
        recovered = await recover(home, SHARD, commands, events, Limits(), PLAIN)
        sequencer = Sequencer(
            recovered.machine,
            commands,
            events,
            clock_ns=lambda: plan.began_ns + (time.time_ns() - plan.began_ns) * TIME_FACTOR,
            tick_s=0.02,
            snapshots=recovered.snapshots,
            snapshot_every=150,
        )
        await sequencer.start()
        os.write(1, b"ready\n")
        DyingFile.left = plan.kill_at_operation
        for command in [*founding(), OpenAccount(account=SAVER, maker_fee_ppm=0, taker_fee_ppm=0)]:
            acknowledge(await sequencer.submit(command))
        async with asyncio.TaskGroup() as clients:
            clients.create_task(save(sequencer, plan.saved))
            for number in range(CLIENTS):
                clients.create_task(trade(sequencer, Traffic(plan.seed * CLIENTS + number)))
    disk.unregister()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Plan)))
