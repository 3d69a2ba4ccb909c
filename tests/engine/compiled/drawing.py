"""Messages drawn over the whole range of their values, with the edges of every width that the wire has."""

from __future__ import annotations

import enum
import typing

import msgspec
from hypothesis import strategies as st

_EDGES = [edge + step for bits in (5, 7, 8, 15, 16, 31, 32) for edge in (2**bits, -(2**bits)) for step in (-1, 0, 1)]
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([*_EDGES, 0, -(2**63), 2**63 - 1])
_LENGTHS = st.sampled_from([0, 1, 31, 32, 255, 256, 65_535, 65_536])
TEXTS = st.text(max_size=40) | _LENGTHS.map(lambda length: "z" * length)
ASCII_TEXTS = st.text(st.characters(max_codepoint=127), max_size=40) | _LENGTHS.map(lambda length: "z" * length)
BLOBS = st.binary(max_size=40) | _LENGTHS.map(lambda length: b"z" * length)


def messages_of(
    kind: type[msgspec.Struct], numbers: st.SearchStrategy[int] = NUMBERS, texts: st.SearchStrategy[str] = TEXTS
) -> st.SearchStrategy[typing.Any]:
    """Messages of a kind; what has a default is left at it now and then."""
    hints = typing.get_type_hints(kind)
    required: dict[str, st.SearchStrategy[typing.Any]] = {}
    optional: dict[str, st.SearchStrategy[typing.Any]] = {}
    for field in msgspec.structs.fields(kind):
        drawn = required if field.default is msgspec.NODEFAULT else optional
        drawn[field.name] = _values(hints[field.name], numbers, texts)
    filled = st.fixed_dictionaries(required, optional=optional)
    plain = st.fixed_dictionaries(required)
    return (filled | plain).map(lambda fields: kind(**fields))


def _values(
    hint: typing.Any, numbers: st.SearchStrategy[int], texts: st.SearchStrategy[str]
) -> st.SearchStrategy[typing.Any]:
    if hint is int:
        return numbers
    if hint is str:
        return texts
    if hint is bytes:
        return BLOBS
    if hint is bool:
        return st.booleans()
    if not (isinstance(hint, type) and issubclass(hint, enum.IntEnum)):
        raise TypeError(f"no values are drawn for {hint}")
    return st.sampled_from(hint)
