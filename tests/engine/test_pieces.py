"""Obligations in pieces: what a resale may cut of them is bounded by account and by command, fairly to who takes it (§2, §8)."""

from __future__ import annotations

from random import Random

import pytest

from engine import dry_resales, obligations
from engine import state as engine_state
from engine.book_plain import PlainBook
from engine.kinds import Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import Accepted, Amended, Canceled, LeaseScheduled, Quote, SetQuotes, SetSession, Traded
from engine.obligation import Part
from engine.reasons import Reason
from engine.records import Session
from tests.engine.shard import ALICE, BARON, BOB, ONDEMAND, PAT, QUINN, Shard, ask, bid, only
from tests.engine.test_forwards import DAY_H, TRADED, day, forward, owed, purchase, rich, sale, trade, until


def pieces(shard: Shard, holder: int, count: int, instrument: int) -> None:
    """So many obligations of one GPU, each of another price."""
    for price_ticks in range(20_000, 20_000 + count):
        trade(shard, PAT, holder, 1, instrument, price_ticks)


def test_a_bid_fills_up_to_its_accounts_bound_and_the_rest_is_cancelled() -> None:
    shard = rich(Limits(max_obligations=5))
    today = day(shard, 0)
    pieces(shard, ALICE, 5, today)
    shard.place(sale(ALICE, 5, today))
    trade(shard, PAT, BOB, 1, day(shard, 2))
    events = shard.do(purchase(BOB, 5, today))
    (accepted,) = only(events, Accepted)
    (amended,) = only(events, Amended)
    assert (accepted.quantity, amended.quantity, amended.reason) == (5, 4, Reason.WALK_LIMIT)
    assert [each.quantity for each in only(events, Traded)] == [4]
    assert accepted.order_id not in shard.machine.state.orders
    assert shard.machine.state.accounts[BOB].obligations == 5
    assert [leaves for _, leaves in shard.asks(today)] == [1]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"time_in_force": TimeInForce.FOK}, Reason.TOO_MANY_OBLIGATIONS),
        ({"min_quantity": 5}, Reason.TOO_MANY_OBLIGATIONS),
        ({"same_baron": True}, Reason.TOO_MANY_OBLIGATIONS),
        ({"display_quantity": 1}, Reason.TOO_MANY_OBLIGATIONS),
    ],
)
def test_what_is_wanted_whole_is_refused_whole(more: dict[str, object], reason: Reason) -> None:
    shard = rich(Limits(max_obligations=5))
    today = day(shard, 0)
    pieces(shard, ALICE, 5, today)
    shard.place(sale(ALICE, 5, today))
    trade(shard, PAT, BOB, 1, day(shard, 2))
    shard.refuse(purchase(BOB, 5, today, **more), reason)  # type: ignore[arg-type]


def test_what_fits_is_whole_lots_of_the_ask() -> None:
    shard = rich(Limits(max_obligations=6))
    today = day(shard, 0)
    pieces(shard, ALICE, 6, today)
    shard.place(sale(ALICE, 6, today, lot=2))
    trade(shard, PAT, BOB, 1, day(shard, 2))
    assert [each.quantity for each in only(shard.do(purchase(BOB, 6, today)), Traded)] == [4]


def test_a_command_cuts_so_many_and_the_rest_of_its_bid_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_state, "CUTS_A_COMMAND", 4)
    shard = rich()
    today = day(shard, 0)
    pieces(shard, ALICE, 6, today)
    # Two asks of one seller: what the first takes the second doesn't have.
    shard.place(sale(ALICE, 2, today, 20_000))
    shard.place(sale(ALICE, 4, today, 20_001))
    events = shard.do(purchase(BOB, 6, today, 20_001))
    assert [each.quantity for each in only(events, Traded)] == [2, 2]
    assert len(owed(shard, BOB)) == 4


def test_many_asks_of_one_seller_count_what_they_cut_together() -> None:
    """Each alone would take the old large piece; one after the other they cut all the small ones."""
    shard = rich(Limits(max_obligations=5))
    today = day(shard, 0)
    trade(shard, PAT, ALICE, 3, today, 19_999)
    pieces(shard, ALICE, 4, today)
    shard.place(sale(ALICE, 3, today, 20_000))
    shard.place(sale(ALICE, 3, today, 20_001))
    shard.do(purchase(BOB, 6, today, 20_001))
    assert shard.machine.state.accounts[BOB].obligations == 4
    trade(shard, PAT, BOB, 1, day(shard, 2))
    assert shard.machine.state.accounts[BOB].obligations <= 5


def test_a_seller_may_not_fall_into_more_pieces_than_an_account_holds() -> None:
    shard = rich(Limits(max_obligations=3))
    week = forward(shard, 1)
    trade(shard, PAT, ALICE, 2, week)
    trade(shard, PAT, ALICE, 1, week, 20_001)
    listed = shard.machine.state.instruments
    inside = [n for n in (day(shard, i) for i in range(7)) if listed[n].start_h > listed[week].start_h]
    middle = next(n for n in inside if listed[n].end_h < listed[week].end_h)
    # One GPU of a day in the middle: before it, the other GPU, after it. Two pieces more than there may be.
    rests = shard.place(sale(ALICE, 1, middle))
    (canceled,) = only(shard.do(purchase(BOB, 1, middle)), Canceled)
    assert (canceled.order_id, canceled.reason) == (rests, Reason.TOO_MANY_OBLIGATIONS)
    shard.refuse(sale(ALICE, 1, middle), Reason.TOO_MANY_OBLIGATIONS)
    assert len(owed(shard, ALICE)) == 2


def test_so_in_an_auction_where_the_others_trade() -> None:
    shard = rich(Limits(max_obligations=3))
    week = forward(shard, 1)
    trade(shard, PAT, ALICE, 2, week)
    trade(shard, PAT, ALICE, 1, week, 20_001)
    listed = shard.machine.state.instruments
    inside = [n for n in (day(shard, i) for i in range(7)) if listed[n].start_h > listed[week].start_h]
    middle = next(n for n in inside if listed[n].end_h < listed[week].end_h)
    shard.do(SetSession(instrument=middle, session=Session.AUCTION))
    rests = shard.place(sale(ALICE, 1, middle))
    shard.place(sale(PAT, 1, middle))
    shard.place(purchase(BOB, 1, middle))
    events = shard.do(SetSession(instrument=middle, session=Session.CONTINUOUS))
    assert [each.order_id for each in only(events, Canceled)] == [rests]
    assert [each.seller for each in only(events, Traded)] == [PAT]


def test_a_set_of_quotes_shares_the_cuts_of_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_state, "CUTS_A_COMMAND", 4)
    shard = rich()
    shard.pay(QUINN, 100_000)
    days = [day(shard, 0), day(shard, 2)]
    for instrument in days:
        pieces(shard, ALICE, 3, instrument)
        shard.place(sale(ALICE, 3, instrument, 20_000))
    quotes = tuple(
        Quote(instrument=number, side=Side.BUY, price_ticks=20_000, quantity=3, delivery=b"ssh-ed25519 AAAA")
        for number in days
    )
    events = shard.do(SetQuotes(account=QUINN, name="both", quotes=quotes, max_fills=0))
    assert sum(each.quantity for each in only(events, Traded)) == 4


def test_what_a_command_has_bought_counts_for_its_next_orders() -> None:
    shard = rich(Limits(max_obligations=2))
    days = [day(shard, number) for number in range(4)]
    for instrument in days:
        shard.place(sale(PAT, 2, instrument))
    # Neighbours of one quantity would be one.
    quotes = tuple(
        Quote(instrument=number, side=Side.BUY, price_ticks=TRADED, quantity=1 + at % 2)
        for at, number in enumerate(days)
    )
    events = shard.do(SetQuotes(account=ALICE, name="all", quotes=quotes, max_fills=0))
    assert [each.reason for each in only(events, Canceled)] == [Reason.TOO_MANY_OBLIGATIONS] * 2
    assert shard.machine.state.accounts[ALICE].obligations == 2


def test_what_a_command_has_resold_counts_for_its_next_orders() -> None:
    """Each hole in the seller's week is a piece more of hers."""
    shard = rich(Limits(max_obligations=2))
    week = forward(shard, 1)
    trade(shard, PAT, ALICE, 2, week)
    listed = shard.machine.state.instruments
    until(shard, listed[week].start_h - 2 * DAY_H)
    inside = [n for n in (day(shard, i) for i in range(7)) if listed[n].start_h > listed[week].start_h]
    holes = inside[0], inside[2]
    _, rests = (shard.place(sale(ALICE, 2, instrument)) for instrument in holes)
    quotes = tuple(Quote(instrument=number, side=Side.BUY, price_ticks=TRADED, quantity=2) for number in holes)
    events = shard.do(SetQuotes(account=BOB, name="holes", quotes=quotes, max_fills=0))
    assert [(each.order_id, each.reason) for each in only(events, Canceled)] == [(rests, Reason.TOO_MANY_OBLIGATIONS)]
    assert len(owed(shard, ALICE)) == 2


def test_dry_sales_are_what_sales_do() -> None:
    """The same pieces, in number and in age, but for neighbours that are joined."""
    for seed in range(60):
        chance = Random(seed)
        shard = rich()
        week = forward(shard, 1)
        for price_ticks in range(20_000, 20_000 + chance.randrange(1, 4)):
            trade(shard, PAT, ALICE, chance.randrange(1, 3), week, price_ticks)
        state = Machine.restore(shard.machine.snapshot(), PlainBook).state
        listed = state.instruments[week]
        held = dry_resales.holding(state, ALICE, BARON)
        most = sum(each.quantity for each in held)
        for _ in range(chance.randrange(1, 4)):
            start_h = chance.randrange(listed.start_h, listed.end_h)
            end_h = chance.randrange(start_h + 1, listed.end_h + 1)
            wanted = Part(start_h, end_h, chance.randrange(1, 3))
            free = [sum(e.quantity for e in held if e.start_h <= h < e.end_h) for h in range(start_h, end_h)]
            if min(free) < wanted.quantity or wanted.quantity > most:
                continue
            planned = obligations.plan(state, ALICE, BARON, wanted)
            goes, held = dry_resales.sale(held, wanted)
            assert goes == [part for _, parts in planned for part in parts]
            state.last_seq += 1
            state.begin()
            obligations.move(state, planned, BOB, week, b"")
            real = [Part(e.start_h, e.end_h, e.quantity) for e in obligations.held(state, ALICE, BARON)]
            # Joined neighbours are fewer pieces, and as old as the elder.
            assert held == real or len(held) > len(real)
            held = real


def test_the_leases_of_forwards_leave_room_for_others() -> None:
    shard = rich(Limits(max_leases=1))
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    trade(shard, PAT, ALICE, 2, day(shard, 0))
    assert len(only(until(shard, start_h), LeaseScheduled)) == 1
    shard.place(ask(PAT, TRADED, 2, ONDEMAND))
    shard.do(bid(ALICE, TRADED, 1, ONDEMAND))
    shard.refuse(bid(ALICE, TRADED, 1, ONDEMAND), Reason.TOO_MANY_LEASES)
