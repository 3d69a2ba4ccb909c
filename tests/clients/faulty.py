"""A real HTTP server that answers as a test tells it: with a status and a body, or by hanging up. For faults alone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Seen(NamedTuple):
    method: str
    path: str
    idempotency_key: str | None
    authorization: str | None
    body: bytes


class Answer(NamedTuple):
    """Status 0: hang up without an answer."""

    status: int = 0
    body: Any = None


class Faulty:
    """The answers still to give (the last is given again and again), and the requests that came."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.seen: list[Seen] = []
        self.url = ""

    def next(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def problem(code: str, status: int, outcome: str = "rejected", **fields: Any) -> Answer:
    """A problem as the exchange writes it."""
    kind = f"urn:hourbook:error:{code}"
    return Answer(status, {"type": kind, "title": code, "status": status, "code": code, "detail": "It is so. Do that.",
                           "outcome": outcome, **fields})  # fmt: skip


@contextmanager
def serving(*answers: Answer) -> Iterator[Faulty]:
    faulty = Faulty(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            seen = Seen(
                self.command,
                self.path,
                self.headers.get("Idempotency-Key"),
                self.headers.get("Authorization"),
                self.rfile.read(length),
            )
            answer = faulty.next(seen)
            if answer.status == 0:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing: tests look at what was seen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    faulty.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield faulty
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
