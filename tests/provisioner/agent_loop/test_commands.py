"""The `baron` command as its user meets it: enrolment, inventory, and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.agent import home as homes
from provisioner.agent import journal
from provisioner.agent.errors import AgentError
from provisioner.agent.journal import Entry, Phase
from tests.provisioner.agent.conftest import ROOT
from tests.provisioner.agent_loop.baron import BARON, COMMAND_S, SKU, Running, baron
from tests.provisioner.agent_loop.monarch import BARON_ID, CREDENTIAL, TOKEN, Monarch

RunBaron = Callable[..., Running]


async def enroll(home: Path, monarch: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    words = ("enroll", "--json", "--home", str(home), "--monarch", monarch, "--token", token)
    return await asyncio.to_thread(baron, *words)


def code_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1 and done.stdout == ""
    error = json.loads(done.stderr)["error"]
    assert error["detail"] and error["remedy"]
    return str(error["code"])


async def test_enrolling_keeps_the_credential_for_its_owner_alone(monarch: Monarch, tmp_path: Path) -> None:
    home = tmp_path / "new" / "baron"
    done = await enroll(home, f"{monarch.url}/")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"baron_id": BARON_ID, "monarch": monarch.url, "home": str(home)}
    assert CREDENTIAL not in done.stdout + done.stderr
    file = home / homes.IDENTITY_NAME
    assert (home.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    identity = homes.read_identity(home)
    assert identity is not None and identity.credential == CREDENTIAL and identity.monarch == monarch.url


async def test_a_token_that_isnt_valid_leaves_nothing(monarch: Monarch, tmp_path: Path) -> None:
    assert code_of(await enroll(tmp_path / "baron", monarch.url, "used")) == "bad_token"
    assert homes.read_identity(tmp_path / "baron") is None


async def test_a_token_that_isnt_valid_is_said_in_whole_sentences(monarch: Monarch, tmp_path: Path) -> None:
    words = ("enroll", "--home", str(tmp_path / "baron"), "--monarch", monarch.url, "--token", "used")
    done = await asyncio.to_thread(baron, *words)
    assert done.stderr == "baron: The token isn't valid; each token is good once, and for a while [bad_token]\n"


async def test_enrolling_where_nobody_listens_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert code_of(await enroll(tmp_path / "baron", f"ws://127.0.0.1:{port}")) == "unreachable"


async def test_a_home_with_leases_is_not_given_to_another_baron(monarch: Monarch, tmp_path: Path) -> None:
    entry = Entry(lease_id="lse_1", generation=1, phase=Phase.RUNNING, gpus=("GPU-1",))
    journal.save(tmp_path, {"lse_1": entry})
    assert code_of(await enroll(tmp_path, monarch.url)) == "leases_stand"
    assert monarch.knocks == []


async def test_enrolling_again_takes_the_new_credential(monarch: Monarch, home: Path) -> None:
    identity = homes.read_identity(home)
    assert identity is not None
    old = homes.Identity(version=identity.version, monarch=identity.monarch, baron_id="brn_1", credential="old")
    homes.write_identity(home, old)
    journal.save(home, {"lse_1": Entry(lease_id="lse_1", generation=1, phase=Phase.WIPED, gpus=())})
    assert (await enroll(home, monarch.url)).returncode == 0
    assert homes.read_identity(home) == identity
    assert journal.load(home) == {}


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8701", "http://127.0.0.1:8701", "ws://", "ws://h:port", "ws://user:pass@h:1", "ws://h:1/path"],
)
def test_an_address_that_isnt_one_is_refused(url: str) -> None:
    with pytest.raises(AgentError) as refused:
        homes.monarch_url(url)
    assert refused.value.code == "bad_url"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("ws://127.0.0.1:8701/", "ws://127.0.0.1:8701"),
        ("wss://monarch.example", "wss://monarch.example"),
        (" ws://[::1]:8701 ", "ws://[::1]:8701"),
    ],
)
def test_an_address_is_kept_plain(url: str, kept: str) -> None:
    assert homes.monarch_url(url) == kept


def test_running_before_enrolling_says_what_to_do(tmp_path: Path) -> None:
    done = baron("run", "--json", "--home", str(tmp_path / "baron"), "--simulate", f"{SKU}:1")
    assert code_of(done) == "not_enrolled"


async def test_two_agents_never_run_on_one_home(monarch: Monarch, home: Path, run_baron: RunBaron) -> None:
    run_baron()
    await monarch.session()
    second = run_baron()
    assert await second.ended() == 1
    assert "home_in_use" in second.log()
    assert len(monarch.sessions) == 1


@pytest.mark.parametrize("simulate", ["H100", f"{SKU}:0", "GTX-1:1", f"{SKU}:x"])
def test_a_simulation_that_isnt_one_is_refused(tmp_path: Path, simulate: str) -> None:
    for command in ("run", "inventory"):
        done = baron(command, "--json", "--home", str(tmp_path), "--simulate", simulate)
        assert code_of(done) == "bad_simulate"


def test_the_inventory_is_what_monarch_would_see(tmp_path: Path) -> None:
    done = baron("inventory", "--json", "--home", str(tmp_path), "--simulate", f"{SKU}:2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["simulated"] and [gpu["sku"] for gpu in found["gpus"]] == [SKU, SKU]
    text = baron("inventory", "--home", str(tmp_path), "--simulate", f"{SKU}:2")
    assert text.returncode == 0 and "simulated" in text.stdout and found["gpus"][1]["uuid"] in text.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("inventory", "--simulate", f"{SKU}:8"),
        ("inventory", "--json", "--simulate", f"{SKU}:8"),
        ("inventory", "--simulate", "nonsense"),
        ("enroll", "--monarch", "nonsense", "--token", "x"),
        ("run", "--simulate", f"{SKU}:1"),
        ("purge",),
        ("purge", "--json"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_reader_who_has_left_is_no_error_worth_a_traceback(tmp_path: Path, words: tuple[str, ...]) -> None:
    """As in `baron inventory | head -1`: what is written to either stream goes to a pipe that nobody reads."""
    said = tmp_path / "said"
    home = ["--home", str(tmp_path)] if words != ("--help",) else []
    for lost in ("stdout", "stderr"):
        read, write = os.pipe()
        os.close(read)
        with said.open("wb") as other:
            out, errors = (write, other) if lost == "stdout" else (other, write)
            done = subprocess.run(
                [*BARON, *words, *home], cwd=ROOT, stdout=out, stderr=errors, timeout=COMMAND_S, check=False
            )
        os.close(write)
        assert done.returncode in (0, 1)
        assert "Error" not in said.read_text() and "Exception" not in said.read_text()


def test_purging_where_nothing_is_makes_nothing(tmp_path: Path) -> None:
    done = baron("purge", "--json", "--home", str(tmp_path / "none"))
    assert (done.returncode, json.loads(done.stdout)) == (0, {"destroyed": [], "failed": {}})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"version": 9, "leases": []}'])
async def test_a_journal_that_cant_be_read_is_said_and_purged(
    monarch: Monarch, home: Path, run_baron: RunBaron, text: str
) -> None:
    (home / journal.JOURNAL_NAME).write_text(text)
    running = run_baron()
    assert await running.ended() == 1
    assert "bad_journal" in running.log()
    assert baron("purge", "--home", str(home)).returncode == 0
    run_baron()
    await monarch.session()


@pytest.mark.parametrize("text", ["", "{}", '{"version":9,"monarch":"ws://h","baron_id":"b","credential":"c"}'])
def test_a_credential_that_cant_be_read_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / homes.IDENTITY_NAME).write_text(text)
    done = baron("run", "--json", "--home", str(tmp_path), "--simulate", f"{SKU}:1")
    assert code_of(done) == "bad_credential_file"


def test_usage_errors_exit_with_2(tmp_path: Path) -> None:
    for words in ((), ("enroll",), ("fly",), ("run", "--unknown")):
        assert baron(*words).returncode == 2


def test_the_home_is_the_options_then_the_environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(homes.HOME_VARIABLE, raising=False)
    monkeypatch.delenv(homes.TOOLS_VARIABLE, raising=False)
    assert homes.home_directory(None) == tmp_path / ".local/share/hourbook-baron"
    assert homes.tools_directory(None, tmp_path) == tmp_path / "tools"
    monkeypatch.setenv(homes.HOME_VARIABLE, str(tmp_path / "env"))
    monkeypatch.setenv(homes.TOOLS_VARIABLE, str(tmp_path / "shared"))
    assert homes.home_directory(None) == tmp_path / "env"
    assert homes.tools_directory(None, tmp_path) == tmp_path / "shared"
    assert homes.home_directory(str(tmp_path / "option")) == tmp_path / "option"
    assert homes.tools_directory(str(tmp_path / "option"), tmp_path) == tmp_path / "option"
