"""Sessions: an operator brings an instrument to one, an auction by a breach ends by its timer, a clearing goes on (§6).

The book matches; here stands what it can't know of an auction: the bound on an account's leases. Bids whose fills would
break it are cancelled before the clearing meets them.
"""

from __future__ import annotations

from engine import auction_bounds, book_events, book_orders, in_book, listing, order_terms, timers, trades
from engine.bounds import Room
from engine.messages import SetSession
from engine.reasons import Reason
from engine.records import Session
from engine.state import Refused, State


def set_session(state: State, command: SetSession) -> None:
    """An operator's word; refused where the instrument has expired, or its clearing isn't finished."""
    instrument = order_terms.instrument_of(state, command.instrument).instrument
    book = state.books[instrument]
    clearing = book.stops_due
    if book.session is Session.EXPIRED or (clearing and command.session is not Session.CONTINUOUS):
        raise Refused(Reason.SESSION_CLOSED, "session")
    if instrument in state.expiring:
        raise Refused(Reason.SESSION_CLOSED, "session")
    if command.session is Session.EXPIRED and len(book) > listing.CANCELS_A_FIRING:
        # Nothing enters any more while its orders go, so many at a time.
        state.expiring.add(instrument)
        _go_to(state, instrument, Session.HALTED)
        go_on_expiring(state, instrument)
        return
    _go_to(state, instrument, command.session)


def go_on_expiring(state: State, instrument: int) -> None:
    """Cancel as many as one command may of what rests in an instrument that expires; after the last it has expired."""
    book = state.books[instrument]
    listing.cancel_all(state, book, listing.CANCELS_A_FIRING)
    if not len(book):
        state.expiring.discard(instrument)
        _go_to(state, instrument, Session.EXPIRED)


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
    """Cancel the orders that the clearing's next part would fill beyond their accounts' bounds (§2)."""
    book = state.books[instrument]
    if not book.stops_due:
        # The book's time becomes the clearing's, and with it the reference that decides between equal prices.
        book_events.must(state, instrument, book_orders.tick(state.last_ts_ns))
    while beyond := auction_bounds.beyond_bound(state, book, room := Room(state, instrument)):
        for order in beyond:
            in_book.cancel(state, order, room.reason)
    room.keep()
