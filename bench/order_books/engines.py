"""The engines that play the flows: the project's two books, the bare one, and any program that keeps to `Program`'s manner.

Each is timed over the same records and gives its fills in one form, so that they can be compared byte by byte. What isn't
the engine's work (reading records, keeping what it said) is done before or after the clock. The clock is the thread's
processor time, so that other programs on the machine count as little as they can. It knows no goal.
"""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final, NamedTuple, Protocol

from bench.order_books.bare import BareBook
from bench.order_books.flows import Flow, call_of
from bench.order_books.form import FILL
from engine.book import Book, BookLimits
from engine.records import COMMAND_BYTES, EVENT, EVENT_BYTES, EventKind

BATCH: Final = 1_024
EVENTS_ROOM: Final = 16 * BATCH
PROGRAM_TIMEOUT_S: Final = 600

MakeBook = Callable[[BookLimits], Book]


class Played(NamedTuple):
    """Time of the timed operations, and every fill in order as `FILL`."""

    ns: int
    fills: bytes


class CannotPlayError(Exception):
    """An engine failed; the text says how."""


class Engine(Protocol):
    """Plays a flow in a book of its own, each time anew."""

    def play(self, flow: Flow) -> Played: ...


def limits_of(flow: Flow) -> BookLimits:
    """All of the rulebook's bounds; the band too, unless the flow leaves it by intention."""
    return BookLimits() if flow.banded else BookLimits(band_ppm=0)


def filled(book: Book, flow: Flow) -> None:
    """Play what fills the book."""
    out = bytearray(EVENTS_ROOM * EVENT_BYTES)
    for chunk in _chunks(memoryview(flow.commands)[: flow.prefill * COMMAND_BYTES]):
        book.batch(chunk, out)
    if len(book) != flow.prefill:
        raise CannotPlayError(f"{len(book)} orders of {flow.prefill} rest after filling")


def _chunks(commands: memoryview) -> list[memoryview]:
    return [commands[at : at + BATCH * COMMAND_BYTES] for at in range(0, len(commands), BATCH * COMMAND_BYTES)]


def fills_of(events: Iterable[bytes]) -> bytes:
    """The trades among event records."""
    kind_at, trade = EVENT_BYTES - 4, int(EventKind.TRADE)
    fills = bytearray()
    for block in events:
        for start, kind in enumerate(block[kind_at::EVENT_BYTES]):
            if kind == trade:
                maker, taker, _, price, quantity, *_ = EVENT.unpack_from(block, start * EVENT_BYTES)
                fills += FILL.pack(maker, taker, price, quantity)
    return bytes(fills)


class Batches:
    """One of our books by `batch`, some records a call."""

    def __init__(self, make: MakeBook) -> None:
        self._make = make

    def play(self, flow: Flow) -> Played:
        book = self._make(limits_of(flow))
        filled(book, flow)
        chunks = _chunks(memoryview(flow.commands)[flow.prefill * COMMAND_BYTES :])
        out = bytearray(EVENTS_ROOM * EVENT_BYTES)
        told = []
        ns = 0
        with _Quiet():
            for chunk in chunks:
                began = thread_time_ns()
                result = book.batch(chunk, out)
                ns += thread_time_ns() - began
                if result.consumed * COMMAND_BYTES != len(chunk) or result.pending:
                    raise CannotPlayError(f"a batch stopped after {result.consumed} commands")
                told.append(bytes(out[: result.written * EVENT_BYTES]))
        return Played(ns, fills_of(told))


class Singles:
    """One of our books by `submit`, one order a call. order_of: makes what it takes of a command record."""

    def __init__(self, make: MakeBook, order_of: Callable[[bytes], Any]) -> None:
        self._make = make
        self._order_of = order_of

    def play(self, flow: Flow) -> Played:
        book, orders = self._ready(flow)
        submit = book.submit
        with _Quiet():
            began = thread_time_ns()
            for order in orders:
                submit(order)
            ns = thread_time_ns() - began
        # What it said is asked of a second book: keeping every answer isn't the engine's work, and memory is slow.
        again, orders = self._ready(flow)
        told = [again.submit(order) for order in orders]
        if again.state() != book.state():
            raise CannotPlayError("the same orders left two books different")
        return Played(ns, fills_of(told))

    def times(self, flow: Flow) -> list[int]:
        """How long each call took, the reading of the clock included."""
        book, orders = self._ready(flow)
        submit = book.submit
        times = [0] * len(orders)
        with _Quiet():
            for index, order in enumerate(orders):
                began = perf_counter_ns()
                submit(order)
                times[index] = perf_counter_ns() - began
        return times

    def _ready(self, flow: Flow) -> tuple[Book, list[Any]]:
        book = self._make(limits_of(flow))
        filled(book, flow)
        records = flow.commands[flow.prefill * COMMAND_BYTES :]
        starts = range(0, len(records), COMMAND_BYTES)
        return book, [self._order_of(records[start : start + COMMAND_BYTES]) for start in starts]


class Bare:
    """The bare book, one call an order; it has no other way."""

    def play(self, flow: Flow) -> Played:
        book = BareBook()
        records = range(0, len(flow.commands), COMMAND_BYTES)
        calls = [call_of(book, flow.commands[start : start + COMMAND_BYTES]) for start in records]
        for method, arguments in calls[: flow.prefill]:
            method(*arguments)
        timed = calls[flow.prefill :]
        with _Quiet():
            began = thread_time_ns()
            for method, arguments in timed:
                method(*arguments)
            ns = thread_time_ns() - began
        return Played(ns, b"".join(FILL.pack(*fill) for fill in book.fills))


class Program:
    """Any other engine: `PROGRAM FLOW PREFILL FILLS` plays the command records in the file FLOW in a fresh book.

    The first PREFILL records fill the book; over the others it takes its thread's processor time, and prints it in ns. Every fill
    goes to the file FILLS as `FILL`. An IOC always finds what it asks for, and there is no amend, so an engine of plain
    limit orders and cancels can play.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        self._command = list(command)
        self._folder = folder
        self._environment = environment

    def play(self, flow: Flow) -> Played:
        records, fills = self._folder / "flow", self._folder / "fills"
        records.write_bytes(flow.commands)
        fills.unlink(missing_ok=True)
        arguments = [*self._command, str(records), str(flow.prefill), str(fills)]
        try:
            done = subprocess.run(
                arguments, capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, env=self._environment, check=True
            )
            return Played(int(done.stdout), fills.read_bytes())
        except subprocess.CalledProcessError as error:
            raise CannotPlayError((error.stderr.strip().splitlines() or [str(error)])[-1]) from None
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise CannotPlayError(str(error)) from None


class _Quiet:
    """No garbage collection while the clock runs: it would measure what the bench itself keeps."""

    def __enter__(self) -> None:
        gc.collect()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()
