"""What is listed: markets, and the forwards that the calendar brings into each and takes away (rulebook §3).

Each market has a timer of its own, due at 23:00 UTC each day: the day's settlement prices are said, what begins to be
delivered in an hour expires, what comes in is listed. However many days are overdue, each is done in its turn as of its
own time. One firing makes a bounded number of events: where more orders rest in what expires, the timer stays due.
It knows no price and no money.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

from engine import book_events, book_orders, in_book, periods, settlement_prices, timers
from engine.book import Book
from engine.kinds import Kind, Side
from engine.messages import InstrumentListed, ListMarket, MarketListed
from engine.reasons import Reason
from engine.records import Session
from engine.state import Calendar, Instrument, Refused, State
from engine.units import NS_PER_DAY, NS_PER_HOUR

CANCELS_A_FIRING: Final = 4_096
"""Orders that one firing cancels; each makes two events or three, and those of a command are numbered in 16 bits."""
_DAY_ENDS_NS: Final = NS_PER_DAY - periods.TRADING_ENDS_H * NS_PER_HOUR
"""From 00:00 UTC: every period begins with a day."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z", re.ASCII)


def list_market(state: State, command: ListMarket) -> None:
    """List a SKU in a region: spot, on-demand, then the forwards of this time, numbered in this order."""
    for field, text in (("sku", command.sku), ("region", command.region)):
        if _NAME.match(text) is None:
            raise Refused(Reason.INVALID_MARKET, field)
    if (command.sku, command.region) in state.markets:
        raise Refused(Reason.MARKET_EXISTS)
    spot = state.next_instrument
    for number, kind in ((spot, Kind.SPOT), (spot + 1, Kind.ONDEMAND)):
        state.add_instrument(Instrument(instrument=number, sku=command.sku, region=command.region, kind=kind))
    state.emit(MarketListed(sku=command.sku, region=command.region, spot_instrument=spot, ondemand_instrument=spot + 1))
    _list_forwards(state, state.instruments[spot], state.last_ts_ns)
    calendar = state.calendars[spot] = Calendar(market=spot, due_ns=0)
    timers.arm_calendar(state, calendar, _next_day_end_ns(state.last_ts_ns))


def instruments_of(state: State, sku: str, region: str) -> Iterable[int]:
    """The numbers of all that is listed of a market now, in order of listing; none of a market that isn't."""
    return state.instruments_of.get((sku, region), {})


def day_ends(state: State, calendar: Calendar) -> None:
    """The market's timer: that day's prices, expiries and newcomers, as of the time at which it was due."""
    due_ns = calendar.due_ns
    market = state.instruments[calendar.market]
    forwards = _forwards(state, market)
    if not calendar.priced:
        for forward in forwards:
            settlement_prices.say(state, forward.instrument, due_ns)
        calendar.priced = True
    left = CANCELS_A_FIRING
    for forward in forwards:
        if forward.trading_end_ns <= due_ns:
            left -= cancel_all(state, state.books[forward.instrument], left)
            if len(state.books[forward.instrument]):
                return
            _expire(state, forward.instrument)
    _list_forwards(state, market, due_ns)
    calendar.priced = False
    timers.arm_calendar(state, calendar, due_ns + NS_PER_DAY)


def _next_day_end_ns(now_ns: int) -> int:
    """The first 23:00 UTC after a time: what begins within the hour isn't listed any more."""
    due_ns = now_ns - now_ns % NS_PER_DAY + _DAY_ENDS_NS
    return due_ns if due_ns > now_ns else due_ns + NS_PER_DAY


def _forwards(state: State, market: Instrument) -> list[Instrument]:
    found = (state.instruments[number] for number in instruments_of(state, market.sku, market.region))
    return [instrument for instrument in found if instrument.kind is Kind.FORWARD]


def _list_forwards(state: State, market: Instrument, now_ns: int) -> None:
    """List what is open at a time and isn't listed yet: days, weeks, months, quarters, years."""
    listed = {forward.period for forward in _forwards(state, market)}
    for period in periods.listed(now_ns):
        if period.name not in listed:
            forward = Instrument(
                instrument=state.next_instrument,
                sku=market.sku,
                region=market.region,
                kind=Kind.FORWARD,
                start_h=period.start_h,
                end_h=period.end_h,
                period=period.name,
            )
            state.add_instrument(forward)
            _tell_barons(state, forward)
            state.emit(
                InstrumentListed(
                    instrument=forward.instrument,
                    sku=forward.sku,
                    region=forward.region,
                    kind=forward.kind,
                    period=forward.period,
                    start_h=forward.start_h,
                    end_h=forward.end_h,
                )
            )


def _tell_barons(state: State, forward: Instrument) -> None:
    """A new book knows what each Baron of its market offers: its rating and its features (§5)."""
    for baron in state.barons_of.get((forward.sku, forward.region), ()):
        book_events.must(state, forward.instrument, book_orders.set_baron(baron, state.last_ts_ns))


def cancel_all(state: State, book: Book, bound: int) -> int:
    """Cancel so many of a book's orders, as its own expiry would: bids and asks by priority, then stops; how many."""
    resting = [order for side in Side for order in book.resting(side, bound)][:bound]
    if len(resting) < min(bound, len(book)):
        resting += islice(book.state().stops, bound - len(resting))
    for order in resting:
        in_book.cancel(state, state.orders[order.order_id], Reason.INSTRUMENT_EXPIRED)
    return len(resting)


def _expire(state: State, instrument: int) -> None:
    """An empty book ends, and with it all that is known of its instrument."""
    if state.books[instrument].session is not Session.EXPIRED:
        book_events.must(state, instrument, book_orders.set_session(Session.EXPIRED, state.last_ts_ns))
    state.drop_instrument(instrument)
