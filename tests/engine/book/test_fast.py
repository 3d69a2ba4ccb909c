"""What is the fast book's own: its layout in C, its memory, its large tables, its threads, its door for compiled code.

That it does what the plain book does is `test_differential.py`'s.
"""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest
from Cython.Build import cythonize
from setuptools import Distribution, Extension

from engine import book as protocol
from engine import kinds, reasons, records
from engine.book import UNBOUNDED, Book, BookLimits, encode_state
from engine.book_fast import FastBook, Order
from engine.book_plain import PlainBook
from engine.fast.layouts import codes, layouts
from engine.kinds import Side, TimeInForce
from engine.records import (
    COMMAND,
    COMMAND_BYTES,
    COMMAND_DTYPE,
    DELTA,
    DELTA_DTYPE,
    EVENT,
    EVENT_BYTES,
    EVENT_DTYPE,
    Command,
    EventKind,
    Given,
    Op,
    shape_of,
    unpack_events,
)

ROOT: Final = Path(__file__).resolve().parents[3]
EMPTY_BOOK_BYTES_MAX: Final = 4_096
ORDER_BYTES_MAX: Final = 64
SEED: Final = 3


def new(order_id: int, side: Side, price: int, quantity: int = 5, tif: TimeInForce = TimeInForce.GTC) -> Command:
    return Command(Op.NEW, order_id, 1, 0, price, quantity, shape_of(side, time_in_force=tif))


def packed(commands: list[Command]) -> bytes:
    return b"".join(command.pack() for command in commands)


def spread_out(orders: int) -> list[Command]:
    """Orders on both sides that don't meet, on few prices and on many."""
    chance = random.Random(SEED)
    return [
        new(order_id, Side.BUY, 1_000_000 - chance.randrange(400_000))
        if order_id % 2
        else new(order_id, Side.SELL, 1_000_001 + chance.randrange(300))
        for order_id in range(1, orders + 1)
    ]


# ---------------------------------------------------------------- the layout in C


@pytest.mark.parametrize(
    ("name", "size", "dtype"),
    [("command", COMMAND.size, COMMAND_DTYPE), ("event", EVENT.size, EVENT_DTYPE), ("delta", DELTA.size, DELTA_DTYPE)],
)
def test_c_records_are_the_records(name: str, size: int, dtype: list[tuple[str, str]]) -> None:
    offsets, at = {}, 0
    for field, kind in dtype:
        offsets[field] = at
        at += int(kind[-1])
    assert layouts()[name] == (size, offsets)


def test_c_numbers_are_those_of_the_enumerations() -> None:
    homes = (kinds, reasons, records, protocol)
    for (enumeration, member), number in codes().items():
        home = next(home for home in homes if hasattr(home, enumeration))
        assert getattr(home, enumeration)[member] == number, (enumeration, member)


# ---------------------------------------------------------------- orders


def test_an_order_is_the_same_bytes_as_a_command() -> None:
    values = (1, 2**64 - 1, -3, 4, -5, 6, 7, 1, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
    assert Order(*values).pack() == Command(Op(values[0]), *values[1:]).pack()
    assert Order(op=2, order_id=7, tag=3).pack() == Command(Op.CANCEL, 7, tag=3).pack()


@pytest.mark.parametrize("field", [name for name, _ in COMMAND_DTYPE if name != "op"])
def test_an_order_holds_no_value_that_its_field_cant(field: str) -> None:
    with pytest.raises(OverflowError):
        Order(1, **{field: 2**64})


def test_submit_takes_bytes_and_refuses_what_is_no_command() -> None:
    book = FastBook()
    (event,) = unpack_events(book.submit(new(1, Side.BUY, 10).pack()))
    assert event.kind is EventKind.ACCEPTED
    with pytest.raises(ValueError, match="64 bytes"):
        book.submit(b"short")
    with pytest.raises(TypeError):
        book.submit_many([new(2, Side.BUY, 10), object()])
    assert len(book) == 1


# ---------------------------------------------------------------- memory


def test_an_empty_book_is_small() -> None:
    assert sys.getsizeof(FastBook()) <= EMPTY_BOOK_BYTES_MAX


@pytest.mark.parametrize("orders", [30_000, 100_000])
def test_a_plain_order_at_rest_is_small(orders: int) -> None:
    book = FastBook()
    commands = packed([new(order_id, Side.BUY, 1_000 + order_id % 500) for order_id in range(1, orders + 1)])
    out = bytearray(orders * EVENT_BYTES)
    assert book.batch(commands, out).consumed == orders
    assert sys.getsizeof(book) <= orders * ORDER_BYTES_MAX


def test_what_left_makes_room_for_what_comes() -> None:
    book = FastBook(UNBOUNDED)
    commands = packed(spread_out(2_000))
    gone = packed([Command(Op.CANCEL, order_id, 1) for order_id in range(1, 1_001)])
    crossed = packed(
        [new(9_000, Side.SELL, 1, 100_000, TimeInForce.IOC), new(9_001, Side.BUY, 10**7, 100_000, TimeInForce.IOC)]
    )
    out = bytearray(1 << 20)
    sizes = []
    for _ in range(4):
        for data in (commands, gone, crossed):
            assert book.batch(data, out).consumed == len(data) // COMMAND_BYTES
        assert len(book) == 0
        sizes.append(sys.getsizeof(book))
    assert len(set(sizes)) == 1


STARVED: Final = """
import resource
from engine.book_fast import FastBook
from engine.kinds import Side
from engine.records import Command, Op, unpack_events
from tests.engine.book.test_fast import new, packed

book = FastBook()
out = bytearray(1 << 20)
batches = [packed([new(at + order_id, Side.BUY, at % 9_000_000 + order_id * 64) for order_id in range(1_000)])
    for at in range(1, 400_001, 1_000)]
pages = int(open("/proc/self/statm").read().split()[0])
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (6 << 20), hard))
consumed = 0
starved = False
try:
    for data in batches:
        done = book.batch(data, out).consumed
        consumed += done
        if done < 1_000:
            book.batch(data[done * 64:], out)
except MemoryError:
    starved = True
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
assert starved and 0 < consumed < 400_000, consumed
assert len(book) == consumed
assert sum(level.orders for level in book.depth(Side.BUY, 10**9)) == consumed
rest = b"".join(batches)[consumed * 64:]
assert book.batch(rest, bytearray(1 << 25)).consumed == len(rest) // 64
events = list(unpack_events(book.submit(Command(Op.MASS_CANCEL, ts_ns=2, flags=3))))
assert len(events) == 400_000 and len(book) == 0
"""


UNCOUNTED: Final = """
import resource
from engine.book_fast import FastBook
from engine.kinds import Side
from engine.records import Command, Op, Session, unpack_events
from tests.engine.book.test_fast import new, packed

book = FastBook()
book.submit(Command(Op.SET_SESSION, ts_ns=1, shape=Session.AUCTION))
orders = 140_000
crowd = packed([new(number, Side.SELL, 10)._replace(account=number) for number in range(1, orders + 1)])
out = bytearray(40 * orders)
assert book.batch(crowd, out).consumed == orders
enter = [new(orders + account, Side.BUY, 10)._replace(account=account) for account in (2_000, orders + 1)]
before = len(book), book.session, book.depth(Side.SELL, 9), book.depth(Side.BUY, 9)
pages = int(open("/proc/self/statm").read().split()[0])
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 20), hard))
starved = 0
for order in enter:
    try:
        book.submit(order)
    except MemoryError:
        starved += 1
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
assert starved == 2, starved
assert (len(book), book.session, book.depth(Side.SELL, 9), book.depth(Side.BUY, 9)) == before
said = [(event.kind.name, event.reason.name) for order in enter for event in unpack_events(book.submit(order))]
assert said == [("REJECTED", "WALK_LIMIT"), ("ACCEPTED", "NONE")], said
"""


@pytest.mark.parametrize("life", [STARVED, UNCOUNTED])
def test_without_memory_a_command_does_nothing_and_the_book_lives_on(life: str) -> None:
    answer = subprocess.run([sys.executable, "-c", life], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


# ---------------------------------------------------------------- large books


def test_a_large_book_lives_as_the_plain_one() -> None:
    """Tables that move a little with each order, ids that are asked for ahead, branches that come and go."""
    chance = random.Random(SEED)
    orders = 40_000
    commands = spread_out(orders)
    for order_id in chance.sample(range(1, orders + 1), 30_000):
        if order_id % 3:
            commands.append(Command(Op.CANCEL, order_id, 1))
        else:
            price = 1_000_000 - chance.randrange(999_000) if order_id % 2 else 1_000_001 + chance.randrange(8_000_000)
            commands.append(Command(Op.AMEND, order_id, 1, price=price, flags=Given.PRICE))
    commands += [new(orders + extra, Side.SELL, 1, 40, TimeInForce.IOC) for extra in range(1, 500)]
    fast, plain = FastBook(BookLimits(band_ppm=0)), PlainBook(BookLimits(band_ppm=0))
    out, deltas = bytearray(1 << 20), bytearray(1 << 19)
    for begin in range(0, len(commands), 5_000):
        data = packed(commands[begin : begin + 5_000])
        result = fast.batch(data, out, deltas)
        assert result.consumed * COMMAND_BYTES == len(data)
        said = bytes(out), bytes(deltas)
        assert plain.batch(data, out, deltas) == result
        assert (bytes(out), bytes(deltas)) == said
    assert encode_state(fast.state()) == encode_state(plain.state())
    again = FastBook()
    again.restore(plain.state())
    assert encode_state(again.state()) == encode_state(fast.state())


@pytest.mark.parametrize("step", [1, 1 << 20, 1 << 32, 1 << 44, 0x9E3779B97F4A7C15])
def test_ids_of_any_pattern_find_their_orders(step: int) -> None:
    book = FastBook()
    ids = [(1 + number * step) % 2**64 or 1 for number in range(9_000)]
    out = bytearray(len(ids) * EVENT_BYTES)
    book.batch(packed([new(order_id, Side.BUY, 10) for order_id in ids]), out)
    assert len(book) == len(set(ids))
    book.batch(packed([Command(Op.CANCEL, order_id, 1) for order_id in ids[::2]]), out)
    assert [order_id in book for order_id in ids[:2_000]] == [number % 2 == 1 for number in range(2_000)]


# ---------------------------------------------------------------- threads, and compiled code


def test_a_second_thread_is_refused_while_a_batch_runs() -> None:
    book = FastBook()
    ticks = packed([Command(Op.TICK, ts_ns=1)]) * 300_000
    refused = threading.Event()

    def batches() -> None:
        out = bytearray(EVENT_BYTES)
        for _ in range(500):
            if refused.is_set():
                return
            book.batch(ticks, out)

    thread = threading.Thread(target=batches)
    thread.start()
    while thread.is_alive() and not refused.is_set():
        try:
            len(book.state().bids)
        except RuntimeError:
            refused.set()
    thread.join()
    assert refused.is_set()
    assert len(book) == 0


DRIVER: Final = '''# cython: language_level=3
"""Drives a book record by record, as a compiled engine would, with room for few events at a time."""

from cpython.buffer cimport PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from engine.book_fast cimport FastBook
from engine.fast.records cimport CommandRecord, DeltaRecord, EventRecord, Sink


cdef class Mute(FastBook):
    """A book whose `drain` writes nothing."""

    cdef int64_t drain(self, Sink *sink) noexcept nogil:
        return 0


def drive(
    FastBook book, const unsigned char[::1] commands, unsigned char[::1] out, unsigned char[::1] deltas,
    uint64_t room
):
    cdef EventRecord events[64]
    cdef Sink sink
    cdef CommandRecord command
    cdef unsigned char *to = &out[0]
    cdef uint64_t place, told
    cdef int64_t waits = 1
    cdef int refused = 0
    book.enter()
    with nogil:
        book.keep_changes(True)
        for place in range(<uint64_t>commands.shape[0] // sizeof(CommandRecord)):
            memcpy(&command, &commands[place * sizeof(CommandRecord)], sizeof(CommandRecord))
            sink.next = &events[0]
            sink.end = &events[0] + room
            sink.command = <unsigned int>place
            refused += book.apply(&command, &sink) != 0
            memcpy(to, &events[0], <char *>sink.next - <char *>&events[0])
            to += <char *>sink.next - <char *>&events[0]
        while waits > 0:
            sink.next = &events[0]
            sink.end = &events[0] + (room or 1)
            waits = book.drain(&sink)
            memcpy(to, &events[0], <char *>sink.next - <char *>&events[0])
            to += <char *>sink.next - <char *>&events[0]
        told = book.tell_changes(<DeltaRecord *>&deltas[0], <uint64_t>deltas.shape[0] // sizeof(DeltaRecord))
        book.keep_changes(False)
        book.leave()
    return (to - &out[0]) // <Py_ssize_t>sizeof(EventRecord), told, refused


def entered(FastBook book, question):
    book.enter()
    try:
        return question(book)
    finally:
        book.leave()


cdef class Array:
    """Bytes in steps, and its words for who asks for what it isn't: NumPy's are ValueErrors, too."""

    cdef bytearray block
    cdef Py_ssize_t length
    cdef Py_ssize_t step
    cdef bint sealed

    def __init__(self, data, step=1, sealed=False):
        self.block, self.length, self.step, self.sealed = bytearray(data), len(data) // step, step, sealed

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.step != 1 and flags & PyBUF_STRIDES != PyBUF_STRIDES:
            raise ValueError("the array is not contiguous")
        if self.sealed and flags & PyBUF_WRITABLE:
            raise ValueError("the array is read-only")
        view.obj = self
        view.buf = <void *><char *>self.block
        view.len = self.length
        view.itemsize = 1
        view.readonly = self.sealed
        view.ndim = 1
        view.suboffsets = NULL
        view.internal = NULL
        view.format = NULL
        view.shape = &self.length if flags & PyBUF_ND else NULL
        view.strides = &self.step if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
'''


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """A compiled module that knows the book by its `.pxd` alone."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "hourbook_driver.pyx").write_text(DRIVER)
    (extension,) = cythonize(
        [Extension("hourbook_driver", [str(folder / "hourbook_driver.pyx")])],
        include_path=[str(ROOT)],
        build_dir=str(folder),
        quiet=True,
    )
    build = Distribution({"ext_modules": [extension]}).get_command_obj("build_ext")
    build.build_lib, build.build_temp = str(folder), str(folder)
    build.ensure_finalized()
    build.run()
    spec = importlib.util.spec_from_file_location("hourbook_driver", build.get_ext_fullpath("hourbook_driver"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def driven_life() -> bytes:
    """Few events for most commands, and many for some."""
    return packed(
        [
            *spread_out(300),
            new(1, Side.BUY, 5),
            *[new(1_000 + extra, Side.SELL, 1, 30, TimeInForce.IOC) for extra in range(20)],
            new(2_000, Side.BUY, 10**7, 400, TimeInForce.IOC),
        ]
    )


@pytest.mark.parametrize("room", [0, 1, 3, 8, 64])
def test_compiled_code_drives_a_book_without_python(driver: ModuleType, room: int) -> None:
    """Whatever the room, the events are those of a batch, all of them and in their order."""
    limits = BookLimits(band_ppm=0)
    by_batch, by_code = FastBook(limits), FastBook(limits)
    outs, tolds = [bytearray(1 << 16) for _ in range(2)], [bytearray(1 << 15) for _ in range(2)]
    result = by_batch.batch(driven_life(), outs[0], tolds[0])
    assert result.pending == 0
    assert driver.drive(by_code, driven_life(), outs[1], tolds[1], room) == (result.written, result.deltas, 1)
    assert outs[0] == outs[1]
    assert tolds[0] == tolds[1]
    assert encode_state(by_batch.state()) == encode_state(by_code.state())


def test_a_drain_that_writes_nothing_is_caught(driver: ModuleType) -> None:
    """The mutant of the test above: with little room its story is cut short."""
    mute, out = driver.Mute(BookLimits(band_ppm=0)), bytearray(1 << 16)
    whole = FastBook(BookLimits(band_ppm=0)).batch(driven_life(), bytearray(1 << 16)).written
    assert driver.drive(mute, driven_life(), out, bytearray(1 << 15), 3)[0] < whole


def test_compiled_code_that_is_inside_keeps_others_out(driver: ModuleType) -> None:
    book = FastBook()
    with pytest.raises(RuntimeError, match="another thread"):
        driver.entered(book, len)
    with pytest.raises(RuntimeError, match="another thread"):
        driver.entered(book, FastBook.state)
    assert len(book) == 0


@pytest.mark.parametrize("book", [PlainBook(), FastBook()], ids=["plain", "fast"])
def test_arrays_that_are_scattered_or_sealed_are_buffer_errors(driver: ModuleType, book: Book) -> None:
    """Whatever their own words would be."""
    array, ticks = driver.Array, packed([Command(Op.TICK), Command(Op.TICK)])
    whole, scattered, sealed = array(bytes(400)), array(bytes(400), 2), array(bytes(400), sealed=True)
    assert book.batch(array(ticks, sealed=True), whole, array(bytes(400))) == (2, 0, 0, 0)
    assert book.submit(array(ticks[:COMMAND_BYTES])) == b""
    calls: list[Callable[[], object]] = [
        lambda: book.batch(array(2 * ticks, 2), whole),
        *[lambda wrong=wrong: book.batch(ticks, wrong) for wrong in (scattered, sealed)],
        *[lambda wrong=wrong: book.batch(ticks, whole, wrong) for wrong in (scattered, sealed)],
        *[lambda ask=ask: ask(array(ticks, 2)) for ask in (book.submit, book.walk, book.protection)],
        lambda: book.submit_many([array(ticks, 2)]),
    ]
    for call in calls:
        with pytest.raises(BufferError, match="give a"):
            call()
