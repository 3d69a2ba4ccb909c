"""Displacement: a spot bid takes what pays at least 10 % less, at its own limit, and waits for the wipe (§7)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.halves import compiled_half
from engine.kinds import EndReason, LeaseState, OrderStatus, OrderType, Pot, Presence, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    Accepted,
    Amended,
    AmendOrder,
    Canceled,
    CancelOrder,
    LeaseChanged,
    LeaseScheduled,
    OpenAccount,
    Quote,
    RaisePrice,
    SetAccountLimits,
    SetFeatures,
    SetPresence,
    SetQuotes,
    SetRating,
    SetSession,
    Traded,
)
from engine.reasons import Reason
from engine.records import SelfTrade, Session
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    only,
    rental,
)
from tests.engine.spot import (
    CHEAP,
    LIMIT,
    displaced,
    displacing,
    row,
    runs,
    served,
    starts,
    state_of,
    wipes,
)


def test_the_newcomer_pays_its_own_limit_and_waits_while_the_old_one_runs_on() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    events = shard.do(bid(BOB, LIMIT, 2))
    (accepted,) = only(events, Accepted)
    (trade,) = only(events, Traded)
    assert (trade.price_ticks, trade.quantity, trade.displaced_lease_id) == (LIMIT, 2, old)
    assert (trade.maker_order_id, trade.maker_leaves, trade.taker_leaves) == (0, 0, 0)
    assert (trade.taker_order_id, trade.taker_side) == (accepted.order_id, Side.BUY)
    assert (trade.buyer, trade.seller, trade.baron) == (BOB, PAT, BARON)
    (scheduled,) = only(events, LeaseScheduled)
    assert (scheduled.lease_id, scheduled.order_id) == (trade.lease_id, accepted.order_id)
    assert (scheduled.state, scheduled.price_ticks, scheduled.minimum_s) == (LeaseState.SCHEDULED, LIMIT, 3_600)
    assert (scheduled.renter_fee_ppm, scheduled.provider_fee_ppm) == (5_000, 0)
    (changed,) = only(events, LeaseChanged)
    assert (changed.lease_id, changed.state, changed.reason) == (old, LeaseState.ENDING, EndReason.DISPLACED)
    assert changed.ends_ns == START + 120 * SECOND
    # An hour and 120 s at the limit, with the fee: what the bid held for those two GPUs.
    assert shard.prefunds(BOB) == 4_133_334 + 20_667 == shard.auditor.pots[BOB, Pot.HELD]
    assert shard.bids(SPOT) == []
    assert (row(shard).spot_gpus, row(shard).leaving_gpus, shard.machine.state.barons[BARON].leased_gpus) == (2, 0, 2)
    (ended,) = only(shard.wait(120 * SECOND), LeaseChanged)
    assert (ended.state, ended.reason, ended.charged_micros) == (LeaseState.ENDED, EndReason.DISPLACED, 120_000)
    wiped, serving = only(wipes(shard, old), LeaseChanged)
    assert wiped.wiped
    assert (serving.lease_id, serving.state) == (trade.lease_id, LeaseState.PROVISIONING)
    assert (row(shard).spot_gpus, shard.machine.state.barons[BARON].leased_gpus) == (2, 2)
    starts(shard, trade.lease_id)
    (hour,) = only(shard.wait(HOUR), LeaseChanged)
    assert hour.charged_micros == 4_000_000


@pytest.mark.parametrize(("limit", "taken"), [(LIMIT, True), (LIMIT - 1, False), (CHEAP, False), (30_000, True)])
def test_ten_per_cent_less_is_enough_and_nothing_else_is(limit: int, taken: bool) -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    assert displaced(shard.do(bid(BOB, limit, 2))) == ([old] if taken else [])


def test_lowest_price_first_and_the_newest_first_among_equals() -> None:
    shard = Shard()
    first = runs(shard, ALICE, CHEAP)
    cheapest = runs(shard, ALICE, CHEAP - 1, baron=SECOND_BARON)
    second = runs(shard, ALICE, CHEAP, baron=OTHER_BARON, seller=QUINN)
    dear = runs(shard, ALICE, CHEAP + 1)
    assert displaced(shard.do(bid(BOB, LIMIT, 4))) == [cheapest, second]
    assert displaced(shard.do(bid(BOB, LIMIT, 4))) == [first]
    assert shard.bids(SPOT) == [(LIMIT, 2)]
    assert state_of(shard, dear) is LeaseState.ACTIVE


def test_only_whole_leases_and_what_is_left_rests() -> None:
    shard = Shard()
    runs(shard, ALICE, 16_000, 4)
    small = runs(shard, ALICE, CHEAP, 2)
    events = shard.do(bid(BOB, LIMIT, 3, client_order_id="mine"))
    assert displaced(events) == [small]
    assert shard.bids(SPOT) == [(LIMIT, 1)]
    assert displaced(shard.do(bid(BOB, LIMIT, 3))) == []


@pytest.mark.parametrize(
    "terms",
    [
        {"post_only": True},
        {"min_quantity": 2},
        {"same_baron": True},
        {"time_in_force": TimeInForce.FOK},
        {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC},
    ],
)
def test_bids_that_never_displace(terms: dict[str, Any]) -> None:
    shard = Shard()
    runs(shard, ALICE, CHEAP)
    shard.place(ask(PAT, 30_000, 1))
    assert displacing(shard.apply(bid(BOB, LIMIT, 2, **terms))) == []


def test_a_rental_never_displaces() -> None:
    shard = Shard()
    runs(shard, ALICE, CHEAP)
    shard.refuse(rental(BOB, 2, 1, SPOT, max_price_ticks=LIMIT), Reason.NO_LIQUIDITY)


def test_a_stop_that_fired_displaces_nothing_not_even_when_it_is_amended() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    stop = shard.place(bid(BOB, 30_000, 2, order_type=OrderType.STOP_LIMIT, stop_price_ticks=10_000))
    assert shard.bids(SPOT) == [(30_000, 2)]
    shard.do(AmendOrder(account=BOB, order_id=stop, price_ticks=40_000))
    assert state_of(shard, old) is LeaseState.ACTIVE


def test_asks_are_taken_first_and_then_what_is_left_displaces() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    sells = shard.place(ask(PAT, LIMIT, 3))
    events = shard.do(bid(BOB, LIMIT, 6))
    book, displacement = only(events, Traded)
    assert (book.maker_order_id, book.quantity, displacement.quantity) == (sells, 3, 2)
    assert (displacement.taker_leaves, displaced(events)) == (1, [old])
    leases = only(events, LeaseScheduled)
    assert [(lease.state, lease.quantity, lease.minimum_s) for lease in leases] == [
        (LeaseState.SCHEDULED, 2, 3_600),
        (LeaseState.PROVISIONING, 3, 60),
    ]


@pytest.mark.parametrize("quantity", [2, 3])
def test_what_an_ioc_leaves_displaces_before_it_is_cancelled(quantity: int) -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    events = shard.do(bid(BOB, LIMIT, quantity, time_in_force=TimeInForce.IOC))
    assert displaced(events) == [old]
    assert [(event.quantity, event.reason) for event in only(events, Canceled)] == (
        [(1, Reason.IOC_REMAINDER)] if quantity == 3 else []
    )
    assert shard.bids(SPOT) == []
    order_id = only(events, Accepted)[0].order_id
    status = OrderStatus.CANCELED if quantity == 3 else OrderStatus.FILLED
    shard.refuse(CancelOrder(account=BOB, order_id=order_id), Reason.ORDER_CLOSED)
    assert shard.machine.state.accounts[BOB].closed_orders[order_id] is status


def test_an_ioc_that_met_its_own_ask_displaces_nothing() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    shard.pay(QUINN, 100)
    shard.place(ask(QUINN, LIMIT, 2, baron=OTHER_BARON))
    events = shard.do(bid(QUINN, LIMIT, 2, time_in_force=TimeInForce.IOC))
    assert [event.reason for event in only(events, Canceled)] == [Reason.SELF_TRADE]
    assert state_of(shard, old) is LeaseState.ACTIVE


@pytest.mark.parametrize("change", [{"price_ticks": LIMIT}, {"price_ticks": LIMIT + 1, "quantity": 4}])
def test_an_amended_bid_displaces(change: dict[str, Any]) -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    order_id = shard.place(bid(BOB, LIMIT - 1, 3))
    events = shard.do(AmendOrder(account=BOB, order_id=order_id, **change))
    assert displaced(events) == [old]
    left = change.get("quantity", 3) - 2
    assert shard.bids(SPOT) == [(change["price_ticks"], left)]


def test_less_of_a_bid_makes_no_walk_and_displaces_nothing() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP, active=False)
    order_id = shard.place(bid(BOB, LIMIT, 3))
    starts(shard, old)
    assert displaced(shard.do(AmendOrder(account=BOB, order_id=order_id, quantity=2))) == []
    assert displaced(shard.do(AmendOrder(account=BOB, order_id=order_id, quantity=3))) == [old]


def test_a_bid_that_displaced_is_amended_by_its_total_as_any() -> None:
    """Its book knows nothing of what it found elsewhere; its owner's total counts it."""
    shard = Shard()
    old = runs(shard, ALICE, CHEAP, 2)
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    events = shard.do(bid(BOB, LIMIT, 6, display_quantity=2))
    (accepted,), order_id = only(events, Accepted), only(events, Accepted)[0].order_id
    assert (accepted.quantity, displaced(events), shard.bids(SPOT)) == (6, [old], [(LIMIT, 4)])
    shard.do(ask(PAT, LIMIT, 1))
    (less,) = only(shard.do(AmendOrder(account=BOB, order_id=order_id, quantity=5)), Amended)
    assert (less.quantity, less.leaves_quantity, less.kept_priority) == (5, 2, True)
    (more,) = only(shard.do(AmendOrder(account=BOB, order_id=order_id, quantity=8, price_ticks=21_000)), Amended)
    assert (more.quantity, more.leaves_quantity, more.kept_priority) == (8, 5, False)
    shard.do(ask(PAT, LIMIT, 3))
    assert shard.bids(SPOT) == [(21_000, 2)]
    (gone,) = only(shard.do(AmendOrder(account=BOB, order_id=order_id, quantity=6)), Canceled)
    assert (gone.quantity, gone.reason) == (2, Reason.REQUESTED)
    assert shard.bids(SPOT) == []


def test_a_bid_that_displaced_shrinks_against_its_own_ask() -> None:
    shard = Shard()
    shard.pay(QUINN, 1_000)
    old = runs(shard, ALICE, CHEAP, 2)
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    order_id = shard.place(bid(QUINN, LIMIT, 6))
    assert state_of(shard, old) is LeaseState.ENDING
    events = shard.do(ask(QUINN, LIMIT, 1, baron=OTHER_BARON, self_trade=SelfTrade.DECREMENT))
    shrunk = [event for event in only(events, Amended) if event.order_id == order_id]
    assert [(event.quantity, event.leaves_quantity) for event in shrunk] == [(5, 3)]


def test_nobody_displaces_their_own_leases_or_those_that_they_sold() -> None:
    shard = Shard()
    shard.pay(PAT, 1_000)
    old = runs(shard, ALICE, CHEAP)
    assert displaced(shard.do(bid(ALICE, LIMIT, 2))) == []
    assert displaced(shard.do(bid(PAT, LIMIT, 2))) == []
    assert displaced(shard.do(bid(BOB, LIMIT, 2))) == [old]


def test_the_baron_must_have_what_the_bid_asks_for() -> None:
    shard = Shard()
    plain = runs(shard, ALICE, CHEAP)
    special = runs(shard, ALICE, CHEAP + 0, baron=OTHER_BARON, seller=QUINN)
    shard.do(SetFeatures(baron=OTHER_BARON, features=1))
    shard.do(SetRating(baron=BARON, rating=90))
    assert displaced(shard.do(bid(BOB, LIMIT, 2, features=3))) == []
    assert displaced(shard.do(bid(BOB, LIMIT, 2, features=1))) == [special]
    assert displaced(shard.do(bid(BOB, LIMIT, 2, min_rating=91))) == []
    assert displaced(shard.do(bid(BOB, LIMIT, 2, min_rating=90))) == [plain]


def test_a_baron_that_is_quiet_and_a_killed_seller_sell_nothing() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    shard.do(SetPresence(baron=BARON, presence=Presence.QUIET))
    assert displaced(shard.do(bid(BOB, LIMIT, 2))) == []
    shard.do(SetPresence(baron=BARON, presence=Presence.REPORTING))
    shard.do(SetAccountLimits(account=PAT, killed=True))
    assert displaced(shard.do(bid(BOB, LIMIT, 2))) == []
    shard.do(SetAccountLimits(account=PAT, killed=False))
    assert displaced(shard.do(bid(BOB, LIMIT, 2))) == [old]


def test_only_active_leases_without_notice() -> None:
    shard = Shard()
    waiting = runs(shard, ALICE, CHEAP, active=False)
    assert displaced(shard.do(bid(BOB, LIMIT, 2, time_in_force=TimeInForce.IOC))) == []
    starts(shard, waiting)
    order = bid(BOB, LIMIT, 2, time_in_force=TimeInForce.IOC)
    assert displaced(shard.do(order)) == [waiting]
    shard.do(OpenAccount(account=13, maker_fee_ppm=0, taker_fee_ppm=0))
    shard.pay(13, 1_000)
    # Neither the one under notice, nor the newcomer before it runs.
    dearer = bid(13, 60_000, 2, time_in_force=TimeInForce.IOC)
    assert displaced(shard.do(dearer)) == []
    newcomer = max(shard.machine.state.leases)
    served(shard, waiting, newcomer)
    assert displaced(shard.do(dearer)) == []
    starts(shard, newcomer)
    assert displaced(shard.do(dearer)) == [newcomer]


def test_a_raise_before_notice_keeps_the_lease() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    other = runs(shard, ALICE, CHEAP + 1)
    shard.do(RaisePrice(account=ALICE, lease_id=old, price_ticks=CHEAP + 2))
    assert displaced(shard.do(bid(BOB, LIMIT, 2))) == []
    assert displaced(shard.do(bid(BOB, LIMIT + 2, 2))) == [other]
    shard.refuse(RaisePrice(account=ALICE, lease_id=other, price_ticks=90_000), Reason.LEASE_UNDER_NOTICE, "lease_id")
    assert displaced(shard.do(bid(BOB, LIMIT + 3, 2))) == [old]


def test_displacement_sets_neither_the_last_price_nor_stops_off() -> None:
    shard = Shard()
    runs(shard, ALICE, CHEAP)
    stop = shard.place(bid(BOB, 30_000, 1, order_type=OrderType.STOP_LIMIT, stop_price_ticks=25_000))
    before = shard.machine.state.books[SPOT].state()
    assert displacing(shard.do(bid(BOB, 29_000, 2)))
    book = shard.machine.state.books[SPOT].state()
    assert (book.last_price, book.minutes, [order.order_id for order in book.stops]) == (CHEAP, before.minutes, [stop])


def test_displacement_is_not_banded() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    assert displaced(shard.do(bid(BOB, 1_000_000, 2))) == [old]


@pytest.mark.parametrize("session", [Session.AUCTION, Session.PRE_OPEN])
def test_only_in_continuous(session: Session) -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    shard.do(SetSession(instrument=SPOT, session=session))
    order_id = shard.place(bid(BOB, LIMIT, 2))
    shard.do(SetSession(instrument=SPOT, session=Session.CONTINUOUS))
    assert state_of(shard, old) is LeaseState.ACTIVE, "who rests waits for the next amend"
    assert displaced(shard.do(AmendOrder(account=BOB, order_id=order_id, price_ticks=LIMIT + 1))) == [old]


def test_a_bid_that_opened_an_auction_displaces_nothing() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    shard.place(ask(PAT, 30_000, 1))
    shard.do(bid(BOB, 30_000, 3))
    assert shard.machine.session(SPOT) is Session.AUCTION
    assert (state_of(shard, old), shard.bids(SPOT)) == (LeaseState.ACTIVE, [(30_000, 3)])


def test_quotes_displace_and_count_it_as_a_fill() -> None:
    shard = Shard()
    old = runs(shard, ALICE, CHEAP)
    quotes = tuple(
        Quote(instrument=SPOT, side=Side.BUY, price_ticks=price, quantity=2, delivery=b"ssh-ed25519 AAAA")
        for price in (LIMIT, 10_000)
    )
    events = shard.do(SetQuotes(account=BOB, name="mm", quotes=quotes, max_fills=1))
    assert displaced(events) == [old]
    assert [event.reason for event in only(events, Canceled)] == [Reason.MAX_FILLS]


def test_an_account_opens_no_more_leases_than_it_may() -> None:
    shard = Shard(Limits(max_leases=2))
    leases = [runs(shard, renter, CHEAP) for renter in (ALICE, ALICE)]
    shard.do(OpenAccount(account=13, maker_fee_ppm=0, taker_fee_ppm=0))
    shard.pay(13, 1_000)
    leases.append(runs(shard, 13, CHEAP))
    events = shard.do(bid(BOB, LIMIT, 6))
    assert displaced(events) == [leases[2], leases[1]]
    assert shard.bids(SPOT) == [(LIMIT, 2)]
    # Met, it is cancelled as any bid whose fill would open one too many.
    assert [event.reason for event in only(shard.do(ask(PAT, LIMIT, 2)), Canceled)] == [Reason.TOO_MANY_LEASES]


def test_a_command_looks_at_so_many_and_what_is_left_rests() -> None:
    shard = Shard(Limits(max_looked=4))
    big = [runs(shard, ALICE, CHEAP, 3, baron=baron) for baron in (BARON, SECOND_BARON)]
    small = [runs(shard, ALICE, CHEAP, 1, baron=OTHER_BARON, seller=QUINN) for _ in range(4)]
    # Newest first: two of one GPU, then it leaves 2 and would have to look at the rest.
    events = shard.do(bid(BOB, LIMIT, 9))
    assert displaced(events) == [*reversed(small)]
    assert shard.bids(SPOT) == [(LIMIT, 5)]
    events = shard.do(bid(BOB, LIMIT, 1))
    assert displaced(events) == [] and state_of(shard, big[0]) is LeaseState.ACTIVE


def test_asks_that_the_walk_passed_over_are_looks_too() -> None:
    for asks, taken in ((3, 1), (4, 0)):
        shard = Shard(Limits(max_looked=4))
        runs(shard, ALICE, CHEAP, 1)
        for index in range(asks):
            shard.place(ask(PAT, LIMIT, 1, baron=SECOND_BARON, lot=1, client_order_id=f"a{index}"))
        shard.do(SetRating(baron=SECOND_BARON, rating=10))
        assert len(displacing(shard.do(bid(BOB, LIMIT, 1, min_rating=70)))) == taken
