"""Delivery periods: what is listed at any time, over the ends of days, weeks, months and years (rulebook §3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.periods import LISTED, PeriodKind, horizon_h, listed
from engine.units import NS_PER_HOUR, NS_PER_S


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


moments = st.integers(at("2024-01-01"), at("2060-01-01"))


def names(now_ns: int, kind: PeriodKind) -> list[str]:
    return [period.name for period in listed(now_ns) if period.kind is kind]


@pytest.mark.parametrize(
    ("now", "kind", "expected"),
    [
        ("2026-11-23T10:00", PeriodKind.DAY, [f"2026-11-{day}" for day in range(24, 31)]),
        ("2026-11-23T22:59:59", PeriodKind.DAY, [f"2026-11-{day}" for day in range(24, 31)]),
        ("2026-11-23T23:00", PeriodKind.DAY, [f"2026-11-{day}" for day in range(25, 31)] + ["2026-12-01"]),
        ("2026-11-22T22:59", PeriodKind.WEEK, ["2026-W48", "2026-W49", "2026-W50", "2026-W51"]),
        ("2026-11-22T23:00", PeriodKind.WEEK, ["2026-W49", "2026-W50", "2026-W51", "2026-W52"]),
        ("2026-12-21T00:00", PeriodKind.WEEK, ["2026-W53", "2027-W01", "2027-W02", "2027-W03"]),
        ("2027-12-31T22:59", PeriodKind.MONTH, [f"2028-{month:02d}" for month in range(1, 13)]),
        ("2027-12-31T23:00", PeriodKind.MONTH, [f"2028-{month:02d}" for month in range(2, 13)] + ["2029-01"]),
        ("2026-11-23T00:00", PeriodKind.QUARTER, ["2027Q1", "2027Q2", "2027Q3", "2027Q4"]),
        ("2026-12-31T23:00", PeriodKind.QUARTER, ["2027Q2", "2027Q3", "2027Q4", "2028Q1"]),
        ("2026-12-31T22:59", PeriodKind.YEAR, ["2027", "2028"]),
        ("2026-12-31T23:00", PeriodKind.YEAR, ["2028", "2029"]),
    ],
)
def test_what_is_open_when(now: str, kind: PeriodKind, expected: list[str]) -> None:
    assert names(at(now), kind) == expected


def test_hours_of_periods_leap_years_and_long_weeks() -> None:
    hours = {period.name: period.hours for period in listed(at("2027-11-23T00:00"))}
    assert hours["2028"] == 8_784
    assert hours["2029"] == 8_760
    assert hours["2028-02"] == 29 * 24
    assert hours["2028Q1"] == 91 * 24
    assert hours["2027-W48"] == 168
    assert hours["2027-11-24"] == 24
    assert horizon_h(at("2027-11-23T00:00")) * NS_PER_HOUR == at("2030-01-01T00:00")


@given(moments)
def test_always_the_same_number_is_open_and_none_of_a_kind_leaves_a_gap(now_ns: int) -> None:
    periods = listed(now_ns)
    for kind, number in LISTED.items():
        of_kind = [period for period in periods if period.kind is kind]
        assert len(of_kind) == number
        assert all(one.end_h == other.start_h for one, other in pairwise(of_kind))
        assert of_kind[0].trading_end_ns > now_ns >= of_kind[0].trading_end_ns - _longest(kind)
    assert len({period.name for period in periods}) == len(periods)


@given(moments)
def test_what_comes_in_comes_when_another_ends(now_ns: int) -> None:
    before = set(listed(now_ns))
    end_ns = min(period.trading_end_ns for period in before)
    assert set(listed(end_ns - 1)) == before, "nothing changes until the next trading ends"
    after = set(listed(end_ns))
    assert {period.trading_end_ns for period in before - after} == {end_ns}
    assert len(after) == len(before)


def _longest(kind: PeriodKind) -> int:
    days = {
        PeriodKind.DAY: 1,
        PeriodKind.WEEK: 7,
        PeriodKind.MONTH: 31,
        PeriodKind.QUARTER: 92,
        PeriodKind.YEAR: 366,
    }[kind]
    return int(timedelta(days=days).total_seconds()) * NS_PER_S
