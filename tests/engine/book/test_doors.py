"""The three ways into a book: what each accepts, how far a batch comes, what waits, and the deltas of levels."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from engine.book import Book, BookLimits
from engine.kinds import Side
from engine.reasons import Reason
from engine.records import (
    COMMAND_BYTES,
    DELTA_BYTES,
    EVENT_BYTES,
    Command,
    EventKind,
    Op,
    Session,
    unpack_deltas,
    unpack_events,
)
from tests.engine.book.cases import BookFactory
from tests.engine.book.words import (
    CANCEL_OLDEST,
    IOC,
    STOP,
    amend,
    buy,
    cancel,
    does,
    line,
    reduce,
    sell,
    session,
    tick,
)

UNTOUCHED = 0xA5


@pytest.fixture
def book(make_book: BookFactory) -> Book:
    return make_book(BookLimits(band_ppm=0))


def packed(*commands: Command) -> bytes:
    return b"".join(command.pack() for command in commands)


def buffer(record_bytes: int, room: int, over: int = 0) -> bytearray:
    return bytearray([UNTOUCHED]) * (record_bytes * room + over)


def lines(data: bytes | bytearray | memoryview) -> list[str]:
    return [f"{event.command}: {line(event)}" for event in unpack_events(bytes(data))]


def told(deltas: bytes | bytearray, count: int) -> list[str]:
    """Side, totals@price and orders, then the command."""
    return [
        f"{delta.command}: {delta.side.name.lower()} {delta.unconditional}+{delta.conditional}@{delta.price}x{delta.orders}"
        for delta in unpack_deltas(bytes(deltas[: count * DELTA_BYTES]))
    ]


# ---------------------------------------------------------------- single calls and lists


def test_single_calls_say_command_0_and_lists_the_index(book: Book) -> None:
    assert lines(book.submit(sell(1, 10, 5))) == ["0: accepted 1 sell 5@10 leaves 5"]
    assert lines(book.submit_many([tick(), buy(2, 10, 2), cancel(2), cancel(1)])) == [
        "1: accepted 2 buy 2@10 leaves 2",
        "1: trade 1 x2 buy 2@10 leaves 3",
        "2: rejected 2 unknown_order",
        "3: canceled 1 sell 3@10 requested",
    ]
    assert book.submit_many([]) == b""


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": -1},
        {"quantity": 2**32},
        {"price": 2**31},
        {"price": -(2**31) - 1},
        {"ts_ns": 2**63},
        {"features": 2**16},
        {"lot": 2**16},
        {"min_rating": 256},
        {"account": 2**32},
        {"shape": 256},
        {"price": "10"},
        {"quantity": 1.5},
        {"quantity": None},
    ],
    ids=str,
)
def test_a_value_that_its_field_cannot_hold_is_malformed(book: Book, fields: dict[str, Any]) -> None:
    before = book.state()
    assert lines(book.submit(buy(7, 10, 1)._replace(**fields))) == ["0: rejected 7 malformed_record"]
    assert book.state() == before


@pytest.mark.parametrize("order_id", [-1, 2**64, "7", None])
def test_an_id_that_its_field_cannot_hold_is_said_as_0(book: Book, order_id: Any) -> None:
    assert lines(book.submit_many([tick(), cancel(7)._replace(order_id=order_id)])) == ["1: rejected malformed_record"]


def test_one_thread_at_a_time(book: Book) -> None:
    """Two threads at one book: sooner or later one comes while the other is inside, and whoever it is, is told so."""
    refused = threading.Event()
    work = (tick().pack() * 100_000, b"")

    def insist(commands: bytes) -> None:
        while not refused.is_set():
            try:
                book.batch(commands, bytearray(EVENT_BYTES))
            except RuntimeError:
                refused.set()

    threads = [threading.Thread(target=insist, args=(commands,)) for commands in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines(book.submit(sell(1, 10, 5))) == ["0: accepted 1 sell 5@10 leaves 5"]


# ---------------------------------------------------------------- batches


def test_a_batch_says_how_far_it_came(book: Book) -> None:
    out = buffer(EVENT_BYTES, 9, over=13)
    assert book.batch(packed(sell(1, 10, 5), tick(), buy(2, 10, 2)), out) == (3, 3, 0, 0)
    assert lines(out[: 3 * EVENT_BYTES]) == [
        "0: accepted 1 sell 5@10 leaves 5",
        "2: accepted 2 buy 2@10 leaves 2",
        "2: trade 1 x2 buy 2@10 leaves 3",
    ]
    assert set(out[3 * EVENT_BYTES :]) == {UNTOUCHED}


def test_a_batch_stops_where_out_is_full_and_goes_on_there(book: Book) -> None:
    commands = packed(*(sell(number, 10, 1) for number in (1, 2, 3)), buy(4, 10, 3), cancel(9))
    out = buffer(EVENT_BYTES, 5)
    assert book.batch(commands, out) == (4, 5, 0, 2)
    assert lines(out)[3:] == ["3: accepted 4 buy 3@10 leaves 3", "3: trade 1 x4 buy 1@10 other 2"]
    assert len(book) == 0
    left = commands[4 * COMMAND_BYTES :]
    # What waits keeps its index, and no command is begun while no record fits.
    assert book.batch(left, bytearray(EVENT_BYTES - 1)) == (0, 0, 0, 2)
    assert book.batch(left, out[:EVENT_BYTES]) == (0, 1, 0, 1)
    assert book.batch(left, out) == (1, 2, 0, 0)
    assert lines(out[: 2 * EVENT_BYTES]) == ["3: trade 3 x4 buy 1@10", "0: rejected 9 unknown_order"]


@pytest.mark.parametrize("way", ["submit", "submit_many"])
def test_what_waits_is_given_first_by_the_other_ways_too(book: Book, way: str) -> None:
    out = buffer(EVENT_BYTES, 1)
    assert book.batch(packed(buy(1, 10, 1, tif=IOC)), out) == (1, 1, 0, 1)
    data = book.submit(cancel(9)) if way == "submit" else book.submit_many([cancel(9)])
    assert lines(data) == ["0: canceled 1 buy 1@10 ioc_remainder", "0: rejected 9 unknown_order"]
    assert book.batch(b"", out) == (0, 0, 0, 0)


def test_a_full_out_stops_even_before_what_writes_nothing(book: Book) -> None:
    out = buffer(EVENT_BYTES, 1)
    assert book.batch(packed(cancel(1), tick()), out) == (1, 1, 0, 0)
    assert book.batch(packed(tick(), tick()), out) == (2, 0, 0, 0)


@pytest.mark.parametrize("length", [1, COMMAND_BYTES - 1, COMMAND_BYTES + 1, 3 * COMMAND_BYTES - 1])
def test_commands_are_whole_records(book: Book, length: int) -> None:
    before = book.state()
    with pytest.raises(ValueError, match="64"):
        book.batch(bytes(length), bytearray(400))
    assert book.state() == before


def test_buffers_are_contiguous_and_what_is_written_writable(book: Book) -> None:
    commands = packed(tick(), tick())
    for wrong in ((commands, bytes(400)), (commands, bytearray(400), bytes(400))):
        with pytest.raises(BufferError):
            book.batch(*wrong)
    scattered = memoryview(bytearray(1_000))[::2]
    for wrong_view in ((scattered[:128], bytearray(400)), (commands, scattered), (commands, bytearray(400), scattered)):
        with pytest.raises(BufferError):
            book.batch(*wrong_view)
    with pytest.raises(ValueError, match="64"):
        book.batch(commands[1:], bytes(400))
    with pytest.raises(TypeError):
        book.batch("no buffer", bytearray(400))
    assert book.batch(commands, bytearray(400)) == (2, 0, 0, 0)


def test_any_buffer_will_do(book: Book) -> None:
    """Views with an offset, and items of more than a byte."""
    commands = bytearray(b"\0" * 3 + packed(sell(1, 10, 5), sell(2, 10, 5)))
    out = memoryview(bytearray(1_003))[3:].cast("B")
    assert book.batch(memoryview(commands)[3:], out) == (2, 2, 0, 0)
    words = memoryview(bytearray(400)).cast("Q")
    assert book.batch(memoryview(packed(cancel(1))).cast("I"), words) == (1, 1, 0, 0)
    assert lines(words.cast("B")[:EVENT_BYTES]) == ["0: canceled 1 sell 5@10 requested"]


def test_garbage_is_refused_record_by_record(book: Book) -> None:
    commands = bytes(64) + b"\xff" * 64 + packed(sell(1, 10, 5))
    out = buffer(EVENT_BYTES, 3)
    assert book.batch(commands, out) == (3, 3, 0, 0)
    assert [event.reason for event in unpack_events(bytes(out))] == [Reason.MALFORMED_RECORD] * 2 + [Reason.NONE]
    assert [event.kind for event in unpack_events(bytes(out))][2] is EventKind.ACCEPTED


# ---------------------------------------------------------------- deltas


class Feed:
    """Batches with buffers that are large enough."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def __call__(self, *commands: Command, room: int = 100) -> list[str]:
        deltas = buffer(DELTA_BYTES, room)
        result = self.book.batch(packed(*commands), bytearray(100_000), deltas)
        assert result.consumed == len(commands)
        assert set(deltas[result.deltas * DELTA_BYTES :]) <= {UNTOUCHED}
        return told(deltas, result.deltas)


@pytest.fixture
def feed(book: Book) -> Feed:
    return Feed(book)


def test_each_level_that_changed_is_told_once_with_its_totals_now(feed: Feed) -> None:
    assert feed(sell(1, 11, 5), sell(2, 10, 4, lot=2), buy(3, 9, 1), sell(4, 11, 2), cancel(7)) == [
        "3: sell 7+0@11x2",
        "1: sell 0+4@10x1",
        "2: buy 1+0@9x1",
    ]
    assert feed(buy(5, 11, 9)) == ["0: sell 0+0@10x0", "0: sell 2+0@11x1"]
    assert feed(tick()) == []


def test_a_change_that_is_undone_is_told(feed: Feed) -> None:
    assert feed(buy(1, 9, 1), cancel(1)) == ["1: buy 0+0@9x0"]


def test_what_has_no_effect_on_a_level_is_not_told(feed: Feed) -> None:
    feed(sell(1, 10, 9, display_quantity=2), buy(2, 5, 1))
    quiet = (
        reduce(1, 1),
        amend(1, quantity=7),
        does(Op.MOVE_WINDOW, 1, window_end_h=9),
        buy(3, 20, 1, STOP, stop_price=15),
        amend(3, price=21),
        cancel(3),
        buy(4, 9, 1, tif=IOC),
        amend(2),
        session(Session.HALTED),
    )
    assert feed(*quiet) == []
    assert feed(reduce(1, 6)) == ["0: sell 1+0@10x1"]


def test_a_refill_and_an_amend_to_the_same_place_are_told(feed: Feed) -> None:
    feed(sell(1, 10, 9, display_quantity=2), sell(2, 11, 1))
    assert feed(buy(3, 10, 2)) == ["0: sell 2+0@10x1"]
    assert feed(tick(), amend(2, price=11)) == ["1: sell 1+0@11x1"]


def test_own_orders_cut_down_are_told(feed: Feed) -> None:
    feed(sell(1, 10, 9, account=5))
    assert feed(buy(2, 10, 1, stp=CANCEL_OLDEST, account=5)) == ["0: sell 0+0@10x0", "0: buy 1+0@10x1"]


def test_an_auction_tells_its_levels(feed: Feed) -> None:
    feed(sell(1, 10, 9, display_quantity=3), session(Session.AUCTION), buy(2, 10, 2))
    # The iceberg shows as much as before: its level didn't change.
    assert feed(session(Session.CONTINUOUS)) == ["0: buy 0+0@10x0"]


def test_what_finds_no_room_is_told_by_the_next_call_in_its_place(feed: Feed) -> None:
    assert feed(buy(1, 7, 1), buy(2, 8, 1), buy(3, 9, 1), room=1) == ["0: buy 1+0@7x1"]
    assert feed(tick(), buy(4, 9, 1), buy(5, 7, 1), room=2) == ["0: buy 1+0@8x1", "1: buy 2+0@9x2"]
    assert feed(room=0) == []
    assert feed() == ["0: buy 2+0@7x2"]


@pytest.mark.parametrize("way", ["batch", "submit", "submit_many"])
def test_without_a_buffer_nothing_is_kept_and_what_waits_is_forgotten(book: Book, feed: Feed, way: str) -> None:
    feed(buy(1, 7, 1), room=0)
    if way == "batch":
        book.batch(packed(buy(2, 8, 1)), bytearray(400))
    elif way == "submit":
        book.submit(buy(2, 8, 1))
    else:
        book.submit_many([buy(2, 8, 1)])
    assert feed(buy(3, 9, 1)) == ["0: buy 1+0@9x1"]


def test_deltas_are_told_even_where_out_is_full(book: Book) -> None:
    deltas = buffer(DELTA_BYTES, 2)
    result = book.batch(packed(buy(1, 7, 1), buy(2, 8, 1), buy(3, 9, 1)), bytearray(2 * EVENT_BYTES), deltas)
    assert result == (2, 2, 2, 0)
    assert told(deltas, 2) == ["0: buy 1+0@7x1", "1: buy 1+0@8x1"]


def test_deltas_rebuild_the_depth(book: Book, feed: Feed) -> None:
    """Whoever keeps the levels that he is told has the depth."""
    kept: dict[tuple[str, str], str] = {}
    orders = [
        *(buy(number, 90 + number % 7, 1 + number % 5, display_quantity=number % 3) for number in range(1, 60)),
        *(sell(number, 94 + number % 7, 1 + number % 4, hours=number % 3) for number in range(60, 120)),
        *(cancel(number) for number in range(1, 120, 3)),
        *(amend(number, price=80 + number % 30) for number in range(1, 120, 5)),
    ]
    for at in range(0, len(orders), 7):
        for text in feed(*orders[at : at + 7], room=100):
            side, totals = text.split(": ")[1].split(" ")
            amounts, rest = totals.split("@")
            price, count = rest.split("x")
            if count == "0":
                kept.pop((side, price), None)
            else:
                kept[side, price] = f"{amounts}x{count}"
    depth = {
        (side.name.lower(), str(level.price)): f"{level.unconditional}+{level.conditional}x{level.orders}"
        for side in Side
        for level in book.depth(side, 1_000)
    }
    assert depth
    assert kept == depth
