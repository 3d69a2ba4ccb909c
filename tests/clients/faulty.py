"""Real HTTP servers for faults alone: one answers as a test tells it, one stands before an exchange and loses an answer."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

WAIT_S = 30.0


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
    headers: tuple[tuple[str, str], ...] = ()


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
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing: tests look at what was seen."""

    with _running(Handler) as url:
        faulty.url = url
        yield faulty


@contextmanager
def losing_an_answer(upstream: str, then: Callable[[], object]) -> Iterator[str]:
    """The address of what passes all on to the exchange `upstream`, but keeps its first answer to a POST, and calls `then`."""
    lost = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=WAIT_S)
            connection.request(self.command, self.path, sent, dict(self.headers))
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if self.command == "POST" and not lost.is_set():
                lost.set()
                then()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("date", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _pass_on  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing: tests look at what came of it."""

    with _running(Handler) as url:
        yield url


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
