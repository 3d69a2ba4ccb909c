"""Order books that people install from the package index, behind the bench's manner for programs (`engines.Program`).

It runs in an environment of its own, where those packages are and the project's dependencies aren't:
`python -m bench.order_books.packages NAME FLOW PREFILL FILLS`. Each is called as its own documents show it, one order a
call; what a call needs is made before the clock starts. It imports nothing of the project's but
layouts, which need no package.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import thread_time_ns
from typing import Any, Final

from bench.order_books.form import FILL
from engine.records import COMMAND, Op

Call = tuple[Callable[..., Any], tuple[Any, ...]]
Fill = tuple[int, int, int, int]
Row = tuple[int, int, bool, int, int]
"""Op, order id, whether it buys, price, quantity."""
START: Final = datetime(2027, 1, 15)  # noqa: DTZ001 - the package compares it with datetime.max, which has no zone


def rows_of(path: str) -> list[Row]:
    """The records that matter to a book of limit orders."""
    rows = []
    for record in COMMAND.iter_unpack(Path(path).read_bytes()):
        order_id, _, _, price, quantity = record[:5]
        op, shape, _, _ = record[-4:]
        rows.append((op, order_id, not shape & 1, price, quantity))
    return rows


def timed(calls: Sequence[Call], prefill: int) -> tuple[int, list[Any]]:
    """Make the calls; how long those after the first `prefill` took, and what all gave."""
    given = [call(*arguments) for call, arguments in calls[:prefill]]
    rest = calls[prefill:]
    keep = given.append
    gc.collect()
    gc.disable()
    began = thread_time_ns()
    for call, arguments in rest:
        keep(call(*arguments))
    ns = thread_time_ns() - began
    gc.enable()
    return ns, given


class Numbers:
    """What an engine that numbers orders itself, in order of arrival, calls each; an id may come again."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._ids: list[int] = []
        self._number: dict[int, int] = {}

    def new(self, order_id: int) -> None:
        self._number[order_id] = self._first + len(self._ids)
        self._ids.append(order_id)

    def of(self, order_id: int) -> int:
        return self._number[order_id]

    def ours(self, number: int) -> int:
        return self._ids[number - self._first]


def bourse(rows: Sequence[Row], prefill: int) -> tuple[int, list[Fill]]:
    """It keeps time priority by a clock that its user sets, so each new order costs two calls."""
    book, numbers = importlib.import_module("bourse").core.OrderBook(0, 1, True), Numbers(0)
    calls: list[Call] = []
    fills_book = 0
    for row, (op, order_id, buys, price, quantity) in enumerate(rows):
        if row == prefill:
            fills_book = len(calls)
        if op == Op.NEW:
            numbers.new(order_id)
            calls += [(book.set_time, (row,)), (book.place_order, (buys, quantity, 0, price))]
        else:
            calls.append((book.cancel_order, (numbers.of(order_id),)))
    ns, _ = timed(calls, fills_book)
    return ns, [
        (numbers.ours(passive), numbers.ours(active), price, volume)
        for _, _, price, volume, active, passive in book.get_trades()
    ]


def lightmatchingengine(rows: Sequence[Row], prefill: int) -> tuple[int, list[Fill]]:
    """It says an aggressor's fill once a price, and each maker's apart."""
    package = importlib.import_module("lightmatchingengine.lightmatchingengine")
    engine, numbers = package.LightMatchingEngine(), Numbers(1)
    sides = (package.Side.SELL, package.Side.BUY)
    calls: list[Call] = []
    for op, order_id, buys, price, quantity in rows:
        if op == Op.NEW:
            numbers.new(order_id)
            calls.append((engine.add_order, ("x", price, quantity, sides[buys])))
        else:
            calls.append((engine.cancel_order, (numbers.of(order_id), "x")))
    ns, given = timed(calls, prefill)
    return ns, [
        (numbers.ours(trade.order_id), numbers.ours(order.order_id), trade.trade_price, trade.trade_qty)
        for order, trades in (answer for answer in given if isinstance(answer, tuple))
        for trade in trades
        if trade.trade_side != order.side
    ]


def order_matching(rows: Sequence[Row], prefill: int) -> tuple[int, list[Fill]]:
    """Placing and matching are two calls; time priority is by timestamps."""
    importlib.import_module("loguru").logger.remove()
    engine = importlib.import_module("order_matching.matching_engine").MatchingEngine(seed=1)
    limit_order = importlib.import_module("order_matching.order").LimitOrder
    orders_of = importlib.import_module("order_matching.orders").Orders
    side = importlib.import_module("order_matching.enums").Side

    def place_and_match(orders: Any, at: datetime) -> Any:
        engine.place(orders)
        return engine.match(timestamp=at)

    calls: list[Call] = []
    for number, (op, order_id, buys, price, quantity) in enumerate(rows):
        at = START + timedelta(microseconds=number)
        if op == Op.NEW:
            order = limit_order(
                side=side.BUY if buys else side.SELL,
                price=float(price),
                size=float(quantity),
                timestamp=at,
                order_id=str(order_id),
                trader_id="x",
            )
            calls.append((place_and_match, (orders_of([order]), at)))
        else:
            calls.append((engine.cancel_order, (str(order_id),)))
    ns, given = timed(calls, prefill)
    return ns, [
        (int(trade.book_order_id), int(trade.incoming_order_id), int(trade.price), int(trade.size))
        for answer in given
        if answer is not None
        for trade in answer.trades
    ]


PLAYERS: Final = {"bourse": bourse, "lightmatchingengine": lightmatchingengine, "order-matching": order_matching}


def main(arguments: Sequence[str]) -> int:
    """Play a flow; prints the nanoseconds."""
    name, flow, prefill, fills = arguments
    ns, made = PLAYERS[name](rows_of(flow), int(prefill))
    Path(fills).write_bytes(b"".join(FILL.pack(*fill) for fill in made))
    print(ns)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
