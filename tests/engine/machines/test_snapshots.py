"""Snapshots of the compiled machine: the law's bytes for every field and any life, and the law's answer to any damage."""

from __future__ import annotations

import hashlib
import random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import rows, snapshot, snapshot_bounds
from engine.book import BookState
from engine.book_plain import PlainBook
from engine.codec import DecodeError
from engine.compiled import restoring
from engine.compiled.machine import CompiledState, FastMachine
from engine.dues import Bill, PaidHours
from engine.kinds import EndReason, Kind, LeaseState, OrderStatus, OrderType, Origin, Pot, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import CancelOrder, Command, ListMarket, OpenAccount, RegisterBaron
from engine.records import SelfTrade
from engine.state import POTS, Account, Lease, Order, Remembered
from engine.units import QUANTITY_MAX
from tests.engine import sequences, winding
from tests.engine.compiled.damage import damaged
from tests.engine.sequences import Step
from tests.engine.shard import ALICE, HOUR, START, Shard, bid, offered
from tests.engine.test_snapshot import lived

ACCOUNT: Final = 11
BARON: Final = 101
HEAD: Final = 33
"""Bytes of a snapshot before its body: the format and the digest."""
LEASES: Final = snapshot.Body.__struct_fields__.index("leases")
ACCOUNTS: Final = snapshot.Body.__struct_fields__.index("accounts")
DAMAGES: Final = 400
INT64_MAX: Final = 2**63 - 1

counts = st.integers(0, 2**32 - 1) | st.sampled_from([0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1])
numbers = st.integers(-INT64_MAX - 1, INT64_MAX) | st.sampled_from([-1, -32, -33, -129, -32_769, -(2**31) - 1, 0])
times = st.integers(0, INT64_MAX)
moments = st.integers(0, snapshot_bounds.AHEAD_MAX_NS)
texts = st.text(st.sampled_from("abc-_09"), max_size=40)
blobs = st.sampled_from([b"", b"", b"ssh-ed25519 key", b"\xff" * 300, b"k" * 70_000])


def within(bounds: dict[str, tuple[int, int]]) -> dict[str, st.SearchStrategy[int]]:
    """Any number that each field may have, the least and the most rather often."""
    return {
        name: st.integers(*ends) | st.sampled_from(ends) for name, ends in bounds.items() if not name.endswith("_id")
    }


orders = st.fixed_dictionaries(
    {
        **within(snapshot_bounds.ORDER),
        "account": st.just(ACCOUNT),
        "kind": st.sampled_from(Kind),
        "side": st.sampled_from(Side),
        "order_type": st.sampled_from(OrderType),
        "time_in_force": st.sampled_from(TimeInForce),
        "origin": st.sampled_from(Origin),
        "post_only": st.booleans(),
        "client_order_id": texts,
        "window_end_ns": st.integers(0, snapshot_bounds.AHEAD_MAX_NS // HOUR).map(lambda hours: hours * HOUR),
        "delivery": blobs,
        "self_trade": st.sampled_from(SelfTrade),
        "same_baron": st.booleans(),
        "tag": texts,
        "armed": st.booleans(),
        "quote_set": texts,
    }
)
leases = st.fixed_dictionaries(
    {
        **within(snapshot_bounds.LEASE),
        "renter": st.just(ACCOUNT),
        "provider": st.just(ACCOUNT),
        "baron": st.just(BARON),
        "kind": st.sampled_from(Kind),
        "state": st.sampled_from(LeaseState),
        "reason": st.sampled_from(EndReason),
        "access": blobs,
        "delivery": blobs,
        "detail": st.text(max_size=300),
        "prices": st.lists(st.tuples(*(st.integers(*ends) for ends in snapshot_bounds.PRICE)), max_size=20),
        **dict.fromkeys(("obligation_id", "waits_for", "promised_to"), times),
        **{name: st.booleans() for name in ("auto_extend", "overdue", "returned", "same_baron")},
    }
)


def on_its_side(terms: dict[str, Any]) -> dict[str, Any]:
    """An ask has no term of its own and delivers nowhere; a bid sells no shortest one."""
    return terms | ({"hours": 0, "delivery": b""} if terms["side"] is Side.SELL else {"min_hours": 0})


def opened() -> FastMachine:
    machine = FastMachine(1, Limits())
    commands: tuple[Command, ...] = (
        ListMarket(sku="A", region="here"),
        OpenAccount(account=ACCOUNT, maker_fee_ppm=0, taker_fee_ppm=0),
        RegisterBaron(baron=BARON, provider=ACCOUNT, sku="A", region="here"),
    )
    for seq, command in enumerate(commands, 1):
        machine.apply(seq, START, command)
    return machine


def encoded(machine: Machine) -> bytes:
    """By the law, struct after struct."""
    return snapshot.encode(machine.state)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(terms=st.lists(orders.map(on_its_side), max_size=5), ids=st.sets(st.integers(1, INT64_MAX), min_size=5))
def test_every_field_of_an_order_is_saved_and_read(terms: list[dict[str, Any]], ids: set[int]) -> None:
    machine = opened()
    for order_id, each in zip(ids, terms, strict=False):
        machine.state.add_order(machine.state.records.own(Order(order_id=order_id, **each)))
    data = machine.snapshot()
    assert data == encoded(machine)
    again = restoring.read(data[HEAD:], CompiledState)
    assert snapshot.encode(again) == data
    by_law = snapshot.read(data[HEAD:], CompiledState)
    assert list(again.timers) == list(by_law.timers)
    assert [each.order_id for each in again.orders_by(ACCOUNT)] == [each.order_id for each in by_law.orders_by(ACCOUNT)]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(terms=st.lists(leases, max_size=5), ids=st.sets(st.integers(1, INT64_MAX), min_size=5))
def test_every_field_of_a_lease_is_saved_and_read(terms: list[dict[str, Any]], ids: set[int]) -> None:
    machine = opened()
    for lease_id, each in zip(sorted(ids), terms, strict=False):
        lease = machine.state.leases[lease_id] = machine.state.records.own(Lease(**each | {"lease_id": lease_id}))
        if lease.kind is Kind.FORWARD:
            # Who has a lease on bought hours has a row.
            rows.row_of(machine.state, lease.renter, lease.baron)
    data = machine.snapshot()
    assert data == encoded(machine)
    again, by_law = restoring.read(data[HEAD:], CompiledState), snapshot.read(data[HEAD:], CompiledState)
    assert snapshot.encode(again) == snapshot.encode(by_law), "such leases may ask for a row, which is made then"
    assert msgspec.msgpack.decode(snapshot.encode(again)[HEAD:])[LEASES] == msgspec.msgpack.decode(data[HEAD:])[LEASES]
    assert list(again.timers) == list(by_law.timers)


bills = st.fixed_dictionaries(
    {
        **within(snapshot_bounds.BILL),
        "outages": st.lists(st.tuples(moments, moments), max_size=20),
        "hours": st.none()
        | st.lists(
            st.builds(
                PaidHours,
                baron=st.integers(1, 3),
                obligation_id=times,
                quantity=st.integers(1, QUANTITY_MAX),
                hour_micros=st.integers(-(2**62), 2**62),
                from_h=st.integers(0, 2**20),
                until_h=st.integers(0, 3),
            ),
            min_size=1,
            max_size=20,
        ),
    }
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(terms=st.lists(bills, max_size=5), ids=st.sets(st.integers(1, INT64_MAX), min_size=5))
def test_every_field_of_a_bill_is_saved_and_read(terms: list[dict[str, Any]], ids: set[int]) -> None:
    machine = opened()
    for bill_id, each in zip(ids, terms, strict=False):
        machine.state.bills[bill_id] = machine.state.records.own(Bill(bill_id=bill_id, **each))
    data = machine.snapshot()
    assert data == encoded(machine)
    again, by_law = restoring.read(data[HEAD:], CompiledState), snapshot.read(data[HEAD:], CompiledState)
    assert snapshot.encode(again) == snapshot.encode(by_law) == data
    assert list(again.timers) == list(by_law.timers)
    assert [(key, [*paid]) for key, paid in again.paid_of.items()] == [
        (key, [*paid]) for key, paid in by_law.paid_of.items()
    ]


any_texts = st.text(max_size=40) | texts.map(lambda text: text + "-")
meanings = st.builds(Remembered, digest=st.binary(min_size=16, max_size=16), seq=times, order_id=times)
memories = st.fixed_dictionaries(
    {
        "client_ids": st.dictionaries(any_texts, meanings, max_size=20),
        "older_live_ids": st.dictionaries(any_texts, meanings, max_size=3),
        "closed_orders": st.dictionaries(times, st.sampled_from(OrderStatus), max_size=20),
        "wiped_leases": st.dictionaries(times, st.none(), max_size=20),
    }
)


def remembering(memory: dict[str, Any]) -> FastMachine:
    machine = opened()
    pots = [7] * POTS
    pots[Pot.CASH] -= sum(pots)
    account = Account(account=ACCOUNT, maker_fee_ppm=5, taker_fee_ppm=6, pots=pots, killed=True, **memory)
    machine.state.accounts[ACCOUNT] = machine.state.records.own(account)
    return machine


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(memory=memories)
def test_what_an_account_remembers_is_saved_and_read(memory: dict[str, Any]) -> None:
    machine = remembering(memory)
    data = machine.snapshot()
    assert data == encoded(machine)
    assert snapshot.encode(restoring.decode(data, CompiledState)) == data
    assert FastMachine.restore(data).snapshot() == data
    assert Machine.restore(data, PlainBook).snapshot() == data


@pytest.mark.parametrize("count", [0, 1, 15, 16, 255, 65_535, 65_536])
def test_as_much_as_it_may_remember(count: int) -> None:
    machine = remembering(
        {
            "client_ids": {str(n): Remembered(digest=b"x" * 16, seq=n, order_id=0) for n in range(count)},
            "closed_orders": dict.fromkeys(range(count), OrderStatus.FILLED),
            "wiped_leases": dict.fromkeys(range(count)),
        }
    )
    data = machine.snapshot()
    assert data == encoded(machine) == FastMachine.restore(data).snapshot()


UNLIKELY: Final[list[tuple[str, object]]] = [
    ("client_ids", {"a": [b"x" * 16, 2**63, 1]}),
    ("client_ids", {"a": [b"x" * 16, -1, 1]}),
    ("client_ids", {"a": [b"x" * 15, 1, 1]}),
    ("client_ids", {"a": [b"x" * 16, 1]}),
    ("client_ids", {"a": [b"x" * 16, 1, 2, 3]}),
    ("client_ids", {b"a": [b"x" * 16, 1, 1]}),
    ("client_ids", [1]),
    ("older_live_ids", {"é": [b"x" * 16, 1, 1]}),
    ("closed_orders", {2**63: 1}),
    ("closed_orders", {1: 99}),
    ("closed_orders", {1: None}),
    ("wiped_leases", {1: 0}),
    ("wiped_leases", None),
]


@pytest.mark.parametrize(("field", "value"), UNLIKELY, ids=str)
def test_what_no_machine_remembers_is_left_to_the_law(field: str, value: object) -> None:
    body = msgspec.msgpack.decode(opened().snapshot()[HEAD:], strict=False)
    (place,) = (place for place, account in enumerate(body[ACCOUNTS]) if account[0] == ACCOUNT)
    body[ACCOUNTS][place][Account.__struct_fields__.index(field)] = value
    data = sealed(msgspec.msgpack.encode(body))
    law = outcome(snapshot.decode, data)
    assert outcome(restoring.decode, data) == law
    if isinstance(law, bytes):
        assert FastMachine.restore(data).snapshot() == law == data


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(steps=sequences.steps)
def test_any_life_is_saved_as_by_the_law_and_lived_on_by_the_other(steps: list[Step]) -> None:
    """The bytes are one, whichever machine wrote them; each restores the other's, and they go on alike."""
    shard = Shard(sequences.TIGHT, usd=2_000)
    sequences.open_up(shard)
    for step in steps:
        sequences.play(shard, step)
    data = shard.machine.snapshot()
    assert shard.twin.snapshot() == data == encoded(shard.twin)
    assert shard.twin.state_hash() == shard.machine.state_hash()
    shard.twin = FastMachine.restore(data)
    assert list(shard.twin.state.timers) == list(shard.machine.state.timers)
    assert shard.twin.snapshot() == data
    assert Machine.restore(shard.twin.snapshot(), PlainBook).snapshot() == data
    winding.wind_down(shard)
    assert shard.twin.snapshot() == shard.machine.snapshot()


@pytest.mark.parametrize("count", [1, 7, 8, 9, 15, 16, 17, 33, 70])
def test_more_orders_than_are_read_ahead(count: int) -> None:
    """Slots of orders that went are used again, so ids don't follow each other in them; prices lie apart."""
    shard = Shard()
    shard.offer(offered(20_000, 8))
    gone = [shard.place(bid(ALICE, 100 + n, 1)) for n in range(count)]
    for n, order_id in enumerate(reversed(gone)):
        shard.do(CancelOrder(account=ALICE, order_id=order_id))
        order = bid(ALICE, 100 + n * 7_919 % 5_000, 2)
        shard.place(msgspec.structs.replace(order, delivery=b"key" * (1 + n % 3)))
    data = shard.twin.snapshot()
    assert data == shard.machine.snapshot()
    again = FastMachine.restore(data)
    assert again.snapshot() == data
    assert [each.order_id for each in again.state.orders_by(ALICE)] == [
        each.order_id for each in shard.twin.state.orders_by(ALICE)
    ]
    shard.twin = again
    for rests in shard.machine.state.orders_by(ALICE):
        shard.do(CancelOrder(account=ALICE, order_id=rests.order_id))
    assert shard.twin.snapshot() == shard.machine.snapshot()


def outcome(read: Any, data: bytes) -> object:
    """What comes of a snapshot: its state's bytes, or the error."""
    try:
        return snapshot.encode(read(data, CompiledState))
    except Exception as error:  # noqa: BLE001 - whatever the law raises, the compiled reader must raise
        return type(error)


def sealed(body: bytes) -> bytes:
    """A snapshot of this body, with the digest that is right for it."""
    return bytes([snapshot.FORMAT]) + hashlib.blake2b(body, digest_size=HEAD - 1).digest() + body


@pytest.mark.parametrize("seed", range(3))
def test_what_is_damaged_under_a_right_digest_is_judged_by_the_law(seed: int) -> None:
    chance = random.Random(seed)
    shard = lived()
    shard.place(bid(11, 9_000, 2, tag="a", expire_ns=shard.now_ns + 5 * HOUR, time_in_force=TimeInForce.GTD))
    body = shard.twin.snapshot()[HEAD:]
    assert outcome(restoring.decode, sealed(body)) == sealed(body)
    refused = 0
    for _ in range(DAMAGES):
        data = sealed(damaged(chance, body))
        law = outcome(snapshot.decode, data)
        assert outcome(restoring.decode, data) == law, data[HEAD:].hex()
        refused += law is DecodeError
    assert refused > DAMAGES // 4


@pytest.mark.parametrize("seed", range(3))
def test_damage_without_its_digest_is_found(seed: int) -> None:
    chance, data = random.Random(seed), lived().twin.snapshot()
    for _ in range(DAMAGES):
        wrong = damaged(chance, data)
        if wrong != data:
            with pytest.raises(DecodeError):
                FastMachine.restore(wrong)


def test_orders_out_of_their_turn_or_of_nobody_are_left_to_the_law() -> None:
    machine = opened()
    for order_id in (7, 9):
        terms: dict[str, Any] = dict.fromkeys(Order.__struct_fields__, 0)
        terms |= {"kind": 1, "side": 1, "order_type": 1, "time_in_force": 1, "origin": 1, "account": ACCOUNT}
        terms |= dict.fromkeys(("client_order_id", "tag", "quote_set"), "")
        terms |= dict.fromkeys(("post_only", "same_baron", "armed"), False)
        order = msgspec.convert([*(terms | {"order_id": order_id, "delivery": b""}).values()], Order, strict=False)
        machine.state.add_order(machine.state.records.own(order))
    body = msgspec.msgpack.decode(machine.snapshot()[HEAD:])
    place = snapshot.Body.__struct_fields__.index("orders")
    for orders in (body[place][::-1], [body[place][0]] * 2, [[*body[place][0][:1], 5, *body[place][0][2:]]]):
        data = sealed(msgspec.msgpack.encode([*body[:place], orders, *body[place + 1 :]]))
        assert outcome(restoring.decode, data) == outcome(snapshot.decode, data)


def test_many_are_written_without_a_struct_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary of all the above: what is encoded in C is there, and isn't empty."""
    shard = lived()
    data = shard.machine.snapshot()

    def never(*_: object) -> None:
        raise AssertionError("the law's structs were made")

    monkeypatch.setattr(snapshot, "many_of", never)
    assert shard.twin.snapshot() == data
    body = dict(zip(snapshot.Body.__struct_fields__, msgspec.msgpack.decode(data[HEAD:]), strict=True))
    assert len(body["orders"]) == len(shard.machine.state.orders) > 2
    assert len(body["leases"]) == len(shard.machine.state.leases) > 0
    assert len(body["bills"]) == len(shard.machine.state.bills) > 0
    assert len(body["books"][0][BookState.__struct_fields__.index("bids")]) == 1


def test_what_is_plain_is_not_left_to_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lived().twin.snapshot()

    def never(*_: object) -> None:
        raise AssertionError("the law's decoder was asked")

    monkeypatch.setattr(snapshot, "decode", never)
    assert snapshot.encode(restoring.decode(data, CompiledState)) == data
