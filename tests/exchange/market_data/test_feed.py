"""The feed: what each command changed, told once, in order, from one moment on; and silence after a fault."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.codec import encode_events
from engine.kinds import OrderStatus, Side
from engine.messages import AmendOrder, CancelOrder, EndLease, LeaseActive, LeaseWiped, Offer, SetCapacity, SetOffers
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import Record
from exchange.market_data.feed import Feed
from exchange.market_data.levels import LevelDelta
from exchange.market_data.live import Live, Update
from exchange.read.interface import DepthLevel
from exchange.read.projection import ReadError
from exchange.read.queries import Snapshot
from exchange.read.side import SqlReadSide
from tests.exchange.market_data.chance import ACCESS
from tests.exchange.market_data.commands import Exchange, ask, bid, opened
from tests.waiting import TIMEOUT_S

NOTHING = Snapshot(0, 0, [], [], [], [])


def level(price_ticks: int, unconditional: int, conditional: int, orders: int) -> DepthLevel:
    return DepthLevel(
        price_ticks=price_ticks, unconditional_quantity=unconditional, conditional_quantity=conditional, orders=orders
    )


class Told:
    """A feed over an exchange, and what it told of the last command."""

    def __init__(self) -> None:
        self.exchange: Exchange = opened()
        self.feed = Feed()
        self.updates: list[Update] = []
        self.feed.seed(NOTHING)
        for reply in self.exchange.replies:
            self.feed.on_reply(reply)
        self.feed.listen(self.updates.append)

    def apply(self, command: object) -> Update:
        self.feed.on_reply(self.exchange.apply(command))  # type: ignore[arg-type]
        return self.updates[-1]


@pytest.fixture
def told() -> Told:
    return Told()


def test_an_order_that_rests_adds_to_its_level_and_conditional_bids_apart(told: Told) -> None:
    told.apply(bid(21, 2, 100, 3))
    update = told.apply(bid(22, 2, 100, 4, hours=5))
    assert update.levels == {2: [LevelDelta(Side.BUY, level(100, 3, 4, 2))]}


def test_a_spot_bids_hours_make_it_no_conditional(told: Told) -> None:
    update = told.apply(bid(22, 1, 100, 4, hours=5))
    assert update.levels == {1: [LevelDelta(Side.BUY, level(100, 4, 0, 1))]}


def test_what_rests_only_inside_a_command_is_never_seen(told: Told) -> None:
    told.apply(ask(1, 100, 2))
    update = told.apply(bid(21, 1, 110, 5, time_in_force=2))
    assert update.levels == {1: [LevelDelta(Side.SELL, level(100, 0, 0, 0))]}
    assert [change.row.status for change in update.changes.orders][-1] is OrderStatus.CANCELED
    assert [trade.quantity for trade in update.changes.trades] == [2]


def test_deltas_come_bids_first_best_first(told: Told) -> None:
    told.apply(ask(1, 102, 1))
    told.apply(ask(1, 101, 1))
    update = told.apply(bid(21, 1, 103, 3))
    assert [(delta.side, delta.level.price_ticks, delta.level.orders) for delta in update.levels[1]] == [
        (Side.BUY, 103, 1),
        (Side.SELL, 101, 0),
        (Side.SELL, 102, 0),
    ]


def test_an_amend_moves_the_order_to_its_new_level(told: Told) -> None:
    told.apply(bid(21, 1, 100, 3))
    update = told.apply(AmendOrder(account=21, order_id=told.exchange.orders[-1], price_ticks=99, quantity=5))
    assert update.levels == {1: [LevelDelta(Side.BUY, level(100, 0, 0, 0)), LevelDelta(Side.BUY, level(99, 5, 0, 1))]}


def test_less_capacity_cuts_the_newest_asks(told: Told) -> None:
    told.apply(ask(1, 100, 4))
    told.apply(ask(1, 101, 4))
    update = told.apply(SetCapacity(baron=1, gpus=5, simulated=False))
    assert update.levels == {1: [LevelDelta(Side.SELL, level(101, 1, 0, 1))]}


def test_a_smaller_offer_shrinks_in_place(told: Told) -> None:
    for gpus in (8, 3):
        offer = Offer(baron=1, instrument=1, price_ticks=100, gpus=gpus, max_hours=0)
        update = told.apply(SetOffers(account=11, offers=(offer,)))
        assert update.levels == {1: [LevelDelta(Side.SELL, level(100, gpus, 0, 1))]}


def test_closed_orders_and_wiped_leases_leave_memory(told: Told) -> None:
    live: Live = told.feed.live
    told.apply(ask(1, 100, 2))
    told.apply(bid(21, 1, 100, 2))
    assert list(live.orders_of(11)) == list(live.orders_of(21)) == []
    lease_id = told.exchange.leases[-1]
    assert [row.lease_id for row in live.leases_of(21)] == [row.lease_id for row in live.leases_of(11)] == [lease_id]
    told.apply(LeaseActive(lease_id=lease_id, access=ACCESS))
    told.apply(EndLease(account=21, lease_id=lease_id))
    row = live.lease(lease_id)
    assert row is not None
    assert row.access == ACCESS
    update = told.apply(LeaseWiped(lease_id=lease_id))
    assert update.changes.leases[-1].row.wiped
    assert live.lease(lease_id) is None
    assert list(live.leases_of(21)) == []
    told.apply(bid(21, 1, 100, 2))
    told.apply(CancelOrder(account=21, order_id=told.exchange.orders[-1]))
    assert list(live.orders_of(21)) == []


def test_a_command_told_before_is_passed_over(told: Told) -> None:
    told.apply(bid(21, 1, 100, 3))
    before = len(told.updates)
    for reply in told.exchange.replies:
        told.feed.on_reply(reply)
    assert len(told.updates) == before
    assert told.feed.book(1, 10).bids == [level(100, 3, 0, 1)]


def test_after_a_fault_nothing_more_is_told(told: Told) -> None:
    """A reply that speaks of an order which never came: part of the stream is missing."""
    told.apply(bid(21, 1, 100, 3))
    told.exchange.apply(bid(21, 1, 100, 3))
    cancel = told.exchange.apply(CancelOrder(account=21, order_id=told.exchange.orders[-1]))
    with pytest.raises(ReadError, match="missed a part"):
        told.feed.on_reply(cancel)
    before = len(told.updates)
    assert not told.feed.ready
    told.feed.on_reply(told.exchange.apply(bid(22, 1, 100, 3)))
    assert len(told.updates) == before
    with pytest.raises(ReadError):
        told.feed.book(1, 10)


def test_before_the_seed_there_is_nothing_to_tell() -> None:
    feed = Feed()
    assert not feed.ready
    with pytest.raises(ReadError):
        feed.book(1, 10)
    feed.seed(NOTHING)
    with pytest.raises(ReadError):
        feed.seed(NOTHING)


def test_an_unknown_instrument_has_no_book(told: Told) -> None:
    with pytest.raises(KeyError):
        told.feed.book(99, 10)


async def test_it_starts_when_the_read_side_has_the_whole_log(tmp_path: Path) -> None:
    """And not before: what the read side lacks would be missing for ever."""
    exchange = opened()
    exchange.apply(bid(21, 1, 100, 3))
    events = await EmbeddedLog(tmp_path / "log").open_writer(0, "events")
    await events.append([Record(reply.seq, encode_events(reply.ts_ns, reply.events)) for reply in exchange.replies])
    feed = Feed()
    read = SqlReadSide.open(tmp_path / "read.db", feed)
    with pytest.raises(ReadError, match="didn't come"):
        await feed.start(read, events, 0.01)
    assert not feed.ready
    following = asyncio.create_task(read.run(events))
    await feed.start(read, events, TIMEOUT_S)
    assert feed.live.seq == exchange.seq
    assert read.book(1, 10).bids == [level(100, 3, 0, 1)]
    following.cancel()
    await asyncio.wait([following])
    await read.close()
    await events.close()
