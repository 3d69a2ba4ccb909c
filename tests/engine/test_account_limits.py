"""An account's own limits and its kill switch: where they bind, what they leave alone (§2, docs/machine.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from engine.kinds import OrderType, Pot, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    Accepted,
    AccountLimitsSet,
    AmendOrder,
    CancelAll,
    Canceled,
    CancelOrder,
    Command,
    EndLease,
    Event,
    LeaseActive,
    LeaseScheduled,
    LeaseWiped,
    Quote,
    SetAccountLimits,
    SetOffers,
    SetQuotes,
    Traded,
    Transfer,
)
from engine.reasons import Reason
from engine.units import AMOUNT_MAX_MICROS
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    Shard,
    ask,
    bid,
    offered,
    only,
    rental,
)

HOLD = 2_066_667 + 10_334
"""What a bid for 1 GPU at $2 holds: 3,720 s, and 0.5 % of that, each rounded up."""


def allow(account: int, **limits: Any) -> SetAccountLimits:
    return SetAccountLimits(account=account, **limits)


def quoted(*quotes: Quote, account: int = PAT) -> SetQuotes:
    return SetQuotes(account=account, name="one", quotes=quotes)


def buys(quantity: int, price_ticks: int = 20_000) -> Quote:
    return Quote(instrument=SPOT, side=Side.BUY, price_ticks=price_ticks, quantity=quantity, delivery=b"key")


def reasons(events: Sequence[Event]) -> list[tuple[int, Reason]]:
    return [(event.order_id, event.reason) for event in events if isinstance(event, Canceled)]


# ---------------------------------------------------------------- setting them


def test_what_isn_t_given_stays_and_nought_takes_a_limit_away() -> None:
    shard = Shard()
    (said,) = only(shard.do(allow(ALICE, max_open_orders=3, max_gpus=8)), AccountLimitsSet)
    assert said == AccountLimitsSet(account=ALICE, max_open_orders=3, max_notional_micros=0, max_gpus=8, killed=False)
    (said,) = only(shard.do(allow(ALICE, max_open_orders=0, max_notional_micros=5)), AccountLimitsSet)
    assert said == AccountLimitsSet(account=ALICE, max_open_orders=0, max_notional_micros=5, max_gpus=8, killed=False)


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (allow(99, max_gpus=1), Reason.UNKNOWN_ACCOUNT, "account"),
        (allow(0, max_gpus=1), Reason.UNKNOWN_ACCOUNT, "account"),
        (allow(ALICE, max_open_orders=-1), Reason.INVALID_LIMITS, "max_open_orders"),
        (allow(ALICE, max_gpus=1, max_open_orders=10_001), Reason.INVALID_LIMITS, "max_open_orders"),
        (allow(ALICE, max_gpus=2**32), Reason.INVALID_LIMITS, "max_gpus"),
        (allow(ALICE, max_notional_micros=AMOUNT_MAX_MICROS + 1), Reason.INVALID_LIMITS, "max_notional_micros"),
    ],
)
def test_bad_limits_change_nothing(command: SetAccountLimits, reason: Reason, field: str) -> None:
    Shard().refuse(command, reason, field)


# ---------------------------------------------------------------- open orders


def test_an_account_s_own_bound_on_open_orders_binds_every_door() -> None:
    shard = Shard()
    shard.do(allow(PAT, max_open_orders=2))
    shard.pay(PAT, 100)
    shard.place(ask(PAT, 20_000, 1))
    shard.place(ask(PAT, 21_000, 1))
    shard.refuse(ask(PAT, 22_000, 1), Reason.TOO_MANY_ORDERS)
    shard.refuse(rental(PAT, 1, 1, SPOT), Reason.TOO_MANY_ORDERS)
    shard.refuse(quoted(buys(1)), Reason.TOO_MANY_ORDERS, "quotes")
    shard.offer(offered(23_000, 4, baron=SECOND_BARON))
    assert shard.asks(SPOT) == [(20_000, 1), (21_000, 1)]
    shard.do(allow(PAT, max_open_orders=3))
    shard.wait(HOUR)
    assert shard.asks(SPOT)[-1] == (23_000, 4)


# ---------------------------------------------------------------- GPUs


def test_gpus_are_what_bids_leave_and_what_is_leased_until_the_wipe() -> None:
    shard = Shard()
    shard.do(allow(ALICE, max_gpus=6))
    shard.place(ask(PAT, 20_000, 2))
    (scheduled,) = only(shard.do(bid(ALICE, 20_000, 5)), LeaseScheduled)
    assert shard.machine.state.accounts[ALICE].gpus == 5
    shard.refuse(bid(ALICE, 19_000, 2), Reason.GPU_LIMIT)
    kept = shard.place(bid(ALICE, 19_000, 1))
    shard.do(CancelOrder(account=ALICE, order_id=kept))
    shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id))
    shard.refuse(bid(ALICE, 19_000, 2), Reason.GPU_LIMIT)
    shard.do(LeaseWiped(lease_id=scheduled.lease_id))
    shard.place(bid(ALICE, 19_000, 3))


def test_the_bound_holds_at_each_way_in() -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    shard.offer(offered(20_000, 8), offered(20_000, 8, ONDEMAND))
    for account in (ALICE, PAT):
        shard.do(allow(account, max_gpus=3))
    shard.refuse(rental(ALICE, 4, 1), Reason.GPU_LIMIT)
    shard.refuse(bid(ALICE, 0, 4, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC), Reason.GPU_LIMIT)
    shard.refuse(quoted(buys(2, 100), buys(2, 99)), Reason.GPU_LIMIT, "quotes[1]")
    order = shard.place(bid(ALICE, 19_000, 2))
    shard.refuse(AmendOrder(account=ALICE, order_id=order, quantity=4), Reason.GPU_LIMIT)
    shard.do(AmendOrder(account=ALICE, order_id=order, quantity=3))
    shard.do(AmendOrder(account=ALICE, order_id=order, price_ticks=20_000))
    assert shard.machine.state.accounts[ALICE].gpus == 3
    shard.refuse(rental(ALICE, 1, 1), Reason.GPU_LIMIT)


def test_a_set_is_looked_at_as_if_the_old_one_were_gone() -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    shard.do(allow(PAT, max_gpus=4, max_notional_micros=4 * HOLD))
    shard.do(quoted(buys(3), buys(1)))
    shard.do(quoted(buys(1), buys(3)))
    shard.refuse(quoted(buys(1), buys(3), buys(1)), Reason.GPU_LIMIT, "quotes[2]")
    shard.refuse(quoted(buys(1), buys(3, 20_001)), Reason.NOTIONAL_LIMIT, "quotes[1]")
    assert shard.bids(SPOT) == [(20_000, 1), (20_000, 3)]


def test_a_limit_that_comes_down_leaves_what_stands_and_lets_it_trade() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 4))
    shard.do(allow(ALICE, max_gpus=2, max_notional_micros=HOLD, max_open_orders=1))
    assert shard.bids(SPOT) == [(20_000, 4)]
    # Less of it may always be asked; more may not, nor a dearer one.
    shard.do(AmendOrder(account=ALICE, order_id=order, quantity=3))
    shard.refuse(AmendOrder(account=ALICE, order_id=order, quantity=4), Reason.GPU_LIMIT)
    shard.refuse(AmendOrder(account=ALICE, order_id=order, price_ticks=20_001), Reason.NOTIONAL_LIMIT)
    shard.do(AmendOrder(account=ALICE, order_id=order, price_ticks=19_999))
    assert len(only(shard.do(ask(PAT, 19_999, 3)), Traded)) == 1


def test_a_stop_that_fires_finds_the_limits_of_now() -> None:
    shard = Shard()
    one, two = (
        shard.place(bid(account, 21_000, 3, order_type=OrderType.STOP_LIMIT, stop_price_ticks=21_000))
        for account in (ALICE, BOB)
    )
    shard.do(allow(ALICE, max_gpus=2))
    shard.do(allow(BOB, max_notional_micros=1))
    shard.pay(PAT, 100)
    shard.place(ask(QUINN, 21_000, 1, baron=OTHER_BARON))
    assert reasons(shard.do(bid(PAT, 21_000, 1))) == [(one, Reason.GPU_LIMIT), (two, Reason.NOTIONAL_LIMIT)]


# ---------------------------------------------------------------- notional


def test_notional_is_what_the_account_holds() -> None:
    shard = Shard()
    shard.do(allow(ALICE, max_notional_micros=3 * HOLD))
    shard.refuse(bid(ALICE, 20_000, 4), Reason.NOTIONAL_LIMIT)
    shard.place(bid(ALICE, 20_000, 2))
    shard.place(ask(PAT, 19_000, 1, ONDEMAND))
    # What a lease has in its prefund counts too.
    shard.do(rental(ALICE, 1, 1, max_price_ticks=20_000))
    shard.refuse(bid(ALICE, 20_000, 1), Reason.NOTIONAL_LIMIT)
    shard.place(bid(ALICE, 1_000, 1))
    assert shard.auditor.pots[ALICE, Pot.HELD] == 3 * HOLD
    shard.refuse(bid(ALICE, 1, 1), Reason.NOTIONAL_LIMIT)


def test_a_limit_never_stops_the_money_of_a_running_lease() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 8))
    (scheduled,) = only(shard.do(bid(ALICE, 20_000, 1)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    shard.do(allow(ALICE, max_notional_micros=1))
    shard.do(SetAccountLimits(account=ALICE, killed=True))
    topped_up = only(shard.wait(3 * HOUR), Transfer)
    assert [event.code.name for event in topped_up if event.credit_pot is Pot.HELD] == ["PREPAY"] * 3
    assert shard.machine.state.leases[scheduled.lease_id].live


# ---------------------------------------------------------------- the kill switch


def test_the_kill_switch_takes_every_order_and_keeps_out_what_comes() -> None:
    shard = Shard()
    shard.pay(PAT, 1_000)
    shard.offer(offered(22_000, 4), offered(23_000, 4, ONDEMAND))
    shard.place(ask(PAT, 30_000, 1, order_type=OrderType.STOP_LIMIT, stop_price_ticks=19_000))
    shard.do(quoted(buys(1, 18_000)))
    shard.place(bid(ALICE, 17_000, 1))
    live = [number for number, order in shard.auditor.orders.items() if order.accepted.account == PAT]
    events = shard.do(SetAccountLimits(account=PAT, killed=True))
    assert isinstance(events[0], AccountLimitsSet) and events[0].killed
    assert reasons(events) == [(number, Reason.ACCOUNT_KILLED) for number in live]
    assert len(live) == 4 and shard.asks(SPOT) == [] and shard.bids(SPOT) == [(17_000, 1)]
    assert only(shard.wait(2 * HOUR), Accepted) == []
    refused: list[Command] = [
        ask(PAT, 20_000, 1),
        bid(PAT, 20_000, 1),
        rental(PAT, 1, 1, SPOT),
        quoted(buys(1)),
        SetOffers(account=PAT, offers=(offered(20_000, 1),)),
    ]
    for command in refused:
        shard.refuse(command, Reason.ACCOUNT_KILLED)
    # What takes away may come still.
    shard.do(CancelAll(account=PAT))
    shard.do(quoted())
    assert shard.do(SetAccountLimits(account=PAT, killed=True))[1:] == []


def test_offers_enter_anew_at_once_when_it_goes_off() -> None:
    shard = Shard()
    shard.offer(offered(22_000, 4), offered(23_000, 4, ONDEMAND, baron=SECOND_BARON))
    shard.do(SetAccountLimits(account=PAT, killed=True))
    events = shard.do(SetAccountLimits(account=PAT, killed=False))
    entered = [(event.baron, event.price_ticks) for event in only(events, Accepted)]
    assert entered == [(BARON, 22_000), (SECOND_BARON, 23_000)]
    assert (shard.asks(SPOT), shard.asks(ONDEMAND)) == ([(22_000, 4)], [(23_000, 4)])


def test_a_killed_provider_s_leases_run_on_and_its_gpus_stay_unsold() -> None:
    shard = Shard()
    shard.offer(offered(22_000, 4))
    lease = shard.lease(ALICE, 2, 1, SPOT)
    shard.do(SetAccountLimits(account=PAT, killed=True))
    shard.wait(HOUR // 2)
    assert shard.machine.state.leases[lease].live
    shard.do(EndLease(account=ALICE, lease_id=lease))
    assert only(shard.do(LeaseWiped(lease_id=lease)), Accepted) == []
    shard.do(SetOffers(account=PAT, offers=()))
    assert shard.do(SetAccountLimits(account=PAT, killed=False))[1:] == []


def test_limits_and_the_switch_are_in_the_snapshot() -> None:
    shard = Shard(Limits(max_open_orders=50))
    shard.do(allow(ALICE, max_gpus=2, max_open_orders=1, max_notional_micros=7))
    shard.do(SetAccountLimits(account=PAT, killed=True))
    shard.place(bid(BOB, 20_000, 3))
    book = shard.machine.state.book_factory
    restored = Machine.restore(shard.machine.snapshot(), book)
    assert restored.state_hash() == shard.machine.state_hash()
    shard.twin = restored
    shard.refuse(bid(ALICE, 1, 3), Reason.GPU_LIMIT)
    shard.refuse(ask(PAT, 20_000, 1), Reason.ACCOUNT_KILLED)
    assert restored.state.accounts[BOB].gpus == 3
