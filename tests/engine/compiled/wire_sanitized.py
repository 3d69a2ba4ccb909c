"""The wire built with AddressSanitizer and UBSan: damaged records read from blocks of their size, and events written.

A program, run as `tests.engine.book.differential_sanitized.run` runs one: a byte read or written where none should be ends
it with the sanitizer's report.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Final

from engine import codec, messages
from tests.engine.book.differential_sanitized import use

LENGTHS: Final = (0, 1, 31, 32, 255, 256, 5_000, 70_000)


def _number(chance: random.Random) -> int:
    return chance.randrange(2 ** chance.randrange(1, 64)) * chance.choice((1, 1, 1, -1))


def _commands(chance: random.Random) -> list[messages.Command]:
    from tests.engine.compiled.test_commands import ORDER

    text = "x" * chance.choice(LENGTHS)
    blob = b"x" * chance.choice(LENGTHS)
    return [
        ORDER,
        messages.CancelOrder(account=_number(chance), order_id=_number(chance), client_order_id=text),
        messages.AmendOrder(account=_number(chance), client_order_id=text, price_ticks=_number(chance)),
        messages.EndLease(account=_number(chance), lease_id=_number(chance)),
        messages.LeaseActive(lease_id=_number(chance), access=blob),
        messages.LeaseWiped(lease_id=_number(chance)),
        messages.Tick(),
    ]


def read(seed: int, rounds: int) -> int:
    """Read so many damaged records of each command; how many were plain all the same."""
    from tests.engine.compiled.damage import check, damaged

    chance, plain = random.Random(seed), 0
    for _ in range(rounds):
        for command in _commands(chance):
            record = codec.encode_command(_number(chance), command)
            check(record)
            plain += check(damaged(chance, record))
            if len(record) < 300:
                plain += sum(check(record[:size]) for size in range(len(record)))
    return plain


def write(seed: int, rounds: int) -> None:
    """Write records of many events, whose texts and blobs have every width, through sinks that grow."""
    from tests.engine.compiled.test_events import record

    chance = random.Random(seed)
    for _ in range(rounds):
        events = [_event(chance) for _ in range(chance.choice((0, 3, 15, 16, 400)))]
        if record(1, events) != codec.encode_events(1, events):
            raise AssertionError(f"seed {seed}: another record than the law's")


def _event(chance: random.Random) -> messages.Event:
    from engine.kinds import EndReason, LeaseState
    from engine.reasons import Reason

    text = "x" * chance.choice(LENGTHS[:-1])
    if chance.random() < 0.5:
        return messages.Rejected(account=_number(chance), reason=Reason.UNKNOWN_ORDER, client_order_id=text)
    return messages.LeaseChanged(
        lease_id=-(2**63),
        renter=-(2**63),
        provider=-(2**63),
        baron=-(2**63),
        state=LeaseState.ACTIVE,
        reason=EndReason.NONE,
        active_ns=-(2**63),
        ended_ns=-(2**63),
        charged_micros=-(2**63),
        wiped=False,
        access=text.encode(),
        detail=text,
        ends_ns=-(2**63),
        delivery=text.encode(),
    )


def main(library: str, rounds: str, *seeds: str) -> int:
    """Read and write so many rounds with each seed."""
    use(Path(library).resolve())
    from engine.compiled import doors_wire

    if not Path(doors_wire.__file__ or "").is_relative_to(Path(library).resolve()):
        raise RuntimeError("the wire isn't the sanitized build")
    for seed in seeds:
        plain = read(int(seed), int(rounds))
        write(int(seed), int(rounds))
        print(f"seed {seed}: {plain} damaged records were plain", flush=True)
    print("sanitized and equal")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
