"""CI's rule that a skipped test is a failure, shown on real pytest sessions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT

PASSES = "def test_passes():\n    assert 1 + 1 == 2\n"
SKIPS = "import pytest\n\n@pytest.mark.skip(reason='weather')\ndef test_skipped():\n    assert 1 + 1 == 2\n"
XFAILS = "import pytest\n\n@pytest.mark.xfail\ndef test_expected_to_fail():\n    assert 1 + 1 == 3\n"
MODULE_SKIPS = "import pytest\n\npytest.skip('weather', allow_module_level=True)\n"


def _session(folder: Path, text: str, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_passes.py").write_text(PASSES)
    (folder / "test_it.py").write_text(text)
    environment = {**os.environ, "CI": ci}
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("text", [SKIPS, XFAILS, MODULE_SKIPS], ids=["skip", "xfail", "module"])
def test_in_ci_a_skip_is_a_failure(tmp_path: Path, text: str) -> None:
    done = _session(tmp_path, text, ci="1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "CI is set, and these were skipped or xfailed" in done.stdout
    assert "test_it.py" in done.stdout


def test_in_ci_what_passes_passes(tmp_path: Path) -> None:
    assert _session(tmp_path, PASSES.replace("test_passes", "test_again"), ci="1").returncode == pytest.ExitCode.OK


def test_at_a_desk_a_skip_is_a_skip(tmp_path: Path) -> None:
    assert _session(tmp_path, SKIPS, ci="").returncode == pytest.ExitCode.OK
