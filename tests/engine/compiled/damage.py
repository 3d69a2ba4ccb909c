"""What can happen to the bytes of a record, and what the compiled reader must make of it."""

from __future__ import annotations

import random

from engine import codec
from engine.compiled import doors_wire

_TELLING = bytes([0x00, 0x01, 0x7F, 0x90, 0x92, 0xA0, 0xBF, 0xFF]) + bytes(range(0xC0, 0xE1))
"""Bytes that begin something else: a number, a text, an array, of every width."""


def damaged(chance: random.Random, record: bytes) -> bytes:
    """The record with one thing wrong, or none where chance has it so."""
    at = chance.randrange(len(record) + 1)
    byte = bytes([chance.choice(_TELLING) if chance.random() < 0.7 else chance.randrange(256)])
    match chance.randrange(5):
        case 0:
            return record[:at]
        case 1:
            return record[:at] + byte + record[at + 1 :]
        case 2:
            return record[:at] + byte + record[at:]
        case 3:
            return record[:at] + record[at + chance.randrange(1, 9) :]
        case _:
            return record + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 4)))


def check(record: bytes) -> bool:
    """Whether a record is plain: then it must be what the law's decoder makes of it."""
    read = doors_wire.command(record)
    if read is None:
        return False
    law = codec.decode_command(record)
    if read != law or type(read[1]) is not type(law[1]):
        raise AssertionError(f"{record.hex()} was read as {read}, and is {law}")
    return True
