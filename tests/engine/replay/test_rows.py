"""Rows that can't be read: each is a reject, none is a stop."""

from __future__ import annotations

import csv
import random

import pytest

from engine.flow_rows import ROW_CHARS_MAX
from tests.engine.replay.running import Replay, flow
from tests.engine.replay.test_quotes import reference_rows

GOOD = "7,new,{},sell,gtc,100,5"
LONG = "x" * (ROW_CHARS_MAX + 1)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "too few columns": (b"7,new,bad,sell,gtc,100", "7,bad"),
    "too many columns": (b"7,new,bad,sell,gtc,100,5,", "7,bad"),
    "one column": (b"nonsense", ","),
    "no number": (b"7,new,bad,sell,gtc,ten,5", "7,bad"),
    "a fraction": (b"7,new,bad,sell,gtc,100.0,5", "7,bad"),
    "an exponent": (b"7,new,bad,sell,gtc,1e2,5", "7,bad"),
    "an underscore": (b"7,new,bad,sell,gtc,1_00,5", "7,bad"),
    "a sign": (b"7,new,bad,sell,gtc,+100,5", "7,bad"),
    "negative price": (b"7,new,bad,sell,gtc,-100,5", "7,bad"),
    "negative quantity": (b"7,new,bad,sell,gtc,100,-5", "7,bad"),
    "negative time": (b"-7,new,bad,sell,gtc,100,5", ",bad"),
    "a space": (b"7,new,bad,sell,gtc, 100,5", "7,bad"),
    "other digits": ("7,new,bad,sell,gtc,١٠٠,5".encode(), "7,bad"),
    "a superscript": ("7,new,bad,sell,gtc,²,5".encode(), "7,bad"),
    "nan": (b"nan,new,bad,sell,gtc,100,5", ",bad"),
    "price above its field": (b"7,new,bad,sell,gtc,2147483648,5", "7,bad"),
    "quantity above its field": (b"7,new,bad,sell,gtc,100,4294967296", "7,bad"),
    "time above its field": (b"9223372036854775808,new,bad,sell,gtc,100,5", "9223372036854775808,bad"),
    "a number of many digits": (b"7,new,bad,sell,gtc,100," + b"9" * 60_000, "7,bad"),
    "a time of many digits": (b"9" * 5_000 + b",new,bad,sell,gtc,100,5", ",bad"),
    "unknown op": (b"7,replace,bad,sell,gtc,100,5", "7,bad"),
    "capital op": (b"7,NEW,bad,sell,gtc,100,5", "7,bad"),
    "unknown side": (b"7,new,bad,short,gtc,100,5", "7,bad"),
    "no side": (b"7,new,bad,,gtc,100,5", "7,bad"),
    "unknown tif": (b"7,new,bad,sell,day,100,5", "7,bad"),
    "no id": (b"7,new,,sell,gtc,100,5", "7,"),
    "no id to cancel": (b"7,cancel,,,,,", "7,"),
    "not UTF-8": (b"7,new,\xff\xfe,sell,gtc,100,5", "7,\ufffd\ufffd"),
    "a lone surrogate": (b"7,new,\xed\xa0\x80,sell,gtc,100,5", "7,\ufffd\ufffd\ufffd"),
    "half a character": (b"7,new,bad\xe2\x82,sell,gtc,100,5", "7,bad\ufffd"),
    "a NUL in the id": (b"7,new,b\0d,sell,gtc,100,5", "7,b\ufffdd"),
    "a NUL in a number": (b"7,new,bad,sell,gtc,1\0,5", "7,bad"),
    "a carriage return": (b"7,new,b\rd,sell,gtc,100,5", "7,b\ufffdd"),
    "an open quote": (b'7,new,"bad,sell,gtc,100,5', '7,"bad,sell,gtc,100,5"'),
    "text after a quote": (b'7,new,"ba"d,sell,gtc,100,5', "7,bad"),
    "too long": (b"7,new," + LONG.encode() + b",sell,gtc,100,5", ","),
    "too long by far": (b"7,new," + 20 * LONG.encode() + b",sell,gtc,100,5", ","),
    "too long, no comma": (20 * LONG.encode(), ","),
    "commas": (b"," * 1_000, ","),
}


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "between", "last without a newline"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_row_that_cannot_be_read_is_a_reject(run: Replay, name: str, place: int) -> None:
    row, told = HOSTILE[name]
    rows = [GOOD.format("a").encode(), GOOD.format("b").encode()]
    rows.insert(place, row)
    outcome = run(flow().encode() + b"\n".join(rows), "plain")
    assert outcome.rejects == [f"{told},malformed_record"]
    assert outcome.depth == ["sell,100,10,2"]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("order_id,side,price,quantity,type", "bad,sell,7,1,stop"),
        ("order_id,side,price,quantity,post_only", "bad,sell,7,1,yes"),
        ("order_id,side,price,quantity,stp", "bad,sell,7,1,none"),
        ("order_id,side,price,quantity,display_quantity", "bad,sell,7,1,-1"),
        ("order_id,side,price,quantity,min_quantity", "bad,sell,7,1,1.0"),
        ("order_id,side,price,quantity,stop_price", "bad,sell,7,1,x"),
    ],
)
def test_a_bad_word_in_a_rarer_column(run: Replay, header: str, row: str) -> None:
    outcome = run(f"{header}\n{row}\n", "plain")
    assert outcome.rejects == [",bad,malformed_record"]
    assert outcome.depth == []


def test_all_hostile_rows_at_once(run: Replay, book: str) -> None:
    rows = [row for row, _ in HOSTILE.values()]
    outcome = run(flow().encode() + b"\r\n".join([*rows, b"", GOOD.format("a").encode()]), book)
    assert outcome.rejects == [f"{told},malformed_record" for _, told in HOSTILE.values()]
    assert outcome.depth == ["sell,100,5,1"]


def test_random_bytes_never_stop_it(run: Replay, book: str) -> None:
    draw = random.Random(7)
    for _ in range(30):
        letters = b'0123456789,,,,,\n\n"\r\0newcancelbuysell\xff\xc3\xa9 '
        junk = bytes(draw.choice(letters) for _ in range(draw.randrange(2_000)))
        outcome = run(flow().encode() + junk, book)
        assert outcome.status == 0
        text = junk.replace(b"\r\n", b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
        rows = len(reference_rows(text + "\n"))
        assert outcome.said.startswith(f"{rows:,} rows, ")
        told = list(csv.reader([line + "\n" for line in outcome.rejects], strict=True))
        assert {len(cells) for cells in told} <= {3}
        assert len(told) <= rows
