from collections.abc import Callable
from typing import Any

from engine.messages import Command
from engine.state import State

ROOMS: dict[type[Command], Callable[[State, Any], bool]]
