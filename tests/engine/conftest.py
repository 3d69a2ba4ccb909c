"""What engine tests share beside `tests.engine.shard`."""

from __future__ import annotations

import pytest

from engine.halves import PLAIN


@pytest.fixture
def law_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard's twin is the law too: for a test that changes the law, which the compiled machine would differ from at once."""
    monkeypatch.setattr("tests.engine.shard.compiled_half", lambda: PLAIN)
