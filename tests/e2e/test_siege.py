"""The real ssh gets into its lease while strangers, who hold no key, crowd its port and come again whenever they're cut."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.monarch.demo.story import ssh_command
from tests.e2e.exchange import START_S, Exchange

pytestmark = pytest.mark.timeout(300)

SAID = [b"", b"SSH-2.0-x\r\n", b"SSH-2.0-OpenSSH_9.9\r\n", b"GET / HTTP/1.1\r\n\r\n"]
SOCKETS = 130
CLIENTS = 20
RENEWALS_MAX = 2_000
ROUND_S = 0.02


class Strangers:
    """150 connections from 127.0.0.1: sockets that say a word or nothing, and real ssh clients that never give a key."""

    def __init__(self, lease: dict[str, Any], folder: Path) -> None:
        self._address = (lease["ssh"]["host"], lease["ssh"]["port"])
        self._user = lease["ssh"]["user"]
        self._sockets: list[socket.socket] = []
        self._clients: list[subprocess.Popen[bytes]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.held = threading.Event()
        self.renewals = 0
        # To ask for its passphrase is the last thing that such a client does.
        self._key = folder / "locked"
        keygen = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret", "-f", str(self._key)]
        subprocess.run(keygen, check=True)
        self._key.with_suffix(".pub").unlink()
        self._asked = folder / "asked"
        self._asked.write_text(f"#!/bin/sh\n: > {folder}/asked.$$\nexec sleep {START_S * 4:.0f}\n")
        self._asked.chmod(0o700)

    def __enter__(self) -> Strangers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=START_S)
        for end in self._sockets:
            end.close()
        for client in self._clients:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(client.pid, signal.SIGKILL)
            client.wait(timeout=START_S)

    def _run(self) -> None:
        while self.renewals < RENEWALS_MAX and not self._stop.wait(ROUND_S):
            before = len(self._sockets), len(self._clients)
            self._sockets = [end for end in self._sockets if not _over(end)]
            self._clients = [client for client in self._clients if client.poll() is None]
            self.renewals += before[0] - len(self._sockets) + before[1] - len(self._clients)
            while len(self._sockets) < SOCKETS:
                end = socket.create_connection(self._address, timeout=START_S)
                end.sendall(SAID[len(self._sockets) % len(SAID)])
                end.setblocking(False)
                self._sockets.append(end)
            while len(self._clients) < CLIENTS:
                self._clients.append(self._client())
            self.held.set()

    def _client(self) -> subprocess.Popen[bytes]:
        settings = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", f"Port={self._address[1]}"]
        settings += ["IdentitiesOnly=yes", f"IdentityFile={self._key}"]
        line = ["ssh", "-F", "none", *(word for setting in settings for word in ("-o", setting))]
        return subprocess.Popen(
            [*line, f"{self._user}@{self._address[0]}", "true"],
            env={**os.environ, "SSH_ASKPASS": str(self._asked), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def _over(end: socket.socket) -> bool:
    try:
        while end.recv(65_536):
            continue
    except BlockingIOError:
        return False
    except OSError:
        pass
    end.close()
    return True


@contextlib.contextmanager
def session(line: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A login that stays: what is said to it comes back."""
    with subprocess.Popen([*line, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def says(process: subprocess.Popen[bytes], word: bytes) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(word + b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == word + b"\n"


def test_the_renter_gets_in_while_150_connections_of_strangers_are_held(exchange: Exchange, tmp_path: Path) -> None:
    lease = exchange.wait_active(exchange.rent()["leases"][0]["id"])
    exchange.ssh_when_up(lease, "true")
    ssh = ssh_command(lease, exchange.world)
    elsewhere = [ssh[0], "-o", "BindAddress=127.0.0.2", *ssh[1:]]
    folder = tmp_path / "strangers"
    folder.mkdir()
    with Strangers(lease, folder) as strangers:
        assert strangers.held.wait(START_S)
        with session(elsewhere) as stays:
            says(stays, b"in")
            for turn in range(5):
                done = subprocess.run([*elsewhere, "id -un"], capture_output=True, timeout=START_S, check=False)
                assert (done.returncode, done.stdout) == (0, b"gpu\n"), (turn, done.stderr)
                says(stays, b"still in")
            # From the strangers' own address it is their equal until it has logged in, and may have to try again.
            assert exchange.ssh_when_up(lease, "id -un") == "gpu\n"
            says(stays, b"in to the end")
        assert strangers.renewals > 0
        assert list(folder.glob("asked.*")), "none of their clients came to the point of a login"
    exchange.rest("renter").delete(f"/v1/leases/{lease['id']}")
    exchange.wait_wiped(lease["id"])
