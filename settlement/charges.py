"""What a lease should have cost, reckoned again from its dates, prices and reason alone (rulebook §8, §9).

The engine meters as time passes; this room knows only the dates and prices, and states the rule once more in exact fractions of a
dollar, so that neither can repeat the other's mistake. It must never take over the engine's formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from engine.kinds import EndReason, LeaseState
from engine.units import MICROS_PER_USD, NS_PER_HOUR, NS_PER_S, PPM, TICKS_PER_USD
from settlement.leases import LeaseTerms, Price

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


def ended_charge(lease: LeaseTerms, prices: Sequence[Price] = (), closed_ns: int = 0) -> Charge:
    """The whole charge of a lease that has ended or failed; ValueError for a reason that no lease of today ends for.

    prices: those that it had after its first, in order. closed_ns: the end of its last month that was closed while it ran:
    no failure takes back what that paid out (§9).
    """
    from_ns = lease.active_ns or lease.ended_ns
    elapsed_ns = lease.ended_ns - from_ns
    match lease.reason:
        case EndReason.EXPIRED | EndReason.UNPAID | EndReason.PREEMPTED | EndReason.DISPLACED | EndReason.RELEASED:
            duration_ns = elapsed_ns
        case EndReason.QUIT | EndReason.RENTER_FAILED:
            duration_ns = max(elapsed_ns, _minimum_ns(lease))
        case EndReason.PROVIDER_FAILED:
            duration_ns = elapsed_ns if elapsed_ns >= FREE_FAILURE_NS else 0
        case _:
            raise ValueError(f"no rule of a charge for a lease that ended {lease.reason.name}")
    if lease.state is LeaseState.FAILED:
        duration_ns = max(duration_ns, closed_ns - from_ns)
    return _charge(lease, prices, from_ns, duration_ns)


def charge_until(lease: LeaseTerms, prices: Sequence[Price], until_ns: int) -> Charge:
    """What its use costs from its beginning up to a time."""
    return _charge(lease, prices, lease.active_ns, until_ns - lease.active_ns)


def running_charges(lease: LeaseTerms, clock: Clock, prices: Sequence[Price] = (), closed_ns: int = 0) -> set[Charge]:
    """What may have been posted for a lease that runs: its full hours. One value, or one for each hour still to fire.

    Under notice no hour is posted any more: the last was the notice's, or the one before it (§9). closed_ns: the end of its
    last closed month, up to which it is posted at least.
    """
    if not lease.active_ns:
        return {Charge(0, 0, 0)}
    if lease.ends_ns:
        most = (lease.ends_ns - lease.active_ns) // NS_PER_HOUR
        fewest = max(0, most - 1)
    else:
        fewest = max(0, clock.fired_ns - 1 - lease.active_ns) // NS_PER_HOUR
        most = max(0, clock.now_ns - lease.active_ns) // NS_PER_HOUR
    hours = range(min(fewest, most), most + 1)
    closed = max(0, closed_ns - lease.active_ns)
    return {_charge(lease, prices, lease.active_ns, max(closed, count * NS_PER_HOUR)) for count in hours}


def _minimum_ns(lease: LeaseTerms) -> int:
    """What a quitter pays for at least: its kind's minimum, or what is left of a shorter term."""
    minimum_ns = lease.minimum_s * NS_PER_S
    if not lease.term_end_ns:
        return minimum_ns
    return max(0, min(minimum_ns, lease.term_end_ns - (lease.active_ns or lease.ended_ns)))


def _charge(lease: LeaseTerms, prices: Sequence[Price], from_ns: int, duration_ns: int) -> Charge:
    """Each price for the part of the time in which it held; added up as fractions, and then rounded down."""
    dollars = Fraction(0)
    until_ns = from_ns + duration_ns
    ticks = lease.price_ticks
    for price in prices:
        here_ns = min(max(price.from_ns, from_ns), until_ns)
        dollars += Fraction(ticks, TICKS_PER_USD) * lease.quantity * Fraction(here_ns - from_ns, NS_PER_HOUR)
        from_ns, ticks = here_ns, price.price_ticks
    dollars += Fraction(ticks, TICKS_PER_USD) * lease.quantity * Fraction(until_ns - from_ns, NS_PER_HOUR)
    usage = int(dollars * MICROS_PER_USD)
    return Charge(
        usage_micros=usage,
        renter_fee_micros=int(Fraction(lease.renter_fee_ppm, PPM) * usage),
        provider_fee_micros=int(Fraction(lease.provider_fee_ppm, PPM) * usage),
    )
