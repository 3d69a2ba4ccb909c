"""Attacks on forwards: each ends without loss to anybody but those who tried (rulebook §8, §9)."""

from __future__ import annotations

from engine.kinds import Kind, Pot, Presence
from engine.messages import Deposit, LeaseWiped, ObligationChanged, Offer, SetCapacity, SetOffers, SetPresence
from engine.reasons import Reason
from engine.units import AMOUNT_MAX_MICROS, MICROS_PER_TICK, PRICE_MAX_TICKS, QUANTITY_MAX
from tests.engine.shard import ALICE, BARON, BOB, ONDEMAND, PAT, QUINN, Shard, ask, only
from tests.engine.test_forwards import TRADED, forward, purchase, rich, sale, trade, until

EXCHANGE = 0


def wealth(shard: Shard, *accounts: int) -> int:
    """Micro-dollars in all pots of these accounts together."""
    return sum(amount for (number, _), amount in shard.auditor.pots.items() if number in accounts)


def test_a_wash_resale_at_an_absurd_price_and_a_provider_that_unplugs_gain_nothing() -> None:
    shard = Shard(usd=10_000_000, providers_usd=100_000)
    first = forward(shard)
    start_h = shard.machine.state.instruments[first].start_h
    trade(shard, PAT, ALICE, 2, first)
    fees = wealth(shard, EXCHANGE)
    others = wealth(shard, QUINN)
    before = wealth(shard, ALICE), wealth(shard, PAT), wealth(shard, BOB)
    # One owner behind seller and buyer, and maybe behind the provider, too. So far from the last price they meet in an
    # auction, where nobody pays as taker.
    trade(shard, ALICE, BOB, 2, first, PRICE_MAX_TICKS)
    until(shard, start_h)
    shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
    escrow = TRADED * MICROS_PER_TICK * 2 * 24
    resold = PRICE_MAX_TICKS * MICROS_PER_TICK * 2 * 24
    # The refund is what was first paid, and the bond for it, whatever anybody paid since.
    assert wealth(shard, BOB) == before[2] - resold + escrow + escrow // 10
    assert wealth(shard, ALICE) == before[0] + resold
    assert wealth(shard, PAT) == before[1] - escrow - escrow // 10
    assert (wealth(shard, EXCHANGE), wealth(shard, QUINN)) == (fees, others)
    assert not shard.machine.state.obligations


def test_who_walks_away_from_a_cheap_forward_loses_its_bond_and_cannot_sell_those_hours_again() -> None:
    shard = rich()
    first = forward(shard)
    trade(shard, PAT, ALICE, 8, first, 10_000)
    start_h = shard.machine.state.instruments[first].start_h
    until(shard, start_h)
    before = wealth(shard, PAT)
    # Prices have risen: the provider lets the Baron go, and comes back.
    shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
    shard.do(SetPresence(baron=BARON, presence=Presence.REPORTING))
    day = 10_000 * MICROS_PER_TICK * 8 * 24
    assert wealth(shard, PAT) == before - day - day // 10
    shard.refuse(ask(PAT, 40_000, 1, ONDEMAND), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.refuse(ask(PAT, 40_000, 1), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.do(
        SetOffers(account=PAT, offers=(Offer(baron=BARON, instrument=1, price_ticks=40_000, gpus=8, max_hours=0),))
    )
    assert shard.asks(1) == []
    (scheduled,) = (lease for lease in shard.machine.state.leases.values())
    shard.do(LeaseWiped(lease_id=scheduled.lease_id))
    until(shard, start_h + 24)
    assert shard.place(ask(PAT, 40_000, 8, ONDEMAND)), "the hours have passed"


def test_the_largest_price_quantity_and_term_are_exact() -> None:
    shard = Shard(usd=0, providers_usd=0)
    for account in (ALICE, PAT):
        shard.do(Deposit(account=account, amount_micros=AMOUNT_MAX_MICROS, client_id=""))
    listed = shard.machine.state.instruments
    year = max((each for each in listed.values() if each.kind is Kind.FORWARD), key=lambda each: each.hours)
    shard.do(SetCapacity(baron=BARON, gpus=QUANTITY_MAX, simulated=False))
    shard.place(sale(PAT, QUANTITY_MAX, year.instrument, PRICE_MAX_TICKS))
    per_gpu = PRICE_MAX_TICKS * MICROS_PER_TICK * year.hours
    held = per_gpu * QUANTITY_MAX // 10 + per_gpu * QUANTITY_MAX * 5_000 // 1_000_000
    assert shard.auditor.pots[PAT, Pot.HELD] == held < 2**63
    shard.refuse(purchase(ALICE, QUANTITY_MAX, year.instrument, PRICE_MAX_TICKS), Reason.INSUFFICIENT_FUNDS)
    most = AMOUNT_MAX_MICROS * 1_000_000 // 1_005_000 // per_gpu
    events = shard.do(purchase(ALICE, most, year.instrument, PRICE_MAX_TICKS))
    (opened,) = only(events, ObligationChanged)
    assert (opened.quantity, opened.escrow_micros) == (most, per_gpu * most)
    assert shard.asks(year.instrument) == [(PRICE_MAX_TICKS, QUANTITY_MAX - most)]
