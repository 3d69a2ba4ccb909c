"""The rule of a charge, case by case, with figures reckoned by hand: $2.00 x 3 GPUs is $6 an hour, fees 0.5 % and 0.1 %."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.kinds import EndReason, LeaseState
from engine.units import NS_PER_HOUR, NS_PER_S, fee_micros, usage_micros
from settlement.charges import Charge, Clock, ended_charge, running_charges
from settlement.leases import LeaseTerms, Price
from tests.settlement.made import START_NS

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = NS_PER_HOUR
FREE = Charge(0, 0, 0)
ACTIVE = START_NS + MINUTE_NS
LEASE = LeaseTerms(
    lease_id=1,
    renter=3,
    provider=1,
    quantity=3,
    price_ticks=20_000,
    start_ns=START_NS,
    term_end_ns=START_NS + 5 * HOUR_NS,
    minimum_s=3_600,
    renter_fee_ppm=5_000,
    provider_fee_ppm=1_000,
    state=LeaseState.ENDED,
    reason=EndReason.NONE,
    active_ns=ACTIVE,
    ended_ns=0,
    charged_micros=0,
    wiped=False,
    ends_ns=0,
)


def paid(usage_micros: int) -> Charge:
    return Charge(usage_micros, usage_micros * 5 // 1_000, usage_micros // 1_000)


# name: (reason, active_ns, ended_ns, term_end_ns, minimum_s, charge)
ENDED = {
    "expired after its term": (
        EndReason.EXPIRED,
        ACTIVE,
        ACTIVE + 4 * HOUR_NS,
        LEASE.term_end_ns,
        3600,
        paid(24_000_000),
    ),
    "expired before it was active": (EndReason.EXPIRED, 0, START_NS + 5 * HOUR_NS, LEASE.term_end_ns, 3600, FREE),
    "unpaid after two hours": (
        EndReason.UNPAID,
        ACTIVE,
        ACTIVE + 2 * HOUR_NS,
        LEASE.term_end_ns,
        3600,
        paid(12_000_000),
    ),
    "unpaid after the 120 s of its notice": (
        EndReason.UNPAID,
        ACTIVE,
        ACTIVE + HOUR_NS + 2 * MINUTE_NS,
        LEASE.term_end_ns,
        3600,
        paid(6_200_000),
    ),
    "pre-empted inside its first hour": (
        EndReason.PREEMPTED,
        ACTIVE,
        ACTIVE + MINUTE_NS,
        LEASE.term_end_ns,
        3600,
        paid(100_000),
    ),
    "displaced inside its first minute": (EndReason.DISPLACED, ACTIVE, ACTIVE + NS_PER_S, 0, 60, paid(1_666)),
    "quit at once pays the hour": (EndReason.QUIT, ACTIVE, ACTIVE, LEASE.term_end_ns, 3600, paid(6_000_000)),
    "quit a second past the hour": (
        EndReason.QUIT,
        ACTIVE,
        ACTIVE + HOUR_NS + NS_PER_S,
        LEASE.term_end_ns,
        3600,
        paid(6_001_666),
    ),
    "quit before it was active": (EndReason.QUIT, 0, START_NS + MINUTE_NS, LEASE.term_end_ns, 3600, paid(6_000_000)),
    "quit in a term shorter than the hour": (
        EndReason.QUIT,
        ACTIVE,
        ACTIVE + MINUTE_NS,
        ACTIVE + HOUR_NS // 2,
        3600,
        paid(3_000_000),
    ),
    "quit before it was active, half an hour before its end": (
        EndReason.QUIT,
        0,
        START_NS + HOUR_NS // 2,
        START_NS + HOUR_NS,
        3600,
        paid(3_000_000),
    ),
    "spot without an end pays a minute": (EndReason.QUIT, ACTIVE, ACTIVE + 1, 0, 60, paid(100_000)),
    "spot a nanosecond past its minute": (EndReason.QUIT, ACTIVE, ACTIVE + MINUTE_NS + 1, 0, 60, paid(100_000)),
    "renter's failure pays the minimum": (
        EndReason.RENTER_FAILED,
        0,
        START_NS,
        LEASE.term_end_ns,
        3600,
        paid(6_000_000),
    ),
    "provider's failure inside the first hour": (
        EndReason.PROVIDER_FAILED,
        ACTIVE,
        ACTIVE + HOUR_NS - 1,
        LEASE.term_end_ns,
        3600,
        FREE,
    ),
    "provider's failure at the first hour's end": (
        EndReason.PROVIDER_FAILED,
        ACTIVE,
        ACTIVE + HOUR_NS,
        LEASE.term_end_ns,
        3600,
        paid(6_000_000),
    ),
    "provider's failure before it was active": (
        EndReason.PROVIDER_FAILED,
        0,
        START_NS + 2 * HOUR_NS,
        LEASE.term_end_ns,
        3600,
        FREE,
    ),
}


@pytest.mark.parametrize("name", ENDED)
def test_what_an_ended_lease_costs(name: str) -> None:
    reason, active_ns, ended_ns, term_end_ns, minimum_s, charge = ENDED[name]
    lease = msgspec.structs.replace(
        LEASE, reason=reason, active_ns=active_ns, ended_ns=ended_ns, term_end_ns=term_end_ns, minimum_s=minimum_s
    )
    assert ended_charge(lease) == charge


def test_an_end_without_a_reason_is_named() -> None:
    with pytest.raises(ValueError, match=EndReason.NONE.name):
        ended_charge(msgspec.structs.replace(LEASE, reason=EndReason.NONE, ended_ns=ACTIVE))


@pytest.mark.parametrize("reason", [reason for reason in EndReason if reason is not EndReason.NONE])
def test_every_reason_to_end_has_a_rule(reason: EndReason) -> None:
    assert ended_charge(msgspec.structs.replace(LEASE, reason=reason, ended_ns=ACTIVE + HOUR_NS)).usage_micros > 0


# name: (active_ns, fired_ns after active, now_ns after active, hours that may be posted)
RUNNING = {
    "not active yet": (0, 9 * HOUR_NS, 9 * HOUR_NS, {0}),
    "just active": (ACTIVE, 1, 0, {0}),
    "a nanosecond before its hour": (ACTIVE, HOUR_NS, HOUR_NS - 1, {0}),
    "at its hour": (ACTIVE, HOUR_NS + 1, HOUR_NS, {1}),
    "at its hour, before the timer": (ACTIVE, HOUR_NS, HOUR_NS, {0, 1}),
    "hours later, timers still to fire": (ACTIVE, HOUR_NS, 3 * HOUR_NS, {0, 1, 2, 3}),
    "hours later, all fired": (ACTIVE, 3 * HOUR_NS + 1, 3 * HOUR_NS, {3}),
    "a timer from before it was active": (ACTIVE, -5 * HOUR_NS, 0, {0}),
}


@pytest.mark.parametrize("name", RUNNING)
def test_what_a_running_lease_has_paid(name: str) -> None:
    active_ns, fired_ns, now_ns, hours = RUNNING[name]
    lease = msgspec.structs.replace(LEASE, state=LeaseState.ACTIVE, active_ns=active_ns)
    assert running_charges(lease, Clock(ACTIVE + fired_ns, ACTIVE + now_ns)) == {
        paid(count * 6_000_000) for count in hours
    }


# name: (active_ns, ended_ns, reason, prices after the first of $2, dollars of one GPU in millionths)
PRICED = {
    "each price for its time": (
        ACTIVE,
        3 * HOUR_NS,
        EndReason.QUIT,
        [(HOUR_NS, 30_000), (2 * HOUR_NS, 40_000)],
        9_000_000,
    ),
    "before it was active": (ACTIVE, HOUR_NS, EndReason.EXPIRED, [(-MINUTE_NS, 30_000)], 3_000_000),
    "after it ended": (ACTIVE, HOUR_NS, EndReason.EXPIRED, [(HOUR_NS, 30_000)], 2_000_000),
    "one of two at one time": (ACTIVE, HOUR_NS, EndReason.EXPIRED, [(0, 30_000), (0, 40_000)], 4_000_000),
    "the minimum goes on at the last": (ACTIVE, HOUR_NS // 2, EndReason.QUIT, [(HOUR_NS // 2, 40_000)], 3_000_000),
    "a later price inside the minimum": (ACTIVE, 1, EndReason.QUIT, [(HOUR_NS // 2, 40_000)], 3_000_000),
    "never active pays its minimum at the last": (0, HOUR_NS, EndReason.QUIT, [(MINUTE_NS, 40_000)], 4_000_000),
}


@pytest.mark.parametrize("name", PRICED)
def test_what_a_lease_of_several_prices_costs(name: str) -> None:
    active_ns, ended_ns, reason, prices, dollars = PRICED[name]
    lease = msgspec.structs.replace(
        LEASE, reason=reason, active_ns=active_ns, ended_ns=ACTIVE + ended_ns, term_end_ns=0
    )
    assert ended_charge(lease, [Price(ACTIVE + from_ns, ticks) for from_ns, ticks in prices]) == paid(3 * dollars)


def test_parts_of_a_micro_dollar_are_added_before_they_are_rounded() -> None:
    lease = msgspec.structs.replace(
        LEASE, quantity=1, price_ticks=1, renter_fee_ppm=0, provider_fee_ppm=0, reason=EndReason.EXPIRED
    )
    lease = msgspec.structs.replace(lease, ended_ns=ACTIVE + 60 * NS_PER_S)
    prices = [Price(ACTIVE + second * NS_PER_S, second + 1) for second in range(1, 60)]
    assert ended_charge(lease, prices) == Charge(50, 0, 0)


@pytest.mark.parametrize(
    ("ends_ns", "hours"), [(HOUR_NS + 2 * MINUTE_NS, {0, 1}), (59 * MINUTE_NS, {0}), (3 * HOUR_NS, {2, 3})]
)
def test_under_notice_no_hour_is_posted_any_more(ends_ns: int, hours: set[int]) -> None:
    lease = msgspec.structs.replace(
        LEASE, state=LeaseState.ENDING, reason=EndReason.UNPAID, active_ns=ACTIVE, ends_ns=ACTIVE + ends_ns
    )
    for passed_ns in (0, HOUR_NS, 9 * HOUR_NS):
        clock = Clock(ACTIVE + passed_ns, ACTIVE + passed_ns)
        assert running_charges(lease, clock) == {paid(count * 6_000_000) for count in hours}


@given(
    price_ticks=st.integers(1, 10**7),
    quantity=st.integers(1, 10**5),
    duration_ns=st.integers(HOUR_NS, 744 * HOUR_NS),
    fee_ppm=st.integers(0, 10**6),
)
def test_fractions_of_a_dollar_round_as_the_units_do(
    price_ticks: int, quantity: int, duration_ns: int, fee_ppm: int
) -> None:
    lease = msgspec.structs.replace(
        LEASE,
        price_ticks=price_ticks,
        quantity=quantity,
        renter_fee_ppm=fee_ppm,
        provider_fee_ppm=0,
        reason=EndReason.QUIT,
        ended_ns=ACTIVE + duration_ns,
    )
    usage = usage_micros(price_ticks, quantity, duration_ns)
    assert ended_charge(lease) == Charge(usage, fee_micros(usage, fee_ppm), 0)
