"""SIGKILL under load, again and again: what was acknowledged stays, once, and the logs are those of a straight run.

Every process is killed, either by itself inside a disk operation or from here after some acknowledgements; the next one
recovers what it left. Points are drawn from a seed that stands in the test's name.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import msgspec
import pytest

from engine.codec import decode_command, encode_events
from engine.halves import PLAIN
from engine.kinds import Pot
from engine.limits import Limits
from engine.machine import Machine
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import Record
from exchange.log.topics import COMMANDS, EVENTS
from exchange.sequencer.recovery import recover, replay_to
from tests.crash.sequencer_worker import SAVER, SHARD, Acknowledged, Plan

ROOT = Path(__file__).parents[2]
KILLS = 6


class Killed:
    """All that the killed processes acknowledged."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.acknowledged: dict[int, Acknowledged] = {}
        self.saved = 0
        self._random = random.Random(seed)
        self._began_ns = time.time_ns()

    def run_and_kill(self) -> None:
        """One process from its start to its kill."""
        by_itself = self._random.random() < 0.6
        plan = Plan(
            seed=self._random.randrange(10**6),
            began_ns=self._began_ns,
            saved=self.saved,
            kill_at_operation=self._random.randrange(1, 600) if by_itself else 0,
        )
        after_lines = 0 if by_itself else self._random.randrange(1, 800)
        command = [sys.executable, "-m", "tests.crash.sequencer_worker", str(self.home)]
        command.append(msgspec.json.encode(plan).decode())
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                self._hear(process.stdout, lines=after_lines)
                if not by_itself:
                    process.kill()
                self._hear(process.stdout, lines=0)
                assert process.wait() == -9, process.stderr.read().decode()
            finally:
                process.kill()

    def _hear(self, lines_from: IO[bytes], lines: int) -> None:
        """Take in so many lines, or with 0 all until the process is gone."""
        for heard, line in enumerate(lines_from, start=1):
            if line.startswith(b"{") and line.endswith(b"\n"):
                one = msgspec.json.decode(line, type=Acknowledged)
                assert one.seq not in self.acknowledged
                self.acknowledged[one.seq] = one
                self.saved = max(self.saved, one.saved)
            if heard == lines:
                return


async def read_all(home: Path, topic: str) -> list[Record]:
    reader = await EmbeddedLog(home).open_reader(SHARD, topic)
    found: list[Record] = []
    while batch := await reader.read(found[-1].seq if found else 0, 1_000):
        found += batch
    await reader.close()
    return found


async def recovered_machine(home: Path) -> Machine:
    log = EmbeddedLog(home)
    commands, events = await log.open_writer(SHARD, COMMANDS), await log.open_writer(SHARD, EVENTS)
    recovered = await recover(home, SHARD, commands, events, Limits(), PLAIN)
    replayed = await replay_to(home, SHARD, commands, recovered.machine.last_seq, PLAIN, from_first=True)
    assert replayed.state_hash() == recovered.machine.state_hash()
    await commands.close()
    await events.close()
    return recovered.machine


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_what_was_acknowledged_is_there_once_after_every_kill(tmp_path: Path, seed: int) -> None:
    killed = Killed(tmp_path, seed)
    for _ in range(KILLS):
        killed.run_and_kill()
    assert killed.acknowledged
    machine = await recovered_machine(tmp_path)
    commands, events = await read_all(tmp_path, COMMANDS), dict(await read_all(tmp_path, EVENTS))

    # Dense commands; each acknowledged reply is the event log's own record.
    assert [record.seq for record in commands] == list(range(1, machine.last_seq + 1))
    for seq, one in killed.acknowledged.items():
        assert events[seq] == one.events

    # The event log equals a replay from the first command in a machine that never stopped.
    derived = {}
    straight = PLAIN.machine(SHARD, Limits())
    for record in commands:
        ts_ns, command = decode_command(record.data)
        if made := straight.apply(record.seq, ts_ns, command):
            derived[record.seq] = encode_events(ts_ns, made)
    assert derived == events
    assert straight.state_hash() == machine.state_hash()

    # What was sent again because its reply was lost counts once.
    balance = {(account, pot): amount for account, pot, amount in machine.balances()}[SAVER, Pot.AVAILABLE]
    assert balance in (sum(range(killed.saved + 1)), sum(range(killed.saved + 2)))
