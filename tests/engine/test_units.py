"""Units at the edge: decimal strings in, integers inside, and back; arithmetic that rounds as §2 says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import units

prices = st.integers(units.PRICE_MIN_TICKS, units.PRICE_MAX_TICKS)
amounts = st.integers(-units.AMOUNT_MAX_MICROS, units.AMOUNT_MAX_MICROS)


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("2.1050", 21_050),
        ("2.105", 21_050),
        ("2", 20_000),
        ("0.0001", 1),
        ("1000", 10_000_000),
        ("1000.0000", 10_000_000),
    ],
)
def test_prices_that_are_on_the_grid(text: str, ticks: int) -> None:
    assert units.parse_price(text) == ticks


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.0000",
        "1000.0001",
        "2.10501",
        "-1",
        "+1",
        "1e3",
        "01",
        "1.",
        ".5",
        " 1",
        "1\n",
        "NaN",
        "inf",
        "١",
        "1_0",
        "9" * 400,
    ],
)
def test_prices_off_the_grid_are_refused_never_rounded(text: str) -> None:
    with pytest.raises(ValueError, match=r"price|decimal"):
        units.parse_price(text)


@pytest.mark.parametrize(
    ("text", "micros"), [("0", 0), ("10.50", 10_500_000), ("0.000001", 1), ("100000000000", units.AMOUNT_MAX_MICROS)]
)
def test_amounts(text: str, micros: int) -> None:
    assert units.parse_money(text) == micros


@pytest.mark.parametrize("text", ["", "-1", "0.0000001", "100000000000.000001", "1000000000000", "1,5", "0x1", "1 "])
def test_amounts_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|decimal"):
        units.parse_money(text)


@given(prices)
def test_a_price_survives_its_text(price_ticks: int) -> None:
    assert units.parse_price(units.format_price(price_ticks)) == price_ticks


@given(amounts)
def test_an_amount_survives_its_text(amount_micros: int) -> None:
    text = units.format_money(amount_micros)
    assert units.parse_money(text.lstrip("-")) == abs(amount_micros)
    assert text.startswith("-") == (amount_micros < 0)


@given(prices, st.integers(1, units.QUANTITY_MAX), st.integers(0, 744 * units.NS_PER_HOUR))
def test_a_charge_is_rounded_down_and_a_hold_up_by_less_than_one_micro(price: int, gpus: int, duration_ns: int) -> None:
    exact_numerator = price * units.MICROS_PER_TICK * gpus * duration_ns
    down, up = units.usage_micros(price, gpus, duration_ns), units.usage_micros_up(price, gpus, duration_ns)
    assert down * units.NS_PER_HOUR <= exact_numerator <= up * units.NS_PER_HOUR
    assert up - down == (exact_numerator % units.NS_PER_HOUR != 0)
    assert up <= units.INT64_MAX


@given(st.integers(0, units.AMOUNT_MAX_MICROS), st.integers(0, units.PPM))
def test_a_fee_is_rounded_down_and_its_hold_up(usage: int, fee_ppm: int) -> None:
    down, up = units.fee_micros(usage, fee_ppm), units.fee_micros_up(usage, fee_ppm)
    assert down * units.PPM <= usage * fee_ppm <= up * units.PPM
    assert 0 <= up - down <= 1


def test_one_gpu_at_two_dollars_for_an_hour() -> None:
    assert units.usage_micros(20_000, 1, units.NS_PER_HOUR) == 2_000_000
    assert units.fee_micros(2_000_000, 5_000) == 10_000
