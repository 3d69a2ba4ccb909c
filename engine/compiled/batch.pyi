from collections.abc import Iterable

from engine.compiled.machine import FastMachine
from engine.compiled.state import Core

def play(state: Core, seq: int, record: bytes) -> bool: ...
def batch(machine: FastMachine, records: Iterable[bytes], first_seq: int) -> list[bytes]: ...
