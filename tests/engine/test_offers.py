"""Offers: a provider's standing word, which the engine keeps as one ask each (§4)."""

from __future__ import annotations

import msgspec
import pytest

from engine.kinds import Origin, Side
from engine.limits import Limits
from engine.messages import (
    Accepted,
    Amended,
    Canceled,
    CancelOrder,
    Deposit,
    EndLease,
    LeaseWiped,
    Offer,
    OffersSet,
    SetCapacity,
    SetOffers,
    Traded,
)
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    FAR_BARON,
    HOUR,
    MINUTE,
    NO_INSTRUMENT,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    offered,
    only,
)
from tests.engine.test_forwards import day, purchase, rich, sale, until

GOOD = offered(20_000, 8)


@pytest.mark.parametrize(
    ("offers", "reason", "field"),
    [
        ((GOOD, GOOD), Reason.INVALID_OFFER, "offers[1]"),
        ((GOOD, offered(0, 8, ONDEMAND)), Reason.INVALID_PRICE, "offers[1].price_ticks"),
        ((offered(20_000, 0),), Reason.INVALID_QUANTITY, "offers[0].gpus"),
        ((offered(20_000, 8, NO_INSTRUMENT),), Reason.UNKNOWN_INSTRUMENT, "offers[0].instrument"),
        ((offered(20_000, 8, baron=9),), Reason.UNKNOWN_BARON, "offers[0].baron"),
        ((offered(20_000, 8, baron=OTHER_BARON),), Reason.NOT_YOUR_BARON, "offers[0].baron"),
        ((offered(20_000, 8, baron=FAR_BARON),), Reason.WRONG_MARKET, "offers[0].baron"),
        ((offered(20_000, 8, max_hours=2),), Reason.INVALID_HOURS, "offers[0].max_hours"),
        ((offered(20_000, 8, ONDEMAND, max_hours=745),), Reason.INVALID_HOURS, "offers[0].max_hours"),
        ((GOOD, offered(1, 1, ONDEMAND), offered(1, 1, baron=SECOND_BARON)), Reason.TOO_MANY_OFFERS, "offers"),
    ],
)
def test_a_bad_list_changes_nothing(offers: tuple[Offer, ...], reason: Reason, field: str) -> None:
    shard = Shard(Limits(max_offers=2))
    shard.offer(offered(19_000, 2))
    shard.refuse(SetOffers(account=PAT, offers=offers), reason, field)


def test_an_offer_is_one_ask_and_is_never_more_than_what_is_verified() -> None:
    shard = Shard()
    events = shard.offer(offered(20_000, 100), offered(30_000, 4, ONDEMAND))
    assert [event.offers for event in only(events, OffersSet)] == [(offered(20_000, 100), offered(30_000, 4, ONDEMAND))]
    accepted = only(events, Accepted)
    assert [(event.origin, event.quantity, event.window_end_ns) for event in accepted] == [
        (Origin.OFFER, 8, 0),
        (Origin.OFFER, 4, START + 24 * HOUR),
    ]
    shard.do(SetCapacity(baron=BARON, gpus=50, simulated=False))
    assert shard.asks(SPOT) == [(20_000, 50)]


def test_an_offer_stands_as_soon_as_there_is_capacity() -> None:
    shard = Shard(gpus=0)
    assert only(shard.offer(GOOD), Accepted) == []
    (accepted,) = only(shard.do(SetCapacity(baron=BARON, gpus=3, simulated=False)), Accepted)
    assert accepted.quantity == 3


def test_what_is_leased_counts_in_and_comes_back_with_the_wipe() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 6, ONDEMAND))
    lease = shard.lease(ALICE, 4, 1)
    assert shard.asks(ONDEMAND) == [(20_000, 2)]
    shard.wait(2 * HOUR)
    assert shard.asks(ONDEMAND) == [(20_000, 2)]
    events = shard.do(LeaseWiped(lease_id=lease))
    assert [event.reason for event in only(events, Canceled)] == [Reason.OFFER_CHANGED]
    assert [event.quantity for event in only(events, Accepted)] == [6]
    assert shard.asks(ONDEMAND) == [(20_000, 6)]


def test_a_fill_of_one_kind_cuts_the_other_and_both_come_back() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 8), offered(30_000, 8, ONDEMAND))
    lease = shard.lease(ALICE, 5, 2)
    assert (shard.asks(SPOT), shard.asks(ONDEMAND)) == ([(20_000, 3)], [(30_000, 3)])
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.do(LeaseWiped(lease_id=lease))
    assert (shard.asks(SPOT), shard.asks(ONDEMAND)) == ([(20_000, 8)], [(30_000, 8)])


def test_changes_keep_priority_only_where_nothing_grows() -> None:
    shard = Shard()
    shard.offer(GOOD)
    (order,) = shard.auditor.orders
    rival = shard.place(ask(PAT, 20_000, 8, baron=SECOND_BARON))

    assert only(shard.offer(GOOD), Accepted | Canceled | Amended) == []  # type: ignore[arg-type]
    (amended,) = only(shard.offer(offered(20_000, 3)), Amended)
    assert (amended.order_id, amended.kept_priority, amended.leaves_quantity) == (order, True, 3)
    assert amended.reason is Reason.OFFER_CHANGED
    assert [row.order_id for row in shard.machine.state.books[SPOT].resting(Side.SELL)] == [order, rival]

    events = shard.offer(offered(20_000, 4))
    assert [event.order_id for event in only(events, Canceled)] == [order]
    assert shard.asks(SPOT) == [(20_000, 8), (20_000, 4)]
    shard.offer(offered(19_000, 4))
    assert shard.asks(SPOT) == [(19_000, 4), (20_000, 8)]


def test_what_is_no_longer_named_goes_and_leases_stay() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 8), offered(30_000, 8, ONDEMAND))
    lease = shard.lease(ALICE, 5, 2)
    events = shard.offer()
    assert [event.reason for event in only(events, Canceled)] == [Reason.OFFER_CHANGED] * 2
    assert shard.machine.state.leases[lease].live
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.do(LeaseWiped(lease_id=lease))
    assert shard.machine.counts().open_orders == 0
    assert shard.timers() == []


def test_leased_under_an_earlier_offer_still_counts() -> None:
    shard = Shard()
    shard.offer(offered(30_000, 8, ONDEMAND))
    shard.lease(ALICE, 5, 2)
    shard.offer()
    shard.offer(offered(31_000, 6, ONDEMAND))
    assert shard.asks(ONDEMAND) == [(31_000, 1)]


def test_other_asks_of_the_kind_take_their_part_and_give_it_back() -> None:
    shard = Shard()
    own = shard.place(ask(PAT, 25_000, 3))
    shard.offer(GOOD)
    assert shard.asks(SPOT) == [(20_000, 5), (25_000, 3)]
    shard.do(CancelOrder(account=PAT, order_id=own))
    assert shard.asks(SPOT) == [(20_000, 8)]


def test_growth_enters_as_taker() -> None:
    shard = Shard()
    shard.do(SetCapacity(baron=BARON, gpus=0, simulated=False))
    shard.offer(GOOD)
    shard.place(bid(ALICE, 21_000, 2))
    (trade,) = only(shard.do(SetCapacity(baron=BARON, gpus=8, simulated=False)), Traded)
    assert (trade.price_ticks, trade.quantity, trade.taker_side.name) == (21_000, 2, "SELL")
    assert shard.asks(SPOT) == [(20_000, 6)]


def test_what_is_refused_waits_for_the_next_full_hour() -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    shard.now_ns += 10 * MINUTE
    own = shard.place(bid(PAT, 20_000, 1))
    events = shard.offer(GOOD)
    assert [event.reason for event in only(events, Canceled)] == [Reason.SELF_TRADE]
    shard.do(SetCapacity(baron=BARON, gpus=9, simulated=False))
    shard.do(CancelOrder(account=PAT, order_id=own))
    assert shard.asks(SPOT) == []
    shard.wait(49 * MINUTE)
    assert shard.asks(SPOT) == []
    shard.wait(1 * MINUTE)
    assert shard.asks(SPOT) == [(20_000, 8)]


def test_an_offer_beyond_the_accounts_open_orders_is_tried_again() -> None:
    shard = Shard(Limits(max_open_orders=1))
    own = shard.place(ask(PAT, 25_000, 1))
    shard.offer(GOOD)
    assert shard.asks(SPOT) == [(25_000, 1)]
    shard.do(CancelOrder(account=PAT, order_id=own))
    shard.wait(HOUR)
    assert shard.asks(SPOT) == [(20_000, 8)]


def test_an_ondemand_offers_window_takes_in_each_new_hour_in_place() -> None:
    shard = Shard()
    shard.now_ns += 10 * MINUTE
    shard.offer(GOOD, offered(30_000, 8, ONDEMAND, max_hours=2))
    own = shard.place(ask(PAT, 30_000, 8, ONDEMAND, baron=SECOND_BARON, max_hours=2))
    (moved,) = only(shard.wait(50 * MINUTE), Amended)
    assert (moved.reason, moved.kept_priority) == (Reason.WINDOW_MOVED, True)
    assert moved.window_end_ns == START + 3 * HOUR
    shard.wait(3 * HOUR + 20 * MINUTE)
    assert own not in shard.auditor.orders
    assert shard.asks(ONDEMAND) == [(30_000, 8)]
    (trade,) = only(shard.rent(ALICE, 1, 1), Traded)
    assert trade.maker_order_id == moved.order_id


def test_a_long_silence_moves_the_window_once() -> None:
    shard = Shard()
    shard.offer(offered(30_000, 8, ONDEMAND, max_hours=2))
    shard.wait(1000 * HOUR, tick=False)
    (moved,) = only(shard.wait(0), Amended)
    assert moved.window_end_ns == START + 1002 * HOUR


@pytest.mark.parametrize(
    ("sold", "offer", "before"),
    [(3, offered(30_000, 8, ONDEMAND, max_hours=2), [(30_000, 5)]), (8, GOOD, [])],
    ids=["on-demand", "spot"],
)
def test_what_a_day_sold_comes_back_when_its_last_hour_is_over(
    sold: int, offer: Offer, before: list[tuple[int, int]]
) -> None:
    """Its buyer named no key: there is no lease that is wiped."""
    shard = rich()
    tomorrow = day(shard, 0)
    end_h = shard.machine.state.instruments[tomorrow].end_h
    shard.place(sale(PAT, sold, tomorrow))
    shard.do(msgspec.structs.replace(purchase(ALICE, sold, tomorrow), delivery=b""))
    until(shard, end_h - 3)
    shard.offer(offer)
    shard.wait(3 * HOUR - MINUTE)
    assert shard.asks(offer.instrument) == before
    shard.wait(MINUTE)
    assert shard.asks(offer.instrument) == [(offer.price_ticks, 8)]


def test_offers_of_many_barons_enter_in_order_of_baron_and_instrument() -> None:
    shard = Shard()
    events = shard.offer(offered(30_000, 8, ONDEMAND, baron=SECOND_BARON), offered(20_000, 8, baron=SECOND_BARON), GOOD)
    assert [(event.baron, event.instrument) for event in only(events, Accepted)] == [
        (BARON, SPOT),
        (SECOND_BARON, SPOT),
        (SECOND_BARON, ONDEMAND),
    ]


def test_a_resting_bid_fills_a_returning_offer() -> None:
    shard = Shard()
    shard.offer(offered(30_000, 8, ONDEMAND))
    lease = shard.lease(ALICE, 8, 1)
    shard.place(bid(BOB, 30_000, 8, ONDEMAND, hours=24))
    shard.do(EndLease(account=ALICE, lease_id=lease))
    (trade,) = only(shard.do(LeaseWiped(lease_id=lease)), Traded)
    assert (trade.buyer, trade.quantity) == (BOB, 8)


def test_a_deposit_has_an_offer_without_its_bond_tried_again_at_once() -> None:
    shard = Shard(providers_usd=0)
    shard.wait(10 * MINUTE)
    shard.offer(offered(20_000, 8, ONDEMAND))
    assert shard.asks(ONDEMAND) == []
    shard.pay(QUINN, 16)
    shard.pay(PAT, 15)
    assert shard.asks(ONDEMAND) == []
    shard.do(Deposit(account=PAT, amount_micros=10**6, client_id="the-last"))
    assert shard.asks(ONDEMAND) == [(20_000, 8)]
    before = len(shard.machine.state.orders)
    shard.again(Deposit(account=PAT, amount_micros=10**6, client_id="the-last"))
    assert len(shard.machine.state.orders) == before
