"""The WebSocket client: against a whole exchange, and against a local server that breaks its word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from hourbook import stream as stream_module
from hourbook.client import Client
from hourbook.errors import OutcomeUnknown, Rejected, StreamEnded, Unreachable
from hourbook.stream import Event, Stream
from tests.e2e.exchange import SPOT, Exchange
from tests.waiting import wait_until_async

WAIT_S = 30.0


async def wait_for(stream: Stream, wanted: Callable[[Event], bool]) -> Event:
    async def look() -> Event:
        while not wanted(event := await stream.event()):
            """Others pass by."""
        return event

    return await asyncio.wait_for(look(), WAIT_S)


def is_so(client: Client, placed: dict[str, Any], status: str) -> bool:
    return client.order(placed["order_id"], min_seq=placed["seq"]).status == status


async def test_an_order_from_its_entry_to_its_cancel(exchange: Exchange) -> None:
    async with Stream(exchange.url, exchange.world.key("renter")) as trade:
        await trade.subscribe("orders")
        placed = await trade.place(SPOT, "buy", 2, "1.25", post_only=True, client_order_id="stream-test")
        assert (placed["status"], placed["price"], placed["leaves_quantity"]) == ("new", "1.2500", 2)
        amended = await trade.amend(placed["order_id"], price="1.30", quantity=1)
        assert (amended["exec_type"], amended["price"], amended["leaves_quantity"]) == ("replaced", "1.3000", 1)
        cancelled = await trade.cancel(placed["order_id"])
        assert cancelled["status"] == "canceled"
        with pytest.raises(Rejected) as raised:
            await trade.cancel(placed["order_id"])
        assert raised.value.code == "order_closed"
        last = await wait_for(
            trade,
            lambda event: event.ch == "orders" and any(report["exec_type"] == "canceled" for report in event.data),
        )
        assert last.seq == cancelled["seq"]


async def test_orders_together_and_a_connection_that_takes_its_own_with_it(exchange: Exchange) -> None:
    key = exchange.world.key("renter")
    async with Stream(exchange.url, key) as trade:
        stop = await trade.place(SPOT, "buy", 1, type="stop_limit", stop_price="8.5", price="9", tag="together")
        assert (stop["armed"], stop["stop_price"], stop["price"]) == (True, "8.5000", "9.0000")
        assert await trade.cancel_all(tag="together") == 1
        with pytest.raises(TypeError):
            await trade.place(SPOT, "buy", 1, "9", type="stop_limit", stop_price=8.5)
        assert await trade.cancel_all_after(60_000)
        assert await trade.cancel_all_after(0) is None
        bids = [{"instrument": SPOT, "side": "buy", "price": price, "quantity": 1} for price in ("1", "1.1")]
        placed = await trade.set_quotes("bids", bids, max_fills=5)
        assert [report["status"] for report in placed] == ["new", "new"]
        assert await trade.set_quotes("bids", []) == []
    with Client(exchange.url, key) as client:
        for logs_out, status in ((True, "new"), (False, "canceled")):
            async with Stream(exchange.url, key, cancel_on_disconnect=True) as trade:
                order = await trade.place(SPOT, "buy", 1, "1")
                if logs_out:
                    await trade.log_out()
            await wait_until_async(partial(is_so, client, order, status), f"the order to be {status}")
        assert client.cancel_all(side="buy").orders == 1


async def test_a_book_tells_of_its_changes(exchange: Exchange) -> None:
    async with Stream(exchange.url, door="market") as market:
        await market.subscribe(f"book.{SPOT}")
        snapshot = await wait_for(market, lambda event: event.type == "snapshot")
        assert snapshot.data["asks"][0]["price"] == "2.0000"
        await asyncio.to_thread(exchange.offer_all, "2.5000")
        await wait_for(
            market,
            lambda event: event.ch.startswith("book") and any(lv["price"] == "2.5000" for lv in event.data["asks"]),
        )
        await market.unsubscribe(f"book.{SPOT}")


async def test_doors_that_stay_shut(exchange: Exchange) -> None:
    with pytest.raises(Rejected) as raised:
        async with Stream(exchange.url, "hb_wrong"):
            pytest.fail("a wrong key opened the door")
    assert raised.value.code == "unauthorized"
    with pytest.raises(Unreachable):
        async with Stream("http://127.0.0.1:1"):
            pytest.fail("nobody opened the door")
    with pytest.raises(ValueError, match="http"):
        Stream("ftp://example.org")


async def test_a_float_is_refused_before_anything_is_sent(exchange: Exchange) -> None:
    wrong: Any = 1.5
    async with Stream(exchange.url, exchange.world.key("renter")) as trade:
        with pytest.raises(TypeError):
            await trade.place(SPOT, "buy", 1, wrong)
        with pytest.raises(Rejected) as raised:
            await trade.place(SPOT, "buy", 1, "1.23456")
        assert raised.value.code == "invalid_price"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf"), Decimal("NaN")])
async def test_what_is_no_number_is_refused_before_anything_is_sent(wrong: Any) -> None:
    async def take_nothing(connection: ServerConnection) -> None:
        async for message in connection:
            pytest.fail(f"{message!r} was sent")

    async with faulty(take_nothing) as url, Stream(url) as trade:
        quote = {"instrument": "X", "side": "buy", "price": "1", "quantity": wrong}
        for field, call in (
            ("quantity", trade.place("X", "buy", wrong, "1")),
            ("display_quantity", trade.place("X", "buy", 8, "1", display_quantity=wrong)),
            ("expire_us", trade.amend("ord_1", expire_us=wrong)),
            ("after_ms", trade.cancel_all_after(wrong)),
            (r"quotes\[0\]\.quantity", trade.set_quotes("q", [quote])),
            ("max_fills", trade.set_quotes("q", [], max_fills=wrong)),
        ):
            with pytest.raises(ValueError, match=f"{field} is .*no number"):
                await call


async def test_a_revoked_key_ends_the_stream(exchange: Exchange) -> None:
    with Client(exchange.url, exchange.world.key("renter")) as client:
        made = client.create_key(["read", "trade"])
        async with Stream(exchange.url, made.token or "") as trade:
            await trade.subscribe("orders")
            client.revoke_key(made.id)
            with pytest.raises(StreamEnded):
                await wait_for(trade, lambda event: event.ch == "never")
            with pytest.raises(StreamEnded):
                await trade.subscribe("orders")


# ---------------------------------------------------------------- a server that breaks its word


@asynccontextmanager
async def faulty(behave: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async with serve(behave, "127.0.0.1", 0, subprotocols=[stream_module.SUBPROTOCOL]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


def event(seq: int, prev_seq: int, kind: str = "update") -> str:
    return json.dumps({"ch": "orders", "type": kind, "seq": seq, "prev_seq": prev_seq, "ts_us": 1, "data": []})


async def test_an_order_without_a_reply_is_unknown_never_refused() -> None:
    async def hang_up(connection: ServerConnection) -> None:
        await connection.recv()

    async with faulty(hang_up) as url, Stream(url) as trade:
        with pytest.raises(OutcomeUnknown):
            await trade.place("X", "buy", 1, "1")


async def test_a_reply_that_never_comes_is_given_up() -> None:
    async def say_nothing(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with faulty(say_nothing) as url, Stream(url) as trade:
        with pytest.raises(OutcomeUnknown):
            await trade.ask("order.place", {}, timeout_s=0.01)


@pytest.mark.parametrize(("seq", "settles"), [(None, False), (9, True)])
async def test_only_the_engines_refusal_ends_the_doubt_of_an_order_that_is_repeated(
    seq: int | None, settles: bool
) -> None:
    doubt = {"code": "outcome_unknown", "detail": "Perhaps.", "status": 503, "outcome": "unknown"}
    refusal = {"code": "no", "detail": "No.", "status": 409, "outcome": "rejected", "seq": seq}

    async def doubt_one_and_refuse_the_others(connection: ServerConnection) -> None:
        error = doubt
        async for message in connection:
            await connection.send(json.dumps({"id": json.loads(message)["id"], "status": 409, "error": error}))
            error = refusal

    async with faulty(doubt_one_and_refuse_the_others) as url, Stream(url) as trade:
        with pytest.raises(OutcomeUnknown, match="Perhaps"):
            await trade.place("X", "buy", 1, "1", client_order_id="mine")
        with pytest.raises(Rejected if settles else OutcomeUnknown, match="no: No") as raised:
            await trade.place("X", "buy", 1, "1", client_order_id="mine")
        if isinstance(raised.value, OutcomeUnknown):
            assert raised.value.last is not None
            assert (raised.value.last.code, raised.value.outcome) == ("no", "unknown")
        with pytest.raises(Rejected):
            await trade.place("X", "buy", 1, "1", client_order_id="another")


async def test_a_gap_ends_the_stream() -> None:
    async def skip_one(connection: ServerConnection) -> None:
        for message in (event(5, 5, "snapshot"), event(6, 5), event(9, 8)):
            await connection.send(message)
        await connection.wait_closed()

    async with faulty(skip_one) as url, Stream(url) as trade:
        assert [(await trade.event()).seq for _ in range(2)] == [5, 6]
        with pytest.raises(StreamEnded) as raised:
            await trade.event()
    assert raised.value.code == "gap"


async def test_a_reader_that_falls_behind_ends_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_EVENTS", 3)

    async def pour(connection: ServerConnection) -> None:
        await connection.recv()
        for seq in range(1, 6):
            await connection.send(event(seq, seq - 1))
        await connection.wait_closed()

    async with faulty(pour) as url, Stream(url) as trade:
        with pytest.raises(OutcomeUnknown):
            await trade.ask("subscribe", {"ch": "orders"})
        assert [(await trade.event()).seq for _ in range(3)] == [1, 2, 3]
        with pytest.raises(StreamEnded) as raised:
            await trade.event()
    assert raised.value.code == "slow_reader"


@pytest.mark.parametrize("nonsense", ["not json", '{"ch": "orders"}', "[]"])
async def test_what_is_not_understood_ends_the_stream(nonsense: str) -> None:
    async def talk_nonsense(connection: ServerConnection) -> None:
        await connection.send(nonsense)
        await connection.wait_closed()

    async with faulty(talk_nonsense) as url, Stream(url) as trade:
        with pytest.raises(StreamEnded):
            await trade.event()
