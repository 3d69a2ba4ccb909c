"""Digests in C: what `hashlib` says of every length, and what the law says of an order's content."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import client_ids
from engine.codec import encode_command
from engine.compiled import doors_ids as doors
from engine.messages import PlaceOrder
from tests.engine.compiled.drawing import ASCII_TEXTS, messages_of

LONGEST: Final = 1_100
"""More than an order takes with the longest texts of which a digest is made here."""
TEXTS_MOST: Final = 512
POSITIVE: Final = st.integers(0, 2**63 - 1)


def law(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def test_the_standard_s_own_words() -> None:
    assert doors.digest(b"") == bytes.fromhex("cae66941d9efbd404e4d88758ea67670")
    assert doors.digest(b"abc") == law(b"abc")


def test_every_length_that_an_order_can_have_and_more() -> None:
    chance = Random(1)
    for size in range(LONGEST):
        data = chance.randbytes(size)
        assert doors.digest(data) == law(data), size
        assert doors.digest(b"\xff" * size) == law(b"\xff" * size), size


@given(st.binary(max_size=700))
def test_any_bytes(data: bytes) -> None:
    assert doors.digest(data) == law(data)


@settings(max_examples=300, deadline=None)
@given(order=messages_of(PlaceOrder, texts=ASCII_TEXTS), delivery=st.binary(max_size=40), connection=POSITIVE)
def test_the_content_of_any_order(order: PlaceOrder, delivery: bytes, connection: int) -> None:
    """Whatever its values, and wherever it delivers and came from."""
    made = doors.order_digest(encode_command(5, order))
    if len(order.client_order_id) + len(order.tag) > TEXTS_MOST:
        assert made is None, "left to the law"
        return
    assert made == client_ids._digest(order)
    repeated = msgspec.structs.replace(order, delivery=delivery, connection=connection)
    assert doors.order_digest(encode_command(9, repeated)) == made


@given(order=messages_of(PlaceOrder, texts=st.sampled_from(["", "a", "b" * 36])), other=st.sampled_from(["x", "y"]))
def test_another_content_has_another_digest(order: PlaceOrder, other: str) -> None:
    made = doors.order_digest(encode_command(5, order))
    for changed in ({"tag": other}, {"client_order_id": other}, {"post_only": not order.post_only}):
        assert doors.order_digest(encode_command(5, msgspec.structs.replace(order, **changed))) != made
