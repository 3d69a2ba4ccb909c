"""Extending on-demand leases, by word and by themselves: when, at whose price, and for what is held (§8, §9)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.halves import compiled_half
from engine.kinds import EndReason, LeaseState, Pot
from engine.limits import Limits
from engine.messages import (
    Deposit,
    EndLease,
    ExtendLease,
    LeaseActive,
    LeaseChanged,
    LeasePriced,
    LeaseScheduled,
    LeaseWiped,
    Rejected,
    SetAutoExtend,
    Tick,
    Withdraw,
)
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    PAT,
    SECOND,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    changes,
    offered,
    only,
    rental,
)

PRICE = 20_000
LIMIT = 25_000


def let(shard: Shard, *, hours: int = 2, limit: int = LIMIT, auto: bool = False, price: int = PRICE) -> int:
    """A lease of 2 GPUs out of an offer at $2, active at once."""
    shard.offer(offered(price, 8, ONDEMAND))
    wanted = rental(ALICE, 2, hours, max_price_ticks=limit, auto_extend=auto)
    (scheduled,) = only(shard.do(wanted), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b""))
    return scheduled.lease_id


def extended(lease_id: int, hours: int = 1, account: int = ALICE) -> ExtendLease:
    return ExtendLease(account=account, lease_id=lease_id, hours=hours)


def automatic(lease_id: int, on: bool = True, account: int = ALICE) -> SetAutoExtend:
    return SetAutoExtend(account=account, lease_id=lease_id, auto_extend=on)


def test_from_ten_minutes_before_the_end_at_the_offers_price_from_there_on() -> None:
    shard = Shard()
    lease_id = let(shard)
    shard.wait(HOUR + 50 * MINUTE - 1)
    shard.refuse(extended(lease_id), Reason.TOO_EARLY_TO_EXTEND, "lease_id")
    shard.wait(1)
    shard.offer(offered(22_000, 8, ONDEMAND))
    (priced,) = only(shard.do(extended(lease_id, 3)), LeasePriced)
    assert (priced.price_ticks, priced.from_ns, priced.term_end_ns) == (22_000, START + 2 * HOUR, START + 5 * HOUR)
    # From the last full hour on: an hour at $2, the 120 s after it at $2.20, and the fee.
    usage = 4_000_000 + 4_400_000 * 120 // 3_600 + 1
    assert shard.prefunds(ALICE) == usage + -(-usage * 5 // 1_000)
    shard.refuse(extended(lease_id), Reason.TOO_EARLY_TO_EXTEND)
    (changed,) = changes(shard.wait(10 * MINUTE))
    assert (changed.state, changed.charged_micros) == (LeaseState.ACTIVE, 8_000_000)
    (last,) = changes(shard.wait(5 * HOUR))[-1:]
    assert (last.reason, last.ended_ns) == (EndReason.EXPIRED, START + 5 * HOUR)
    assert last.charged_micros == 8_000_000 + 3 * 4_400_000
    assert shard.auditor.pots[ALICE, Pot.HELD] == 0


def test_who_quits_before_the_old_end_pays_the_old_price() -> None:
    shard = Shard()
    lease_id = let(shard)
    shard.wait(HOUR + 55 * MINUTE)
    shard.offer(offered(22_000, 8, ONDEMAND))
    shard.do(extended(lease_id))
    shard.wait(4 * MINUTE)
    (changed,) = only(shard.do(EndLease(account=ALICE, lease_id=lease_id)), LeaseChanged)
    assert changed.charged_micros == 4_000_000 * 119 // 60


def test_the_limit_is_the_rentals_maximum_or_the_bids_own_price() -> None:
    for limit, allowed in ((LIMIT, LIMIT), (0, PRICE)):
        shard = Shard()
        lease_id = let(shard, limit=limit, hours=1)
        shard.wait(55 * MINUTE)
        shard.offer(offered(allowed + 1, 8, ONDEMAND))
        shard.refuse(extended(lease_id), Reason.PRICE_ABOVE_MAXIMUM, "lease_id")
        shard.offer(offered(allowed, 8, ONDEMAND))
        shard.do(extended(lease_id))
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    (scheduled,) = only(shard.do(bid(ALICE, 21_000, 2, ONDEMAND)), LeaseScheduled)
    assert (scheduled.price_ticks, scheduled.limit_ticks, scheduled.auto_extend) == (PRICE, 21_000, False)


@pytest.mark.parametrize(
    ("change", "hours", "reason"),
    [
        ({}, 0, Reason.INVALID_HOURS),
        ({}, -1, Reason.INVALID_HOURS),
        ({}, 745, Reason.INVALID_HOURS),
        ({}, 24, Reason.CANNOT_EXTEND),
        ({"max_hours": 2}, 2, Reason.CANNOT_EXTEND),
        (None, 1, Reason.CANNOT_EXTEND),
    ],
)
def test_hours_that_cannot_be_had(change: dict[str, Any] | None, hours: int, reason: Reason) -> None:
    shard = Shard()
    lease_id = let(shard, hours=1)
    shard.wait(55 * MINUTE)
    shard.offer(*(() if change is None else (offered(PRICE, 8, ONDEMAND, **change),)))
    shard.refuse(extended(lease_id, hours), reason)


def test_the_offers_hours_bound_an_extension_to_the_hour() -> None:
    shard = Shard()
    lease_id = let(shard, hours=1)
    shard.wait(55 * MINUTE)
    # Its 24 hours began with the running one: the lease has the first, and 23 follow it.
    shard.offer(offered(PRICE, 8, ONDEMAND, max_hours=24))
    shard.refuse(extended(lease_id, 24), Reason.CANNOT_EXTEND, "hours")
    (priced,) = only(shard.do(extended(lease_id, 23)), LeasePriced)
    assert priced.term_end_ns == START + 24 * HOUR


def test_an_offer_whose_gpus_are_all_let_extends_them() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 2, ONDEMAND))
    lease_id = shard.lease(ALICE, 2, 1)
    shard.place(ask(PAT, PRICE, 6, ONDEMAND))
    shard.lease(BOB, 6, 5)
    shard.wait(55 * MINUTE)
    shard.do(extended(lease_id))


def test_hours_that_are_anothers_extend_nothing() -> None:
    shard = Shard()
    lease_id = let(shard, hours=1)
    # The offer stands for what is leased alone, and another ask takes the others' hours and those after the lease.
    shard.offer(offered(PRICE, 2, ONDEMAND))
    shard.wait(55 * MINUTE)
    shard.place(ask(PAT, 3 * PRICE, 6, ONDEMAND))
    shard.do(bid(BOB, 3 * PRICE, 6, ONDEMAND, hours=4))
    shard.wait(MINUTE)
    shard.do(extended(lease_id))


def test_leases_that_cannot_be_extended() -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 4))
    (spot,) = only(shard.do(bid(ALICE, PRICE, 1, SPOT)), LeaseScheduled)
    waiting = only(shard.rent(ALICE, 1, 1, SPOT), LeaseScheduled)[0].lease_id
    lease_id = let(shard, hours=1)
    pending = only(shard.rent(ALICE, 1, 1), LeaseScheduled)[0].lease_id
    shard.wait(55 * MINUTE)
    for spotted in (spot.lease_id, waiting):
        shard.refuse(extended(spotted), Reason.NOT_ONDEMAND, "lease_id")
        shard.refuse(automatic(spotted), Reason.NOT_ONDEMAND, "lease_id")
    shard.refuse(extended(lease_id, account=BOB), Reason.UNKNOWN_LEASE, "lease_id")
    shard.refuse(automatic(lease_id, account=BOB), Reason.UNKNOWN_LEASE, "lease_id")
    shard.refuse(extended(pending), Reason.CANNOT_EXTEND, "lease_id")
    shard.wait(5 * MINUTE, tick=False)
    shard.refuse(extended(lease_id), Reason.LEASE_ENDED, "lease_id")
    shard.do(Tick())
    shard.refuse(automatic(lease_id), Reason.LEASE_ENDED, "lease_id")
    shard.do(LeaseWiped(lease_id=lease_id))
    shard.refuse(extended(lease_id), Reason.LEASE_ENDED, "lease_id")
    shard.refuse(rental(ALICE, 1, 2, SPOT, auto_extend=True), Reason.INVALID_ORDER, "auto_extend")


def test_funds_for_what_comes_are_there_or_nothing_changes() -> None:
    shard = Shard()
    lease_id = let(shard)
    shard.wait(HOUR + 55 * MINUTE)
    rest = shard.auditor.pots[ALICE, Pot.AVAILABLE]
    # The 120 s beyond the old term, and the fee, less a micro-dollar.
    shard.do(Withdraw(account=ALICE, amount_micros=rest - 134_000, client_id=""))
    shard.refuse(extended(lease_id), Reason.INSUFFICIENT_FUNDS, "hours")
    shard.do(Deposit(account=ALICE, amount_micros=1, client_id=""))
    shard.do(extended(lease_id))


def test_an_extended_lease_that_cannot_be_topped_up_has_notice() -> None:
    shard = Shard(usd=9)
    lease_id = let(shard, auto=True)
    shard.pay(ALICE, 1)
    changed = changes(shard.wait(3 * HOUR))[-1]
    assert (changed.lease_id, changed.reason) == (lease_id, EndReason.UNPAID)
    assert changed.ended_ns == START + 2 * HOUR + 120 * SECOND
    assert len(shard.timers()) == 2, "the offer's hour and the close of its window, and nothing of the lease"


def test_by_itself_hour_by_hour_while_it_can() -> None:
    shard = Shard()
    lease_id = let(shard, auto=True, hours=1)
    events = shard.wait(4 * HOUR)
    assert [event.term_end_ns for event in only(events, LeasePriced)] == [START + hour * HOUR for hour in (2, 3, 4, 5)]
    shard.offer(offered(LIMIT + 1, 8, ONDEMAND))
    changed = changes(shard.wait(2 * HOUR))
    assert [(event.state, event.auto_extend) for event in changed] == [
        (LeaseState.ACTIVE, False),
        (LeaseState.ENDED, False),
    ]
    assert (changed[-1].reason, changed[-1].ended_ns) == (EndReason.EXPIRED, START + 5 * HOUR)
    assert changed[-1].charged_micros == 5 * 4_000_000
    lease = shard.machine.state.leases[lease_id]
    assert (lease.prices, lease.auto_due_ns) == ([], 0), "the same price is no other"


def test_it_is_switched_on_and_off() -> None:
    shard = Shard()
    lease_id = let(shard, hours=1)
    (changed,) = only(shard.do(automatic(lease_id)), LeaseChanged)
    assert changed.auto_extend
    assert shard.machine.next_due_ns() == START + 50 * MINUTE
    shard.do(automatic(lease_id, on=False))
    shard.wait(55 * MINUTE)
    assert only(shard.do(automatic(lease_id)), LeaseChanged)[0].auto_extend
    # Inside the last ten minutes its time has come.
    (priced,) = only(shard.do(Tick()), LeasePriced)
    assert priced.term_end_ns == START + 2 * HOUR
    (changed,) = only(shard.do(EndLease(account=ALICE, lease_id=lease_id)), LeaseChanged)
    assert changed.charged_micros == 4_000_000, "the minimum is an hour, however long the term"
    assert len(shard.timers()) == 3


def test_one_that_is_not_active_by_then_is_not_extended() -> None:
    shard = Shard()
    shard.offer(offered(PRICE, 8, ONDEMAND))
    shard.do(rental(ALICE, 2, 1, auto_extend=True))
    changed = changes(shard.wait(2 * HOUR))
    assert [(event.state, event.auto_extend) for event in changed] == [
        (LeaseState.PROVISIONING, False),
        (LeaseState.ENDED, False),
    ]


def test_under_notice_nothing_is_extended() -> None:
    shard = Shard(usd=5)
    lease_id = let(shard, auto=True)
    shard.wait(HOUR + MINUTE)
    assert shard.machine.state.leases[lease_id].state is LeaseState.ENDING
    shard.refuse(extended(lease_id), Reason.LEASE_UNDER_NOTICE, "lease_id")
    shard.refuse(automatic(lease_id), Reason.LEASE_UNDER_NOTICE, "lease_id")


def test_a_late_tick_extends_as_of_its_times() -> None:
    shard = Shard()
    lease_id = let(shard, auto=True, hours=1)
    shard.wait(3 * HOUR + 20 * MINUTE, tick=False)
    while (due_ns := shard.machine.next_due_ns()) is not None and due_ns <= shard.now_ns:
        shard.do(Tick())
    lease = shard.machine.state.leases[lease_id]
    assert (lease.live, lease.term_end_ns, lease.usage_micros) == (True, START + 4 * HOUR, 12_000_000)


def test_a_restored_machine_extends_alike() -> None:
    shard = Shard(Limits(extend_s=1_200))
    let(shard, auto=True, hours=1)
    shard.wait(50 * MINUTE)
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    shard.offer(offered(21_000, 8, ONDEMAND))
    assert not only(shard.wait(7 * HOUR), Rejected)
    assert shard.twin.snapshot() == shard.machine.snapshot()
