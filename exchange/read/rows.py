"""How each event makes a row or changes one: pure functions of the row before and the event.

What an order shows is told by no single event, so it is followed here: an order that enters, or takes part in an auction,
shows its display quantity anew; one at rest shows less by what it fills, until it says that it refilled (docs/book.md).
This room knows neither where rows are kept nor which event comes next.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from engine.kinds import EndReason, Kind, OrderStatus, edge_name
from engine.messages import (
    Accepted,
    AccountLimitsSet,
    Amended,
    AuctionCleared,
    Canceled,
    InstrumentListed,
    InstrumentSession,
    LeaseChanged,
    LeasePriced,
    LeaseScheduled,
    MarketListed,
    ObligationChanged,
    Refilled,
    SettlementPrice,
    Traded,
    Triggered,
)
from engine.reasons import Reason
from exchange.read.interface import AccountLimitsRow, InstrumentRow, LeaseRow, ObligationRow, OrderRow, TradeRow

_OVER: Final = (Reason.WINDOW_CLOSED, Reason.EXPIRED)
"""The order's own end of time, which FIX calls expired; all else that cancels was somebody's doing."""


def accepted(event: Accepted, seq: int, ts_ns: int) -> OrderRow:
    row = OrderRow(
        order_id=event.order_id,
        account=event.account,
        instrument=event.instrument,
        side=event.side,
        order_type=event.order_type,
        time_in_force=event.time_in_force,
        price_ticks=event.price_ticks,
        quantity=event.quantity,
        cum_quantity=0,
        leaves_quantity=event.quantity,
        status=OrderStatus.NEW,
        reason=Reason.NONE,
        origin=event.origin,
        post_only=event.post_only,
        client_order_id=event.client_order_id,
        hours=event.hours,
        baron=event.baron,
        window_end_ns=event.window_end_ns,
        created_ns=ts_ns,
        updated_ns=ts_ns,
        seq=seq,
        stop_price_ticks=event.stop_price_ticks,
        display_quantity=event.display_quantity,
        min_quantity=event.min_quantity,
        self_trade=event.self_trade,
        features=event.features,
        same_baron=event.same_baron,
        lot=event.lot,
        min_hours=event.min_hours,
        tag=event.tag,
        expire_ns=event.expire_ns,
        quote_set=event.quote_set,
        min_rating=event.min_rating,
        armed=event.armed,
    )
    return replace(row, shown_quantity=_displayed(row))


def filled(row: OrderRow, event: Traded, seq: int, ts_ns: int) -> OrderRow:
    """One of the trade's two orders after it."""
    maker = event.maker_order_id == row.order_id
    after = replace(
        row,
        cum_quantity=row.cum_quantity + event.quantity,
        leaves_quantity=event.maker_leaves if maker else event.taker_leaves,
        updated_ns=ts_ns,
        seq=seq,
    )
    # In an auction icebergs take part whole, and a taker doesn't rest yet: each shows its display anew.
    in_place = maker and not event.auction
    return replace(
        after,
        status=OrderStatus.PARTIALLY_FILLED if after.leaves_quantity else OrderStatus.FILLED,
        shown_quantity=row.shown_quantity - event.quantity if in_place else _displayed(after),
    )


def refilled(row: OrderRow, event: Refilled) -> OrderRow:
    """It follows a trade of the same command, which has stamped the row."""
    return replace(row, shown_quantity=event.quantity)


def triggered(row: OrderRow, event: Triggered, seq: int, ts_ns: int) -> OrderRow:
    after = replace(row, price_ticks=event.price_ticks, armed=False, triggered_ns=ts_ns, updated_ns=ts_ns, seq=seq)
    return replace(after, shown_quantity=_displayed(after))


def amended(row: OrderRow, event: Amended, seq: int, ts_ns: int) -> OrderRow:
    after = replace(
        row,
        price_ticks=event.price_ticks,
        quantity=event.quantity,
        leaves_quantity=event.leaves_quantity,
        window_end_ns=event.window_end_ns,
        expire_ns=event.expire_ns,
        reason=event.reason,
        updated_ns=ts_ns,
        seq=seq,
    )
    shown = min(row.shown_quantity, event.leaves_quantity) if event.kept_priority else _displayed(after)
    return replace(after, shown_quantity=shown)


def canceled(row: OrderRow, event: Canceled, seq: int, ts_ns: int) -> OrderRow:
    return replace(
        row,
        leaves_quantity=0,
        shown_quantity=0,
        status=OrderStatus.EXPIRED if event.reason in _OVER else OrderStatus.CANCELED,
        reason=event.reason,
        armed=False,
        updated_ns=ts_ns,
        seq=seq,
    )


def _displayed(row: OrderRow) -> int:
    """What an order shows when it comes to a level: nothing of a stop that waits."""
    if row.armed:
        return 0
    return min(row.display_quantity or row.leaves_quantity, row.leaves_quantity)


def listed(event: MarketListed) -> list[InstrumentRow]:
    """A market's spot and on-demand instrument."""
    numbers = ((Kind.SPOT, event.spot_instrument), (Kind.ONDEMAND, event.ondemand_instrument))
    return [
        InstrumentRow(
            instrument=number,
            symbol=f"{event.sku}.{event.region}.{edge_name(kind)}",
            sku=event.sku,
            region=event.region,
            kind=kind,
            simulated=False,
        )
        for kind, number in numbers
    ]


def forward_listed(event: InstrumentListed, simulated: bool) -> InstrumentRow:
    """A forward; simulated as its market is."""
    return InstrumentRow(
        instrument=event.instrument,
        symbol=f"{event.sku}.{event.region}.fwd-{event.period}",
        sku=event.sku,
        region=event.region,
        kind=event.kind,
        simulated=simulated,
        period=event.period,
        start_h=event.start_h,
        end_h=event.end_h,
    )


def settled(row: InstrumentRow, event: SettlementPrice) -> InstrumentRow:
    return replace(row, settlement_ticks=event.price_ticks, settlement_day=event.day)


def in_session(row: InstrumentRow, event: InstrumentSession) -> InstrumentRow:
    return replace(
        row,
        session=event.session,
        session_reason=event.reason,
        session_until_ns=event.until_ns,
        reference_ticks=event.reference_ticks,
    )


def cleared(row: InstrumentRow, event: AuctionCleared, ts_ns: int) -> InstrumentRow:
    return replace(
        row,
        auction_ns=ts_ns,
        auction_price_ticks=event.price_ticks,
        auction_quantity=event.quantity,
        auction_surplus_quantity=event.surplus_quantity,
        auction_surplus_side=event.surplus_side,
    )


def limited(event: AccountLimitsSet, seq: int) -> AccountLimitsRow:
    return AccountLimitsRow(
        account=event.account,
        max_open_orders=event.max_open_orders,
        max_notional_micros=event.max_notional_micros,
        max_gpus=event.max_gpus,
        killed=event.killed,
        seq=seq,
    )


def trade(event: Traded, simulated: bool, seq: int, ts_ns: int) -> TradeRow:
    return TradeRow(
        trade_id=event.trade_id,
        instrument=event.instrument,
        price_ticks=event.price_ticks,
        quantity=event.quantity,
        taker_side=event.taker_side,
        simulated=simulated,
        ts_ns=ts_ns,
        seq=seq,
        auction=event.auction,
        displacement=event.displaced_lease_id != 0,
    )


def scheduled(event: LeaseScheduled, simulated: bool, seq: int) -> LeaseRow:
    return LeaseRow(
        lease_id=event.lease_id,
        order_id=event.order_id,
        renter=event.renter,
        provider=event.provider,
        baron=event.baron,
        instrument=event.instrument,
        kind=event.kind,
        quantity=event.quantity,
        price_ticks=event.price_ticks,
        start_ns=event.start_ns,
        term_end_ns=event.term_end_ns,
        state=event.state,
        reason=EndReason.NONE,
        active_ns=0,
        ended_ns=0,
        charged_micros=0,
        wiped=False,
        access=b"",
        detail="",
        simulated=simulated,
        seq=seq,
        limit_ticks=event.limit_ticks,
        auto_extend=event.auto_extend,
    )


def obligation(event: ObligationChanged, simulated: bool, seq: int) -> ObligationRow:
    """Every event of one is whole."""
    return ObligationRow(
        obligation_id=event.obligation_id,
        provider=event.provider,
        holder=event.holder,
        baron=event.baron,
        instrument=event.instrument,
        quantity=event.quantity,
        start_h=event.start_h,
        end_h=event.end_h,
        price_ticks=event.price_ticks,
        escrow_micros=event.escrow_micros,
        bond_micros=event.bond_micros,
        lease_id=event.lease_id,
        addressed=event.addressed,
        live=event.live,
        change=event.change,
        simulated=simulated,
        seq=seq,
    )


def lease_priced(row: LeaseRow, event: LeasePriced, seq: int) -> LeaseRow:
    """A raise from then on, or an extension, which may cost what the term before did."""
    prices = row.all_prices()
    if event.price_ticks != row.price_ticks:
        prices = [*(prices or [(row.start_ns, row.price_ticks)]), (event.from_ns, event.price_ticks)]
    return replace(
        row,
        price_ticks=event.price_ticks,
        prices=msgspec.msgpack.encode(prices) if prices else b"",
        term_end_ns=event.term_end_ns,
        seq=seq,
    )


def lease_changed(row: LeaseRow, event: LeaseChanged, seq: int) -> LeaseRow:
    return replace(
        row,
        state=event.state,
        reason=event.reason,
        active_ns=event.active_ns,
        ended_ns=event.ended_ns,
        charged_micros=event.charged_micros,
        wiped=event.wiped,
        # The way in was told once, with ACTIVE; an event that doesn't repeat it doesn't take it away.
        access=event.access or row.access,
        detail=event.detail or row.detail,
        ends_ns=event.ends_ns,
        auto_extend=event.auto_extend,
        # A log of before leases shrank doesn't say it.
        quantity=event.quantity or row.quantity,
        seq=seq,
    )
