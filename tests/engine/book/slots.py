"""Rounds of every rare kind of order through one book, each ended in every way: what they took must be free again.

`memory(make)` tells what the book weighs after each round; whoever asks compares. It is apart from its test, so that a book
which leaks on purpose can be led through it, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.book import BookLimits
from engine.kinds import Side
from engine.reasons import Reason
from engine.records import DELTA_BYTES, EVENT_BYTES, Command, Op, Session, Sides
from tests.engine.book.cases import BookFactory
from tests.engine.book.words import IOC, NOW_H, NOW_NS, STOP, STOP_LIMIT, buy, cancel, mass_cancel, sell, session

ROUNDS: Final = 30
EACH: Final = 24
"""Orders of a kind."""
LIMITS: Final = BookLimits(
    max_looked=0, max_stops=0, max_conditional_account=1, max_conditional_side=0, band_ppm=0, display_ratio=0
)
BASE: Final = 1_000_000
ROUND_STEP: Final = 40_000
"""Ticks by which the prices move on from round to round: none comes again."""
PRICE_STEP: Final = 17
IDS: Final = 10_000
"""Of each part of a round."""
EVENTS_ROOM: Final = 1 << 14
KEEPER: Final = 1 << 40
"""An order that stays throughout: an emptied book would give all its memory back."""


def _orders(first: int, middle: int) -> Iterator[Command]:
    """Every kind, each order of an account of its own; none meets another."""
    number = first
    for place in range(EACH):
        ask, bid = middle + 1 + place * PRICE_STEP, middle - 1 - place * PRICE_STEP
        far = {"ts_ns": NOW_NS, "window_end_h": NOW_H + 1_000}
        kinds: tuple[tuple[str, int, dict[str, int]], ...] = (
            ("sell", ask, {"display_quantity": 2}),
            ("sell", ask + 1, {"lot": 2}),
            ("sell", ask + 2, {"hours": 2, "baron": 1 + place}),
            ("sell", ask + 3, far),
            ("sell", ask + 4, {"min_quantity": 3, "display_quantity": 3}),
            ("sell", ask + 5, {"tag": 1 + place}),
            ("sell", ask + 6, {}),
            ("buy", bid, {"display_quantity": 2}),
            ("buy", bid - 1, {"hours": 2}),
            ("buy", bid - 2, {"min_quantity": 2}),
            ("buy", bid - 3, {"min_rating": 1, "features": 1}),
            ("buy", bid - 4, {}),
        )
        for side, price, fields in kinds:
            number += 1
            yield (sell if side == "sell" else buy)(number, price, 8, account=number, **fields)
        stops = ((STOP, ask, bid), (STOP_LIMIT, ask, bid))
        for kind, above, below in stops:
            yield buy(number + 1, above, 8, kind, account=number + 1, stop_price=above, hours=2)
            yield sell(number + 2, below, 8, kind, account=number + 2, stop_price=below, min_quantity=2)
            number += 2


def _sweep(first: int, middle: int) -> list[Command]:
    """Takes all that rests, which triggers all stops, and then what they left."""
    wide = EACH * PRICE_STEP + 10
    taker = {"tif": IOC, "account": 9}
    return [
        buy(first + 1, middle + wide, 100_000, hours=2, **taker),
        sell(first + 2, middle - wide, 100_000, baron=1, **taker),
        buy(first + 3, middle + wide, 100_000, hours=2, **taker),
    ]


def _round(turn: int) -> Iterator[list[Command]]:
    """The commands of a round, until the book is as empty as before."""
    middle = BASE + turn * ROUND_STEP
    for way in range(4):
        first = (4 * turn + way + 1) * IDS
        orders = list(_orders(first, middle))
        yield orders
        match way:
            case 0:
                yield [cancel(order.order_id) for order in orders]
            case 1:
                yield [cancel(order.order_id, reason=int(Reason.EXPIRED)) for order in reversed(orders)]
            case 2:
                yield [mass_cancel(account=order.account) for order in orders[: len(orders) // 2]]
                yield [
                    mass_cancel(int(side), account=order.account)
                    for order in orders[len(orders) // 2 :]
                    for side in Sides
                ]
            case _:
                yield _sweep(first + IDS // 2, middle)


def memory(make: BookFactory, *, batches: bool) -> list[int]:
    """Bytes after each round, and at the very end, once the instrument expired. batches: by `batch` with deltas."""
    book = make(LIMITS)
    book.submit_many([buy(KEEPER, 1, 1), Command(Op.SET_BARON, baron=1, min_rating=100, features=1, ts_ns=NOW_NS)])
    out, deltas = bytearray(EVENTS_ROOM * EVENT_BYTES), bytearray(EVENTS_ROOM * DELTA_BYTES)
    sizes = []
    for turn in range(ROUNDS):
        for commands in _round(turn):
            if batches:
                result = book.batch(b"".join(command.pack() for command in commands), out, deltas)
                assert (result.consumed, result.pending) == (len(commands), 0)
            else:
                for command in commands:
                    book.submit(command)
        assert [order.order_id for side in Side for order in book.resting(side)] == [KEEPER]
        assert len(book) == 1
        sizes.append(book.__sizeof__())
    book.submit(session(Session.EXPIRED))
    return [*sizes, book.__sizeof__()]


def leaks(make: BookFactory, *, batches: bool) -> str:
    """What grew, in words; empty when nothing did."""
    sizes = memory(make, batches=batches)
    if max(sizes[2:]) <= sizes[1]:
        return ""
    return f"after 2 rounds {sizes[1]} bytes, after {ROUNDS} {sizes[-2]}, once expired {sizes[-1]}"
