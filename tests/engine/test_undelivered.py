"""Hours that were paid before it was known that their Baron had failed in them are refunded (§9)."""

from __future__ import annotations

import msgspec
import pytest

from engine import periods
from engine.halves import compiled_half
from engine.kinds import Fault, LeaseState, Pot, Presence, TransferCode
from engine.messages import (
    BillClosed,
    EndLease,
    Event,
    LeaseActive,
    LeaseFailed,
    LeaseScheduled,
    SetDelivery,
    SetPresence,
    Tick,
    Transfer,
)
from engine.units import MICROS_PER_TICK
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, PAT, SECOND, Shard, ask, bid, only
from tests.engine.test_forwards import DAY_H, TRADED, day, owed, pots, purchase, rich, sale, trade, until

PAY = TRADED * MICROS_PER_TICK * 2
"""An hour of two GPUs."""


def running(shard: Shard) -> tuple[int, int]:
    """A day of two GPUs, Pat's to Alice, in its first hour: (its first hour, its lease)."""
    instrument = day(shard, 0)
    start_h = shard.machine.state.instruments[instrument].start_h
    trade(shard, PAT, ALICE, 2, instrument)
    leases = only(until(shard, start_h), LeaseScheduled)
    (lease_id,) = (each.lease_id for each in leases if each.renter == ALICE)
    shard.do(LeaseActive(lease_id=lease_id, access=b"port 22000"))
    return start_h, lease_id


def lost(as_of_ns: int) -> SetPresence:
    return SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=as_of_ns)


def taken_back(events: list[Event]) -> list[tuple[int, int, int]]:
    """(from, to, micro-dollars) of what came out of a receivable."""
    return [
        (each.debit_account, each.credit_account, each.amount_micros)
        for each in only(events, Transfer)
        if each.code is TransferCode.REFUND and each.debit_pot is Pot.RECEIVABLE
    ]


@pytest.mark.parametrize(
    ("heard_s", "undone"),
    [
        pytest.param(2 * 3600 - 30, 1, id="half a minute before the hour's end"),
        pytest.param(2 * 3600, 0, id="at the hour's end, which is delivered"),
        pytest.param(1 * 3600 - 1, 2, id="an hour before that, while nobody listened"),
    ],
)
@pytest.mark.parametrize("quits", [False, True])
def test_the_hour_in_which_a_baron_was_heard_of_last_is_refunded(heard_s: int, undone: int, quits: bool) -> None:
    shard = rich()
    start_h, lease_id = running(shard)
    if quits:
        shard.do(EndLease(account=ALICE, lease_id=lease_id))
    until(shard, start_h + 2)
    shard.wait(9 * MINUTE)
    before, earned = pots(shard, ALICE)[Pot.AVAILABLE], pots(shard, PAT)[Pot.RECEIVABLE]
    assert earned == 2 * PAY
    events = shard.do(lost(start_h * HOUR + heard_s * SECOND))
    assert taken_back(events) == ([(PAT, ALICE, undone * PAY)] if undone else [])
    rest = 22 * PAY
    assert pots(shard, ALICE)[Pot.AVAILABLE] == before + undone * PAY + rest + rest // 10
    assert pots(shard, PAT).get(Pot.RECEIVABLE, 0) == earned - undone * PAY


def test_so_is_the_last_hour_of_what_is_over_and_the_lease_went_on_or_ended() -> None:
    shard = rich()
    trade(shard, PAT, BOB, 1, day(shard, 0))
    trade(shard, PAT, ALICE, 2, day(shard, 1), TRADED + 1)
    start_h, _ = running(shard)
    until(shard, start_h + DAY_H)
    assert [each.holder for each in shard.machine.state.obligations.values()] == [ALICE]
    events = shard.wait(9 * MINUTE) + shard.do(lost((start_h + DAY_H) * HOUR - SECOND))
    assert sorted(taken_back(events)) == [(PAT, ALICE, PAY), (PAT, BOB, PAY // 2)]
    assert not shard.machine.state.obligations
    # What is left of them is paid out at the month's close; their leases ran until they ended, Alice's as of the loss.
    closed = only(until(shard, start_h + 40 * DAY_H), BillClosed)
    assert sorted((each.charge_micros, each.run_ns, each.over) for each in closed) == [
        (23 * PAY // 2, DAY_H * HOUR, True),
        (23 * PAY, DAY_H * HOUR - SECOND, True),
    ]
    assert pots(shard, PAT).get(Pot.RECEIVABLE, 0) == 0


def test_a_lease_that_fails_as_of_an_hour_that_was_paid_takes_its_own_hours_back_and_no_others() -> None:
    shard = rich()
    trade(shard, PAT, BOB, 1, day(shard, 0))
    start_h, lease_id = running(shard)
    until(shard, start_h + 2)
    as_of_ns = (start_h + 2) * HOUR - SECOND
    events = shard.do(LeaseFailed(lease_id=lease_id, fault=Fault.PROVIDER, as_of_ns=as_of_ns, detail=""))
    assert taken_back(events) == [(PAT, ALICE, PAY)]
    assert [each.holder for each in shard.machine.state.obligations.values()] == [BOB]


@pytest.mark.parametrize("own_first", [True, False])
def test_of_hours_that_are_let_in_part_each_lease_takes_back_those_of_its_own_gpus(own_first: bool) -> None:
    shard = rich()
    start_h, own = running(shard)
    shard.place(ask(ALICE, TRADED, 1))
    (let,) = (each.lease_id for each in only(shard.do(bid(BOB, TRADED, 1)), LeaseScheduled))
    until(shard, start_h + 2)
    as_of_ns = (start_h + 2) * HOUR - SECOND
    (first, other) = (own, let) if own_first else (let, own)
    for lease_id, left in ((first, 1), (other, 0)):
        events = shard.do(LeaseFailed(lease_id=lease_id, fault=Fault.PROVIDER, as_of_ns=as_of_ns, detail=""))
        assert taken_back(events) == [(PAT, ALICE, PAY // 2)]
        assert sum(each.quantity for each in owed(shard, ALICE)) == left
        shard.twin = compiled_half().restored(shard.machine.snapshot())
    assert taken_back(shard.do(lost(as_of_ns))) == [], "nothing is left of that hour"
    shard.wait(40 * DAY_H * HOUR, tick=False)
    while shard.due():
        shard.do(Tick())
    assert Pot.RECEIVABLE not in pots(shard, PAT)


def test_after_a_failure_a_loss_as_of_an_earlier_hour_takes_that_back_too() -> None:
    shard = rich()
    trade(shard, PAT, BOB, 1, day(shard, 0))
    start_h, own = running(shard)
    until(shard, start_h + 3)
    failed_ns = (start_h + 3) * HOUR - SECOND
    events = shard.do(LeaseFailed(lease_id=own, fault=Fault.PROVIDER, as_of_ns=failed_ns, detail=""))
    assert taken_back(events) == [(PAT, ALICE, PAY)]
    shard.twin = compiled_half().restored(shard.machine.snapshot())
    # Bob's three hours first, whose last was paid after what is left of Alice's.
    lost_ns = (start_h + 1) * HOUR - SECOND
    assert taken_back(shard.do(lost(lost_ns))) == [(PAT, BOB, 3 * PAY // 2), (PAT, ALICE, 2 * PAY)]
    assert pots(shard, PAT).get(Pot.RECEIVABLE, 0) == 0


def test_what_one_lease_took_back_another_does_not_and_a_loss_takes_the_rest() -> None:
    shard = rich()
    start_h, own = running(shard)
    shard.place(ask(ALICE, TRADED, 1))
    shard.do(bid(BOB, TRADED, 1))
    until(shard, start_h + 2)
    as_of_ns = (start_h + 2) * HOUR - SECOND
    shard.do(LeaseFailed(lease_id=own, fault=Fault.PROVIDER, as_of_ns=as_of_ns, detail=""))
    assert taken_back(shard.do(lost(as_of_ns))) == [(PAT, ALICE, PAY // 2)]
    assert not owed(shard, ALICE)


def test_a_renters_failure_takes_nothing_back() -> None:
    shard = rich()
    start_h, lease_id = running(shard)
    until(shard, start_h + 2)
    as_of_ns = (start_h + 2) * HOUR - SECOND
    events = shard.do(LeaseFailed(lease_id=lease_id, fault=Fault.RENTER, as_of_ns=as_of_ns, detail=""))
    assert taken_back(events) == []
    assert shard.machine.state.leases[lease_id].state is LeaseState.FAILED


def test_what_a_close_paid_out_stays_paid() -> None:
    shard = rich()
    for _ in range(40):
        # The last day of a month.
        if shard.machine.state.instruments[day(shard, 0)].end_h * HOUR == periods.month_end_ns(shard.now_ns):
            break
        shard.wait(DAY_H * HOUR)
    start_h, _ = running(shard)
    until(shard, start_h + DAY_H)
    shard.wait(9 * MINUTE)
    assert pots(shard, PAT).get(Pot.RECEIVABLE, 0) == 0
    assert taken_back(shard.do(lost((start_h + DAY_H) * HOUR - SECOND))) == []


def test_neighbours_that_became_one_keep_their_paid_hours() -> None:
    shard = rich()
    # The later day is the older one, so that the one that runs takes its number when it is joined.
    shard.place(sale(PAT, 2, day(shard, 1)))
    shard.do(msgspec.structs.replace(purchase(ALICE, 2, day(shard, 1)), delivery=b"elsewhere"))
    start_h, _ = running(shard)
    until(shard, start_h + 1)
    (later,) = (each for each in owed(shard, ALICE) if not each.running)
    shard.do(SetDelivery(account=ALICE, obligation_id=later.obligation_id, delivery=b"ssh-ed25519 AAAA"))
    third = next(
        number
        for number, listed in shard.machine.state.instruments.items()
        if (listed.start_h, listed.hours, listed.region) == (start_h + 2 * DAY_H, DAY_H, "here")
    )
    trade(shard, PAT, ALICE, 2, third)
    (one,) = owed(shard, ALICE)
    assert one.obligation_id == later.obligation_id and one.running
    events = shard.do(lost((start_h + 1) * HOUR - SECOND))
    assert taken_back(events) == [(PAT, ALICE, PAY)]


def test_a_snapshot_between_pay_and_loss_goes_on_alike() -> None:
    shard = rich()
    trade(shard, PAT, BOB, 1, day(shard, 0))
    start_h, _ = running(shard)
    until(shard, start_h + 3)
    shard.wait(5 * MINUTE)
    shard.twin = type(shard.machine).restore(shard.machine.snapshot(), type(shard.machine.state.books[1]))
    assert len(taken_back(shard.do(lost((start_h + 2) * HOUR - SECOND)))) == 2
    assert shard.twin.state_hash() == shard.machine.state_hash()


def test_a_loss_takes_back_hours_paid_before_a_cut_with_all_their_gpus() -> None:
    shard = rich()
    start_h, own = running(shard)
    shard.place(ask(ALICE, TRADED, 1))
    shard.do(bid(BOB, TRADED, 1))
    until(shard, start_h + 2)
    shard.wait(50 * MINUTE)
    # Alice's own lease, of one of the obligation's two GPUs, fails in its third hour: two hours were paid for both.
    shard.do(LeaseFailed(lease_id=own, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail=""))
    until(shard, start_h + 3)
    # Then it turns out that the Baron was lost in the first: 2 + 2 + 1 GPU-hours of Alice's; no lease delivered the last.
    undone = taken_back(shard.do(lost(start_h * HOUR + SECOND)))
    assert [each for each in undone if each[1] == ALICE] == [(PAT, ALICE, PAY // 2), (PAT, ALICE, 2 * PAY)]
