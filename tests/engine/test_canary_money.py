"""Canaries for bills and covers: bugs put in on purpose, each of which the auditor must catch (rulebook §8, §9)."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from engine import bills, book_orders, cover, covering, money, periods
from engine.kinds import Fault, Pot, Presence, TransferCode
from engine.messages import EndLease, LeaseActive, LeaseFailed, LeaseScheduled, ReportOutage, SetPresence
from engine.state import Broken
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, ONDEMAND, OTHER_BARON, PAT, QUINN, ask, only
from tests.engine.shard import rental as rent
from tests.engine.test_forwards import DAY_H, day, rich, trade, until

# What is caught here, the laws catch.
pytestmark = pytest.mark.usefixtures("law_alone")


def months() -> None:
    """Leases and obligations with outages that run over a month's end, and hours that turn out not to have been delivered."""
    shard = rich()
    shard.auditor.every = 24
    shard.place(ask(PAT, 20_000, 2, ONDEMAND, max_hours=744))
    (lease,) = only(shard.do(rent(BOB, 2, 700)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=lease.lease_id, access=b""))
    trade(shard, PAT, ALICE, 2, day(shard, 0))
    trade(shard, PAT, ALICE, 1, day(shard, 2))
    start_h = min(each.start_h for each in shard.machine.state.obligations.values())
    opened = only(until(shard, start_h), LeaseScheduled)
    shard.do(LeaseActive(lease_id=opened[0].lease_id, access=b""))
    until(shard, start_h + 5)
    for number in (lease.lease_id, opened[0].lease_id):
        shard.do(ReportOutage(lease_id=number, from_ns=shard.now_ns - 2 * HOUR, to_ns=shard.now_ns - HOUR))
        shard.do(ReportOutage(lease_id=number, from_ns=shard.now_ns - 90 * MINUTE, to_ns=shard.now_ns - 30 * MINUTE))
    # The obligation of the later day is lost in its third hour, which was paid before that was known, and whose lease is over.
    (later,) = only(until(shard, start_h + 2 * DAY_H + 1), LeaseScheduled)
    shard.do(LeaseActive(lease_id=later.lease_id, access=b""))
    until(shard, start_h + 2 * DAY_H + 3)
    shard.do(ReportOutage(lease_id=later.lease_id, from_ns=shard.now_ns - 90 * MINUTE, to_ns=shard.now_ns - HOUR))
    shard.wait(8 * MINUTE)
    shard.do(EndLease(account=ALICE, lease_id=later.lease_id))
    shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=(start_h + 2 * DAY_H + 3) * HOUR - MINUTE))
    shard.wait(40 * DAY_H * HOUR)


def failures() -> None:
    """An on-demand lease and an obligation that their provider fails, and what is bought in their stead."""
    shard = rich()
    shard.place(ask(PAT, 20_000, 3, ONDEMAND, max_hours=48))
    lease_id = shard.lease(BOB, 3, 12)
    shard.place(ask(PAT, 19_000, 2, ONDEMAND, max_hours=48))
    shard.place(ask(QUINN, 19_900, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    shard.wait(90 * MINUTE)
    shard.do(LeaseFailed(lease_id=lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    shard = rich()
    trade(shard, PAT, ALICE, 2, day(shard, 0))
    start_h = next(iter(shard.machine.state.obligations.values())).start_h
    until(shard, start_h + 3)
    shard.place(ask(PAT, 19_000, 4, ONDEMAND, max_hours=48))
    shard.place(ask(QUINN, 19_900, 8, ONDEMAND, baron=OTHER_BARON, max_hours=48))
    (lease,) = shard.machine.state.leases.values()
    shard.do(LeaseFailed(lease_id=lease.lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))


def nothing(*_: object) -> None:
    """Does nothing where something is needed."""


def of_another(close: Callable[..., None]) -> Callable[..., None]:
    """A close that pays out what another bill of the provider has in the receivable."""

    def faulty(state: Any, bill: Any) -> None:
        others = [each for each in state.bills.values() if each is not bill and each.provider == bill.provider]
        bill.receivable_micros += min((each.receivable_micros for each in others), default=0)
        close(state, bill)

    return faulty


def twice(undo: Callable[..., None]) -> Callable[..., None]:
    """An hour that wasn't delivered is refunded twice."""

    def faulty(state: Any, bill: Any, as_of_ns: int, *quantity: int) -> None:
        more = bill.hours[-1].hour_micros
        pots = (bill.provider, Pot.RECEIVABLE), (bill.renter, Pot.AVAILABLE)
        undo(state, bill, as_of_ns, *quantity)
        money.transfer(state, *pots, more, TransferCode.REFUND, bill.bill_id)

    return faulty


def of_the_obligation(_: object) -> Callable[..., Any]:
    """The bill of an hour is the obligation's, whatever delivers it."""

    def faulty(state: Any, owed: Any) -> Any:
        return bills.of(state, owed.obligation_id, owed.holder, owed.provider, owed.start_h * HOUR)

    return faulty


Canaries = list[tuple[str, ModuleType, str, Callable[[Any], Any]]]

MONTHS: Canaries = [
    ("outages give no credit", bills, "credit_percent", lambda _: lambda *_: 0),
    ("everything is credited", bills, "credit_percent", lambda _: lambda *_: 100),
    ("a short run has its credit", bills, "SLA_LEAST_NS", lambda _: 0),
    ("what overlaps counts twice", bills, "_note", lambda _: lambda bill, *it: bill.outages.append(it[:2])),
    ("outages aren't counted", bills, "_note", lambda _: nothing),
    ("what is posted isn't billed", bills, "posted", lambda _: nothing),
    ("hours of obligations aren't billed", bills, "delivered", lambda _: nothing),
    ("hours are billed by obligation", bills, "of_hour", of_the_obligation),
    ("a forward's lease never runs", bills, "began", lambda _: nothing),
    ("a close takes what is another's", bills, "close", of_another),
    ("the end of a lease isn't known", bills, "ended", lambda _: nothing),
    ("a lost hour stays paid", bills, "undo", lambda _: nothing),
    ("only the last hour is undone", bills, "undelivered", lambda _: lambda *_: ()),
    ("a lost hour is refunded twice", bills, "undo", twice),
    ("a month ends a day late", periods, "month_end_ns", lambda end: lambda ns: end(ns) + 24 * HOUR),
]

FAILURES: Canaries = [
    ("nothing is covered", cover, "enter", lambda _: nothing),
    ("all is covered twice", cover, "enter", lambda enter: lambda *it: (enter(*it), enter(*it))),
    ("a cover is for an hour more", cover, "hours_left", lambda left: lambda *it: left(*it) + 1),
    ("a cover costs more", cover, "limit_ticks", lambda limit: lambda *it: limit(*it) + 1),
    ("a cover leaves out the bond", cover, "limit_ticks", lambda _: lambda ticks, *_: ticks),
    ("the failing provider sells the cover", covering, "_barons", lambda _: lambda *_: []),
    ("the book doesn't hear that it is a cover", book_orders, "COVERS", lambda _: 0),
    ("half of it is covered", covering, "_bid", lambda bid: lambda *it: _half(bid(*it))),
]


def _half(order: Any) -> Any:
    order.quantity = order.leaves_quantity = 1
    return order


@pytest.mark.parametrize("story", [months, failures])
def test_the_stories_are_lawful(story: Callable[[], None]) -> None:
    story()


@pytest.mark.parametrize(("name", "module", "function", "bug"), MONTHS, ids=[canary[0] for canary in MONTHS])
def test_a_bug_of_bills_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        months()


@pytest.mark.parametrize(("name", "module", "function", "bug"), FAILURES, ids=[canary[0] for canary in FAILURES])
def test_a_bug_of_covers_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        failures()
