"""Quotes as RFC 4180 has them: what stands in them is text, newlines too; one that is never closed costs its line alone."""

from __future__ import annotations

import csv
import io
import random

import pytest

from engine.flow_rows import ROW_CHARS_MAX, Splitter
from tests.engine.replay.running import Replay, flow

HEADER = "order_id,side,price,quantity"


def test_an_id_may_hold_newlines(run: Replay, book: str) -> None:
    rows = ('"first\nsecond, ""third""\n\n",sell,7,5', '"last\n",buy,7,2', '"first\nsecond, ""third""\n\n",sell,7,1')
    text = flow(*rows, header=HEADER)
    for ending in ("\n", "\r\n"):
        outcome = run(text.replace("\n", ending), book)
        assert "\n".join(outcome.trades) == '0,"first\nsecond, ""third""\n\n","last\n",7,2'
        assert "\n".join(outcome.rejects) == '0,"first\nsecond, ""third""\n\n",duplicate_order_id'
        assert outcome.said.startswith("3 rows, ")


def test_a_row_of_several_lines_that_cannot_be_read_is_one_reject(run: Replay, book: str) -> None:
    outcome = run(flow('"one\ntwo",sell,x,5', "a,sell,7,5", header=HEADER), book)
    assert "\n".join(outcome.rejects) == ',"one\ntwo",malformed_record'
    assert outcome.depth == ["sell,7,5,1"]


FILL = "x" * 40 + "\n"
MANY = ROW_CHARS_MAX // len(FILL) + 2


@pytest.mark.parametrize(
    ("broken", "rejects"),
    [
        ('"bad,sell,7,1', 1),
        ('"bad,sell,7,1\nbad",sell,x,1', 1),  # the quote of the next line closes it: one row
        ('"bad\nbad"x,sell,x,1', 2),
        ('"bad\n' + FILL * MANY + '",sell,7,1', MANY + 2),  # it closes, but too late to be a row
    ],
    ids=["never closed", "closed by the next", "text after it", "closed too late"],
)
def test_a_quote_that_does_not_close_costs_its_line(run: Replay, book: str, broken: str, rejects: int) -> None:
    outcome = run(flow("a,sell,7,5", broken, "b,sell,7,5", "c,buy,7,1", header=HEADER), book)
    assert f", {rejects:,} rejects, " in outcome.said
    assert outcome.trades == ["0,a,c,7,1"]
    assert outcome.depth == ["sell,7,9,2"]


def test_a_quote_that_is_never_closed_is_read_on_in_bounded_memory() -> None:
    """Sixteen times the longest row, then good ones: no more than two of the longest rows ever wait."""
    splitter, rows = Splitter(), 0
    for piece in [b'"open,' + b"x" * 50 + b"\n", *[FILL.encode() * 100] * (MANY * 16 // 100)]:
        rows += len(splitter.feed(piece))
        assert len(splitter._open) + len(splitter._tail) <= 2 * ROW_CHARS_MAX
    assert rows + len(splitter.end()) == 1 + MANY * 16 // 100 * 100


def rows_of(text: str) -> list[list[str]]:
    return [cells for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if cells]


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_cut_as_the_csv_module_cuts_them(seed: int) -> None:
    """What a CSV writer writes, in pieces of any size: every row's text is one row again."""
    draw = random.Random(seed)
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n", quoting=draw.choice((csv.QUOTE_ALL, csv.QUOTE_MINIMAL)))
    letters = 'ab,"\né'
    table = [["".join(draw.choices(letters, k=draw.randrange(9))) for _ in range(3)] for _ in range(200)]
    writer.writerows(table)
    data = written.getvalue().encode()
    splitter, rows = Splitter(), []
    while data:
        size = draw.choice((1, 2, 7, 100, 10_000))
        rows += splitter.feed(data[:size])
        data = data[size:]
    rows += splitter.end()
    assert [next(csv.reader([row], strict=True)) for row in rows] == table


def reference_rows(text: str) -> list[str]:
    """The same rule a letter at a time: a quote opens at a cell's beginning and closes before a comma or a newline."""
    rows, at = [], 0
    while at < len(text):
        end, quoted, begins = at, False, True
        while end < len(text) and end - at <= ROW_CHARS_MAX:
            letter = text[end]
            if quoted and text[end : end + 2] == '""':
                end += 1
            elif quoted and letter == '"':
                if text[end + 1] not in ",\n":
                    break
                quoted = False
            elif not quoted and letter == "\n":
                break
            elif letter == '"' and begins:
                quoted = True
            begins = not quoted and letter == ","
            end += 1
        if quoted or end - at > ROW_CHARS_MAX or end >= len(text) or text[end] != "\n":
            end = text.index("\n", at)
        rows.append(text[at:end])
        at = end + 1
    return [row for row in rows if row]


@pytest.mark.parametrize("seed", range(40))
def test_any_bytes_are_cut_alike_however_they_come(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr("engine.flow_rows.ROW_CHARS_MAX", 20)
    monkeypatch.setattr(f"{__name__}.ROW_CHARS_MAX", 20)
    text = "".join(draw.choices('aa,,""\n', k=draw.randrange(1, 3_000))) + "\n"
    expected = reference_rows(text)
    for size in (1, 3, 64, 10_000):
        splitter, rows = Splitter(), []
        for at in range(0, len(text), size):
            rows += splitter.feed(text[at : at + size].encode())
        assert [*map(shown, rows + splitter.end())] == [*map(shown, expected)]


def shown(row: str) -> str:
    """Of a row that is too long any part that shows this is as good."""
    return "(too long)" if len(row) > ROW_CHARS_MAX else row
