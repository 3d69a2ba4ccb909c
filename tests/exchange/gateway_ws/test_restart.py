"""After a restart the doors show what they showed before, and go on from there."""

from __future__ import annotations

from pathlib import Path

from engine.ids import parse_id
from engine.messages import LeaseActive
from tests.exchange.gateway_ws.house import SPOT, House, Json, Party, house
from tests.exchange.gateway_ws.test_market import BOOK
from tests.exchange.gateway_ws.test_sse import ACCESS


async def shown(exchange: House, party: Party) -> dict[str, Json]:
    """The snapshots of the account's channels and of the book, without what only the passing of time changes."""
    snapshots = {}
    async with exchange.trade(party) as wire, exchange.market() as market:
        for channel in ("orders", "leases"):
            await wire.ok("subscribe", ch=channel)
            snapshots[channel] = (await wire.event(channel))["data"]
        for lease in snapshots["leases"]:
            del lease["accrued"]
        await market.ok("subscribe", ch=BOOK)
        snapshots[BOOK] = (await market.event(BOOK))["data"]
    return snapshots


async def test_a_restart_changes_nothing_that_is_shown(tmp_path: Path) -> None:
    order = {"instrument": SPOT, "price": "2.0000"}
    async with house(tmp_path) as exchange:
        provider, renter = await exchange.party(baron=True), await exchange.party()
        async with exchange.trade(provider) as maker, exchange.trade(renter) as taker:
            await maker.ok("order.place", **order, side="sell", quantity=5, baron=provider.baron)
            await taker.ok("order.place", **order, side="buy", quantity=3)
            resting = await taker.ok("order.place", **order | {"price": "1.5000"}, side="buy", quantity=2)
        before = {party.account: await shown(exchange, party) for party in (provider, renter)}
        lease_id = before[renter.account]["leases"][0]["id"]
        await exchange.enter(LeaseActive(lease_id=parse_id("lse", lease_id), access=ACCESS))
        before = {party.account: await shown(exchange, party) for party in (provider, renter)}
    async with house(tmp_path) as exchange:
        assert {party.account: await shown(exchange, party) for party in (provider, renter)} == before
        async with exchange.trade(renter) as taker:
            await taker.ok("order.cancel", order_id=resting["result"]["order_id"])
            filled = await taker.ok("order.place", **order, side="buy", quantity=2)
            assert filled["result"]["status"] == "filled"
        after = await shown(exchange, renter)
        assert after["orders"] == []
        assert after[BOOK] == {"simulated": True, "bids": [], "asks": []}
        first, _ = after["leases"]
        assert first["id"] == lease_id
