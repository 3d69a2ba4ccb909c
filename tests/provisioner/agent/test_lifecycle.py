"""Sandboxes are found again after any death of the agent, and leave nothing when destroyed."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from provisioner.agent.errors import AgentError
from provisioner.agent.sandbox import lifecycle, processes, record
from provisioner.agent.sandbox.lifecycle import Liveness
from provisioner.agent.sandbox.record import Record
from provisioner.agent.sandbox.spec import SandboxSpec
from provisioner.agent.tools import Tools
from tests.provisioner.agent import traces
from tests.provisioner.agent.conftest import ROOT, TOOLS_DIR
from tests.provisioner.agent.gate import Gate
from tests.provisioner.agent.renter import Renter
from tests.waiting import wait_until

Rent = Callable[..., Renter]
SpecOf = Callable[..., SandboxSpec]


def standing_in(directory: Path) -> Record:
    standing = record.read(directory)
    assert standing is not None
    return standing


@contextmanager
def starter(home: Path, spec: SandboxSpec) -> Iterator[subprocess.Popen[str]]:
    """Another process that starts the sandbox; killed with SIGKILL at the end at the latest."""
    program = [sys.executable, "-m", "tests.provisioner.agent.starter"]
    command = [*program, str(home), str(TOOLS_DIR), msgspec.json.encode(spec).decode()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as agent:
        try:
            yield agent
        finally:
            agent.kill()


def test_starting_again_gives_the_same_sandbox(home: Path, spec_of: SpecOf, sandbox_tools: Tools) -> None:
    first = lifecycle.start(home, spec_of("lease-1"), sandbox_tools)
    init = standing_in(Path(first.directory)).init
    assert lifecycle.start(home, spec_of("lease-1"), sandbox_tools) == first
    assert standing_in(Path(first.directory)).init == init
    assert lifecycle.survey(home) == [Path(first.directory)]


def test_a_killed_agents_sandbox_is_adopted_with_what_runs_in_it(
    home: Path, spec_of: SpecOf, sandbox_tools: Tools, private_key: Path, tmp_path: Path
) -> None:
    with starter(home, spec_of("lease-1", (3,))) as agent:
        assert agent.stdout is not None
        host_key = agent.stdout.readline().strip()
        agent.send_signal(signal.SIGKILL)
    [directory] = lifecycle.survey(home)
    assert lifecycle.probe(directory) is Liveness.ALIVE
    sandbox = lifecycle.adopt(directory)
    assert sandbox is not None and sandbox.host_key == host_key and sandbox.simulated
    gate = Gate(directory)
    renter = Renter.of(sandbox, gate, private_key, tmp_path)
    assert renter.says("hostname; ls -d /dev/nvidia*") == "lease-1\n/dev/nvidia3"
    gate.close()
    standing = standing_in(directory)
    lifecycle.destroy(directory)
    assert traces.of(directory, standing) == []


# Files of the lease's directory, in the order in which a start makes them: the starter is killed at each.
MOMENTS = ("sandbox.json", "inside/etc/passwd", "inside/etc/ssh/host_ed25519_key", "ssh.sock", "launch.log")


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_agent_killed_while_it_starts_leaves_what_can_be_adopted_or_removed(
    home: Path, spec_of: SpecOf, sandbox_tools: Tools, moment: str
) -> None:
    directory = lifecycle.lease_directory(home, "lease-1", 1)
    with starter(home, spec_of("lease-1")) as agent:
        wait_until(lambda: (directory / moment).exists() or agent.poll() is not None, moment)
        agent.send_signal(signal.SIGKILL)
    standing = standing_in(directory)
    sandbox = lifecycle.adopt(directory)
    if sandbox is not None:
        assert standing_in(directory).phase == "running"
        assert lifecycle.probe(directory) is Liveness.ALIVE
    lifecycle.destroy(directory)
    assert traces.of(directory, standing) == []


# What an agent's death leaves of a spawn: no argument says whose it is yet, and it joins the lease's groups as it comes.
LATE = 'for group; do echo $$ > "$group/cgroup.procs" || exit 3; done; exec sleep 60'


def test_what_was_only_being_spawned_when_its_agent_died_is_found_by_its_group(rent: Rent) -> None:
    directory = Path(rent("lease-1").sandbox.directory)
    standing = standing_in(directory)
    assert standing.cgroups, "this host lets no test make control groups"
    joined = [group for group in standing.cgroups if Path(group).exists()]
    with subprocess.Popen(["/bin/sh", "-c", LATE, "late", *joined]) as late:
        wait_until(lambda: all(late.pid in map(int, _members(group)) for group in joined), "it joined")
        joiner = processes.identity(late.pid)
        lifecycle.destroy(directory)
        assert joiner is not None and not processes.runs(joiner)
    assert traces.of(directory, standing) == []
    later = subprocess.run(["/bin/sh", "-c", LATE, "late", *joined], stderr=subprocess.PIPE, check=False)
    assert later.returncode == 3, "what comes after it finds no group to join, and gives up"


def _members(group: str) -> list[str]:
    return (Path(group) / "cgroup.procs").read_text().split()


def test_a_record_that_was_never_finished_leads_to_the_running_sandbox(rent: Rent) -> None:
    directory = Path(rent("lease-1").sandbox.directory)
    standing = standing_in(directory)
    record.write(directory, msgspec.structs.replace(standing, phase="starting", init=None, launcher=None))
    assert lifecycle.probe(directory) is Liveness.ALIVE
    assert lifecycle.adopt(directory) is not None
    assert standing_in(directory).init == standing.init
    record.write(directory, msgspec.structs.replace(standing, phase="starting", init=None, launcher=None))
    lifecycle.destroy(directory)
    assert traces.of(directory, standing) == []


def test_destroy_ends_whatever_a_tenant_started(rent: Rent) -> None:
    renter = rent("lease-1")
    renter.says(
        "trap '' TERM INT HUP; for i in $(seq 20); do (trap '' TERM; setsid sleep 9999 >/dev/null 2>&1 &) ; done;"
        "head -c 20000000 /dev/zero > big; mkdir -p a/b/c; chmod 0 a; mkfifo pipe; ln -s / root"
    )
    directory = Path(renter.sandbox.directory)
    standing = standing_in(directory)
    assert standing.init is not None and processes.runs(standing.init)
    assert traces.of(directory, standing) != []
    lifecycle.destroy(directory)
    assert traces.of(directory, standing) == []
    assert not processes.runs(standing.init)
    lifecycle.destroy(directory)
    assert lifecycle.survey(directory.parent.parent) == []
    with pytest.raises(AgentError) as gone:
        lifecycle.connect(directory)
    assert gone.value.code == "no_sandbox"


def test_one_is_destroyed_and_the_other_stays(rent: Rent) -> None:
    one, two = rent("lease-1", (0,)), rent("lease-2", (1,))
    lifecycle.destroy(Path(one.sandbox.directory))
    assert two.says("echo here") == "here"


@pytest.mark.parametrize("victim", ["init", "launcher"])
def test_a_sandbox_that_died_is_dead_and_is_removed(rent: Rent, victim: str) -> None:
    directory = Path(rent("lease-1").sandbox.directory)
    standing = standing_in(directory)
    process = getattr(standing, victim)
    assert processes.end([process], 20) == []
    assert lifecycle.probe(directory) is (Liveness.DEAD if victim == "init" else Liveness.ALIVE)
    assert (lifecycle.adopt(directory) is None) == (victim == "init")
    lifecycle.destroy(directory)
    assert traces.of(directory, standing) == []


def test_a_record_of_another_boot_is_dead_and_ends_no_process(rent: Rent) -> None:
    directory = Path(rent("lease-1").sandbox.directory)
    standing = standing_in(directory)
    with subprocess.Popen(["sleep", "600"]) as bystander:
        stranger = processes.identity(bystander.pid)
        record.write(directory, msgspec.structs.replace(standing, boot_id="another", init=stranger, cgroups=()))
        assert lifecycle.probe(directory) is Liveness.DEAD
        assert lifecycle.adopt(directory) is None
        lifecycle.destroy(directory)
        assert bystander.poll() is None
        bystander.kill()
    # What this test hid from destroy, it ends itself.
    directory.mkdir(mode=0o700)
    record.write(directory, standing)
    lifecycle.destroy(directory)
    assert traces.of(directory, standing) == []


def test_a_pid_that_was_given_to_another_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        here = processes.identity(bystander.pid)
        assert here is not None
        earlier = msgspec.structs.replace(here, start_ticks=here.start_ticks - 1)
        assert not processes.runs(earlier)
        assert processes.end([earlier], 20) == []
        assert processes.runs(here)
        assert processes.end([here], 20) == []
        assert not processes.runs(here)


def test_a_directory_without_a_record_is_removed(home: Path) -> None:
    directory = lifecycle.lease_directory(home, "lease-1", 1)
    (directory / "inside").mkdir(parents=True)
    assert lifecycle.probe(directory) is Liveness.DEAD
    assert lifecycle.adopt(directory) is None
    lifecycle.destroy(directory)
    assert not directory.exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 1, "extra": 1}'])
def test_an_unreadable_record_is_said_and_nothing_is_removed(home: Path, text: str) -> None:
    directory = lifecycle.lease_directory(home, "lease-1", 1)
    directory.mkdir(parents=True)
    (directory / record.RECORD_NAME).write_text(text)
    for act in (lifecycle.probe, lifecycle.adopt, lifecycle.destroy):
        with pytest.raises(AgentError) as refused:
            act(directory)
        assert refused.value.code == "bad_record"
    (directory / record.RECORD_NAME).unlink()


def test_a_start_that_fails_says_why_and_leaves_nothing(home: Path, spec_of: SpecOf, sandbox_tools: Tools) -> None:
    broken = dataclasses.replace(sandbox_tools, bwrap=Path("/usr/bin/false"), unpacked=None)
    with pytest.raises(AgentError) as failed:
        lifecycle.start(home, spec_of("lease-1"), broken)
    assert failed.value.code == "sandbox_failed"
    assert lifecycle.survey(home) == []
    lifecycle.start(home, spec_of("lease-1"), sandbox_tools)


def test_a_real_gpu_without_its_node_says_what_to_run(home: Path, spec_of: SpecOf, sandbox_tools: Tools) -> None:
    simulated = spec_of("lease-1")
    gone = msgspec.structs.replace(simulated.gpus[0], minor=4095)
    with pytest.raises(AgentError) as failed:
        lifecycle.start(home, msgspec.structs.replace(simulated, gpus=(gone,), simulated=False), sandbox_tools)
    assert failed.value.code == "no_device_node"
    assert "/dev/nvidia4095" in failed.value.detail and "nvidia-modprobe" in failed.value.remedy
    assert lifecycle.survey(home) == []


def test_secrets_are_closed(rent: Rent) -> None:
    directory = Path(rent("lease-1").sandbox.directory)
    standing = standing_in(directory)
    key = (directory / "inside/etc/ssh/host_ed25519_key").stat()
    assert (key.st_mode & 0o777, key.st_uid) == (0o600, standing.host_uid)
    assert (directory / "ssh.sock").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in (directory / record.RECORD_NAME).read_bytes()


def test_a_long_path_is_no_obstacle(tmp_path: Path, spec_of: SpecOf, sandbox_tools: Tools) -> None:
    home = tmp_path / ("deep" * 20) / ("er" * 40)
    home.mkdir(parents=True)
    sandbox = lifecycle.start(home, spec_of("L" * 60), sandbox_tools)
    with lifecycle.connect(Path(sandbox.directory)) as door:
        door.settimeout(20)
        assert door.recv(7) == b"SSH-2.0"
    lifecycle.destroy(Path(sandbox.directory))
    assert os.listdir(home / "leases") == []  # noqa: PTH208 - the names are what is asked


def test_init_told_from_outside_ends_everything(rent: Rent) -> None:
    directory = Path(rent("lease-1").sandbox.directory)
    standing = standing_in(directory)
    assert standing.init is not None
    os.kill(standing.init.pid, signal.SIGTERM)
    wait_until(lambda: lifecycle.probe(directory) is Liveness.DEAD, "the end of the sandbox")
    lifecycle.destroy(directory)
    assert traces.of(directory, standing) == []


def test_sandboxes_start_and_end_side_by_side(home: Path, spec_of: SpecOf, sandbox_tools: Tools) -> None:
    specs = [spec_of(f"lease-{number}", (number,)) for number in range(6)]
    with ThreadPoolExecutor(len(specs)) as pool:
        sandboxes = list(pool.map(lambda spec: lifecycle.start(home, spec, sandbox_tools), specs))
        directories = [Path(sandbox.directory) for sandbox in sandboxes]
        standing = [standing_in(directory) for directory in directories]
        assert lifecycle.survey(home) == directories
        assert len({sandbox.host_key for sandbox in sandboxes}) == len(specs)
        list(pool.map(lifecycle.destroy, directories))
    for directory, one in zip(directories, standing, strict=True):
        assert traces.of(directory, one) == []


def test_a_full_backlog_is_an_error_and_no_wait(rent: Rent) -> None:
    directory = Path(rent("lease-1").sandbox.directory)
    init = standing_in(directory).init
    assert init is not None
    with ExitStack() as doors:

        def fill() -> None:
            for _ in range(1000):
                doors.enter_context(lifecycle.connect(directory))

        os.kill(init.pid, signal.SIGSTOP)
        with pytest.raises(AgentError) as full:
            fill()
        assert full.value.code == "no_sandbox"
    os.kill(init.pid, signal.SIGCONT)
    wait_until(lambda: lifecycle.adopt(directory) is not None, "the door to open again")
