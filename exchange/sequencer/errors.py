"""What keeps the sequencer from starting, or a command from entering its queue."""

from __future__ import annotations


class RecoveryError(Exception):
    """Logs, snapshots and engine don't fit together; the message says what was found, and what to do."""


class InvalidCommand(ValueError):
    """A command that the log can't carry (a wrong type, a number of more than 64 bits, too many bytes): a caller's bug."""
