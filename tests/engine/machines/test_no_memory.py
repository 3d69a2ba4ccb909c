"""Without memory for what its book says, the compiled machine stops amid a command; the book says so, and isn't in use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.engine.book.test_fast_memory import LIMIT_S, ROOT, failing

__all__ = ["failing"]

STORY: Final = """
import ctypes
from engine.compiled.machine import FastMachine
from engine.units import AMOUNT_MAX_MICROS
from tests.engine.shard import BOB, PAT, Shard, ask, bid

pools = ctypes.c_int.in_dll(ctypes.CDLL(None), "pools_left")
shard = Shard(gpus=1_000, usd=AMOUNT_MAX_MICROS // 10**6)
shard.auditor.every = 10**9
for _ in range(300):
    shard.place(ask(PAT, 20_000, 1))
data, order, lost = shard.twin.snapshot(), bid(BOB, 20_000, 300), 0
for room in range(1_000):
    machine = FastMachine.restore(data)
    pools.value = room
    try:
        machine.apply(machine.last_seq + 1, shard.now_ns, order)
    except MemoryError:
        pools.value = -1
    else:
        pools.value = -1
        break
    try:
        machine.state.books[order.instrument].state()
    except MemoryError as error:
        assert "events were lost" in str(error), error
        lost += 1
assert room and lost, (room, lost)
print("told")
"""


def test_a_book_whose_events_found_no_room_says_that_they_were_lost(failing: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STORY],
        env={**os.environ, "LD_PRELOAD": str(failing)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
