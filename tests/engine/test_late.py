"""A clock that jumps ends where a clock that ticks ends: each timer counts as of its due time, in its order (§2, §4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.halves import compiled_half
from engine.kinds import EndReason, Fault, LeaseState
from engine.limits import Limits
from engine.messages import (
    CancelAll,
    CancelAllAfter,
    Command,
    EndLease,
    Event,
    LeaseActive,
    LeaseFailed,
    LeaseScheduled,
    RaisePrice,
    SetDrain,
    SetOffers,
    SetSession,
    Tick,
)
from engine.records import Session
from tests.engine import paid_hours, sequences, sequences_ahead
from tests.engine.sequences import Step
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    ELSEWHERE_ONDEMAND,
    ELSEWHERE_SPOT,
    HOUR,
    MINUTE,
    ONDEMAND,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    changes,
    only,
)
from tests.engine.spot import noticed, runs
from tests.engine.test_forwards import day, purchase, rich, sale, trade, until

PRICE = 20_000


def caught_up(shard: Shard) -> list[Event]:
    """Ticks until nothing is due."""
    events: list[Event] = []
    while shard.due():
        events += shard.do(Tick())
    return events


# ---------------------------------------------------------------- nobody trades


def lived(steps: list[Step], limits: Limits, start_ns: int, *, holds: bool, offers: bool) -> Shard:
    """A market amid its life, of which only what runs, is owed and is offered is left: nobody will trade."""
    shard = Shard(limits, usd=2_000, start_ns=start_ns)
    if holds:
        sequences_ahead.hold(shard)
    sequences.open_up(shard)
    for step in steps:
        sequences.play(shard, step)
    auctions = {*shard.machine.state.auction_ends, SPOT, ONDEMAND, ELSEWHERE_SPOT, ELSEWHERE_ONDEMAND}
    for instrument in sorted(auctions):
        shard.do(SetSession(instrument=instrument, session=Session.CONTINUOUS))
    for account in (ALICE, BOB, PAT, QUINN):
        shard.do(CancelAllAfter(account=account, after_ns=0))
        shard.do(CancelAll(account=account))
        if not offers:
            shard.do(SetOffers(account=account, offers=()))
    caught_up(shard)
    return shard


def endings(shard: Shard) -> list[str]:
    """How each lease stands, by no id: those of obligations are numbered by the Tick that opens them."""
    last = [seen.last for seen in shard.auditor.leases.values() if seen.last is not None]
    return sorted(repr((each.state, each.reason, each.ended_ns, each.charged_micros, each.quantity)) for each in last)


@pytest.mark.timeout(600)
@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target])
@given(
    steps=st.one_of(sequences_ahead.steps_let, sequences_ahead.steps_ahead),
    limits=st.sampled_from([Limits(max_term_hours=30), sequences.TIGHT]),
    start_ns=st.sampled_from([START, *sequences_ahead.BEGINS]),
    holds=st.booleans(),
    offers=st.booleans(),
    jump_ns=st.sampled_from([3 * HOUR, 9 * HOUR + 17, 27 * HOUR, 60 * HOUR]),
)
def test_who_trades_nothing_ends_alike_whether_the_clock_jumps_or_ticks(
    steps: list[Step], limits: Limits, start_ns: int, holds: bool, offers: bool, jump_ns: int
) -> None:
    late, timely = (lived(steps, limits, start_ns, holds=holds, offers=offers) for _ in range(2))
    late.wait(jump_ns, tick=False)
    # What is over counts for the timers that are late, after a restore too.
    late.apply(SetDrain(account=PAT, baron=0, draining=True))
    late.twin = compiled_half().restored(late.machine.snapshot())
    caught_up(late)
    assert late.twin.snapshot() == late.machine.snapshot()
    timely.wait(jump_ns)
    caught_up(timely)
    assert endings(late) == endings(timely)
    assert +late.auditor.pots == +timely.auditor.pots


# ---------------------------------------------------------------- commands that pass a Tick


def sold_ahead() -> tuple[Shard, int, list[int]]:
    """Three minutes before a day of which all eight GPUs of a Baron are sold, and two of another; some run as spot."""
    shard = rich()
    tomorrow = day(shard, 0)
    trade(shard, PAT, ALICE, 8, tomorrow)
    shard.place(sale(PAT, 2, tomorrow, baron=SECOND_BARON))
    shard.do(purchase(ALICE, 2, tomorrow))
    start_h = shard.machine.state.instruments[tomorrow].start_h
    until(shard, start_h - 1)
    shard.wait(30 * MINUTE)
    leases = [runs(shard, BOB, PRICE, 2), runs(shard, BOB, PRICE + 1, 2), runs(shard, BOB, PRICE + 2, 1, active=False)]
    shard.wait(27 * MINUTE)
    return shard, start_h * HOUR, leases


PASSING: list[tuple[str, Callable[[Shard, list[int]], Command]]] = [
    ("quits", lambda _, leases: EndLease(account=BOB, lease_id=leases[0])),
    ("raises", lambda _, leases: RaisePrice(account=BOB, lease_id=leases[0], price_ticks=2 * PRICE)),
    ("displaces", lambda _, __: bid(QUINN, 2 * PRICE, 2)),
    ("drains", lambda _, __: SetDrain(account=PAT, baron=BARON, draining=True)),
    ("runs", lambda _, leases: LeaseActive(lease_id=leases[2], access=b"port")),
    (
        "fails",
        lambda shard, leases: LeaseFailed(
            lease_id=leases[0], fault=Fault.RENTER, as_of_ns=shard.now_ns - MINUTE, detail="a bad image"
        ),
    ),
]


@pytest.mark.parametrize(("name", "command"), PASSING, ids=[name for name, _ in PASSING])
def test_a_command_that_passes_a_late_tick_has_nobody_charged_for_what_was_sold_ahead(
    name: str, command: Callable[[Shard, list[int]], Command]
) -> None:
    shard, start_ns, leases = sold_ahead()
    begins_ns = shard.now_ns
    # No full hour of use is overdue too.
    shard.wait(25 * MINUTE, tick=False)
    events = shard.do(command(shard, leases))
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    events += caught_up(shard) + shard.wait(HOUR)
    ended = {each.lease_id: each for each in changes(events) if each.ended_ns and each.renter != ALICE}
    assert {*leases} <= {*ended}
    for each in ended.values():
        # What came to be, or to run, when its GPUs were gone costs nothing.
        assert each.ended_ns <= start_ns or (each.charged_micros == 0 and each.reason is EndReason.PREEMPTED), each
    paid_hours.check(shard, begins_ns, events)


def test_what_needs_more_firings_than_one_is_as_of_its_time_too() -> None:
    shard = rich(Limits(max_looked=2, max_timers=2))
    tomorrow = day(shard, 0)
    trade(shard, PAT, ALICE, 8, tomorrow)
    start_h = shard.machine.state.instruments[tomorrow].start_h
    until(shard, start_h - 1)
    leases = [runs(shard, BOB, PRICE + number, 1) for number in range(7)]
    shard.wait(5 * HOUR, tick=False)
    events = caught_up(shard)
    assert noticed(events) == leases
    ended = [each.ended_ns for each in changes(events) if each.renter == BOB and each.state is LeaseState.ENDED]
    assert ended == [start_h * HOUR] * 7


def test_what_was_let_after_an_hour_is_none_of_what_that_hour_lacks() -> None:
    """A bid that passes the Tick takes four GPUs that are free by now; the hours that are over left four to the older lease."""
    shard = rich()
    tomorrow = day(shard, 0)
    trade(shard, PAT, ALICE, 4, tomorrow)
    until(shard, shard.machine.state.instruments[tomorrow].start_h - 1)
    old = runs(shard, BOB, PRICE, 4)
    shard.place(ask(PAT, PRICE, 4))
    # The holder's lease is over for five minutes, and isn't overdue.
    shard.wait(25 * HOUR + 5 * MINUTE, tick=False)
    (new,) = only(shard.do(bid(QUINN, PRICE, 4)), LeaseScheduled)
    assert noticed(caught_up(shard)) == []
    assert all(shard.machine.state.leases[number].live for number in (old, new.lease_id))
