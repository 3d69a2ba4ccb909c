"""Prices on their way out: exact, never a float, always a form that the exchange reads back as the same number."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.units import PRICE_MAX_TICKS, format_price, parse_price
from hourbook.decimals import Number, to_text


@pytest.mark.parametrize(
    ("given_as", "text"),
    [
        ("2.10", "2.1"),
        ("2.1050", "2.105"),
        (2, "2"),
        (100, "100"),
        (Decimal("2.5"), "2.5"),
        (Decimal("1E+2"), "100"),
        (Decimal("1E-4"), "0.0001"),
        ("0.00001", "0.00001"),
    ],
)
def test_numbers_become_plain_text(given_as: Number, text: str) -> None:
    assert to_text(given_as) == text


@pytest.mark.parametrize("wrong", [2.1, True, None, b"2", [2]])
def test_what_is_no_exact_number_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="Decimal, str or int"):
        to_text(wrong)


@pytest.mark.parametrize("wrong", ["", "two", "NaN", "Infinity", "2,10", Decimal("NaN")])
def test_text_that_is_no_number_is_a_value_error(wrong: Number) -> None:
    with pytest.raises(ValueError, match="not a number"):
        to_text(wrong)


@given(st.integers(1, PRICE_MAX_TICKS))
def test_the_exchange_reads_every_price_as_it_was_meant(price_ticks: int) -> None:
    text = format_price(price_ticks)
    assert parse_price(to_text(text)) == price_ticks
    assert parse_price(to_text(Decimal(text))) == price_ticks
