"""A fresh exchange behind a real server for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.exchange.gateway_ws.house import House, house


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made
