"""Who listens to what: channels, their subscribers, and each command's events written out once for all of them.

A channel's messages form a chain: `prev_seq` of each is the `seq` of the one before. A channel lives while somebody is
subscribed; whoever joins gets the channel's last `seq` to begin with. Replies to orders pass through here as well, so that
on each connection a command's reply goes out before any event of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, Protocol, TypeVar

import msgspec

from engine.kinds import Kind, edge_name
from engine.messages import Traded
from engine.units import NS_PER_US
from exchange.gateway.ws.curves import Curves
from exchange.gateway.ws.messages import Event, ExecutionReport
from exchange.gateway.ws.reports import (
    book_data,
    deltas_data,
    execution_report,
    fill,
    instrument_data,
    lease_data,
    status_report,
    trade_data,
)
from exchange.market_data.feed import Feed
from exchange.market_data.live import Update
from exchange.read.interface import LeaseRow
from exchange.read.projection import OrderChange, is_open

BOOK_LEVELS: Final = 1_000
"""Levels of a side in a snapshot; deltas tell of all."""
MAX_SUBSCRIBERS: Final = 4_096
"""Of one channel."""

Topic = Literal["book", "trades", "instruments", "curve", "orders", "fills", "leases"]
Key = tuple[Topic, int]
"""A channel: its topic, and a number: the account's, the instrument's (a curve's: its market's spot instrument's), or of
`instruments` the kind's, 0 for the one that tells of all."""
ALL_INSTRUMENTS: Final[Key] = ("instruments", 0)

Item = TypeVar("Item")

_encode = msgspec.json.Encoder().encode


class Subscriber(Protocol):
    def deliver(self, channel: Channel, message: bytes) -> None:
        """Take a channel's next message. Must not block."""


class Channel:
    """One channel: its public name, the `seq` of its last message, and who gets the next."""

    def __init__(self, key: Key, name: str, seq: int) -> None:
        self.key = key
        self.name = name
        self.seq = seq
        self.subscribers: dict[Subscriber, None] = {}


class Channels:
    """Made once, on the event loop; listens to the feed from then on."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._channels: dict[Key, Channel] = {}
        self._expected: dict[int, Callable[[Update], None]] = {}
        self._curves = Curves(feed)
        feed.listen(self._on_update)

    def expect(self, seq: int, callback: Callable[[Update], None]) -> bool:
        """Call back when command `seq` is taken in, before any event of it goes out; False when that has passed.

        Each command has one submitter, so there is one callback a command.
        """
        if not self._feed.ready or seq <= self._feed.live.seq:
            return False
        self._expected[seq] = callback
        return True

    def join(self, key: Key, subscriber: Subscriber) -> Channel | None:
        """Subscribe; None when the channel has as many subscribers as it may."""
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(key, self._name(key), self._feed.live.seq)
        if len(channel.subscribers) >= MAX_SUBSCRIBERS:
            return None
        channel.subscribers[subscriber] = None
        return channel

    def leave(self, key: Key, subscriber: Subscriber) -> None:
        channel = self._channels.get(key)
        if channel is None:
            return
        channel.subscribers.pop(subscriber, None)
        if not channel.subscribers:
            del self._channels[key]
            if key[0] == "curve":
                self._curves.end(key[1])

    def snapshot(self, channel: Channel) -> bytes | None:
        """What stands now, as of the channel's last message; None for channels that only tell what happens."""
        topic, number = channel.key
        live = self._feed.live
        data: Any
        if topic == "book":
            try:
                data = book_data(live.book(number, BOOK_LEVELS))
            except KeyError:
                # A forward that has expired: nothing comes any more.
                return None
        elif topic == "instruments":
            data = [instrument_data(row) for row in live.instruments() if number in (0, row.kind)]
        elif topic == "curve":
            data = self._curves.begin(number)
        elif topic == "orders":
            rows = live.orders_of(number)
            data = [status_report(row, live.instrument(row.instrument).symbol, live.simulated(row)) for row in rows]
        elif topic == "leases":
            data = [self._lease(row, number, live.ts_ns) for row in live.leases_of(number) if is_open(row)]
        else:
            return None
        return self._event(channel, "snapshot", channel.seq, channel.seq, live.ts_ns, data)

    def report(self, update: Update, change: OrderChange) -> ExecutionReport:
        """One of the update's changes, as its order's owner is told."""
        event = change.event
        if isinstance(event, Traded):
            simulated: bool | None = update.simulated(event.trade_id)
        else:
            simulated = self._feed.live.simulated(change.row)
        return execution_report(change, self._symbol(change), simulated)

    def _on_update(self, update: Update) -> None:
        if callback := self._expected.pop(update.changes.seq, None):
            callback(update)
        if not self._channels:
            return
        self._orders(update)
        self._leases(update)
        self._instruments(update)
        for number, points in self._curves.changed(update).items():
            self._publish(self._channels["curve", number], update, points)
        for instrument, deltas in update.levels.items():
            if channel := self._channels.get(("book", instrument)):
                changes = update.changes
                listed = self._feed.live.instrument(instrument)
                self._publish(channel, update, deltas_data(listed, changes.seq, changes.ts_ns, deltas))
        for instrument, trades in _grouped((trade.instrument, trade) for trade in update.changes.trades):
            if channel := self._channels.get(("trades", instrument)):
                self._publish(channel, update, [trade_data(trade) for trade in trades])

    def _instruments(self, update: Update) -> None:
        """One that changed twice is told once, as the command left it."""
        changed = {row.instrument: row for row in update.changes.instruments}.values()
        for kind in (0, *Kind):
            if channel := self._channels.get(("instruments", kind)):
                rows = [instrument_data(row) for row in changed if kind in (0, row.kind)]
                if rows:
                    self._publish(channel, update, rows)

    def _orders(self, update: Update) -> None:
        for account, changes in _grouped((change.row.account, change) for change in update.changes.orders):
            if channel := self._channels.get(("orders", account)):
                self._publish(channel, update, [self.report(update, change) for change in changes])
            if channel := self._channels.get(("fills", account)):
                fills = [
                    fill(change.row, event, self._symbol(change), update.simulated(event.trade_id))
                    for change in changes
                    if isinstance(event := change.event, Traded)
                ]
                if fills:
                    self._publish(channel, update, fills)

    def _leases(self, update: Update) -> None:
        rows = (change.row for change in update.changes.leases)
        for account, own in _grouped((account, row) for row in rows for account in {row.renter, row.provider}):
            if channel := self._channels.get(("leases", account)):
                self._publish(channel, update, [self._lease(row, account, update.changes.ts_ns) for row in own])

    def _publish(self, channel: Channel, update: Update, data: Any) -> None:
        seq = update.changes.seq
        message = self._event(channel, "update", seq, channel.seq, update.changes.ts_ns, data)
        channel.seq = seq
        for subscriber in list(channel.subscribers):
            subscriber.deliver(channel, message)

    def _event(
        self, channel: Channel, kind: Literal["snapshot", "update"], seq: int, prev_seq: int, ts_ns: int, data: Any
    ) -> bytes:
        return _encode(
            Event(ch=channel.name, type=kind, seq=seq, prev_seq=prev_seq, ts_us=ts_ns // NS_PER_US, data=data)
        )

    def _lease(self, row: LeaseRow, viewer: int, now_ns: int) -> Any:
        return lease_data(row, self._feed.live.instrument(row.instrument), viewer, now_ns)

    def _symbol(self, change: OrderChange) -> str:
        return self._feed.live.instrument(change.row.instrument).symbol

    def _name(self, key: Key) -> str:
        topic, number = key
        if topic == "instruments" and number:
            return f"{topic}.{edge_name(Kind(number))}"
        if topic not in ("book", "trades", "curve"):
            return topic
        row = self._feed.live.instrument(number)
        return f"{topic}.{row.sku}.{row.region}" if topic == "curve" else f"{topic}.{row.symbol}"


def _grouped(items: Iterable[tuple[int, Item]]) -> Iterable[tuple[int, list[Item]]]:
    """Items by their number, in the order in which each number first came."""
    groups: dict[int, list[Item]] = {}
    for number, item in items:
        groups.setdefault(number, []).append(item)
    return groups.items()
