"""The two topics of a shard, by name: what writes and what reads them says them alike."""

from __future__ import annotations

from typing import Final

COMMANDS: Final = "commands"
EVENTS: Final = "events"
