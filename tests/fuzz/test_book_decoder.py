"""The batch decoder fuzzed with a fixed budget, and what the fuzzer found played over the sanitized build."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.book.differential_sanitized import ROOT, build, run
from tests.engine.book.flows import segments
from tests.engine.book.flows_regimes import REGIMES

PROGRAM = "tests.fuzz.book_decoder"
RUNS = 10_000
RUN_S = 240
RECORDS_S = 20
RECORDS_LEAST = 100_000
"""Far fewer than are played in that time anywhere; enough to know that they were."""


def said_seed(capsys: pytest.CaptureFixture[str]) -> int:
    """A seed that no run had before, said at once: should the run die of it, it is known."""
    seed = random.SystemRandom().getrandbits(31)
    with capsys.disabled():
        print(f"\nseed {seed}", flush=True)
    return seed


@pytest.mark.timeout(1_800)
def test_no_bytes_break_the_decoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = said_seed(capsys)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, regime in enumerate(REGIMES):
        for segment in segments(seed + number, 180, regime, sizes=(20, 60)):
            head = bytes([17 * number + segment.number, segment.number])
            (corpus / f"{regime}-{segment.number}").write_bytes(head + segment.commands)
    first = len(list(corpus.iterdir()))
    arguments = ["fuzz", str(corpus), f"-runs={RUNS}", f"-seed={seed}", "-max_len=4098", "-timeout=30"]
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


@pytest.mark.timeout(1_800)
def test_no_records_break_the_sanitized_book(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m tests.fuzz.book_records LIBRARY SECONDS SEED` plays the same records again, as far as it comes."""
    seed = said_seed(capsys)
    played = run(build(), "tests.fuzz.book_records", str(RECORDS_S), str(seed), timeout_s=RUN_S)
    assert played.returncode == 0, f"seed {seed}: {played.stdout[-4_000:]}\n{played.stderr[-8_000:]}"
    with capsys.disabled():
        print(played.stdout, end="", flush=True)
    assert int(played.stdout.split()[0].replace(",", "")) > RECORDS_LEAST
