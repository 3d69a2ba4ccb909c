"""The machine's bench: its flow is the same each time, the bare book has what the machine's had, and figures are printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import machine as bench_machine
from bench.machines import flow as bench_flow
from bench.machines import replay
from bench.machines.crowds import Crowd, hours, leases, yielding
from bench.machines.flow import Fetch, batched_s, fetched, mixed, opened, played
from bench.machines.replay import Stream, replayed
from engine.book import BookLimits
from engine.halves import compiled_half
from engine.limits import Limits
from engine.machine import Machine
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


def test_a_stream_of_chunks_is_the_same_each_time_and_its_replay_ends_in_its_state() -> None:
    stream, again = Stream(50), Stream(50)
    assert stream.opening == again.opening
    chunks = [stream.records(700) for _ in range(2)]
    assert chunks == [again.records(700) for _ in range(2)]
    assert all(len(chunk) >= 700 for chunk in chunks)
    machine = compiled_half().machine(0, Limits())
    for fetches in (stream.opening, *map(fetched, chunks)):
        batched_s(machine, fetches)
    assert machine.state_hash() == stream.machine.state_hash()
    counts = machine.counts()
    assert counts.leases > 10
    assert counts.open_orders > 10


def test_a_replay_is_of_as_many_commands_as_it_says() -> None:
    done = replayed(1_500, 50)
    assert done.commands >= 1_500
    assert done.seconds > 0


def test_a_replay_that_differs_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(machine: Machine, fetches: list[Fetch]) -> float:
        return batched_s(machine, fetches[:-1])

    monkeypatch.setattr(replay, "batched_s", forgetful)
    with pytest.raises(replay.ReplayDiffers):
        replayed(500, 50)


def test_orders_of_a_long_flow_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_flow, "RESTING_AT_ONCE", 100)
    flow = mixed(1_000, 50)
    machine = opened(flow)
    played(machine, flow.steps)
    assert machine.counts().open_orders <= 100


def test_a_crowd_yields() -> None:
    took = yielding(50, 5)
    assert took.displaced_us > 0
    assert took.preempted_us > 0
    crowd = Crowd()
    leases(crowd, 20, 5, spare=2)
    assert crowd.machine.counts().leases == 20
    hours(crowd, 4)
    assert len(crowd.machine.state.obligations) == 4
    assert len(crowd.machine.state.orders) == 4


def test_a_quick_run_says_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    # 1 is a goal missed: the figures are there all the same.
    assert bench_machine.main(["--quick", "--json", str(figures)]) in (0, 1)
    rows = {row["name"]: row for row in json.loads(figures.read_bytes())["rows"]}
    assert {
        "whole path",
        "to the bare book",
        "replay",
        "displacement",
        "fill of a year",
        "pre-emption",
        "snapshot",
        "restore",
        "memory",
    } <= set(rows)
    assert all(row["value"] > 0 for row in rows.values())
