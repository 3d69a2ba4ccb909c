"""How anything enters the engine: submit a command, get its Reply once it is durable.

Gateway, provisioner and administration all hold a `Submit` and nothing else of the engine's writing side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.messages import Command, Reply


class Overloaded(Exception):
    """The queue is full or the sequencer is stopping: the command was not taken, and may be sent again."""


class OutcomeUnknown(Exception):
    """The command may or may not have been made durable (the log failed); ask by its client id later."""


class Submit(Protocol):
    async def __call__(self, command: Command) -> Reply:
        """Enter a command; Overloaded or OutcomeUnknown when there is no reply."""


Subscriber = Callable[[Reply], None]
"""Called on the event loop for each durable command with events, in order, after its own reply was released. Must not block."""
