"""Each book, and the tool in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.replay.running import BOOKS, Replay


@pytest.fixture(params=BOOKS)
def book(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Replay:
    return Replay(tmp_path, capsys)
