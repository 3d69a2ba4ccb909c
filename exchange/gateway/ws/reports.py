"""From rows and the projection's changes to what the WebSockets say: reports, fills, books, trades, leases.

Pure. Names, prices and ids in their public form; a report tells an order's owner alone.
"""

from __future__ import annotations

from typing import Final, Literal, cast

import msgspec

from engine.ids import INDEX_MAX, format_id, make_id
from engine.kinds import Kind, OrderStatus, Side, edge_name
from engine.messages import Accepted, Amended, Canceled, Traded, Triggered
from engine.periods import trading_end_ns
from engine.reasons import Reason
from engine.units import NS_PER_HOUR, NS_PER_US, format_price
from exchange.gateway.schema import OrderTypeName, SelfTradeName, TimeInForceName
from exchange.gateway.views import leases, market, orders
from exchange.gateway.views.text import format_price_if
from exchange.gateway.ws.messages import (
    BookData,
    CurvePointData,
    ExecType,
    ExecutionReport,
    Fill,
    InstrumentData,
    LeaseData,
    Liquidity,
    OrderStatusName,
    TradeData,
)
from exchange.market_data.levels import LevelDelta
from exchange.read.interface import BookView, CurvePoint, InstrumentRow, LeaseRow, OrderRow, TradeRow
from exchange.read.projection import OrderChange

_SHARD_SHIFT: Final = 56


def execution_report(change: OrderChange, symbol: str, simulated: bool | None) -> ExecutionReport:
    """What one event did to one order; `simulated`: the Baron of its trade, or else of the order, None without one."""
    row, event = change.row, change.event
    # Both sides of a trade have a report of their own, so the maker's number counts from the top.
    maker = isinstance(event, Traded) and event.maker_order_id == row.order_id
    index = INDEX_MAX - change.index if maker else change.index
    trade = event if isinstance(event, Traded) else None
    return _report(
        row,
        symbol,
        exec_id=format_id("exe", make_id(row.order_id >> _SHARD_SHIFT, row.seq, index)),
        exec_type=_exec_type(change),
        trade=trade,
        liquidity=None if trade is None else orders.liquidity(trade, row.order_id),
        simulated=simulated,
        amended=isinstance(event, Amended),
    )


def status_report(row: OrderRow, symbol: str, simulated: bool | None, duplicate: bool = False) -> ExecutionReport:
    """An order as it stands, without anything having happened to it; `simulated`: its Baron, None without one."""
    return _report(
        row,
        symbol,
        exec_id=None,
        exec_type="status",
        trade=None,
        liquidity=None,
        simulated=simulated,
        duplicate=duplicate,
    )


def fill(row: OrderRow, event: Traded, symbol: str, simulated: bool) -> Fill:
    """A trade as one of its two orders sees it; `simulated`: the Baron that delivers."""
    return Fill(
        trade_id=format_id("trd", event.trade_id),
        order_id=format_id("ord", row.order_id),
        client_order_id=row.client_order_id or None,
        instrument=symbol,
        side=side_name(row.side),
        price=format_price(event.price_ticks),
        quantity=event.quantity,
        liquidity=orders.liquidity(event, row.order_id),
        lease_id=format_id("lse", event.lease_id) if event.lease_id else None,
        simulated=simulated,
    )


def book_data(view: BookView) -> BookData:
    """A whole book, or the levels of one that changed."""
    shown = market.book(view, "")
    return BookData(simulated=shown.simulated, bids=shown.bids, asks=shown.asks)


def deltas_data(instrument: InstrumentRow, seq: int, ts_ns: int, deltas: list[LevelDelta]) -> BookData:
    """The levels that a command changed; one without orders is gone."""
    bids = [delta.level for delta in deltas if delta.side is Side.BUY]
    asks = [delta.level for delta in deltas if delta.side is Side.SELL]
    return book_data(
        BookView(
            instrument=instrument.instrument,
            simulated=instrument.simulated,
            seq=seq,
            ts_ns=ts_ns,
            bids=bids,
            asks=asks,
        )
    )


def trade_data(row: TradeRow) -> TradeData:
    return TradeData(
        trade_id=format_id("trd", row.trade_id),
        price=format_price(row.price_ticks),
        quantity=row.quantity,
        taker_side=side_name(row.taker_side),
        auction=row.auction,
        displacement=row.displacement,
        simulated=row.simulated,
    )


def instrument_data(row: InstrumentRow) -> InstrumentData:
    """An instrument: the same words as over REST, and times as numbers."""
    shown = msgspec.structs.asdict(market.instrument(row))
    auction = None if shown["auction"] is None else msgspec.structs.asdict(shown["auction"])
    return msgspec.convert(
        shown
        | {
            "session_until_us": _us_if(row.session_until_ns),
            "delivery_start_us": _us_if(row.start_h * NS_PER_HOUR),
            "delivery_end_us": _us_if(row.end_h * NS_PER_HOUR),
            "trading_end_us": _us_if(trading_end_ns(row.start_h)) if row.kind is Kind.FORWARD else None,
            "auction": auction and auction | {"ts_us": row.auction_ns // NS_PER_US},
        },
        InstrumentData,
    )


def point_data(point: CurvePoint) -> CurvePointData:
    """A period of a forward curve: the same words as over REST, and times as numbers."""
    hours = point.instrument
    return msgspec.convert(
        msgspec.structs.asdict(market.curve_point(point))
        | {
            "delivery_start_us": hours.start_h * NS_PER_HOUR // NS_PER_US,
            "delivery_end_us": hours.end_h * NS_PER_HOUR // NS_PER_US,
        },
        CurvePointData,
    )


def lease_data(row: LeaseRow, instrument: InstrumentRow, viewer: int, now_ns: int) -> LeaseData:
    """A lease as an account may see it: the same words as over REST, and times as numbers."""
    shown = msgspec.structs.asdict(leases.lease(row, instrument, viewer, now_ns))
    return LeaseData(
        **{name: shown[name] for name in LeaseData.__struct_fields__ if name in shown},
        started_us=row.start_ns // NS_PER_US,
        active_us=_us_if(row.active_ns),
        ended_us=_us_if(row.ended_ns),
        term_end_us=_us_if(row.term_end_ns),
        ends_us=_us_if(leases.ends_ns(row)),
    )


def side_name(side: Side) -> Literal["buy", "sell"]:
    return "buy" if side is Side.BUY else "sell"


def _report(
    row: OrderRow,
    symbol: str,
    *,
    exec_id: str | None,
    exec_type: ExecType,
    trade: Traded | None,
    liquidity: Liquidity | None,
    simulated: bool | None,
    duplicate: bool = False,
    amended: bool = False,
) -> ExecutionReport:
    """`amended`: what is told is an amend itself, whose reason is told with it."""
    reason = (edge_name(row.reason) if row.reason else None) if amended else orders.reason_of(row)
    return ExecutionReport(
        order_id=format_id("ord", row.order_id),
        client_order_id=row.client_order_id or None,
        exec_id=exec_id,
        seq=row.seq,
        instrument=symbol,
        side=side_name(row.side),
        type=cast(OrderTypeName, edge_name(row.order_type)),
        time_in_force=cast(TimeInForceName, edge_name(row.time_in_force)),
        expire_us=_us_if(row.expire_ns),
        price=format_price_if(row.price_ticks),
        stop_price=format_price_if(row.stop_price_ticks),
        armed=row.armed,
        quantity=row.quantity,
        display_quantity=row.display_quantity or None,
        min_quantity=row.min_quantity or None,
        stp=cast(SelfTradeName, edge_name(row.self_trade)),
        tag=row.tag or None,
        quote_set=row.quote_set or None,
        status=cast(OrderStatusName, edge_name(row.status)),
        exec_type=exec_type,
        cum_quantity=row.cum_quantity,
        leaves_quantity=row.leaves_quantity,
        shown_quantity=row.shown_quantity,
        last_quantity=0 if trade is None else trade.quantity,
        last_price=None if trade is None else format_price(trade.price_ticks),
        liquidity=liquidity,
        reason=reason,
        simulated=simulated,
        duplicate=duplicate,
    )


def _exec_type(change: OrderChange) -> ExecType:
    event = change.event
    if isinstance(event, Accepted):
        return "new"
    if isinstance(event, Traded):
        return "trade"
    if isinstance(event, Triggered):
        return "triggered"
    if isinstance(event, Amended):
        # FIX: what the owner asked for replaces the order; what the market did to it restates it.
        return "replaced" if event.reason is Reason.REQUESTED else "restated"
    if isinstance(event, Canceled):
        return "expired" if change.row.status is OrderStatus.EXPIRED else "canceled"
    raise TypeError(f"no report for {type(event).__name__}")


def _us_if(ts_ns: int) -> int | None:
    """Null for 0: it hasn't come, or there is none."""
    return ts_ns // NS_PER_US if ts_ns else None
