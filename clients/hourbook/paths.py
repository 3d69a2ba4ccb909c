"""What stands in a path for a name or an id: quoted, so that it can't lead to another resource than the one that was meant."""

from __future__ import annotations

from urllib.parse import quote

_ELSEWHERE = frozenset({"", ".", ".."})
"""To a path these are no names, but the folder itself and the one above."""


def segment(value: str) -> str:
    """One part of a path; ValueError for what names nothing."""
    if value in _ELSEWHERE:
        raise ValueError(f"{value!r} names nothing here: give an id, a symbol or a name")
    return quote(value, safe="")
