"""Bought hours sold on spot and on-demand: who stands where, what shrinks, and what fails with what (rulebook §4, §8, §9)."""

from __future__ import annotations

import msgspec
import pytest

from engine.kinds import EndReason, Fault, Kind, LeaseState, ObligationChange, Origin, Pot, Presence
from engine.messages import (
    Accepted,
    Canceled,
    CancelOrder,
    EndLease,
    Event,
    ExtendLease,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    LeaseWiped,
    ObligationChanged,
    ReleaseLease,
    SetAccountLimits,
    SetCapacity,
    SetDelivery,
    SetDrain,
    SetPresence,
    Transfer,
)
from engine.reasons import Reason
from engine.units import MICROS_PER_TICK
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    MINUTE,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    Shard,
    ask,
    bid,
    only,
)
from tests.engine.test_forwards import DAY_H, TRADED, day, owed, pots, purchase, rich, sale, trade, until

PRICE = 30_000


def running(quantity: int = 8, days: int = 1) -> tuple[Shard, int, int]:
    """Alice holds so many GPUs for some days, with a lease of her own that runs: the shard, its lease, the first hour."""
    shard = rich()
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    for index in range(days):
        trade(shard, PAT, ALICE, quantity, day(shard, index))
    (scheduled,) = only(until(shard, start_h), LeaseScheduled)
    shard.do(LeaseActive(lease_id=scheduled.lease_id, access=b"port 22000"))
    return shard, scheduled.lease_id, start_h


def lets(shard: Shard, quantity: int, instrument: int = SPOT, *, hours: int | None = None, runs: bool = True) -> int:
    """Alice asks, and Bob takes it; his lease."""
    shard.place(ask(ALICE, PRICE, quantity, instrument, max_hours=4 if instrument == ONDEMAND else 0))
    (made,) = only(shard.do(bid(BOB, PRICE, quantity, instrument, hours=hours)), LeaseScheduled)
    if runs:
        shard.do(LeaseActive(lease_id=made.lease_id, access=b"port 22001"))
    return made.lease_id


def fails(shard: Shard, lease_id: int) -> list[Event]:
    """The Baron fails a lease now."""
    failed = LeaseFailed(lease_id=lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail="")
    return shard.do(failed)


# ---------------------------------------------------------------- a sale


@pytest.mark.parametrize("instrument", [SPOT, ONDEMAND])
def test_a_sale_moves_nothing_and_shrinks_the_holders_lease(instrument: int) -> None:
    shard, own, _ = running()
    (before,) = owed(shard, ALICE)
    escrow, bond = before.escrow_micros, before.bond_micros
    shard.place(ask(ALICE, PRICE, 3, instrument, max_hours=4 if instrument == ONDEMAND else 0, reduce_only=True))
    held = pots(shard, ALICE).get(Pot.HELD, 0)
    assert held == 0, "bought hours need no bond"
    events = shard.do(bid(BOB, PRICE, 3, instrument))
    (let,) = only(events, LeaseScheduled)
    assert (let.renter, let.provider, let.baron, let.quantity) == (BOB, ALICE, BARON, 3)
    (shrunk,) = only(events, LeaseChanged)
    assert (shrunk.lease_id, shrunk.quantity, shrunk.state) == (own, 5, LeaseState.ACTIVE)
    (after,) = owed(shard, ALICE)
    assert (after.quantity, after.escrow_micros, after.bond_micros, after.provider) == (8, escrow, bond, PAT)
    assert not owed(shard, BOB)
    assert shard.machine.state.barons[BARON].leased_gpus == 8


def test_with_nothing_left_its_lease_ends_released() -> None:
    shard, own, _ = running()
    shard.place(ask(ALICE, PRICE, 8))
    shard.do(bid(BOB, PRICE, 5))
    (ended,) = only(shard.do(bid(BOB, PRICE, 3)), LeaseChanged)
    assert (ended.lease_id, ended.state, ended.reason) == (own, LeaseState.ENDED, EndReason.RELEASED)


def test_hours_that_are_idle_are_sold_first() -> None:
    shard, own, _ = running()
    shard.do(EndLease(account=ALICE, lease_id=own))
    shard.do(LeaseWiped(lease_id=own))
    shard.place(ask(ALICE, PRICE, 3))
    assert not only(shard.do(bid(BOB, PRICE, 3)), LeaseChanged)
    (obligation,) = owed(shard, ALICE)
    command = SetDelivery(account=ALICE, obligation_id=obligation.obligation_id, delivery=b"key")
    (own_again,) = only(shard.do(command), LeaseScheduled)
    assert own_again.quantity == 5, "a lease of its own has what isn't let"


def test_where_all_is_let_there_is_no_lease_of_its_own() -> None:
    shard, own, _ = running()
    lets(shard, 8)
    shard.do(LeaseWiped(lease_id=own))
    (obligation,) = owed(shard, ALICE)
    command = SetDelivery(account=ALICE, obligation_id=obligation.obligation_id, delivery=b"key")
    shard.refuse(command, Reason.NO_LEASE_NOW, "obligation_id")


def test_what_comes_back_is_the_holders_to_start_anew_or_list_again() -> None:
    shard, own, _ = running()
    let = lets(shard, 8)
    shard.do(LeaseWiped(lease_id=own))
    shard.do(EndLease(account=BOB, lease_id=let))
    shard.do(LeaseWiped(lease_id=let))
    shard.place(ask(ALICE, PRICE, 6))
    (obligation,) = owed(shard, ALICE)
    command = SetDelivery(account=ALICE, obligation_id=obligation.obligation_id, delivery=b"key")
    (again,) = only(shard.do(command), LeaseScheduled)
    assert again.quantity == 8, "an ask that isn't filled takes nothing"


def test_the_money_is_the_sellers_receivable_and_goes_by_the_lease() -> None:
    shard, _, _ = running()
    let = lets(shard, 2)
    receivable = pots(shard, PAT).get(Pot.RECEIVABLE, 0)
    shard.wait(30 * MINUTE)
    events = shard.do(EndLease(account=BOB, lease_id=let))
    usage = PRICE * MICROS_PER_TICK * 2 // 2
    paid = only(events, Transfer)[0]
    assert (paid.credit_account, paid.credit_pot, paid.amount_micros) == (ALICE, Pot.RECEIVABLE, usage)
    assert pots(shard, ALICE)[Pot.RECEIVABLE] == usage
    assert pots(shard, PAT).get(Pot.RECEIVABLE, 0) == receivable


# ---------------------------------------------------------------- never twice


def test_hours_are_never_sold_twice() -> None:
    shard, _, start_h = running(days=2)
    lets(shard, 3, ONDEMAND, hours=4)
    shard.refuse(ask(ALICE, PRICE, 6), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.refuse(ask(ALICE, PRICE, 6, ONDEMAND, max_hours=2), Reason.INSUFFICIENT_CAPACITY, "quantity")
    spot = shard.place(ask(ALICE, PRICE, 5))
    shard.place(ask(ALICE, PRICE, 4, ONDEMAND, max_hours=2))
    events = shard.do(bid(BOB, PRICE, 4, ONDEMAND))
    assert only(events, LeaseScheduled)
    assert shard.asks(SPOT) == [(PRICE, 1)], "what is sold firm cuts what is asked on spot"
    assert shard.machine.state.orders[spot].leaves_quantity == 1
    # The hours of tomorrow are all there still.
    shard.place(sale(ALICE, 8, day(shard, 0)))
    shard.refuse(ask(ALICE, PRICE, 2, ONDEMAND, max_hours=24 + 2), Reason.INSUFFICIENT_CAPACITY, "quantity")
    assert start_h


def test_a_spot_lease_ends_with_the_bought_hours_after_notice() -> None:
    shard, own, start_h = running()
    let = lets(shard, 3)
    events = until(shard, start_h + DAY_H)
    noticed = [each for each in only(events, LeaseChanged) if each.state is LeaseState.ENDING]
    assert [(each.lease_id, each.reason, each.ends_ns) for each in noticed] == [
        (let, EndReason.PREEMPTED, (start_h + DAY_H) * HOUR)
    ]
    ended = [each.lease_id for each in only(events, LeaseChanged) if each.state is LeaseState.ENDED]
    assert ended == [let, own]
    assert not shard.machine.state.obligations


def test_a_spot_lease_goes_on_into_the_next_obligation() -> None:
    shard, own, start_h = running(quantity=4)
    trade(shard, PAT, ALICE, 4, day(shard, 0), TRADED + 1)
    let = lets(shard, 1)
    events = until(shard, start_h + DAY_H)
    assert not only(events, LeaseScheduled), "its own lease of three goes on, too"
    assert shard.machine.state.leases[own].quantity == 3
    assert shard.machine.state.leases[let].live
    (obligation,) = owed(shard, ALICE)
    assert (obligation.quantity, obligation.lease_id) == (4, own)


def test_the_next_obligation_has_no_lease_where_all_is_let() -> None:
    shard, own, start_h = running(quantity=2)
    trade(shard, PAT, ALICE, 2, day(shard, 0), TRADED + 1)
    let = lets(shard, 2)
    shard.do(LeaseWiped(lease_id=own))
    assert not only(until(shard, start_h + DAY_H), LeaseScheduled)
    assert shard.machine.state.leases[let].live


def test_as_other_hours_end_what_is_let_goes_on_in_those_left() -> None:
    shard = rich()
    start_h = shard.machine.state.instruments[day(shard, 0)].start_h
    trade(shard, PAT, ALICE, 4, day(shard, 0), TRADED + 1)
    trade(shard, PAT, ALICE, 2, day(shard, 0))
    trade(shard, PAT, ALICE, 2, day(shard, 1))
    first, second = only(until(shard, start_h), LeaseScheduled)
    assert (first.quantity, second.quantity) == (4, 2)
    shard.place(ask(ALICE, PRICE, 1))
    (shrunk,) = only(shard.do(bid(BOB, PRICE, 1)), LeaseChanged)
    assert (shrunk.lease_id, shrunk.quantity) == (second.lease_id, 1), "the newest obligation's"
    until(shard, start_h + DAY_H)
    assert shard.machine.state.leases[second.lease_id].quantity == 1


def test_an_ondemand_lease_cannot_outlast_the_bought_hours() -> None:
    shard, _, start_h = running()
    until(shard, start_h + 22)
    shard.refuse(ask(ALICE, PRICE, 1, ONDEMAND, max_hours=3), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.place(ask(ALICE, PRICE, 1, ONDEMAND, max_hours=2))
    (let,) = only(shard.do(bid(BOB, PRICE, 1, ONDEMAND, hours=2)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=let.lease_id, access=b"port 22001"))
    shard.wait(115 * MINUTE)
    shard.refuse(ExtendLease(account=BOB, lease_id=let.lease_id, hours=1), Reason.CANNOT_EXTEND)


# ---------------------------------------------------------------- failure


@pytest.mark.parametrize("instrument", [SPOT, ONDEMAND])
def test_a_baron_that_fails_the_lease_fails_the_hours_behind_it(instrument: int) -> None:
    shard, own, _ = running()
    let = lets(shard, 3, instrument)
    (before,) = owed(shard, ALICE)
    refund = (before.escrow_micros + before.bond_micros) // 8 * 3
    available = pots(shard, ALICE)[Pot.AVAILABLE]
    events = fails(shard, let)
    assert [each.change for each in only(events, ObligationChanged) if not each.live] == [ObligationChange.FAILED]
    assert pots(shard, ALICE)[Pot.AVAILABLE] == available + refund
    (after,) = owed(shard, ALICE)
    assert (after.quantity, after.lease_id) == (5, own)
    assert shard.machine.state.leases[own].live
    row = shard.machine.state.rows[ALICE, BARON]
    assert (row.spot_gpus, row.grid.at(shard.now_ns // HOUR).sold) == (0, 0), "given back at once"
    shard.do(LeaseWiped(lease_id=let))
    shard.place(sale(PAT, 1, day(shard, 1)))


def test_a_baron_that_fails_the_holders_own_lease_fails_as_many_gpus() -> None:
    shard, own, _ = running()
    let = lets(shard, 3)
    fails(shard, own)
    (after,) = owed(shard, ALICE)
    assert after.quantity == 3
    assert shard.machine.state.leases[let].live


def test_what_is_let_of_an_obligation_fails_with_it() -> None:
    shard, own, _ = running()
    spot, firm = lets(shard, 3), lets(shard, 2, ONDEMAND)
    events = shard.do(SetCapacity(baron=BARON, gpus=7, simulated=False))
    failed = [each.lease_id for each in only(events, LeaseChanged) if each.state is LeaseState.FAILED]
    assert sorted(failed) == sorted([own, spot, firm])
    assert not shard.machine.state.obligations
    assert shard.machine.state.leases[spot].usage_micros == 0


def test_spot_asks_on_hours_that_failed_are_cut() -> None:
    shard, _, _ = running()
    rests = shard.place(ask(ALICE, PRICE, 8))
    events = shard.do(SetCapacity(baron=BARON, gpus=0, simulated=False))
    assert [each.order_id for each in only(events, Canceled)] == [rests]


@pytest.mark.parametrize("presence", [True, False])
def test_a_baron_that_is_lost_or_drained(presence: bool) -> None:
    shard, own, _ = running()
    spot, firm = lets(shard, 3), lets(shard, 2, ONDEMAND)
    rests = shard.place(ask(ALICE, PRICE, 1))
    if presence:
        events = shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
        assert {shard.machine.state.leases[number].state for number in (own, spot, firm)} == {LeaseState.FAILED}
        assert not shard.machine.state.obligations
    else:
        events = shard.do(SetDrain(account=PAT, baron=BARON, draining=True))
        states = [shard.machine.state.leases[number].state for number in (own, spot, firm)]
        assert states == [LeaseState.ACTIVE, LeaseState.ENDING, LeaseState.ACTIVE]
    assert [each.order_id for each in only(events, Canceled)] == [rests]


def test_a_failed_ondemand_lease_is_covered_elsewhere_from_its_renters_funds() -> None:
    shard, _, _ = running()
    let = lets(shard, 3, ONDEMAND)
    # Neither the seller nor the Baron's owner is to gain by the failure.
    shard.place(ask(PAT, PRICE - 2, 3, ONDEMAND, baron=SECOND_BARON))
    shard.place(ask(QUINN, PRICE - 1, 3, ONDEMAND, baron=OTHER_BARON))
    held = pots(shard, ALICE).get(Pot.HELD, 0)
    covers = only(fails(shard, let), LeaseScheduled)
    # The obligation's part that failed with it is covered, too, as its holder's own.
    assert [(each.renter, each.provider, each.price_ticks) for each in covers] == [(BOB, QUINN, PRICE - 1)]
    assert pots(shard, ALICE).get(Pot.HELD, 0) == held


def test_a_displaced_lease_that_fails_takes_the_newcomers_claim_with_it() -> None:
    shard, _, _ = running()
    let = lets(shard, 3)
    (newcomer,) = only(shard.do(bid(QUINN, 2 * PRICE, 3)), LeaseScheduled)
    assert (newcomer.provider, newcomer.state) == (ALICE, LeaseState.SCHEDULED)
    fails(shard, let)
    assert newcomer.lease_id not in shard.machine.state.leases
    (after,) = owed(shard, ALICE)
    assert after.quantity == 5


def test_renters_own_fault_leaves_the_hours_as_they_are() -> None:
    shard, _, _ = running()
    let = lets(shard, 3)
    shard.do(LeaseFailed(lease_id=let, fault=Fault.RENTER, as_of_ns=shard.now_ns, detail=""))
    (after,) = owed(shard, ALICE)
    assert after.quantity == 8


def test_a_wipe_that_is_overdue_is_the_barons() -> None:
    shard, own, _ = running()
    let = lets(shard, 3)
    shard.do(EndLease(account=BOB, lease_id=let))
    shard.wait(10 * MINUTE)
    # The Baron lacks three of eight GPUs that it owes: the obligation fails, whole, and its lease with it.
    assert not shard.machine.state.obligations
    assert not shard.machine.state.leases[own].live


def test_a_resale_of_days_to_come_sends_spot_away_when_they_begin() -> None:
    shard, own, start_h = running(days=2)
    let = lets(shard, 3)
    shard.place(sale(ALICE, 8, day(shard, 0)))
    shard.do(purchase(QUINN, 8, day(shard, 0)))
    events = until(shard, start_h + DAY_H)
    ended = [each.lease_id for each in only(events, LeaseChanged) if each.state is LeaseState.ENDED]
    assert ended == [let, own]
    (quinns,) = owed(shard, QUINN)
    assert quinns.quantity == 8


def test_a_snapshot_amid_subleases_goes_on_alike() -> None:
    shard, own, start_h = running(days=2)
    spot, firm = lets(shard, 3), lets(shard, 2, ONDEMAND)
    fails(shard, firm)
    shard.do(EndLease(account=BOB, lease_id=spot))
    shard.twin = type(shard.machine).restore(shard.machine.snapshot(), type(shard.machine.state.books[1]))
    shard.do(LeaseWiped(lease_id=spot))
    lets(shard, 1)
    shard.do(LeaseWiped(lease_id=firm))
    until(shard, start_h + 3 * DAY_H)
    assert shard.twin.state_hash() == shard.machine.state_hash()
    assert own


# ---------------------------------------------------------------- release


def released(lease_id: int, kind: Kind, quantity: int, price_ticks: int = PRICE, client_id: str = "") -> ReleaseLease:
    return ReleaseLease(
        account=ALICE,
        lease_id=lease_id,
        kind=kind,
        quantity=quantity,
        price_ticks=price_ticks,
        client_order_id=client_id,
    )


@pytest.mark.parametrize(("kind", "instrument"), [(Kind.SPOT, SPOT), (Kind.ONDEMAND, ONDEMAND)])
def test_a_release_is_an_ask_and_until_a_fill_the_lease_runs_on(kind: Kind, instrument: int) -> None:
    shard, own, start_h = running()
    until(shard, start_h + 3)
    (accepted,) = only(shard.do(released(own, kind, 3)), Accepted)
    assert (accepted.origin, accepted.baron, accepted.quantity) == (Origin.RELEASE, BARON, 3)
    assert accepted.window_end_ns == ((start_h + DAY_H) * HOUR if kind is Kind.ONDEMAND else 0)
    assert shard.machine.state.leases[own].quantity == 8
    shard.do(bid(BOB, PRICE, 2, instrument))
    assert shard.machine.state.leases[own].quantity == 6
    shard.do(CancelOrder(account=ALICE, order_id=accepted.order_id))
    assert shard.machine.state.leases[own].quantity == 6


def test_a_release_in_forwards_asks_in_whole_listed_periods_the_longest_first() -> None:
    shard = rich()
    listed = shard.machine.state.instruments
    week = next(each for each in listed.values() if each.region == "here" and each.hours == 7 * DAY_H)
    before = [each for each in listed.values() if each.hours == DAY_H and each.end_h <= week.start_h]
    days = sorted((each for each in before if each.region == "here"), key=lambda each: each.start_h)
    for each in (*days, week):
        trade(shard, PAT, ALICE, 4, each.instrument)
    (obligation,) = owed(shard, ALICE)
    (lease,) = only(until(shard, days[0].start_h), LeaseScheduled)
    shard.refuse(released(lease.lease_id, Kind.FORWARD, 5), Reason.INVALID_QUANTITY, "quantity")
    asks = only(shard.do(released(lease.lease_id, Kind.FORWARD, 3, TRADED)), Accepted)
    periods = [listed[each.instrument] for each in asks]
    assert periods[0].instrument == week.instrument
    assert all(each.hours == DAY_H and each.start_h > days[0].start_h for each in periods[1:])
    assert len(periods) == len(days), "the day that runs isn't traded any more"
    shard.do(purchase(BOB, 3, week.instrument, TRADED))
    (bobs,) = owed(shard, BOB)
    assert (bobs.start_h, bobs.end_h, bobs.quantity) == (week.start_h, week.end_h, 3)
    assert shard.machine.state.leases[lease.lease_id].quantity == 4
    assert obligation.quantity == 4


def test_what_is_no_reservation_is_not_released() -> None:
    shard, own, start_h = running()
    let = lets(shard, 2)
    command = msgspec.structs.replace(released(let, Kind.SPOT, 1), account=BOB)
    shard.refuse(command, Reason.NOT_RESERVED, "lease_id")
    shard.refuse(msgspec.structs.replace(command, lease_id=own), Reason.UNKNOWN_LEASE, "lease_id")
    shard.refuse(released(own, Kind.SPOT, 7), Reason.INVALID_QUANTITY, "quantity")
    shard.refuse(released(own, Kind.SPOT, 1, price_ticks=0), Reason.INVALID_PRICE)
    shard.refuse(released(own, Kind.FORWARD, 1), Reason.NO_WHOLE_PERIOD, "kind")
    until(shard, start_h + 23)
    shard.refuse(released(own, Kind.ONDEMAND, 1), Reason.INVALID_HOURS)


def test_a_release_said_again_is_one_release() -> None:
    shard, own, _ = running()
    (accepted,) = only(shard.do(released(own, Kind.SPOT, 3, client_id="once")), Accepted)
    assert shard.again(released(own, Kind.SPOT, 3, client_id="once")).order_id == accepted.order_id
    shard.refuse(released(own, Kind.SPOT, 2, client_id="once"), Reason.DUPLICATE_CLIENT_ORDER_ID)


# ---------------------------------------------------------------- attacks


def test_a_release_resold_at_an_absurd_price_by_its_own_friends_gains_nothing_when_the_baron_goes() -> None:
    shard, own, _ = running()
    accounts = (ALICE, BOB, PAT)
    total = sum(sum(pots(shard, account).values()) for account in accounts)
    others, renter = pots(shard, QUINN), pots(shard, BOB)
    shard.do(released(own, Kind.ONDEMAND, 8, 10_000_000))
    shard.do(bid(BOB, 10_000_000, 8, ONDEMAND))
    (let,) = (lease for lease in shard.machine.state.leases.values() if lease.renter == BOB)
    shard.do(LeaseActive(lease_id=let.lease_id, access=b"port"))
    shard.wait(20 * MINUTE)
    shard.do(SetPresence(baron=BARON, presence=Presence.LOST, as_of_ns=shard.now_ns))
    # Escrow and bond of what was first paid went to who held it, and the first hour of the lease is free.
    assert sum(sum(pots(shard, account).values()) for account in accounts) == total
    assert pots(shard, BOB) == renter
    assert pots(shard, QUINN) == others
    assert not shard.machine.state.obligations


def test_hours_sold_ahead_and_on_spot_are_sold_once() -> None:
    shard, own, start_h = running(days=2)
    shard.do(released(own, Kind.SPOT, 8))
    shard.do(released(own, Kind.FORWARD, 8))
    shard.do(bid(BOB, PRICE, 8))
    shard.do(purchase(QUINN, 8, day(shard, 0), PRICE))
    events = until(shard, start_h + DAY_H)
    (spot,) = [each for each in only(events, LeaseChanged) if each.state is LeaseState.ENDING]
    assert (spot.renter, spot.ends_ns) == (BOB, (start_h + DAY_H) * HOUR)
    (lease,) = only(events, LeaseScheduled)
    assert (lease.renter, lease.quantity) == (QUINN, 8)


def test_a_holder_that_is_stopped_sells_no_more_and_what_it_let_runs_on() -> None:
    shard, own, _ = running()
    let = lets(shard, 2)
    shard.do(released(own, Kind.SPOT, 3))
    limits = SetAccountLimits(account=ALICE, killed=True)
    assert [each.quantity for each in only(shard.do(limits), Canceled)] == [3]
    shard.refuse(released(own, Kind.SPOT, 3), Reason.ACCOUNT_KILLED)
    assert shard.machine.state.leases[let].live and shard.machine.state.leases[own].live


def test_gpus_that_are_not_wiped_in_time_cost_who_did_not_wipe_them() -> None:
    shard, own, _ = running()
    let = lets(shard, 3, runs=False)
    available = pots(shard, BOB)
    shard.wait(10 * MINUTE)
    # The agent never ran the holder's lease without them: the newcomer's ten minutes are over.
    events = shard.do(LeaseFailed(lease_id=let, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail="not in time"))
    assert pots(shard, BOB)[Pot.AVAILABLE] > available[Pot.AVAILABLE]
    assert Pot.HELD not in pots(shard, BOB), "the renter paid nothing"
    (failed,) = [each for each in only(events, ObligationChanged) if each.change is ObligationChange.FAILED]
    assert failed.quantity == 3, "the holder has escrow and bond of those hours back"
    assert shard.machine.state.leases[own].quantity == 5
