"""A tenant never sees the host, another tenant, or what one left behind."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.agent.sandbox import lifecycle, processes, record
from tests.provisioner.agent.conftest import ROOT
from tests.provisioner.agent.renter import Renter

Rent = Callable[..., Renter]

REFUSED = {
    "writes to /usr": "touch /usr/x",
    "writes to /etc": "touch /etc/x",
    "changes its keys": "echo >> /etc/ssh/authorized_keys",
    "writes to /": "touch /x",
    "writes to /dev": "touch /dev/x",
    "fills a simulated GPU": "echo more >> /dev/nvidia0",
    "makes a device": "mknod x c 1 3",
    "mounts": "mount -t tmpfs none /tmp",
    "becomes root in a namespace": "unshare -Ur true",
    "reads PID 1's files": "ls /proc/1/fd",
    "traces PID 1": "cat /proc/1/environ",
    "reads the host's accounts": "cat /etc/shadow",
    "sees root's home": "ls /root",
    "sees other homes": "ls /home/*/../.. | grep -qx root",
    "sets the clock": "date -s 2030-01-01",
    "changes the host's name": "hostname other",
    "writes kernel settings": "echo 0 > /proc/sys/kernel/pid_max",
    "brings a network up": "ip link add dummy0 type dummy",
}


def test_what_a_tenant_must_not_do_is_refused(rent: Rent) -> None:
    renter = rent("lease-1")
    script = "".join(f"if ( {command} ) >/dev/null 2>&1; then echo '{what}'; fi\n" for what, command in REFUSED.items())
    assert renter.ssh("bash -s", stdin=script.encode()).stdout.decode() == ""
    # The same script finds what is allowed: it can fail.
    assert renter.ssh("bash -s", stdin=script.replace("touch /usr/x", "touch x").encode()).stdout != b""


def test_no_capability_and_no_way_to_one(rent: Rent) -> None:
    status = rent("lease-1").says("cat /proc/self/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert {
        name: int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    } == dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0)
    assert fields["NoNewPrivs"].strip() == "1"


def test_tenants_see_neither_files_nor_processes_of_each_other(rent: Rent) -> None:
    one, two = rent("lease-1", (0,)), rent("lease-2", (1,))
    one.says(
        "echo secret > ~/mine; echo secret > /tmp/mine; echo secret > /dev/shm/mine; (setsid sleep 4321 &) >/dev/null 2>&1"
    )
    assert one.says("pgrep -c -x sleep") == "1"
    assert two.says("ls -A ~ /tmp /dev/shm | grep -c mine; true") == "0"
    assert two.says("pgrep -c -x sleep; true") == "0"
    assert two.says("ls -d /dev/nvidia*") == "/dev/nvidia1"
    for name in ("user", "pid", "ipc", "uts", "net", "mnt"):
        inside = {renter.says(f"readlink /proc/self/ns/{name}") for renter in (one, two)}
        assert len(inside | {os.readlink(f"/proc/self/ns/{name}")}) == 3, name  # noqa: PTH115 - not a path


def test_tenants_have_host_uids_of_their_own(rent: Rent) -> None:
    records = [record.read(Path(rent(lease_id).sandbox.directory)) for lease_id in ("lease-1", "lease-2")]
    uids = [standing.host_uid for standing in records if standing is not None]
    if os.geteuid() == 0:
        assert len({*uids, 0, 1000}) == 4
        assert all(processes.of_uid(uid) for uid in uids)
    else:
        assert uids == [os.geteuid()] * 2


def test_the_hosts_network_is_out_of_reach(rent: Rent) -> None:
    renter = rent("lease-1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            assert renter.ssh(f"bash -c '{reach}'").returncode != 0
    assert renter.says("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '") == "lo"


def test_nothing_of_the_host_but_usr_is_there(rent: Rent, home: Path) -> None:
    renter = rent("lease-1")
    assert set(renter.says("ls /").split()) <= {
        *("bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "mnt", "opt"),
        *("proc", "run", "sbin", "tmp", "usr", "var"),
    }
    assert renter.says("find / -xdev -name sandbox.json 2>/dev/null | wc -l") == "0"
    # To an ordinary user's bubblewrap the kernel shows where on its file system each file that it binds lies.
    mounts = "/proc/self/mounts" if os.geteuid() else "/proc/self/mounts /proc/self/mountinfo"
    shown = renter.says(f"cat {mounts} /proc/self/cgroup; env")
    assert str(home) not in shown and (os.geteuid() != 0 or str(ROOT) not in shown)
    assert renter.says("cut -d: -f1 /etc/passwd") == "gpu\nnobody"


def test_a_tenant_cannot_end_its_own_door(rent: Rent) -> None:
    renter = rent("lease-1")
    renter.ssh("kill -9 1; kill -TERM 1; kill -INT 1; kill -HUP 1; rm -rf ~ /tmp/* ~/.* 2>/dev/null; kill -9 -1")
    assert lifecycle.probe(Path(renter.sandbox.directory)) is lifecycle.Liveness.ALIVE
    assert renter.says("echo still here") == "still here"


def test_a_tenants_home_cannot_open_its_door_to_others(rent: Rent, tmp_path: Path) -> None:
    renter = rent("lease-1")
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    public = other.with_suffix(".pub").read_text().strip()
    renter.says(f"mkdir -p .ssh && echo '{public}' > .ssh/authorized_keys")
    stranger = Renter(renter.sandbox, renter.gate, other, renter.known_hosts)
    assert b"Permission denied (publickey)" in stranger.ssh("true").stderr
    renter.says("ln -sf /proc/1/root/etc/shadow link; chmod 0777 ~; echo 'LD_PRELOAD=/tmp/x.so' > .ssh/environment")
    assert renter.says("cat link 2>/dev/null; echo ${LD_PRELOAD-unset}") == "unset"


def test_the_next_tenant_finds_nothing(rent: Rent) -> None:
    first = rent("lease-1")
    for place in ("~", "/tmp", "/dev/shm", "/var/tmp"):
        first.says(f"echo left > {place}/left-behind")
    lifecycle.destroy(Path(first.sandbox.directory))
    second = rent("lease-2")
    assert second.says("find / -name left-behind 2>/dev/null | wc -l") == "0"


@pytest.mark.parametrize("place", ["baron", "baron/leases", "baron/leases/lease-1.1"])
def test_the_barons_directories_are_closed(rent: Rent, tmp_path: Path, place: str) -> None:
    rent("lease-1")
    status = (tmp_path / place).stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o700, os.geteuid())
