"""Flows of orders that the books are measured with, as command records; the same seed gives the same bytes.

A flow begins with orders that fill the book, which nobody is timed on. What follows was drawn against a book that lived
along, so that no cancel is stale, no limit order crosses, and each IOC finds all it asks for in one to three orders: every
engine, whatever it supports, then makes the same fills. It knows records; it never knows who plays them.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from itertools import islice
from typing import Final

import msgspec

from bench.order_books.bare import BUY, PRICE, QUANTITY, SELL, SIDE, BareBook, Call
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import COMMAND, COMMAND_BYTES, Given, Op, shape_of

SEED: Final = 20_261_123
START_NS: Final = 1_800_000_000 * 10**9
STEP_NS: Final = 100_000
FAIR: Final = 1_000_000
"""Where the price of a flow begins, in ticks."""
QUANTITY_MAX: Final = 100
ACCOUNTS: Final = 100
"""Buyers have the odd ones, sellers the even ones, so that nobody meets himself."""
IOC_ORDERS_MAX: Final = 3
SLOTS: Final = 750
TREND: Final = 4_000_000
"""How far a trend goes, in ticks."""
_ZEROS: Final = (0,) * 11
"""The fields of a record between `quantity` and `op`."""
_SHAPES: Final = tuple(
    {tif: shape_of(side, OrderType.LIMIT, tif) for tif in (TimeInForce.GTC, TimeInForce.IOC)}
    for side in (Side.BUY, Side.SELL)
)


class Flow(msgspec.Struct, frozen=True):
    """Records to play. prefill: how many of the first aren't timed. banded: whether the price band may be on."""

    name: str
    prefill: int
    commands: bytes
    banded: bool = True

    def __len__(self) -> int:
        """Operations that are timed."""
        return len(self.commands) // COMMAND_BYTES - self.prefill

    def first(self, count: int) -> Flow:
        """The same with at most `count` timed operations."""
        return msgspec.structs.replace(self, commands=self.commands[: (self.prefill + count) * COMMAND_BYTES])


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a flow is made of. Shares are of 100 operations; what limit adds, cancels and IOC leave over are amends."""

    name: str
    live: int
    operations: int
    adds: int
    cancels: int
    iocs: int
    spread: int = 25
    """Mean distance of a new order from the fair price, in ticks."""
    drift: Callable[[int], int] = lambda _: 0
    """The fair price at an operation, less FAIR, in ticks."""
    pressed: Callable[[int], int | None] = lambda _: None
    """The side that every IOC takes from, and of which every other cancel takes the best order, at an operation."""
    slots: int = 0
    """Spread orders evenly over so many prices instead."""
    banded: bool = True


def mixed(live: int, operations: int) -> Plan:
    """50 % limit adds near the touch, 40 % cancels, 10 % crossing IOC."""
    return Plan(f"mixed {_short(live)}", live, operations, adds=50, cancels=40, iocs=10)


def moves(operations: int, live: int = 1_000) -> Plan:
    """10 % limit adds, 3 % IOC, 5 % cancels, 82 % amends, over 750 prices."""
    return Plan("moves", live, operations, adds=10, cancels=5, iocs=3, slots=SLOTS)


def hostile(operations: int) -> list[Plan]:
    """What wide and moving price domains are like: books that are tuned to the average pay here."""
    phase = operations // 16

    def trend(operation: int) -> int:
        return TREND * operation // operations

    def crash(operation: int) -> int:
        """Calm, half the price gone at once, calm down there, and slowly back; four times."""
        part, since = operation // phase % 4, operation % phase
        return -(0, min(10 * since, phase), phase, phase - since)[part] * (FAIR // 2) // phase

    def crashing(operation: int) -> int | None:
        return (None, BUY, None, SELL)[operation // phase % 4]

    return [
        Plan("trending price", 2_000, operations, 50, 40, 10, drift=trend, pressed=lambda _: SELL, banded=False),
        Plan("flash crash", 2_000, operations, 45, 40, 15, 400, crash, crashing, banded=False),
        Plan("static book", operations // 4, operations, 50, 50, 0, spread=20_000, banded=False),
    ]


def make(plan: Plan) -> Flow:
    """The flow of this plan."""
    made = _Making(plan)
    for _ in range(plan.live):
        made.add()
    for operation in range(plan.operations):
        made.step(operation)
    return Flow(plan.name, plan.live, bytes(made.records), plan.banded)


def without_amends(flow: Flow) -> Flow:
    """The same for an engine that can't amend: a cancel and a new order of what was left, under the same id."""
    book, made = BareBook(), bytearray()
    amended = False
    for start in range(0, len(flow.commands), COMMAND_BYTES):
        record = flow.commands[start : start + COMMAND_BYTES]
        method, arguments = call_of(book, record)
        if method == book.amend:
            amended = True
            order_id, price = arguments
            side, _, left = book.orders[order_id]
            ts_ns = COMMAND.unpack(record)[1]
            made += record_of(Op.CANCEL, order_id, ts_ns, side)
            made += record_of(Op.NEW, order_id, ts_ns, side, price, left, _SHAPES[side][TimeInForce.GTC])
        else:
            made += record
        method(*arguments)
    return msgspec.structs.replace(flow, commands=bytes(made)) if amended else flow


def call_of(book: BareBook, record: bytes) -> Call:
    """The bare book's call for a command record of a flow."""
    order_id, _, _, price, quantity, *_, op, shape, _, _ = COMMAND.unpack(record)
    match op:
        case Op.NEW:
            rests = shape == _SHAPES[shape & 1][TimeInForce.GTC]
            return (book.limit if rests else book.ioc), (order_id, shape & 1, price, quantity)
        case Op.CANCEL:
            return book.cancel, (order_id,)
        case Op.AMEND:
            return book.amend, (order_id, price)
        case _:
            raise ValueError(f"no flow has operation {op}")


def record_of(
    op: Op, order_id: int, ts_ns: int, side: int, price: int = 0, quantity: int = 0, shape: int = 0, flags: int = 0
) -> bytes:
    """The command record; a new order's account follows from its side and id."""
    account = 2 * (order_id % ACCOUNTS) + (1 if side == BUY else 2) if op is Op.NEW else 0
    return COMMAND.pack(order_id, ts_ns, account, price, quantity, *_ZEROS, op, shape, flags, 0)


def _short(count: int) -> str:
    for unit, letter in ((10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:g}{letter}"
    return str(count)


class _Making:
    """A flow in the making, beside the book that it makes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.records = bytearray()
        self._random = random.Random(f"{SEED} {plan.name} {plan.live}")
        self._book = BareBook()
        self._live: list[int] = []
        self._place: dict[int, int] = {}
        self._last_id = 0
        self._ts_ns = START_NS
        self._fair = FAIR

    def step(self, operation: int) -> None:
        """One timed operation."""
        plan, draw = self.plan, self._random.randrange(100)
        self._fair = FAIR + plan.drift(operation)
        enough = len(self._book.orders) > plan.live // 2
        if draw < plan.adds or not enough:
            self.add()
        elif draw < plan.adds + plan.cancels:
            self._cancel(self._choose(plan.pressed(operation)))
        elif draw < plan.adds + plan.cancels + plan.iocs:
            pressed = plan.pressed(operation)
            self._ioc(self._random.randrange(2) if pressed is None else 1 - pressed)
        else:
            self._amend(self._choose(None))

    def add(self) -> None:
        """A limit order that rests."""
        side = self._random.randrange(2)
        price, quantity = self._price(side), self._random.randint(1, QUANTITY_MAX)
        self._last_id += 1
        self._book.limit(self._last_id, side, price, quantity)
        self._place[self._last_id] = len(self._live)
        self._live.append(self._last_id)
        self._new(self._last_id, side, price, quantity, TimeInForce.GTC)

    def _price(self, side: int) -> int:
        """A price on this side that doesn't cross."""
        if self.plan.slots:
            distance = self._random.randrange(self.plan.slots // 2) + 1
        else:
            distance = 1 + int(-math.log(1 - self._random.random()) * self.plan.spread)
        price = self._fair + distance if side else self._fair - distance
        opposite = self._book.prices[1 - side]
        if opposite and side == SELL:
            price = max(price, 1 - opposite[0])
        elif opposite:
            price = min(price, opposite[0] - 1)
        return max(1, price)

    def _cancel(self, order_id: int) -> None:
        order = self._book.orders[order_id]
        self._book.cancel(order_id)
        self._forget(order_id)
        self._say(Op.CANCEL, order_id, order[SIDE])

    def _ioc(self, side: int) -> None:
        """Takes from one to three orders, the last in part unless the book is too full."""
        full = len(self._book.orders) > self.plan.live
        makers = self._front(1 - side, self._random.choice((1, 2, 2, 3, 3) if full else (1, 1, 1, 1, 2)))
        if not makers:
            self.add()
            return
        orders = [self._book.orders[maker] for maker in makers]
        quantity = sum(order[QUANTITY] for order in orders)
        if not full:
            quantity -= self._random.randrange(orders[-1][QUANTITY])
        price = orders[-1][PRICE]
        self._last_id += 1
        self._book.ioc(self._last_id, side, price, quantity)
        for maker in makers:
            if maker not in self._book.orders:
                self._forget(maker)
        self._new(self._last_id, side, price, quantity, TimeInForce.IOC)

    def _front(self, side: int, count: int) -> list[int]:
        """The first orders of a side in priority order."""
        levels = self._book.levels[side]
        keys = islice(self._book.prices[side], count)
        return [order_id for key in keys for order_id in islice(levels[key], count)][:count]

    def _amend(self, order_id: int) -> None:
        """To another price of its own side, so that cancel and new are the same to the market."""
        order = self._book.orders[order_id]
        side, before, _ = order
        price = self._price(side)
        if price == before:
            price += 1 if side else -1
        self._book.amend(order_id, price)
        self._say(Op.AMEND, order_id, side, price, flags=Given.PRICE)

    def _choose(self, pressed: int | None) -> int:
        """A live order: the best of the side that is pressed, or any."""
        if pressed is not None and self._book.prices[pressed] and self._random.randrange(2):
            return self._front(pressed, 1)[0]
        return self._live[self._random.randrange(len(self._live))]

    def _forget(self, order_id: int) -> None:
        place, last = self._place.pop(order_id), self._live.pop()
        if last != order_id:
            self._live[place] = last
            self._place[last] = place

    def _new(self, order_id: int, side: int, price: int, quantity: int, tif: TimeInForce) -> None:
        self._say(Op.NEW, order_id, side, price, quantity, _SHAPES[side][tif])

    def _say(
        self, op: Op, order_id: int, side: int, price: int = 0, quantity: int = 0, shape: int = 0, flags: int = 0
    ) -> None:
        self.records += record_of(op, order_id, self._ts_ns, side, price, quantity, shape, flags)
        self._ts_ns += STEP_NS
