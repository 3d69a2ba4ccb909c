"""The limits of a sandbox hold, and what can't be held is said."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from provisioner.agent.errors import AgentError
from provisioner.agent.sandbox import cgroups, lifecycle
from provisioner.agent.sandbox.spec import Limits, SandboxSpec, check, share_limits
from tests.provisioner.agent.conftest import GPUS, LIMITS, MIB
from tests.provisioner.agent.renter import Renter

Rent = Callable[..., Renter]


def test_home_tmp_and_shm_are_bounded(rent: Rent) -> None:
    renter = rent(
        "lease-1", (0,), msgspec.structs.replace(LIMITS, home_bytes=8 * MIB, tmp_bytes=4 * MIB, shm_bytes=2 * MIB)
    )
    for folder, size_mib in (("/home/gpu", 8), ("/tmp", 4), ("/dev/shm", 2)):
        done = renter.ssh(f"head -c {size_mib * MIB + 1} /dev/zero > {folder}/full")
        assert done.returncode != 0 and b"No space left" in done.stderr, folder
        assert (
            renter.says(f"rm {folder}/full; head -c {(size_mib - 1) * MIB} /dev/zero > {folder}/fits; echo ok") == "ok"
        )


def test_a_renter_who_fills_every_file_system_gets_in_again_and_can_delete(rent: Rent) -> None:
    whole = share_limits(1, 1)
    small = 256 * MIB
    shares = {
        name: getattr(whole, name) * small // whole.memory_bytes for name in ("home_bytes", "tmp_bytes", "shm_bytes")
    }
    renter = rent("lease-1", (0,), msgspec.structs.replace(LIMITS, memory_bytes=small, **shares))
    for folder in ("/home/gpu", "/tmp", "/dev/shm"):
        done = renter.ssh(f"cat /dev/zero > {folder}/full")
        assert done.returncode != 0 and b"No space left" in done.stderr, folder
    for _ in range(10):
        assert renter.says("echo in") == "in"
    assert renter.says("rm /home/gpu/full /tmp/full /dev/shm/full; echo gone") == "gone"


def test_processes_are_bounded_and_each_sandbox_counts_its_own(rent: Rent) -> None:
    one = rent("lease-1", (0,), msgspec.structs.replace(LIMITS, processes=24))
    two = rent("lease-2", (1,), msgspec.structs.replace(LIMITS, processes=24))
    fork = "import os, signal\nfor i in range(60):\n    if os.fork() == 0:\n        os.close(1); os.close(2); signal.pause()"
    with subprocess.Popen(one.command("exec python3 -"), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        _, errors = client.communicate(fork.encode(), timeout=60)
    assert b"Resource temporarily unavailable" in errors
    assert two.says("(sleep 0.01 & wait); echo room here") == "room here"


def test_memory_is_bounded_or_said_not_to_be(rent: Rent) -> None:
    renter = rent("lease-1", (0,), msgspec.structs.replace(LIMITS, memory_bytes=96 * MIB))
    _, unenforced = cgroups.plan("asked")
    assert ("memory_bytes" in renter.sandbox.unenforced) == ("memory_bytes" in unenforced)
    done = renter.ssh("python3 -c 'x = bytearray(400 << 20); print(len(x))'")
    assert (done.returncode == 0) == ("memory_bytes" in unenforced)
    assert renter.says("echo still here") == "still here"


def test_connections_are_bounded(rent: Rent) -> None:
    renter = rent("lease-1", (0,), msgspec.structs.replace(LIMITS, connections=2))
    directory = Path(renter.sandbox.directory)
    doors = [lifecycle.connect(directory) for _ in range(2)]
    for door in doors:
        door.settimeout(20)
        assert door.recv(7) == b"SSH-2.0"
    with lifecycle.connect(directory) as third:
        third.settimeout(20)
        assert third.recv(7) == b""
    for door in doors:
        door.close()


def test_a_connection_that_never_logs_in_is_cut_off_soon(rent: Rent) -> None:
    [line] = rent("lease-1").says("grep -i '^LoginGraceTime' /etc/ssh/sshd_config").splitlines()
    assert 0 < int(line.split()[1]) <= 30


def test_open_files_and_core_dumps_are_bounded(rent: Rent) -> None:
    renter = rent("lease-1", (0,), msgspec.structs.replace(LIMITS, open_files=100))
    assert renter.says("ulimit -Hn; ulimit -Hc") == "100\n0"


def test_sshds_log_is_bounded(rent: Rent) -> None:
    renter = rent("lease-1")
    # What a tenant writes where sshd complains is the most that could ever come.
    renter.ssh("head -c 3000000 /dev/zero | tr '\\0' 'x' > /proc/$PPID/fd/2")
    assert (Path(renter.sandbox.directory) / "sshd.log").stat().st_size <= 256 * 1024


@pytest.mark.parametrize("leased", [1, 3, 8])
def test_shares_of_a_node_add_up_to_less_than_it(leased: int) -> None:
    whole, part = share_limits(8, 8), share_limits(leased, 8)
    assert part.memory_bytes * 8 <= whole.memory_bytes * leased
    assert part.home_bytes + part.tmp_bytes + part.shm_bytes <= part.memory_bytes * 3 // 4


BAD: dict[str, dict[str, object]] = {
    "an empty lease id": {"lease_id": ""},
    "a path": {"lease_id": "../up"},
    "a dot": {"lease_id": "a.b"},
    "a long lease id": {"lease_id": "x" * 61},
    "a negative generation": {"generation": -1},
    "no key": {"authorized_keys": ()},
    "too many keys": {"authorized_keys": ("ssh-ed25519 AAAA",) * 33},
    "a key with a line end": {"authorized_keys": ("ssh-ed25519 AAAA\nssh-ed25519 BBBB",)},
    "a key with options": {"authorized_keys": ('command="x" ssh-ed25519 AAAA',)},
    "a private key": {"authorized_keys": ("-----BEGIN OPENSSH PRIVATE KEY-----",)},
    "no GPU": {"gpus": ()},
    "a GPU twice": {"gpus": (GPUS[0], GPUS[0])},
    "no memory": {"limits": msgspec.structs.replace(LIMITS, memory_bytes=0)},
    "too few processes": {"limits": msgspec.structs.replace(LIMITS, processes=1)},
    "too many connections": {"limits": msgspec.structs.replace(LIMITS, connections=5000)},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_a_bad_spec_is_refused(change: dict[str, object], spec_of: Callable[..., SandboxSpec]) -> None:
    good = spec_of("lease-1")
    check(good)
    with pytest.raises(AgentError) as refused:
        check(msgspec.structs.replace(good, **change))
    assert refused.value.code == "bad_spec"


def test_limits_are_whole_numbers() -> None:
    assert all(isinstance(value, int) for value in msgspec.structs.asdict(share_limits(3, 7)).values())
    assert isinstance(share_limits(1, 8), Limits)
