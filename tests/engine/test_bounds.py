"""Attacks: the largest numbers, the longest walks, the busiest accounts. Bounded, refused, and never wrong (§2)."""

from __future__ import annotations

import msgspec
import pytest

from engine.kinds import Pot, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    Accepted,
    Amended,
    Canceled,
    CancelOrder,
    EndLease,
    LeaseActive,
    LeaseScheduled,
    LeaseWiped,
    SetCapacity,
    Traded,
)
from engine.reasons import Reason
from engine.records import SelfTrade
from engine.units import AMOUNT_MAX_MICROS, INT64_MAX, PRICE_MAX_TICKS, QUANTITY_MAX
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    ONDEMAND,
    PAT,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    offered,
    only,
)


def test_the_largest_price_quantity_and_term_stay_exact() -> None:
    # An hour of it all is the bond of its ask.
    shard = Shard(gpus=QUANTITY_MAX, usd=AMOUNT_MAX_MICROS // 10**6, providers_usd=10**8)
    shard.place(ask(PAT, PRICE_MAX_TICKS, QUANTITY_MAX, ONDEMAND, max_hours=744))
    lease_id = shard.lease(ALICE, QUANTITY_MAX, 743)
    # $1000 x 100,000 GPUs: a hundred million dollars an hour; the money lasts for 744 of them and their fee.
    shard.wait(743 * HOUR)
    usage = 743 * 10**8 * 10**6
    # A month ended in between, and its part was paid out, beside what came back of the bond.
    assert shard.auditor.pots[PAT, Pot.RECEIVABLE] + shard.auditor.pots[PAT, Pot.AVAILABLE] == usage + 10**8 * 10**6
    assert shard.auditor.pots[0, Pot.FEES] == usage * 5_000 // 10**6
    assert not shard.machine.state.leases[lease_id].live
    assert all(abs(amount) <= INT64_MAX for _, _, amount in shard.machine.balances())


def test_a_walk_past_ten_thousand_terms_it_cannot_serve_is_cut_short() -> None:
    unbounded = Limits(max_open_orders=20_000, max_conditional_account=0, max_conditional_side=0)
    shard = Shard(unbounded, usd=AMOUNT_MAX_MICROS // 10**6)
    shard.auditor.every = 1_000_000
    order = bid(ALICE, 20_000, 1, ONDEMAND, hours=744)
    for _ in range(10_000):
        shard.do(order)
    shard.do(bid(BOB, 19_000, 1, ONDEMAND))
    shard.auditor.every = 1
    incoming = ask(PAT, 15_000, 4, ONDEMAND, max_hours=24)
    events = shard.do(incoming)
    assert [(event.quantity, event.reason) for event in only(events, Canceled)] == [(4, Reason.WALK_LIMIT)]
    assert only(events, Traded) == []
    shard.refuse(msgspec.structs.replace(incoming, time_in_force=TimeInForce.FOK), Reason.WALK_LIMIT)


def test_a_command_makes_no_more_fills_than_it_may_look_at_orders() -> None:
    shard = Shard(Limits(max_looked=3))
    for price_ticks in range(20_000, 20_005):
        shard.place(ask(PAT, price_ticks, 1))
    events = shard.do(bid(ALICE, 30_000, 5))
    assert [trade.price_ticks for trade in only(events, Traded)] == [20_000, 20_001, 20_002]
    assert [event.reason for event in only(events, Canceled)] == [Reason.WALK_LIMIT]
    # Exactly as many as there are is no limit reached.
    assert len(only(shard.do(bid(ALICE, 30_000, 2)), Traded)) == 2


def test_offers_that_enter_in_one_command_share_its_fills() -> None:
    shard = Shard(Limits(max_looked=3))
    for _ in range(4):
        shard.place(bid(ALICE, 20_000, 1))
    # The second would need two fills where one is left: it waits for the next full hour.
    events = shard.offer(offered(20_000, 2), offered(20_000, 2, baron=SECOND_BARON))
    assert len(only(events, Traded)) == 2
    assert only(events, Canceled) == []
    assert len(shard.bids(SPOT)) == 2
    shard.wait(HOUR)
    assert shard.bids(SPOT) == []


def test_a_bid_that_would_open_too_many_leases_is_refused() -> None:
    shard = Shard(Limits(max_leases=2))
    for baron in (BARON, SECOND_BARON):
        shard.place(ask(PAT, 20_000, 4, baron=baron))
    shard.do(bid(ALICE, 20_000, 1))
    shard.refuse(bid(ALICE, 20_000, 7), Reason.TOO_MANY_LEASES)
    shard.do(bid(ALICE, 20_000, 3))
    shard.refuse(bid(ALICE, 20_000, 1), Reason.TOO_MANY_LEASES)
    # It may rest: it opens nothing yet.
    shard.do(bid(ALICE, 10_000, 1))


def test_a_resting_bid_of_an_account_at_its_bound_is_cancelled_when_met() -> None:
    shard = Shard(Limits(max_leases=1))
    full = [shard.place(bid(ALICE, 21_000, 1)) for _ in range(3)]
    free = shard.place(bid(BOB, 20_000, 2))
    shard.refuse(ask(PAT, 20_000, 3, time_in_force=TimeInForce.FOK), Reason.FOK_KILLED)
    events = shard.do(ask(PAT, 20_000, 3))
    assert [trade.maker_order_id for trade in only(events, Traded)] == [full[0], free]
    assert [(event.order_id, event.reason) for event in only(events, Canceled)] == [
        (full[1], Reason.TOO_MANY_LEASES),
        (full[2], Reason.TOO_MANY_LEASES),
    ]
    assert shard.auditor.pots[ALICE, Pot.HELD] == shard.prefunds(ALICE)


def test_bids_that_decrement_lets_nobody_meet_stay() -> None:
    shard = Shard(Limits(max_leases=1))
    shard.pay(PAT, 100)
    shard.place(bid(PAT, 22_000, 2))
    full = [shard.place(bid(ALICE, 21_000, 1)) for _ in range(2)]
    # The seller's own bid takes two of the three: one bid of ALICE's is met, and the other never.
    events = shard.do(ask(PAT, 20_000, 3, self_trade=SelfTrade.DECREMENT))
    assert [trade.maker_order_id for trade in only(events, Traded)] == [full[0]]
    assert Reason.TOO_MANY_LEASES not in [event.reason for event in only(events, Canceled)]
    assert shard.bids(SPOT) == [(21_000, 1)]
    # A fok's dry walk leaves them out of it, yet those that it would fill in earnest are held to the bound.
    shard.place(bid(PAT, 22_000, 2))
    shard.place(bid(BOB, 20_000, 3))
    fok = ask(PAT, 20_000, 3, self_trade=SelfTrade.DECREMENT, time_in_force=TimeInForce.FOK)
    shard.refuse(fok, Reason.FOK_KILLED)


def test_bids_cancelled_when_met_count_against_the_walk() -> None:
    shard = Shard(Limits(max_leases=1, max_looked=3))
    for _ in range(6):
        shard.place(bid(ALICE, 21_000, 1))
    events = shard.do(ask(PAT, 20_000, 1))
    assert len(only(events, Traded)) == 1
    events = shard.do(ask(PAT, 20_000, 1))
    assert [event.reason for event in only(events, Canceled)] == [Reason.TOO_MANY_LEASES] * 3 + [Reason.WALK_LIMIT]


def test_leases_count_until_they_are_wiped() -> None:
    shard = Shard(Limits(max_leases=1))
    shard.place(ask(PAT, 20_000, 8, ONDEMAND))
    lease_id = shard.lease(ALICE, 1, 1)
    shard.do(EndLease(account=ALICE, lease_id=lease_id))
    shard.refuse(bid(ALICE, 20_000, 1, ONDEMAND), Reason.TOO_MANY_LEASES)
    shard.do(LeaseWiped(lease_id=lease_id))
    shard.lease(ALICE, 1, 1)


def test_a_jump_of_a_year_over_one_tick_ends_everything_as_of_its_time() -> None:
    shard = Shard(usd=100)
    shard.offer(offered(20_000, 4), offered(30_000, 8, ONDEMAND))
    spot = only(shard.do(bid(ALICE, 20_000, 2)), LeaseScheduled)[0].lease_id
    shard.do(LeaseActive(lease_id=spot, access=b""))
    term = shard.lease(BOB, 2, 5)
    shard.wait(8_760 * HOUR, tick=False)
    shard.wait(0)
    leases = shard.auditor.leases
    # $100 pays for 24 hours of $4.02, and for the 120 s of notice after them.
    ended = [leases[lease_id].last for lease_id in (spot, term)]
    assert [(last.ended_ns, last.reason.name) for last in ended if last is not None] == [
        (START + 24 * HOUR + 120 * 10**9, "UNPAID"),
        (START + 5 * HOUR, "EXPIRED"),
    ]


def test_many_asks_on_one_baron_are_cut_in_one_command() -> None:
    shard = Shard(gpus=500)
    for _ in range(500):
        shard.place(ask(PAT, 20_000, 1))
    events = shard.do(SetCapacity(baron=BARON, gpus=0, simulated=False))
    assert len(only(events, Canceled)) == 500
    assert shard.machine.counts().open_orders == 0


def test_a_bid_walks_into_its_own_ask_and_what_it_took_before_stands() -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    shard.place(ask(PAT, 20_000, 2, baron=BARON))
    events = shard.do(bid(PAT, 20_000, 1))
    assert [type(event) for event in events if isinstance(event, Accepted | Traded | Canceled)] == [Accepted, Canceled]
    shard.refuse(bid(PAT, 20_000, 1, time_in_force=TimeInForce.FOK), Reason.SELF_TRADE)


def test_own_orders_that_could_not_trade_anyway_are_passed_over() -> None:
    shard = Shard()
    shard.pay(PAT, 1_000)
    shard.place(bid(PAT, 30_000, 1, ONDEMAND, hours=100))
    shard.place(bid(ALICE, 20_000, 1, ONDEMAND))
    events = shard.do(ask(PAT, 20_000, 2, ONDEMAND, max_hours=24))
    assert [trade.buyer for trade in only(events, Traded)] == [ALICE]
    assert only(events, Canceled | Amended) == []  # type: ignore[arg-type]
    assert shard.asks(ONDEMAND) == [(20_000, 1)]


@pytest.mark.parametrize("side", list(Side))
def test_no_money_and_no_capacity_make_no_order(side: Side) -> None:
    shard = Shard(gpus=0, usd=0)
    if side is Side.BUY:
        shard.refuse(bid(ALICE, 1, 1), Reason.INSUFFICIENT_FUNDS)
    else:
        shard.refuse(ask(PAT, 1, 1), Reason.INSUFFICIENT_CAPACITY)


def test_closed_orders_are_remembered_for_the_last_so_many() -> None:
    shard = Shard(Limits(max_client_ids=2))
    orders = [shard.place(bid(ALICE, 20_000, 1)) for _ in range(3)]
    for order_id in orders:
        shard.do(CancelOrder(account=ALICE, order_id=order_id))
    shard.refuse(CancelOrder(account=ALICE, order_id=orders[0]), Reason.UNKNOWN_ORDER)
    shard.refuse(CancelOrder(account=ALICE, order_id=orders[1]), Reason.ORDER_CLOSED)


def test_wiped_leases_are_remembered_for_the_last_so_many() -> None:
    shard = Shard(Limits(max_client_ids=1))
    shard.place(ask(PAT, 20_000, 8, ONDEMAND))
    leases = [shard.lease(ALICE, 1, 1) for _ in range(2)]
    for lease_id in leases:
        shard.do(EndLease(account=ALICE, lease_id=lease_id))
        shard.do(LeaseWiped(lease_id=lease_id))
    shard.refuse(EndLease(account=ALICE, lease_id=leases[0]), Reason.UNKNOWN_LEASE)
    shard.refuse(EndLease(account=ALICE, lease_id=leases[1]), Reason.LEASE_ENDED)
