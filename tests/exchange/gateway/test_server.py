"""Behind the real server: bytes that no client library would send, and the story of a lease's events."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from engine.messages import LeaseActive
from exchange.gateway.http_protocol import HttpProtocol
from tests.exchange.gateway.floor import ACCESS, SKU, Client, Floor, floor, number_of
from tests.waiting import TIMEOUT_S, wait_until_async


@asynccontextmanager
async def served(home: Path) -> AsyncIterator[tuple[Floor, int]]:
    async with floor(home) as exchange:
        config = uvicorn.Config(
            exchange.app, log_level="critical", lifespan="off", http=HttpProtocol, ws="websockets-sansio"
        )
        server = uvicorn.Server(config)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            running = asyncio.create_task(server.serve([listener]))
            try:
                await wait_until_async(lambda: server.started or running.done(), "the server")
                yield exchange, listener.getsockname()[1]
            finally:
                server.should_exit = True
                await running


async def _send(port: int, request: bytes) -> tuple[int, bytes]:
    head, body = await _answer(port, request)
    return int(head.split(b" ")[1]), body


async def _answer(port: int, request: bytes) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(TIMEOUT_S):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return head, body
    finally:
        writer.close()
        await writer.wait_closed()


async def test_bytes_that_are_no_good_request_are_never_a_500(tmp_path: Path) -> None:
    async with served(tmp_path) as (exchange, port):
        key = f"Authorization: Bearer {exchange.admin.token}\r\n".encode()
        end = b"Host: x\r\nConnection: close\r\n\r\n"
        json_type = b"Content-Type: application/json\r\n"
        cases = [
            (b"nonsense\r\n\r\n", {400}),
            (b"GET /v1/orders/\xff\xfe HTTP/1.1\r\n" + key + end, {400, 404}),
            (b"GET /v1/orders?\xff=1 HTTP/1.1\r\n" + key + end, {400, 422}),
            (b"GET /v1/books/%ff%00 HTTP/1.1\r\n" + end, {404}),
            (b"GET /v1/account HTTP/1.1\r\nAuthorization: Bearer \xff\xff\r\n" + end, {401}),
            (b"POST /v1/keys HTTP/1.1\r\n" + key + json_type + b"Content-Length: 99999999\r\n" + end, {413}),
            (b"POST /v1/keys HTTP/1.1\r\n" + key + json_type + b"Content-Length: -1\r\n" + end, {400}),
            (
                b"POST /v1/keys HTTP/1.1\r\n" + key + json_type + b"Transfer-Encoding: chunked\r\n" + end + b"zz\r\n",
                {400},
            ),
            (
                b"POST /v1/keys HTTP/1.1\r\n"
                + key
                + json_type
                + b"Idempotency-Key: \xff\r\nContent-Length: 2\r\n"
                + end
                + b"{}",
                {422},
            ),
            (b"GET /v1/account HTTP/1.1\r\n" + key + b"Content-Length: 2\r\n" + end + b"{}", {422}),
            (b"GET /v1/account HTTP/1.1\r\n" + key + b"Content-Length: 99999999999\r\n" + end, {422}),
            (
                b"DELETE /v1/keys/x HTTP/1.1\r\n" + key + b"Transfer-Encoding: chunked\r\n" + end + b"2\r\n{}\r\n",
                {422},
            ),
            (b"GET /v1/account HTTP/1.1\r\n" + key + b"Transfer-Encoding: chunked\r\n" + end + b"0\r\n\r\n", {200}),
            (b"BREW /v1/keys HTTP/1.1\r\n" + key + end, {400, 405}),
        ]
        for request, statuses in cases:
            status, _ = await _send(port, request)
            assert status in statuses, request
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert (await Client(http, exchange.admin.token).get("/account"))["scopes"]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"FOO /v1/orders HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"),
        (b"post /v1/orders HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"),
        (b"PROPFIND /v1/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405, "method_not_allowed"),
        (b"FOO\r\n\r\n", 400, "malformed_request"),
        (b"\x16\x03\x01\x02\x00", 400, "malformed_request"),
        (b"GET /v1/orders HTTP/1.1\r\n: x\r\n\r\n", 400, "malformed_request"),
        (b"POST /v1/keys HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "malformed_request"),
    ],
)
async def test_what_the_server_itself_refuses_is_a_problem_too(
    tmp_path: Path, request_: bytes, status: int, code: str
) -> None:
    async with served(tmp_path) as (_, port):
        head, body = await _answer(port, request_)
        problem = json.loads(body)
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert (problem["status"], problem["code"], problem["outcome"]) == (status, code, "rejected")
        assert b"content-type: application/problem+json" in head.lower()
        assert (b"\r\nallow: " in head.lower()) is (status == 405)


async def test_what_follows_a_request_that_is_being_done_isnt_taken_for_its_answer(tmp_path: Path) -> None:
    async with served(tmp_path) as (exchange, port):
        body = b'{"name": "x", "scopes": ["read"]}'
        head = f"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {exchange.admin.token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = await _answer(port, head.encode() + body + b"FOO / HTTP/1.1\r\n\r\n")
        assert answer == (b"", b"")


async def test_a_slow_body_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange.gateway.reading.BODY_TIMEOUT_S", 0.05)
    async with served(tmp_path) as (exchange, port):
        head = f"POST /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {exchange.admin.token}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
        status, body = await _send(port, head.encode())
        assert (status, json.loads(body)["code"]) == (408, "request_timeout")


async def test_the_events_of_a_lease_until_it_has_ended(tmp_path: Path) -> None:
    async with served(tmp_path) as (exchange, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await exchange.seller()
        renter = await exchange.renter()
        wanted = {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}
        (lease,) = (await renter.post("/rentals", wanted))["leases"]
        headers = {"Authorization": f"Bearer {renter.token}"}
        states: list[str] = []
        async with asyncio.timeout(TIMEOUT_S):
            async with http.stream("GET", f"/v1/leases/{lease['id']}/events", headers=headers) as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                async for line in stream.aiter_lines():
                    if not line.startswith("data: "):
                        continue
                    told = json.loads(line.removeprefix("data: "))
                    states.append(told["state"])
                    if told["state"] == "provisioning":
                        await exchange.enter(LeaseActive(lease_id=number_of(lease["id"]), access=ACCESS))
                    elif told["state"] == "active":
                        assert told["ssh"]["port"] == 22001
                        await renter.delete(f"/leases/{lease['id']}")
        assert states == ["provisioning", "active", "ended"]
