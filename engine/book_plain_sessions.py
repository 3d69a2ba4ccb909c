"""The plain book's sessions: auctions clear, stops fire, an instrument expires (rulebook §6; docs/book.md).

It knows how a book goes from one session to another; which commands a session lets in is `engine.book_plain`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from msgspec.structs import replace

from engine.book import BookLimits, Indicative, RestingOrder
from engine.book_plain_auction import clearing
from engine.book_plain_doors import saturated
from engine.book_plain_orders import OPPOSITE, displayed, fired, joins_auction
from engine.book_plain_reference import rounded
from engine.book_plain_walk import Walks
from engine.kinds import Side
from engine.reasons import Reason
from engine.records import EventFlag, EventKind, Session


class Sessions(Walks):
    """A book that opens, pauses and closes."""

    def __init__(self, limits: BookLimits) -> None:
        super().__init__(limits)
        self._clearing_price = 0

    # ------------------------------------------------------------ from one to another

    def _go_to(self, session: Session, reason: Reason) -> None:
        """SET_SESSION."""
        if session is Session.CONTINUOUS and self._session is not Session.CONTINUOUS:
            self._clear(reason)
            return
        if session is Session.EXPIRED:
            for order in self._all():
                self._cancel(order, Reason.INSTRUMENT_EXPIRED)
        self._session = session
        self._say_session(reason)

    def _clear(self, reason: Reason) -> None:
        """Trade at auction prices until nothing crosses, or until the command has made as many trades as one may."""
        trades, cleared_price = 0, 0
        while self._clearing_price or self._begin_clearing():
            cleared_price = self._clearing_price
            trades += self._trade_at_auction(cleared_price, trades)
            if next(self._auction_pairs(cleared_price), None) is not None:
                return
            # Where orders left in the midst of it, what stayed may still cross, at another price.
            self._clearing_price = 0
        self._open(cleared_price, reason)

    def _begin_clearing(self) -> bool:
        """Find the price of an auction and say it; False when nothing crosses."""
        result = self._clearing_result(rounded(self._reference_now()))
        if result is None:
            return False
        self._clearing_price = result.price
        volume, surplus = saturated(result.volume), saturated(result.surplus)
        self._say(EventKind.CLEARED, price=result.price, quantity=volume, leaves=surplus, side=result.surplus_side)
        return True

    def _trade_at_auction(self, price: int, made: int) -> int:
        """Trade until one side has none left at the price, or the bound on trades is met; how many."""
        bound = self._limits.max_looked - made if self._limits.max_looked else None
        pairs = list(islice(self._auction_pairs(price), bound))
        for ask, bid, quantity in pairs:
            self._auction_trade(ask.order_id, bid.order_id, price, quantity)
        return len(pairs)

    def _open(self, cleared_price: int, reason: Reason) -> None:
        """Trading goes on continuously; an auction that cleared is the reference from now on."""
        if self._session in (Session.PRE_OPEN, Session.AUCTION):
            self._reference.auction_price = 0
            self._reference.auction_end_ns = self._now_ns
        if cleared_price:
            # One that began in a halt is an auction like any other.
            self._reference.auction_price = cleared_price
            self._reference.auction_end_ns = self._now_ns
            self._reference.minutes.clear()
        self._command_reference = None
        self._session = Session.CONTINUOUS
        self._say_session(reason)

    # ------------------------------------------------------------ the auction

    def _joins_auction(self, order: RestingOrder) -> bool:
        return joins_auction(order, self._now_ns)

    def _clearing_result(self, reference: int) -> Indicative | None:
        bids, asks = (self._crossing_totals(side) for side in (Side.BUY, Side.SELL))
        return clearing(bids, asks, reference)

    def _crossing_totals(self, side: Side) -> dict[int, int]:
        """All that those who take part leave, by price, of the levels that reach into the other side."""
        totals: dict[int, int] = {}
        best_opposite = next(self._ladders[OPPOSITE[side]].levels(), None)
        if best_opposite is not None:
            for price, queue in self._ladders[side].inside(best_opposite[0]):
                total = sum(
                    order.leaves for order in map(self._orders.__getitem__, queue) if self._joins_auction(order)
                )
                if total:
                    totals[price] = total
        return totals

    def _auction_side(self, side: Side, price: int) -> Iterator[RestingOrder]:
        """The orders of a side that would trade at a price, in price-time order."""
        for _, queue in self._ladders[side].inside(price):
            yield from (order for order in map(self._orders.__getitem__, queue) if self._joins_auction(order))

    def _auction_pairs(self, price: int) -> Iterator[tuple[RestingOrder, RestingOrder, int]]:
        """Ask, bid and quantity of each trade at a price, as the orders stand; nothing may change meanwhile."""
        asks, bids = self._auction_side(Side.SELL, price), self._auction_side(Side.BUY, price)
        ask, bid = next(asks, None), next(bids, None)
        while ask is not None and bid is not None:
            quantity = min(ask.leaves, bid.leaves)
            yield ask, bid, quantity
            # What one order leaves meets the next order of the other side.
            ask = replace(ask, leaves=ask.leaves - quantity) if ask.leaves > quantity else next(asks, None)
            bid = replace(bid, leaves=bid.leaves - quantity) if bid.leaves > quantity else next(bids, None)

    def _auction_trade(self, ask_id: int, bid_id: int, price: int, quantity: int) -> None:
        ask, bid = (
            replace(order, leaves=order.leaves - quantity) for order in (self._orders[ask_id], self._orders[bid_id])
        )
        self._say(
            EventKind.TRADE,
            ask_id,
            price=price,
            quantity=quantity,
            leaves=ask.leaves,
            flags=EventFlag.AUCTION,
            other_id=bid_id,
            other_leaves=bid.leaves,
        )
        for order in (ask, bid):
            if order.leaves == 0:
                self._unrest(order)
            else:
                self._change(replace(order, shown=displayed(order)))
        self._reference_now()
        self._reference.last_price = price
        self._trigger(price)

    # ------------------------------------------------------------ stops

    def _next_stop(self) -> int:
        """Id of the stop that fires next; 0 when none may now."""
        return self._stops.first_triggered() if self._session is Session.CONTINUOUS else 0

    def _fire_due(self) -> None:
        """After a command: the triggered stops fire, those among them that a firing triggers, so many a command."""
        fired_stops = 0
        while self._limits.fires and (order_id := self._next_stop()):
            if 0 < self._limits.max_stops <= fired_stops:
                return
            fired_stops += 1
            self._fire(self._orders[order_id])

    def _fire(self, stop: RestingOrder) -> None:
        """A stop enters as a market order or a limit, unless entry would refuse it."""
        self._disarm(stop)
        entering = self._prepare(fired(stop))
        if isinstance(entering, Reason):
            self._say_canceled(stop, entering)
            return
        self._say(
            EventKind.TRIGGERED, entering.order_id, entering.side, entering.price, entering.quantity, entering.leaves
        )
        self._enter(entering)
