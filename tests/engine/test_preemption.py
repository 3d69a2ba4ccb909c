"""Pre-emption: firm demand takes free GPUs, then promises, then whole spot leases, the cheapest first, with notice (§4, §7)."""

from __future__ import annotations

from typing import NoReturn

import pytest
from msgspec.structs import replace

from engine import preemption, spot_leases, timers
from engine.halves import compiled_half
from engine.kinds import EndReason, Fault, Kind, LeaseState, Pot
from engine.limits import Limits
from engine.messages import (
    EndLease,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    OpenAccount,
    RaisePrice,
    SetCapacity,
    Tick,
)
from engine.reasons import Reason
from engine.state import Lease
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    PAT,
    SECOND,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    offered,
    only,
)
from tests.engine.spot import displacing, noticed, row, runs, starts, state_of, wipes

FIRM = 30_000


def demand(shard: Shard, quantity: int, hours: int = 1) -> list[Event]:
    """Firm demand for so many GPUs of BARON."""
    shard.place(ask(PAT, FIRM, quantity, ONDEMAND))
    return shard.do(bid(BOB, FIRM, quantity, ONDEMAND, hours=hours))


def test_free_gpus_go_first() -> None:
    shard = Shard()
    lease_id = runs(shard, ALICE, 20_000, 4)
    assert noticed(demand(shard, 4)) == []
    assert state_of(shard, lease_id) is LeaseState.ACTIVE
    assert noticed(demand(shard, 1)) == [lease_id]


@pytest.mark.parametrize("active", [True, False])
def test_it_has_notice_and_runs_on_for_two_minutes(active: bool) -> None:
    shard = Shard()
    lease_id = runs(shard, ALICE, 20_000, 8, active=active)
    events = demand(shard, 2)
    assert noticed(events) == [lease_id]
    assert (row(shard).spot_gpus, row(shard).leaving_gpus) == (8, 8)
    shard.refuse(RaisePrice(account=ALICE, lease_id=lease_id, price_ticks=90_000), Reason.LEASE_UNDER_NOTICE)
    if not active:
        shard.refuse(LeaseActive(lease_id=lease_id, access=b""), Reason.LEASE_NOT_PROVISIONING)
    (ended,) = only(shard.wait(120 * SECOND), LeaseChanged)
    assert (ended.state, ended.reason, ended.ended_ns) == (
        LeaseState.ENDED,
        EndReason.PREEMPTED,
        START + 120 * SECOND,
    )
    assert ended.charged_micros == (16_000_000 * 120 // 3_600 if active else 0)
    assert noticed(demand(shard, 2)) == [], "what is over is free: the rest of it serves more"
    wipes(shard, lease_id)
    assert (row(shard).spot_gpus, row(shard).leaving_gpus) == (0, 0)


def test_lowest_price_first_newest_first_among_equals_whole_leases_until_enough() -> None:
    shard = Shard()
    prices = (20_000, 19_000, 20_000, 21_000)
    first, cheap, newer, dear = (runs(shard, ALICE, price) for price in prices)
    assert noticed(demand(shard, 3)) == [cheap, newer]
    assert noticed(demand(shard, 1)) == [], "what a whole lease gave beyond what was asked for"
    assert noticed(demand(shard, 1)) == [first]
    assert state_of(shard, dear) is LeaseState.ACTIVE


def test_a_raise_before_notice_is_heard() -> None:
    shard = Shard()
    first, second = runs(shard, ALICE, 20_000, 4), runs(shard, ALICE, 21_000, 4, active=False)
    shard.do(RaisePrice(account=ALICE, lease_id=first, price_ticks=22_000))
    assert noticed(demand(shard, 1)) == [second]
    assert noticed(demand(shard, 4)) == [first]


def test_other_rows_are_left_alone() -> None:
    shard = Shard()
    here = runs(shard, ALICE, 20_000, 8)
    runs(shard, ALICE, 15_000, 8, baron=SECOND_BARON)
    assert noticed(demand(shard, 8)) == [here]


def test_a_newcomers_promise_goes_before_any_lease_and_costs_it_nothing() -> None:
    shard = Shard()
    cheapest = runs(shard, ALICE, 17_000)
    old = runs(shard, ALICE, 18_000)
    shard.do(OpenAccount(account=13, maker_fee_ppm=0, taker_fee_ppm=0))
    shard.pay(13, 1_000)
    trades = displacing(shard.do(bid(13, 20_000, 4)))
    assert [trade.displaced_lease_id for trade in trades] == [cheapest, old]
    other = runs(shard, ALICE, 16_000)
    events = demand(shard, 3)
    ended = [event for event in only(events, LeaseChanged) if event.lease_id == trades[1].lease_id]
    assert [(event.state, event.reason, event.charged_micros, event.wiped) for event in ended] == [
        (LeaseState.ENDED, EndReason.PREEMPTED, 0, False),
        (LeaseState.ENDED, EndReason.PREEMPTED, 0, True),
    ]
    assert noticed(events) == [], "the displaced leases leave anyway"
    assert (row(shard).leaving_gpus, list(row(shard).claims)) == (2, [trades[0].lease_id])
    events = demand(shard, 2)
    assert trades[0].lease_id not in shard.machine.state.leases
    assert (noticed(events), row(shard).leaving_gpus) == ([], 4)
    assert shard.auditor.pots[13, Pot.HELD] == 0 and shard.auditor.pots[13, Pot.AVAILABLE] == 1_000_000_000
    assert noticed(demand(shard, 1)) == []
    assert noticed(demand(shard, 1)) == [other]
    shard.wait(120 * SECOND)
    for lease_id in (cheapest, old):
        assert len(only(wipes(shard, lease_id), LeaseChanged)) == 1, "nobody is served"


def test_what_goes_away_goes_before_what_was_sold_returns() -> None:
    """A failed or quit lease's GPUs leave as well: they are no reason to take another's."""
    shard = Shard()
    gone, failed = runs(shard, ALICE, 24_000), runs(shard, ALICE, 23_000)
    stays = runs(shard, ALICE, 20_000, 4)
    shard.do(EndLease(account=ALICE, lease_id=gone))
    shard.do(LeaseFailed(lease_id=failed, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    assert noticed(demand(shard, 4)) == []
    assert noticed(demand(shard, 1)) == [stays]


def test_a_forward_takes_them_two_minutes_before_its_first_hour() -> None:
    """The day that is sold begins at 00:00 UTC, eight hours from the start."""
    shard = Shard()
    day = START // HOUR + 8
    forward = next(
        number
        for number, each in shard.machine.state.instruments.items()
        if each.kind is Kind.FORWARD and (each.start_h, each.end_h, each.region) == (day, day + 24, "here")
    )
    shard.pay(PAT, 1_000)
    cheap = runs(shard, ALICE, 20_000, 4)
    dear = runs(shard, ALICE, 21_000, 4)
    shard.place(ask(PAT, FIRM, 3, forward, max_hours=0))
    assert noticed(shard.do(bid(BOB, FIRM, 3, forward, hours=0))) == []
    assert noticed(shard.wait(8 * HOUR - 121 * SECOND)) == []
    assert noticed(shard.wait(SECOND)) == [cheap]
    ended = [event for event in only(shard.wait(2 * MINUTE), LeaseChanged) if event.lease_id == cheap]
    assert [(event.state, event.ended_ns) for event in ended] == [(LeaseState.ENDED, day * HOUR)]
    assert state_of(shard, dear) is LeaseState.ACTIVE


def test_lost_gpus_take_spot_leases_too() -> None:
    shard = Shard()
    first, second = runs(shard, ALICE, 20_000, 4), runs(shard, ALICE, 21_000, 4)
    assert noticed(shard.do(SetCapacity(baron=BARON, gpus=5, simulated=False))) == [first]
    assert noticed(shard.do(SetCapacity(baron=BARON, gpus=8, simulated=False))) == []
    assert noticed(shard.do(SetCapacity(baron=BARON, gpus=0, simulated=False))) == [second]


def test_an_offer_sells_to_firm_demand_what_its_spot_leases_have() -> None:
    shard = Shard()
    shard.offer(offered(20_000, 8), offered(FIRM, 8, ONDEMAND))
    (scheduled,) = only(shard.do(bid(ALICE, 20_000, 8)), LeaseScheduled)
    starts(shard, scheduled.lease_id)
    assert noticed(shard.rent(BOB, 8, 2, ONDEMAND)) == [scheduled.lease_id]
    assert shard.asks(SPOT) == []


def test_a_command_makes_so_many_yield_and_a_tick_goes_on() -> None:
    shard = Shard(Limits(max_looked=2), gpus=8)
    leases = [runs(shard, ALICE, 20_000, 1) for _ in range(7)]
    newest_first = list(reversed(leases))
    assert noticed(demand(shard, 6)) == newest_first[:2]
    assert shard.machine.next_due_ns() == shard.now_ns
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    assert noticed(shard.do(Tick())) == newest_first[2:4]
    shard.do(EndLease(account=ALICE, lease_id=leases[0]))
    assert noticed(shard.do(Tick())) == []
    assert shard.machine.next_due_ns() != shard.now_ns
    assert shard.twin.state_hash() == shard.machine.state_hash()
    assert state_of(shard, leases[1]) is LeaseState.ACTIVE


def test_a_restored_machine_knows_who_yields() -> None:
    shard = Shard()
    cheap = runs(shard, ALICE, 18_000, 2)
    dear = runs(shard, ALICE, 19_000, 2, active=False)
    shard.do(bid(BOB, 20_000, 2))
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    demand(shard, 5)
    assert row(shard).claims == {}
    assert noticed(demand(shard, 2)) == [dear]
    shard.wait(120 * SECOND)
    wipes(shard, cheap)
    assert shard.twin.state_hash() == shard.machine.state_hash()


class Counted(dict[int, Lease]):
    """A table of leases that counts how often it is asked for one, and can't be walked."""

    def __init__(self, leases: dict[int, Lease]) -> None:
        super().__init__(leases)
        self.looks = 0

    def __getitem__(self, key: int) -> Lease:
        self.looks += 1
        return super().__getitem__(key)

    def _walked(self) -> NoReturn:
        raise AssertionError("somebody walks all leases")

    __iter__ = keys = values = items = _walked


def crowd(gpus: int) -> tuple[Shard, Counted]:
    """So many running spot leases of one GPU on one Baron, a thousand at each price, and the table that counts looks."""
    shard = Shard(gpus=gpus)
    shard.auditor.saw = lambda *_: None  # type: ignore[method-assign]
    first = runs(shard, ALICE, 20_000, 1)
    state = shard.machine.state
    pattern = state.leases[first]
    for number in range(1, gpus):
        lease_id, price_ticks = first + number, 20_000 + number // 1_000
        state.leases[lease_id] = replace(pattern, lease_id=lease_id, price_ticks=price_ticks)
    state.barons[BARON].leased_gpus = row(shard).spot_gpus = gpus
    state.accounts[ALICE].leases = state.accounts[ALICE].gpus = gpus
    spot_leases.rearm(state)
    timers.rearm(state)
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    table = state.leases = Counted(state.leases)
    return shard, table


def test_among_a_hundred_thousand_leases_each_is_found_without_a_walk() -> None:
    shard, table = crowd(100_000)
    first = min(dict.keys(table))
    newest_of_the_cheapest = first + 999
    (trade,) = displacing(shard.do(bid(BOB, 25_000, 1)))
    assert (trade.displaced_lease_id, table.looks) == (newest_of_the_cheapest, 1)
    # The promise goes first, then the next three in order, one look each.
    table.looks = 0
    shard.place(ask(PAT, FIRM, 4, ONDEMAND))
    events = shard.do(bid(BOB, FIRM, 4, ONDEMAND))
    assert noticed(events) == [first + 998, first + 997, first + 996]
    assert table.looks <= 5
    assert preemption.shortage(shard.machine.state, row(shard)) == 0
