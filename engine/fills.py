"""Fills: what a trade of the book means to the shard before the lease that comes of it is opened (rulebook §6, §8).

GPUs move from the ask to the lease in the hours of their row, and the bid's share of its hold is set aside. Fills of one bid on one
Baron at one price add up to one draft, which `engine.trades` makes an obligation and a lease when the command ends.
"""

from __future__ import annotations

from typing import Final

from engine import forwards, money, open_orders, rows, settlement_prices
from engine.kinds import Kind, OrderStatus, Origin, Side
from engine.messages import Traded
from engine.records import BookEvent, EventFlag
from engine.state import Broken, Draft, Order, State
from engine.units import NS_PER_HOUR

_AUCTION: Final = int(EventFlag.AUCTION)


def trade(state: State, event: BookEvent) -> None:
    """One TRADE of the book. In an auction the ask stands as maker and the bid as taker, and neither pays as taker."""
    maker, taker = state.orders[event.order_id], state.orders[event.other_id]
    auction = bool(event.flags & _AUCTION)
    bid_takes = taker.side is Side.BUY
    bid, ask = (taker, maker) if bid_takes else (maker, taker)
    trade_id = state.new_id()
    draft = _draft(state, bid, ask, event.price, bid_takes=bid_takes and not auction, ask_takes=not bid_takes)
    draft.share_micros += money.order_hold_micros(state, bid, bid.leaves_quantity)
    draft.ask_share_micros += money.order_hold_micros(state, ask, ask.leaves_quantity)
    taker.leaves_quantity -= event.quantity
    maker.leaves_quantity -= event.quantity
    if (maker.leaves_quantity, taker.leaves_quantity) != (event.leaves, event.other_leaves):
        raise Broken(f"the book and the shard differ in what {maker.order_id} and {taker.order_id} leave")
    draft.share_micros -= money.order_hold_micros(state, bid, bid.leaves_quantity)
    draft.ask_share_micros -= money.order_hold_micros(state, ask, ask.leaves_quantity)
    draft.bond_ticks += event.quantity * (ask.price_ticks if auction else event.price)
    draft.quantity += event.quantity
    if ask.origin is Origin.OFFER:
        draft.offer_quantity += event.quantity
    _take_gpus(state, bid, ask, event.quantity)
    if bid.kind is Kind.FORWARD:
        settlement_prices.count(state, bid.instrument, event.price, event.quantity)
    state.fills_left -= 1
    state.emit(
        Traded(
            trade_id=trade_id,
            instrument=maker.instrument,
            price_ticks=event.price,
            quantity=event.quantity,
            maker_order_id=maker.order_id,
            taker_order_id=taker.order_id,
            maker_leaves=maker.leaves_quantity,
            taker_leaves=taker.leaves_quantity,
            taker_side=taker.side,
            buyer=bid.account,
            seller=ask.account,
            baron=ask.baron,
            lease_id=draft.lease_id,
            auction=auction,
        )
    )
    for order in (maker, taker):
        count_quote(state, order)
        if order.leaves_quantity == 0:
            open_orders.forget(state, order, OrderStatus.FILLED)


def _take_gpus(state: State, bid: Order, ask: Order, quantity: int) -> None:
    """What the ask stood on is sold: to the end of the bid's term, or to nobody's else as long as a spot lease holds it."""
    if ask.kind is Kind.FORWARD:
        forwards.take_hours(state, bid, ask, quantity)
        return
    row = rows.row_of_ask(state, ask)
    rows.stand(state, ask, -quantity)
    if ask.kind is Kind.SPOT:
        row.spot_gpus += quantity
    else:
        now_ns = state.last_ts_ns
        end_h = rows.hour_after(now_ns + bid.hours * NS_PER_HOUR)
        rows.add_sold(state, row, rows.hour_of(now_ns), end_h, quantity)
    if ask.origin is Origin.OFFER:
        row.listings[ask.instrument].offer_leased_gpus += quantity
    state.barons[ask.baron].leased_gpus += quantity
    state.touched_rows[row.account, row.baron] = None


def _draft(state: State, bid: Order, ask: Order, price_ticks: int, *, bid_takes: bool, ask_takes: bool) -> Draft:
    # A bid that took and was taken in one command pays two fees: its leases stand apart.
    key = (bid.order_id, ask.account, ask.baron, price_ticks, bid_takes, ask_takes)
    draft = state.drafts.get(key)
    if draft is None:
        # A forward's obligations are numbered as they come to be: their age is their order.
        forward = bid.kind is Kind.FORWARD
        obligation_id, lease_id = (0, 0) if forward else (state.new_id(), state.new_id())
        draft = state.records.draft(lease_id, obligation_id, bid, ask, price_ticks, bid_takes, ask_takes)
        state.drafts[key] = draft
        if not forward:
            state.accounts[bid.account].leases += 1
    return draft


def count_quote(state: State, order: Order) -> None:
    """A quote was filled: its set may have had its fills."""
    if not order.quote_set:
        return
    quotes = state.accounts[order.account].quote_sets[order.quote_set]
    quotes.fills += 1
    if 0 < quotes.max_fills <= quotes.fills:
        state.spent_quotes[order.account, order.quote_set] = None
