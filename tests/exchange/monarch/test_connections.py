"""Sockets that say nothing: bounded in number, dropped in time, and never the end of anybody else's service."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from exchange.monarch.demo.rest import Rest, RestError
from exchange.monarch.demo.world import script
from tests.exchange.monarch.test_up import STOP_S, UP_S, url_of
from tests.waiting import wait_until

FILES = 400
IDLE_SOCKETS = 300


def is_closed(idle: socket.socket) -> bool:
    try:
        return idle.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_more_idle_sockets_than_files_end_by_themselves_and_harm_nothing(tmp_path: Path) -> None:
    limited = ["prlimit", f"--nofile={FILES}:{FILES}"]
    up = [script("monarch"), "up", "--home", str(tmp_path), "--api-port", "0", "--agents-port", "0"]
    output = tmp_path / "output"
    with output.open("w") as log, subprocess.Popen([*limited, *up], stdout=log, stderr=log, text=True) as process:
        try:
            url = wait_until(lambda: url_of(tmp_path, process), "Monarch to be ready", UP_S)
            address = (urlsplit(url).hostname, urlsplit(url).port)
            with contextlib.ExitStack() as stack:
                idles = [stack.enter_context(socket.create_connection(address)) for _ in range(IDLE_SOCKETS)]
                for idle in idles:
                    idle.setblocking(False)
                wait_until(lambda: all(map(is_closed, idles)), "every idle socket to be closed")
            assert wait_until(lambda: ready(url), "the exchange to answer again")
        finally:
            process.terminate()
            process.wait(STOP_S)
    assert process.returncode == 0
    assert "Traceback" not in output.read_text()


def ready(url: str) -> bool:
    try:
        return bool(Rest(url).get("/v1/health/ready")["status"] == "ok")
    except RestError:
        return False


def test_a_request_that_never_ends_its_head_is_dropped(tmp_path: Path) -> None:
    up = [script("monarch"), "up", "--home", str(tmp_path), "--api-port", "0", "--agents-port", "0"]
    with subprocess.Popen(up, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            url = wait_until(lambda: url_of(tmp_path, process), "Monarch to be ready", UP_S)
            address = (urlsplit(url).hostname, urlsplit(url).port)
            with socket.create_connection(address, UP_S) as slow:
                slow.sendall(b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ")
                slow.setblocking(False)
                assert wait_until(lambda: is_closed(slow), "the slow one to be closed")
        finally:
            process.terminate()
            process.wait(STOP_S)
