"""Prices and money on their way out: Decimal, str or int become the decimal strings that the exchange takes.

A float is refused, because 2.1 as a float isn't 2.1. Whether a price lies on the grid is the exchange's to say.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TypeAlias

Number: TypeAlias = Decimal | str | int
"""What a price or an amount may be given as: dollars."""


def to_decimal(value: Number) -> Decimal:
    """The value as a Decimal; TypeError for a float or bool, ValueError for text that is no plain number."""
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        raise TypeError(f"a price or amount is a Decimal, str or int, not {type(value).__name__}")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not a number: write dollars like 2.1050") from error
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a number: write dollars like 2.1050")
    return number


def to_text(value: Number) -> str:
    """The value as the exchange takes it: no exponent, and no zeros at the end that say nothing."""
    text = format(to_decimal(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
