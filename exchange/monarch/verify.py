"""`monarch verify`: brings an engine to the ledger's sequence by replaying the log, and lets settlement prove the rest.

Read-only, and may run while Monarch does. The engine starts from the first command, so that no snapshot is trusted.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from engine.halves import compiled_half
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import LogError
from exchange.log.topics import COMMANDS
from exchange.monarch.config import Config
from exchange.monarch.places import Places
from exchange.sequencer.errors import RecoveryError
from exchange.sequencer.recovery import replay_to
from settlement.errors import LedgerError
from settlement.verify import EngineState, Proof, ledger_moment


def run(config: Config, as_json: bool) -> int:
    """Print the proof; 0 when it holds."""
    try:
        proof = asyncio.run(prove(config))
    except (LedgerError, LogError, RecoveryError) as error:
        print(f"monarch: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(msgspec.json.encode({**msgspec.to_builtins(proof), "holds": proof.holds}).decode())
    else:
        _print(proof)
    return 0 if proof.holds else 1


async def prove(config: Config) -> Proof:
    """The proof at the sequence where the ledger stands now."""
    places = Places(config.home)
    with ledger_moment(places.ledger) as moment:
        commands = await EmbeddedLog(config.home, config.log_file_max_bytes).open_reader(config.shard, COMMANDS)
        try:
            machine = await replay_to(
                config.home, config.shard, commands, moment.position.seq, compiled_half(), from_first=True
            )
        finally:
            await commands.close()
        engine = EngineState(
            seq=machine.last_seq,
            ts_ns=machine.last_ts_ns,
            next_due_ns=machine.next_due_ns(),
            balances=list(machine.balances()),
        )
        return moment.prove(engine)


def _print(proof: Proof) -> None:
    leases = f"{proof.leases} leases ({proof.leases_running} running)"
    print(f"sequence {proof.seq}: {proof.postings} postings, {proof.pots} pots, {leases}")
    for finding in proof.findings:
        print(f"WRONG  {finding.check}: {finding.subject}: expected {finding.expected}, found {finding.found}")
    if proof.findings_total > len(proof.findings):
        print(f"... and {proof.findings_total - len(proof.findings)} more")
    if proof.holds:
        print("ledger = engine, all accounts sum to zero, every lease's charge recomputed: equal to the micro-dollar")
    else:
        print(f"{proof.findings_total} things are wrong: stop trading, keep the data as it is, and find out why")
