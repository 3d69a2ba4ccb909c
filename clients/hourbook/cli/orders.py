"""buy, sell, orders, cancel: the order book by hand."""

from __future__ import annotations

import argparse

from hourbook.cli.output import emit, mark, note, table
from hourbook.cli.session import Commands, Session
from hourbook.client import Side
from hourbook.models import Order


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    _side(commands, common, "buy").add_argument("--hours", type=int, help="guaranteed term, or upper limit for spot")
    sell = _side(commands, common, "sell")
    sell.add_argument("--baron", required=True, metavar="BARON", help="yours, that delivers")
    sell.add_argument("--max-hours", type=int, help="longest term guaranteed (on-demand)")
    orders = commands.add_parser("orders", parents=[common], help="your orders, newest first")
    orders.add_argument("--all", action="store_true", help="those that are closed as well")
    orders.add_argument("--limit", type=int, default=50, help="at most so many (50)")
    orders.set_defaults(run=_orders)
    cancel = commands.add_parser("cancel", parents=[common], help="cancel an order")
    cancel.add_argument("order", metavar="ORDER")
    cancel.set_defaults(run=_cancel)


def _side(commands: Commands, common: argparse.ArgumentParser, side: Side) -> argparse.ArgumentParser:
    parser = commands.add_parser(side, parents=[common], help=f"place an order to {side}")
    parser.add_argument("symbol", metavar="SYMBOL", help="such as H100-SXM5-80GB.us-east.spot")
    parser.add_argument("gpus", type=int, metavar="GPUS")
    parser.add_argument("price", nargs="?", metavar="PRICE", help="dollars per GPU-hour; the protection of --market")
    parser.add_argument("--market", action="store_true", help="at the best price there is")
    parser.add_argument("--time-in-force", choices=("gtc", "ioc", "fok"))
    parser.add_argument("--post-only", action="store_true", help="refuse rather than trade at once")
    parser.add_argument("--client-order-id", metavar="ID", help="your own id of it")
    parser.add_argument("--idempotency-key", default="", metavar="KEY", help="repeat one whose outcome is unknown")
    parser.set_defaults(run=_place, side=side, hours=None, baron=None, max_hours=None)
    return parser


def _place(options: argparse.Namespace, session: Session) -> int:
    placed = session.client.place(
        options.symbol,
        options.side,
        options.gpus,
        options.price,
        type="market" if options.market else "limit",
        time_in_force=options.time_in_force,
        post_only=options.post_only,
        client_order_id=options.client_order_id,
        hours=options.hours,
        baron=options.baron,
        max_hours=options.max_hours,
        idempotency_key=options.idempotency_key,
    )
    if session.json:
        emit(placed)
        return 0
    _show([placed.order])
    for fill in placed.fills:
        note(f"{fill.quantity} at {fill.price}: {mark(fill.lease_id, fill.simulated)}")
    return 0


def _orders(options: argparse.Namespace, session: Session) -> int:
    orders = session.client.orders(only_open=not options.all, limit=options.limit)
    if session.json:
        emit(orders)
    else:
        _show(orders)
    return 0


def _cancel(options: argparse.Namespace, session: Session) -> int:
    changed = session.client.cancel(options.order)
    if session.json:
        emit(changed)
    else:
        print(f"{changed.order_id} {changed.status}")
    return 0


def _show(orders: list[Order]) -> None:
    rows = [
        (order.id, order.status, order.instrument, mark(order.side, order.simulated), order.price, order.quantity,
         order.leaves_quantity, order.origin, order.reason, order.created)
        for order in orders
    ]  # fmt: skip
    headings = ("order", "status", "instrument", "side", "price", "GPUs", "leaves", "origin", "reason", "created")
    table(headings, rows, "No orders.")
