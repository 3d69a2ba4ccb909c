"""The wire under AddressSanitizer and UBSan, every byte of damaged records watched."""

from __future__ import annotations

import pytest

from tests.engine.book.differential_sanitized import build, run

PROGRAM = "tests.engine.compiled.wire_sanitized"
ROUNDS = 300
SEEDS = ("41", "42")
RUN_S = 300


@pytest.mark.timeout(1_800)
def test_no_byte_is_read_or_written_where_none_should_be() -> None:
    done = run(build(), PROGRAM, str(ROUNDS), *SEEDS, timeout_s=RUN_S)
    assert done.returncode == 0, f"{done.stdout[-8_000:]}\n{done.stderr[-8_000:]}"
    assert done.stdout.splitlines()[-1] == "sanitized and equal"
    assert "runtime error" not in done.stderr
