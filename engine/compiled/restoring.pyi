"""Type of the compiled machine's reader of snapshots."""

from collections.abc import Callable

from engine.limits import Limits
from engine.state import State

def decode(data: bytes, make: Callable[[int, Limits], State]) -> State: ...
def read(body: bytes | memoryview, make: Callable[[int, Limits], State]) -> State: ...
