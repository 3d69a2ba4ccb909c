"""Without memory no story is told wrong: whichever allocation fails, what was told stays told and the rest comes later.

A small library that stands before the C library's lets a process's allocations fail by number.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
LIMIT_S: Final = 120

FAILING: Final = """
#include <stddef.h>
extern void *__libc_malloc(size_t), *__libc_realloc(void *, size_t), *__libc_calloc(size_t, size_t);
/* How many more pools may grow, and whether large objects may be made; below 0: no bound. */
int pools_left = -1, objects_left = -1;
static int refuses(int *left) { if (*left < 0) return 0; if (*left == 0) return 1; --*left; return 0; }
void *malloc(size_t size) { return size > 1000 && refuses(&objects_left) ? 0 : __libc_malloc(size); }
void *realloc(void *old, size_t size) { return refuses(&pools_left) ? 0 : __libc_realloc(old, size); }
void *calloc(size_t count, size_t size) { return refuses(&pools_left) ? 0 : __libc_calloc(count, size); }
"""

BEGIN: Final = """
import ctypes, gc
from engine.book import BookLimits, encode_state
from engine.book_fast import FastBook
from engine.book_plain import PlainBook
from engine.records import EVENT_BYTES, Command, Op, unpack_events
from tests.engine.book.words import IOC, STOP, buy, cancel, sell, tick

gc.disable()
pools = ctypes.c_int.in_dll(ctypes.CDLL(None), "pools_left")
objects = ctypes.c_int.in_dll(ctypes.CDLL(None), "objects_left")
LIMITS = BookLimits(band_ppm=0)


def packed(commands):
    return b"".join(command.pack() for command in commands)


def said(data):
    return [event._replace(command=0) for event in unpack_events(bytes(data))]


def asks(count):
    return [sell(number, 100 + number, 5) for number in range(1, count + 1)]
"""

TOLD_FIRST: Final = """
book = FastBook(LIMITS)
book.submit_many(asks(5))
first, second = bytearray(EVENT_BYTES), bytearray(7 * EVENT_BYTES)
assert book.batch(buy(99, 200, 25).pack(), first) == (1, 1, 0, 5)
pools.value = 0
try:
    result = book.batch(buy(100, 50, 5, display_quantity=5).pack(), second)
finally:
    pools.value = -1
assert result == (0, 5, 0, 0), result
assert [event.kind.name for event in said(second[: 5 * EVENT_BYTES])] == ["TRADE"] * 5
pools.value = 0
try:
    book.batch(buy(100, 50, 5, display_quantity=5).pack(), second)
    raise AssertionError("it found memory")
except MemoryError:
    pass
finally:
    pools.value = -1
"""

STOPS: Final = """
before = [*asks(30), *(buy(number, 500, 9, STOP, stop_price=100 + number % 7) for number in range(200, 220))]
life = [buy(300, 105, 25), tick(), sell(301, 99, 1), buy(302, 500, 1, IOC)]
loud = 0
for allowed in range(9):
    for room in (1, 5, 8, 12, 15, 20, 30, 60):
        deltas = bytearray(1 << 12) if allowed % 2 else None
        book, plain = FastBook(LIMITS), PlainBook(LIMITS)
        assert book.submit_many(before) == plain.submit_many(before)
        want = said(plain.submit_many(life))
        heard, done, calls, out = bytearray(), 0, 0, bytearray(room * EVENT_BYTES)
        while done < len(life):
            calls += 1
            pools.value = allowed if calls == 1 else 0 if calls < 4 else -1
            try:
                result = book.batch(packed(life[done:]), out, deltas)
                pools.value = -1
                done += result.consumed
                heard += out[: result.written * EVENT_BYTES]
            except MemoryError:
                pass
            pools.value = 0 if calls < 4 else -1
            try:
                len(book)
            except MemoryError:
                loud += 1
            finally:
                pools.value = -1
        rest = bytearray(1 << 16)
        heard += rest[: book.batch(b"", rest).written * EVENT_BYTES]
        assert said(heard) == want, (allowed, room)
        assert encode_state(book.state()) == encode_state(plain.state()), (allowed, room)
assert loud
"""

ANSWER: Final = """
book, plain = FastBook(LIMITS), PlainBook(LIMITS)
for either in (book, plain):
    either.submit_many(asks(60))
objects.value = 0
try:
    book.submit(buy(99, 200, 300))
    raise AssertionError("it found memory")
except MemoryError:
    pass
finally:
    objects.value = -1
assert said(book.submit(cancel(7))) == said(plain.submit(buy(99, 200, 300)) + plain.submit(cancel(7)))
assert encode_state(book.state()) == encode_state(plain.state())
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failing")
    (folder / "failing.c").write_text(FAILING)
    compiler = os.environ.get("CC", "cc").split()[0]
    library = folder / "failing.so"
    build = [compiler, "-shared", "-fPIC", "-fno-builtin", "-o", str(library), str(folder / "failing.c")]
    subprocess.run(build, check=True, timeout=LIMIT_S)
    return library


@pytest.mark.parametrize("program", [TOLD_FIRST, STOPS, ANSWER], ids=["what waited", "stops", "an answer"])
def test_whatever_finds_no_memory_the_story_is_the_same(failing: Path, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(failing)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
