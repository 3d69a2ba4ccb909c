"""The whole machine: orders a second through risk, hours, book, transfers and events, and what crowds cost it.

`python -m bench.machine [--quick]`. One run measures the machine and, on the same commands, books alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from bench.common.report import Row, parser, publish, report
from bench.machines.alone import bare_s, compiled_s
from bench.machines.crowds import Crowd, hours, leases, resting, year_filled_us, yielding
from bench.machines.flow import FETCH, Flow, batched_s, logged, mixed, opened, played
from bench.machines.replay import replayed
from bench.order_books.memory import resident_bytes, settle
from engine.compiled.batch import GUIDED
from engine.halves import compiled_half
from engine.records import COMMAND_BYTES

ACCOUNTS: Final = 10_000
BEST_OF: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 when a figure missed its goal."""
    options = _parser().parse_args(arguments)
    return publish(report(run(quick=options.quick)), options.json)


def run(*, quick: bool) -> list[Row]:
    """All figures, one row each; quick: a hundredth of the crowds and a short flow, to see that it works."""
    scale = 100 if quick else 1
    orders = 2_000 if quick else 100_000
    flow, named = mixed(orders, ACCOUNTS // scale), mixed(orders, ACCOUNTS // scale, named=True)
    crowd, resting_orders = 100_000 // min(scale, 20), 200_000 // min(scale, 10)
    return [
        *_whole_path(flow),
        _named(named),
        _replay(20_000 if quick else 10_000_000, ACCOUNTS // scale),
        *_crowd(crowd),
        *_state(scale),
        _memory(resting_orders),
    ]


def _whole_path(flow: Flow) -> list[Row]:
    """The flow through the machine, and what it asked of its books through books alone (docs/decisions/011)."""
    machine_s = min(_played_s(flow) for _ in range(BEST_OF))
    compiled_book_s = min(compiled_s(flow) for _ in range(BEST_OF))
    bare_book_s = min(bare_s(flow) for _ in range(BEST_OF))
    asked = sum(len(records) for records in flow.book_commands.values()) // COMMAND_BYTES
    singly_s = _singly_s(flow)
    steps = len(flow.steps)
    build = f"the engine of `make {'guided' if GUIDED else 'build'}`"
    return [
        Row(
            "orders and cancels",
            flow.orders,
            "",
            against=f"{flow.accounts:,} accounts; three of ten are cancels; {steps:,} commands with their leases'; {build}",
        ),
        _at_least(
            "whole path",
            flow.orders / machine_s,
            "orders/s",
            1_000_000,
            f"cancels too; batches of {FETCH} records of the log; best of {BEST_OF}",
        ),
        Row("one command at a time", _rounded(flow.orders / singly_s), "orders/s", against="messages in and out"),
        _at_most("to the bare book", machine_s / bare_book_s, "x", 4, f"the {asked:,} commands that its books had"),
        Row("to the compiled book", _rounded(machine_s / compiled_book_s), "x", against="the same, by batch"),
    ]


def _named(flow: Flow) -> Row:
    """The same market, as clients' programs speak to it."""
    machine_s = min(_played_s(flow) for _ in range(BEST_OF))
    against = f"each order has one, a tag and a connection; cancels go by it; best of {BEST_OF}"
    return Row("whole path with client ids", _rounded(flow.orders / machine_s), "orders/s", against=against)


def _replay(commands: int, accounts: int) -> Row:
    """A long log, by a machine that ends in the state of the one that wrote it."""
    done = replayed(commands, accounts)
    against = (
        f"{done.commands:,} commands, once; {done.open_orders:,} orders rest and {done.leases:,} leases run at the end"
    )
    return _at_least("replay", done.commands / done.seconds, "commands/s", 1_000_000, against)


def _crowd(number: int) -> list[Row]:
    few, many = yielding(number // 100, number // 500), yielding(number, number // 500)
    return [
        _at_most("fill of a year", year_filled_us(500), "us", 20, "one command: a GPU for 8,760 hours"),
        Row("displacement", many.displaced_us, "us", against=f"{number:,} running spot leases"),
        _at_most("displacement, growth", many.displaced_us / few.displaced_us, "x", 2, "a hundredth of the leases"),
        Row("pre-emption", many.preempted_us, "us", against=f"{number:,} running spot leases"),
        _at_most("pre-emption, growth", many.preempted_us / few.preempted_us, "x", 2, "a hundredth of the leases"),
    ]


def _state(scale: int) -> list[Row]:
    """Snapshot and restore of a shard with a million open orders, 100,000 leases and 1,000 Barons with hours sold ahead."""
    crowd = Crowd()
    leases(crowd, 100_000 // scale, 100, spare=2)
    hours(crowd, 1_000 // scale)
    resting(crowd, 1_000_000 // scale)
    before = time.perf_counter()
    data = crowd.machine.snapshot()
    taken_s = time.perf_counter() - before
    before = time.perf_counter()
    compiled_half().restored(data)
    restored_s = time.perf_counter() - before
    counts = crowd.machine.counts()
    against = f"{counts.open_orders:,} orders, {counts.leases:,} leases, {counts.barons:,} grids with hours; {len(data):,} bytes"
    return [
        _at_most("snapshot", taken_s, "s", 2, against),
        _at_most("restore", restored_s, "s", 3, against),
    ]


def _memory(number: int) -> Row:
    crowd = Crowd()
    settle()
    before = resident_bytes()
    resting(crowd, number)
    settle()
    return _at_most("memory", (resident_bytes() - before) / number, "bytes/order", 160, f"{number:,} bids at rest")


def _played_s(flow: Flow) -> float:
    """Records of commands in, records of events out, as a sequencer's batch has them."""
    return batched_s(opened(flow), logged(flow.steps))


def _singly_s(flow: Flow) -> float:
    machine = opened(flow)
    before = time.perf_counter()
    played(machine, flow.steps)
    return time.perf_counter() - before


def _at_least(name: str, value: float, unit: str, goal: float, against: str) -> Row:
    return Row(name, _rounded(value), unit, goal, value >= goal, against)


def _at_most(name: str, value: float, unit: str, goal: float, against: str) -> Row:
    return Row(name, _rounded(value), unit, goal, value <= goal, against)


def _rounded(value: float) -> float | int:
    return round(value) if value >= 1_000 else round(value, 3)


def _parser() -> argparse.ArgumentParser:
    return parser("machine", __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
