"""Waiting for what a test expects, with a limit: the one place in the tests that sleeps.

A test names the event that it waits for; how long that took is never asserted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.01
TIMEOUT_S = 30.0


def wait_until(condition: Callable[[], T | None], what: str, timeout_s: float = TIMEOUT_S) -> T:
    """The first true value of `condition`; AssertionError naming `what` when `timeout_s` passed without one."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(POLL_S)
    return value


async def wait_until_async(condition: Callable[[], T | None], what: str, timeout_s: float = TIMEOUT_S) -> T:
    """As `wait_until`, leaving the event loop to run between two looks."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s in vain for {what}")
        await asyncio.sleep(POLL_S)
    return value
