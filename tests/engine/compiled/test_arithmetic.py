"""The compiled arithmetic: equal to the law's for every value in bounds, and at the bounds themselves (rulebook §2, §9)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import money, units
from engine.compiled import doors_arithmetic as compiled
from engine.units import (
    AMOUNT_MAX_MICROS,
    INT64_MAX,
    NS_PER_HOUR,
    NS_PER_S,
    PPM,
    PRICE_MAX_TICKS,
    QUANTITY_MAX,
)

HOURS_MAX = 3 * 366 * 24
"""Longer than any forward delivers or lease is charged at once."""

prices = st.integers(1, PRICE_MAX_TICKS) | st.sampled_from([1, PRICE_MAX_TICKS])
quantities = st.integers(0, QUANTITY_MAX) | st.sampled_from([1, QUANTITY_MAX])
durations = st.integers(0, HOURS_MAX * NS_PER_HOUR) | st.integers(0, HOURS_MAX).map(lambda hours: hours * NS_PER_HOUR)
fees = st.integers(0, PPM) | st.sampled_from([0, 1, PPM - 1, PPM])
amounts = st.integers(-AMOUNT_MAX_MICROS, AMOUNT_MAX_MICROS)
ticks = st.integers(0, PRICE_MAX_TICKS * QUANTITY_MAX)
times = st.integers(0, INT64_MAX)


def fits(*numbers: int) -> bool:
    """Whether the law's own answer is one that 64 bits hold: beyond that nothing is asked."""
    return all(-INT64_MAX <= number <= INT64_MAX for number in numbers)


@given(prices, quantities, durations)
@example(PRICE_MAX_TICKS, QUANTITY_MAX, 0)
@example(PRICE_MAX_TICKS, QUANTITY_MAX, HOURS_MAX * NS_PER_HOUR - 1)
@example(1, 1, NS_PER_HOUR // 100 - 1)
def test_usage(price: int, quantity: int, duration_ns: int) -> None:
    down = units.usage_micros(price, quantity, duration_ns)
    up = units.usage_micros_up(price, quantity, duration_ns)
    if fits(down, up):
        assert compiled.usage_micros(price, quantity, duration_ns) == down
        assert compiled.usage_micros_up(price, quantity, duration_ns) == up


@given(prices, quantities, st.integers(-NS_PER_HOUR, NS_PER_HOUR))
@example(1, 1, -1)
def test_usage_of_a_time_that_runs_backwards_is_rounded_as_the_law_rounds_it(
    price: int, quantity: int, duration_ns: int
) -> None:
    assert compiled.usage_micros(price, quantity, duration_ns) == units.usage_micros(price, quantity, duration_ns)
    assert compiled.usage_micros_up(price, quantity, duration_ns) == units.usage_micros_up(price, quantity, duration_ns)


@given(amounts | st.integers(-INT64_MAX, INT64_MAX), fees)
@example(INT64_MAX, PPM)
@example(-INT64_MAX, PPM)
@example(-1, 1)
def test_fees(usage: int, fee_ppm: int) -> None:
    assert compiled.fee_micros(usage, fee_ppm) == units.fee_micros(usage, fee_ppm)
    assert compiled.fee_micros_up(usage, fee_ppm) == units.fee_micros_up(usage, fee_ppm)
    assert compiled.forward_bond_micros(usage, fee_ppm) == units.fee_micros_up(usage, fee_ppm)


@given(prices, quantities, durations, fees)
@example(PRICE_MAX_TICKS, QUANTITY_MAX, 3_720 * NS_PER_S, PPM)
def test_what_is_needed(price: int, quantity: int, duration_ns: int, fee_ppm: int) -> None:
    needed = money.needed_micros(price, quantity, duration_ns, fee_ppm)
    if fits(needed):
        assert compiled.needed_micros(price, quantity, duration_ns, fee_ppm) == needed


@given(ticks, st.integers(0, 366 * 86_400), st.integers(1, HOURS_MAX), fees, fees)
@example(PRICE_MAX_TICKS * QUANTITY_MAX, 86_400, 8_784, PPM, PPM)
def test_bonds(ticks: int, bond_s: int, hours: int, bond_ppm: int, fee_ppm: int) -> None:
    bond = units.usage_micros_up(1, ticks, bond_s * NS_PER_S)
    if fits(bond):
        assert compiled.ondemand_bond_micros(ticks, bond_s * NS_PER_S) == bond
    notional = units.usage_micros(1, ticks, hours * NS_PER_HOUR)
    hold = units.fee_micros_up(notional, bond_ppm) + units.fee_micros_up(notional, fee_ppm)
    if fits(notional, hold):
        assert compiled.forward_ask_hold_micros(ticks, hours, bond_ppm, fee_ppm) == hold


@given(prices, st.lists(st.tuples(times, prices), max_size=6).map(sorted), times, times, quantities)
@example(PRICE_MAX_TICKS, [], 0, INT64_MAX, 1)
@example(1, [(0, PRICE_MAX_TICKS)], 0, INT64_MAX, QUANTITY_MAX)
@example(1, [(5, 2), (5, 3), (9, 4)], 5, 5, 1)
@example(1, [(5, 2), (7, 3), (9, 4)], 8, 6, 1)
def test_a_price_that_changes(
    price: int, changes: list[tuple[int, int]], from_ns: int, until_ns: int, quantity: int
) -> None:
    expected = units.tick_ns(price, changes, from_ns, until_ns)
    total = compiled.tick_ns(price, changes, from_ns, until_ns)
    assert total == expected
    cost = units.usage_micros(1, quantity, expected)
    if fits(cost):
        assert compiled.usage_micros(1, quantity, total) == cost


@pytest.mark.parametrize("number", [2**64 - 1, 2**64, 2**64 + 1, 2**63 - 1, 2**63, PPM, PPM - 1, 0, 1])
def test_the_step_from_64_to_128_bits(number: int) -> None:
    """A division in 64 bits does where the product fits; on both sides of that the answers are the law's."""
    price, quantity = 1, 1
    for duration_ns in {number // units.MICROS_PER_TICK + step for step in (-1, 0, 1)}:
        assert compiled.usage_micros(price, quantity, duration_ns) == units.usage_micros(price, quantity, duration_ns)
