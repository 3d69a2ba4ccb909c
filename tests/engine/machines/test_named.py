"""Orders as clients' programs send them: named, tagged, on a connection, until a time. The compiled machine's word is the law's."""

from __future__ import annotations

from random import Random, SystemRandom
from typing import Any, Final

import msgspec
import pytest

from engine.codec import encode_command
from engine.compiled.batch import play
from engine.kinds import TimeInForce
from engine.limits import Limits
from engine.messages import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    Duplicate,
    Event,
    KeepOrders,
    PlaceOrder,
    Rejected,
)
from engine.reasons import Reason
from tests.engine.machines.test_batches import played_alike, plays
from tests.engine.shard import ALICE, BOB, HOUR, MINUTE, ONDEMAND, PAT, QUINN, START, Shard, ask, bid, only
from tests.engine.test_lives import LIMITS, Life

STEPS: Final = 700
STEPS_MOST: Final = 10 * STEPS
FEW: Final = msgspec.structs.replace(LIMITS, max_client_ids=5)
"""So few ids that an account forgets all day, and has older ones that live."""


class NamedLife(Life):
    """The crowded market, as programs speak to it: most orders have an id, some come twice, some ids with something else."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, FEW)
        self.sent: list[PlaceOrder] = []

    def count(self, event: Event) -> None:
        super().count(event)
        if isinstance(event, Duplicate):
            self.met["Duplicate"] += 1

    def order(self) -> Command:
        chance = self.chance
        if self.sent and chance.random() < 0.2:
            again = chance.choice(self.sent[-12:])
            other: tuple[dict[str, Any], ...] = ({}, {}, {"connection": 2}, {"price_ticks": again.price_ticks + 1})
            return msgspec.structs.replace(again, **chance.choice(other))
        order = super().order()
        if not isinstance(order, PlaceOrder) or chance.random() < 0.1:
            return order
        named = msgspec.structs.replace(
            order,
            client_order_id=f"{chance.choice(('a', 'order', 'x' * 20))}-{len(self.sent)}",
            tag=chance.choice(("", "a", "grid")),
            connection=chance.choice((0, 1, 2)),
        )
        if named.time_in_force is TimeInForce.GTC and chance.random() < 0.3:
            day = chance.random() < 0.5
            named = msgspec.structs.replace(
                named,
                time_in_force=TimeInForce.DAY if day else TimeInForce.GTD,
                expire_ns=0 if day else self.shard.now_ns + chance.choice((1, MINUTE, 3 * HOUR)),
            )
        self.sent.append(named)
        return named

    def change(self) -> Command:
        chance = self.chance
        if not self.sent or chance.random() < 0.4:
            return super().change()
        order = chance.choice(self.sent[-40:])
        if chance.random() < 0.7:
            return CancelOrder(account=order.account, client_order_id=order.client_order_id)
        return AmendOrder(account=order.account, client_order_id=order.client_order_id, quantity=chance.randint(1, 8))

    def mass(self) -> Command:
        chance = self.chance
        account = chance.choice((ALICE, BOB, PAT, QUINN))
        match chance.randint(0, 3):
            case 0:
                return KeepOrders(account=account, connection=2)
            case 1:
                return CancelAll(account=account, connection=2)
            case 2:
                return CancelAll(account=account, tag="grid")
            case _:
                return super().mass()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", range(2))
def test_a_life_of_named_orders_is_the_laws(place: int) -> None:
    seed = SystemRandom().getrandbits(64)
    said = f"seed {seed} ({place})"
    life = NamedLife(seed)
    met = {"Duplicate", "Rejected DUPLICATE_CLIENT_ORDER_ID", "Rejected ORDER_CLOSED", "Canceled EXPIRED"}
    # One that missed one of them by chance lives on until it met it.
    for step in range(STEPS_MOST):
        if step >= STEPS and met <= set(life.met):
            break
        life.step()
    assert met <= set(life.met), (said, life.met)
    played_alike(life.shard, FEW, Random(seed), said)


LATER: Final = START + 50 * 24 * HOUR
NAMED: Final = [
    bid(ALICE, 10_000, 2, client_order_id="mine"),
    bid(ALICE, 30_000, 2, client_order_id="m" * 36, time_in_force=TimeInForce.IOC),
    bid(ALICE, 10_000, 2, tag="grid"),
    bid(ALICE, 10_000, 2, connection=2**63 - 1),
    bid(ALICE, 10_000, 2, time_in_force=TimeInForce.DAY),
    bid(ALICE, 10_000, 2, ONDEMAND, time_in_force=TimeInForce.GTD, expire_ns=START + 1, client_order_id="-_-"),
    ask(PAT, 40_000, 2, client_order_id="mine", tag="t", connection=3, time_in_force=TimeInForce.DAY, post_only=True),
    ask(PAT, 40_000, 2, ONDEMAND, max_hours=30, client_order_id="mine", time_in_force=TimeInForce.GTD, expire_ns=LATER),
]


@pytest.mark.parametrize("order", NAMED, ids=str)
def test_a_named_order_is_played_by_compiled_rooms(order: PlaceOrder) -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4))
    assert plays(shard, order)


@pytest.mark.parametrize("order", NAMED, ids=str)
def test_it_goes_as_the_law_says_by_whichever_way(order: PlaceOrder) -> None:
    ways: tuple[Command, ...] = (
        CancelOrder(account=order.account, client_order_id=order.client_order_id),
        CancelAll(account=order.account, connection=order.connection),
        CancelAll(account=order.account, tag=order.tag),
        bid(BOB, 50_000, 2, order.instrument),
    )
    for way in ways:
        shard = Shard()
        shard.place(ask(PAT, 20_000, 1))
        shard.do(order)
        shard.apply(way)
        shard.wait(60 * 24 * HOUR)
        assert shard.twin.snapshot() == shard.machine.snapshot()


REFUSED: Final = [
    bid(ALICE, 10_000, 2, client_order_id="a b"),
    bid(ALICE, 10_000, 2, client_order_id="é"),
    bid(ALICE, 10_000, 2, client_order_id="m" * 37),
    bid(ALICE, 10_000, 2, client_order_id="m" * 600),
    bid(ALICE, 10_000, 2, tag="a/b"),
    bid(ALICE, 10_000, 2, tag="m" * 37),
    bid(ALICE, 10_000, 2, connection=-1),
    bid(ALICE, 10_000, 2, expire_ns=START + HOUR),
    bid(ALICE, 10_000, 2, time_in_force=TimeInForce.DAY, expire_ns=START + HOUR),
    bid(ALICE, 10_000, 2, time_in_force=TimeInForce.GTD),
    bid(ALICE, 10_000, 2, time_in_force=TimeInForce.GTD, expire_ns=START),
    bid(99, 10_000, 2, client_order_id="mine"),
]


@pytest.mark.parametrize("order", REFUSED, ids=str)
def test_what_has_no_right_form_is_left_to_the_law(order: PlaceOrder) -> None:
    shard = Shard()
    assert not plays(shard, order)
    (said,) = shard.apply(order)
    assert isinstance(said, Rejected)


def test_duplicates_and_conflicts_are_answered_by_compiled_rooms() -> None:
    shard = Shard()
    order = bid(ALICE, 10_000, 2, client_order_id="mine")
    first = shard.place(order)
    elsewhere = msgspec.structs.replace(order, connection=9, delivery=b"another key")
    conflict = msgspec.structs.replace(order, quantity=3)
    (said,) = only(shard.apply(elsewhere), Duplicate)
    assert said.order_id == first
    shard.refuse(conflict, Reason.DUPLICATE_CLIENT_ORDER_ID, "client_order_id")
    assert shard.twin.snapshot() == shard.machine.snapshot()
    machine, seq = shard.twin, shard.twin.last_seq
    for number, command in enumerate((order, elsewhere, conflict), 1):
        assert play(machine.state, seq + number, encode_command(shard.now_ns, command))
        assert len(machine.state.events) == 1


def test_an_older_id_lives_as_long_as_its_order() -> None:
    shard = Shard(Limits(max_client_ids=2))
    live, gone = (bid(ALICE, 10_000, 1, client_order_id=name) for name in ("live", "gone"))
    number = shard.place(live)
    shard.do(CancelOrder(account=ALICE, order_id=shard.place(gone)))
    for name in ("a", "b"):
        shard.place(bid(ALICE, 10_000, 1, client_order_id=name))
    account = shard.twin.state.accounts[ALICE]
    assert (list(account.client_ids), list(account.older_live_ids)) == (["a", "b"], ["live"])
    (said,) = only(shard.apply(live), Duplicate)
    assert said.order_id == number
    assert shard.place(gone) != number, "it is forgotten"
    assert plays(shard, CancelOrder(account=ALICE, client_order_id="live"))
    assert list(account.older_live_ids) == ["a"]
