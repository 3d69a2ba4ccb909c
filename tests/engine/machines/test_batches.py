"""Records in, records out: what the compiled machine says of a whole life is what the law says, byte for byte."""

from __future__ import annotations

from random import Random, SystemRandom

import pytest

from engine.codec import DecodeError, encode_command
from engine.compiled.batch import play
from engine.compiled.machine import FastMachine
from engine.halves import PLAIN, compiled_half
from engine.ids import make_id
from engine.kinds import OrderType, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import CancelAll, CancelOrder, Command, PlaceOrder, Rejected, Tick
from engine.reasons import Reason
from engine.records import SelfTrade
from tests.engine.shard import ALICE, BOB, HOUR, ONDEMAND, PAT, QUINN, START, Shard, ask, bid
from tests.engine.test_lives import LIMITS, Life

STEPS = 500
BUNCHES = (1, 1, 1, 1, 2, 7, 40)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", range(2))
def test_a_life_in_batches_is_the_laws(place: int) -> None:
    seed = SystemRandom().getrandbits(64)
    said = f"seed {seed} ({place})"
    life = Life(seed)
    for _ in range(STEPS):
        life.step()
    played_alike(life.shard, LIMITS, Random(seed), said)


def played_alike(shard: Shard, limits: Limits, chance: Random, said: str) -> None:
    """A life that was lived, in batches on both machines; on the way each goes on from the other's snapshot."""
    records = shard.records
    law, fast = PLAIN.machine(1, limits), compiled_half().machine(1, limits)
    at, turn = 0, chance.randrange(len(records))
    while at < len(records):
        bunch = records[at : at + chance.choice(BUNCHES)]
        assert fast.batch(bunch, at + 1) == law.batch(bunch, at + 1), said
        if at <= turn < at + len(bunch):
            assert fast.snapshot() == law.snapshot(), said
            law, fast = PLAIN.restored(fast.snapshot()), compiled_half().restored(law.snapshot())
        at += len(bunch)
    assert fast.snapshot() == law.snapshot() == shard.machine.snapshot(), said
    assert fast.state_hash() == law.state_hash(), said


GONE: dict[str, tuple[tuple[PlaceOrder, ...], Command | None]] = {
    "at once": ((bid(ALICE, 10_000, 2, time_in_force=TimeInForce.IOC),), None),
    "cancelled": ((bid(ALICE, 10_000, 2),), CancelAll(account=ALICE)),
    "expired": ((bid(ALICE, 10_000, 2, time_in_force=TimeInForce.GTD, expire_ns=START + 10),), Tick()),
    "an ask": ((ask(PAT, 40_000, 2, ONDEMAND, max_hours=30),), CancelAll(account=PAT)),
    "left to the law": ((bid(ALICE, 10_000, 2, time_in_force=TimeInForce.IOC, same_baron=True),), None),
    "met": ((ask(PAT, 10_000, 2), bid(ALICE, 20_000, 2)), None),
}
"""Orders, and what takes them away: then their books are empty, and have given their memory back."""


@pytest.mark.parametrize("alone", [True, False], ids=["one by one", "at once"])
@pytest.mark.parametrize("before", ["unused", "emptied", "restored"])
@pytest.mark.parametrize(("orders", "goes"), GONE.values(), ids=GONE)
def test_a_cancel_looks_ahead_at_what_has_just_gone(
    orders: tuple[PlaceOrder, ...], goes: Command | None, before: str, alone: bool
) -> None:
    shard = Shard()
    if before != "unused":
        for order in (bid(BOB, 10_000, 1), ask(PAT, 40_000, 1, ONDEMAND, max_hours=30)):
            shard.do(CancelOrder(account=order.account, order_id=shard.place(order)))
    law: Machine = shard.machine
    fast: Machine = machine_of(shard)
    if before == "restored":
        law, fast = PLAIN.restored(fast.snapshot()), compiled_half().restored(law.snapshot())
    first = law.last_seq + 1
    commands: list[Command] = [*orders, *([goes] if goes else [])]
    for place, order in enumerate(orders):
        commands.append(CancelOrder(account=order.account, order_id=make_id(law.state.shard, first + place, 0)))
    records = [encode_command(START + 10, command) for command in commands]
    for bunch in [[record] for record in records] if alone else [records]:
        assert fast.batch(bunch, fast.last_seq + 1) == law.batch(bunch, law.last_seq + 1)
    assert fast.snapshot() == law.snapshot()


def machine_of(shard: Shard) -> FastMachine:
    machine = shard.twin
    assert isinstance(machine, FastMachine)
    return machine


def plays(shard: Shard, command: Command) -> bool:
    """Whether compiled rooms know a command; where not, nothing may have changed."""
    machine = machine_of(shard)
    before, seq = machine.snapshot(), machine.last_seq + 1
    played = play(machine.state, seq, encode_command(shard.now_ns, command))
    assert played or machine.snapshot() == before
    return played


PLAIN_ORDERS = [
    bid(ALICE, 10_000, 2),
    bid(ALICE, 30_000, 2, time_in_force=TimeInForce.IOC),
    bid(ALICE, 30_000, 2, ONDEMAND, time_in_force=TimeInForce.FOK),
    bid(ALICE, 10_000, 2, post_only=True, self_trade=SelfTrade.DECREMENT),
    bid(BOB, 10_000, 2, ONDEMAND, hours=30),
    ask(PAT, 40_000, 2),
    ask(PAT, 5_000, 2, ONDEMAND, max_hours=48, min_hours=5),
]
"""What every day brings."""
RARE_ORDERS = [
    bid(ALICE, 10_000, 2, features=1),
    bid(ALICE, 10_000, 2, display_quantity=1),
    bid(ALICE, 10_000, 2, stop_price_ticks=20_000, order_type=OrderType.STOP_LIMIT),
    bid(ALICE, 0, 2, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC),
    ask(PAT, 40_000, 2, lot=2),
]
REFUSED_ORDERS = [
    bid(ALICE, 0, 2),
    bid(ALICE, 10_000, 0),
    bid(ALICE, 10_000, 2, hours=745),
    bid(99, 10_000, 2),
    bid(ALICE, 10_000, 2, 9_999),
    ask(QUINN, 40_000, 2),
    ask(PAT, 40_000, 2, ONDEMAND, max_hours=1),
]
REFUSED_EACH_DAY = [
    (bid(ALICE, 10_000_000, 100_000), Reason.INSUFFICIENT_FUNDS),
    (bid(BOB, 10_000_000, 100_000, ONDEMAND, client_order_id="mine"), Reason.INSUFFICIENT_FUNDS),
    (ask(PAT, 10_000_000, 8, ONDEMAND), Reason.INSUFFICIENT_FUNDS),
    (ask(PAT, 40_000, 5), Reason.INSUFFICIENT_CAPACITY),
    (ask(PAT, 40_000, 9, ONDEMAND, client_order_id="mine"), Reason.INSUFFICIENT_CAPACITY),
    (bid(ALICE, 30_000, 2, post_only=True), Reason.POST_ONLY_WOULD_TRADE),
    (bid(ALICE, 30_000, 5, time_in_force=TimeInForce.FOK), Reason.FOK_KILLED),
    (bid(ALICE, 30_000, 5, ONDEMAND, time_in_force=TimeInForce.FOK), Reason.NO_LIQUIDITY),
    (CancelOrder(account=ALICE, order_id=5), Reason.UNKNOWN_ORDER),
    (CancelOrder(account=ALICE, order_id=2**63 - 1, client_order_id="mine"), Reason.UNKNOWN_ORDER),
    (CancelOrder(account=ALICE, client_order_id="nobody-s"), Reason.UNKNOWN_ORDER),
    (CancelOrder(account=ALICE), Reason.UNKNOWN_ORDER),
]
"""What every day brings too."""


@pytest.mark.parametrize("command", PLAIN_ORDERS, ids=str)
def test_a_plain_order_is_played_by_compiled_rooms(command: Command) -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4))
    shard.place(ask(PAT, 20_000, 4, ONDEMAND))
    assert plays(shard, command)


@pytest.mark.parametrize("command", [*RARE_ORDERS, *REFUSED_ORDERS], ids=str)
def test_any_other_is_left_to_the_law_and_nothing_has_changed(command: Command) -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4))
    assert not plays(shard, command)


@pytest.mark.parametrize(("command", "reason"), REFUSED_EACH_DAY, ids=str)
def test_a_usual_refusal_is_said_by_compiled_rooms_as_the_law_says_it(command: Command, reason: Reason) -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4))
    rejected = shard.refuse(command, reason)
    assert shard.twin.snapshot() == shard.machine.snapshot()
    machine = machine_of(shard)
    assert play(machine.state, machine.last_seq + 1, encode_command(shard.now_ns, command))
    assert list(machine.state.events) == [rejected]
    law = shard.machine.snapshot()
    assert machine.apply(machine.last_seq + 1, shard.now_ns, Tick()) == []
    shard.machine.apply(machine.last_seq, shard.now_ns, Tick())
    assert machine.snapshot() == shard.machine.snapshot() != law, "nothing but the sequence"


def test_cancels_and_ticks_are_played_by_compiled_rooms() -> None:
    shard = Shard()
    first, second = (shard.place(bid(ALICE, 10_000, 1)) for _ in range(2))
    assert plays(shard, CancelOrder(account=ALICE, order_id=first))
    assert plays(shard, CancelOrder(account=ALICE, order_id=first))
    assert plays(shard, CancelOrder(account=BOB, order_id=second)), "refused, as what it doesn't know"
    assert second in machine_of(shard).state.orders
    assert not plays(shard, CancelOrder(account=99, order_id=second))
    assert not plays(shard, CancelOrder(account=ALICE, order_id=-1))
    assert plays(shard, Tick())


def test_what_is_no_command_stops_a_batch_with_all_before_it_played() -> None:
    tick = encode_command(1, Tick())
    law, fast = PLAIN.machine(1, Limits()), compiled_half().machine(1, Limits())
    for machine in (law, fast):
        with pytest.raises(DecodeError):
            machine.batch([tick, b"\x01damaged", tick], 1)
        assert machine.last_seq == 1
        with pytest.raises(ValueError, match="the sequence must grow"):
            machine.batch([tick], 1)
    assert fast.snapshot() == law.snapshot()


def test_a_closed_order_can_not_be_cancelled_again() -> None:
    shard = Shard()
    order_id = shard.place(bid(ALICE, 10_000, 1))
    cancel = CancelOrder(account=ALICE, order_id=order_id)
    machines: tuple[Machine, ...] = (shard.machine, shard.twin)
    records = [encode_command(shard.now_ns + HOUR, cancel)] * 2
    told = [machine.batch(records, machine.last_seq + 1) for machine in machines]
    assert told[0] == told[1]


@pytest.mark.parametrize("command", [ask(PAT, 40_000, 9), ask(PAT, 40_000, 9, ONDEMAND)], ids=str)
def test_an_ask_beyond_its_capacity_is_refused_by_compiled_rooms(command: Command) -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4))
    before = machine_of(shard).state_hash()
    assert plays(shard, command)
    assert machine_of(shard).state_hash() != before, "the command is counted"
    (refused,) = machine_of(shard).state.events
    assert refused == shard.machine.apply(shard.machine.last_seq + 1, shard.now_ns, command)[0]
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INSUFFICIENT_CAPACITY
    assert machine_of(shard).state_hash() == shard.machine.state_hash()
