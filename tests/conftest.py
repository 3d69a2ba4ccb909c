"""What every test shares: Hypothesis without a clock, who runs beside whom, and the rule that CI skips nothing.

It must never hold a fixture that only one folder needs; those stand in that folder's own conftest.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).resolve().parent

# A deadline measures the machine, not the code; the blob printed with a failure reproduces it.
settings.register_profile("hourbook", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hourbook")


ALONE = ("engine", "settlement")
"""Folders whose tests need nothing but a core each, a file at a time; all others start programs, and take turns."""
BUILDERS = (
    "test_book_decoder.py",
    "test_canaries_fast.py",
    "test_sanitizers.py",
    "test_tables_sanitized.py",
    "test_wire_sanitized.py",
)
"""Files whose tests build into one folder."""


def _group(path: Path) -> str:
    """Tests of one group run on one worker, one after the other (`pytest -n 2 --dist loadgroup`)."""
    folder = path.relative_to(HERE).parts[0] if path.is_relative_to(HERE) else ""
    if path.name in BUILDERS:
        return "builds"
    return str(path) if folder in ALONE else "programs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))


class NothingSkipped:
    """Fails the session when a test was skipped or expected to fail: in CI, not run is not green."""

    def __init__(self) -> None:
        self.left_out: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or hasattr(report, "wasxfail"):
            self.left_out.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.left_out.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.left_out and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.left_out:
            names = ", ".join(self.left_out)
            terminalreporter.write_line(f"CI is set, and these were skipped or xfailed: {names}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI"):
        config.pluginmanager.register(NothingSkipped(), "nothing-skipped")
