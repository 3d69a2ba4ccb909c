"""Ids: made from (shard, seq, index), and texts that sort as their numbers do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import ids

numbers = st.integers(0, 2**63 - 1)


@given(numbers)
def test_an_id_survives_its_text(number: int) -> None:
    assert ids.parse_id("lse", ids.format_id("lse", number)) == number


@given(numbers, numbers)
def test_text_order_is_number_order(one: int, other: int) -> None:
    assert (ids.format_id("ord", one) < ids.format_id("ord", other)) == (one < other)


@given(st.integers(0, ids.SHARD_MAX), st.integers(1, ids.SEQ_MAX), st.integers(0, ids.INDEX_MAX))
def test_parts_never_share_bits(shard: int, seq: int, index: int) -> None:
    number = ids.make_id(shard, seq, index)
    assert (number >> 56, number >> 16 & ids.SEQ_MAX, number & ids.INDEX_MAX) == (shard, seq, index)


@pytest.mark.parametrize("parts", [(-1, 1, 0), (128, 1, 0), (0, 0, 0), (0, 2**40, 0), (0, 1, 65_536), (0, 1, -1)])
def test_parts_out_of_range_are_refused(parts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="range"):
        ids.make_id(*parts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lse",
        "lse_",
        "ord_0000000000001",
        "lse_000000000001",
        "lse_00000000000001",
        "lse_000000000000I",
        "lse_ZZZZZZZZZZZZZ",
        "lse_00000000000０1",
    ],
)
def test_texts_that_are_no_lease_id(text: str) -> None:
    with pytest.raises(ValueError, match="id"):
        ids.parse_id("lse", text)
