"""Cancel on disconnect is certain: it outlasts an overload, and a line that went dead counts as lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine.messages import CancelAll, Command, KeepOrders, Reply
from exchange.gateway.ws import trade as trade_module
from exchange.sequencer.interface import Overloaded, Submit
from tests.exchange.gateway_ws.house import House, Party, house
from tests.exchange.gateway_ws.test_mass import BUY, open_orders
from tests.waiting import wait_until_async

CHOSEN = "?cancel_on_disconnect=true"
TRIES = 200
"""More than a retry that gives up would ever make."""


class Crowd:
    """Stands before the sequencer and lets none of these commands in while it is there."""

    def __init__(self, *kinds: type[Command]) -> None:
        self.kinds = kinds
        self.turned_away: Counter[type[Command]] = Counter()
        self.there = True

    def before(self, submit: Submit) -> Submit:
        async def pressed(command: Command) -> Reply:
            if self.there and isinstance(command, self.kinds):
                self.turned_away[type(command)] += 1
                raise Overloaded("a crowd is in the way")
            return await submit(command)

        return pressed


async def lose(exchange: House, party: Party) -> None:
    async with exchange.trade(party, query=CHOSEN) as wire:
        await wire.ok("order.place", **BUY)
        wire.connection.transport.abort()


async def test_the_cancel_comes_again_until_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_module, "CANCEL_AGAIN_S", 0.001)
    monkeypatch.setattr(trade_module, "CANCEL_AGAIN_MAX_S", 0.002)
    crowd = Crowd(CancelAll)
    async with house(tmp_path, through=crowd.before) as exchange:
        renter = await exchange.party()
        await lose(exchange, renter)
        await wait_until_async(lambda: crowd.turned_away[CancelAll] >= TRIES, "many tries")
        assert len(await open_orders(exchange, renter)) == 1
        assert exchange.doors.connections >= 1, "it keeps its place, so that those who wait are bounded"
        crowd.there = False
        await wait_until_async(lambda: exchange.doors.connections == 0, "the connection to be over")
        assert await open_orders(exchange, renter) == []


async def test_a_server_that_stops_doesnt_wait_for_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next start cancels what is left then (tests/exchange/monarch/test_up.py)."""
    crowd = Crowd(CancelAll)
    async with house(tmp_path, stop_s=0.1, through=crowd.before) as exchange:
        renter = await exchange.party()
        await lose(exchange, renter)
        await wait_until_async(lambda: crowd.turned_away[CancelAll] > 0, "a try")
    assert any("wait for the next start" in record.getMessage() for record in caplog.records)


async def test_who_cant_log_out_hasnt(tmp_path: Path) -> None:
    crowd = Crowd(KeepOrders)
    async with house(tmp_path, through=crowd.before) as exchange:
        renter = await exchange.party()
        async with exchange.trade(renter, query=CHOSEN) as wire:
            await wire.ok("order.place", **BUY)
            error = await wire.refused("session.logout")
            assert (error["code"], error["outcome"]) == ("overloaded", "rejected")
            await wire.ok("order.place", **BUY)
        await wait_until_async(lambda: exchange.doors.connections == 0, "the connection to be over")
        assert await open_orders(exchange, renter) == []


async def test_a_line_that_went_dead_is_lost(tmp_path: Path) -> None:
    async with house(tmp_path, ping_s=0.2) as exchange:
        renter = await exchange.party()
        async with exchange.trade(renter, query=CHOSEN) as wire:
            await wire.ok("order.place", **BUY)
            # What the server sends from now on, pings among it, is never read; nothing is closed either.
            wire.connection.transport.pause_reading()
            await wait_until_async(lambda: exchange.doors.connections == 0, "the connection to be over")
            wire.connection.transport.abort()
        assert await open_orders(exchange, renter) == []
