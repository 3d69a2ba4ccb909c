"""Raising a spot lease's price: from now on, for what is dearer from now on, to the micro-dollar (§7, §9)."""

from __future__ import annotations

import pytest

from engine.halves import compiled_half
from engine.kinds import EndReason, Fault, Pot, TransferCode
from engine.limits import Limits
from engine.messages import (
    EndLease,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeasePriced,
    LeaseScheduled,
    LeaseWiped,
    RaisePrice,
    Tick,
    Transfer,
)
from engine.reasons import Reason
from engine.units import tick_ns
from tests.engine.shard import (
    ALICE,
    BOB,
    HOUR,
    MINUTE,
    PAT,
    SECOND,
    SECOND_BARON,
    START,
    Shard,
    ask,
    bid,
    changes,
    only,
)

PRICE = 20_000


def spot(shard: Shard, *, hours: int = 0, active: bool = True) -> int:
    """A lease of 2 GPUs at $2, active at once or not."""
    shard.place(ask(PAT, PRICE, 8))
    (scheduled,) = only(shard.do(bid(ALICE, PRICE, 2, hours=hours)), LeaseScheduled)
    if active:
        shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    return scheduled.lease_id


def raised(lease_id: int, price_ticks: int = 30_000, account: int = ALICE) -> RaisePrice:
    return RaisePrice(account=account, lease_id=lease_id, price_ticks=price_ticks)


def test_it_pays_more_from_then_on_and_the_prefund_grows_by_that() -> None:
    shard = Shard()
    lease_id = spot(shard)
    shard.wait(HOUR // 2)
    events = shard.do(raised(lease_id))
    (priced,) = only(events, LeasePriced)
    assert (priced.price_ticks, priced.from_ns, priced.term_end_ns) == (30_000, START + HOUR // 2, 0)
    (topped_up,) = only(events, Transfer)
    # $2 more an hour for the 1,920 s that are still covered, and the fee.
    assert topped_up.code is TransferCode.PREPAY
    assert shard.prefunds(ALICE) == 2_000_000 + 6_000_000 * 1_920 // 3_600 + (2_000_000 + 3_200_000) * 5 // 1_000
    (changed,) = changes(shard.wait(HOUR // 2))
    assert changed.charged_micros == 2_000_000 + 3_000_000
    shard.do(raised(lease_id, 40_001))
    shard.wait(7 * MINUTE)
    (changed,) = only(shard.do(EndLease(account=ALICE, lease_id=lease_id)), LeaseChanged)
    assert changed.charged_micros == 5_000_000 + 40_001 * 200 * 7 // 60
    assert shard.auditor.pots[ALICE, Pot.HELD] == 0


def test_parts_of_a_micro_dollar_are_summed_before_they_are_rounded() -> None:
    shard = Shard()
    shard.place(ask(PAT, 1, 8))
    (scheduled,) = only(shard.do(bid(ALICE, 1, 1)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    for price in range(2, 62):
        shard.wait(SECOND)
        shard.do(raised(scheduled.lease_id, price))
    (changed,) = only(shard.do(EndLease(account=ALICE, lease_id=scheduled.lease_id)), LeaseChanged)
    assert changed.charged_micros == sum(range(1, 61)) * 100 // 3_600 == 50


def test_before_it_is_active_the_new_price_counts_from_the_first_second() -> None:
    shard = Shard()
    lease_id = spot(shard, active=False)
    shard.wait(MINUTE)
    shard.do(raised(lease_id))
    assert shard.prefunds(ALICE) == 6_200_000 + 31_000
    shard.wait(MINUTE)
    shard.do(LeaseActive(lease_id=lease_id, access=b""))
    shard.wait(HOUR)
    assert shard.auditor.leases[lease_id].usage == 6_000_000


def test_a_raised_lease_that_quits_at_once_pays_its_minimum_at_the_new_price() -> None:
    for active in (True, False):
        shard = Shard()
        lease_id = spot(shard, active=active)
        shard.do(raised(lease_id))
        (changed,) = only(shard.do(EndLease(account=ALICE, lease_id=lease_id)), LeaseChanged)
        assert changed.charged_micros == 100_000


def test_a_failure_is_charged_at_the_prices_of_its_time() -> None:
    shard = Shard()
    lease_id = spot(shard)
    shard.wait(HOUR + 20 * MINUTE)
    shard.do(raised(lease_id))
    shard.wait(HOUR)
    silent_ns = START + HOUR + 10 * MINUTE
    failure = LeaseFailed(lease_id=lease_id, fault=Fault.PROVIDER, as_of_ns=silent_ns, detail="")
    (changed,) = only(shard.do(failure), LeaseChanged)
    assert changed.charged_micros == 4_000_000 * 70 // 60


def test_a_term_bounds_what_a_raise_holds() -> None:
    shard = Shard()
    lease_id = spot(shard, hours=2)
    shard.wait(HOUR + 30 * MINUTE)
    shard.do(raised(lease_id))
    assert shard.prefunds(ALICE) == 5_000_000 + 25_000
    (changed,) = changes(shard.wait(HOUR))
    assert (changed.reason, changed.charged_micros) == (EndReason.EXPIRED, 9_000_000)


def test_what_a_raise_cannot_pay_for_later_has_notice() -> None:
    shard = Shard(usd=10)
    lease_id = spot(shard)
    shard.wait(MINUTE)
    shard.do(raised(lease_id))
    changed = changes(shard.wait(2 * HOUR))[-1]
    assert (changed.reason, changed.ended_ns) == (EndReason.UNPAID, START + HOUR + 120 * SECOND)
    assert changed.charged_micros == (4_000_000 + 6_000_000 * 61) // 60


@pytest.mark.parametrize(
    ("price_ticks", "reason"),
    [
        (PRICE, Reason.PRICE_NOT_HIGHER),
        (PRICE - 1, Reason.PRICE_NOT_HIGHER),
        (0, Reason.INVALID_PRICE),
        (-1, Reason.INVALID_PRICE),
        (10_000_001, Reason.INVALID_PRICE),
        (2**63, Reason.INVALID_PRICE),
        (10_000_000, Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_prices_that_are_refused(price_ticks: int, reason: Reason) -> None:
    shard = Shard(usd=100)
    shard.refuse(raised(spot(shard), price_ticks), reason, "price_ticks")


def test_leases_whose_price_cannot_be_raised() -> None:
    shard = Shard(Limits(max_raises=2), usd=20)
    shard.place(ask(PAT, PRICE, 4, 2, baron=SECOND_BARON))
    firm = shard.lease(BOB, 1, 3)
    shard.refuse(raised(firm, account=BOB), Reason.NOT_SPOT, "lease_id")
    lease_id = spot(shard)
    shard.refuse(raised(lease_id, account=BOB), Reason.UNKNOWN_LEASE, "lease_id")
    shard.refuse(raised(lease_id, account=PAT), Reason.UNKNOWN_LEASE, "lease_id")
    shard.refuse(raised(0), Reason.UNKNOWN_LEASE, "lease_id")
    shard.do(raised(lease_id, 20_001))
    shard.do(raised(lease_id, 20_002))
    shard.refuse(raised(lease_id, 20_003), Reason.TOO_MANY_RAISES, "price_ticks")
    for _ in range(3):
        shard.wait(HOUR)
    shard.wait(HOUR + MINUTE)
    shard.refuse(raised(lease_id), Reason.LEASE_UNDER_NOTICE, "lease_id")
    shard.wait(MINUTE)
    shard.refuse(raised(lease_id), Reason.LEASE_ENDED, "lease_id")
    shard.do(LeaseWiped(lease_id=lease_id))
    shard.refuse(raised(lease_id), Reason.LEASE_ENDED, "lease_id")


def test_a_raise_before_an_overdue_tick_is_paid_for_when_that_comes() -> None:
    shard = Shard()
    lease_id = spot(shard)
    shard.wait(3 * HOUR, tick=False)
    shard.do(raised(lease_id))
    shard.do(Tick())
    shard.wait(HOUR)
    assert shard.auditor.leases[lease_id].usage == 3 * 4_000_000 + 6_000_000


def test_a_restored_machine_remembers_each_price() -> None:
    shard = Shard()
    lease_id = spot(shard)
    shard.wait(10 * MINUTE)
    shard.do(raised(lease_id))
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    shard.wait(3 * HOUR)
    shard.do(raised(lease_id, 31_000))
    shard.do(EndLease(account=ALICE, lease_id=lease_id))
    assert shard.twin.state_hash() == shard.machine.state_hash()


def test_ticks_of_times() -> None:
    prices = [(100, 5), (110, 7), (110, 9), (130, 1)]
    assert tick_ns(3, [], 10, 20) == 30
    assert tick_ns(1, prices, 90, 105) == 15 * 5
    assert tick_ns(1, prices, 105, 120) == 5 * 5 + 10 * 9
    assert tick_ns(1, prices, 120, 125) == 5 * 9
    assert tick_ns(1, prices, 100, 140) == 10 * 5 + 20 * 9 + 10
    assert tick_ns(1, prices, 140, 150) == 10
    assert tick_ns(1, prices, 150, 150) == 0
