"""What a lease costs, reckoned anew in exact fractions from its start, end, prices and reason (rulebook §7, §8, §9)."""

from __future__ import annotations

import math
from fractions import Fraction

from engine.kinds import EndReason, Kind, LeaseState
from engine.machine import Machine
from engine.messages import LeaseChanged, LeasePriced
from tests.engine.auditing.records import SeenLease

HOUR_NS = 3600 * 10**9


def check_charge(lease: SeenLease, closed_micros: int) -> None:
    """The charge of an ended lease, reckoned anew from its start, end and reason (rulebook §7, §8, §9).

    closed_micros: what months charged that were closed while it ran; no failure takes that back.
    """
    last, terms = lease.last, lease.scheduled
    assert last is not None
    active = last.active_ns or last.ended_ns
    duration = last.ended_ns - active
    assert duration >= 0
    if lease.term_end_ns:
        assert last.ended_ns <= lease.term_end_ns
        assert last.reason is not EndReason.EXPIRED or last.ended_ns == lease.term_end_ns
    if last.reason is EndReason.PROVIDER_FAILED and duration < HOUR_NS:
        duration = 0
    if last.reason in (EndReason.QUIT, EndReason.RENTER_FAILED):
        minimum = terms.minimum_s * 10**9
        if lease.term_end_ns:
            minimum = min(minimum, lease.term_end_ns - active)
        duration = max(duration, minimum)
    usage = _usage(lease, active, duration)
    if last.state is LeaseState.FAILED:
        usage = max(usage, closed_micros)
    assert lease.usage == last.charged_micros == usage
    assert lease.renter_fee == math.floor(Fraction(usage * terms.renter_fee_ppm, 10**6))
    assert lease.provider_fee == math.floor(Fraction(usage * terms.provider_fee_ppm, 10**6))


def check_notice(machine: Machine, lease: SeenLease, before: LeaseChanged | None, event: LeaseChanged) -> None:
    """Notice is given once, with a reason and a time, and a lease that had it ends then at the latest (§7)."""
    if before is not None and before.ends_ns:
        assert event.ends_ns == before.ends_ns, "a notice doesn't move"
        assert before.state is not LeaseState.ENDING or event.state is not LeaseState.ACTIVE
    if event.state is LeaseState.ENDING:
        assert event.reason in (EndReason.UNPAID, EndReason.PREEMPTED, EndReason.DISPLACED)
        kept = machine.state.leases[event.lease_id]
        assert event.ends_ns <= machine.last_ts_ns + machine.state.limits.notice_s * 10**9
        until = min(event.ends_ns, lease.term_end_ns or event.ends_ns)
        paid = event.charged_micros + lease.renter_fee + kept.prefund_micros if kept.live else None
        # What isn't active yet is charged nothing.
        usage = _usage(lease, event.active_ns, until - event.active_ns) if event.active_ns else 0
        fee = math.floor(Fraction(usage * lease.scheduled.renter_fee_ppm, 10**6))
        assert paid is None or usage + fee <= paid, "the notice is inside what was paid"
    if event.state in (LeaseState.ENDED, LeaseState.FAILED) and event.ends_ns:
        assert event.ended_ns <= event.ends_ns, "a lease ends with its notice"
        assert event.reason is not EndReason.QUIT, "who goes under notice doesn't quit"
    assert event.reason is not EndReason.UNPAID or event.ends_ns


def check_raise(machine: Machine, lease: SeenLease, event: LeasePriced) -> None:
    """A raise of a spot lease, from now on, to more than it paid (§7); or an on-demand lease's extension (§8)."""
    if lease.scheduled.kind is Kind.FORWARD:
        # Its obligation was cut, joined, or followed by another.
        assert event.price_ticks == 0
        lease.term_end_ns = event.term_end_ns
        return
    state = lease.last.state if lease.last is not None else lease.scheduled.state
    if lease.scheduled.kind is Kind.SPOT:
        assert state in (LeaseState.PROVISIONING, LeaseState.ACTIVE)
        assert event.price_ticks > lease.prices[-1][1]
        assert event.from_ns == machine.last_ts_ns
        assert event.term_end_ns == lease.term_end_ns
    else:
        assert state is LeaseState.ACTIVE
        assert event.price_ticks <= lease.scheduled.limit_ticks
        assert event.from_ns == lease.term_end_ns, "the old term is paid at the old price"
        assert event.from_ns <= machine.last_ts_ns + machine.state.limits.extend_s * 10**9
        assert event.term_end_ns > lease.term_end_ns
        assert (event.term_end_ns - lease.term_end_ns) % HOUR_NS == 0
        lease.term_end_ns = event.term_end_ns
    lease.prices.append((event.from_ns, event.price_ticks))
    assert machine.state.leases[event.lease_id].price_ticks == event.price_ticks


def _usage(lease: SeenLease, from_ns: int, duration_ns: int) -> int:
    """What so much use from a time on costs at the prices of that time, in exact fractions rounded down once."""
    until_ns, dollars = from_ns + duration_ns, Fraction(0)
    bounds = [from_ns, *(begins for begins, _ in lease.prices[1:]), until_ns]
    for (_, ticks), begins, ends in zip(lease.prices, bounds, bounds[1:], strict=False):
        inside = min(max(ends, from_ns), until_ns) - min(max(begins, from_ns), until_ns)
        dollars += Fraction(ticks * 100 * lease.scheduled.quantity * inside, HOUR_NS)
    return math.floor(dollars)
