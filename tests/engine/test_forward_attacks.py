"""Attacks on forwards: who wants money for nothing, the shard stopped, or two machines apart (rulebook §2, §4, §8, §9)."""

from __future__ import annotations

import msgspec
import pytest

from engine import failures, rows, stops
from engine import state as engine_state
from engine.book_plain import PlainBook
from engine.grid import GridFactory
from engine.grid_fast import FastGrid
from engine.grid_plain import PlainGrid
from engine.halves import compiled_half
from engine.kinds import OrderType, Pot, Presence
from engine.limits import Limits
from engine.messages import (
    Canceled,
    EndLease,
    KeepOrders,
    LeaseChanged,
    LeaseScheduled,
    LeaseWiped,
    SetCapacity,
    SetDelivery,
    SetPresence,
    SetRating,
    SetSession,
    Tick,
    Traded,
    Triggered,
)
from engine.reasons import Reason
from engine.records import Session
from engine.state import Baron, State
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    PAT,
    QUINN,
    SECOND,
    SECOND_BARON,
    START,
    Shard,
    ask,
    only,
)
from tests.engine.test_forwards import DAY_H, TRADED, day, forward, owed, pots, purchase, rich, sale, trade, until

YEAR_H = 365 * DAY_H


@pytest.mark.parametrize("grid_factory", [PlainGrid, FastGrid])
def test_a_row_outlives_what_its_grid_spans(grid_factory: GridFactory) -> None:
    state = State(1, Limits(), PlainBook, grid_factory)
    state.barons[BARON] = Baron(baron=BARON, provider=PAT, sku="X", region="here", verified_gpus=8)
    row, start_h = rows.row_of(state, PAT, BARON), START // HOUR
    for year in range(12):
        now_h = start_h + year * YEAR_H
        state.last_ts_ns = now_h * HOUR
        rows.add_sold(state, row, now_h, now_h + 1, 8)
        rows.add_sold(state, row, now_h + 2 * YEAR_H, now_h + 3 * YEAR_H, 4)
        assert rows.deliverable(state, row, now_h, now_h + 1) == (0 if year < 2 else -4)


def test_who_hands_over_is_the_oldest_after_a_restore_too() -> None:
    shard = rich(Limits(max_timers=1))
    first, second = day(shard, 0), day(shard, 1)
    for price_ticks in (20_000, 20_001):
        trade(shard, PAT, ALICE, 4, first, price_ticks)
    start_h = shard.machine.state.instruments[first].start_h
    until(shard, start_h)
    # The older obligation has the younger lease.
    older, _ = owed(shard, ALICE)
    shard.do(EndLease(account=ALICE, lease_id=older.lease_id))
    shard.do(LeaseWiped(lease_id=older.lease_id))
    shard.do(SetDelivery(account=ALICE, obligation_id=older.obligation_id, delivery=b"again"))
    trade(shard, PAT, ALICE, 4, second, 30_000)
    end_ns = (start_h + DAY_H) * HOUR
    shard.wait(end_ns - shard.now_ns - 1)
    shard.wait(1, tick=False)
    while len(owed(shard, ALICE)) > 1:
        shard.do(Tick())
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    shard.wait(HOUR)
    assert shard.twin.state_hash() == shard.machine.state_hash()


def test_what_an_auction_sold_fails_in_the_same_late_tick() -> None:
    shard = rich()
    week = forward(shard, 1)
    span = shard.machine.state.instruments[week]
    trade(shard, PAT, ALICE, 8, week)
    until(shard, span.start_h + 12)
    (owes,) = owed(shard, ALICE)
    inside = day(shard, 2)
    shard.do(EndLease(account=ALICE, lease_id=owes.lease_id))
    shard.wait(470 * SECOND)
    shard.place(sale(PAT, 1, inside, 20_000, baron=SECOND_BARON))
    shard.do(purchase(BOB, 1, inside, 20_000))
    shard.place(sale(ALICE, 4, inside, 40_000))
    shard.do(purchase(BOB, 4, inside, 40_000))
    assert shard.machine.session(inside) is Session.AUCTION
    shard.wait(10 * MINUTE, tick=False)
    events = shard.do(Tick())
    while shard.due():
        events += shard.do(Tick())
    assert only(events, Traded)


def test_hours_that_begin_on_a_lost_baron_fail() -> None:
    shard = rich()
    today = day(shard, 0)
    shard.place(sale(PAT, 4, today))
    # Without a lease nobody would see that nothing is delivered.
    shard.do(msgspec.structs.replace(purchase(ALICE, 4, today), delivery=b""))
    shard.do(SetPresence(baron=BARON, presence=Presence.QUIET))
    shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
    until(shard, shard.machine.state.instruments[today].start_h + 3)
    assert Pot.RECEIVABLE not in pots(shard, PAT)
    assert not owed(shard, ALICE)


def test_a_barons_word_reaches_a_market_in_which_an_operator_ended_a_forward() -> None:
    shard = rich()
    shard.do(SetSession(instrument=day(shard, 0), session=Session.EXPIRED))
    shard.do(SetRating(baron=BARON, rating=5))
    shard.wait(2 * DAY_H * HOUR)


def test_stops_that_cut_many_obligations_wait_for_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = rich()
    week = forward(shard, 1)
    span = shard.machine.state.instruments[week]
    for account in (ALICE, BOB):
        for price_ticks in (20_000, 20_001, 20_002):
            trade(shard, PAT, account, 1, week, price_ticks)
    shard.wait((span.start_h - 3 * DAY_H) * HOUR - shard.now_ns)
    inside = max(each for each in shard.machine.state.instruments if is_in(shard, each, span.start_h, span.end_h))
    for account in (ALICE, BOB):
        shard.place(sale(account, 3, inside, 20_000, order_type=OrderType.STOP_LIMIT, stop_price_ticks=20_000))
    shard.pay(QUINN, 100_000)
    shard.place(purchase(QUINN, 7, inside, 20_000))
    # As many numbers as one stop may take of them, with all that it cuts.
    monkeypatch.setattr(stops, "INDEX_MAX", 19_500)
    events = shard.do(sale(PAT, 1, inside, 20_000))
    assert len(only(events, Triggered)) == 1
    assert shard.due()
    assert len(only(shard.do(Tick()), Triggered)) == 1
    assert sum(each.quantity for each in owed(shard, QUINN)) == 7


def is_in(shard: Shard, number: int, start_h: int, end_h: int) -> bool:
    listed = shard.machine.state.instruments.get(number)
    return (
        listed is not None
        and (listed.region, listed.hours) == ("here", DAY_H)
        and start_h < listed.start_h
        and listed.end_h < end_h
    )


def test_more_failures_than_a_command_may_say_go_on_in_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = rich()
    today = day(shard, 0)
    for price_ticks in range(20_000, 20_004):
        trade(shard, PAT, ALICE, 1, today, price_ticks)
    until(shard, shard.machine.state.instruments[today].start_h)
    standing = shard.place(ask(PAT, 20_000, 2, ONDEMAND))
    monkeypatch.setattr(failures, "EVENTS_ENOUGH", 3)
    shard.do(SetCapacity(baron=BARON, gpus=6, simulated=False))
    assert len(owed(shard, ALICE)) == 4
    shard.do(SetCapacity(baron=BARON, gpus=2, simulated=False))
    left = [len(owed(shard, ALICE))]
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    while shard.due():
        shard.do(Tick())
        left.append(len(owed(shard, ALICE)))
    assert left == [3, 2]
    assert standing not in shard.machine.state.orders


@pytest.mark.usefixtures("law_alone")
def test_an_auction_cuts_no_more_obligations_than_a_command_may(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = rich()
    today = day(shard, 0)
    shard.pay(QUINN, 100_000)
    for price_ticks in (20_000, 20_001, 20_002):
        trade(shard, PAT, ALICE, 1, today, price_ticks)
    shard.do(SetSession(instrument=today, session=Session.AUCTION))
    shard.place(sale(ALICE, 3, today, 20_000))
    shard.place(purchase(BOB, 2, today, 20_000))
    beyond = shard.place(purchase(QUINN, 1, today, 20_000))
    monkeypatch.setattr(engine_state, "CUTS_A_COMMAND", 2)
    events = shard.do(SetSession(instrument=today, session=Session.CONTINUOUS))
    assert [(one.order_id, one.reason) for one in only(events, Canceled)] == [(beyond, Reason.TOO_MANY_OBLIGATIONS)]
    assert [each.quantity for each in owed(shard, BOB)] == [1, 1]


def test_a_stop_that_waited_past_the_end_of_trading_trades_no_more() -> None:
    shard = rich(Limits(max_stops=1))
    first = forward(shard)
    listed = shard.machine.state.instruments[first]
    for _ in range(2):
        shard.place(purchase(BOB, 1, first, 21_000, order_type=OrderType.STOP_LIMIT, stop_price_ticks=20_000))
    shard.place(sale(PAT, 4, first))
    shard.now_ns = listed.trading_end_ns - 1
    fired = only(shard.apply(purchase(ALICE, 1, first)), Triggered)
    assert len(fired) == 1
    shard.now_ns = listed.trading_end_ns
    events = shard.apply(KeepOrders(account=BOB, connection=1))
    assert [event.reason for event in only(events, Canceled)] == [Reason.INSTRUMENT_EXPIRED]
    assert only(events, Traded) == []


def test_who_quits_and_is_not_wiped_does_not_fail_its_own_obligation() -> None:
    shard = rich()
    first = forward(shard)
    start_h = shard.machine.state.instruments[first].start_h
    trade(shard, PAT, ALICE, 8, first)
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id))
    shard.wait(30 * MINUTE)
    assert [each.quantity for each in owed(shard, ALICE)] == [8]
    overdue = [event for event in only(until(shard, start_h + DAY_H), LeaseChanged) if event.overdue]
    assert [event.lease_id for event in overdue] == [scheduled.lease_id], "once the obligation is delivered"
    shard.refuse(ask(PAT, TRADED, 1, ONDEMAND), Reason.INSUFFICIENT_CAPACITY, "quantity")


def test_who_buys_hours_back_does_not_sell_gpus_that_are_not_wiped() -> None:
    shard = rich()
    today, tomorrow = day(shard, 0), day(shard, 1)
    start_h = shard.machine.state.instruments[today].start_h
    for instrument in (today, tomorrow):
        trade(shard, PAT, ALICE, 8, instrument)
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id))
    # Ten minutes later its GPUs are its obligation's still, which goes on for two days; then for one.
    shard.wait(30 * MINUTE)
    trade(shard, ALICE, PAT, 8, tomorrow)
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    assert shard.place(ask(PAT, TRADED, 8, tomorrow, max_hours=0))
    overdue = [event for event in only(until(shard, start_h + DAY_H), LeaseChanged) if event.overdue]
    assert [event.lease_id for event in overdue] == [scheduled.lease_id]
    shard.refuse(ask(PAT, TRADED, 1, ONDEMAND), Reason.INSUFFICIENT_CAPACITY, "quantity")
