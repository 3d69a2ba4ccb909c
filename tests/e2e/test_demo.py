"""The demo as somebody meets it who has just cloned this: its own command, its printed lines, and nothing left afterwards.

Each demo is a real process with a home of its own and free ports.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from exchange.monarch.demo.processes import Children
from exchange.monarch.demo.rest import Rest
from exchange.monarch.demo.world import World, environment, script
from provisioner.agent.tools import fetch
from tests.e2e.conftest import TOOLS
from tests.e2e.exchange import Exchange, left_of
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
DEMO_S = 120.0
STEPS = ("rent", "lease active", "ssh", "scp", "sftp", "end the lease, wiped", "statement", "verify")
FREE = [f"--{port}" for port in ("api-port", "agents-port", "gate-port-first", "gate-port-last")]

ANOTHER_EXCHANGE = {
    "HOURBOOK_HOST": "nowhere.invalid",
    "HOURBOOK_URL": "http://127.0.0.1:9",
    "HOURBOOK_NO_SUCH_SETTING": "1",
}
"""What may be set where somebody starts a demo, and must not reach it."""
PROXY = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": ""}
"""A proxy for the world outside, which reaches nothing on this machine."""

Start = Callable[..., "Demo"]


class Demo:
    """One run of `monarch demo`; what it prints goes to a file."""

    def __init__(self, home: Path, *flags: str, path: str | None = None, ignored: str = "") -> None:
        ports = [word for flag in FREE for word in (flag, "0")]
        command = [script("monarch"), "demo", "--home", str(home), *ports, *flags]
        # Whoever runs the tests may ignore signals itself, as `nohup` does: those that aren't named get their default again.
        command = [
            "/usr/bin/env",
            "--default-signal",
            *(f"--ignore-signal={name}" for name in ignored.split()),
            *command,
        ]
        self._printed = home.parent / "printed"
        variables = environment() | ANOTHER_EXCHANGE | PROXY | ({"PATH": path} if path is not None else {})
        with self._printed.open("wb") as printed:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=variables,
                start_new_session=True,
            )

    def printed(self) -> str:
        return self._printed.read_text()

    def ended(self) -> int:
        """Its exit code, when it ends by itself."""
        return self.process.wait(DEMO_S)

    def line(self, pattern: str) -> str:
        """The first printed line that matches, as soon as it stands there whole."""

        def found() -> str | None:
            assert self.process.poll() is None, self.printed()
            match = re.search(rf"^ *({pattern})\n", self.printed(), re.MULTILINE)
            return match[1] if match else None

        return wait_until(found, f"a line like {pattern}", DEMO_S)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A demo's home whose tools are there already; whatever the test did, nothing is left in the end."""
    fetch(TOOLS)
    home = tmp_path / "demo"
    home.mkdir()
    (home / "tools").symlink_to(TOOLS)
    yield home
    left = left_of(home)
    Children(home / "logs").stop_leftovers()
    for baron in (home / "barons").glob("*"):
        subprocess.run(
            [script("baron"), "purge", "--home", str(baron)], check=True, capture_output=True, timeout=DEMO_S
        )
    assert left == []


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts a demo of this home; one that a failed test leaves is ended."""
    started: list[Demo] = []

    def start(*flags: str, path: str | None = None, ignored: str = "") -> Demo:
        started.append(Demo(home, *flags, path=path, ignored=ignored))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


def typed(line: str, words: str = "") -> subprocess.CompletedProcess[str]:
    """What a shell without a terminal makes of the line: nothing could answer a prompt."""
    return subprocess.run(
        ["/bin/sh", "-c", line],
        input=words,
        capture_output=True,
        text=True,
        env=dict(os.environ) | PROXY,
        start_new_session=True,
        timeout=DEMO_S,
        check=False,
    )


def rent(demo: Demo) -> tuple[str, str]:
    """Rent by the printed line; the lease's id, and the ssh line that is printed then."""
    answer = typed(demo.line(r"curl .*/v1/rentals.*"))
    assert answer.returncode == 0, answer.stderr
    [lease] = json.loads(answer.stdout)["leases"]
    return str(lease["id"]), demo.line(r"ssh .*")


def ended_leases(home: Path) -> dict[str, str]:
    """Of all leases of the home's exchange, as it says itself when it runs again: the reason of each end."""
    with Exchange(home, TOOLS) as exchange:
        exchange.start_monarch()
        leases = exchange.rest("renter").get("/v1/leases")["leases"]
        return {lease["id"]: lease["reason"] for lease in leases if lease["state"] == "ended" and lease["wiped"]}


def test_once_tells_the_story_with_a_time_for_each_step_and_leaves_nothing(home: Path, start: Start) -> None:
    demo = start("--once")
    assert demo.ended() == 0, demo.printed()
    told = re.findall(r"^ +\d+\.\d\d s  (\S.*)$", demo.printed(), re.MULTILINE)
    assert len(told) == len(STEPS), demo.printed()
    assert all(line.startswith(step) for line, step in zip(told, STEPS, strict=True)), told
    assert left_of(home) == []


def test_the_printed_lines_work_as_they_stand_and_an_interrupt_ends_all(home: Path, start: Start) -> None:
    demo = start()
    lease_id, ssh = rent(demo)
    done = typed(ssh, "id -un; hostname; exit 7\n")
    assert (done.returncode, done.stdout.split()) == (7, ["gpu", lease_id]), done.stderr
    there = left_of(home)
    assert any("/opt/hourbook/init" in line for line in there), "what is looked for later is found while it is there"

    demo.process.send_signal(signal.SIGINT)
    assert demo.ended() == 0, demo.printed()
    assert left_of(home) == []
    assert typed(ssh, "id -un\n").returncode == 255
    assert ended_leases(home) == {lease_id: "quit"}


def test_after_a_kill_the_next_demo_takes_over_and_leaves_nothing(home: Path, start: Start) -> None:
    killed = start()
    lease_id, ssh = rent(killed)
    assert typed(ssh, "nohup sleep 600 >/dev/null 2>&1 &\n").returncode == 0
    killed.process.kill()
    killed.process.wait()
    assert typed(ssh, "id -un\n").stdout == "gpu\n", "nothing of it has ended but the demo itself"

    after = start("--once")
    assert after.ended() == 0, after.printed()
    assert "Stopped what an earlier demo left running." in after.printed()
    assert left_of(home) == []
    assert ended_leases(home)[lease_id] == "quit"


def test_a_lease_whose_sandbox_is_gone_is_never_called_active(home: Path, start: Start) -> None:
    killed = start()
    lost_id, _ = rent(killed)
    killed.process.kill()
    killed.process.wait()
    # As after a restart of the machine: agent and exchange believe in a sandbox whose processes are all gone.
    Children(home / "logs").stop_leftovers()
    for line in left_of(home):
        if found := re.match(r"process (\d+): ", line):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(found[1]), signal.SIGKILL)

    after = start()
    lease_id, _ = rent(after)
    renter = Rest(after.line(r"web page +http://.*/").split()[-1].rstrip("/"), World(home).key("renter"))
    wait_until(
        lambda: renter.get(f"/v1/leases/{lost_id}")["state"] == "failed", "the lost lease to have failed", DEMO_S
    )
    assert re.findall(r"^(lse_\S+) is active", after.printed(), re.MULTILINE) == [lease_id]
    after.process.send_signal(signal.SIGINT)
    assert after.ended() == 0, after.printed()


def test_a_monarch_that_stalls_is_waited_for_and_one_that_is_killed_is_named(home: Path, start: Start) -> None:
    demo = start()
    demo.line(r"web page +http://.*/")
    monarch = process_of(home, "monarch", "up")
    os.kill(monarch, signal.SIGSTOP)
    demo.line(r"GET /v1/leases\S* has no answer \(unreachable\); waiting for the exchange, at most 120 s\.")
    os.kill(monarch, signal.SIGCONT)
    demo.line(r"GET /v1/leases\S* is answered again\.")
    rent(demo)

    os.kill(monarch, signal.SIGSTOP)
    os.kill(monarch, signal.SIGKILL)
    assert demo.ended() == 1, demo.printed()
    assert "The demo failed. monarch ended with -9" in demo.printed()
    assert left_of(home) == []


def test_a_stall_in_the_middle_of_the_story_is_waited_for_and_its_steps_succeed(home: Path, start: Start) -> None:
    demo = start("--once")
    demo.line(r"\d+\.\d\d s  rent .*")
    monarch = process_of(home, "monarch", "up")
    os.kill(monarch, signal.SIGSTOP)
    demo.line(r".*; waiting for the exchange, at most 120 s\.")
    os.kill(monarch, signal.SIGCONT)
    assert demo.ended() == 0, demo.printed()
    assert "All steps succeeded." in demo.printed()
    assert left_of(home) == []


def test_the_story_ends_when_one_of_its_processes_does(home: Path, start: Start) -> None:
    demo = start("--once")
    demo.line(r"\d+\.\d\d s  rent .*")
    os.kill(process_of(home, "baron", str(home / "barons" / "2")), signal.SIGKILL)
    assert demo.ended() == 1, demo.printed()
    assert "The demo failed. baron-2 ended with -9" in demo.printed()
    assert left_of(home) == []


def process_of(home: Path, program: str, word: str) -> int:
    """The process id of what the home's demo started by this name and with this word."""
    (found,) = (
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and _runs(process, home, program, word)
    )
    return found


def _runs(process: Path, home: Path, program: str, word: str) -> bool:
    try:
        words = (process / "cmdline").read_text().split("\0")
        marked = f"CHILD_OF_DEMO={home / 'logs'}\0" in (process / "environ").read_text()
    except (OSError, UnicodeDecodeError):
        return False
    return marked and word in words and any(each.endswith(program) for each in words)


def test_in_the_background_of_a_shell_an_interrupt_ends_it_and_nohup_keeps_it(home: Path, start: Start) -> None:
    demo = start(ignored="INT HUP")
    url = demo.line(r"web page +http://.*/").split()[-1]
    assert httpx.get(url).headers["content-type"].startswith("text/html")
    demo.process.send_signal(signal.SIGHUP)
    rent(demo)
    demo.process.send_signal(signal.SIGINT)
    assert demo.ended() == 0, demo.printed()
    assert left_of(home) == []


def test_a_step_that_fails_is_told_and_leaves_nothing(home: Path, start: Start, tmp_path: Path) -> None:
    without_scp = tmp_path / "bin"
    without_scp.mkdir()
    for name in ("curl", "ssh", "sftp", "ssh-keygen"):
        found = shutil.which(name)
        assert found is not None, name
        (without_scp / name).symlink_to(found)
    demo = start("--once", path=str(without_scp))
    assert demo.ended() == 1, demo.printed()
    assert "The demo failed. scp, there and back: " in demo.printed()
    assert "All steps succeeded" not in demo.printed()
    assert left_of(home) == []


def test_an_interrupt_before_the_end_of_the_story_is_no_success_and_leaves_nothing(home: Path, start: Start) -> None:
    demo = start("--once")
    demo.line(r"Starting the exchange .*")
    demo.process.send_signal(signal.SIGINT)
    assert demo.ended() == 130, demo.printed()
    assert "Traceback" not in demo.printed()
    assert left_of(home) == []
