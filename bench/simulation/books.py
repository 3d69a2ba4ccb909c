"""The machine and the ledger together, without a server between: every command's events go into the real ledger.

Commands enter one at a time with the time they are given; replies reach the ledger in batches, as from a log. It keeps
count and time, and knows nothing of who trades or why.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Final

from engine.halves import compiled_half
from engine.limits import Limits
from engine.messages import Command, Event, Reply
from settlement.ledger import Settlement
from settlement.verify import EngineState, Proof, ledger_moment

BATCH_COMMANDS: Final = 4_096
"""Commands whose events enter the ledger together."""


class Books:
    """One shard from its first command, in simulated time, with its ledger in a file of its own."""

    def __init__(self, ledger: Path, limits: Limits) -> None:
        self.machine = compiled_half().machine(0, limits)
        self.settlement = Settlement.open(ledger)
        self.commands: Counter[str] = Counter()
        self.machine_s = 0.0
        self.ledger_s = 0.0
        self._ledger = ledger
        self._seq = 0
        self._waiting: list[Reply] = []

    def enter(self, ts_ns: int, command: Command) -> list[Event]:
        """Apply the next command; its events reach the ledger with its batch."""
        self._seq += 1
        before = time.perf_counter()
        events = self.machine.apply(self._seq, ts_ns, command)
        self.machine_s += time.perf_counter() - before
        self.commands[type(command).__name__] += 1
        self._waiting.append(Reply(self._seq, ts_ns, tuple(events)))
        if len(self._waiting) >= BATCH_COMMANDS:
            self.flush()
        return events

    def flush(self) -> None:
        """Bring the ledger to the last command."""
        before = time.perf_counter()
        self.settlement.apply(self._waiting)
        self.ledger_s += time.perf_counter() - before
        self._waiting.clear()

    def prove(self) -> Proof:
        """Prove the ledger against the machine after the last command, as `monarch verify` does."""
        self.flush()
        engine = EngineState(
            seq=self.machine.last_seq,
            ts_ns=self.machine.last_ts_ns,
            next_due_ns=self.machine.next_due_ns(),
            balances=list(self.machine.balances()),
        )
        with ledger_moment(self._ledger) as moment:
            return moment.prove(engine)

    def close(self) -> None:
        """Let the ledger's file go."""
        self.settlement.close()
