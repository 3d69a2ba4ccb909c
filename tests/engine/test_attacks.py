"""Attacks: somebody tries to live at others' cost, and each ends without loss to anybody else (§4 to §9).

What everybody has is all pots together; the auditor holds every law besides, after each command.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.halves import compiled_half
from engine.kinds import EndReason, LeaseState, OrderType, Pot
from engine.limits import Limits
from engine.messages import (
    AmendOrder,
    Canceled,
    CancelOrder,
    EndLease,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseScheduled,
    OpenAccount,
    RaisePrice,
    Rejected,
    SetAutoExtend,
    Tick,
    Traded,
    Triggered,
)
from engine.reasons import Reason
from tests.engine import paid_hours
from tests.engine.shard import (
    ALICE,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND,
    SECOND_BARON,
    SPOT,
    TAKER_PPM,
    Shard,
    ask,
    bid,
    offered,
    only,
    rental,
)
from tests.engine.spot import displacing, noticed, runs, starts, wipes
from tests.engine.test_forwards import day, purchase, sale, until

PRICE = 20_000
USD = 10**6
MALLORY = 31
"""Who attacks; pays the fees that everybody pays."""


def with_mallory(limits: Limits | None = None, *, usd: int = 1_000) -> Shard:
    shard = Shard(limits)
    newcomer(shard, MALLORY, usd)
    return shard


def newcomer(shard: Shard, account: int, usd: int) -> None:
    shard.do(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=TAKER_PPM))
    if usd:
        shard.pay(account, usd)


def wealth(shard: Shard, account: int) -> int:
    """All that it has, in micro-dollars, wherever it is held."""
    return sum(shard.auditor.pots[account, pot] for pot in Pot)


def used(price_ticks: int, gpus: int, seconds: int, fee_ppm: int = TAKER_PPM) -> int:
    """What so much use costs, fee and all, in micro-dollars."""
    usage = price_ticks * 100 * gpus * seconds // 3_600
    return usage + usage * fee_ppm // 10**6


# ---------------------------------------------------------------- the same GPUs twice


def test_spot_is_sold_once_however_often_it_is_asked_and_amended() -> None:
    shard = with_mallory()
    shard.place(ask(PAT, PRICE, 8))
    for order in (ask(PAT, PRICE, 1), ask(PAT, PRICE, 8, order_type=OrderType.STOP_LIMIT, stop_price_ticks=PRICE)):
        shard.refuse(order, Reason.INSUFFICIENT_CAPACITY, "quantity")
    # Nor does anybody else sell them.
    shard.refuse(ask(QUINN, PRICE, 1), Reason.NOT_YOUR_BARON)
    (sold,) = only(shard.do(bid(ALICE, PRICE, 6)), LeaseScheduled)
    left = next(iter(shard.auditor.orders))
    for quantity in (9, 15, 100):
        shard.refuse(
            AmendOrder(account=PAT, order_id=left, quantity=quantity), Reason.INSUFFICIENT_CAPACITY, "quantity"
        )
    shard.do(CancelOrder(account=PAT, order_id=left))
    shard.offer(offered(PRICE, 8))
    assert shard.asks(SPOT) == [(PRICE, 2)]
    # Over isn't wiped: until then they aren't there to be sold, and never wiped they stay away.
    shard.do(EndLease(account=ALICE, lease_id=sold.lease_id))
    shard.wait(2 * HOUR)
    assert shard.asks(SPOT) == [(PRICE, 2)]
    wipes(shard, sold.lease_id)
    assert shard.asks(SPOT) == [(PRICE, 8)]


def test_who_sells_spot_again_as_on_demand_gives_notice_and_is_paid_for_no_gpu_twice() -> None:
    """A provider whose 8 GPUs are all let as spot sells them on-demand at ten times the price, to a friend."""
    shard = with_mallory(usd=10_000)
    cheap = runs(shard, ALICE, PRICE, 5)
    dear = runs(shard, BOB, PRICE + 1, 3)
    before = {account: wealth(shard, account) for account in (ALICE, BOB)}
    shard.offer(offered(10 * PRICE, 8, ONDEMAND))
    shard.wait(30 * MINUTE)
    events = shard.do(rental(MALLORY, 8, 1))
    assert noticed(events) == [cheap, dear]
    # They run on for their notice, pay for what they used, and get the rest back; the auditor knows that no GPU has two.
    shard.wait(2 * MINUTE)
    assert [lease.state for lease in shard.machine.state.leases.values()] == [
        LeaseState.ENDED,
        LeaseState.ENDED,
        LeaseState.PROVISIONING,
    ]
    assert wealth(shard, ALICE) == before[ALICE] - used(PRICE, 5, 32 * 60)
    assert wealth(shard, BOB) == before[BOB] - used(PRICE + 1, 3, 32 * 60)
    assert shard.auditor.pots[ALICE, Pot.HELD] == shard.auditor.pots[BOB, Pot.HELD] == 0


def test_a_provider_that_keeps_gpus_unwiped_can_sell_what_it_sold_to_nobody() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND, max_hours=2), offered(PRICE, 8))
    lease = shard.lease(ALICE, 5, 1)
    alone = wealth(shard, BOB)
    shard.wait(HOUR + 10 * MINUTE)
    # Its hour is over and it hasn't been wiped: the Baron counts 3 GPUs.
    assert sum(leaves for _, leaves in shard.asks(ONDEMAND)) == 3
    rejected = shard.apply(rental(BOB, 4, 1))
    assert isinstance(rejected[0], Rejected)
    assert wealth(shard, BOB) == alone
    wipes(shard, lease)
    assert only(shard.do(rental(BOB, 8, 1)), LeaseScheduled)


# ---------------------------------------------------------------- displacement


def test_who_displaces_to_annoy_pays_an_hour_each_time_and_the_displaced_pays_for_use_alone() -> None:
    shard = with_mallory()
    rounds, limit = 4, 30_000
    for _ in range(rounds):
        alice, mallory = wealth(shard, ALICE), wealth(shard, MALLORY)
        lease = runs(shard, ALICE, PRICE, 2)
        shard.wait(10 * MINUTE)
        (trade,) = displacing(shard.do(bid(MALLORY, limit, 2)))
        shard.do(EndLease(account=MALLORY, lease_id=trade.lease_id))
        assert wealth(shard, MALLORY) == mallory - used(limit, 2, 3_600)
        shard.wait(2 * MINUTE)
        assert wealth(shard, ALICE) == alice - used(PRICE, 2, 12 * 60)
        wipes(shard, lease)
    # The provider has all of it.
    assert shard.auditor.pots[PAT, Pot.RECEIVABLE] == rounds * (limit * 200 + PRICE * 200 * 12 // 60)


def test_without_an_hours_money_nobody_is_displaced() -> None:
    shard = with_mallory(usd=6)
    lease = runs(shard, ALICE, PRICE, 2)
    shard.refuse(bid(MALLORY, 30_000, 2), Reason.INSUFFICIENT_FUNDS)
    assert shard.machine.state.leases[lease].state is LeaseState.ACTIVE


def test_a_chain_of_displacements_harms_nobody_who_waits() -> None:
    """Each of ten attackers bids 10 % more than the last: who waits isn't displaced, who runs has its notice each time."""
    shard = Shard()
    lease = runs(shard, ALICE, 10_000, 8)
    attackers = range(41, 51)
    price = 10_000
    for account in attackers:
        newcomer(shard, account, 1_000)
        price = price * 10 // 9 + 1
        trades = displacing(shard.do(bid(account, price, 8)))
        # The first took the one lease that runs; the others rest, until it runs itself.
        assert [trade.displaced_lease_id for trade in trades] == ([lease] if account == attackers[0] else [])
    assert len(shard.bids(SPOT)) == 9
    before = {account: wealth(shard, account) for account in (ALICE, BOB, *attackers)}
    shard.wait(2 * MINUTE)
    wipes(shard, lease)
    (first,) = (each.lease_id for each in shard.machine.state.leases.values() if each.renter == attackers[0])
    starts(shard, first)
    assert shard.machine.state.leases[first].state is LeaseState.ACTIVE
    assert wealth(shard, ALICE) == before[ALICE] - used(10_000, 8, 120)
    assert all(wealth(shard, account) == before[account] for account in (BOB, *attackers))


def test_under_notice_nobody_is_displaced_again_and_nothing_moves_the_end() -> None:
    shard = with_mallory()
    lease = runs(shard, ALICE, PRICE, 8)
    before = wealth(shard, ALICE)
    shard.wait(5 * MINUTE)
    (trade,) = displacing(shard.do(bid(BOB, 30_000, 8)))
    ends_ns = shard.now_ns + 2 * MINUTE
    shard.wait(MINUTE)
    # Displaced again, outbid, pre-empted by firm demand, raised: the notice is what it was.
    assert displacing(shard.do(bid(MALLORY, 50_000, 8))) == []
    shard.refuse(RaisePrice(account=ALICE, lease_id=lease, price_ticks=90_000), Reason.LEASE_UNDER_NOTICE)
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    events = shard.do(rental(ALICE, 8, 1))
    assert [(each.lease_id, each.reason) for each in only(events, LeaseChanged) if not each.wiped] == [
        (trade.lease_id, EndReason.PREEMPTED)
    ]
    assert shard.machine.state.leases[lease].ends_ns == ends_ns
    ended = [each for each in only(shard.wait(MINUTE), LeaseChanged) if each.lease_id == lease]
    assert [(each.reason, each.ended_ns) for each in ended] == [(EndReason.DISPLACED, ends_ns)]
    assert ended[0].charged_micros == PRICE * 800 * 7 // 60
    # Who waited paid nothing, and has all of its money.
    assert (wealth(shard, BOB), shard.auditor.pots[BOB, Pot.HELD]) == (10_000 * USD, 0)
    firm_hold = sum(lease.prefund_micros for lease in shard.machine.state.leases.values())
    assert shard.auditor.pots[ALICE, Pot.HELD] == firm_hold
    assert wealth(shard, ALICE) == before - used(PRICE, 8, 7 * 60)


# ---------------------------------------------------------------- crowds


def crowd(first: int, accounts: int) -> Iterator[int]:
    return iter(range(first, first + accounts))


@pytest.mark.timeout(120)
def test_ten_thousand_bids_that_no_baron_can_serve_stand_in_nobodys_way() -> None:
    """Bids at the best price that ask for a rating nobody has: 16 an account, 512 a side, and honest orders meet."""
    shard = Shard()
    shard.auditor.every = 2_000
    refused = rest = 0
    for account in crowd(1_000, 625):
        newcomer(shard, account, 100)
        for _ in range(16):
            events = shard.apply(bid(account, 40_000, 1, min_rating=100))
            gone = any(isinstance(event, Canceled | Rejected) for event in events)
            refused, rest = refused + gone, rest + (not gone)
    assert (rest, refused) == (512, 10_000 - 512)
    honest = shard.place(bid(ALICE, 30_000, 2))
    (trade,) = only(shard.do(ask(PAT, 30_000, 2)), Traded)
    assert (trade.maker_order_id, trade.buyer, trade.price_ticks) == (honest, ALICE, 30_000)
    # They displace nobody either, and an honest bid still does.
    starts(shard, trade.lease_id)
    newcomer(shard, MALLORY, 100)
    assert displacing(shard.apply(bid(MALLORY, 40_000, 2, min_rating=100))) == []
    (found,) = displacing(shard.do(bid(BOB, 34_000, 2)))
    assert found.displaced_lease_id == trade.lease_id


def test_a_cascade_of_stops_takes_from_others_what_they_offered_and_no_more() -> None:
    """200 stops wait one above the other; one trade sets them off. Who offered is paid its price, whoever panicked."""
    shard = with_mallory(usd=100_000)
    stops, step = 200, 10
    shard.pay(QUINN, 100)
    for account in crowd(2_000, 20):
        newcomer(shard, account, 1_000)
    prices = [PRICE + step * number for number in range(8)]
    for price in prices:
        shard.place(ask(QUINN, price, 1, baron=OTHER_BARON))
    for number in range(stops):
        stop = PRICE + step * (number % 8)
        shard.place(bid(2_000 + number % 20, 90_000, 1, order_type=OrderType.STOP, stop_price_ticks=stop))
    before = {account: wealth(shard, account) for account in (ALICE, BOB, PAT, QUINN)}
    events = shard.do(bid(MALLORY, PRICE, 1))
    fired = len(only(events, Triggered))
    assert fired == 64
    while shard.due():
        events = shard.do(Tick())
        assert len(only(events, Triggered)) <= 64
        fired += len(only(events, Triggered))
    assert fired == stops
    # Each ask traded at its own price, once.
    leases = list(shard.machine.state.leases.values())
    assert sorted(lease.price_ticks for lease in leases) == prices
    assert {account: wealth(shard, account) for account in before} == before
    for lease in leases:
        shard.do(LeaseActive(lease_id=lease.lease_id, access=b""))
    shard.wait(HOUR)
    paid = sum(price * 100 for price in prices)
    assert shard.auditor.pots[QUINN, Pot.RECEIVABLE] == paid
    assert (wealth(shard, ALICE), wealth(shard, BOB), wealth(shard, PAT)) == tuple(
        before[account] for account in (ALICE, BOB, PAT)
    )


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("jump_ns", [3 * HOUR, 3 * HOUR + 17, 27 * HOUR])
def test_a_clock_that_jumps_costs_nobody_more_than_a_clock_that_ticks(jump_ns: int) -> None:
    """Hours pass with no Tick: charges, notices, ends and wipes count as of their times, and never above what was paid."""
    late, timely = market_amid_its_day(), market_amid_its_day()
    jumped_ns, events = late.now_ns, list[Event]()
    late.wait(jump_ns, tick=False)
    while late.due():
        events += late.do(Tick())
    in_time = timely.wait(jump_ns)
    assert late.auditor.pots == timely.auditor.pots
    ends = endings(late)
    assert ends == endings(timely)
    assert {reason for _, reason, _, _ in ends} >= {EndReason.UNPAID, EndReason.EXPIRED, EndReason.DISPLACED}
    # A forward's lease, one of a provider's and one of a holder's end with the day that isn't theirs any more.
    day_end_ns = jumped_ns + 40 * MINUTE - 7 * SECOND
    preempted = [ended_ns for _, reason, ended_ns, _ in ends if reason is EndReason.PREEMPTED]
    assert preempted == [day_end_ns, day_end_ns]
    # Nobody is paid for an hour that somebody else is paid for.
    paid = paid_hours.check(late, jumped_ns, events)
    assert paid == paid_hours.check(timely, jumped_ns, in_time)
    assert paid[QUINN, OTHER_BARON] >= 6 * 3 and paid[PAT, SECOND_BARON] >= 2
    # Nobody owes: what a lease that isn't over lacks was never used.
    assert all(amount >= 0 for (_, pot), amount in late.auditor.pots.items() if pot is not Pot.CASH)


def test_a_command_before_the_late_tick_changes_no_charge() -> None:
    """Who hurries to end a lease, raise it or cancel before the Tick comes pays as of the time that was due."""
    shard = with_mallory(usd=5)
    lease = runs(shard, MALLORY, PRICE, 2)
    shard.wait(3 * HOUR, tick=False)
    shard.apply(RaisePrice(account=MALLORY, lease_id=lease, price_ticks=PRICE + 1))
    shard.do(EndLease(account=MALLORY, lease_id=lease))
    shard.do(Tick())
    # It paid for an hour and 120 s, and used what it had paid for at most.
    charged = shard.auditor.leases[lease].usage
    assert charged <= PRICE * 200 * 3_720 // 3_600
    assert shard.auditor.pots[PAT, Pot.RECEIVABLE] == charged


def endings(shard: Shard) -> list[tuple[LeaseState, EndReason, int, int]]:
    """Of each lease in order of age: its state, why and when it ended, and what it was charged."""
    last = [seen.last for _, seen in sorted(shard.auditor.leases.items()) if seen.last is not None]
    return [(event.state, event.reason, event.ended_ns, event.charged_micros) for event in last]


def market_amid_its_day() -> Shard:
    """Leases of both kinds that will run out of money, of their terms, of a displaced one's notice, and never be wiped.

    It is twenty minutes to midnight. Six of a Baron's GPUs run as its provider's spot, two are let by who bought them for the
    day, and somebody else has bought all eight of the next day.
    """
    shard = with_mallory(usd=9)
    amid_a_day_that_ends(shard)
    shard.offer(offered(PRICE, 6, ONDEMAND, max_hours=5), offered(PRICE, 2))
    firm = shard.lease(ALICE, 3, 2)
    shard.do(SetAutoExtend(account=ALICE, lease_id=firm, auto_extend=True))
    shard.lease(BOB, 2, 1)
    (poor,) = only(shard.do(bid(MALLORY, PRICE, 2)), LeaseScheduled)
    starts(shard, poor.lease_id)
    shard.wait(20 * MINUTE + 7 * SECOND)
    cheap = runs(shard, ALICE, 16_000, 2, baron=OTHER_BARON, seller=QUINN)
    (trade,) = displacing(shard.do(bid(BOB, 18_000, 2)))
    assert trade.displaced_lease_id == cheap
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    return shard


def amid_a_day_that_ends(shard: Shard) -> None:
    """An hour before its end, with what was bought of it and of the next day, and what runs on it."""
    days = [day(shard, 0), day(shard, 1)]
    sold = ((PAT, SECOND_BARON, ALICE, (2, 0)), (PAT, SECOND_BARON, BOB, (0, 8)), (QUINN, OTHER_BARON, ALICE, (6, 6)))
    for seller, baron, buyer, gpus in sold:
        for instrument, quantity in zip(days, gpus, strict=True):
            if quantity:
                shard.place(sale(seller, quantity, instrument, PRICE, baron=baron))
                shard.do(purchase(buyer, quantity, instrument, PRICE))
    until(shard, shard.machine.state.instruments[days[0]].end_h - 1)
    runs(shard, BOB, PRICE + 2, 6, baron=SECOND_BARON)
    runs(shard, BOB, PRICE + 1, 2, baron=SECOND_BARON, seller=ALICE)
