"""buy, sell, orders, cancel: the order book by hand."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import get_args

from hourbook.cli.config import UsageError
from hourbook.cli.market import add_asked
from hourbook.cli.output import cell, emit, mark, note, table
from hourbook.cli.session import Commands, Session
from hourbook.client import OrderType, SelfTrade, Side, TimeInForce
from hourbook.models import Order


def repeat_key(text: str) -> str:
    """A key to repeat by. An empty one would be none at all, and what it was to repeat would be done again."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give the one that was printed")
    return text


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    buy = _side(commands, common, "buy")
    buy.add_argument("--hours", type=int, help="guaranteed term, or upper limit for spot")
    add_asked(buy)
    sell = _side(commands, common, "sell")
    sell.add_argument("--baron", required=True, metavar="BARON", help="that delivers: yours, or whose hours you bought")
    sell.add_argument("--max-hours", type=int, help="longest term guaranteed (on-demand)")
    sell.add_argument("--min-hours", type=int, help="shortest term that you sell (on-demand)")
    sell.add_argument("--reduce-only", action="store_true", help="of hours that you bought, nothing else")
    sell.add_argument("--lot", type=int, metavar="GPUS", help="a fill is a multiple of it; 8: whole nodes")
    orders = commands.add_parser("orders", parents=[common], help="your orders, newest first")
    orders.add_argument("--all", action="store_true", help="those that are closed as well")
    orders.add_argument("--limit", type=int, default=50, help="at most so many (50)")
    orders.set_defaults(run=_orders)
    cancel = commands.add_parser("cancel", parents=[common], help="cancel an order, or all that fit")
    cancel.add_argument("order", nargs="?", metavar="ORDER")
    cancel.add_argument("--all", action="store_true", help="all your orders but those of offers")
    cancel.add_argument("--instrument", metavar="SYMBOL", help="with --all: of this instrument")
    cancel.add_argument("--side", choices=("buy", "sell"), help="with --all: of this side")
    cancel.add_argument("--tag", help="with --all: with this mark")
    cancel.set_defaults(run=_cancel)


def _side(commands: Commands, common: argparse.ArgumentParser, side: Side) -> argparse.ArgumentParser:
    parser = commands.add_parser(side, parents=[common], help=f"place an order to {side}")
    parser.add_argument("symbol", metavar="SYMBOL", help="such as H100-SXM5-80GB.us-east.spot")
    parser.add_argument("gpus", type=int, metavar="GPUS")
    parser.add_argument("price", nargs="?", metavar="PRICE", help="dollars per GPU-hour; the protection of --market")
    parser.add_argument("--market", action="store_true", help="at the best price there is")
    parser.add_argument("--stop", dest="stop_price", metavar="PRICE", help="wait until a trade is at it or beyond")
    parser.add_argument("--time-in-force", choices=get_args(TimeInForce))
    parser.add_argument("--expire", type=_moment, metavar="TIME", help="such as 2026-12-24T18:00Z; gtd")
    parser.add_argument("--display", type=int, metavar="GPUS", help="show so many at a time (iceberg)")
    parser.add_argument("--min-quantity", type=int, metavar="GPUS", help="of every fill")
    parser.add_argument("--stp", choices=get_args(SelfTrade), help="when it meets your own (cancel_newest)")
    parser.add_argument("--tag", help="your mark on it, for cancel --all --tag")
    parser.add_argument("--post-only", action="store_true", help="refuse rather than trade at once")
    parser.add_argument("--client-order-id", metavar="ID", help="your own id of it")
    parser.add_argument("--idempotency-key", type=repeat_key, metavar="KEY", help="repeat one whose outcome is unknown")
    parser.set_defaults(run=_place, side=side, hours=None, features=[], same_baron=False, min_rating=None)
    parser.set_defaults(baron=None, max_hours=None, min_hours=None, lot=None, reduce_only=False)
    return parser


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; give one with its zone, such as 2026-12-24T18:00Z"
        ) from error


def _type(options: argparse.Namespace) -> OrderType:
    """A stop with a price is a stop_limit, unless --market says that the price is its protection."""
    if options.stop_price is None:
        return "market" if options.market else "limit"
    return "stop" if options.market or options.price is None else "stop_limit"


def _place(options: argparse.Namespace, session: Session) -> int:
    placed = session.client.place(
        options.symbol,
        options.side,
        options.gpus,
        options.price,
        type=_type(options),
        stop_price=options.stop_price,
        time_in_force=options.time_in_force or (None if options.expire is None else "gtd"),
        expire=options.expire,
        display_quantity=options.display,
        min_quantity=options.min_quantity,
        stp=options.stp,
        tag=options.tag,
        post_only=options.post_only,
        client_order_id=options.client_order_id,
        hours=options.hours,
        baron=options.baron,
        features=options.features,
        same_baron=options.same_baron,
        min_rating=options.min_rating,
        max_hours=options.max_hours,
        min_hours=options.min_hours,
        lot=options.lot,
        reduce_only=options.reduce_only,
        idempotency_key=options.idempotency_key or "",
    )
    if session.json:
        emit(placed)
        return 0
    show([placed.order])
    for fill in placed.fills:
        note(f"{fill.quantity} at {fill.price}: {mark(fill.lease_id or 'hours to come', fill.simulated)}")
    return 0


def _orders(options: argparse.Namespace, session: Session) -> int:
    orders = session.client.orders(only_open=not options.all, limit=options.limit)
    if session.json:
        emit(orders)
    else:
        show(orders)
    return 0


def _cancel(options: argparse.Namespace, session: Session) -> int:
    wanted = (options.instrument, options.side, options.tag)
    if (options.order is None) != options.all or (not options.all and any(wanted)):
        raise UsageError("give an order, or --all: hourbook cancel --all --tag night")
    if options.all:
        gone = session.client.cancel_all(*wanted)
        if session.json:
            emit(gone)
        else:
            print(f"{gone.orders} orders canceled")
        return 0
    changed = session.client.cancel(options.order)
    if session.json:
        emit(changed)
    else:
        print(f"{changed.order_id} {changed.status}")
    return 0


def _stop(order: Order) -> str | None:
    """A stop's price, and whether it still waits for it."""
    if order.stop_price is None:
        return None
    if order.triggered is not None:
        return f"{cell(order.stop_price)} (triggered)"
    return f"{cell(order.stop_price)} (armed)" if order.armed else cell(order.stop_price)


def show(orders: list[Order]) -> None:
    """A table of orders."""
    rows = [
        (order.id, order.status, order.instrument, mark(order.side, order.simulated), order.price, order.quantity,
         order.leaves_quantity, order.type, _stop(order), order.origin, order.reason, order.created)
        for order in orders
    ]  # fmt: skip
    headings = ("order", "status", "instrument", "side", "price", "GPUs", "leaves", "type", "stop", "origin", "reason",
                "created")  # fmt: skip
    table(headings, rows, "No orders.")
