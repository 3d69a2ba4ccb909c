"""Sessions: an operator brings an instrument to one, an auction by a breach ends by its timer, a clearing goes on (§6).

The book matches; here stands what it can't know of an auction: the bound on an account's leases. Bids whose fills would
break it are cancelled before the clearing meets them.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine import book_events, book_orders, in_book, order_terms, timers, trades
from engine.book import Book, RestingOrder
from engine.book_plain_orders import conditional
from engine.kinds import Side
from engine.messages import SetSession
from engine.reasons import Reason
from engine.records import Session
from engine.state import Order, Refused, State


def set_session(state: State, command: SetSession) -> None:
    """An operator's word; refused where the instrument has expired, or its clearing isn't finished."""
    instrument = order_terms.instrument_of(state, command.instrument).instrument
    book = state.books[instrument]
    clearing = book.stops_due
    if book.session is Session.EXPIRED or (clearing and command.session is not Session.CONTINUOUS):
        raise Refused(Reason.SESSION_CLOSED, "session")
    _go_to(state, instrument, command.session)


def auction_end(state: State, instrument: int) -> None:
    """An auction's time is over: it clears, and trading goes on."""
    timers.arm_auction(state, instrument, 0)
    _go_to(state, instrument, Session.CONTINUOUS)


def go_on(state: State, instrument: int) -> None:
    """The next part of a clearing that one command couldn't finish."""
    _make_room(state, instrument)
    book_events.must(state, instrument, book_orders.tick(state.last_ts_ns))
    trades.capacity_follows(state)


def _go_to(state: State, instrument: int, session: Session) -> None:
    if session is Session.CONTINUOUS and state.books[instrument].session is not Session.CONTINUOUS:
        _make_room(state, instrument)
    book_events.must(state, instrument, book_orders.set_session(session, state.last_ts_ns))
    trades.capacity_follows(state)


def _make_room(state: State, instrument: int) -> None:
    """Cancel the bids that the clearing's next part would fill beyond their accounts' bounds (§2)."""
    book = state.books[instrument]
    if not book.stops_due:
        # The book's time becomes the clearing's, and with it the reference that decides between equal prices.
        book_events.must(state, instrument, book_orders.tick(state.last_ts_ns))
    while beyond := _beyond_bound(state, book, _price(book)):
        for bid in beyond:
            in_book.cancel(state, bid, Reason.TOO_MANY_LEASES)


def _price(book: Book) -> int:
    """What the auction clears at, as its own kept price or as reckoned at this time; 0: nothing clears."""
    if book.stops_due:
        return book.state().clearing_price
    found = book.indicative()
    return found.price if found is not None else 0


def _beyond_bound(state: State, book: Book, price: int) -> list[Order]:
    """Go through the clearing dry: the bids whose next lease would be one more than their account may have."""
    if price == 0:
        return []
    asks = _side(book, Side.SELL, price)
    room: dict[int, int] = {}
    opened: set[tuple[int, int]] = set()
    beyond: list[Order] = []
    ask = next(asks, None)
    ask_leaves = ask.leaves if ask is not None else 0
    trades_left = state.limits.max_looked
    for bid in _side(book, Side.BUY, price):
        leaves = bid.leaves
        order = state.orders[bid.order_id]
        while ask is not None and leaves and trades_left:
            left = room.get(bid.account, state.limits.max_leases - state.accounts[bid.account].leases)
            new = (bid.order_id, ask.baron) not in opened
            if new and left <= 0:
                beyond.append(order)
                break
            if new:
                opened.add((bid.order_id, ask.baron))
                room[bid.account] = left - 1
            quantity = min(leaves, ask_leaves)
            leaves, ask_leaves, trades_left = leaves - quantity, ask_leaves - quantity, trades_left - 1
            if ask_leaves == 0:
                ask = next(asks, None)
                ask_leaves = ask.leaves if ask is not None else 0
        if ask is None or not trades_left:
            break
    return beyond


def _side(book: Book, side: Side, price: int) -> Iterator[RestingOrder]:
    """The unconditional orders of a side that an auction at a price fills, in their order."""
    for order in book.resting(side):
        if order.price < price if side is Side.BUY else order.price > price:
            return
        if not conditional(order):
            yield order
