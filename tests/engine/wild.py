"""Wild commands: whatever a decoder lets through, made from the commands' own types."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, get_args, get_type_hints

import msgspec
from hypothesis import strategies as st

from engine.kinds import Side
from engine.messages import Command, Offer, Quote

_wild_ints: Final = st.sampled_from([-(2**63), -1, 0, 1, 2, 11, 21, 101, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
_wild: Final[dict[object, st.SearchStrategy[object]]] = {
    int: _wild_ints,
    bool: st.booleans(),
    str: st.sampled_from(["", "a", "x" * 5_000, "\0", "ünïcode", "a b", "H100-SXM5-80GB", "here"]),
    bytes: st.sampled_from([b"", b"key", b"\xff" * 9_000]),
    tuple[int, ...]: st.lists(_wild_ints, max_size=70).map(tuple),
}


def _wild_struct(struct: type[msgspec.Struct]) -> st.SearchStrategy[object]:
    fields: dict[str, st.SearchStrategy[object]] = {}
    for name, annotation in get_type_hints(struct).items():
        if annotation in (tuple[Offer, ...], tuple[Quote, ...]):
            (part, _) = get_args(annotation)
            fields[name] = st.lists(_wild_struct(part), max_size=5).map(tuple)
        elif annotation in (int | None, bool | None):
            fields[name] = st.one_of(st.none(), _wild[get_args(annotation)[0]])
        elif annotation == Side | None:
            fields[name] = st.one_of(st.none(), st.sampled_from(Side))
        elif isinstance(annotation, type) and issubclass(annotation, IntEnum):
            fields[name] = st.sampled_from(annotation)
        else:
            fields[name] = _wild[annotation]
    return st.builds(struct, **fields)


anything: Final = st.one_of([_wild_struct(struct) for struct in get_args(Command)])
"""Any command that a decoder lets through: every integer of 64 bits, every text, every length."""
