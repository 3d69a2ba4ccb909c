"""The hour grid: both halves say the same after any calls, and what they say is the law's (rulebook §4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.grid import COUNT_MAX, HOUR_MAX, PAGE_HOURS, PAGES_MAX, GridFactory, Hour, HourGrid, Run
from engine.grid_fast import FastGrid
from engine.grid_plain import PlainGrid

Call = tuple[str, int, int, int]
BASE = 500_000
"""An hour in the year 2027, in the middle of a page."""
ADDS = ("add_bought", "add_sold", "add_reserved")
BOTH = pytest.mark.parametrize("make", [PlainGrid, FastGrid])

spans = st.tuples(st.integers(-40, 3 * PAGE_HOURS), st.integers(-1, 2 * PAGE_HOURS)).map(
    lambda span: (BASE + span[0], BASE + span[0] + span[1])
)
pages = st.tuples(st.integers(0, 3), st.integers(1, 3)).map(
    lambda span: ((BASE // PAGE_HOURS + span[0]) * PAGE_HOURS, (BASE // PAGE_HOURS + sum(span)) * PAGE_HOURS)
)
"""Spans that take pages whole."""
quantities = st.integers(-6, 8) | st.sampled_from([COUNT_MAX, -COUNT_MAX, COUNT_MAX + 1, 2**40, -(2**40)])
calls = st.lists(
    st.tuples(st.sampled_from((*ADDS, "forget", "least")), spans | pages, quantities).map(
        lambda call: (call[0], *call[1], call[2])
    ),
    max_size=30,
)


def played(grid: HourGrid, call: Call) -> object:
    """What a call says: a value, or that it was refused."""
    name, start, end, quantity = call
    try:
        if name == "least":
            return grid.least_free(start, end), grid.least_deliverable(start, end)
        if name == "forget":
            grid.forget(start)
        else:
            getattr(grid, name)(start, end, quantity)
        return None
    except ValueError as error:
        return str(error)


@given(calls)
def test_both_say_the_same_after_any_calls(sequence: list[Call]) -> None:
    plain, fast = PlainGrid(), FastGrid()
    for call in sequence:
        assert played(fast, call) == played(plain, call), call
        assert fast.runs(0) == plain.runs(0), call
    assert fast.runs(BASE + 100) == plain.runs(BASE + 100)


near = st.tuples(st.integers(0, 6), st.integers(1, 4)).map(lambda span: (BASE + span[0], BASE + span[0] + span[1]))


@given(
    near,
    st.lists(
        st.tuples(st.sampled_from((*ADDS, "forget", "least")), near, st.integers(-3, 5)).map(
            lambda call: (call[0], *call[1], call[2])
        ),
        max_size=20,
    ),
)
def test_a_span_that_is_asked_again_after_each_call_gets_no_answer_of_before(
    asked: tuple[int, int], sequence: list[Call]
) -> None:
    plain, fast = PlainGrid(), FastGrid()
    for call in sequence:
        for grid in (plain, fast):
            played(grid, call)
        assert fast.least_deliverable(*asked) == plain.least_deliverable(*asked), call


@given(calls)
def test_runs_tell_all_that_was_added(sequence: list[Call]) -> None:
    grid = PlainGrid()
    for call in sequence:
        played(grid, call)
    again = FastGrid()
    for run in grid.runs(0):
        again.add_bought(run.start_h, run.end_h, run.bought)
        again.add_sold(run.start_h, run.end_h, run.sold)
        again.add_reserved(run.start_h, run.end_h, run.reserved)
    assert again.runs(0) == grid.runs(0)
    for before, after in zip(grid.runs(0), grid.runs(0)[1:], strict=False):
        assert before.end_h < after.start_h or before[2:] != after[2:], "a run could be longer"


@BOTH
def test_a_year_is_bought_and_a_week_in_its_middle_sold(make: GridFactory) -> None:
    grid = make()
    year, week = (BASE, BASE + 8_760), (BASE + 4_000, BASE + 4_168)
    grid.add_bought(*year, 500)
    grid.add_reserved(*week, 200)
    assert (grid.least_free(*year), grid.least_deliverable(*year)) == (300, 500)
    grid.add_reserved(*week, -200)
    grid.add_sold(*week, 200)
    assert grid.runs(0) == [
        Run(BASE, week[0], 500, 0, 0),
        Run(*week, 500, 200, 0),
        Run(week[1], year[1], 500, 0, 0),
    ]
    assert (grid.at(week[0] - 1), grid.at(week[0])) == (Hour(500, 0, 0), Hour(500, 200, 0))
    assert grid.least_free(week[1], year[1] + 1) == 0, "beyond its end there is nothing"


@BOTH
@pytest.mark.parametrize("name", ADDS)
def test_a_refused_change_changes_nothing(make: GridFactory, name: str) -> None:
    grid = make()
    getattr(grid, name)(BASE, BASE + 10, 4)
    before = grid.runs(0)
    for start, end, quantity in (
        (BASE, BASE + 11, -1),
        (BASE, BASE + 10, -5),
        (BASE + 9, BASE + 2_000, COUNT_MAX - 3),
        (BASE, BASE, 1),
        (BASE + 1, BASE, 1),
        (-1, BASE, 1),
        (HOUR_MAX - 1, HOUR_MAX + 1, 1),
        (BASE - PAGES_MAX * PAGE_HOURS, BASE + 1, 1),
        (BASE + PAGES_MAX * PAGE_HOURS, BASE + PAGES_MAX * PAGE_HOURS + 1, 1),
    ):
        with pytest.raises(ValueError, match=r"hours|hour would"):
            getattr(grid, name)(start, end, quantity)
        assert grid.runs(0) == before


@BOTH
def test_a_page_goes_up_whole_and_down_in_parts_any_number_of_times(make: GridFactory) -> None:
    grid = make()
    start = BASE // PAGE_HOURS * PAGE_HOURS
    middle, end = start + 300, start + PAGE_HOURS
    grid.add_sold(start, middle, COUNT_MAX)
    for _ in range(20):
        grid.add_bought(start, end, COUNT_MAX)
        assert grid.least_free(start, end) == 0
        grid.add_bought(start, middle, -COUNT_MAX)
        grid.add_bought(middle, end, -COUNT_MAX)
        assert grid.least_free(start, end) == grid.least_deliverable(start, end) == -COUNT_MAX
    assert grid.runs(0) == [Run(start, middle, 0, COUNT_MAX, 0)]
    for _ in range(20):
        grid.add_reserved(start, middle, COUNT_MAX)
        grid.add_reserved(middle, end, COUNT_MAX)
        assert grid.least_free(start, end) == -2 * COUNT_MAX
        grid.add_reserved(start, end, -COUNT_MAX)
    assert grid.runs(0) == [Run(start, middle, 0, COUNT_MAX, 0)]


@BOTH
def test_what_was_forgotten_delivers_nothing_though_it_was_asked_for_before(make: GridFactory) -> None:
    grid = make()
    page = BASE // PAGE_HOURS
    end = (page + 1) * PAGE_HOURS
    grid.add_bought(page * PAGE_HOURS, end, 3)
    assert grid.least_deliverable(end - 2, end - 1) == 3
    grid.forget(end)
    assert grid.least_deliverable(end - 2, end - 1) == 0


@BOTH
def test_what_is_over_is_forgotten_by_pages_and_makes_room(make: GridFactory) -> None:
    grid = make()
    page = BASE // PAGE_HOURS
    grid.add_bought(page * PAGE_HOURS, (page + 3) * PAGE_HOURS, 1)
    grid.forget((page + 2) * PAGE_HOURS - 1)
    assert grid.runs(0) == [Run((page + 1) * PAGE_HOURS, (page + 3) * PAGE_HOURS, 1, 0, 0)]
    far = (page + PAGES_MAX) * PAGE_HOURS
    grid.add_sold(far, far + 1, 2)
    assert grid.runs(far) == [Run(far, far + 1, 0, 2, 0)]
    grid.forget(HOUR_MAX)
    assert grid.runs(0) == []
    grid.add_sold(5, 6, 1)
    assert grid.runs(0) == [Run(5, 6, 0, 1, 0)]
