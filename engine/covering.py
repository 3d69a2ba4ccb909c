"""Covers enter: one fok bid on-demand each, at the end of the command whose failure it covers (rulebook §8).

It is an order as any: limits, kill switch, funds and session apply, and a refusal is all that comes of it. The failing
provider's Barons are told to their book as Barons that no cover may meet, for as long as its covers enter. So many enter
at the end of one command; a Tick goes on with the rest.
"""

from __future__ import annotations

from itertools import groupby, takewhile

from engine import account_limits, book_events, book_orders, matching, stops
from engine.dues import Cover
from engine.kinds import OrderStatus, OrderType, Origin, Side, TimeInForce
from engine.messages import Rejected
from engine.state import Baron, Order, Refused, State


def follow(state: State) -> None:
    """Enter what waits, in order of failure."""
    fills_left = state.fills_left
    entered = 0
    for (instrument, providers), group in groupby(state.covers[: state.limits.max_covers], key=_kept_away):
        if not stops.has_ids(state):
            break
        barons = _barons(state, instrument, providers)
        _tell(state, instrument, barons, covers=False)
        for cover in takewhile(lambda _: stops.has_ids(state), group):
            entered += 1
            _enter(state, cover)
        _tell(state, instrument, barons, covers=True)
    del state.covers[:entered]
    state.fills_left = fills_left


def _kept_away(cover: Cover) -> tuple[int, list[int]]:
    return cover.instrument, cover.providers


def _barons(state: State, instrument: int, providers: list[int]) -> list[Baron]:
    """The providers' Barons of the market on which anything firm is asked; what others sell on them would fail with them."""
    listed = state.instruments[instrument]
    market = listed.sku, listed.region
    own = (each for each in state.barons.values() if each.provider in providers and (each.sku, each.region) == market)
    return [baron for baron in own if any(row.firm_asks for row in state.rows_of[baron.baron].values())]


def _tell(state: State, instrument: int, barons: list[Baron], *, covers: bool) -> None:
    for baron in barons:
        book_events.must(state, instrument, book_orders.set_baron(baron, state.last_ts_ns, covers=covers))


def _enter(state: State, cover: Cover) -> None:
    state.fills_left = state.limits.max_looked
    order = _bid(state, cover)
    try:
        account_limits.check_entry(state, state.accounts[cover.account])
        matching.enter(state, order)
    except Refused as refusal:
        state.emit(
            Rejected(
                account=cover.account,
                reason=refusal.reason,
                field=refusal.field,
                order_id=order.order_id,
                order_status=OrderStatus.REJECTED,
                needed_micros=refusal.needed_micros,
                available_micros=refusal.available_micros,
            )
        )
        return
    for draft in state.drafts.values():
        if draft.bid.order_id == order.order_id:
            draft.limit_ticks, draft.auto_extend = cover.limit_ticks, cover.auto_extend


def _bid(state: State, cover: Cover) -> Order:
    return state.records.order(
        order_id=state.new_id(),
        account=cover.account,
        instrument=cover.instrument,
        kind=state.instruments[cover.instrument].kind,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.FOK,
        price_ticks=cover.price_ticks,
        quantity=cover.quantity,
        leaves_quantity=cover.quantity,
        origin=Origin.COVER,
        post_only=False,
        client_order_id="",
        hours=cover.hours,
        baron=0,
        window_end_ns=0,
        delivery=cover.delivery,
        features=cover.features,
        same_baron=cover.same_baron,
        min_rating=cover.min_rating,
    )
