from collections.abc import Iterable

from engine.compiled.machine import FastMachine
from engine.state import State

GUIDED: bool

def play(state: State, seq: int, record: bytes) -> bool: ...
def batch(machine: FastMachine, records: Iterable[bytes], first_seq: int) -> list[bytes]: ...
