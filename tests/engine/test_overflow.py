"""The largest price, quantity and term by every path of an order: exact, refused or cut, and no number too large (§2, §9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.kinds import Fault, Kind, OrderType, Pot, Presence, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    AmendOrder,
    Deposit,
    ExtendLease,
    LeaseActive,
    LeaseFailed,
    LeaseScheduled,
    LeaseWiped,
    Quote,
    RaisePrice,
    ReportOutage,
    SetCapacity,
    SetPresence,
    SetQuotes,
    SetSession,
    Traded,
)
from engine.records import Session
from engine.state import Instrument
from engine.units import AMOUNT_MAX_MICROS, MICROS_PER_TICK, PRICE_MAX_TICKS, QUANTITY_MAX
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SPOT,
    Shard,
    ask,
    bid,
    offered,
    only,
    rental,
)
from tests.engine.test_forwards import day, purchase, sale, until

DAY = 24 * HOUR
HOURLY = PRICE_MAX_TICKS * MICROS_PER_TICK
"""What a GPU costs in an hour at the greatest price."""


def rich() -> Shard:
    """Everybody has as much as an account may have, and both providers the largest Barons."""
    shard = Shard(Limits(), usd=0, providers_usd=0)
    for account in (ALICE, BOB, PAT, QUINN):
        shard.do(Deposit(account=account, amount_micros=AMOUNT_MAX_MICROS, client_id=""))
    for baron in (BARON, OTHER_BARON):
        shard.do(SetCapacity(baron=baron, gpus=QUANTITY_MAX, simulated=False))
    shard.auditor.every = 24
    return shard


def wanted(shard: Shard, buyer: int, hours: int) -> int:
    """As many GPUs as a buyer can pay for so many hours at the greatest price, with the taker's fee."""
    return min(QUANTITY_MAX, shard.auditor.pots[buyer, Pot.AVAILABLE] * 1_000_000 // 1_005_001 // (HOURLY * hours))


def spot(shard: Shard) -> None:
    shard.place(ask(PAT, PRICE_MAX_TICKS, QUANTITY_MAX))
    (lease,) = only(shard.do(bid(ALICE, PRICE_MAX_TICKS, wanted(shard, ALICE, 2))), LeaseScheduled)
    shard.do(LeaseActive(lease_id=lease.lease_id, access=b""))
    shard.wait(4 * HOUR)


def displaced(shard: Shard) -> None:
    cheap = PRICE_MAX_TICKS * 9 // 10
    shard.place(ask(PAT, cheap, 40_000))
    (lease,) = only(shard.do(bid(ALICE, cheap, 40_000)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=lease.lease_id, access=b""))
    (newcomer,) = only(shard.do(bid(BOB, PRICE_MAX_TICKS, 45_000)), LeaseScheduled)
    assert (newcomer.price_ticks, newcomer.quantity) == (PRICE_MAX_TICKS, 40_000)
    shard.wait(3 * MINUTE)
    shard.do(LeaseWiped(lease_id=lease.lease_id))
    shard.do(LeaseActive(lease_id=newcomer.lease_id, access=b""))
    shard.wait(2 * HOUR)


def raised(shard: Shard) -> None:
    shard.place(ask(PAT, 1, 40_000))
    (lease,) = only(shard.do(bid(ALICE, 1, 40_000)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=lease.lease_id, access=b""))
    shard.wait(90 * MINUTE)
    shard.do(RaisePrice(account=ALICE, lease_id=lease.lease_id, price_ticks=PRICE_MAX_TICKS))
    shard.wait(3 * HOUR)


def rented(shard: Shard) -> None:
    """A rental of the longest term, extended, failed inside its month and covered, its bond as large as bonds get."""
    shard.offer(offered(PRICE_MAX_TICKS, 40_000, ONDEMAND, max_hours=744))
    shard.place(ask(QUINN, PRICE_MAX_TICKS, QUANTITY_MAX // 2, ONDEMAND, baron=OTHER_BARON, max_hours=744))
    (lease,) = only(shard.do(rental(ALICE, 40_000, 1, max_price_ticks=PRICE_MAX_TICKS)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=lease.lease_id, access=b""))
    shard.wait(55 * MINUTE)
    shard.do(ExtendLease(account=ALICE, lease_id=lease.lease_id, hours=2))
    shard.wait(70 * MINUTE)
    failed = LeaseFailed(lease_id=lease.lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail="")
    assert len(only(shard.do(failed), LeaseScheduled)) == 1, "covered"
    shard.wait(HOUR)


def largest_holds(shard: Shard) -> None:
    """Every order as large as it may be: what nobody can pay for is refused, and nothing is rounded away."""
    listed = list(shard.machine.state.instruments.values())
    for each in listed[:31]:
        firm: dict[str, Any] = {"max_hours": 744} if each.kind is Kind.ONDEMAND else {"max_hours": 0}
        hours: dict[str, Any] = {"hours": 744} if each.kind is Kind.ONDEMAND else {"hours": 0}
        for time_in_force in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK):
            shard.apply(ask(PAT, PRICE_MAX_TICKS, QUANTITY_MAX, each.instrument, time_in_force=time_in_force, **firm))
            shard.apply(bid(BOB, PRICE_MAX_TICKS, QUANTITY_MAX, each.instrument, time_in_force=time_in_force, **hours))
        shard.apply(
            bid(
                ALICE,
                PRICE_MAX_TICKS,
                QUANTITY_MAX,
                each.instrument,
                order_type=OrderType.STOP_LIMIT,
                stop_price_ticks=1,
                **hours,
            )
        )


def quoted(shard: Shard) -> None:
    listed = [each for each in shard.machine.state.instruments.values() if each.kind is Kind.FORWARD]
    quotes = tuple(
        Quote(
            instrument=each.instrument, side=Side.SELL, price_ticks=PRICE_MAX_TICKS, quantity=QUANTITY_MAX, baron=BARON
        )
        for each in listed[:29]
    )
    shard.apply(SetQuotes(account=PAT, name="all", quotes=quotes, max_fills=0))
    for quote in quotes:
        shard.apply(SetQuotes(account=PAT, name="one", quotes=(quote,), max_fills=0))


def amended(shard: Shard) -> None:
    order = shard.place(ask(PAT, 1, 1, SPOT))
    shard.do(AmendOrder(account=PAT, order_id=order, price_ticks=PRICE_MAX_TICKS, quantity=QUANTITY_MAX))
    forward = shard.place(purchase(ALICE, 1, day(shard, 0), 1))
    shard.apply(AmendOrder(account=ALICE, order_id=forward, price_ticks=PRICE_MAX_TICKS, quantity=QUANTITY_MAX))


def _years(shard: Shard) -> list[Instrument]:
    listed = shard.machine.state.instruments.values()
    return [each for each in listed if each.hours > 8_000 and each.region == "here"]


def auctioned(shard: Shard) -> None:
    """Sums of price times quantity as large as sides get, in an auction of the longest forward."""
    years = _years(shard)
    for each in years[:2]:
        shard.do(SetSession(instrument=each.instrument, session=Session.AUCTION))
        most = wanted(shard, ALICE, each.hours) // 2
        shard.place(sale(PAT, most * 2, each.instrument, PRICE_MAX_TICKS))
        shard.place(purchase(ALICE, most, each.instrument, PRICE_MAX_TICKS))
        shard.apply(purchase(BOB, QUANTITY_MAX, each.instrument, PRICE_MAX_TICKS))
        events = shard.do(SetSession(instrument=each.instrument, session=Session.CONTINUOUS))
        assert [trade.quantity for trade in only(events, Traded)] == [most]


def two_years(shard: Shard) -> None:
    """Both listed years, sold, resold at the greatest price, and failed on their first day, with what that refunds."""
    years = sorted(_years(shard), key=lambda e: e.start_h)
    for each in years[:2]:
        most = wanted(shard, ALICE, each.hours) // 2
        shard.place(sale(PAT, most, each.instrument, PRICE_MAX_TICKS))
        shard.do(purchase(ALICE, most, each.instrument, PRICE_MAX_TICKS))
        part = min(most, wanted(shard, BOB, each.hours))
        shard.place(sale(ALICE, part, each.instrument, PRICE_MAX_TICKS))
        shard.do(purchase(BOB, part, each.instrument, PRICE_MAX_TICKS))


def credited(shard: Shard) -> None:
    """A day at the greatest price, out all the time, credited at the month's close; its holder is refunded the rest of it."""
    most = wanted(shard, ALICE, 24)
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    shard.place(sale(PAT, most, day(shard, 0), PRICE_MAX_TICKS))
    shard.do(purchase(ALICE, most, day(shard, 0), PRICE_MAX_TICKS))
    (lease,) = only(until(shard, start_h), LeaseScheduled)
    shard.do(LeaseActive(lease_id=lease.lease_id, access=b""))
    until(shard, start_h + 23)
    shard.do(ReportOutage(lease_id=lease.lease_id, from_ns=start_h * HOUR, to_ns=shard.now_ns))
    shard.wait(5 * MINUTE)
    shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=(start_h + 20) * HOUR))
    shard.wait(35 * DAY)


PATHS: list[Callable[[Shard], None]] = [
    spot,
    displaced,
    raised,
    rented,
    largest_holds,
    quoted,
    amended,
    auctioned,
    two_years,
    credited,
]


@pytest.mark.parametrize("path", PATHS, ids=[path.__name__ for path in PATHS])
def test_nothing_overflows(path: Callable[[Shard], None]) -> None:
    shard = rich()
    path(shard)
    # What came in is there still, and every number that left the machine is one that the log can carry.
    assert sum(shard.auditor.pots.values()) == 0
    assert all(-(2**63) <= amount < 2**63 for amount in shard.auditor.pots.values())
    assert type(shard.machine).restore(shard.machine.snapshot(), type(shard.machine.state.books[1])).state_hash() == (
        shard.machine.state_hash()
    )
