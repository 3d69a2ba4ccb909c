"""One order's walk, watched: whom it may meet next, and whether how it ended is how it had to end (docs/book.md, "The walk").

The witness sees the taker, the orders that stand opposite and the events; it never moves an order but by what an event says.
"""

from __future__ import annotations

from typing import Final

from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import BookEvent, EventFlag, EventKind, SelfTrade
from engine.units import NS_PER_S
from tests.engine.book.laws_ledger import Known, Ledger, law

LIMIT_REACHED: Final = "walk limit"
ENDING_MODES: Final = (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH)


class Walk:
    """From the event that begins it to the last that it makes."""

    def __init__(self, ledger: Ledger, taker: Known, reference: tuple[int, int]) -> None:
        self.ledger = ledger
        self.taker = taker
        self.reference = reference
        self.opposite = Side.SELL if taker.side is Side.BUY else Side.BUY
        self.cursor: tuple[int, int] | None = None
        self.looks = 0
        self.passed: list[int] = []
        """Ranks of prices that were passed over."""
        self.fills = 0
        self.gone = 0
        """Makers that were filled or cancelled."""
        self.shrunk = 0
        """What the maker of a decrement lost, until the taker has lost it too."""
        self.both = False
        """Whether cancel_both has taken the maker and now wants the remainder."""
        self.broken_band = False
        self.refill: Known | None = None

    def _inside(self, maker: Known) -> bool:
        taker = self.taker
        return maker.price <= taker.price if taker.side is Side.BUY else maker.price >= taker.price

    def _look(self) -> tuple[Known | str | None, int, list[int]]:
        """The order that must be met next, or that the limit is reached, or None; looks used until then; prices passed."""
        looks, passed = self.looks, list[int]()
        bound = self.ledger.limits.max_looked
        for maker in self.ledger.standing(self.opposite, self.cursor):
            if not self._inside(maker):
                break
            if bound and looks == bound:
                return LIMIT_REACHED, looks, passed
            looks += 1
            if self.ledger.fill_quantity(self.taker, maker):
                return maker, looks, passed
            passed.append(maker.rank[0])
        return None, looks, passed

    def _meet(self, maker: Known, what: str) -> None:
        """This maker is met: it must be the earliest that could be."""
        met, looks, passed = self._look()
        law(met is maker, f"{what} meets the earliest eligible order", f"met {maker}", f"due {met}", self.taker)
        self.cursor, self.looks = maker.rank, looks
        self.passed += passed

    def trade(self, event: BookEvent) -> None:
        ledger, taker = self.ledger, self.taker
        law(self.refill is None, "an iceberg that shows too little shows anew before all else", self.refill)
        law(not (self.shrunk or self.both or self.broken_band), "a walk that has ended trades no more", event)
        law(event.order_id in ledger.orders, "a maker is live", event)
        maker = ledger.orders[event.order_id]
        law(event.side == taker.side, "a trade names the taker's side", event)
        law(bool(maker.place) and maker.side is self.opposite, "a maker stands on the other side", event)
        self._meet(maker, "a trade")
        law(self.own(maker) is False, "nobody trades with himself", event)
        law(event.price == maker.price, "a trade prints at the maker's price", event, maker)
        law(self._inside(maker), "a trade is inside the taker's limit", event)
        law(not ledger.outside(event.price, self.reference), "no trade prints outside the band", event, self.reference)
        due = ledger.fill_quantity(taker, maker)
        law(event.quantity == due, "a fill is what the two orders allow", event, due)
        self.fills += 1
        for order in (maker, taker):
            order.filled += due
            order.leaves -= due
        maker.shown -= due
        law((event.leaves, event.other_leaves) == (maker.leaves, taker.leaves), "a trade tells what is left", event)
        if not maker.leaves:
            self.gone += 1
            ledger.close(maker)
        elif ledger.starved(maker):
            self.refill = maker
        ledger.traded(event.price, event.quantity, auction=False)
        if not taker.leaves:
            ledger.close(taker)

    def refilled(self, event: BookEvent) -> None:
        maker = self.refill
        law(
            maker is not None and maker.order_id == event.order_id,
            "only an iceberg that shows too little shows anew",
            event,
        )
        assert maker is not None
        self.refill = None
        maker.shown = min(maker.display, maker.leaves)
        law((event.quantity, event.leaves) == (maker.shown, maker.leaves), "a refill shows the display quantity", event)
        law((event.price, event.side) == (maker.price, maker.side), "a refill stays at its price", event)
        self.ledger.lift(maker)
        self.ledger.settle(maker)

    # ------------------------------------------------------------ self-trade

    def own(self, maker: Known) -> bool:
        return bool(maker.account) and maker.account == self.taker.account

    def maker_cancelled(self, event: BookEvent, maker: Known) -> None:
        """CANCELED of an order at rest in the midst of a walk: by its own account's taker."""
        mode = self.taker.mode
        law(
            event.reason is Reason.SELF_TRADE and self.own(maker),
            "a walk cancels its own account's orders alone",
            event,
        )
        law(mode is not SelfTrade.CANCEL_NEWEST, "cancel_newest leaves the oldest", event)
        law(not (self.both or self.shrunk), "a walk ends once", event)
        self._meet(maker, "a self-trade")
        guarded = maker.lot > 1 or maker.min_quantity > 1 or maker.same_baron
        if mode is SelfTrade.DECREMENT and not guarded:
            law(event.quantity == maker.leaves <= self.taker.leaves, "decrement takes the smaller of both", event)
            self.shrunk = maker.leaves
        else:
            law(event.quantity == maker.leaves, "a cancel tells what was unfilled", event, maker)
            self.both = mode is SelfTrade.CANCEL_BOTH
        self.gone += 1
        self.ledger.close(maker)

    def amended(self, event: BookEvent) -> None:
        """AMENDED in the midst of a walk: decrement's, first of the maker, then of the taker."""
        law(event.reason is Reason.SELF_TRADE, "a walk amends by decrement alone", event)
        law(event.flags == EventFlag.KEPT_PRIORITY, "decrement keeps priority", event)
        taker = self.taker
        if event.order_id == taker.order_id:
            law(self.shrunk > 0, "decrement shrinks the maker first", event)
            self._shrink(taker, self.shrunk)
            self.shrunk = 0
            law((event.quantity, event.leaves) == (taker.total, taker.leaves), "decrement shrinks both alike", event)
            return
        maker = self.ledger.orders[event.order_id]
        law(taker.mode is SelfTrade.DECREMENT and self.own(maker), "decrement is of one account", event)
        self._meet(maker, "a decrement")
        law(taker.leaves < maker.leaves, "decrement takes the smaller of both", event)
        self.shrunk = taker.leaves
        self._shrink(maker, self.shrunk)
        law((event.quantity, event.leaves) == (maker.total, maker.leaves), "decrement shrinks both alike", event)

    @staticmethod
    def _shrink(order: Known, by: int) -> None:
        order.total -= by
        order.leaves -= by
        order.shown = min(order.shown, order.leaves)

    # ------------------------------------------------------------ the end

    def session(self, event: BookEvent) -> None:
        """An auction opens because the next trade would print outside the band."""
        ledger, taker = self.ledger, self.taker
        met, _, passed = self._look()
        law(event.reason is Reason.OUTSIDE_BAND, "a walk changes the session by the band alone", event)
        law(
            isinstance(met, Known) and ledger.outside(met.price, self.reference),
            "a breach opens an auction",
            event,
            met,
        )
        assert isinstance(met, Known)
        law(not (met.conditional or taker.conditional), "a conditional order opens no auction", event)
        law(
            not any(rank < met.rank[0] for rank in self.passed + passed),
            "whoever passed better opens no auction",
            event,
        )
        law(taker.time_in_force is not TimeInForce.FOK, "a fok opens no auction", event)
        cooled_ns = ledger.auction_end_ns + ledger.limits.cooldown_s * NS_PER_S
        law(not ledger.auction_end_ns or ledger.now_ns >= cooled_ns, "no auction within the cooldown", event)
        law(event.other_id == ledger.now_ns + ledger.limits.auction_s * NS_PER_S, "an auction says when it ends", event)
        self.broken_band = True

    def taker_cancelled(self, event: BookEvent) -> None:
        """CANCELED of the taker: the reason must be the one that stopped the walk."""
        taker = self.taker
        law(self.refill is None, "an iceberg that shows too little shows anew before all else", self.refill)
        if self.shrunk:
            law(self.shrunk == taker.leaves == event.quantity, "decrement shrinks both alike", event)
            law(event.reason is Reason.SELF_TRADE, "decrement cancels by self_trade", event)
            self.shrunk = 0
        else:
            law(event.quantity == taker.leaves, "a cancel tells what was unfilled", event, taker)
            self._reason(event)
            self.both = False
        self.ledger.close(taker)

    def _reason(self, event: BookEvent) -> None:
        taker, ledger, reason = self.taker, self.ledger, event.reason
        met, _, _ = self._look()
        if taker.time_in_force is TimeInForce.FOK:
            law(False, "a fok leaves nothing", event)
        match reason:
            case Reason.SELF_TRADE | Reason.WALK_LIMIT if self.broken_band:
                due = own_refusal(ledger, taker, self.gone)
                law(reason is due, "what would cross its own account doesn't join the auction", event, due)
            case Reason.SELF_TRADE:
                meets_own = isinstance(met, Known) and self.own(met) and taker.mode in ENDING_MODES
                law(self.both or meets_own, "self_trade is said of one account's orders", event, met)
            case Reason.WALK_LIMIT:
                law(met is LIMIT_REACHED, "walk_limit is said at the limit", event, met)
            case Reason.OUTSIDE_BAND:
                outside = isinstance(met, Known) and ledger.outside(met.price, self.reference)
                law(outside and not self.own_next(met), "outside_band is said of a breach", event, met)
                law(not (self.broken_band and taker.may_rest), "what may rest joins the auction", event)
            case Reason.MARKET_REMAINDER:
                law(taker.order_type in (OrderType.MARKET, OrderType.STOP), "market_remainder is a market's", event)
                law(met is None, "a walk ends where nothing eligible is left", event, met)
            case Reason.IOC_REMAINDER:
                law(taker.time_in_force is TimeInForce.IOC, "ioc_remainder is an ioc's", event)
                law(met is None, "a walk ends where nothing eligible is left", event, met)
            case Reason.CONDITIONAL_LIMIT:
                count = sum(order.conditional for order in ledger.first(taker.side))
                full = 0 < ledger.limits.max_conditional_side <= count
                law(full and taker.conditional, "conditional_limit is said of a full side", event, count)
                law(met is None, "a walk ends where nothing eligible is left", event, met)
            case _:
                law(False, "a remainder is cancelled for a reason of the walk", event)

    def own_next(self, met: Known | str | None) -> bool:
        return isinstance(met, Known) and self.own(met)

    def ended(self) -> None:
        """Nothing more comes of it: what is left stands in the book now."""
        taker, ledger = self.taker, self.ledger
        law(self.refill is None, "an iceberg that shows too little shows anew before all else", self.refill)
        law(not (self.shrunk or self.both), "decrement and cancel_both take the taker too", taker)
        if taker.order_id not in ledger.orders or ledger.orders[taker.order_id] is not taker:
            return
        law(taker.may_rest, "only a gtc limit rests", taker)
        met, _, _ = self._look()
        law(self.broken_band or met is None, "an order rests when nothing eligible is left", met, taker)
        joins = not self.broken_band or own_refusal(ledger, taker, self.gone) is Reason.NONE
        law(joins, "what would cross its own account doesn't join the auction", taker)
        taker.armed = False
        taker.shown = min(taker.display, taker.leaves) if taker.display else taker.leaves
        ledger.settle(taker)
        bound = ledger.limits.max_conditional_side
        if taker.conditional and bound:
            law(sum(order.conditional for order in ledger.first(taker.side)) <= bound, "a side rests so many", taker)


def own_refusal(ledger: Ledger, order: Known, gone: int = 0) -> Reason:
    """Whether it would cross an unconditional order of its own account at rest, or more orders than it may look at.

    gone: makers that its walk has filled or cancelled, which it looked at, too.
    """
    opposite = Side.SELL if order.side is Side.BUY else Side.BUY
    has_own = any(other.account == order.account and not other.conditional for other in ledger.first(opposite))
    if not order.account or not has_own:
        return Reason.NONE
    bound = ledger.limits.max_looked
    for looked, other in enumerate(ledger.first(opposite), gone):
        if other.price > order.price if order.side is Side.BUY else other.price < order.price:
            break
        if bound and looked >= bound:
            return Reason.WALK_LIMIT
        if other.account == order.account and not other.conditional:
            return Reason.SELF_TRADE
    return Reason.NONE


KINDS_OF_A_WALK: Final = (EventKind.TRADE, EventKind.REFILLED)
