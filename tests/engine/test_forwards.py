"""Forwards: what a trade means in hours and money, resale, delivery by the hour, and failure (rulebook §4, §8, §9)."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from engine.kinds import EndReason, Fault, Kind, LeaseState, ObligationChange, Pot, Presence, Side
from engine.limits import Limits
from engine.messages import (
    Canceled,
    EndLease,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeasePriced,
    LeaseScheduled,
    LeaseWiped,
    ObligationChanged,
    PlaceOrder,
    Quote,
    SetAccountLimits,
    SetCapacity,
    SetDelivery,
    SetPresence,
    SetQuotes,
    Transfer,
)
from engine.obligation import Obligation
from engine.reasons import Reason
from engine.units import MICROS_PER_TICK
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, ONDEMAND, OTHER_BARON, PAT, START, Shard, ask, bid, only

CAROL: Final = ALICE
DAY_H: Final = 24
START_H: Final = START // HOUR
TRADED: Final = 20_000
"""$2.00 a GPU-hour."""


def forward(shard: Shard, kind: int = 0) -> int:
    """The first forward of the first market whose period is a day (0) or a week (1): its instrument."""
    hours = (DAY_H, 7 * DAY_H)[kind]
    return next(
        number
        for number, each in shard.machine.state.instruments.items()
        if each.kind is Kind.FORWARD and each.region == "here" and each.hours == hours
    )


def day(shard: Shard, index: int) -> int:
    """The instrument of a day, so many after the first that is listed."""
    listed = shard.machine.state.instruments
    days = [number for number, each in listed.items() if each.region == "here" and each.hours == DAY_H]
    return sorted(days, key=lambda number: listed[number].start_h)[index]


def sale(account: int, quantity: int, instrument: int, price_ticks: int = TRADED, **more: object) -> PlaceOrder:
    return ask(account, price_ticks, quantity, instrument, max_hours=0, **more)  # type: ignore[arg-type]


def purchase(account: int, quantity: int, instrument: int, price_ticks: int = TRADED, **more: object) -> PlaceOrder:
    return bid(account, price_ticks, quantity, instrument, hours=0, **more)  # type: ignore[arg-type]


def trade(
    shard: Shard, seller: int, buyer: int, quantity: int, instrument: int, price_ticks: int = TRADED
) -> list[Event]:
    """The seller's ask rests, and the buyer takes it."""
    shard.place(sale(seller, quantity, instrument, price_ticks))
    return shard.do(purchase(buyer, quantity, instrument, price_ticks))


def owed(shard: Shard, holder: int) -> list[Obligation]:
    return [each for each in shard.machine.state.obligations.values() if each.holder == holder]


def pots(shard: Shard, account: int) -> dict[Pot, int]:
    return {pot: amount for (number, pot), amount in shard.auditor.pots.items() if number == account and amount}


def until(shard: Shard, hour: int) -> list[Event]:
    """Let time pass to the start of an hour, its timers with it."""
    return shard.wait(hour * HOUR - shard.now_ns)


def rich(limits: Limits | None = None) -> Shard:
    return Shard(limits, usd=100_000, providers_usd=100_000)


# ---------------------------------------------------------------- a provider's sale


def test_a_sale_pays_into_escrow_and_makes_an_obligation() -> None:
    shard = rich()
    week = forward(shard, 1)
    events = trade(shard, PAT, ALICE, 4, week)
    notional = TRADED * MICROS_PER_TICK * 4 * 168
    (made,) = owed(shard, ALICE)
    assert (made.provider, made.quantity, made.price_ticks) == (PAT, 4, TRADED)
    assert made.end_h - made.start_h == 168
    assert pots(shard, PAT)[Pot.ESCROW] == notional
    assert pots(shard, PAT)[Pot.BOND] == notional // 10
    # The maker pays nothing, the taker 0.5 %.
    assert pots(shard, ALICE) == {Pot.AVAILABLE: 100_000_000_000 - notional - notional * 5 // 1000}
    assert [event.change for event in only(events, ObligationChanged)] == [ObligationChange.SOLD]
    assert not only(events, LeaseScheduled)


def test_an_open_ask_holds_bond_and_fee_and_a_bid_all_hours() -> None:
    shard = rich()
    first = forward(shard)
    notional = TRADED * MICROS_PER_TICK * 2 * DAY_H
    shard.place(sale(PAT, 2, first))
    assert pots(shard, PAT)[Pot.HELD] == notional // 10 + notional * 5 // 1000
    shard.place(purchase(ALICE, 2, first, TRADED - 1))
    lower = (TRADED - 1) * MICROS_PER_TICK * 2 * DAY_H
    assert pots(shard, ALICE)[Pot.HELD] == lower + -(-lower * 5 // 1000)


def test_an_ask_that_takes_is_held_at_the_best_bid_and_comes_down_when_it_rests() -> None:
    shard = rich()
    first = forward(shard)
    shard.place(purchase(ALICE, 1, first, 2 * TRADED))
    events = shard.do(sale(PAT, 3, first))
    bought = 2 * TRADED * MICROS_PER_TICK * DAY_H
    rests = TRADED * MICROS_PER_TICK * 2 * DAY_H
    assert pots(shard, PAT)[Pot.BOND] == bought // 10
    assert pots(shard, PAT)[Pot.HELD] == rests // 10 + rests * 5 // 1000
    holds = [event.amount_micros for event in only(events, Transfer) if event.credit_pot is Pot.HELD]
    assert holds == [3 * (bought // 10 + bought * 5 // 1000)]


def test_who_cannot_hold_the_bond_cannot_ask() -> None:
    shard = Shard(providers_usd=0)
    first = forward(shard)
    shard.refuse(sale(PAT, 1, first), Reason.INSUFFICIENT_FUNDS)
    shard.pay(PAT, 6)
    shard.place(sale(PAT, 1, first))
    shard.refuse(sale(PAT, 1, first), Reason.INSUFFICIENT_FUNDS)


def test_fills_of_one_bid_are_one_obligation() -> None:
    shard = rich()
    first = forward(shard)
    shard.place(sale(PAT, 1, first))
    shard.place(sale(PAT, 2, first))
    shard.do(purchase(ALICE, 3, first))
    assert [each.quantity for each in owed(shard, ALICE)] == [3]


def test_hours_are_sold_once_whichever_period_sells_them() -> None:
    shard = rich()
    week, inside = forward(shard, 1), None
    listed = shard.machine.state.instruments
    start_h, end_h = listed[week].start_h, listed[week].end_h
    days = [n for n, each in listed.items() if each.region == "here" and each.hours == DAY_H]
    inside = next((n for n in days if start_h <= listed[n].start_h < end_h), None)
    assert inside is not None
    trade(shard, PAT, ALICE, 5, week)
    shard.refuse(sale(PAT, 4, inside), Reason.INSUFFICIENT_CAPACITY)
    shard.place(sale(PAT, 3, inside))


@pytest.mark.parametrize(
    ("more", "reason", "field"),
    [
        ({"max_hours": 24}, Reason.INVALID_HOURS, "max_hours"),
        ({"min_hours": 2}, Reason.INVALID_HOURS, "min_hours"),
        ({"reduce_only": True}, Reason.REDUCE_ONLY, "reduce_only"),
        ({"baron": OTHER_BARON}, Reason.NOT_YOUR_BARON, "baron"),
    ],
)
def test_terms_that_an_ask_does_not_have(more: dict[str, object], reason: Reason, field: str) -> None:
    shard = rich()
    shard.refuse(msgspec.structs.replace(sale(PAT, 1, forward(shard)), **more), reason, field)


def test_terms_that_a_bid_does_not_have() -> None:
    shard = rich()
    order = purchase(ALICE, 1, forward(shard))
    shard.refuse(msgspec.structs.replace(order, hours=2), Reason.INVALID_HOURS, "hours")
    shard.refuse(msgspec.structs.replace(order, reduce_only=True), Reason.INVALID_ORDER, "reduce_only")
    shard.place(msgspec.structs.replace(order, delivery=b""))


# ---------------------------------------------------------------- resale


def test_one_day_in_the_middle_of_a_week_is_sold_on() -> None:
    shard = rich()
    week = forward(shard, 1)
    trade(shard, PAT, ALICE, 4, week)
    listed = shard.machine.state.instruments
    inside = next(
        n
        for n, each in listed.items()
        if each.region == "here" and each.hours == DAY_H and listed[week].start_h <= each.start_h < listed[week].end_h
    )
    before = pots(shard, ALICE)[Pot.AVAILABLE]
    escrow = pots(shard, PAT)[Pot.ESCROW]
    trade(shard, ALICE, BOB, 1, inside, 3 * TRADED)
    notional = 3 * TRADED * MICROS_PER_TICK * DAY_H
    # The reseller has its proceeds at once, and pays no fee as maker; the escrow stays as the first sale left it.
    assert pots(shard, ALICE)[Pot.AVAILABLE] == before + notional
    assert pots(shard, PAT)[Pot.ESCROW] == escrow
    (got,) = owed(shard, BOB)
    assert (got.provider, got.quantity, got.price_ticks) == (PAT, 1, TRADED)
    assert (got.start_h, got.end_h) == (listed[inside].start_h, listed[inside].end_h)
    assert sum(each.gpu_hours for each in owed(shard, ALICE)) == 4 * 168 - DAY_H


def test_nobody_sells_more_than_it_bought() -> None:
    shard = rich()
    first = forward(shard)
    trade(shard, PAT, ALICE, 2, first)
    shard.refuse(sale(ALICE, 3, first), Reason.INSUFFICIENT_CAPACITY)
    shard.refuse(sale(BOB, 1, first), Reason.NOT_YOUR_BARON, "baron")
    shard.place(sale(ALICE, 2, first, reduce_only=True))
    shard.refuse(sale(ALICE, 1, first), Reason.INSUFFICIENT_CAPACITY)


def test_a_reseller_needs_no_bond_and_pays_its_fee_out_of_the_proceeds() -> None:
    shard = rich()
    first = forward(shard)
    trade(shard, PAT, ALICE, 2, first)
    before = pots(shard, ALICE)[Pot.AVAILABLE]
    shard.place(purchase(BOB, 2, first))
    shard.do(sale(ALICE, 2, first))
    notional = TRADED * MICROS_PER_TICK * 2 * DAY_H
    assert pots(shard, ALICE) == {Pot.AVAILABLE: before + notional - notional * 5 // 1000}
    assert owed(shard, ALICE) == []


def test_a_provider_that_buys_back_owes_nothing_and_may_sell_again() -> None:
    shard = rich()
    first = forward(shard)
    start = pots(shard, PAT)[Pot.AVAILABLE]
    trade(shard, PAT, ALICE, 8, first)
    trade(shard, ALICE, PAT, 8, first)
    assert not shard.machine.state.obligations
    notional = TRADED * MICROS_PER_TICK * 8 * DAY_H
    assert pots(shard, PAT) == {Pot.AVAILABLE: start - notional * 5 // 1000}
    shard.place(sale(PAT, 8, first))


def test_spot_and_ondemand_asks_need_hours_that_run() -> None:
    shard = rich()
    trade(shard, PAT, ALICE, 2, forward(shard))
    shard.refuse(ask(ALICE, TRADED, 1), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.refuse(ask(ALICE, TRADED, 1, ONDEMAND), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.refuse(ask(BOB, TRADED, 1), Reason.NOT_YOUR_BARON, "baron")


# ---------------------------------------------------------------- bounds


def test_a_bid_for_more_obligations_than_an_account_may_hold() -> None:
    shard = rich(Limits(max_obligations=1))
    trade(shard, PAT, ALICE, 1, day(shard, 0))
    shard.place(sale(PAT, 1, day(shard, 2)))
    shard.refuse(purchase(ALICE, 1, day(shard, 2)), Reason.TOO_MANY_OBLIGATIONS)
    shard.do(purchase(BOB, 1, day(shard, 2)))
    rests = shard.place(purchase(BOB, 1, day(shard, 4)))
    (canceled,) = only(shard.do(sale(PAT, 1, day(shard, 4))), Canceled)
    assert (canceled.order_id, canceled.reason) == (rests, Reason.TOO_MANY_OBLIGATIONS)


def test_obligations_count_for_an_accounts_gpus_in_their_fullest_hour() -> None:
    shard = rich()
    shard.do(SetAccountLimits(account=ALICE, max_gpus=5))
    trade(shard, PAT, ALICE, 3, day(shard, 0))
    trade(shard, PAT, ALICE, 2, day(shard, 1))
    shard.place(purchase(ALICE, 2, day(shard, 2)))
    shard.refuse(purchase(ALICE, 1, day(shard, 2)), Reason.GPU_LIMIT)


def test_a_set_of_quotes_holds_for_its_asks() -> None:
    shard = Shard(providers_usd=0)
    first = forward(shard)
    quotes = (Quote(instrument=first, side=Side.SELL, price_ticks=TRADED, quantity=1, baron=BARON),)
    command = SetQuotes(account=PAT, name="forwards", quotes=quotes)
    shard.refuse(command, Reason.INSUFFICIENT_FUNDS, "quotes[0]")
    shard.pay(PAT, 6)
    shard.do(command)
    # What the old set holds is there for the new one.
    shard.do(command)
    assert shard.asks(first) == [(TRADED, 1)]


# ---------------------------------------------------------------- delivery


def test_hours_are_delivered_and_paid_one_by_one() -> None:
    shard = rich()
    first = forward(shard)
    start_h = shard.machine.state.instruments[first].start_h
    trade(shard, PAT, ALICE, 2, first)
    events = until(shard, start_h)
    (scheduled,) = only(events, LeaseScheduled)
    assert (scheduled.kind, scheduled.quantity, scheduled.state) == (Kind.FORWARD, 2, LeaseState.PROVISIONING)
    assert (scheduled.start_ns, scheduled.term_end_ns) == (start_h * HOUR, (start_h + DAY_H) * HOUR)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b"port 22000"))
    until(shard, start_h + 1)
    hour = TRADED * MICROS_PER_TICK * 2
    assert pots(shard, PAT)[Pot.RECEIVABLE] == hour
    assert pots(shard, PAT)[Pot.ESCROW] == 23 * hour
    assert pots(shard, PAT)[Pot.BOND] == 23 * hour // 10
    ended = only(until(shard, start_h + DAY_H), LeaseChanged)[-1]
    assert (ended.state, ended.reason, ended.charged_micros) == (LeaseState.ENDED, EndReason.EXPIRED, 0)
    assert pots(shard, PAT)[Pot.RECEIVABLE] == 24 * hour
    assert Pot.ESCROW not in pots(shard, PAT)
    assert Pot.BOND not in pots(shard, PAT)
    shard.do(LeaseWiped(lease_id=scheduled.lease_id))
    assert not shard.machine.state.obligations


def test_obligations_that_follow_one_another_share_a_lease() -> None:
    shard = rich()
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    trade(shard, PAT, ALICE, 2, day(shard, 0))
    trade(shard, PAT, ALICE, 2, day(shard, 1), TRADED + 1)
    assert len(owed(shard, ALICE)) == 2
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b"port 22000"))
    events = until(shard, start_h + DAY_H)
    assert not only(events, LeaseScheduled)
    (moved,) = only(events, LeasePriced)
    assert (moved.lease_id, moved.term_end_ns) == (scheduled.lease_id, (start_h + 2 * DAY_H) * HOUR)
    (ended,) = [each for each in only(until(shard, start_h + 2 * DAY_H), LeaseChanged) if not each.wiped]
    assert ended.state is LeaseState.ENDED


def test_another_quantity_is_another_lease() -> None:
    shard = rich()
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    trade(shard, PAT, ALICE, 3, day(shard, 0))
    trade(shard, PAT, ALICE, 2, day(shard, 1))
    (first,) = only(until(shard, start_h), LeaseScheduled)
    events = until(shard, start_h + DAY_H)
    (second,) = only(events, LeaseScheduled)
    assert (first.quantity, second.quantity) == (3, 2)
    (ended,) = only(events, LeaseChanged)
    assert (ended.lease_id, ended.state) == (first.lease_id, LeaseState.ENDED)


def test_selling_the_rest_of_what_runs_ends_its_lease_there() -> None:
    shard = rich()
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    trade(shard, PAT, ALICE, 2, day(shard, 0))
    trade(shard, PAT, ALICE, 2, day(shard, 1))
    assert len(owed(shard, ALICE)) == 1
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    assert scheduled.term_end_ns == (start_h + 2 * DAY_H) * HOUR
    (priced,) = only(trade(shard, ALICE, BOB, 2, day(shard, 0)), LeasePriced)
    assert priced.term_end_ns == (start_h + DAY_H) * HOUR
    events = until(shard, start_h + DAY_H)
    (bobs,) = only(events, LeaseScheduled)
    assert (bobs.renter, bobs.quantity) == (BOB, 2)
    assert [each.lease_id for each in only(events, LeaseChanged) if each.state is LeaseState.ENDED] == [
        scheduled.lease_id
    ]


def test_without_delivery_it_waits_and_is_paid_all_the_same() -> None:
    shard = rich()
    first = forward(shard)
    start_h = shard.machine.state.instruments[first].start_h
    shard.place(sale(PAT, 2, first))
    shard.do(msgspec.structs.replace(purchase(ALICE, 2, first), delivery=b""))
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    assert scheduled.state is LeaseState.SCHEDULED
    until(shard, start_h + 1)
    assert pots(shard, PAT)[Pot.RECEIVABLE] == TRADED * MICROS_PER_TICK * 2
    (obligation,) = owed(shard, ALICE)
    command = SetDelivery(account=ALICE, obligation_id=obligation.obligation_id, delivery=b"key")
    (changed,) = only(shard.do(command), LeaseChanged)
    assert (changed.state, changed.delivery) == (LeaseState.PROVISIONING, b"key")
    shard.refuse(command, Reason.NO_LEASE_NOW, "obligation_id")


def test_who_quits_has_another_lease_when_the_first_is_wiped() -> None:
    shard = rich()
    first = forward(shard)
    start_h = shard.machine.state.instruments[first].start_h
    trade(shard, PAT, ALICE, 2, first)
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id))
    (obligation,) = owed(shard, ALICE)
    command = SetDelivery(account=ALICE, obligation_id=obligation.obligation_id, delivery=b"key")
    shard.refuse(command, Reason.NO_LEASE_NOW, "obligation_id")
    shard.do(LeaseWiped(lease_id=scheduled.lease_id))
    (again,) = only(shard.do(command), LeaseScheduled)
    assert (again.quantity, again.term_end_ns) == (2, scheduled.term_end_ns)
    until(shard, start_h + 1)
    assert pots(shard, PAT)[Pot.RECEIVABLE] == TRADED * MICROS_PER_TICK * 2


def test_only_the_holder_says_where_to() -> None:
    shard = rich()
    trade(shard, PAT, ALICE, 2, forward(shard))
    (obligation,) = owed(shard, ALICE)
    number = obligation.obligation_id
    shard.refuse(
        SetDelivery(account=BOB, obligation_id=number, delivery=b"key"), Reason.UNKNOWN_OBLIGATION, "obligation_id"
    )
    shard.refuse(SetDelivery(account=ALICE, obligation_id=number, delivery=b""), Reason.NO_SSH_KEY, "delivery")
    shard.do(SetDelivery(account=ALICE, obligation_id=number, delivery=b"other"))
    assert obligation.delivery == b"other"


# ---------------------------------------------------------------- failure


def test_a_lease_that_its_provider_fails_fails_its_obligation() -> None:
    shard = rich()
    first = forward(shard)
    start_h = shard.machine.state.instruments[first].start_h
    trade(shard, PAT, ALICE, 2, first)
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    until(shard, start_h + 3)
    before = pots(shard, ALICE)[Pot.AVAILABLE]
    shard.do(LeaseFailed(lease_id=scheduled.lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    left = TRADED * MICROS_PER_TICK * 2 * 21
    assert pots(shard, ALICE)[Pot.AVAILABLE] == before + left + left // 10
    assert not shard.machine.state.obligations
    # Its hours stay sold in the provider's row until they pass.
    grid = shard.machine.state.rows[PAT, BARON].grid
    assert grid.at(start_h + 5).sold == 2
    assert shard.machine.state.rows[ALICE, BARON].grid.at(start_h + 5).bought == 0


def test_what_is_short_as_hours_begin_fails_newest_first() -> None:
    shard = rich()
    first = forward(shard)
    start_h = shard.machine.state.instruments[first].start_h
    trade(shard, PAT, ALICE, 4, first)
    trade(shard, PAT, BOB, 4, first)
    shard.do(SetCapacity(baron=BARON, gpus=5, simulated=False))
    assert len(shard.machine.state.obligations) == 2, "later hours are looked at when they begin"
    before = pots(shard, BOB)[Pot.AVAILABLE]
    until(shard, start_h)
    assert [each.holder for each in shard.machine.state.obligations.values()] == [ALICE]
    notional = TRADED * MICROS_PER_TICK * 4 * DAY_H
    assert pots(shard, BOB)[Pot.AVAILABLE] == before + notional + notional // 10
    shard.do(SetCapacity(baron=BARON, gpus=3, simulated=False))
    assert not shard.machine.state.obligations


@pytest.mark.parametrize("quits", [False, True])
def test_a_lost_baron_fails_what_runs_with_a_lease_or_without(quits: bool) -> None:
    shard = rich()
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    later = day(shard, 2)
    trade(shard, PAT, ALICE, 2, day(shard, 0))
    trade(shard, PAT, ALICE, 2, later)
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b"port 22000"))
    shard.wait(MINUTE)
    if quits:
        shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id))
    before = pots(shard, ALICE)[Pot.AVAILABLE]
    shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=start_h * HOUR))
    left = TRADED * MICROS_PER_TICK * 2 * DAY_H
    assert pots(shard, ALICE)[Pot.AVAILABLE] == before + left + left // 10
    # Hours that haven't begun may be delivered yet.
    assert [each.start_h for each in owed(shard, ALICE)] == [start_h + 2 * DAY_H]


def test_asks_on_hours_that_failed_are_cut() -> None:
    shard = rich()
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    trade(shard, PAT, ALICE, 4, day(shard, 0))
    trade(shard, PAT, ALICE, 4, day(shard, 1))
    rests = shard.place(sale(ALICE, 4, day(shard, 1), 3 * TRADED))
    until(shard, start_h)
    events = shard.do(SetCapacity(baron=BARON, gpus=0, simulated=False))
    assert [each.order_id for each in only(events, Canceled)] == [rests]


# ---------------------------------------------------------------- snapshot


def test_a_snapshot_in_the_middle_of_a_delivery_goes_on_alike() -> None:
    shard = rich()
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    trade(shard, PAT, ALICE, 2, day(shard, 0))
    trade(shard, PAT, ALICE, 2, day(shard, 1), TRADED + 1)
    until(shard, start_h + 1)
    shard.place(sale(ALICE, 1, day(shard, 0), 2 * TRADED))
    shard.twin = type(shard.machine).restore(shard.machine.snapshot(), type(shard.machine.state.books[1]))
    shard.do(purchase(BOB, 1, day(shard, 0), 2 * TRADED))
    until(shard, start_h + 3 * DAY_H)
    assert shard.twin.state_hash() == shard.machine.state_hash()
