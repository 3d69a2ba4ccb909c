"""Canaries: books that are wrong in one small thing. A suite that lets one of these live would let such a fast book live too.

Each is the plain book with one rule broken; `CANARIES` says in which regime of the random flows it must die, and whether the
laws alone, which see no other book, must notice. The rest lie in what only a comparison can tell.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from engine.book import BookState, Indicative, Level, RestingOrder
from engine.book_plain import PlainBook
from engine.book_plain_ladder import Ladder, Queue
from engine.book_plain_orders import OPPOSITE, conditional, displayed, is_stop, may_rest
from engine.book_plain_walk import Plan
from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import Command, EventFlag, Given, SelfTrade, Session


class WrongMakerPrice(PlainBook):
    """Bids trade a tick above their price."""

    def _trade_price(self, maker: RestingOrder) -> int:
        return maker.price + (maker.side is Side.BUY)


class LostSibling(PlainBook):
    """An amend takes the order behind it out of the queue, too."""

    def _enter_anew(self, order: RestingOrder, amended: RestingOrder) -> Reason:
        queue = self._ladders[order.side].queue(order.price)
        behind = list(queue)
        behind = behind[behind.index(order.order_id) + 1 :]
        reason = super()._enter_anew(order, amended)
        if behind and not reason and behind[0] in queue:
            self._unrest(self._orders[behind[0]])
        return reason


class RestingIoc(PlainBook):
    """What an ioc leaves rests."""

    def _finish(self, taker: RestingOrder) -> None:
        if taker.order_type is OrderType.LIMIT and taker.time_in_force is TimeInForce.IOC:
            self._rest(replace(taker, shown=displayed(taker)))
        else:
            super()._finish(taker)


class IcebergKeepsPriority(PlainBook):
    """An iceberg's next slice shows at the old place."""

    def _refill(self, order: RestingOrder) -> RestingOrder:
        refilled = replace(order, shown=displayed(order))
        self._change(refilled)
        return refilled


class StarvedIceberg(PlainBook):
    """An iceberg shows its next slice when nothing is left of the last, though less is passed over by all."""

    def _shows_anew(self, left: RestingOrder) -> bool:
        return left.shown == 0 < left.leaves


class HaltIsNoAuction(PlainBook):
    """What clears after a halt is no auction's end."""

    def _open(self, cleared_price: int, reason: Reason) -> None:
        halted, end_ns = self._session is Session.HALTED, self._reference.auction_end_ns
        super()._open(cleared_price, reason)
        if halted:
            self._reference.auction_end_ns = end_ns


class StubbornLadder(Ladder):
    """A ladder that forgets no price."""

    def drop(self, rank: int) -> None:
        return


class PhantomLevel(PlainBook):
    """A best price of no orders stays after the last was cancelled."""

    def _new_ladder(self, side: Side) -> Ladder:
        return StubbornLadder(side)


class LotIgnored(PlainBook):
    """An ask at rest sells parts of its lots."""

    def _fill_quantity(self, taker: RestingOrder, maker: RestingOrder) -> int:
        return super()._fill_quantity(taker, replace(maker, lot=0))


class MinimumOfTheTotal(PlainBook):
    """A minimum holds even when less than it is left."""

    def _fill_quantity(self, taker: RestingOrder, maker: RestingOrder) -> int:
        quantity = super()._fill_quantity(taker, maker)
        return 0 if any(quantity < order.min_quantity for order in (taker, maker)) else quantity


class UndiminishedMaker(PlainBook):
    """Decrement says that the maker shrinks, and only says it."""

    def _decrement(self, taker: RestingOrder, maker: RestingOrder, quantity: int) -> RestingOrder:
        taker = super()._decrement(taker, maker, quantity)
        if maker.order_id in self._orders:
            self._change(maker)
        return taker


class LastStopFirst(PlainBook):
    """Of the triggered stops the last to enter fires first."""

    def _next_stop(self) -> int:
        if not super()._next_stop():
            return 0
        return [order_id for order_id in self._stops.ids() if self._orders[order_id].triggered][-1]


class OneStopMore(PlainBook):
    """After a command one stop more fires than may."""

    def _fire_due(self) -> None:
        super()._fire_due()
        if self._limits.fires and (order_id := self._next_stop()):
            self._fire(self._orders[order_id])


class WideBand(PlainBook):
    """The band is a tick too wide above the reference."""

    def _outside_band(self, price: int) -> bool:
        return super()._outside_band(price) and super()._outside_band(price - 1)


class TieUpward(PlainBook):
    """Without a reference, the middle of an auction's tied prices is rounded up."""

    def _clearing_result(self, reference: int) -> Indicative | None:
        low, high = (super(TieUpward, self)._clearing_result(far) for far in (1, self._limits.price_max))
        if reference or low is None or high is None:
            return super()._clearing_result(reference)
        return super()._clearing_result((low.price + high.price + 1) // 2)


class AmendUpKeepsPriority(PlainBook):
    """An order that asks for more keeps its place."""

    def _enter_anew(self, order: RestingOrder, amended: RestingOrder) -> Reason:
        if amended.price != order.price or conditional(order):
            return super()._enter_anew(order, amended)
        self._change(replace(amended, shown=order.shown))
        self._say_amended(amended, 0)
        return Reason.NONE


class OneLookMore(PlainBook):
    """A walk looks at one order more than it may."""

    def _looked_enough(self, looked: int) -> bool:
        return super()._looked_enough(looked - 1)


class HiddenShown(PlainBook):
    """The depth tells what icebergs hide."""

    def _totals(self, price: int, queue: Queue) -> Level:
        hidden = sum(
            order.leaves - order.shown for order in map(self._orders.__getitem__, queue) if not conditional(order)
        )
        level = super()._totals(price, queue)
        return level._replace(unconditional=level.unconditional + hidden)


class SelfTrader(PlainBook):
    """A seller trades with himself."""

    def _same_account(self, taker: RestingOrder, maker: RestingOrder) -> bool:
        return taker.side is Side.BUY and super()._same_account(taker, maker)


class ReductionToTheBack(PlainBook):
    """A pure reduction loses its place, and says that it doesn't."""

    def _shrink(self, order: RestingOrder, quantity: int, reason: Reason) -> None:
        super()._shrink(order, quantity, reason)
        if not is_stop(order):
            smaller = self._orders[order.order_id]
            self._unrest(smaller)
            self._rest(smaller)


class LateTrigger(PlainBook):
    """A trade at the stop price itself triggers no buy stop."""

    def _trigger(self, price: int) -> None:
        for side, nearest in ((Side.BUY, price - 1), (Side.SELL, price)):
            waiting = [self._orders[order_id] for order_id in self._stops.ids()]
            for stop in waiting:
                reached = stop.stop_price <= nearest if side is Side.BUY else stop.stop_price >= nearest
                if stop.side is side and not stop.triggered and reached:
                    super()._trigger(stop.stop_price)


class ShortWindow(PlainBook):
    """Hours that end with the window are a nanosecond too long."""

    def _eligible(self, taker: RestingOrder, maker: RestingOrder) -> bool:
        self._now_ns += 1
        try:
            return super()._eligible(taker, maker)
        finally:
            self._now_ns -= 1


class FirstRatingForEver(PlainBook):
    """What a Baron was first said to be he stays."""

    def _set_baron(self, command: Command) -> Reason:
        self._barons.setdefault(command.baron, (command.min_rating, command.features))
        return Reason.NONE


class NoCooldown(PlainBook):
    """A breach opens an auction however lately the last one ended."""

    def _cooled_down(self) -> bool:
        return True


class SparedStops(PlainBook):
    """A mass cancel leaves the stops."""

    def _mass_cancel(self, command: Command) -> Reason:
        every = self._all
        self._all = lambda: [order for order in every() if not is_stop(order)]  # type: ignore[method-assign]
        try:
            return super()._mass_cancel(command)
        finally:
            del self._all


class RoundedAway(PlainBook):
    """A seller's protection price is rounded away from the best bid."""

    def _protection(self, taker: RestingOrder) -> int:
        price = super()._protection(taker)
        maker = self._first_counterpart(replace(taker, price=1), others_only=True)
        if taker.side is Side.BUY or not isinstance(maker, RestingOrder):
            return price
        return max(maker.price * (1_000_000 - self._limits.market_protection_ppm) // 1_000_000, 1)


class OwnOrdersCount(PlainBook):
    """A fok's dry walk counts its own account's orders, too."""

    def _plan(self, taker: RestingOrder, dry: bool = False) -> Plan:
        return super()._plan(replace(taker, account=0) if dry else taker, dry)


class OwnSoughtForEver(PlainBook):
    """Before an auction an order looks for its own account's as far as its limit reaches."""

    def _own_refusal(self, order: RestingOrder, gone: int) -> Reason:
        limits, self._limits = self._limits, replace(self._limits, max_looked=0)
        try:
            return super()._own_refusal(order, gone)
        finally:
            self._limits = limits


class OwnSoughtAfresh(PlainBook):
    """What joins an auction in the midst of its walk looks for its own as if the walk had looked at nobody."""

    def _own_refusal(self, order: RestingOrder, gone: int) -> Reason:
        return super()._own_refusal(order, 0)


class OwnForEver(PlainBook):
    """Who has had an order at rest on a side and cancelled it counts as having it still."""

    def _cancel(self, order: RestingOrder, reason: Reason) -> None:
        super()._cancel(order, reason)
        if not (conditional(order) or is_stop(order)):
            self._unconditional_of[order.side, order.account] += 1


class CrowdShutsOut(PlainBook):
    """A crowd before an auction shuts out those, too, who have nothing of their own in it."""

    def _own_refusal(self, order: RestingOrder, gone: int) -> Reason:
        mine = OPPOSITE[order.side], order.account
        self._unconditional_of[mine] += 1
        try:
            return super()._own_refusal(order, gone)
        finally:
            self._unconditional_of[mine] -= 1


class ShutAskSells(PlainBook):
    """An ask whose hours are over takes part in an auction."""

    def _joins_auction(self, order: RestingOrder) -> bool:
        return not conditional(order)


class AnewInPlace(PlainBook):
    """Less of an order keeps its place whatever else is asked."""

    def _amend(self, command: Command) -> Reason:
        only_anew = command.flags == Given.ANEW
        return super()._amend(command if only_anew else command._replace(flags=command.flags & ~Given.ANEW))


class FokEatsItself(PlainBook):
    """What decrement would take off a fok counts as found."""

    def _plan(self, taker: RestingOrder, dry: bool = False) -> Plan:
        return super()._plan(taker, dry and taker.self_trade is not SelfTrade.DECREMENT)


class FokOnceDry(PlainBook):
    """A fok is walked dry with its own account's orders as nothing, and then decremented by them all the same."""

    def _fok_refusal(self, order: RestingOrder) -> Reason:
        return super()._fok_refusal(replace(order, self_trade=SelfTrade.CANCEL_OLDEST))


class FokKiller(PlainBook):
    """No fok is whole enough."""

    def _fok_refusal(self, order: RestingOrder) -> Reason:
        return Reason.FOK_KILLED


class FokAnyhow(PlainBook):
    """A fok takes what there is."""

    def _fok_refusal(self, order: RestingOrder) -> Reason:
        return Reason.NONE


class AmendRefuser(PlainBook):
    """No amend asks for a good quantity."""

    def _amend(self, command: Command) -> Reason:
        known = self._own(command) is not None and command.flags
        return Reason.INVALID_QUANTITY if known else super()._amend(command)


class PostOnlyTakes(PlainBook):
    """An order that may only rest trades all the same."""

    def _post_only_refusal(self, order: RestingOrder) -> Reason:
        return Reason.NONE


class PostOnlyNever(PlainBook):
    """An order that may only rest is refused where its own account's stands opposite, whatever comes first."""

    def _post_only_refusal(self, order: RestingOrder) -> Reason:
        reason = super()._post_only_refusal(order)
        return Reason.SELF_TRADE if reason is Reason.POST_ONLY_WOULD_TRADE else reason


class NoLiquidityEver(PlainBook):
    """Nobody finds a price for a market order without one."""

    def _protection(self, taker: RestingOrder) -> int:
        return 0


class ShutBeforeTrading(PlainBook):
    """Before trading nothing enters."""

    def _session_refusal(self, order: RestingOrder) -> Reason:
        return super()._session_refusal(order) if self._session is Session.CONTINUOUS else Reason.SESSION_CLOSED


class OneConditionalLess(PlainBook):
    """An account may have one conditional order less than it may."""

    def _conditional_refusal(self, order: RestingOrder) -> Reason:
        full = self._conditional_of[order.account] + 1 == self._limits.max_conditional_account
        counts = order.account and conditional(order) and (may_rest(order) or is_stop(order))
        return Reason.TOO_MANY_CONDITIONAL if full and counts else super()._conditional_refusal(order)


class SilentCancel(PlainBook):
    """A level that loses an order without a trade is no change for the deltas."""

    def _cancel(self, order: RestingOrder, reason: Reason) -> None:
        keeps, self._keeps_changes = self._keeps_changes, False
        super()._cancel(order, reason)
        self._keeps_changes = keeps


class ForgottenTrigger(PlainBook):
    """A stop that was triggered isn't any more in a restored book."""

    def restore(self, state: BookState) -> None:
        stops = tuple(replace(stop, triggered=False) for stop in state.stops)
        super().restore(replace(state, stops=stops))


class KeptPriorityUnsaid(PlainBook):
    """An amend that keeps its priority doesn't say so."""

    def _say_amended(self, order: RestingOrder, flags: int, reason: Reason = Reason.NONE) -> None:
        super()._say_amended(order, flags & ~EventFlag.KEPT_PRIORITY, reason)


class Canary(NamedTuple):
    """A broken book, where it must be caught, and whether the laws must catch it, too."""

    book: type[PlainBook]
    regime: str
    breaks_a_law: bool = True
    sizes: tuple[int, ...] = (600, 3_000)
    """Of the segments: short lives have many limits, and what shows at a book's birth alone wants the shortest."""


CANARIES: Final = (
    Canary(WrongMakerPrice, "plain"),
    Canary(LostSibling, "moves"),
    Canary(RestingIoc, "plain"),
    Canary(IcebergKeepsPriority, "icebergs"),
    Canary(StarvedIceberg, "icebergs"),
    Canary(HaltIsNoAuction, "sessions", sizes=(300, 600)),
    Canary(PhantomLevel, "plain"),
    Canary(LotIgnored, "eligible"),
    Canary(MinimumOfTheTotal, "eligible"),
    Canary(UndiminishedMaker, "selves"),
    Canary(LastStopFirst, "stops"),
    Canary(OneStopMore, "stops"),
    Canary(WideBand, "bands"),
    Canary(TieUpward, "sessions", sizes=(60,)),
    Canary(AmendUpKeepsPriority, "moves"),
    Canary(OneLookMore, "plain"),
    Canary(HiddenShown, "icebergs"),
    Canary(SelfTrader, "selves"),
    Canary(ReductionToTheBack, "plain"),
    Canary(LateTrigger, "stops"),
    Canary(ShortWindow, "eligible"),
    Canary(FirstRatingForEver, "eligible"),
    Canary(NoCooldown, "bands"),
    Canary(SparedStops, "wild"),
    Canary(RoundedAway, "plain"),
    Canary(OwnOrdersCount, "selves"),
    Canary(OwnSoughtForEver, "selves"),
    Canary(OwnSoughtAfresh, "opening"),
    Canary(OwnForEver, "sessions", sizes=(300, 600)),
    Canary(CrowdShutsOut, "windows"),
    Canary(ShutAskSells, "windows"),
    Canary(FokEatsItself, "selves"),
    Canary(FokOnceDry, "selves"),
    Canary(FokKiller, "plain"),
    Canary(FokAnyhow, "plain"),
    Canary(AmendRefuser, "plain"),
    Canary(PostOnlyTakes, "plain"),
    Canary(PostOnlyNever, "plain"),
    Canary(NoLiquidityEver, "plain"),
    Canary(ShutBeforeTrading, "sessions"),
    Canary(OneConditionalLess, "eligible", sizes=(600,)),
    Canary(AnewInPlace, "moves"),
    Canary(SilentCancel, "plain", breaks_a_law=False),
    Canary(ForgottenTrigger, "stops", breaks_a_law=False),
    Canary(KeptPriorityUnsaid, "plain"),
)
