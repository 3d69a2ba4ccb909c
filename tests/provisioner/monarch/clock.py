"""A clock that a test moves on: the wall's and the steady one go together, and never by themselves backwards."""

from __future__ import annotations

import time

from engine.units import NS_PER_S


class Clock:
    def __init__(self) -> None:
        self._ahead_ns = 0

    def advance(self, seconds: int) -> None:
        self._ahead_ns += seconds * NS_PER_S

    def wall_ns(self) -> int:
        return time.time_ns() + self._ahead_ns

    def steady_ns(self) -> int:
        return time.monotonic_ns() + self._ahead_ns
