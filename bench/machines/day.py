"""What a market's day takes of the engine, for `make guided` to count: the mixed flow, singly and in batches, and a start amid it.

`python -m bench.machines.day`. It times nothing.
"""

from __future__ import annotations

from typing import Final

from bench.machines.crowds import Crowd, hours, leases, resting, yielding
from bench.machines.flow import batched_s, logged, mixed, opened, played
from bench.machines.replay import replayed
from engine.halves import compiled_half

ACCOUNTS: Final = 2_000
ORDERS: Final = 20_000
REPLAYED: Final = 200_000


def main() -> None:
    """Everything once; ReplayDiffers when the engine isn't deterministic."""
    replayed(REPLAYED, ACCOUNTS)
    named = mixed(ORDERS, ACCOUNTS, named=True)
    batched_s(opened(named), logged(named.steps))
    played(opened(named), named.steps)
    yielding(2_000, 100)
    crowd = Crowd()
    leases(crowd, 2_000, 100, spare=2)
    hours(crowd, 20)
    resting(crowd, 10_000)
    compiled_half().restored(crowd.machine.snapshot())


if __name__ == "__main__":
    main()
