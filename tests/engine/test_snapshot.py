"""Snapshots and hashes: equal states are equal bytes in every process, and damage is never taken for a state."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from engine.book_plain import PlainBook
from engine.codec import DecodeError, encode_command
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import ListMarket, SetOffers, Tick
from engine.reasons import Reason
from tests.engine import sequences
from tests.engine.sequences import Step
from tests.engine.shard import ALICE, HOUR, ONDEMAND, PAT, SECOND_BARON, SPOT, START, Shard, ask, bid, offered

ROOT = Path(__file__).resolve().parents[2]

REPLAY = """
import base64, hashlib, json, sys
from engine.book_plain import PlainBook
from engine.codec import decode_command, encode_events
from engine.halves import compiled_half
from engine.limits import Limits
from engine.machine import Machine

limits = Limits(**json.loads(sys.argv[1]))
records = [base64.b64decode(line) for line in sys.stdin]
machine, events, told = Machine(1, limits, PlainBook), hashlib.sha256(), hashlib.sha256()
for seq, record in enumerate(records, start=1):
    ts_ns, command = decode_command(record)
    made = machine.apply(seq, ts_ns, command)
    events.update(encode_events(ts_ns, made) if made else b"")
server = compiled_half().machine(1, limits)
# In parts of many lengths, as a server that is more or less busy reads them.
first, parts = 0, 1
while first < len(records):
    for record in server.batch(records[first : first + parts], first + 1):
        told.update(record)
    first, parts = first + parts, parts % 61 + 1
print(events.hexdigest(), machine.state_hash(), hash("salt"), told.hexdigest(), server.state_hash())
"""


def lived() -> Shard:
    """A shard with something in every table."""
    shard = Shard()
    shard.offer(offered(20_000, 8, ONDEMAND), offered(21_000, 4, baron=SECOND_BARON))
    shard.place(ask(PAT, 25_000, 2, ONDEMAND, baron=SECOND_BARON, client_order_id="mine"))
    shard.place(bid(ALICE, 10_000, 3, client_order_id="mine"))
    shard.lease(ALICE, 3, 5)
    shard.wait(HOUR + 7)
    return shard


def test_a_restored_machine_is_the_same_machine() -> None:
    shard = lived()
    data = shard.machine.snapshot()
    twin = Machine.restore(data, PlainBook)
    assert twin.snapshot() == data
    assert twin.state_hash() == shard.machine.state_hash()
    assert (twin.last_seq, twin.last_ts_ns) == (shard.machine.last_seq, shard.machine.last_ts_ns)
    assert twin.counts() == shard.machine.counts()
    assert list(twin.balances()) == list(shard.machine.balances())
    assert twin.next_due_ns() == shard.machine.next_due_ns()
    shard.twin = twin
    shard.refuse(ListMarket(sku="H100-SXM5-80GB", region="here"), Reason.MARKET_EXISTS)
    shard.do(SetOffers(account=PAT, offers=()))
    shard.wait(100 * HOUR)
    assert twin.snapshot() == shard.machine.snapshot()


def test_a_quote_changes_nothing() -> None:
    shard = lived()
    before = shard.machine.snapshot()
    shard.machine.quote(ALICE, (SPOT, ONDEMAND, 99), 3, 2, 0, shard.now_ns)
    assert shard.machine.snapshot() == before


def test_the_hash_tells_states_apart() -> None:
    shard = Shard()
    seen = {shard.machine.state_hash()}
    order = bid(ALICE, 10_000, 1)
    for command in (order, order, Tick()):
        shard.do(command)
        seen.add(shard.machine.state_hash())
    shard.now_ns = START + 1
    shard.do(Tick())
    seen.add(shard.machine.state_hash())
    assert len(seen) == 5


@pytest.mark.parametrize(
    "damaged",
    [
        lambda data: b"",
        lambda data: data[:1],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"\1" + data[1:],
        lambda data: data[:1] + bytes([data[1] ^ 1]) + data[2:],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 128]) + data[len(data) // 2 + 1 :],
    ],
)
def test_damage_is_found(damaged: Any) -> None:
    data = lived().machine.snapshot()
    with pytest.raises(DecodeError):
        Machine.restore(damaged(data), PlainBook)


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(steps=sequences.steps)
def test_another_process_with_another_hash_seed_gives_the_same_bytes(steps: list[Step]) -> None:
    shard = Shard(sequences.TIGHT, usd=2_000)
    sequences.open_up(shard)
    for step in steps:
        sequences.play(shard, step)
    records = b"".join(base64.b64encode(record) + b"\n" for record in shard.records)
    outputs = [replay(records, seed, shard.machine.state.limits) for seed in ("1", "2")]
    events, states, salts, told, served = zip(*(output.split() for output in outputs), strict=True)
    assert len({*events, *told}) == 1, "the plain machine's events, and those that a server's compiled one writes"
    assert {*states, *served} == {shard.machine.state_hash()}
    assert len(set(salts)) == 2, "the two processes hash texts alike: the test can't fail"


def replay(records: bytes, hash_seed: str, limits: Limits) -> str:
    """Run the recorded commands in a new process; a digest of all event bytes, the state's hash, a salted hash.

    Then those bytes' digest and the hash again, of the compiled machine's batches, which are what a server runs.
    """
    done = subprocess.run(
        [sys.executable, "-c", REPLAY, json.dumps({name: getattr(limits, name) for name in limits.__struct_fields__})],
        input=records,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_records_are_what_the_log_carries() -> None:
    shard = Shard()
    shard.do(Tick())
    assert shard.records[-1] == encode_command(START, Tick())
