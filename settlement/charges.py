"""What a lease should have cost, reckoned again from its start, end and reason alone (rulebook §8, §9).

The engine meters as time passes; this room knows only the dates and states the rule once more in exact fractions of a
dollar, so that neither can repeat the other's mistake. It must never take over the engine's formulas.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NamedTuple

from engine.kinds import EndReason
from engine.units import MICROS_PER_USD, NS_PER_HOUR, NS_PER_S, PPM, TICKS_PER_USD
from settlement.leases import LeaseTerms

FREE_FAILURE_NS: Final = NS_PER_HOUR
"""A lease that its provider fails earlier than this after its start costs nothing (§7)."""


class Charge(NamedTuple):
    """In micro-dollars: the renter's usage, and both sides' fees on it."""

    usage_micros: int
    renter_fee_micros: int
    provider_fee_micros: int


class Clock(NamedTuple):
    """How far the engine's timers have run: everything due before `fired_ns` has fired, nothing after `now_ns` has.

    What is due in [fired_ns, now_ns] may have: a Tick fires a bounded number of timers, and the next one the rest.
    """

    fired_ns: int
    now_ns: int


def ended_charge(lease: LeaseTerms) -> Charge:
    """The whole charge of a lease that has ended or failed; ValueError for a reason that no lease of today ends for."""
    elapsed_ns = lease.ended_ns - lease.active_ns if lease.active_ns else 0
    match lease.reason:
        case EndReason.EXPIRED | EndReason.UNPAID | EndReason.PREEMPTED | EndReason.DISPLACED:
            return _charge(lease, elapsed_ns)
        case EndReason.QUIT | EndReason.RENTER_FAILED:
            return _charge(lease, max(elapsed_ns, _minimum_ns(lease)))
        case EndReason.PROVIDER_FAILED:
            return _charge(lease, elapsed_ns if elapsed_ns >= FREE_FAILURE_NS else 0)
        case _:
            raise ValueError(f"no rule of a charge for a lease that ended {lease.reason.name}")


def running_charges(lease: LeaseTerms, clock: Clock) -> set[Charge]:
    """What may have been posted for a lease that runs: its full hours. One value, or one for each hour still to fire.

    Under notice no hour is posted any more: the last was the notice's, or the one before it (§9).
    """
    if not lease.active_ns:
        return {_charge(lease, 0)}
    if lease.ends_ns:
        last = (lease.ends_ns - lease.active_ns) // NS_PER_HOUR
        return {_charge(lease, hours * NS_PER_HOUR) for hours in (max(0, last - 1), last)}
    fewest = max(0, clock.fired_ns - 1 - lease.active_ns) // NS_PER_HOUR
    most = max(0, clock.now_ns - lease.active_ns) // NS_PER_HOUR
    return {_charge(lease, hours * NS_PER_HOUR) for hours in range(min(fewest, most), most + 1)}


def _minimum_ns(lease: LeaseTerms) -> int:
    """What a quitter pays for at least: its kind's minimum, or what is left of a shorter term."""
    minimum_ns = lease.minimum_s * NS_PER_S
    if not lease.term_end_ns:
        return minimum_ns
    return max(0, min(minimum_ns, lease.term_end_ns - (lease.active_ns or lease.ended_ns)))


def _charge(lease: LeaseTerms, duration_ns: int) -> Charge:
    dollars = Fraction(lease.price_ticks, TICKS_PER_USD) * lease.quantity * Fraction(duration_ns, NS_PER_HOUR)
    usage = int(dollars * MICROS_PER_USD)
    return Charge(
        usage_micros=usage,
        renter_fee_micros=int(Fraction(lease.renter_fee_ppm, PPM) * usage),
        provider_fee_micros=int(Fraction(lease.provider_fee_ppm, PPM) * usage),
    )
