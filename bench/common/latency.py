"""Percentiles of what was timed, as rows: the nearest rank, so that each figure is a time that really happened."""

from __future__ import annotations

from collections.abc import Sequence

from bench.common.report import Row


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least `percent` of them don't exceed; ValueError without samples."""
    if not samples or not 0 < percent <= 100:
        raise ValueError("a percentile is of at least one sample, above 0 and up to 100")
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def rows(name: str, samples_s: Sequence[float], goal_p50_s: float | None = None, against: str = "") -> list[Row]:
    """p50, p99 and the longest of these times, in seconds; the goal is p50's."""
    p50 = percentile(samples_s, 50)
    met = None if goal_p50_s is None else p50 < goal_p50_s
    return [
        Row(f"{name}, p50", p50, "s", goal_p50_s, met, against),
        Row(f"{name}, p99", percentile(samples_s, 99), "s"),
        Row(f"{name}, max", max(samples_s), "s", against=f"of {len(samples_s)}"),
    ]
