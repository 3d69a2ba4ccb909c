"""How the command speaks: tables for people, JSON for programs, progress and errors to standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from hourbook.client import encode


def emit(answer: Any) -> None:
    """An answer as one line of JSON."""
    print(encode(answer).decode())


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]], none: str) -> None:
    """Rows under headings, numbers to the right; `none` when there are no rows."""
    if not rows:
        print(none)
        return
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(len(line[column]) for line in (list(headings), *cells)) for column in range(len(headings))]
    right = [all(isinstance(row[column], int | Decimal | None) for row in rows) for column in range(len(headings))]
    for line in (headings, *cells):
        padded = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        )
        print("  ".join(padded).rstrip())


def cell(value: Any) -> str:
    """A value as people read it: a dash for none, seconds for times, no exponents."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def mark(text: str, simulated: bool | None) -> str:
    """The text, with a word on what has no real GPUs behind it."""
    return f"{text} (simulated)" if simulated else text


def note(text: str) -> None:
    """Progress, or a hint; beside the answer, never in it."""
    print(text, file=sys.stderr, flush=True)
