"""Identifiers: made from (shard, seq, index), never random; their sortable text at the edge.

One 63-bit number: 7 bits of shard, 40 of sequence, 16 of index inside the command. Accounts and Barons are numbered by
the registry (they live across shards) and share the text form. The text is a prefix and 13 characters of Crockford's
base 32, so that text order is number order.
"""

from __future__ import annotations

from typing import Final

SHARD_MAX: Final = 127
SEQ_MAX: Final = 2**40 - 1
INDEX_MAX: Final = 2**16 - 1
PREFIXES: Final = frozenset({"ord", "trd", "obl", "lse", "brn", "acc", "key", "ssh", "off", "trf"})

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_LENGTH: Final = 13


def make_id(shard: int, seq: int, index: int) -> int:
    """The number of the `index`-th thing made by command `seq` of `shard`."""
    if not (0 <= shard <= SHARD_MAX and 0 < seq <= SEQ_MAX and 0 <= index <= INDEX_MAX):
        raise ValueError("id parts out of range")
    return shard << 56 | seq << 16 | index


def format_id(prefix: str, number: int) -> str:
    """Text of an id, for example `lse_00000000W0002`; `number` is below 2**63."""
    digits = []
    rest = number
    for _ in range(_LENGTH):
        rest, value = divmod(rest, 32)
        digits.append(_DIGITS[value])
    return f"{prefix}_{''.join(reversed(digits))}"


def parse_id(prefix: str, text: str) -> int:
    """Number of an id's text; ValueError when the prefix or the form is another."""
    head, _, body = text.partition("_")
    if head != prefix or len(body) != _LENGTH or not all(char in _VALUES for char in body):
        raise ValueError(f"an id of the form {prefix}_ and {_LENGTH} characters")
    number = 0
    for char in body:
        number = number * 32 + _VALUES[char]
    if number >= 2**63:
        raise ValueError("an id below 2**63")
    return number
