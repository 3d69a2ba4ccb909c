"""The demo calls a lease active only when the lease's own sshd has greeted."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from exchange.monarch.demo.story import ssh_answers
from tests.waiting import TIMEOUT_S


@contextmanager
def gate(greeting: bytes) -> Iterator[int]:
    """A port that, like the gate, greets one caller with this once it has named itself, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            caller, _ = listening.accept()
            with caller:
                caller.settimeout(TIMEOUT_S)
                if caller.recv(64) == b"SSH-2.0-hourbook_demo\r\n":
                    caller.sendall(greeting)

        thread = Thread(target=greet)
        thread.start()
        yield int(listening.getsockname()[1])
        thread.join()


@pytest.mark.parametrize(
    ("greeting", "answers"), [(b"SSH-2.0-OpenSSH_9.2p1\r\n", True), (b"", False), (b"HTTP/1.1 400\r\n", False)]
)
def test_only_a_greeting_of_sshd_is_an_answer(greeting: bytes, answers: bool) -> None:
    with gate(greeting) as port:
        assert ssh_answers({"state": "active", "ssh": {"host": "127.0.0.1", "port": port}}) is answers


def test_a_port_that_nobody_holds_is_none() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        assert not ssh_answers({"state": "active", "ssh": {"host": "127.0.0.1", "port": port}})
