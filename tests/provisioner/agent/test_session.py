"""What a renter does with a sandbox, through the real ssh, scp and sftp."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest

from tests.provisioner.agent.conftest import GPUS
from tests.provisioner.agent.renter import Renter
from tests.waiting import wait_until

Rent = Callable[..., Renter]
FILE_BYTES = 3_000_000


def test_ssh_runs_a_command_and_gives_its_status_and_output(rent: Rent) -> None:
    renter = rent("lease-1", (2, 5))
    done = renter.ssh("cat; echo oops >&2; exit 7", stdin=b"through\0and back\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"through\0and back\n", b"oops\n")
    assert renter.says("id -un; id -u; hostname; pwd; umask") == "gpu\n1000\nlease-1\n/home/gpu\n0022"
    assert renter.says("awk 'BEGIN { print 6 * 7 }'") == "42"


def test_a_session_knows_its_gpus_and_that_they_are_simulated(rent: Rent) -> None:
    renter = rent("lease-1", (2, 5))
    both = f"{GPUS[2].uuid},{GPUS[5].uuid}"
    assert renter.says("echo $CUDA_VISIBLE_DEVICES $NVIDIA_VISIBLE_DEVICES") == f"{both} {both}"
    assert renter.says("echo $HOURBOOK_SIMULATED $HOURBOOK_LEASE") == "1 lease-1"
    assert renter.says("cd /dev && echo nvidia*") == "nvidia2 nvidia5"
    assert "SIMULATED" in renter.says("cat /etc/motd")


def test_pynvml_inside_sees_only_the_leased_gpus(rent: Rent, tmp_path: Path) -> None:
    renter = rent("lease-1", (2, 5))
    renter.scp(pynvml.__file__, "gpu@127.0.0.1:pynvml.py")
    script = (
        "import pynvml as n; n.nvmlInit()\n"
        "for i in range(n.nvmlDeviceGetCount()): print(n.nvmlDeviceGetUUID(n.nvmlDeviceGetHandleByIndex(i)))"
    )
    assert renter.ssh("python3 -", stdin=script.encode()).stdout.decode().split() == [GPUS[2].uuid, GPUS[5].uuid]


def test_a_terminal_is_given(rent: Rent) -> None:
    renter = rent("lease-1")
    command = ["ssh", "-tt", *renter.command("tty; test -t 0 && echo terminal")[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    assert done.stdout.split() == [b"/dev/pts/0", b"terminal"]


@pytest.mark.parametrize("flags", [(), ("-O",)], ids=["sftp protocol", "old protocol"])
def test_scp_round_trip(rent: Rent, tmp_path: Path, flags: tuple[str, ...]) -> None:
    renter = rent("lease-1")
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(FILE_BYTES))
    renter.scp(str(sent), "gpu@127.0.0.1:data", *flags)
    assert renter.says("sha256sum < data").split()[0] == hashlib.sha256(sent.read_bytes()).hexdigest()
    renter.scp("gpu@127.0.0.1:data", str(back), *flags)
    assert back.read_bytes() == sent.read_bytes()


def test_sftp_round_trip(rent: Rent, tmp_path: Path) -> None:
    renter = rent("lease-1")
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(FILE_BYTES))
    listing = renter.sftp(f"mkdir kept\nput {sent} kept/data\nls -l kept\nget kept/data {back}\nrename kept moved\n")
    assert "data" in listing
    assert back.read_bytes() == sent.read_bytes()
    assert renter.says("ls moved") == "data"


def test_a_port_of_the_sandbox_is_forwarded(rent: Rent) -> None:
    renter = rent("lease-1")
    renter.says("echo from inside > page; (exec setsid python3 -m http.server 8000 --bind 127.0.0.1) >log 2>&1 & true")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    forward = [*renter.command("cat")[:1], "-L", f"{port}:127.0.0.1:8000", *renter.command("cat")[1:]]
    with subprocess.Popen(forward, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as client:

        def page() -> bytes:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=10) as answer:
                    body: bytes = answer.read()
                    return body
            except OSError:
                assert client.poll() is None, "the forwarding ssh ended"
                return b""

        assert wait_until(page, "the forwarded page") == b"from inside\n"
        client.communicate()


def test_only_the_renters_key_opens(rent: Rent, tmp_path: Path) -> None:
    renter = rent("lease-1")
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    renter.private_key = other
    refused = renter.ssh("true")
    assert refused.returncode == 255
    assert b"Permission denied (publickey)" in refused.stderr


def test_other_users_are_refused(rent: Rent) -> None:
    renter = rent("lease-1")
    for user in ("root", "nobody"):
        command = ["ssh", *renter.options(), f"{user}@127.0.0.1", "true"]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert done.returncode == 255, user


def test_what_a_session_left_running_stays_and_is_not_a_zombie(rent: Rent) -> None:
    renter = rent("lease-1")
    renter.says("(setsid sleep 1000 >/dev/null 2>&1 </dev/null &); (setsid true &)")
    assert renter.says("pgrep -c sleep") == "1"
    # Orphans come to PID 1, which must collect them.
    wait_until(lambda: renter.says("ps -eo stat= | grep -c ^Z; true") == "0", "no zombie inside")


def test_the_clients_are_here() -> None:
    for program in ("ssh", "scp", "sftp", "ssh-keygen"):
        assert shutil.which(program), f"{program} is missing: apt-get install -y openssh-client"
