"""An order flow's CSV, bytes in any pieces, as runs of command records (RFC 4180): cut into rows, and the rows read.

A row that can't be read is a reject, and reading goes on at the line after the one that it began in: a quote that was
opened by mistake costs one row. What is kept is bounded by the longest row. It knows CSV; it never knows files or a rule of
matching.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Final, NamedTuple

from engine.flow import COLUMNS, USED, Packer, Run, plain_number
from engine.kinds import edge_name
from engine.reasons import Reason

ROW_CHARS_MAX: Final = 65_536
"""A longer row is a reject without its time and id."""
UTF8_BYTES_MAX: Final = 4
TIME_DIGITS_MAX: Final = 20
"""Of a time that a reject repeats."""
MALFORMED: Final = edge_name(Reason.MALFORMED_RECORD)

_QUOTED: Final = '"[^"]*+(?:""[^"]*+)*+'
_CELL: Final = rf'(?:{_QUOTED}"(?![^,\n])|(?!")[^,\n]*+)'
ROW: Final = re.compile(rf"{_CELL}(?:,{_CELL})*+\n")
"""A whole row with its newline; other newlines stand in quotes."""
OPEN_ROW: Final = re.compile(rf"(?:{_CELL},)*+{_QUOTED}")
"""The beginning of a row up to where it isn't decided yet: a quote may close, or be the first of two."""


class Unnamed(ValueError):
    """The first row doesn't name the columns; the text says why."""


class Rejected(NamedTuple):
    """A row of the rejects; empty what couldn't be read."""

    ts_ns: int | str
    order_id: str
    code: str


class Splitter:
    """Cuts bytes into rows, without their ends; blank lines are none. Of one too long only so much is kept that this shows.

    CR LF is a newline like LF, in quotes too. Bytes that aren't UTF-8 come as lone surrogates.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._open = ""
        """Whole lines of a row that has more of them, all of it in `_tail` and what comes."""

    def feed(self, piece: bytes) -> list[str]:
        """The rows that end in this piece."""
        block = self._tail + piece
        cut = block.rfind(b"\n") + 1
        self._tail = block[cut:][: UTF8_BYTES_MAX * ROW_CHARS_MAX + 1]
        return self._split(block[:cut], ended=False)

    def end(self) -> list[str]:
        """The rows that are left, now that nothing comes."""
        last = self._tail + b"\n" if self._tail else b""
        self._tail = b""
        return self._split(last, ended=True)

    def _split(self, lines: bytes, ended: bool) -> list[str]:
        text = self._open + lines.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
        if '"' in text:
            return self._split_quoted(text, ended)
        return [line for line in text.split("\n") if line]

    def _split_quoted(self, text: str, ended: bool) -> list[str]:
        self._open = ""
        rows, at = [], 0
        while at < len(text):
            bound = at + ROW_CHARS_MAX + 1
            whole = ROW.match(text, at, bound)
            if whole is not None:
                end = whole.end()
            elif not ended and bound > len(text) and OPEN_ROW.fullmatch(text, at):
                self._open = text[at:]
                break
            else:
                end = text.find("\n", at) + 1
            if end > at + 1:
                rows.append(text[at : end - 1])
            at = end
        return rows


class Rows:
    """Rows as runs of command records, and as rejects what can't be read."""

    def __init__(self, header: str) -> None:
        try:
            self._names = next(csv.reader([header], strict=True))
        except (ValueError, csv.Error) as error:
            raise Unnamed(f"line 1: {error}") from None
        for name in self._names:
            if name not in COLUMNS:
                raise Unnamed(f"line 1 names a column {_printable(name)[:40]!r}; there are {', '.join(COLUMNS)}")
            if self._names.count(name) > 1:
                raise Unnamed(f"line 1 names the column {name} twice")
        if "order_id" not in self._names:
            raise Unnamed("line 1 names no column order_id; the first row names the columns")
        self.packer = Packer()

    def read(self, rows: Sequence[str]) -> Iterator[Run | Rejected]:
        """All of them in order. What doesn't read as a whole is halved until the row to blame stands alone."""
        try:
            run = self._run(rows)
        except (ValueError, KeyError, OverflowError, csv.Error):
            if len(rows) > 1:
                yield from self.read(rows[: len(rows) // 2])
                yield from self.read(rows[len(rows) // 2 :])
            else:
                yield self._alone(rows[0])
        else:
            yield run

    def _run(self, rows: Sequence[str]) -> Run:
        if max(map(len, rows)) > ROW_CHARS_MAX:
            raise ValueError("too long")
        width = len(self._names)
        cells = _cells(rows, width)
        return self.packer.pack({name: cells[index::width] for index, name in enumerate(self._names)})

    def _alone(self, text: str) -> Run | Rejected:
        """One row without what its op doesn't look at; a reject if it can't be read even so."""
        if len(text) > ROW_CHARS_MAX:
            return Rejected("", "", MALFORMED)
        cells: list[str] = []
        with suppress(csv.Error, ValueError):
            cells = next(csv.reader([_printable(text)]))
        row = dict(zip(self._names, cells, strict=False))
        with suppress(csv.Error, ValueError, KeyError, OverflowError):
            _cells([text], len(self._names))
            used = USED.get(row.get("op", ""), COLUMNS)
            return self.packer.pack({name: (cell,) for name, cell in row.items() if name in used})
        ts_ns = row.get("ts_ns", "")
        readable = plain_number(ts_ns) and len(ts_ns) <= TIME_DIGITS_MAX
        return Rejected(int(ts_ns) if readable else "", row.get("order_id", ""), MALFORMED)


def _cells(rows: Sequence[str], width: int) -> list[str]:
    """The cells of all rows, one row's after the other's; ValueError or csv.Error when one can't stand in a flow."""
    text = ",".join(rows)
    if "\0" in text or "\r" in text:
        raise ValueError("a NUL or a carriage return")
    if not text.isascii():
        text.encode()  # lone surrogates, which stand for what wasn't UTF-8, can't be encoded
    if '"' in text:
        read = list(csv.reader(rows, strict=True))
        widths = set(map(len, read))
        cells = list(chain.from_iterable(read))
    else:
        widths = {1 + commas for commas in set(map(str.count, rows, repeat(",")))}
        cells = text.split(",")
    if widths != {width} or len(cells) != width * len(rows):
        raise ValueError("too few or too many columns, or a quoted text that doesn't end in its row")
    return cells


def _printable(text: str) -> str:
    """The text with a mark for what can't stand in a CSV file."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return plain.replace("\0", "\ufffd").replace("\r", "\ufffd")
