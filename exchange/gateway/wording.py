"""What a field must be and what was given instead, in plain words: read off the same structs that bodies are decoded with.

msgspec says where a value doesn't fit; the words for what fits there come from the field's type, so that an error and the
API document can't disagree. A pattern has no plain words of its own, so its type carries them (`said`). It knows nothing
of HTTP or of the market's codes.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, Final

import msgspec
from msgspec import inspect

SAID: Final = "said"
"""In a type's `Meta(extra=...)`: its form in words."""
IS_TERM: Final = "is_term"
"""In a type's `Meta(extra=...)`: hours, whose upper bound is the exchange's longest term."""

_MAX_SHOWN_CHARS: Final = 40
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class _Number(str):
    """A JSON number as it was written: however long, it is never reckoned with."""


def say(kind: type[msgspec.Struct], values: Any, path: str, max_term_hours: int, is_text: bool = False) -> str:
    """`hours is 745, and must be a whole number from 1 to 744`: of a path that msgspec named in `kind`.

    is_text: all values came as text, as parameters do, of which 1 and 0 count as true and false.
    """
    steps = _STEP.findall(path)
    given = shown(_value_at(values, steps))
    allowed = _type_at(kind, steps)
    or_digits = " (or 1 or 0)" if is_text and isinstance(_bare(allowed), inspect.BoolType) else ""
    return f"{path or 'The body'} is {given}, and must be {_allowed(allowed, max_term_hours)}{or_digits}"


def plain(text: str) -> Any:
    """JSON that is known to be good as plain values, for `say`; numbers as they were written."""
    return _PLAIN.decode(text)


_PLAIN: Final = json.JSONDecoder(parse_int=_Number, parse_float=_Number)


def _value_at(value: Any, steps: list[tuple[str, str]]) -> Any:
    for name, index in steps:
        value = value[name] if name else value[int(index)]
    return value


def _type_at(kind: type[msgspec.Struct], steps: list[tuple[str, str]]) -> inspect.Type:
    found = _type_info(kind)
    for name, _ in steps:
        whole = _bare(found)
        if isinstance(whole, inspect.StructType):
            found = next(field.type for field in whole.fields if field.encode_name == name)
        elif isinstance(whole, inspect.ListType):
            found = whole.item_type
        else:
            raise TypeError(f"{type(whole).__name__} has nothing inside that a path could name")
    return found


@functools.cache
def _type_info(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _bare(kind: inspect.Type) -> inspect.Type:
    """A type without what is said about it, and without its null."""
    if isinstance(kind, inspect.Metadata):
        return _bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        some = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        return _bare(some[0]) if len(some) == 1 else kind
    return kind


def _allowed(kind: inspect.Type, max_term_hours: int) -> str:
    """What a value of the type may be; TypeError for a type that no body has."""
    match kind:
        case inspect.Metadata(extra={"said": words}):
            return str(words)
        case inspect.Metadata(type=inspect.IntType(ge=int(least)), extra={"is_term": True}):
            return _whole_number(least, max_term_hours)
        case inspect.Metadata():
            return _allowed(kind.type, max_term_hours)
        case inspect.UnionType():
            some = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            return " or ".join(_allowed(each, max_term_hours) for each in some)
        case inspect.IntType(ge=int(least), le=int(most)):
            return _whole_number(least, most)
        case inspect.StrType(pattern=None):
            return f"text of {_count(kind.min_length, kind.max_length)} characters"
        case inspect.ListType():
            return f"a list of {_count(kind.min_length, kind.max_length)} items"
        case inspect.LiteralType():
            return _one_of(kind.values)
        case inspect.EnumType():
            return _one_of([member.value for member in kind.cls])
        case inspect.BoolType():
            return "true or false"
        case inspect.StructType():
            return "a JSON object"
    raise TypeError(f"no words for {kind}")


def _whole_number(least: int, most: int) -> str:
    return f"a whole number from {least} to {most}"


def _count(least: int | None, most: int | None) -> str:
    return f"{least or 0} to {most}"


def _one_of(values: Any) -> str:
    return f"one of {', '.join(sorted(map(str, values)))}"


def shown(value: Any) -> str:
    """What was given, short: nothing long or nested is sent back."""
    if isinstance(value, str):
        if len(value) > _MAX_SHOWN_CHARS:
            return f"{'a number' if isinstance(value, _Number) else 'text'} of {len(value)} characters"
        return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"a list of {len(value)} items"
    if isinstance(value, dict):
        return "a JSON object"
    return json.dumps(value)
