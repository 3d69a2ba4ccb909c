"""Instruments, books, trades and quotes in their public form."""

from __future__ import annotations

from engine.ids import format_id
from engine.kinds import Kind, edge_name
from engine.messages import AuctionCleared, InstrumentSession, Reply, Traded
from engine.periods import trading_end_ns
from engine.reasons import Reason
from engine.records import Session
from engine.units import NS_PER_HOUR, format_money, format_price
from exchange.gateway.errors import TABLE, Problem
from exchange.gateway.ports import QuoteLine
from exchange.gateway.refusals import hours_allowed, session_words
from exchange.gateway.views.text import View, format_date_if, format_price_if, format_time, format_time_if
from exchange.read.interface import BookView, CurveView, DepthLevel, InstrumentRow, TradeRow
from exchange.read.interface import CurvePoint as CurvePointRow


class Auction(View, frozen=True):
    """An auction that cleared (rulebook §6); `surplus_side` is null where nothing was left over."""

    time: str
    price: str
    quantity: int
    surplus_quantity: int
    surplus_side: str | None


class Instrument(View, frozen=True):
    """`simulated`: a Baron without real GPUs was admitted to this market: what is on offer and traded may be simulated.

    `session`: pre_open, auction, continuous, halted or expired; `session_reason`, `session_until`: of an auction that a
    trade outside the band began. `reference_price`: as the session began, null for none. `auction`: the last that cleared.

    Of a forward alone: its `period`, its delivery from `delivery_start` to `delivery_end`, `trading_end` when its trading
    ends, and its last daily settlement price (rulebook §3, §11).
    """

    symbol: str
    sku: str
    region: str
    kind: str
    simulated: bool
    session: str
    session_reason: str | None
    session_until: str | None
    reference_price: str | None
    auction: Auction | None
    period: str | None
    delivery_start: str | None
    delivery_end: str | None
    trading_end: str | None
    settlement_price: str | None
    settlement_date: str | None


class CurvePoint(View, frozen=True):
    """A listed period: its best prices, whatever their conditions, and the last at which it traded; null: none.

    `settlement_price`, of `settlement_date`: its last daily settlement price (rulebook §11). `session`: `expired` once it
    is listed no more.
    """

    symbol: str
    period: str
    delivery_start: str
    delivery_end: str
    session: str
    best_bid: str | None
    best_ask: str | None
    last_price: str | None
    settlement_price: str | None
    settlement_date: str | None


class Curve(View, frozen=True):
    """The forward curve of a market (rulebook §11): its listed periods in order of delivery.

    `simulated`: Barons without real GPUs were admitted to this market.
    """

    sku: str
    region: str
    simulated: bool
    seq: int
    time: str | None
    points: list[CurvePoint]


class SessionSet(View, frozen=True):
    """The session as it is after the command, and the trades that an auction's clearing made."""

    seq: int
    symbol: str
    session: str
    session_until: str | None
    auction_price: str | None
    trades: int


class Instruments(View, frozen=True):
    seq: int
    instruments: list[Instrument]


class Level(View, frozen=True):
    """`quantity` anyone may take; `conditional_quantity` is for those who fit its conditions (rulebook §5)."""

    price: str
    quantity: int
    conditional_quantity: int
    orders: int


class Book(View, frozen=True):
    """Bids from the best down, asks from the best up. `time` is null until something has happened.

    `simulated`: asks may be those of Barons without real GPUs, for such a one was admitted to this market. `session` and
    `session_until`: as in GET /v1/instruments; only in `continuous` do orders trade as they come.
    """

    symbol: str
    simulated: bool
    session: str
    session_until: str | None
    seq: int
    time: str | None
    bids: list[Level]
    asks: list[Level]


class Trade(View, frozen=True):
    """`simulated`: the GPUs were a Baron's that had no real ones. `auction`: both sides rested, and `taker_side` is the bid's.

    `displacement`: a bid took a running spot lease at its own limit; such a trade sets no last price (rulebook §7).
    """

    id: str
    price: str
    quantity: int
    taker_side: str
    auction: bool
    displacement: bool
    simulated: bool
    time: str
    seq: int


class Trades(View, frozen=True):
    symbol: str
    seq: int
    trades: list[Trade]
    next_cursor: str | None


class Quote(View, frozen=True):
    """What one instrument gives now. With a `reason` the whole isn't to be had, and there is no cost.

    Costs are of the whole quantity per hour; `hold` must be available to rent it. `simulated`: some of the available GPUs
    are a Baron's that has no real ones.
    """

    symbol: str
    region: str
    gpus: int
    available_gpus: int
    best_price: str | None
    worst_price: str | None
    cost_per_hour: str | None
    fee_per_hour: str | None
    hold: str | None
    simulated: bool
    reason: str | None
    detail: str | None


class Quotes(View, frozen=True):
    """Cheapest first, then those that can't give the whole."""

    seq: int
    kind: str
    hours: int
    quotes: list[Quote]


def instrument(row: InstrumentRow) -> Instrument:
    return Instrument(
        symbol=row.symbol,
        sku=row.sku,
        region=row.region,
        kind=edge_name(row.kind),
        simulated=row.simulated,
        session=edge_name(row.session),
        session_reason=None if row.session_reason is Reason.NONE else edge_name(row.session_reason),
        session_until=format_time_if(row.session_until_ns),
        reference_price=format_price_if(row.reference_ticks),
        auction=_auction(row) if row.auction_ns else None,
        period=row.period or None,
        delivery_start=format_time_if(row.start_h * NS_PER_HOUR),
        delivery_end=format_time_if(row.end_h * NS_PER_HOUR),
        trading_end=format_time(trading_end_ns(row.start_h)) if row.kind is Kind.FORWARD else None,
        settlement_price=format_price_if(row.settlement_ticks),
        settlement_date=format_date_if(row.settlement_day),
    )


def curve(view: CurveView) -> Curve:
    return Curve(
        sku=view.sku,
        region=view.region,
        simulated=any(point.instrument.simulated for point in view.points),
        seq=view.seq,
        time=format_time_if(view.ts_ns),
        points=[curve_point(point) for point in view.points],
    )


def curve_point(point: CurvePointRow) -> CurvePoint:
    row = point.instrument
    return CurvePoint(
        symbol=row.symbol,
        period=row.period,
        delivery_start=format_time(row.start_h * NS_PER_HOUR),
        delivery_end=format_time(row.end_h * NS_PER_HOUR),
        session=edge_name(row.session),
        best_bid=format_price_if(point.bid_ticks),
        best_ask=format_price_if(point.ask_ticks),
        last_price=format_price_if(point.last_ticks),
        settlement_price=format_price_if(row.settlement_ticks),
        settlement_date=format_date_if(row.settlement_day),
    )


def _auction(row: InstrumentRow) -> Auction:
    return Auction(
        time=format_time(row.auction_ns),
        price=format_price(row.auction_price_ticks),
        quantity=row.auction_quantity,
        surplus_quantity=row.auction_surplus_quantity,
        surplus_side=None if row.auction_surplus_side is None else edge_name(row.auction_surplus_side),
    )


def session_set(reply: Reply, instrument: int, symbol: str) -> SessionSet:
    """What a SetSession's own events say; a clearing that one command can't finish says no session yet."""
    session, until_ns, price_ticks, trades = Session.AUCTION, 0, 0, 0
    for event in reply.events:
        if isinstance(event, InstrumentSession) and event.instrument == instrument:
            session, until_ns = event.session, event.until_ns
        elif isinstance(event, AuctionCleared) and event.instrument == instrument:
            price_ticks = event.price_ticks
        elif isinstance(event, Traded) and event.instrument == instrument:
            trades += 1
    return SessionSet(
        seq=reply.seq,
        symbol=symbol,
        session=edge_name(session),
        session_until=format_time_if(until_ns),
        auction_price=format_price_if(price_ticks),
        trades=trades,
    )


def book(view: BookView, symbol: str) -> Book:
    return Book(
        symbol=symbol,
        simulated=view.simulated,
        session=edge_name(view.session),
        session_until=format_time_if(view.session_until_ns),
        seq=view.seq,
        time=format_time_if(view.ts_ns),
        bids=[_level(level) for level in view.bids],
        asks=[_level(level) for level in view.asks],
    )


def trade(row: TradeRow) -> Trade:
    return Trade(
        id=format_id("trd", row.trade_id),
        price=format_price(row.price_ticks),
        quantity=row.quantity,
        taker_side=edge_name(row.taker_side),
        auction=row.auction,
        displacement=row.displacement,
        simulated=row.simulated,
        time=format_time(row.ts_ns),
        seq=row.seq,
    )


def quote(line: QuoteLine, row: InstrumentRow, max_term_hours: int) -> Quote:
    whole = line.reason is Reason.NONE
    return Quote(
        symbol=row.symbol,
        region=row.region,
        gpus=line.quantity,
        available_gpus=line.available_quantity,
        best_price=format_price_if(line.best_price_ticks),
        worst_price=format_price_if(line.worst_price_ticks),
        cost_per_hour=format_money(line.cost_per_hour_micros) if whole else None,
        fee_per_hour=format_money(line.fee_per_hour_micros) if whole else None,
        hold=format_money(line.hold_micros) if whole else None,
        simulated=line.simulated,
        reason=None if whole else edge_name(line.reason),
        detail=None if whole else _why(line.reason, row, max_term_hours),
    )


def _why(reason: Reason, row: InstrumentRow, max_term_hours: int) -> str:
    if reason is Reason.INVALID_HOURS:
        return Problem(reason, hours_allowed(max_term_hours)).body.detail
    if reason is Reason.SESSION_CLOSED:
        words = session_words(row)
        return f"{words.wrong}. {words.advice}"
    return TABLE[edge_name(reason)].advice


def _level(level: DepthLevel) -> Level:
    return Level(
        price=format_price(level.price_ticks),
        quantity=level.unconditional_quantity,
        conditional_quantity=level.conditional_quantity,
        orders=level.orders,
    )
