"""The machine's bench: its flow is the same each time, the bare book has what the machine's had, and figures are printed."""

from __future__ import annotations

import json
from pathlib import Path

from bench import machine as bench_machine
from bench.machines.crowds import Crowd, leases, yielding
from bench.machines.flow import mixed, opened, played
from engine.book import BookLimits
from engine.halves import compiled_half
from engine.records import COMMAND_BYTES, EVENT_BYTES


def test_a_flow_is_the_same_each_time_and_plays_without_a_refusal_of_its_leases() -> None:
    flow, again = mixed(400, 50), mixed(400, 50)
    assert flow == again
    assert flow.orders == 400
    machine = opened(flow)
    played(machine, flow.steps)
    counts = machine.counts()
    assert counts.leases > 10
    assert counts.open_orders > 10


def test_the_bare_book_ends_as_the_machines_book() -> None:
    flow = mixed(400, 50)
    machine = opened(flow)
    played(machine, flow.steps)
    for place, instrument in enumerate(sorted(machine.state.books), 1):
        book, records = compiled_half().book(BookLimits(fires=False)), flow.book_commands[place]
        done = book.batch(records, bytearray(len(records) * EVENT_BYTES))
        assert done.consumed == len(records) // COMMAND_BYTES
        assert len(book) == len(machine.state.books[instrument])


def test_a_crowd_yields() -> None:
    took = yielding(50, 5)
    assert took.displaced_us > 0
    assert took.preempted_us > 0
    crowd = Crowd()
    leases(crowd, 20, 5)
    assert crowd.machine.counts().leases == 20


def test_a_quick_run_says_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    # 1 is a goal missed: the figures are there all the same.
    assert bench_machine.main(["--quick", "--json", str(figures)]) in (0, 1)
    rows = {row["name"]: row for row in json.loads(figures.read_bytes())["rows"]}
    assert {
        "whole path",
        "to the bare book",
        "displacement",
        "fill of a year",
        "pre-emption",
        "snapshot",
        "restore",
        "memory",
    } <= set(rows)
    assert all(row["value"] > 0 for row in rows.values())
