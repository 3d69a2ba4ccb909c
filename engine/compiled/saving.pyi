"""Type of the compiled machine's part of a snapshot."""

from engine.snapshot import Many
from engine.state import State

def many_of(state: State) -> Many: ...
