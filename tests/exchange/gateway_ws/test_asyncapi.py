"""The AsyncAPI document: committed as the code makes it, whole in itself, and true of what is really sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.ids import parse_id
from engine.messages import LeaseActive, SetSession
from engine.records import Session
from exchange.gateway.ws import asyncapi
from exchange.gateway.ws.messages import MARKET_OPS, TRADE_OPS, ExecutionReport
from tests.exchange.gateway_ws.house import SPOT, House, Json
from tests.exchange.gateway_ws.test_sse import ACCESS


def test_the_committed_document_is_the_code_s() -> None:
    assert asyncapi.main(["--check", str(asyncapi.DOCUMENT)]) == 0


def test_a_change_is_found_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "asyncapi.json"
    assert asyncapi.main(["--write", str(file)]) == 0
    file.write_text(file.read_text().replace("order.place", "order.put"))
    assert asyncapi.main(["--check", str(file)]) == 1
    assert "+" in capsys.readouterr().err


def references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_is_whole() -> None:
    """Every reference leads somewhere, every op and channel is told of."""
    made = json.loads(asyncapi.document())
    for reference in set(references(made)):
        node = made
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    received = {name for name, operation in made["operations"].items() if operation["action"] == "receive"}
    assert received == {f"trade.{op}" for op in TRADE_OPS} | {f"market.{op}" for op in MARKET_OPS}
    sent = {name for name, operation in made["operations"].items() if operation["action"] == "send"}
    assert sent == {f"{door}.{topic}" for door, topics in asyncapi.EVENTS.items() for topic in topics}


def conforms(data: Json, kind: Json) -> None:
    """The data is of the struct, field by field, and has nothing that the struct hasn't."""
    assert msgspec.to_builtins(msgspec.convert(data, kind)) == data


async def test_what_is_sent_is_what_the_document_says(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    order = {"instrument": SPOT, "quantity": 2, "price": "2.0000"}
    seen: dict[str, set[str]] = {}
    lease_id = 0
    async with exchange.trade(provider) as maker, exchange.trade(renter) as taker, exchange.market() as market:
        for channel in asyncapi.EVENTS["trade"]:
            await taker.ok("subscribe", ch=channel)
        for channel in (f"book.{SPOT}", f"trades.{SPOT}", "instruments"):
            await market.ok("subscribe", ch=channel)
        for session in (Session.AUCTION, Session.CONTINUOUS):
            await exchange.enter(SetSession(instrument=1, session=session))
        placed = await maker.ok("order.place", **order, side="sell", baron=provider.baron)
        conforms(placed["result"], ExecutionReport)
        await taker.ok("order.place", **order | {"price": "1.0000"}, side="buy")
        await taker.send("order.place", **order, side="buy")
        wanted = {"trade": {"orders", "fills", "leases"}, "market": {"book", "trades", "instruments", "heartbeat"}}
        for wire, door in ((taker, "trade"), (market, "market")):
            while not wanted[door] <= seen.get(door, set()):
                message = await wire.next()
                if "ch" not in message:
                    continue
                topic = message["ch"].partition(".")[0]
                conforms(message["data"], asyncapi.EVENTS[door][topic][2])
                if message["type"] == "update":
                    seen.setdefault(door, set()).add(topic)
                if topic == "leases" and message["data"] and message["type"] == "update":
                    lease_id = parse_id("lse", message["data"][0]["id"])
        await exchange.enter(LeaseActive(lease_id=lease_id, access=ACCESS))
        active = await taker.skip_to(lambda m: m.get("ch") == "leases")
        assert active["data"][0]["ssh"]["port"] == 22001
        conforms(active["data"], asyncapi.EVENTS["trade"]["leases"][2])
