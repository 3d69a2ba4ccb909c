"""The auditor of covers: each failure of a provider's is followed by one bid for what it left, and no dearer (rulebook §8).

It reckons limits in fractions, from the events of the failure and of its refund alone.
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

from engine.kinds import EndReason, Kind, LeaseState, ObligationChange, Origin, Pot, Side, TransferCode
from engine.machine import Machine
from engine.messages import (
    Accepted,
    Event,
    LeaseChanged,
    LeaseScheduled,
    ObligationChanged,
    Rejected,
    Traded,
    Transfer,
)
from tests.engine.auditing.obligations import Asked, Owing
from tests.engine.auditing.records import SeenLease

HOUR_NS = 3_600 * 10**9
SECOND_NS = 10**9
MICROS_PER_TICK = 100


class Failure(NamedTuple):
    """What is to be bought: for whom, how much and how long, at most at which price, from whom never, on which conditions,
    and where to deliver it to."""

    account: int
    quantity: int
    hours: int
    limit_ticks: Fraction
    providers: frozenset[int]
    asked: Asked
    delivery: bytes


class Covering:
    def __init__(self, machine: Machine, owing: Owing) -> None:
        self.machine = machine
        self.owing = owing
        self.waiting: list[Failure] = []
        self.asked: dict[int, Asked] = {}
        """By bid: its conditions."""
        self.met: Counter[str] = Counter()

    def take(self, now_ns: int, events: list[Event], leases: dict[int, SeenLease]) -> None:
        """One command's events: what failed in it waits, and what entered is the first that waits."""
        bonds: Counter[int] = Counter()
        entered: dict[int, Failure] = {}
        for event in events:
            match event:
                case Transfer() if (event.code, event.debit_pot) == (TransferCode.PENALTY, Pot.BOND):
                    bonds[event.ref] += event.amount_micros
                case LeaseChanged() if event.reason is EndReason.PROVIDER_FAILED and not event.wiped:
                    self._lease_failed(now_ns, event, leases[event.lease_id], bonds[event.lease_id])
                case ObligationChanged() if event.change is ObligationChange.FAILED and event.addressed:
                    self._obligation_failed(now_ns, event, bonds[event.obligation_id])
                case Accepted() if event.origin is Origin.COVER:
                    assert self.waiting, "what failed is covered, once"
                    failure = entered[event.order_id] = self.waiting.pop(0)
                    assert (event.account, event.quantity, event.hours) == failure[:3], "a cover buys what failed"
                    assert event.price_ticks <= failure.limit_ticks, "a cover costs no more than what failed"
                    assert event.price_ticks + 1 > failure.limit_ticks, "a cover may cost as much as what failed"
                    assert _asked(event) == failure.asked, "a cover asks for what was asked for"
                    self.asked[event.order_id] = failure.asked
                    self.met["COVER"] += 1
                case Accepted() if event.side is Side.BUY:
                    self.asked[event.order_id] = _asked(event)
                case Rejected():
                    assert event.account == self.waiting.pop(0).account
                case Traded() if event.taker_order_id in entered:
                    providers = entered[event.taker_order_id].providers
                    owner = self.machine.state.barons[event.baron].provider
                    assert providers.isdisjoint({event.seller, owner}), "no cover of a failing provider's"
                case LeaseScheduled() if event.order_id in entered:
                    assert event.delivery == entered[event.order_id].delivery, "a cover is delivered to the same place"
                    self.met["COVERED"] += 1
        assert len(self.waiting) == len(self.machine.state.covers), "what failed is covered, once"

    def _lease_failed(self, now_ns: int, event: LeaseChanged, lease: SeenLease, bond: int) -> None:
        scheduled = lease.scheduled
        if (
            event.state is not LeaseState.FAILED
            or event.overdue
            or event.ends_ns
            or scheduled.kind is not Kind.ONDEMAND
        ):
            return
        hours = self._hours(now_ns, lease.term_end_ns)
        owner = self.machine.state.barons[scheduled.baron].provider
        providers = frozenset({scheduled.provider, owner})
        limit = lease.prices[-1][1] + _share(bond, scheduled.quantity, hours)
        asked = self.asked[scheduled.order_id]
        self._fail(Failure(scheduled.renter, scheduled.quantity, hours, limit, providers, asked, scheduled.delivery))

    def _obligation_failed(self, now_ns: int, event: ObligationChanged, bond: int) -> None:
        hours = self._hours(now_ns, event.end_h * HOUR_NS)
        limit = event.price_ticks + _share(bond, event.quantity, event.end_h - event.start_h)
        owed, providers = self.owing.failed[event.obligation_id], frozenset({event.provider})
        self._fail(Failure(event.holder, event.quantity, hours, limit, providers, owed.asked, owed.delivery))

    def _hours(self, now_ns: int, end_ns: int) -> int:
        seconds = max(0, end_ns - now_ns) // SECOND_NS
        return min(math.ceil(Fraction(seconds, 3_600)), self.machine.state.limits.max_term_hours)

    def _fail(self, failure: Failure) -> None:
        if failure.hours > 0:
            self.waiting.append(failure._replace(limit_ticks=min(failure.limit_ticks, Fraction(10**7))))


def _asked(bid: Accepted) -> Asked:
    return bid.features, bid.min_rating, bid.same_baron


def _share(bond_micros: int, quantity: int, hours: int) -> Fraction:
    """What a refunded bond adds to the price of each GPU-hour, in ticks."""
    return Fraction(bond_micros, MICROS_PER_TICK * quantity * max(1, hours))
