"""The ops of `/ws/v1/market`: public channels, no key; and the heartbeat that tells how far each of them is."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from exchange.gateway.errors import Problem
from exchange.gateway.orders_in import KINDS
from exchange.gateway.reading import decode_body
from exchange.gateway.ws.channels import ALL_INSTRUMENTS, Key
from exchange.gateway.ws.connection import Asked, Connection
from exchange.gateway.ws.messages import CURVE, INSTRUMENTS, PUBLIC_CHANNELS, Event, Heartbeat, Subscription
from exchange.market_data.feed import Feed

HEARTBEAT_S: Final = 1.0

_encode = msgspec.json.Encoder().encode


class MarketOps:
    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    async def __call__(self, connection: Connection, asked: Asked) -> None:
        if asked.op == "subscribe":
            connection.subscribe(asked, *self._channel(asked))
        elif asked.op == "unsubscribe":
            connection.unsubscribe(asked, *self._left(connection, asked))
        else:
            raise Problem("unknown_op", f"There is no op {asked.op[:64]!r} here", field="op")

    async def heartbeat(self, connection: Connection) -> None:
        """Each second the last `seq` of the connection's channels; a reader that lags misses some."""
        prev_seq = self._feed.live.seq
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            live = self._feed.live
            if not connection.lagging:
                channels = {channel.name: channel.seq for channel in connection.subscriptions.values()}
                beat = Event(
                    ch="heartbeat",
                    type="update",
                    seq=live.seq,
                    prev_seq=prev_seq,
                    ts_us=connection.now_us(),
                    data=Heartbeat(channels=channels),
                )
                prev_seq = live.seq
                connection.send(_encode(beat))

    def _left(self, connection: Connection, asked: Asked) -> tuple[str, Key]:
        """A channel by its name: that of a forward that has expired can be left too."""
        name = decode_body(bytes(asked.params), Subscription).ch
        joined = (key for key, channel in connection.subscriptions.items() if channel.name == name)
        key = next(joined, None)
        return self._channel(asked) if key is None else (name, key)

    def _channel(self, asked: Asked) -> tuple[str, Key]:
        name = decode_body(bytes(asked.params), Subscription).ch
        if name == INSTRUMENTS:
            return name, ALL_INSTRUMENTS
        topic, _, symbol = name.partition(".")
        if topic == INSTRUMENTS and symbol in KINDS:
            return name, (INSTRUMENTS, KINDS[symbol])
        if topic == CURVE:
            market = self._feed.live.market(*symbol.partition(".")[::2])
            if not market:
                raise Problem("unknown_channel", "No market of that SKU is listed there", field="ch")
            return name, (CURVE, market)
        for known in PUBLIC_CHANNELS:
            if topic == known:
                row = self._feed.live.instrument_of(symbol)
                if row is None:
                    raise Problem("unknown_channel", "No instrument has that symbol", field="ch")
                return name, (known, row.instrument)
        raise Problem(
            "unknown_channel",
            "Here are the channels book.SYMBOL, trades.SYMBOL, curve.SKU.REGION, instruments and instruments.KIND",
            field="ch",
        )
