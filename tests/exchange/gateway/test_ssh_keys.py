"""Which public key lines are taken: real ones of ssh-keygen, and each way of being wrong."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.gateway.errors import Problem
from exchange.gateway.ssh_keys import DELIVERY_MAX_BYTES, delivery_blob, fingerprint, normalize

ED25519 = b"ssh-ed25519"


def field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def line(algorithm: bytes, *fields: bytes) -> str:
    blob = field(algorithm) + b"".join(field(data) for data in fields)
    return f"{algorithm.decode()} {base64.b64encode(blob).decode()}"


GOOD = line(ED25519, bytes(32))


@pytest.mark.parametrize(
    "options",
    [
        ["ed25519"],
        ["rsa", "-b", "2048"],
        ["rsa", "-b", "3072"],
        *(["ecdsa", "-b", bits] for bits in ("256", "384", "521")),
    ],
    ids="-".join,
)
def test_what_ssh_keygen_makes_is_taken(tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "id"
    command = ["ssh-keygen", "-q", "-N", "", "-C", "me at home", "-f", str(file), "-t", *options]
    subprocess.run(command, check=True, timeout=60)
    public = file.with_name("id.pub")
    normal = normalize(public.read_text().rstrip("\n"))
    assert normal.split(" ") == public.read_text().split(" ")[:2]
    shown = subprocess.run(["ssh-keygen", "-lf", str(public)], capture_output=True, text=True, check=True, timeout=60)
    assert fingerprint(normal) == shown.stdout.split(" ")[1]


def test_security_keys_are_taken() -> None:
    assert normalize(line(b"sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:"))
    assert normalize(line(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\x04" + bytes(64), b"ssh:"))


ODD = (1 << 2047 | 1).to_bytes(256, "big")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 ü",
        GOOD[:-8],
        GOOD + "\nssh-ed25519 AAAA",
        GOOD + " x\ry",
        GOOD + "\0",
        'command="rm -rf" ' + GOOD,
        "no-pty " + GOOD,
        GOOD.replace("ssh-ed25519 ", "ssh-rsa "),
        line(ED25519, bytes(31)),
        line(ED25519, bytes(33)),
        line(ED25519, bytes(32), b"more"),
        line(b"ssh-dss", bytes(128)),
        line(b"ssh-rsa", b"\x01\x00\x01", b"\x00" + ODD[:128]),
        line(b"ssh-rsa", b"\x01\x00\x01", ODD),
        line(b"ssh-rsa", b"\x01\x00\x01", b"\x00\x00" + ODD),
        line(b"ssh-rsa", b"\x02", b"\x00" + ODD),
        line(b"ssh-rsa", b"\x01\x00\x01", b"\x00" + b"\xff" * 2049),
        line(b"ecdsa-sha2-nistp256", b"nistp384", b"\x04" + bytes(96)),
        line(b"ecdsa-sha2-nistp256", b"nistp256", b"\x02" + bytes(64)),
        line(b"ecdsa-sha2-nistp256", b"nistp256", b""),
        line(b"sk-ssh-ed25519@openssh.com", bytes(32), b""),
        line(b"ssh-ed25519-cert-v01@openssh.com", bytes(32)),
        "ssh-ed25519 " + "A" * 5000,
    ],
)
def test_what_isnt_a_key_is_refused(bad: str) -> None:
    with pytest.raises(Problem) as caught:
        normalize(bad)
    assert caught.value.code == "invalid_ssh_key"


@given(st.text() | st.binary().map(lambda data: "ssh-rsa " + base64.b64encode(field(b"ssh-rsa") + data).decode()))
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        normal = normalize(text)
    except Problem as problem:
        code = problem.code
    else:
        code = "invalid_ssh_key"
        assert normalize(normal) == normal
    assert code == "invalid_ssh_key"


def test_the_delivery_is_bounded_and_says_a_key_once() -> None:
    assert delivery_blob([GOOD, GOOD]) == b'{"ssh_keys":["%s"]}' % GOOD.encode()
    big = [
        normalize(line(b"ssh-rsa", b"\x03", b"\x00" + b"\xff" * 1024 + bytes([number]) + b"\xff"))
        for number in range(7)
    ]
    assert sum(map(len, big)) > DELIVERY_MAX_BYTES
    with pytest.raises(Problem, match="take more than"):
        delivery_blob(big)
