"""`/ws/v1/market`: books as snapshot and deltas, trades, heartbeats; no key."""

from __future__ import annotations

from tests.exchange.gateway_ws.house import ONDEMAND, SPOT, House, Json, Party

BUY = {"instrument": SPOT, "side": "buy", "quantity": 4, "price": "2.0000"}
BOOK = f"book.{SPOT}"
TRADES = f"trades.{SPOT}"


def ask(provider: Party, price: str, quantity: int) -> dict[str, Json]:
    return {"instrument": SPOT, "side": "sell", "quantity": quantity, "price": price, "baron": provider.baron}


class Copy:
    """A client's copy of a book, kept from snapshot and deltas as the API tells to."""

    def __init__(self) -> None:
        self.seq = 0
        self.sides: dict[str, dict[str, Json]] = {"bids": {}, "asks": {}}

    def take(self, event: Json) -> None:
        if event["type"] == "snapshot":
            self.sides = {"bids": {}, "asks": {}}
        else:
            assert event["prev_seq"] == self.seq, event
        self.seq = event["seq"]
        for side, levels in self.sides.items():
            for level in event["data"][side]:
                if level["orders"]:
                    levels[level["price"]] = level
                else:
                    assert level["quantity"] == level["conditional_quantity"] == 0
                    del levels[level["price"]]

    def levels(self, side: str) -> list[Json]:
        return sorted(self.sides[side].values(), key=lambda level: float(level["price"]), reverse=side == "bids")


async def rest_book(exchange: House, party: Party) -> Json:
    async with exchange.http(party) as http:
        response = await http.get(f"/books/{SPOT}")
        assert response.status_code == 200
        return response.json()


async def test_snapshot_and_deltas_make_the_book_that_rest_shows(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(provider) as maker, exchange.trade(renter) as taker, exchange.market() as wire:
        await maker.ok("order.place", **ask(provider, "2.0000", 5))
        copy = Copy()
        subscribed = await wire.ok("subscribe", ch=BOOK)
        snapshot = await wire.event(BOOK)
        assert (snapshot["type"], snapshot["seq"], snapshot["prev_seq"]) == (
            "snapshot",
            subscribed["seq"],
            snapshot["seq"],
        )
        copy.take(snapshot)
        assert copy.levels("asks") == [{"price": "2.0000", "quantity": 5, "conditional_quantity": 0, "orders": 1}]

        await maker.ok("order.place", **ask(provider, "2.1000", 5))
        await maker.ok("order.place", **ask(provider, "2.1000", 2))
        await taker.ok("order.place", **BUY | {"quantity": 6, "price": "2.0500"})
        placed = await taker.ok("order.place", **BUY | {"price": "1.5000"})
        last = await taker.ok("order.cancel", order_id=placed["result"]["order_id"])
        while copy.seq < last["seq"]:
            copy.take(await wire.event(BOOK))
        shown = await rest_book(exchange, renter)
        assert copy.levels("asks") == shown["asks"]
        assert copy.levels("bids") == shown["bids"]
        assert [level["price"] for level in copy.levels("bids")] == ["2.0500"]


async def test_conditional_bids_stand_apart(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as trader, exchange.market() as wire:
        await trader.ok("order.place", **BUY | {"instrument": ONDEMAND, "hours": 24})
        await trader.ok("order.place", **BUY | {"instrument": ONDEMAND, "quantity": 1})
        await wire.ok("subscribe", ch=f"book.{ONDEMAND}")
        bids = (await wire.event(f"book.{ONDEMAND}"))["data"]["bids"]
        assert bids == [{"price": "2.0000", "quantity": 1, "conditional_quantity": 4, "orders": 2}]


async def test_trades_are_told_to_everybody_without_names(exchange: House) -> None:
    provider, renter = await exchange.party(baron=True), await exchange.party()
    async with exchange.trade(provider) as maker, exchange.trade(renter) as taker, exchange.market() as wire:
        for price in ("2.0000", "2.0001"):
            await maker.ok("order.place", **ask(provider, price, 1))
        subscribed = await wire.ok("subscribe", ch=TRADES)
        done = await taker.ok("order.place", **BUY | {"quantity": 2, "price": "2.0001"})
        event = await wire.event(TRADES)
        assert (event["type"], event["seq"], event["prev_seq"]) == ("update", done["seq"], subscribed["seq"])
        assert [(trade["price"], trade["quantity"], trade["taker_side"]) for trade in event["data"]] == [
            ("2.0000", 1, "buy"),
            ("2.0001", 1, "buy"),
        ]
        assert set(event["data"][0]) == {
            "trade_id",
            "price",
            "quantity",
            "taker_side",
            "auction",
            "displacement",
            "simulated",
        }
        assert event["data"][0]["displacement"] is False
        assert event["data"][0]["simulated"] is True


async def test_a_market_is_marked_once_a_simulated_baron_is_in_it(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as trader, exchange.market() as wire, exchange.http(renter) as http:

        async def marks() -> list[Json]:
            listed = (await http.get("/instruments")).json()["instruments"]
            book = (await http.get(f"/books/{SPOT}")).json()
            assert len(listed) == 31
            return sorted({*(row["simulated"] for row in listed), book["simulated"]})

        await wire.ok("subscribe", ch=BOOK)
        assert (await wire.event(BOOK))["data"]["simulated"] is False
        assert await marks() == [False]
        provider = await exchange.party(baron=True)
        async with exchange.trade(provider) as maker:
            placed = await maker.ok("order.place", **ask(provider, "2.0000", 1))
        assert (await wire.event(BOOK))["data"]["simulated"] is True
        bought = await trader.ok("order.place", **BUY | {"quantity": 1})
        assert (await wire.event(BOOK))["data"]["simulated"] is True
        (trade,) = (await http.get(f"/trades/{SPOT}", params={"min_seq": bought["seq"]})).json()["trades"]
        assert trade["simulated"] is True
        assert placed["result"]["simulated"] is True
        assert await marks() == [True]


async def test_two_subscribers_get_the_same_messages_and_leaving_ends_them(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as trader, exchange.market() as one, exchange.market() as two:
        await one.ok("subscribe", ch=BOOK)
        await one.event(BOOK)
        await trader.ok("order.place", **BUY)
        first = await one.event(BOOK)
        await two.ok("subscribe", ch=BOOK)
        snapshot = await two.event(BOOK)
        assert (snapshot["type"], snapshot["seq"]) == ("snapshot", first["seq"])
        await trader.ok("order.place", **BUY)
        assert await one.event(BOOK) == await two.event(BOOK)
        await two.ok("unsubscribe", ch=BOOK)
        last = await trader.ok("order.place", **BUY)
        assert (await one.event(BOOK))["seq"] == last["seq"]
        # Whatever comes to the one that left, it is no book: the heartbeat after the order proves that time has passed.
        beat = await two.skip_to(lambda message: message["ch"] != "heartbeat" or message["seq"] >= last["seq"])
        assert beat["ch"] == "heartbeat"
        assert beat["data"] == {"channels": {}}


async def test_the_heartbeat_tells_where_each_channel_is(exchange: House) -> None:
    renter = await exchange.party()
    async with exchange.trade(renter) as trader, exchange.market() as wire:
        await wire.ok("subscribe", ch=BOOK)
        trades = await wire.ok("subscribe", ch=TRADES)
        placed = await trader.ok("order.place", **BUY)
        channels = {BOOK: placed["seq"], TRADES: trades["seq"]}
        beat = await wire.skip_to(lambda m: m.get("ch") == "heartbeat" and m["data"]["channels"] == channels)
        after = await wire.event("heartbeat")
        assert after["prev_seq"] == beat["seq"] == placed["seq"]


async def test_subscribing_again_answers_again(exchange: House) -> None:
    async with exchange.market() as wire:
        for _ in range(2):
            await wire.ok("subscribe", ch=BOOK)
            assert (await wire.event(BOOK))["type"] == "snapshot"


UNKNOWN: list[tuple[str, dict[str, Json], str]] = [
    ("subscribe", {"ch": "book.NOTHING.here.spot"}, "unknown_channel"),
    ("subscribe", {"ch": "book"}, "unknown_channel"),
    ("subscribe", {"ch": f"ticker.{SPOT}"}, "unknown_channel"),
    ("subscribe", {"ch": "orders"}, "unknown_channel"),
    ("subscribe", {"ch": f"{BOOK}", "depth": 5}, "unknown_field"),
    ("subscribe", {"ch": 7}, "invalid_field"),
    ("unsubscribe", {"ch": BOOK}, "not_subscribed"),
    ("order.place", BUY, "unknown_op"),
    ("", {}, "unknown_op"),
]


async def test_what_there_is_not_is_an_error(exchange: House) -> None:
    async with exchange.market() as wire:
        for op, params, code in UNKNOWN:
            assert (await wire.refused(op, **params))["code"] == code, (op, params)
