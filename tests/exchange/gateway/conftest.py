"""A fresh exchange for each test of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.exchange.gateway.floor import Floor, floor


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Floor]:
    async with floor(tmp_path) as made:
        yield made
