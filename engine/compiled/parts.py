"""Types of what a snapshot says beside what there are many of: some fields of the law's structs.

The law's decoder reads these; what stands between them is read in C (`engine.compiled.restoring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


def part(struct: type[msgspec.Struct], names: Sequence[str], **types: Any) -> type[msgspec.Struct]:
    """A struct of these fields alone, encoded as an array; a field may have another type."""
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    return msgspec.defstruct(
        struct.__name__,
        [(name, types.get(name, fields[name])) for name in names],
        frozen=True,
        array_like=True,
        forbid_unknown_fields=True,
    )
