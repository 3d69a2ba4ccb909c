"""Numbers on their way out: prices and money, Decimal, str or int, become the decimal strings that the exchange takes.

A float is refused as a price, because 2.1 as a float isn't 2.1, and what is no number (NaN, infinities) in any field: JSON
has no word for it but null, which would leave the field out. Whether a price lies on the grid is the exchange's to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

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


def refuse_no_number(value: Any, field: str = "") -> None:
    """ValueError for a NaN or an infinity in `value` or, however deep, in what it holds; it names the field."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            refuse_no_number(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        for place, inner in enumerate(value):
            refuse_no_number(inner, f"{field}[{place}]")
    elif isinstance(value, float | Decimal) and not math.isfinite(value):
        raise ValueError(f"{field} is {value}, which is no number")
