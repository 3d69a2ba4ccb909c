"""Ratings: whom a bid that asks for one may trade with (§5, §10)."""

from __future__ import annotations

import pytest

from engine.halves import compiled_half
from engine.kinds import Side
from engine.messages import (
    Accepted,
    BaronRating,
    Command,
    LeaseScheduled,
    Offer,
    RegisterBaron,
    SetCapacity,
    SetFeatures,
    SetOffers,
    SetRating,
    Traded,
)
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    ONDEMAND,
    PAT,
    SECOND_BARON,
    SPOT,
    Shard,
    ask,
    bid,
    offered,
    only,
    rental,
)

NEW_BARON = 105


def test_a_new_baron_is_rated_70_from_its_registration_on() -> None:
    shard = Shard()
    shard.do(RegisterBaron(baron=NEW_BARON, provider=PAT, sku="H100-SXM5-80GB", region="here"))
    shard.do(SetCapacity(baron=NEW_BARON, gpus=4, simulated=False))
    shard.place(ask(PAT, 20_000, 2, baron=NEW_BARON))
    shard.place(ask(PAT, 20_000, 2, ONDEMAND, baron=NEW_BARON))
    for instrument in (SPOT, ONDEMAND):
        assert only(shard.do(bid(ALICE, 20_000, 1, instrument, min_rating=71)), Traded) == []
        assert len(only(shard.do(bid(BOB, 20_000, 1, instrument, min_rating=70)), Traded)) == 1


def test_the_rating_now_decides_and_a_pair_at_rest_waits_for_who_comes() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 2))
    (accepted,) = only(shard.do(bid(ALICE, 20_000, 1, min_rating=90)), Accepted)
    assert accepted.min_rating == 90
    (said,) = only(shard.do(SetRating(baron=BARON, rating=90)), BaronRating)
    assert (said.baron, said.rating) == (BARON, 90)
    assert shard.bids(SPOT) == [(20_000, 1)]
    (trade,) = only(shard.do(ask(PAT, 20_000, 1)), Traded)
    assert trade.maker_order_id == accepted.order_id
    shard.do(SetRating(baron=BARON, rating=89))
    assert only(shard.do(bid(ALICE, 20_000, 1, min_rating=90)), Traded) == []


def test_features_and_rating_are_told_apart() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4))
    shard.do(SetFeatures(baron=BARON, features=1))
    assert len(only(shard.do(bid(ALICE, 20_000, 1, min_rating=70, features=1)), Traded)) == 1
    shard.do(SetRating(baron=BARON, rating=100))
    assert len(only(shard.do(bid(ALICE, 20_000, 1, min_rating=100, features=1)), Traded)) == 1
    # A registration that comes again changes neither.
    shard.do(RegisterBaron(baron=BARON, provider=PAT, sku="H100-SXM5-80GB", region="here"))
    assert len(only(shard.do(bid(ALICE, 20_000, 1, min_rating=100, features=1)), Traded)) == 1


def test_a_rental_and_its_quote_ask_for_the_same_rating() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 4, ONDEMAND), offered(21_000, 4, ONDEMAND, baron=SECOND_BARON))
    shard.do(SetRating(baron=SECOND_BARON, rating=95))
    (line,) = shard.machine.quote(ALICE, (ONDEMAND,), 2, 1, 0, shard.now_ns, min_rating=95)
    assert (line.reason, line.worst_price_ticks, line.available_quantity) == (Reason.NONE, 21_000, 2)
    (line,) = shard.machine.quote(ALICE, (ONDEMAND,), 5, 1, 0, shard.now_ns, min_rating=95)
    assert line.reason is Reason.FOK_KILLED
    (lease,) = only(shard.do(rental(ALICE, 2, 1, min_rating=95)), LeaseScheduled)
    assert (lease.baron, lease.price_ticks) == (SECOND_BARON, 21_000)
    shard.refuse(rental(ALICE, 1, 1, min_rating=96), Reason.NO_LIQUIDITY)
    (line,) = shard.machine.quote(ALICE, (ONDEMAND,), 1, 1, 0, shard.now_ns, min_rating=101)
    assert line.reason is Reason.INVALID_RATING


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (bid(ALICE, 20_000, 1, min_rating=101), Reason.INVALID_RATING, "min_rating"),
        (bid(ALICE, 20_000, 1, min_rating=-1), Reason.INVALID_RATING, "min_rating"),
        (ask(PAT, 20_000, 1, min_rating=1), Reason.INVALID_ORDER, "min_rating"),
        (rental(ALICE, 1, 1, min_rating=101), Reason.INVALID_RATING, "min_rating"),
        (SetRating(baron=99, rating=1), Reason.UNKNOWN_BARON, "baron"),
        (SetRating(baron=BARON, rating=101), Reason.INVALID_RATING, "rating"),
        (SetRating(baron=BARON, rating=-1), Reason.INVALID_RATING, "rating"),
    ],
)
def test_what_is_no_rating_is_refused(command: Command, reason: Reason, field: str) -> None:
    Shard().refuse(command, reason, field)


def test_a_bid_that_asks_for_a_rating_is_conditional() -> None:
    shard = Shard()
    shard.place(bid(ALICE, 20_000, 3, min_rating=1))
    (level,) = shard.machine.depth(SPOT, Side.BUY, 9)
    assert (level.unconditional, level.conditional) == (0, 3)


def test_ratings_outlive_a_snapshot() -> None:
    shard = Shard()
    offer = Offer(baron=BARON, instrument=SPOT, price_ticks=20_000, gpus=4, max_hours=0)
    shard.do(SetOffers(account=PAT, offers=(offer,)))
    shard.do(SetRating(baron=BARON, rating=31))
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    assert shard.twin.state_hash() == shard.machine.state_hash()
    shard.refuse(rental(ALICE, 1, 1, SPOT, min_rating=32), Reason.NO_LIQUIDITY)
    assert len(only(shard.do(rental(ALICE, 1, 1, SPOT, min_rating=31)), Traded)) == 1
    shard.wait(HOUR)
