"""What went wrong at one port of the gate, counted: outsiders may cause as much of it as they like, and never a log's growth.

The first is told at once, the rest as one line a period and one at the end. It decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

_log = logging.getLogger(__name__)


class Tally:
    """One line every `every_s` at most, and only when there is something to tell. `what` comes from a few of our own words."""

    def __init__(self, name: str, every_s: float) -> None:
        self._name = name
        self._every_s = every_s
        self._counts: Counter[str] = Counter()
        self._detail = ""
        self._next: asyncio.TimerHandle | None = None
        self._closed = False

    def count(self, what: str, detail: str = "") -> None:
        """Once more; of the details the last is told."""
        if self._closed:
            return
        self._counts[what] += 1
        self._detail = detail or self._detail
        if self._next is None:
            self._say()

    def close(self) -> None:
        """Tell what is left to tell, and nothing more."""
        self._closed = True
        if self._next is not None:
            self._next.cancel()
            self._tell()

    def _say(self) -> None:
        self._next = None
        if self._tell():
            self._next = asyncio.get_running_loop().call_later(self._every_s, self._say)

    def _tell(self) -> bool:
        if not self._counts:
            return False
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items()))
        _log.info("%s: %s%s", self._name, counts, f" ({self._detail})" if self._detail else "")
        self._counts.clear()
        self._detail = ""
        return True
