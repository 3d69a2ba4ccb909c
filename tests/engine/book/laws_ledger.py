"""What an auditor of a book knows of its orders, learnt from commands and events alone.

Orders by id, who stands where at which price, stops in order of entry, Barons, sessions, and the trades that make the reference
(docs/book.md). It has no level, no best price and no index: sides are lists in order of priority, so that no cleverness of
a book can hide in it.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator

from engine.book import BookLimits, Level
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import SELF_TRADE_SHIFT, TIME_SHIFT, TYPE_SHIFT, Command, Flag, SelfTrade, Session
from engine.units import NS_PER_HOUR, NS_PER_S, PPM

NS_PER_MINUTE = 60 * NS_PER_S
HOUR_MINUTES = 60


class Breach(AssertionError):
    """A law that a book broke."""


def law(holds: bool, text: str, *seen: object) -> None:
    """Raise unless it holds."""
    if not holds:
        raise Breach(": ".join([text, *(str(thing) for thing in seen)]))


@dataclasses.dataclass
class Known:
    """An order as commands and events told it."""

    order_id: int
    account: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    mode: SelfTrade
    same_baron: bool
    post_only: bool
    price: int
    total: int
    display: int
    min_quantity: int
    stop_price: int
    window_end_h: int
    baron: int
    tag: int
    features: int
    hours: int
    lot: int
    min_rating: int
    filled: int = 0
    leaves: int = 0
    shown: int = 0
    place: int = 0
    """When it came to where it stands; 0: nowhere, it is walking."""
    armed: bool = False
    triggered: bool = False
    reopened: bool = False
    """Whether its window was ever moved when less than an hour was left of it: then it may cross what came meanwhile."""

    @property
    def conditional(self) -> bool:
        if self.side is Side.BUY:
            asked = self.hours > 1 or self.min_rating or self.features or self.same_baron
        else:
            asked = self.hours > 1 or self.lot > 1
        return bool(asked) or self.min_quantity > 1

    @property
    def rank(self) -> tuple[int, int]:
        """Priority on its side, least first."""
        return (-self.price if self.side is Side.BUY else self.price), self.place

    @property
    def may_rest(self) -> bool:
        return self.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT) and self.time_in_force is TimeInForce.GTC


def known_of(command: Command) -> Known:
    """The order of a NEW that was accepted."""
    shape = command.shape
    return Known(
        order_id=command.order_id,
        account=command.account,
        side=Side.SELL if shape & 1 else Side.BUY,
        order_type=OrderType((shape >> TYPE_SHIFT & 3) + 1),
        time_in_force=TimeInForce((shape >> TIME_SHIFT & 3) + 1),
        mode=SelfTrade(shape >> SELF_TRADE_SHIFT & 3),
        same_baron=bool(command.flags & Flag.SAME_BARON),
        post_only=bool(command.flags & Flag.POST_ONLY),
        price=command.price,
        total=command.quantity,
        display=command.display_quantity,
        min_quantity=command.min_quantity,
        stop_price=command.stop_price,
        window_end_h=command.window_end_h,
        baron=command.baron,
        tag=command.tag,
        features=command.features,
        hours=command.hours,
        lot=command.lot,
        min_rating=command.min_rating,
        leaves=command.quantity,
    )


class Ledger:
    """All that the auditor has learnt."""

    def __init__(self, limits: BookLimits) -> None:
        self.limits = limits
        self.orders: dict[int, Known] = {}
        self._sides: dict[Side, list[tuple[int, int, int]]] = {Side.BUY: [], Side.SELL: []}
        self.stops: list[Known] = []
        self.barons: dict[int, tuple[int, int]] = {}
        self.now_ns = 0
        self.session = Session.CONTINUOUS
        self.last_price = 0
        self.auction_price = 0
        self.auction_end_ns = 0
        self.minutes: dict[int, tuple[int, int]] = {}
        self._places = 0

    def next_place(self) -> int:
        self._places += 1
        return self._places

    def settle(self, order: Known) -> None:
        """It stands at the back of its level from now on."""
        order.place = self.next_place()
        bisect.insort(self._sides[order.side], (*order.rank, order.order_id))

    def lift(self, order: Known) -> None:
        """It stands there no longer."""
        side = self._sides[order.side]
        at = bisect.bisect_left(side, (*order.rank, 0))
        law(at < len(side) and side[at][2] == order.order_id, "an order stands where it came to", order)
        del side[at]
        order.place = 0

    def close(self, order: Known) -> None:
        """It is gone, from wherever it was."""
        if order.armed:
            self.stops.remove(order)
        elif order.place:
            self.lift(order)
        del self.orders[order.order_id]

    def standing(self, side: Side, behind: tuple[int, int] | None = None) -> Iterator[Known]:
        """Orders at rest in order of priority, those behind a place alone if it is given."""
        line = self._sides[side]
        start = 0 if behind is None else bisect.bisect_right(line, (*behind, 2**64))
        for _, _, order_id in line[start:] if start < len(line) else ():
            yield self.orders[order_id]

    def first(self, side: Side) -> Iterator[Known]:
        """As `standing`, without copying the line."""
        return (self.orders[order_id] for _, _, order_id in self._sides[side])

    def depth(self, side: Side) -> list[Level]:
        """What the book's depth must be."""
        levels: dict[int, list[int]] = {}
        for order in self.first(side):
            level = levels.setdefault(order.price, [0, 0, 0])
            level[order.conditional] += order.shown
            level[2] += 1
        return [Level(price, *sums) for price, sums in levels.items()]

    # ------------------------------------------------------------ eligibility (docs/book.md, "Eligibility")

    def open_until(self, ask: Known, hours: int) -> bool:
        return not ask.window_end_h or self.now_ns + max(hours, 1) * NS_PER_HOUR <= ask.window_end_h * NS_PER_HOUR

    def joins_auction(self, order: Known) -> bool:
        """Whether it takes part in a clearing: unconditional, and an hour left of its window."""
        return not order.conditional and (order.side is Side.BUY or self.open_until(order, 1))

    def eligible(self, bid: Known, ask: Known) -> bool:
        rating, features = self.barons.get(ask.baron, (0, 0)) if ask.baron else (0, 0)
        return (
            self.open_until(ask, bid.hours)
            and max(bid.hours, 1) >= max(ask.hours, 1)
            and rating >= bid.min_rating
            and bid.features & ~features == 0
        )

    def fill_quantity(self, taker: Known, maker: Known) -> int:
        """GPUs of the fill between them now; 0: the maker is passed over."""
        bid, ask = (taker, maker) if taker.side is Side.BUY else (maker, taker)
        if not self.eligible(bid, ask):
            return 0
        quantity = min(taker.leaves, maker.shown)
        quantity -= quantity % max(ask.lot, 1)
        if any(quantity < min(order.min_quantity, order.leaves) for order in (taker, maker)):
            return 0
        return 0 if bid.same_baron and quantity != bid.leaves else quantity

    @staticmethod
    def starved(maker: Known) -> bool:
        """Whether a filled order hides more, and shows nothing or less than the least that may be taken of it."""
        hides = maker.leaves > maker.shown
        return hides and (not maker.shown or maker.shown < min(maker.min_quantity, maker.leaves))

    # ------------------------------------------------------------ trades

    def traded(self, price: int, quantity: int, *, auction: bool) -> None:
        """A trade printed: it sets the last price, wakes stops, and is in the minute's average unless an auction's."""
        self.last_price = price
        for stop in self.stops:
            stop.triggered |= self.triggers(stop)
        if not auction:
            minute = self.now_ns // NS_PER_MINUTE
            value, volume = self.minutes.get(minute, (0, 0))
            self.minutes[minute] = value + price * quantity, volume + quantity

    def triggers(self, stop: Known) -> bool:
        """Whether the last price triggers it."""
        last = self.last_price
        return bool(last) and (last >= stop.stop_price if stop.side is Side.BUY else last <= stop.stop_price)

    def reference(self) -> tuple[int, int]:
        """The reference price as value over volume; (0, 0): none (docs/book.md, "Band")."""
        if self.auction_price and self.now_ns < self.auction_end_ns + NS_PER_HOUR:
            return self.auction_price, 1
        first = self.now_ns // NS_PER_MINUTE - HOUR_MINUTES + 1
        rows = [row for minute, row in self.minutes.items() if minute >= first]
        if rows:
            return sum(value for value, _ in rows), sum(volume for _, volume in rows)
        return (self.last_price, 1) if self.last_price else (0, 0)

    def outside(self, price: int, reference: tuple[int, int]) -> bool:
        """Whether a trade at this price would be outside the band."""
        value, volume = reference
        band_ppm = self.limits.band_ppm
        return bool(band_ppm and volume) and abs(price * volume - value) * PPM > band_ppm * value
