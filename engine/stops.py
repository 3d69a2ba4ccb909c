"""Stops fire after the command that triggered them, in order of entry, each checked first (rulebook §2, §5).

At most so many a command; what waits is due at once, so that a Tick goes on with it. The book knows which are
triggered; the machine asks for each by name (`BookLimits.fires` is off), since it alone knows money and leases.
"""

from __future__ import annotations

from typing import Final

from engine import account_limits, book_events, book_orders, in_book, matching, obligations, trades
from engine.ids import INDEX_MAX
from engine.kinds import Kind, Side
from engine.reasons import Reason
from engine.state import Order, Refused, State

_IDS_A_FILL: Final = 3
"""A trade, an obligation and a lease."""
_EVENTS_A_LEASE: Final = 4
"""Its obligation, itself, and the money that moves, when the command ends."""
_OF_AN_OBLIGATION: Final = 5
"""What a resale numbers at most, ids or events, of each obligation that it cuts."""
_IDS_KEPT: Final = 2**14
"""What stops leave of a command's ids to the offers that follow them."""


def follow(state: State) -> None:
    """Fire what may fire now, and note where something waits."""
    look(state)
    if not state.waiting:
        return
    fired = 0
    fills_left = state.fills_left
    for instrument in sorted(state.waiting):
        book = state.books[instrument]
        while fired < state.limits.max_stops and (order_id := book.next_stop()) and has_ids(state, order_id):
            fired += 1
            _fire(state, state.orders[order_id])
    state.fills_left = fills_left
    look(state)


def look(state: State) -> None:
    """Note, of the books that the command touched, where stops wait to fire or a clearing to go on."""
    touched, state.touched_books = state.touched_books, {}
    for instrument in touched:
        book = state.books[instrument]
        if book.next_stop() or book.stops_due:
            state.waiting.add(instrument)
        else:
            state.waiting.discard(instrument)


def has_ids(state: State, order_id: int = 0) -> bool:
    """Whether the command has ids left for all that one more order could fill; its events are numbered likewise.

    order_id: a stop's, which on a forward may cut obligations; 0: a spot or on-demand order that is still to come.
    """
    if state.made == 0:
        return True
    needed = state.limits.max_looked * _IDS_A_FILL + _IDS_KEPT
    numbered = max(state.made, len(state.events) + len(state.drafts) * _EVENTS_A_LEASE)
    sold_on = {
        (draft.ask.account, draft.ask.baron) for draft in state.drafts.values() if draft.bid.kind is Kind.FORWARD
    }
    numbered += sum(len(obligations.held(state, *seller)) for seller in sold_on) * _OF_AN_OBLIGATION
    stop = state.orders.get(order_id)
    if stop is not None and stop.kind is Kind.FORWARD:
        may_cut = state.limits.max_obligations if stop.side is Side.BUY else _held(state, stop)
        needed += may_cut * _OF_AN_OBLIGATION
    return numbered + needed <= INDEX_MAX


def _held(state: State, ask: Order) -> int:
    return len(obligations.held(state, ask.account, ask.baron))


def _fire(state: State, order: Order) -> None:
    """A stop enters with its own bound on fills; what its account may not do cancels it."""
    state.fills_left = state.limits.max_looked
    try:
        matching.check_trading(state, order.instrument)
        if order.side is Side.BUY:
            account_limits.check_standing(state, state.accounts[order.account])
        else:
            matching.hold_to_enter(state, order)
        if not matching.clear_way(state, order, book_orders.new(order, state.last_ts_ns)):
            in_book.cancel(state, order, Reason.WALK_LIMIT)
            return
    except Refused as refusal:
        in_book.cancel(state, order, refusal.reason)
        return
    book_events.must(state, order.instrument, book_orders.fire(order, state.last_ts_ns))
    trades.capacity_follows(state)
    matching.rests(state, order)
