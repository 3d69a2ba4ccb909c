"""markets, curve, book, quote: what there is, and what it costs."""

from __future__ import annotations

import argparse
from datetime import UTC, timedelta
from typing import Final

from hourbook.cli.output import emit, mark, note, table
from hourbook.cli.session import Commands, Session
from hourbook.client import Kind

KINDS: Final[tuple[Kind, ...]] = ("spot", "ondemand")
"""What can be rented at once."""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    markets = commands.add_parser("markets", parents=[common], help="what is listed, with the best prices")
    markets.add_argument("--sku", help="this SKU alone")
    markets.add_argument("--region", help="this region alone")
    markets.add_argument("--kind", choices=KINDS, help="this kind alone; forwards are shown by `curve`")
    markets.set_defaults(run=_markets)
    curve = commands.add_parser("curve", parents=[common], help="what a market's forwards cost, period by period")
    curve.add_argument("sku", metavar="SKU", help="such as H100-SXM5-80GB")
    curve.add_argument("region", metavar="REGION", help="such as us-east")
    curve.set_defaults(run=_curve)
    book = commands.add_parser("book", parents=[common], help="the order book of an instrument")
    book.add_argument("symbol", metavar="SYMBOL", help="such as H100-SXM5-80GB.us-east.spot")
    book.add_argument("--levels", type=int, default=10, help="of each side (10)")
    book.set_defaults(run=_book)
    quote = commands.add_parser("quote", parents=[common], help="what a rental would cost now, region by region")
    add_wish(quote)
    quote.set_defaults(run=_quote)


def add_wish(parser: argparse.ArgumentParser) -> None:
    """The flags that say what to rent."""
    parser.add_argument("--sku", required=True, help="such as H100-SXM5-80GB")
    parser.add_argument("--gpus", type=int, default=1, help="how many (1)")
    parser.add_argument("--hours", type=int, default=1, help="term of on-demand; upper limit for spot (1)")
    parser.add_argument("--kind", choices=KINDS, default="spot")
    parser.add_argument(
        "--region", action="append", dest="regions", metavar="REGION", help="repeat it; any if left out"
    )
    parser.add_argument("--max-price", metavar="DOLLARS", help="per GPU-hour, such as 2.50")
    add_asked(parser)


def add_asked(parser: argparse.ArgumentParser) -> None:
    """The flags that say what a Baron must have."""
    parser.add_argument(
        "--feature", action="append", dest="features", default=[], metavar="FEATURE",
        help="that each Baron must have: infiniband, nvlink, certified, secure; repeat it",
    )  # fmt: skip
    parser.add_argument("--min-rating", type=int, metavar="RATING", help="that each Baron must have, 0 to 100")
    parser.add_argument("--same-baron", action="store_true", help="all GPUs on one Baron")


def _markets(options: argparse.Namespace, session: Session) -> int:
    kinds = [kind for kind in KINDS if options.kind in (None, kind)]
    listed = [found for kind in kinds for found in session.client.instruments(options.sku, options.region, kind)]
    listed.sort(key=lambda found: (found.sku, found.region))
    if session.json:
        emit(listed)
        return 0
    rows = []
    for found in listed:
        book = session.client.book(found.symbol, levels=1)
        bid, ask = (side[0] if side else None for side in (book.bids, book.asks))
        rows.append((found.symbol, *((bid.quantity, bid.price) if bid else (None, None)),
                     *((ask.price, ask.quantity) if ask else (None, None)), found.session, book.simulated))  # fmt: skip
    table(("instrument", "bid GPUs", "bid", "ask", "ask GPUs", "session", "simulated"), rows, "Nothing is listed.")
    return 0


def _curve(options: argparse.Namespace, session: Session) -> int:
    curve = session.client.curve(options.sku, options.region)
    if session.json:
        emit(curve)
        return 0
    rows = [
        (point.period, point.delivery_start, (point.delivery_end - point.delivery_start) // timedelta(hours=1),
         point.best_bid, point.best_ask, point.last_price, point.settlement_price, point.settlement_date, point.session)
        for point in curve.points
    ]  # fmt: skip
    headings = ("period", "delivery from", "hours", "bid", "ask", "last", "settlement", "of", "session")
    table(headings, rows, "Nothing is listed.")
    if curve.simulated:
        note("Simulated: Barons without real GPUs sell in this market.")
    return 0


def _book(options: argparse.Namespace, session: Session) -> int:
    book = session.client.book(options.symbol, options.levels)
    if session.json:
        emit(book)
        return 0
    levels = [("ask", level) for level in reversed(book.asks)] + [("bid", level) for level in book.bids]
    rows = [(side, level.price, level.quantity, level.conditional_quantity, level.orders) for side, level in levels]
    table(("side", "price", "GPUs", "conditional", "orders"), rows, "The book is empty.")
    if book.session != "continuous":
        until = f" until {book.session_until.astimezone(UTC):%H:%M:%S} UTC" if book.session_until else ""
        note(f"Session: {book.session}{until}; orders don't trade as they come.")
    if book.simulated:
        note("Simulated: Barons without real GPUs sell in this market.")
    return 0


def _quote(options: argparse.Namespace, session: Session) -> int:
    quotes = session.client.quotes(
        options.sku,
        options.gpus,
        options.hours,
        options.kind,
        options.regions,
        options.max_price,
        options.features,
        options.same_baron,
        options.min_rating,
    )
    if session.json:
        emit(quotes)
        return 0
    rows = [
        (mark(quote.region, quote.simulated), quote.available_gpus, quote.best_price, quote.worst_price,
         quote.cost_per_hour, quote.fee_per_hour, quote.hold, quote.detail)
        for quote in quotes.quotes
    ]  # fmt: skip
    headings = ("region", "GPUs", "best", "worst", "cost/h", "fee/h", "hold", "why not")
    table(headings, rows, "Nobody offers that.")
    return 0
