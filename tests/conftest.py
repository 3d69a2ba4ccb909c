"""What every test shares: Hypothesis without a clock, and the rule that CI skips nothing.

It must never hold a fixture that only one folder needs; those stand in that folder's own conftest.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A deadline measures the machine, not the code; the blob printed with a failure reproduces it.
settings.register_profile("hourbook", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hourbook")


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
