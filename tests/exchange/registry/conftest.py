"""A registry on disk, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.registry.registry import Registry

START_NS = 1_760_000_000 * 10**9
DAY_NS = 24 * 3600 * 10**9


class Clock:
    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def registry(tmp_path: Path, clock: Clock) -> AsyncIterator[Registry]:
    registry = Registry.open(tmp_path / "registry.db", clock)
    yield registry
    await registry.close()
