"""Percentiles by nearest rank: every figure is a sample."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.common import latency


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([7.0], 100, 7.0),
        ([2.0, 1.0], 50, 1.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([4.0, 3.0, 1.0, 2.0], 50, 2.0),
        ([float(n) for n in range(100, 0, -1)], 99, 99.0),
        ([float(n) for n in range(1_000)], 99.9, 998.0),
        ([float(n) for n in range(10)], 99, 9.0),
        ([float(n) for n in range(10)], 0.1, 0.0),
    ],
)
def test_the_nearest_rank(samples: list[float], percent: float, expected: float) -> None:
    assert latency.percentile(samples, percent) == expected


@given(st.lists(st.integers(0, 1_000).map(float), min_size=1), st.integers(1, 100))
def test_so_many_samples_do_not_exceed_it_and_no_smaller_one_would_do(samples: list[float], percent: int) -> None:
    found = latency.percentile(samples, percent)
    assert found in samples
    assert sum(sample <= found for sample in samples) * 100 >= percent * len(samples)
    assert sum(sample < found for sample in samples) * 100 < percent * len(samples)


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_what_is_no_percentile(samples: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="a percentile is of at least one sample"):
        latency.percentile(samples, percent)


def test_the_goal_is_the_medians() -> None:
    p50, p99, longest = latency.rows("ssh", [1.0, 3.0, 9.0], 3.5, "goal")
    assert (p50.value, p50.goal, p50.met) == (3.0, 3.5, True)
    assert (p99.value, p99.met, longest.value) == (9.0, None, 9.0)
    assert latency.rows("ssh", [1.0, 3.0, 9.0], 3.0)[0].met is False
    assert latency.rows("ssh", [1.0])[0].met is None
