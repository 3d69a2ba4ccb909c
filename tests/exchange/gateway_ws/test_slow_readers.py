"""Readers that don't read: market data waits for them with a fresh snapshot, private events end with a reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed

from exchange.gateway.ws import connection as connection_module
from exchange.gateway.ws import outbox as outbox_module
from exchange.gateway.ws.connection import Connection
from exchange.gateway.ws.outbox import Outbox
from tests.exchange.gateway_ws.house import SPOT, House, Wire
from tests.exchange.gateway_ws.test_market import BOOK, Copy, rest_book
from tests.waiting import wait_until_async

BUY = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "2.0000"}
SLOW = {"max_queue": 1, "ping_interval": None}
ROUNDS_MAX = 200


async def trade_until(wire: Wire, done: Callable[[], object]) -> None:
    """Place and cancel orders until `done()`."""
    for _ in range(ROUNDS_MAX):
        sent = [await wire.send("order.place", **BUY | {"price": f"1.{place:04d}"}) for place in range(20)]
        replies = [await wire.skip_to(lambda m: "id" in m) for _ in sent]
        for reply in replies:
            await wire.ok("order.cancel", order_id=reply["result"]["order_id"])
        if done():
            return
    raise AssertionError("the reader was never found to be slow")


async def read_to_the_end(wire: Wire) -> None:
    while True:
        await wire.next()


def market_connections(exchange: House) -> list[Connection]:
    return [connection for connection, principal in exchange.doors._open.items() if principal is None]


async def test_a_slow_market_reader_misses_deltas_and_gets_a_fresh_snapshot(
    exchange: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "LAG_MESSAGES", 8)
    renter = await exchange.party()
    async with exchange.trade(renter) as trader, exchange.market(sock=exchange.stuck_socket(), **SLOW) as reader:
        await reader.ok("subscribe", ch=BOOK)
        copy = Copy()
        copy.take(await reader.event(BOOK))
        (slow,) = market_connections(exchange)
        await trade_until(trader, lambda: slow._stale)
        last = (await trader.ok("order.place", **BUY))["seq"]
        kinds = []
        while copy.seq < last:
            event = await reader.event(BOOK)
            kinds.append(event["type"])
            copy.take(event)
        assert "snapshot" in kinds
        shown = await rest_book(exchange, renter)
        assert copy.levels("bids") == shown["bids"]
        # And from there on it goes on as if nothing had been.
        after = await trader.ok("order.place", **BUY)
        event = await reader.event(BOOK)
        copy.take(event)
        assert (event["type"], event["seq"]) == ("update", after["seq"])


async def test_a_slow_private_reader_is_disconnected_and_told_why(
    exchange: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_MESSAGES", 50)
    renter = await exchange.party()
    async with exchange.trade(renter) as trader, exchange.trade(renter, sock=exchange.stuck_socket(), **SLOW) as reader:
        await reader.ok("subscribe", ch="orders")
        (slow,) = [connection for connection in exchange.doors._open if connection.subscriptions]
        await trade_until(trader, slow._ending.done)
        with pytest.raises(ConnectionClosed):
            await read_to_the_end(reader)
        assert await reader.closed() == (4008, "slow_reader")
        await trader.ok("order.place", **BUY)


async def test_a_reader_that_never_reads_is_cut(exchange: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_MESSAGES", 50)
    monkeypatch.setattr(connection_module, "CLOSE_S", 0.05)
    renter = await exchange.party()
    async with exchange.trade(renter) as trader:
        async with exchange.trade(renter, sock=exchange.stuck_socket(), close_timeout=0.1, **SLOW) as reader:
            await reader.ok("subscribe", ch="orders")
            (slow,) = [connection for connection in exchange.doors._open if connection.subscriptions]
            await trade_until(trader, slow._ending.done)
            await wait_until_async(lambda: exchange.doors.connections == 1, "the reader to be cut")
        await trader.ok("order.place", **BUY)


async def test_an_outbox_keeps_order_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_MESSAGES", 3)
    monkeypatch.setattr(outbox_module, "MAX_BYTES", 100)
    monkeypatch.setattr(outbox_module, "LAG_MESSAGES", 2)
    box = Outbox()
    assert (box.put(b"a"), box.lagging) == (True, False)
    assert (box.put(b"b"), box.lagging) == (True, True)
    assert (box.put(b"c"), box.overflowed) == (True, False)
    assert (box.put(b"d"), box.overflowed) == (False, True)
    assert not box.put(b"")
    assert not Outbox().put(b"x" * 101)
