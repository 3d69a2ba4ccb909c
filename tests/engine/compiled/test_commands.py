"""Records of commands read in C: the law's fields, or "not plain", whatever happened to the bytes."""

from __future__ import annotations

import enum
import random
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import codec, messages
from engine.compiled import doors_wire
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import SelfTrade
from tests.engine.compiled.damage import check, damaged
from tests.engine.compiled.drawing import ASCII_TEXTS, NUMBERS, messages_of

READ: typing.Final = (
    messages.PlaceOrder,
    messages.CancelOrder,
    messages.AmendOrder,
    messages.EndLease,
    messages.LeaseActive,
    messages.LeaseWiped,
    messages.Tick,
)
ORDER: typing.Final = messages.PlaceOrder(
    account=7,
    instrument=1,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    price_ticks=25_000,
    quantity=8,
    client_order_id="mine",
    hours=24,
    delivery=b"ssh",
)
kinds = pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.__name__)


@kinds
@given(ts_ns=NUMBERS, data=st.data())
def test_a_plain_record_is_read(kind: type[msgspec.Struct], ts_ns: int, data: st.DataObject) -> None:
    command = data.draw(messages_of(kind, texts=ASCII_TEXTS))
    assert doors_wire.command(codec.encode_command(ts_ns, command)) == (ts_ns, command)


@kinds
@given(data=st.data())
def test_a_record_of_any_texts_is_plain_or_the_law_s(kind: type[msgspec.Struct], data: st.DataObject) -> None:
    check(codec.encode_command(1, data.draw(messages_of(kind))))


@kinds
@given(data=st.data(), chance=st.randoms(use_true_random=False))
def test_a_damaged_record_is_not_plain_or_the_law_s(
    kind: type[msgspec.Struct], data: st.DataObject, chance: random.Random
) -> None:
    short = st.integers(-(2**63), 2**63 - 1)
    record = codec.encode_command(1, data.draw(messages_of(kind, short, st.text(max_size=10))))
    for _ in range(20):
        check(damaged(chance, record))
    check(damaged(chance, damaged(chance, record)))


@given(st.binary(max_size=60))
def test_any_bytes_are_not_plain_or_the_law_s(data: bytes) -> None:
    for record in (data, bytes([codec.FORMAT]) + data, bytes([codec.FORMAT, 0x92, 0x01]) + data):
        check(record)


def test_no_cut_record_is_plain() -> None:
    for command in (ORDER, messages.LeaseActive(lease_id=2**60, access=b"x" * 300), messages.Tick()):
        record = codec.encode_command(2**60, command)
        assert [size for size in range(len(record) + 1) if doors_wire.command(record[:size])] == [len(record)]


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
def test_numbers_beyond_64_bits_with_a_sign_are_left_to_the_law(number: int) -> None:
    for field in ("account", "price_ticks", "min_rating"):
        order = msgspec.structs.replace(ORDER, **{field: number})
        assert doors_wire.command(codec.encode_command(1, order)) is None
    assert doors_wire.command(codec.encode_command(number, ORDER)) is None


@pytest.mark.parametrize("body", ["07", "cc07", "cd0007", "ce00000007", "cf0000000000000007", "d007", "d10007"])
def test_a_number_of_any_width_is_the_same(body: str) -> None:
    record = bytes.fromhex("01920592") + b"\x0f" + bytes.fromhex(body)
    assert doors_wire.command(record) == codec.decode_command(record) == (5, messages.LeaseWiped(lease_id=7))


def test_what_another_version_wrote_is_left_to_the_law() -> None:
    """Fewer fields, or more, are the decoder's to fill and to skip."""
    for record in ("0192059210" + "00", "01920593090501", "0193059110" + "00"):
        data = bytes.fromhex(record)
        codec.decode_command(data)
        assert doors_wire.command(data) is None


def test_every_member_of_a_vocabulary_is_plain_and_nothing_beside() -> None:
    vocabularies: dict[str, type[enum.IntEnum]] = {
        "side": Side,
        "order_type": OrderType,
        "time_in_force": TimeInForce,
        "self_trade": SelfTrade,
    }
    for field, vocabulary in vocabularies.items():
        for number in range(256):
            record = codec.encode_command(1, msgspec.structs.replace(ORDER, **{field: number}))
            assert check(record) == (number in set(vocabulary)), (field, number)


def test_other_commands_are_left_to_the_law() -> None:
    for command in (
        messages.OpenAccount(account=1, maker_fee_ppm=0, taker_fee_ppm=0),
        messages.Rent(account=1, instruments=(1,), quantity=1, hours=1, max_price_ticks=1, delivery=b"d"),
        messages.SetFeatures(baron=1, features=1),
        messages.ReportOutage(lease_id=1, from_ns=1, to_ns=2),
    ):
        assert doors_wire.command(codec.encode_command(1, command)) is None
