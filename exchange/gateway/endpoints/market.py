"""Public market data, and quotes."""

from __future__ import annotations

from engine.messages import SetSession
from engine.reasons import Reason
from exchange.gateway.endpoint import Call
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.orders_in import KINDS, SESSIONS, features_in, price_in
from exchange.gateway.schema import Depth, Listed, Nothing, Page, QuoteBody, SessionBody, Since
from exchange.gateway.views import market as views
from exchange.gateway.views.text import next_cursor, parse_cursor


async def instruments(gateway: Gateway, call: Call[Nothing, Listed]) -> views.Instruments:
    wanted = call.query
    await gateway.read_from(wanted.min_seq)
    seq = gateway.deps.read.position()
    kind = None if wanted.kind is None else KINDS[wanted.kind]
    rows = await gateway.instruments.listed(wanted.sku or "", wanted.region or "", kind)
    return views.Instruments(seq=seq, instruments=[views.instrument(row) for row in rows])


async def book(gateway: Gateway, call: Call[Nothing, Depth]) -> views.Book:
    await gateway.read_from(call.query.min_seq)
    row = await gateway.instruments.of_symbol(call.text("symbol"))
    try:
        view = gateway.deps.read.book(row.instrument, call.query.levels)
    except KeyError as error:
        raise Problem(Reason.INSTRUMENT_EXPIRED, f"{row.symbol} has expired, and has no book any more") from error
    return views.book(view, row.symbol)


async def curve(gateway: Gateway, call: Call[Nothing, Since]) -> views.Curve:
    await gateway.read_from(call.query.min_seq)
    try:
        view = gateway.deps.read.curve(call.text("sku"), call.text("region"))
    except KeyError as error:
        raise Problem(Reason.UNKNOWN_INSTRUMENT, "No market of that SKU is listed there") from error
    return views.curve(view)


async def trades(gateway: Gateway, call: Call[Nothing, Page]) -> views.Trades:
    await gateway.read_from(call.query.min_seq)
    row = await gateway.instruments.of_symbol(call.text("symbol"))
    seq = gateway.deps.read.position()
    rows = await gateway.deps.read.trades(row.instrument, parse_cursor(call.query.cursor), call.query.limit)
    cursor = next_cursor([trade.trade_id for trade in rows], call.query.limit)
    return views.Trades(symbol=row.symbol, seq=seq, trades=[views.trade(trade) for trade in rows], next_cursor=cursor)


async def set_session(gateway: Gateway, call: Call[SessionBody, Nothing]) -> views.SessionSet:
    row = await gateway.instruments.of_symbol(call.text("symbol"))
    reply = await gateway.enter(SetSession(instrument=row.instrument, session=SESSIONS[call.body.session]))
    return views.session_set(reply, row.instrument, row.symbol)


async def quotes(gateway: Gateway, call: Call[QuoteBody, Nothing]) -> views.Quotes:
    rows = await gateway.instruments.of_market(call.body)
    numbers = tuple(row.instrument for row in rows)
    limit_ticks = price_in(call.body.max_price, "max_price")
    seq = gateway.deps.read.position()
    body = call.body
    lines = gateway.deps.quoter(
        call.account,
        numbers,
        body.gpus,
        body.hours,
        limit_ticks,
        features=features_in(body.features),
        same_baron=body.same_baron,
        min_rating=body.min_rating or 0,
    )
    by_number = {row.instrument: row for row in rows}
    longest = gateway.deps.max_term_hours
    quoted = [views.quote(line, by_number[line.instrument], longest) for line in lines]
    return views.Quotes(seq=seq, kind=call.body.kind, hours=call.body.hours, quotes=quoted)
