"""An auction, watched: the price that it must clear at, reckoned the long way, and who may trade at it (docs/book.md, "Sessions").

Demand and supply are summed at every price where they can change, without a book's order or a search.
"""

from __future__ import annotations

from engine.book import Indicative
from engine.kinds import Side
from engine.records import BookEvent, EventFlag
from tests.engine.book.laws_ledger import Known, Ledger, law


def clearing(ledger: Ledger, reference: tuple[int, int]) -> Indicative | None:
    """What the orders at rest that take part clear at; None when none of them cross."""
    bids = [order for order in ledger.first(Side.BUY) if ledger.joins_auction(order)]
    asks = [order for order in ledger.first(Side.SELL) if ledger.joins_auction(order)]
    if not bids or not asks or bids[0].price < asks[0].price:
        return None
    # Demand and supply are constant from one of these prices to just before the next.
    starts = sorted({1, *(bid.price + 1 for bid in bids), *(ask.price for ask in asks)})
    best: tuple[int, int] | None = None
    low = high = 0
    for start, after in zip(starts, [*starts[1:], ledger.limits.price_max + 1], strict=True):
        demand = sum(bid.leaves for bid in bids if bid.price >= start)
        supply = sum(ask.leaves for ask in asks if ask.price <= start)
        merit = -min(demand, supply), abs(demand - supply)
        if after <= start or (best is not None and merit > best):
            continue
        if best is None or merit < best:
            best, low = merit, start
        high = after - 1
    value, volume = reference
    price = min(max(value // volume, low), high) if volume else (low + high) // 2
    demand = sum(bid.leaves for bid in bids if bid.price >= price)
    supply = sum(ask.leaves for ask in asks if ask.price <= price)
    surplus_side = Side.BUY if demand > supply else Side.SELL if supply > demand else 0
    return Indicative(price, min(demand, supply), abs(demand - supply), surplus_side)


def said(sum_of: int) -> int:
    """A sum as an event's 32 bits say it."""
    return min(sum_of, 2**32 - 1)


class Clearing:
    """One clearing, which may take several commands."""

    def __init__(self, ledger: Ledger, event: BookEvent, reference: tuple[int, int]) -> None:
        due = clearing(ledger, reference)
        law(due is not None, "an auction clears when unconditional orders cross", event)
        assert due is not None
        told = Indicative(event.price, event.quantity, event.leaves, event.side)
        saying = due._replace(volume=said(due.volume), surplus=said(due.surplus))
        law(told == saying, "an auction clears at most volume, least surplus, nearest the reference", told, saying)
        self.ledger = ledger
        self.price = event.price
        self.left = due.volume
        self.undisturbed = True
        self._shut = self._shut_asks()

    def _shut_asks(self) -> frozenset[int]:
        """The unconditional asks whose hours are over: they take no part."""
        asks = self.ledger.first(Side.SELL)
        return frozenset(ask.order_id for ask in asks if not (ask.conditional or self.ledger.joins_auction(ask)))

    def time_passed(self) -> None:
        """Another command goes on with it: an ask whose hours ended meanwhile takes its part of the volume along."""
        self.undisturbed &= self._shut_asks() == self._shut

    def due(self, side: Side) -> Known | None:
        """Who trades next on this side; None when the clearing has no more of it."""
        for order in self.ledger.first(side):
            if self.ledger.joins_auction(order):
                inside = order.price >= self.price if side is Side.BUY else order.price <= self.price
                return order if inside else None
        return None

    def trade(self, event: BookEvent) -> None:
        ask, bid = self.due(Side.SELL), self.due(Side.BUY)
        law(ask is not None and bid is not None, "a clearing trades what crosses", event)
        assert ask is not None
        assert bid is not None
        law(
            (event.order_id, event.other_id) == (ask.order_id, bid.order_id),
            "price, then time, in an auction",
            event,
            ask,
            bid,
        )
        law(event.flags == EventFlag.AUCTION and event.side == 0, "an auction's trade has no taker", event)
        law(event.price == self.price, "an auction trades at one price", event, self.price)
        # A pair that came to cross at rest, the ask's hours being over meanwhile, is nobody's entry to refuse.
        law(ask.reopened or not ask.account or ask.account != bid.account, "nobody trades with himself", event)
        quantity = min(ask.leaves, bid.leaves)
        law(event.quantity == quantity, "an auction's fill is what the two orders allow", event, quantity)
        for order in (ask, bid):
            order.filled += quantity
            order.leaves -= quantity
            order.shown = min(order.display or order.leaves, order.leaves)
        law((event.leaves, event.other_leaves) == (ask.leaves, bid.leaves), "a trade tells what is left", event)
        for order in (ask, bid):
            if not order.leaves:
                self.ledger.close(order)
        self.left -= quantity
        law(self.left >= 0 or not self.undisturbed, "an auction trades the volume that it told", event)
        self.ledger.traded(self.price, quantity, auction=True)

    @property
    def done(self) -> bool:
        return self.due(Side.SELL) is None or self.due(Side.BUY) is None
