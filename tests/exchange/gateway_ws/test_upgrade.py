"""Who gets in, and who is thrown out: keys, scopes, subprotocols, bad frames, the end."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from exchange.gateway.ws import doors as doors_module
from exchange.gateway.ws.messages import MAX_MESSAGE_BYTES, SUBPROTOCOL
from exchange.registry.rows import Principal, Scope
from tests.exchange.gateway_ws.house import SPOT, House, Json, Party, house
from tests.waiting import wait_until_async

BUY = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "2.0000"}


async def denied(url: str, **options: Json) -> tuple[int, Json]:
    with pytest.raises(InvalidStatus) as raised:
        async with connect(url, **options):
            pass
    response = raised.value.response
    assert response.headers["content-type"] == "application/problem+json"
    problem = msgspec.json.decode(response.body or b"")
    assert problem["status"] == response.status_code
    return response.status_code, problem["code"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer hb_wrong"}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}],
)
async def test_without_a_valid_key_nobody_trades(exchange: House, headers: dict[str, str]) -> None:
    url = f"ws{exchange.url}/ws/v1/trade"
    assert await denied(url, additional_headers=headers) == (401, "unauthorized")


async def test_two_keys_are_none(exchange: House) -> None:
    party = await exchange.party()
    headers = [("Authorization", f"Bearer {party.token}"), ("Authorization", f"Bearer {party.token}")]
    assert await denied(f"ws{exchange.url}/ws/v1/trade", additional_headers=headers) == (401, "unauthorized")


async def test_a_key_for_other_things_is_not_let_in(exchange: House) -> None:
    party = await exchange.party(Scope.RENT, Scope.PROVIDE)
    headers = {"Authorization": f"Bearer {party.token}"}
    assert await denied(f"ws{exchange.url}/ws/v1/trade", additional_headers=headers) == (403, "missing_scope")


@pytest.mark.parametrize("door", ["trade", "market"])
async def test_addresses_take_no_parameters(exchange: House, door: str) -> None:
    url = f"ws{exchange.url}/ws/v1/{door}?token=hb_secret"
    assert await denied(url) == (422, "invalid_parameter")


@pytest.mark.parametrize("path", ["/ws/v1/nothing", "/ws/v2/trade", "/", "/v1/orders", "/ws/v1/trade/"])
async def test_where_no_door_is(exchange: House, caplog: pytest.LogCaptureFixture, path: str) -> None:
    assert await denied(f"ws{exchange.url}{path}") == (404, "not_found")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_subprotocols(exchange: House) -> None:
    url = f"ws{exchange.url}/ws/v1/market"
    assert await denied(url, subprotocols=["hourbook.v1.msgpack"]) == (400, "unsupported_subprotocol")
    for offered, chosen in (
        ([SUBPROTOCOL], SUBPROTOCOL),
        (["other", SUBPROTOCOL], SUBPROTOCOL),
        (None, None),
    ):
        async with connect(url, subprotocols=offered) as connection:  # type: ignore[arg-type]
            assert connection.subprotocol == chosen


async def test_an_account_has_so_many_connections(exchange: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors_module, "MAX_CONNECTIONS_PER_ACCOUNT", 2)
    party, other = await exchange.party(), await exchange.party()
    headers = {"Authorization": f"Bearer {party.token}"}
    async with exchange.trade(party), exchange.trade(party), exchange.trade(other):
        url = f"ws{exchange.url}/ws/v1/trade"
        assert await denied(url, additional_headers=headers) == (503, "overloaded")
    await wait_until_async(lambda: exchange.doors.connections == 0, "the connections to end")
    async with exchange.trade(party):
        pass


@pytest.mark.parametrize("bound", ["MAX_MARKET_CONNECTIONS", "MAX_TRADE_CONNECTIONS"])
async def test_one_full_door_leaves_the_other_open(
    exchange: House, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(doors_module, bound, 1)
    party, other = await exchange.party(), await exchange.party()
    async with exchange.trade(party) as trader, exchange.market() as reader:
        await trader.ok("order.place", **BUY)
        await reader.ok("subscribe", ch=f"trades.{SPOT}")
        full = {"MAX_MARKET_CONNECTIONS": "market", "MAX_TRADE_CONNECTIONS": "trade"}[bound]
        headers = {"Authorization": f"Bearer {other.token}"}
        for door in ("market", "trade"):
            url = f"ws{exchange.url}/ws/v1/{door}"
            if door == full:
                assert await denied(url, additional_headers=headers) == (503, "overloaded")
            else:
                async with connect(url, additional_headers=headers):
                    pass


async def test_revoking_a_key_over_rest_ends_its_connections_and_no_others(exchange: House) -> None:
    party, other = await exchange.party(), await exchange.party()
    async with exchange.trade(party) as ended, exchange.trade(other) as stays, exchange.http(party) as http:
        await ended.ok("order.place", **BUY)
        await stays.ok("order.place", **BUY)
        key = (await http.get("/account")).json()["key_id"]
        assert (await http.delete(f"/keys/{key}")).status_code == 200
        assert await ended.closed() == (4001, "key_revoked")
        await stays.ok("order.place", **BUY)
    headers = {"Authorization": f"Bearer {party.token}"}
    assert (await denied(f"ws{exchange.url}/ws/v1/trade", additional_headers=headers))[0] == 401


async def test_a_key_revoked_while_it_is_looked_up_gets_nowhere(exchange: House) -> None:
    """The registry says yes, and the key is revoked before the connection is known."""
    party = await exchange.party()
    ask = exchange.registry.principal
    asked = 0

    async def principal(token: str) -> Principal | None:
        nonlocal asked
        found = await ask(token)
        asked += 1
        if asked == 1:
            await exchange.revoke(party)
        return found

    exchange.registry.principal = principal  # type: ignore[method-assign]
    async with exchange.trade(party) as wire:
        assert await wire.closed() == (4001, "key_revoked")


async def test_a_key_that_expires_ends_its_connections(exchange: House) -> None:
    party = await exchange.party()
    holder = Principal(account=party.account, key_id=party.key_id, scopes=frozenset(Scope))
    soon = await exchange.registry.create_key(holder, [Scope.TRADE], "soon", time.time_ns() + 500_000_000)
    async with exchange.trade(Party(party.account, soon.token, soon.key.key_id)) as wire:
        assert await wire.closed() == (4002, "key_expired")


BAD_MESSAGES: list[tuple[str, str, str | None, str | int | None]] = [
    ("", "invalid_json", None, None),
    ("nonsense", "invalid_json", None, None),
    ("[" * 60_000, "invalid_json", None, None),
    ('{"id":1,"op":7,"params":{}', "invalid_json", None, None),
    ('{"id":1,"id":2,"op":"subscribe","params":{"ch":"orders"}}', "invalid_json", "id", 2),
    ('{"id":1,"op":"subscribe","params":{"ch":"orders","ch":"fills"}}', "invalid_json", "ch", 1),
    ("[]", "invalid_field", None, None),
    ("{}", "missing_field", "id", None),
    ('{"id":1}', "missing_field", "op", 1),
    ('{"id":1,"op":"subscribe"}', "missing_field", "params", 1),
    ('{"id":"a","op":"subscribe","params":{"ch":"orders"},"more":1}', "unknown_field", "more", "a"),
    ('{"id":1.5,"op":"subscribe","params":{}}', "invalid_field", "id", None),
    ('{"id":-1,"op":"subscribe","params":{}}', "invalid_field", "id", None),
    ('{"id":1,"op":7,"params":{}}', "invalid_field", "op", 1),
    ('{"id":1,"op":"subscribe","params":[]}', "invalid_field", None, 1),
    ('{"id":1,"op":"subscribe","params":' + "[" * 30_000 + "]" * 30_000 + "}", "invalid_json", None, None),
    ('{"id":1,"op":"subscribe","params":{"ch":"\\ud800"}}', "invalid_json", None, None),
    ('{"id":1,"op":"subscribe","params":{"ch":"orders"}} trailing', "invalid_json", None, None),
]


async def test_bad_messages_are_answered_and_the_connection_lives(exchange: House) -> None:
    party = await exchange.party()
    async with exchange.trade(party) as wire:
        for text, code, field, request_id in BAD_MESSAGES:
            await wire.connection.send(text)
            reply = await wire.next()
            assert reply["status"] in (400, 422)
            assert (reply["error"]["code"], reply["error"].get("field"), reply["id"]) == (code, field, request_id), text
        await wire.ok("order.place", **BUY)


async def test_frames_that_can_t_be_messages_end_the_connection_and_are_no_error_of_ours(
    exchange: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with exchange.market() as wire:
        await wire.connection.send(b"\x00\x01")
        assert (await wire.closed())[0] == 1003
    async with exchange.market() as wire:
        await wire.connection.send(" " * (MAX_MESSAGE_BYTES + 1))
        assert (await wire.closed())[0] == 1009
    async with exchange.market() as wire:
        frame = wire.connection.protocol
        frame.send_text(b"\xff\xfe")
        wire.connection.transport.write(b"".join(frame.data_to_send()))
        assert (await wire.closed())[0] == 1007
    async with exchange.market() as wire:
        frame = wire.connection.protocol
        frame.send_text(b'"\xe2\x82', fin=False)
        frame.send_continuation(b'\xac"', fin=True)
        wire.connection.transport.write(b"".join(frame.data_to_send()))
        assert (await wire.connection.recv()) is not None, "a text in parts is put together before it is looked at"
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_stopping_ends_every_connection_and_lets_nobody_in(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        party = await made.party()
        async with made.trade(party) as trader, made.market() as reader:
            await trader.ok("order.place", **BUY)
            await made.doors.stop(5.0)
            assert made.doors.connections == 0
            assert (await trader.closed())[0] == 1012
            assert (await reader.closed())[0] == 1012
        assert await denied(f"ws{made.url}/ws/v1/market") == (503, "not_ready")


async def test_connections_leave_nothing_behind(exchange: House) -> None:
    party = await exchange.party()
    before = len(asyncio.all_tasks())
    for _ in range(20):
        async with exchange.trade(party) as wire:
            await wire.ok("subscribe", ch="orders")
            await wire.ok("order.place", **BUY)
    await wait_until_async(lambda: exchange.doors.connections == 0, "the connections to end")
    await wait_until_async(lambda: len(asyncio.all_tasks()) <= before, "their tasks to end")
    assert exchange.doors._channels._channels == {}
    assert exchange.doors._channels._expected == {}
