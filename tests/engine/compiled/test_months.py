"""Months' ends, reckoned in C as the law's calendar has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import periods
from engine.compiled import doors_leasing
from engine.units import NS_PER_DAY

LAST_DAY = 200 * 365
"""In the year 2169; a time of 64 bits ends in 2262."""


@given(st.integers(0, LAST_DAY * NS_PER_DAY))
def test_a_month_ends_when_the_law_says(ts_ns: int) -> None:
    assert doors_leasing.month_end_ns(ts_ns) == periods.month_end_ns(ts_ns)


@pytest.mark.parametrize("step_ns", [0, NS_PER_DAY - 1])
def test_every_day_of_two_hundred_years_is_in_its_month(step_ns: int) -> None:
    """Leap days, 2000 and 2100 with them."""
    for day in range(LAST_DAY):
        ts_ns = day * NS_PER_DAY + step_ns
        assert doors_leasing.month_end_ns(ts_ns) == periods.month_end_ns(ts_ns), day
