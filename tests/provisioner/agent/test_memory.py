"""A renter who uses up the lease's memory hurts nobody but the renter, and never comes out of the lease for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from provisioner.agent import steps
from provisioner.agent.errors import AgentError
from provisioner.agent.journal import Entry, Phase
from provisioner.agent.reconcile import Died, Exhausted
from provisioner.agent.sandbox import cgroups, command, lifecycle, processes, record
from provisioner.agent.sandbox.lifecycle import Liveness
from provisioner.agent.sandbox.record import Record
from provisioner.agent.sandbox.spec import SandboxSpec, share_limits
from provisioner.agent.steps import Looked
from provisioner.agent.tools import Tools
from tests.provisioner.agent import hunger, traces
from tests.provisioner.agent.conftest import LIMITS, MIB
from tests.provisioner.agent.renter import Renter
from tests.waiting import wait_until

Rent = Callable[..., Renter]
SpecOf = Callable[..., SandboxSpec]
BURST = 120
CAP_SYS_RESOURCE = 24
SMALL_MIB = 256


def small() -> dict[str, int]:
    """A node's own shares, for a lease of 256 MiB."""
    whole = share_limits(1, 1)
    names = ("memory_bytes", "home_bytes", "tmp_bytes", "shm_bytes")
    return {name: getattr(whole, name) * SMALL_MIB * MIB // whole.memory_bytes for name in names}


def standing_in(directory: Path) -> Record:
    standing = record.read(directory)
    assert standing is not None
    return standing


def quietly(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def may_lower_scores() -> bool:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")]
    return os.geteuid() == 0 and bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)


def test_the_kernel_ends_sessions_before_the_init(rent: Rent) -> None:
    renter = rent("lease-1")
    init = standing_in(Path(renter.sandbox.directory)).init
    assert init is not None
    last, own = hunger.score_of(init.pid), hunger.score_of(os.getpid())
    assert last == (-941 if may_lower_scores() else own)
    session, sshd = map(int, renter.says("cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj").split())
    assert session == sshd == command.session_oom_score() > last
    # The least that a tenant can make of a process of its own; the file that it writes is its own shell's.
    tries = f"for score in -1000 {last - 1} {last} {session - 1}; do echo $score > /proc/$$/oom_score_adj; done"
    lowest = int(renter.says(f"({tries}; echo -17 > /proc/$$/oom_adj) 2>/dev/null; cat /proc/$$/oom_score_adj"))
    assert lowest >= (session if may_lower_scores() else last)
    renter.ssh("echo 1000 > /proc/1/oom_score_adj; echo 15 > /proc/1/oom_adj")
    assert hunger.score_of(init.pid) == last


def test_a_renter_who_uses_up_everything_loses_processes_and_never_the_sandbox(rent: Rent) -> None:
    renter = rent("lease-1", (0,), msgspec.structs.replace(LIMITS, **small()))
    directory = Path(renter.sandbox.directory)
    standing = standing_in(directory)
    for folder in ("/home/gpu", "/tmp", "/dev/shm"):
        done = renter.ssh(f"dd if=/dev/zero of={folder}/full bs=1M")
        assert done.returncode != 0 and b"No space left" in done.stderr, folder
    meals = renter.command(f"for i in $(seq 200); do echo | ({hunger.eater(SMALL_MIB)}); done")
    with quietly(meals) as ssh:
        wait_until(lambda: hunger.eaters(standing.host_uid), "the eater")
        burst = [quietly(renter.command("true")) for _ in range(BURST)]
        for client in burst:
            client.wait(timeout=60)
        if "memory_bytes" in renter.sandbox.unenforced:
            assert lifecycle.own_oom_kills(directory) == 0
        else:
            wait_until(lambda: lifecycle.own_oom_kills(directory) > 0, "the kernel to end what ate")
        ssh.kill()
    assert standing_in(directory) == standing
    assert lifecycle.probe(directory) is Liveness.ALIVE
    # A pattern that its own shell's command line doesn't match.
    tidy = "pkill -9 -f '[e]aten'; rm ~/full /tmp/full /dev/shm/full; echo tidy"
    wait_until(lambda: renter.ssh(tidy).stdout == b"tidy\n", "room to log in and delete")
    assert renter.says("head -c 16M /dev/zero > ~/fits; echo fits") == "fits"


def test_what_died_of_its_own_hunger_starts_again_with_its_host_key_and_none_of_its_files(
    rent: Rent, home: Path, spec_of: SpecOf, sandbox_tools: Tools
) -> None:
    limits = msgspec.structs.replace(LIMITS, **small())
    renter = rent("lease-1", (0,), limits)
    directory = Path(renter.sandbox.directory)
    before = standing_in(directory)
    entry = Entry(
        lease_id="lease-1", generation=1, phase=Phase.RUNNING, gpus=before.gpu_uuids, host_key=before.host_key
    )
    renter.says("echo mine > ~/mine")
    seen = steps.look(home, [entry], {})
    assert seen == Looked([], {"lease-1": 0})
    starved = hunger.starve(directory, renter.command(hunger.eater(SMALL_MIB)))
    counted = lifecycle.own_oom_kills(directory)
    assert (counted > 0) == starved
    [happened] = steps.look(home, [entry], seen.oom_kills).happened
    assert isinstance(happened, Exhausted if starved else Died)
    # What was counted before it was last seen alive isn't what it died of.
    [happened] = steps.look(home, [entry], {"lease-1": counted}).happened
    assert isinstance(happened, Died)

    spec = spec_of("lease-1", (0,), limits)
    again = lifecycle.restart(directory, spec, sandbox_tools, "hunger")
    assert (again.host_key, again.directory) == (before.host_key, str(directory))
    assert standing_in(directory).init != before.init
    assert lifecycle.own_oom_kills(directory) == 0
    # The renter's known_hosts, port and key are as they were.
    assert renter.says("ls -A ~ | grep -c mine; true") == "0"
    assert "STARTED AGAIN, and what was in it is gone: hunger." in renter.says("cat /etc/motd")
    assert steps.look(home, [entry], {}) == Looked([], {"lease-1": 0})
    assert lifecycle.restart(directory, spec, sandbox_tools, "hunger") == again
    standing = standing_in(directory)
    lifecycle.destroy(directory)
    assert traces.of(directory, standing) == []


def test_a_renter_who_keeps_sshd_from_answering_doesnt_fail_the_lease_at_the_agents_next_start(
    rent: Rent, home: Path
) -> None:
    limits = msgspec.structs.replace(LIMITS, connections=1)
    directory = Path(rent("lease-1", (0,), limits).sandbox.directory)
    standing = standing_in(directory)
    entry = Entry(
        lease_id="lease-1", generation=1, phase=Phase.RUNNING, gpus=standing.gpu_uuids, host_key=standing.host_key
    )
    with lifecycle.connect(directory) as taken:
        taken.settimeout(20)
        assert taken.recv(7) == b"SSH-2.0"
        assert lifecycle.adopt(directory) is None
        assert steps.take_over(home, entry) is None
    assert standing.init is not None and processes.end([standing.init], 20) == []
    assert isinstance(steps.take_over(home, entry), Died)


def test_what_another_boot_left_is_not_started_again(rent: Rent, spec_of: SpecOf, sandbox_tools: Tools) -> None:
    directory = Path(rent("lease-1").sandbox.directory)
    standing = standing_in(directory)
    assert standing.init is not None and processes.end([standing.init], 20) == []
    record.write(directory, msgspec.structs.replace(standing, boot_id="another"))
    with pytest.raises(AgentError) as refused:
        lifecycle.restart(directory, spec_of("lease-1"), sandbox_tools, "hunger")
    assert refused.value.code == "sandbox_failed"
    record.write(directory, standing)


GROUPS: dict[str, tuple[dict[str, str], int]] = {
    "none": ({}, 0),
    "version 2, its own limit": ({"memory.events": "low 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 0\n"}, 3),
    "version 2, its host's": ({"memory.events": "low 0\nmax 0\noom 0\noom_kill 3\n"}, 0),
    "version 1, its own limit": (
        {
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
            "memory.max_usage_in_bytes": str(64 * MIB - 4096),
            "memory.limit_in_bytes": str(64 * MIB),
        },
        4,
    ),
    "version 1, its host's": (
        {
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
            "memory.max_usage_in_bytes": str(32 * MIB),
            "memory.limit_in_bytes": str(64 * MIB),
        },
        0,
    ),
    "one of processes alone": ({"pids.max": "9"}, 0),
}


@pytest.mark.parametrize(("files", "counted"), GROUPS.values(), ids=GROUPS)
def test_only_what_the_groups_own_limit_ended_counts(tmp_path: Path, files: dict[str, str], counted: int) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert cgroups.own_oom_kills(tmp_path) == counted
