"""Type of the compiled machine's check of a state that was read."""

from engine.state import State

def agree(state: State) -> None: ...
