"""`GET /v1/leases/{id}/events`: the state at once, each change, and the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from engine.ids import parse_id
from engine.kinds import Fault
from engine.messages import EndLease, LeaseActive, LeaseFailed, LeaseWiped
from exchange.gateway import sse as sse_module
from exchange.registry.rows import Principal, Scope
from tests.exchange.gateway_ws.house import SPOT, House, Json, Party, house
from tests.waiting import TIMEOUT_S, wait_until_async

ACCESS = b'{"host":"127.0.0.1","port":22001,"user":"gpu","host_key":"ssh-ed25519 AAAAHOST"}'


class Stream:
    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def block(self) -> list[str]:
        """The lines up to the next empty one; none at the end of the stream."""
        lines: list[str] = []
        async with asyncio.timeout(TIMEOUT_S):
            async for line in self._lines:
                if not line:
                    return lines
                lines.append(line)
        return lines

    async def state(self) -> Json:
        while (block := await self.block())[:1] == [": keep-alive"]:
            pass
        kind, number, data = block
        assert kind == "event: lease"
        lease = msgspec.json.decode(data.removeprefix("data: "))
        assert number == f"id: {lease['seq']}"
        return lease


async def leased(exchange: House) -> tuple[Party, Party, str]:
    """Provider, renter, and a lease of the second on the first's Baron."""
    provider, renter = await exchange.party(baron=True), await exchange.party()
    order = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": provider.baron}
    async with exchange.trade(provider) as maker, exchange.trade(renter) as taker:
        await maker.ok("order.place", **order)
        await taker.ok("subscribe", ch="leases")
        await taker.ok("order.place", instrument=SPOT, side="buy", quantity=1, price="2.0000")
        event = await taker.skip_to(lambda m: m.get("ch") == "leases" and m["type"] == "update")
        return provider, renter, event["data"][0]["id"]


@asynccontextmanager
async def stream(exchange: House, party: Party, lease_id: str) -> AsyncIterator[Stream]:
    async with exchange.http(party) as http, http.stream("GET", f"/leases/{lease_id}/events") as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


async def test_each_state_until_the_end(exchange: House) -> None:
    provider, renter, lease_id = await leased(exchange)
    number = parse_id("lse", lease_id)
    async with stream(exchange, renter, lease_id) as mine, stream(exchange, provider, lease_id) as theirs:
        for watcher in (mine, theirs):
            state = await watcher.state()
            assert (state["id"], state["state"], state["ssh"]) == (lease_id, "provisioning", None)
        await exchange.enter(LeaseActive(lease_id=number, access=ACCESS))
        active = await mine.state()
        assert (active["state"], active["ssh"]["port"]) == ("active", 22001)
        seen = await theirs.state()
        assert (seen["state"], seen["ssh"], seen["order_id"]) == ("active", None, None)
        await exchange.enter(EndLease(account=renter.account, lease_id=number))
        for watcher in (mine, theirs):
            ended = await watcher.state()
            assert (ended["state"], ended["reason"]) == ("ended", "quit")
            assert await watcher.block() == []
    await wait_until_async(lambda: exchange.streams.open == 0, "the streams to be given back")
    assert exchange.streams._streams == {}


async def test_a_lease_that_has_ended_is_told_once(exchange: House) -> None:
    _, renter, lease_id = await leased(exchange)
    number = parse_id("lse", lease_id)
    failure = LeaseFailed(
        lease_id=number, fault=Fault.RENTER, as_of_ns=(await _start_ns(exchange, number)), detail="no"
    )
    await exchange.enter(failure)
    for wiped in (False, True):
        if wiped:
            await exchange.enter(LeaseWiped(lease_id=number))
        async with stream(exchange, renter, lease_id) as watcher:
            state = await watcher.state()
            assert (state["state"], state["wiped"]) == ("failed", wiped)
            assert await watcher.block() == []


async def _start_ns(exchange: House, lease_id: int) -> int:
    lease = exchange.streams._feed.live.lease(lease_id)
    assert lease is not None
    return lease.start_ns


async def test_anothers_lease_is_unknown(exchange: House) -> None:
    _, _, lease_id = await leased(exchange)
    other = await exchange.party()
    async with exchange.http(other) as http:
        for path in (lease_id, "lse_000000000ZZZZ"):
            response = await http.get(f"/leases/{path}/events")
            assert (response.status_code, response.json()["code"]) == (404, "unknown_lease")


async def test_a_quiet_stream_is_kept_alive(tmp_path: Path) -> None:
    async with house(tmp_path, keep_alive_s=0.02) as exchange:
        _, renter, lease_id = await leased(exchange)
        async with stream(exchange, renter, lease_id) as watcher:
            await watcher.state()
            assert await watcher.block() == [": keep-alive"]
            assert await watcher.block() == [": keep-alive"]


async def test_stopping_ends_the_streams(exchange: House) -> None:
    _, renter, lease_id = await leased(exchange)
    async with stream(exchange, renter, lease_id) as watcher:
        await watcher.state()
        exchange.streams.stop()
        assert await watcher.block() == []
    async with exchange.http(renter) as http:
        response = await http.get(f"/leases/{lease_id}/events")
        assert (response.status_code, response.json()["code"]) == (503, "not_ready")


async def test_a_reader_that_leaves_is_forgotten(tmp_path: Path) -> None:
    async with house(tmp_path, keep_alive_s=0.02) as exchange:
        _, renter, lease_id = await leased(exchange)
        async with stream(exchange, renter, lease_id) as watcher:
            await watcher.state()
            assert exchange.streams.open == 1
        await wait_until_async(lambda: exchange.streams.open == 0, "the stream to be given back")


async def test_revoking_a_key_ends_its_streams_and_no_others(exchange: House) -> None:
    provider, renter, lease_id = await leased(exchange)
    other = await another_key(exchange, renter)
    async with (
        stream(exchange, renter, lease_id) as ended,
        stream(exchange, other, lease_id) as stays,
        stream(exchange, provider, lease_id) as theirs,
        exchange.http(renter) as http,
    ):
        for watcher in (ended, stays, theirs):
            assert (await watcher.state())["state"] == "provisioning"
        key = (await http.get("/account")).json()["key_id"]
        assert (await http.delete(f"/keys/{key}")).status_code == 200
        assert await ended.block() == []
        await exchange.enter(LeaseActive(lease_id=parse_id("lse", lease_id), access=ACCESS))
        for watcher in (stays, theirs):
            assert (await watcher.state())["state"] == "active"
    async with exchange.http(renter) as http:
        assert (await http.get(f"/leases/{lease_id}/events")).status_code == 401


async def test_a_change_that_waits_when_its_key_is_revoked_is_not_told(exchange: House) -> None:
    """Revoked in the same turn of the event loop in which the lease changed."""
    _, renter, lease_id = await leased(exchange)
    feed = exchange.streams._feed
    async with stream(exchange, renter, lease_id) as watcher:
        await watcher.state()
        feed.listen(lambda _: exchange.close_key(renter.key_id))
        await exchange.enter(LeaseActive(lease_id=parse_id("lse", lease_id), access=ACCESS))
        assert await watcher.block() == []


async def test_a_key_revoked_while_its_request_was_checked_sees_nothing(exchange: House) -> None:
    """The registry says yes, and the key is revoked before the stream is known."""
    _, renter, lease_id = await leased(exchange)
    ask = exchange.registry.principal
    asked = 0

    async def principal(token: str) -> Principal | None:
        nonlocal asked
        found = await ask(token)
        asked += 1
        if asked == 1:
            await exchange.revoke(renter)
        return found

    exchange.registry.principal = principal  # type: ignore[method-assign]
    async with stream(exchange, renter, lease_id) as watcher:
        assert await watcher.block() == []
    assert (asked, exchange.streams.open) == (2, 0)


async def test_a_key_that_expires_ends_its_streams(exchange: House) -> None:
    _, renter, lease_id = await leased(exchange)
    soon = await another_key(exchange, renter, time.time_ns() + 500_000_000)
    async with stream(exchange, soon, lease_id) as watcher, stream(exchange, renter, lease_id) as stays:
        for one in (watcher, stays):
            assert (await one.state())["state"] == "provisioning"
        while (block := await watcher.block()) == [": keep-alive"]:
            pass
        assert block == []
        await exchange.enter(LeaseActive(lease_id=parse_id("lse", lease_id), access=ACCESS))
        assert (await stays.state())["state"] == "active"


async def another_key(exchange: House, party: Party, expires_ns: int = 0) -> Party:
    holder = Principal(account=party.account, key_id=party.key_id, scopes=frozenset(Scope))
    made = await exchange.registry.create_key(holder, [Scope.READ], "another", expires_ns)
    return Party(party.account, made.token, made.key.key_id)


async def test_an_account_has_so_many_streams(exchange: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_module, "MAX_STREAMS_PER_ACCOUNT", 2)
    provider, renter, lease_id = await leased(exchange)
    async with stream(exchange, renter, lease_id) as one, stream(exchange, renter, lease_id) as two:
        for watcher in (one, two):
            await watcher.state()
        async with exchange.http(renter) as http:
            response = await http.get(f"/leases/{lease_id}/events")
            assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        async with stream(exchange, provider, lease_id) as theirs:
            assert (await theirs.state())["state"] == "provisioning"
            assert exchange.streams.open == 3


async def test_streams_are_bounded(exchange: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_module, "MAX_STREAMS", 1)
    _, renter, lease_id = await leased(exchange)
    async with stream(exchange, renter, lease_id) as watcher, exchange.http(renter) as http:
        await watcher.state()
        response = await http.get(f"/leases/{lease_id}/events")
        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
