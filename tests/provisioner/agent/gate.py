"""A gate for the tests: a TCP port on loopback that is spliced into a sandbox, so that the real ssh can reach it.

It stands in for no part of ours but the splice; the agent's own dial-back has its own tests.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from provisioner.agent.sandbox import lifecycle

CHUNK_BYTES = 65_536


class Gate:
    """Listens on an ephemeral port until closed; each connection is carried both ways by two threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._run(self._serve)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                # Its peer was first.
                continue
        for thread in self._threads:
            thread.join(timeout=10)
        for end in self._sockets:
            end.close()

    def _run(self, target: object, *args: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while True:
            try:
                outside, _ = self._listener.accept()
            except OSError:
                return
            inside = lifecycle.connect(self._directory)
            inside.setblocking(True)
            self._sockets += [outside, inside]
            self._run(_carry, outside, inside)
            self._run(_carry, inside, outside)


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side hung up: so does the other.
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
