"""Leases of every day are played by the compiled rooms, what is rare by the law's: a shard's twin answers both alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine import machine as law
from engine.compiled import machine as compiled
from engine.compiled.machine import CompiledState
from engine.kinds import Fault
from engine.messages import Command, EndLease, LeaseActive, LeaseFailed, LeaseWiped, RaisePrice, Tick
from engine.reasons import Reason
from engine.state import State
from engine.timers import TimerKind
from tests.engine.shard import ALICE, BOB, HOUR, MINUTE, ONDEMAND, PAT, QUINN, SPOT, Shard, ask, bid
from tests.engine.spot import claim, runs

PRICE = 20_000
LEASE_TIMERS = (TimerKind.LEASE_HOUR, TimerKind.TERM_END, TimerKind.NOTICE_END)
Played = list[tuple[type[Command], bool]]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Every command of leases that the compiled machine had, and whether a compiled room played it."""
    seen: Played = []

    def watched(kind: type[Command], room: Callable[[State, Any], bool]) -> Callable[[State, Any], bool]:
        def play(state: State, command: Command) -> bool:
            seen.append((kind, bool(room(state, command))))
            return seen[-1][1]

        return play

    for kind, room in list(compiled._ROOMS.items()):
        if kind is not Tick:
            monkeypatch.setitem(compiled._ROOMS, kind, watched(kind, room))
    return seen


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> list[TimerKind]:
    """Timers of the compiled machine that the law's rooms played."""
    seen: list[TimerKind] = []
    fire = law.fire

    def watched(state: State, kind: int, number: int) -> None:
        if isinstance(state, CompiledState):
            seen.append(TimerKind(kind))
        fire(state, kind, number)

    monkeypatch.setattr(law, "fire", watched)
    return seen


@pytest.mark.parametrize("instrument", [SPOT, ONDEMAND])
def test_a_lease_of_every_day_is_compiled_from_active_to_wiped(
    instrument: int, played: Played, fired: list[TimerKind]
) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, instrument))
    lease_id = shard.lease(ALICE, 2, 3, instrument)
    shard.wait(2 * HOUR + MINUTE)
    shard.do(EndLease(account=ALICE, lease_id=lease_id))
    shard.do(LeaseWiped(lease_id=lease_id))
    assert played == [(LeaseActive, True), (EndLease, True), (LeaseWiped, True)]
    assert not set(fired) & set(LEASE_TIMERS)


@pytest.mark.parametrize("instrument", [SPOT, ONDEMAND])
def test_a_term_ends_in_a_compiled_room(instrument: int, played: Played, fired: list[TimerKind]) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, instrument))
    lease_id = shard.lease(ALICE, 2, 2, instrument)
    shard.wait(3 * HOUR)
    shard.do(LeaseWiped(lease_id=lease_id))
    assert played == [(LeaseActive, True), (LeaseWiped, True)]
    assert not set(fired) & set(LEASE_TIMERS)


def test_who_cannot_pay_has_notice_and_ends_in_compiled_rooms(played: Played, fired: list[TimerKind]) -> None:
    shard = Shard(usd=9)
    lease_id = runs(shard, ALICE, PRICE)
    shard.wait(4 * HOUR)
    shard.do(LeaseWiped(lease_id=lease_id))
    assert played == [(LeaseActive, True), (LeaseWiped, True)]
    assert not set(fired) & set(LEASE_TIMERS)


def test_a_quitter_before_the_start_pays_the_minimum_in_a_compiled_room(played: Played) -> None:
    shard = Shard()
    shard.place(ask(PAT, PRICE, 8, ONDEMAND))
    shard.do(bid(ALICE, PRICE, 2, ONDEMAND))
    (lease_id,) = shard.machine.state.leases
    shard.do(EndLease(account=ALICE, lease_id=lease_id))
    assert played == [(EndLease, True)]


def test_a_raised_lease_is_the_law_s(played: Played, fired: list[TimerKind]) -> None:
    shard = Shard()
    lease_id = runs(shard, ALICE, PRICE)
    shard.wait(MINUTE)
    shard.do(RaisePrice(account=ALICE, lease_id=lease_id, price_ticks=PRICE + 1))
    shard.wait(HOUR)
    shard.do(EndLease(account=ALICE, lease_id=lease_id))
    shard.do(LeaseWiped(lease_id=lease_id))
    assert played == [(LeaseActive, True), (EndLease, False), (LeaseWiped, False)]
    assert TimerKind.LEASE_HOUR in fired


def test_a_newcomer_and_whom_it_displaces_are_the_law_s(played: Played, fired: list[TimerKind]) -> None:
    shard = Shard()
    old, newcomer = claim(shard)
    played.clear()
    shard.wait(3 * MINUTE)
    shard.do(LeaseWiped(lease_id=old))
    assert played == [(LeaseWiped, False)]
    assert TimerKind.NOTICE_END in fired
    shard.do(LeaseActive(lease_id=newcomer, access=b""))
    assert played[-1] == (LeaseActive, True)


def test_a_failed_lease_is_wiped_in_a_compiled_room(played: Played) -> None:
    shard = Shard()
    lease_id = runs(shard, ALICE, PRICE)
    shard.do(LeaseFailed(lease_id=lease_id, fault=Fault.PROVIDER, as_of_ns=shard.now_ns, detail="gone"))
    shard.do(LeaseWiped(lease_id=lease_id))
    assert played == [(LeaseActive, True), (LeaseWiped, True)]


@pytest.mark.parametrize("number", [-1, 0, 1, 2**63, 2**64, 2**80])
def test_numbers_that_are_no_lease_s_are_refused_by_the_law(number: int, played: Played) -> None:
    shard = Shard()
    for command in (
        LeaseActive(lease_id=number, access=b""),
        EndLease(account=ALICE, lease_id=number),
        LeaseWiped(lease_id=number),
    ):
        if number < 2**64:
            shard.refuse(command, Reason.UNKNOWN_LEASE)
        else:
            # No record holds it.
            assert not compiled._ROOMS[type(command)](shard.twin.state, command)
    assert not any(done for _, done in played)


def test_what_is_refused_is_the_law_s(played: Played) -> None:
    shard = Shard()
    lease_id = runs(shard, ALICE, PRICE, active=False)
    too_long = b"x" * (shard.machine.state.limits.max_delivery_bytes + 1)
    shard.refuse(LeaseActive(lease_id=lease_id, access=too_long), Reason.INVALID_LEASE_REPORT)
    shard.refuse(LeaseWiped(lease_id=lease_id), Reason.LEASE_NOT_ENDED)
    for account in (BOB, QUINN, -1, 0, 2**63):
        shard.apply(EndLease(account=account, lease_id=lease_id))
    assert not any(done for _, done in played)
    shard.do(LeaseActive(lease_id=lease_id, access=b""))
    shard.refuse(LeaseActive(lease_id=lease_id, access=b""), Reason.LEASE_NOT_PROVISIONING)
    assert [done for _, done in played if done] == [True]
