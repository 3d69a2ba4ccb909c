"""Tools are found, or fetched without touching the system, or their absence says what to run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provisioner.agent import tools
from provisioner.agent.errors import AgentError
from provisioner.agent.tools import Tools
from tests.provisioner.agent.conftest import TOOLS_DIR


def test_every_tool_runs(sandbox_tools: Tools) -> None:
    version = subprocess.run([sandbox_tools.bwrap, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("bubblewrap")
    libraries = {"LD_LIBRARY_PATH": ":".join(map(str, sandbox_tools.library_dirs))}
    sshd = subprocess.run([sandbox_tools.sshd, "-?"], capture_output=True, text=True, env=libraries, check=False)
    assert "OpenSSH" in sshd.stderr
    assert {"--unshare-user", "--as-pid-1", "--perms"} <= sandbox_tools.bwrap_options


def test_what_was_fetched_is_found_without_fetching(sandbox_tools: Tools) -> None:
    assert tools.locate(TOOLS_DIR) == sandbox_tools
    assert tools.fetch(TOOLS_DIR) == sandbox_tools


def test_tools_run_without_the_callers_environment(sandbox_tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOURBOOK_SECRET", "x")
    assert set(sandbox_tools.environment()) == {"PATH", "LANG"}


def test_what_is_missing_is_named_with_the_line_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "SYSTEM_DIRS", (str(tmp_path),))
    monkeypatch.setenv("PATH", str(tmp_path))
    for act in (tools.locate, tools.fetch):
        with pytest.raises(AgentError) as missing:
            act(tmp_path / "tools")
        assert missing.value.code == "missing_tools"
        assert "sshd" in missing.value.detail and "bwrap" in missing.value.detail
        assert "apt-get download bubblewrap libwrap0 openssh-client openssh-server" in missing.value.remedy
        # Installing the server would open a port to the world.
        assert "install" not in missing.value.remedy


def test_only_bubblewrap_missing_may_be_installed() -> None:
    assert tools._install_line(["bwrap"]) == "run: apt-get install -y bubblewrap"
    assert tools._install_line(["mount", "ssh-keygen"]) == "run: apt-get install -y openssh-client util-linux"


def test_fetching_into_an_empty_directory_needs_no_lists_of_the_system(tmp_path: Path) -> None:
    """The slower way, for a system whose package lists are empty: lists of our own."""
    debs = tmp_path / "debs"
    debs.mkdir()
    tools._download_with_own_lists(["bubblewrap"], tmp_path, debs)
    assert [deb.name.split("_")[0] for deb in debs.iterdir()] == ["bubblewrap"]
    assert not (tmp_path / "apt").exists()


def test_a_download_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        # Nothing listens on port 1: it is a network that isn't there.
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    debs = tmp_path / "debs"
    debs.mkdir()
    with pytest.raises(AgentError) as failed:
        tools._download_with_own_lists(["bubblewrap"], tmp_path, debs)
    assert failed.value.code == "fetch_failed"
    assert failed.value.detail.startswith("apt-get update")
    assert "apt-get download bubblewrap" in failed.value.remedy
