"""Without memory for what its book says, the compiled machine stops amid a command; the book says so, and isn't in use.

Without memory for what an account remembers, that stands where it was, and goes in when there is some.
"""

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


REMEMBERED: Final = """
import ctypes
from engine.compiled import doors_tables as doors
from engine.compiled.machine import CompiledRecords
from engine.kinds import OrderStatus
from engine.state import POTS

objects = ctypes.c_int.in_dll(ctypes.CDLL(None), "objects_left")
account = CompiledRecords().account(account=1, maker_fee_ppm=0, taker_fee_ppm=0, pots=[0] * POTS)
law, refused = {}, 0
for order_id in range(1, 3_000):
    status = OrderStatus(1 + order_id % 6)
    objects.value = 0
    try:
        doors.account_closes(account, order_id, status, 2_000)
        objects.value = -1
    except MemoryError:
        refused += 1
        try:
            account.closed_orders
            raise AssertionError("it found memory")
        except MemoryError:
            objects.value = -1
        assert list(account.closed_orders.items()) == list(law.items())
        doors.account_closes(account, order_id, status, 2_000)
    law[order_id] = status
    if len(law) > 2_000:
        del law[next(iter(law))]
assert list(account.closed_orders.items()) == list(law.items())
assert refused
print("told")
"""


def test_a_book_whose_events_found_no_room_says_that_they_were_lost(failing: Path) -> None:
    tell(STORY, failing)


def test_what_finds_no_room_in_an_accounts_memory_stays_in_the_account(failing: Path) -> None:
    tell(REMEMBERED, failing)


def tell(story: str, failing: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", story],
        env={**os.environ, "LD_PRELOAD": str(failing)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
