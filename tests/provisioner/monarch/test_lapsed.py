"""Leases whose agents ended them while Monarch was away, and those that they kept."""

from __future__ import annotations

import msgspec
import pytest

from engine.kinds import LeaseState
from provisioner.lapsed import lapsed
from tests.provisioner.monarch.test_desired import ACTIVE, START

HOUR_NS = 3_600 * 10**9
HEARD = START + 50


@pytest.mark.parametrize(
    ("state", "away_ns", "fails"),
    [
        (LeaseState.ACTIVE, HOUR_NS, False),
        (LeaseState.ACTIVE, HOUR_NS + 1, True),
        (LeaseState.ENDING, HOUR_NS, False),
        (LeaseState.ENDING, HOUR_NS + 1, True),
        (LeaseState.PROVISIONING, 9 * HOUR_NS, False),
        (LeaseState.ENDED, 9 * HOUR_NS, False),
    ],
)
def test_only_what_ran_and_was_given_up(state: LeaseState, away_ns: int, fails: bool) -> None:
    lease = msgspec.structs.replace(ACTIVE, state=state)
    failures = lapsed([lease], {lease.baron: HEARD}, HEARD + away_ns, HOUR_NS)
    assert [failure.as_of_ns for failure in failures] == ([HEARD] if fails else [])


def test_a_lease_that_had_notice_before_it_ran_isnt_told_of() -> None:
    given_up = msgspec.structs.replace(ACTIVE, state=LeaseState.ENDING, active_ns=0, ends_ns=HEARD + 2 * HOUR_NS)
    assert lapsed([given_up], {given_up.baron: HEARD}, HEARD + 9 * HOUR_NS, HOUR_NS) == []


def test_a_lease_younger_than_the_last_heartbeat_on_disk_counts_from_its_start() -> None:
    heartbeats = {ACTIVE.baron: ACTIVE.start_ns - 1}
    assert lapsed([ACTIVE], heartbeats, ACTIVE.start_ns + HOUR_NS, HOUR_NS) == []
    [failure] = lapsed([ACTIVE], heartbeats, ACTIVE.start_ns + HOUR_NS + 1, HOUR_NS)
    assert failure.as_of_ns == ACTIVE.start_ns


def test_a_baron_whose_last_heartbeat_is_lost_tells_by_itself() -> None:
    assert lapsed([ACTIVE], {}, ACTIVE.start_ns + 9 * HOUR_NS, HOUR_NS) == []


@pytest.mark.parametrize(("ends_after_ns", "fails"), [(120 * 10**9, False), (HOUR_NS, False), (HOUR_NS + 1, True)])
def test_a_notice_that_was_over_before_the_agent_gave_up_was_delivered(ends_after_ns: int, fails: bool) -> None:
    lease = msgspec.structs.replace(ACTIVE, state=LeaseState.ENDING, ends_ns=HEARD + ends_after_ns)
    assert bool(lapsed([lease], {lease.baron: HEARD}, HEARD + 9 * HOUR_NS, HOUR_NS)) is fails
