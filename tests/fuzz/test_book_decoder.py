"""The batch decoder fuzzed with a fixed budget, and what the fuzzer found played over the sanitized build."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.book.differential_sanitized import ROOT, build, run
from tests.engine.book.flows import segments
from tests.engine.book.flows_regimes import REGIMES

PROGRAM = "tests.fuzz.book_decoder"
RUNS = 3_000
SEED = 20_261_123
RUN_S = 240


@pytest.mark.timeout(900)
def test_no_bytes_break_the_decoder(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, regime in enumerate(REGIMES):
        for segment in segments(number, 180, regime, sizes=(20, 60)):
            head = bytes([17 * number + segment.number, segment.number])
            (corpus / f"{regime}-{segment.number}").write_bytes(head + segment.commands)
    first = len(list(corpus.iterdir()))
    arguments = ["fuzz", str(corpus), f"-runs={RUNS}", f"-seed={SEED}", "-max_len=4098", "-timeout=30"]
    arguments.append(f"-artifact_prefix={tmp_path}/")
    fuzzed = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", PROGRAM, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert fuzzed.returncode == 0, f"{fuzzed.stdout[-8_000:]}\n{fuzzed.stderr[-4_000:]}"
    assert f"Done {RUNS} runs" in fuzzed.stderr
    found = len(list(corpus.iterdir()))
    assert found > first, "the fuzzer found nothing new: it isn't guided by the plain book"
    replayed = run(build(), PROGRAM, str(corpus), timeout_s=RUN_S)
    assert replayed.returncode == 0, f"{replayed.stdout[-8_000:]}\n{replayed.stderr[-8_000:]}"
    assert replayed.stdout.splitlines()[-1] == f"{found} inputs, sanitized and equal"
