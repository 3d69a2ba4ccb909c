"""Laws that hold after every command, whichever book it is: the auditor over random lives, and queues and slots by name."""

from __future__ import annotations

import os
from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Final

import pytest

from engine.book import BookLimits, Level
from engine.book_plain import PlainBook
from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import EVENT_BYTES, BookEvent, Command, EventKind, Given, Op, shape_of, unpack_events
from tests.engine.book.differential_pair import BookFactory, fast_book
from tests.engine.book.flows import segments
from tests.engine.book.flows_regimes import REGIMES
from tests.engine.book.laws_audit import audited

BOOKS: dict[str, BookFactory] = {"plain": PlainBook, "fast": fast_book()}
LIMITS: Final = BookLimits()
SELL: Final = shape_of(Side.SELL)
BUY: Final = shape_of(Side.BUY)
IOC_BUY: Final = shape_of(Side.BUY, OrderType.LIMIT, TimeInForce.IOC)
GROWTH_BYTES: Final = 1 << 20
"""What a process may grow by for other reasons than a book."""
TOLD_BY_A_FLOW: Final = {
    EventKind.REJECTED: {
        Reason.INVALID_PRICE,
        Reason.INVALID_QUANTITY,
        Reason.INVALID_ORDER,
        Reason.POST_ONLY_WOULD_TRADE,
        Reason.NO_LIQUIDITY,
        Reason.FOK_KILLED,
        Reason.SELF_TRADE,
        Reason.WALK_LIMIT,
        Reason.OUTSIDE_BAND,
        Reason.UNKNOWN_ORDER,
        Reason.NOTHING_TO_AMEND,
        Reason.DUPLICATE_ORDER_ID,
        Reason.MALFORMED_RECORD,
        Reason.SESSION_CLOSED,
        Reason.TOO_MANY_CONDITIONAL,
        Reason.TIME_WENT_BACK,
    },
    EventKind.CANCELED: {
        Reason.SELF_TRADE,
        Reason.WALK_LIMIT,
        Reason.OUTSIDE_BAND,
        Reason.IOC_REMAINDER,
        Reason.MARKET_REMAINDER,
        Reason.CONDITIONAL_LIMIT,
        Reason.INSTRUMENT_EXPIRED,
        Reason.MASS_CANCELED,
        Reason.REQUESTED,
        Reason.NO_LIQUIDITY,
    },
    EventKind.AMENDED: {Reason.NONE, Reason.SELF_TRADE, Reason.WINDOW_MOVED, Reason.REQUESTED},
    EventKind.SESSION: {Reason.NONE, Reason.OUTSIDE_BAND},
    EventKind.ACCEPTED: {Reason.NONE},
    EventKind.TRADE: {Reason.NONE},
    EventKind.TRIGGERED: {Reason.NONE},
    EventKind.REFILLED: {Reason.NONE},
    EventKind.CLEARED: {Reason.NONE},
}


@pytest.fixture(params=list(BOOKS))
def factory(request: pytest.FixtureRequest) -> BookFactory:
    return BOOKS[request.param]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("regime", REGIMES)
def test_no_law_is_broken(factory: BookFactory, regime: str) -> None:
    for segment in segments(11, 3_000, regime):
        audited(segment, factory)


@pytest.mark.timeout(300)
def test_no_law_is_broken_where_all_meets(factory: BookFactory) -> None:
    """And the flow is worth something: every kind of event and every reason is in it."""
    seen: Counter[tuple[EventKind, Reason]] = Counter()
    for segment in segments(1, 30_000):
        seen += audited(segment, factory).seen
    missing = {(kind, reason) for kind, reasons in TOLD_BY_A_FLOW.items() for reason in reasons} - set(seen)
    assert not missing


def new(order_id: int, shape: int, price: int, quantity: int) -> Command:
    return Command(Op.NEW, order_id, price=price, quantity=quantity, shape=shape, account=order_id & 0xFFFF)


def said(data: bytes) -> list[tuple[EventKind, int, int]]:
    """Kind, order and quantity of each event."""
    return [(event.kind, event.order_id, event.quantity) for event in unpack_events(data)]


@pytest.mark.parametrize("leaving", list(permutations([1, 2, 3, 4])), ids=str)
def test_cancelling_head_middle_or_tail_loses_nobody(factory: BookFactory, leaving: tuple[int, ...]) -> None:
    book = factory(LIMITS)
    book.submit_many([new(number, SELL, 100, number) for number in (1, 2, 3, 4)])
    left = [1, 2, 3, 4]
    for number in leaving[:3]:
        book.submit(Command(Op.CANCEL, number))
        left.remove(number)
        assert [order.order_id for order in book.resting(Side.SELL)] == left
        assert book.depth(Side.SELL, 9) == [Level(100, sum(left), 0, len(left))]
    assert said(book.submit(new(9, IOC_BUY, 100, 9)))[1] == (EventKind.TRADE, left[0], left[0])
    assert (len(book), book.depth(Side.SELL, 9)) == (0, [])


def test_an_amended_partial_keeps_its_residual(factory: BookFactory) -> None:
    book = factory(LIMITS)
    book.submit_many([new(1, SELL, 100, 10), new(2, IOC_BUY, 100, 4)])
    (event,) = unpack_events(book.submit(Command(Op.AMEND, 1, price=103, flags=Given.PRICE)))
    assert (event.kind, event.price, event.quantity, event.leaves) == (EventKind.AMENDED, 103, 10, 6)
    assert book.depth(Side.SELL, 9) == [Level(103, 6, 0, 1)]


def test_a_marketable_limit_stops_at_its_price_and_rests_and_an_ioc_never_does(factory: BookFactory) -> None:
    asks = [new(1, SELL, 100, 1), new(2, SELL, 101, 1), new(3, SELL, 102, 1)]
    book = factory(LIMITS)
    book.submit_many([*asks, new(4, BUY, 101, 5)])
    assert book.depth(Side.BUY, 9) == [Level(101, 3, 0, 1)]
    assert book.depth(Side.SELL, 9) == [Level(102, 1, 0, 1)]
    book = factory(LIMITS)
    book.submit_many([*asks, new(4, IOC_BUY, 101, 5)])
    assert (len(book), book.depth(Side.BUY, 9)) == (1, [])


def test_a_stale_cancel_or_amend_is_refused_and_changes_nothing(factory: BookFactory) -> None:
    book = factory(LIMITS)
    book.submit_many([new(1, SELL, 100, 1), new(2, SELL, 100, 1), new(3, IOC_BUY, 100, 1), Command(Op.CANCEL, 2)])
    before = book.state()
    for number in (1, 2, 3, 7):
        stale: list[Command] = [
            Command(Op.CANCEL, number),
            Command(Op.AMEND, number, price=99, flags=Given.PRICE),
            Command(Op.REDUCE, number, quantity=1),
            Command(Op.MOVE_WINDOW, number, window_end_h=9),
        ]
        for command in stale:
            events: list[BookEvent] = list(unpack_events(book.submit(command)))
            assert [(event.kind, event.reason) for event in events] == [(EventKind.REJECTED, Reason.UNKNOWN_ORDER)]
    assert book.state() == before


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def turnover(first: int, count: int) -> bytes:
    """Orders that come and go: cancelled, or filled whole, under ever new ids, at prices that wander."""
    records = []
    for number in range(first, first + count):
        price = 1_000 + number // 64 % 4_000
        records.append(new(2 * number + 1, SELL, price, 3).pack())
        if number % 2:
            records.append(Command(Op.CANCEL, 2 * number + 1).pack())
        else:
            records.append(new(2 * number + 2, IOC_BUY, price, 3).pack())
    return b"".join(records)


@pytest.mark.timeout(300)
def test_slots_are_free_again_after_cancel_and_fill() -> None:
    """A million orders come and go through the fast book, which grows by none of them."""
    book = BOOKS["fast"](LIMITS)
    out = bytearray(4 * 20_000 * EVENT_BYTES)
    crowd = [new(number, BUY, 1 + number % 900, 1) for number in range(1 << 40, (1 << 40) + 5_000)]
    book.submit_many(crowd)
    # Two rounds take turns: ids may come again once their orders are gone.
    rounds = [turnover(1 + turn * 10_000, 10_000) for turn in range(2)]

    def live(turns: int) -> None:
        for turn in range(turns):
            result = book.batch(rounds[turn % 2], out)
            assert (result.consumed, result.pending, len(book)) == (20_000, 0, len(crowd))

    live(4)
    before = resident_bytes()
    live(100)
    assert resident_bytes() - before < GROWTH_BYTES
