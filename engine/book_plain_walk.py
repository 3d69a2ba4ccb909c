"""The walk: what an order that enters takes from the other side, dry or in earnest (rulebook §6; docs/book.md).

A walk is planned first, on orders that never change, and then carried out step by step; a dry walk is a plan that nobody
carries out. One rule stands in one method, so that a test can break each alone. It knows no commands.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import chain
from typing import NamedTuple

from msgspec.structs import replace

from engine.book import BookLimits, RestingOrder, Stop
from engine.book_plain_orders import (
    OPPOSITE,
    conditional,
    displayed,
    eligible,
    fill_quantity,
    may_rest,
    shows_too_little,
)
from engine.book_plain_queues import Queues
from engine.book_plain_reference import Reference, outside_band, rounded
from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import EventFlag, EventKind, SelfTrade, Session
from engine.units import NS_PER_S, PPM


class Act(IntEnum):
    """What happens to a maker that isn't passed over."""

    TRADE = 1
    CANCEL = 2
    DECREMENT = 3


class Step(NamedTuple):
    act: Act
    maker: RestingOrder
    """As it is when its turn comes."""
    quantity: int


class Plan(NamedTuple):
    """A walk's steps, what they leave of the taker, and why it ends."""

    steps: list[Step]
    leaves: int
    stop: Stop
    opens_auction: bool = False
    """Outside the band, and §6 lets the breach open an auction."""


class Walks(Queues):
    """Orders enter, and meet those at rest."""

    def __init__(self, limits: BookLimits) -> None:
        super().__init__(limits)
        self._now_ns = 0
        self._session = Session.CONTINUOUS
        self._barons: dict[int, tuple[int, int]] = {}
        self._reference = Reference()
        self._command_reference: tuple[int, int] | None = None
        """The reference as it was when the command began, once it was asked for; trades since then don't move it."""

    def _reference_now(self) -> tuple[int, int]:
        if self._command_reference is None:
            self._command_reference = self._reference.at(self._now_ns)
        return self._command_reference

    # ------------------------------------------------------------ one rule each

    def _eligible(self, taker: RestingOrder, maker: RestingOrder) -> bool:
        bid, ask = (taker, maker) if taker.side is Side.BUY else (maker, taker)
        rating, features = self._barons.get(ask.baron, (0, 0))
        return eligible(bid, ask, self._now_ns, rating, features)

    def _fill_quantity(self, taker: RestingOrder, maker: RestingOrder) -> int:
        """What the two would trade; 0: the maker is passed over."""
        return fill_quantity(taker, maker) if self._eligible(taker, maker) else 0

    def _shows_anew(self, left: RestingOrder) -> bool:
        """Whether an iceberg that was filled shows its next slice."""
        return shows_too_little(left)

    def _trade_price(self, maker: RestingOrder) -> int:
        return maker.price

    def _same_account(self, taker: RestingOrder, maker: RestingOrder) -> bool:
        return taker.account != 0 and taker.account == maker.account

    def _looked_enough(self, looked: int) -> bool:
        return 0 < self._limits.max_looked <= looked

    def _outside_band(self, price: int) -> bool:
        return outside_band(price, self._reference_now(), self._limits.band_ppm)

    def _cooled_down(self) -> bool:
        """Whether the last auction is long enough ago for a breach to open another."""
        end_ns = self._reference.auction_end_ns
        return end_ns == 0 or self._now_ns - end_ns >= self._limits.cooldown_s * NS_PER_S

    def _opens_auction(self, taker: RestingOrder, maker: RestingOrder, best_passed: int) -> bool:
        """Whether a trade outside the band opens an auction (§6)."""
        fok = taker.time_in_force is TimeInForce.FOK
        better_passed = best_passed not in (0, maker.price)
        return not (conditional(taker) or conditional(maker) or better_passed or fok) and self._cooled_down()

    def _own_acts(self, taker: RestingOrder, maker: RestingOrder) -> tuple[Act | None, bool]:
        """What meeting one's own order does to it, and whether the walk ends there: the taker's mode rules (§5)."""
        match taker.self_trade:
            case SelfTrade.CANCEL_NEWEST:
                return None, True
            case SelfTrade.CANCEL_BOTH:
                return Act.CANCEL, True
            case SelfTrade.CANCEL_OLDEST:
                return Act.CANCEL, False
            case SelfTrade.DECREMENT:
                indivisible = maker.lot or maker.min_quantity or maker.same_baron
                return Act.CANCEL if indivisible else Act.DECREMENT, False

    def _own_refusal(self, order: RestingOrder, gone: int) -> Reason:
        """Why an order mustn't join an auction: it crosses an unconditional one of its own account, or too many to look at.

        An account that has none there is never refused: strangers' orders, however many, shut nobody out who is on one side.
        gone: makers that the same order's walk has taken away, and so has looked at already.
        """
        opposite = OPPOSITE[order.side]
        if order.account == 0 or not self._unconditional_of[opposite, order.account]:
            return Reason.NONE
        looked = gone
        for _, queue in self._ladders[opposite].inside(order.price):
            for maker in map(self._orders.__getitem__, queue):
                if self._looked_enough(looked):
                    return Reason.WALK_LIMIT
                looked += 1
                if self._same_account(order, maker) and not conditional(maker):
                    return Reason.SELF_TRADE
        return Reason.NONE

    # ------------------------------------------------------------ plans

    def _plan(self, taker: RestingOrder, dry: bool = False) -> Plan:
        """The taker's walk. Dry: its own account's orders count as zero, and end it under cancel_newest and cancel_both."""
        steps: list[Step] = []
        looked = best_passed = 0
        for price, queue in self._ladders[OPPOSITE[taker.side]].inside(taker.price):
            slices: list[RestingOrder] = []
            for maker in chain(map(self._orders.__getitem__, queue), slices):
                if taker.leaves == 0:
                    return Plan(steps, 0, Stop.DONE)
                if self._looked_enough(looked):
                    return Plan(steps, taker.leaves, Stop.WALK_LIMIT)
                looked += 1
                quantity = self._fill_quantity(taker, maker)
                if quantity == 0:
                    best_passed = best_passed or price
                    continue
                if self._same_account(taker, maker):
                    act, ends = self._own_acts(taker, maker)
                    if act is not None and not dry:
                        quantity = min(taker.leaves, maker.leaves) if act is Act.DECREMENT else 0
                        steps.append(Step(act, maker, quantity))
                        taker = replace(taker, leaves=taker.leaves - quantity)
                    if ends:
                        return Plan(steps, taker.leaves, Stop.SELF_TRADE)
                    continue
                if self._outside_band(price):
                    opens = self._opens_auction(taker, maker, best_passed)
                    return Plan(steps, taker.leaves, Stop.OUTSIDE_BAND, opens)
                steps.append(Step(Act.TRADE, maker, quantity))
                taker = replace(taker, leaves=taker.leaves - quantity)
                rest = replace(maker, leaves=maker.leaves - quantity, shown=maker.shown - quantity)
                if self._shows_anew(rest):
                    slices.append(replace(rest, shown=displayed(rest)))
        return Plan(steps, taker.leaves, Stop.DONE)

    def _first_counterpart(self, taker: RestingOrder, others_only: bool) -> RestingOrder | Stop:
        """The first order that the taker could trade with; DONE when there is none, WALK_LIMIT when it looked enough."""
        looked = 0
        for _, queue in self._ladders[OPPOSITE[taker.side]].inside(taker.price):
            for order_id in queue:
                if self._looked_enough(looked):
                    return Stop.WALK_LIMIT
                looked += 1
                maker = self._orders[order_id]
                if others_only and self._same_account(taker, maker):
                    continue
                if self._fill_quantity(taker, maker):
                    return maker
        return Stop.DONE

    def _protection(self, taker: RestingOrder) -> int:
        """5 % through the best price that the taker is eligible for, rounded toward it; 0 when there is none (§5)."""
        limits = self._limits
        worst = limits.price_max if taker.side is Side.BUY else 1
        maker = self._first_counterpart(replace(taker, price=worst), others_only=True)
        if isinstance(maker, Stop):
            return 0
        if taker.side is Side.BUY:
            return min(maker.price * (PPM + limits.market_protection_ppm) // PPM, limits.price_max)
        return max(-(-maker.price * (PPM - limits.market_protection_ppm) // PPM), 1)

    # ------------------------------------------------------------ entry

    def _prepare(self, order: RestingOrder) -> RestingOrder | Reason:
        """Check 16: the order as it enters the walk, with its protection price; or why it is refused."""
        if order.order_type is OrderType.MARKET and order.price == 0:
            order = replace(order, price=self._protection(order))
            if order.price == 0:
                return Reason.NO_LIQUIDITY
        reason = Reason.NONE
        if order.post_only:
            reason = self._post_only_refusal(order)
        elif order.time_in_force is TimeInForce.FOK:
            reason = self._fok_refusal(order)
        return reason or order

    def _post_only_refusal(self, order: RestingOrder) -> Reason:
        maker = self._first_counterpart(order, others_only=False)
        if isinstance(maker, Stop):
            return Reason.WALK_LIMIT if maker is Stop.WALK_LIMIT else Reason.NONE
        return Reason.SELF_TRADE if self._same_account(order, maker) else Reason.POST_ONLY_WOULD_TRADE

    def _fok_refusal(self, order: RestingOrder) -> Reason:
        plan = self._plan(order, dry=True)
        if plan.leaves == 0 and order.self_trade is SelfTrade.DECREMENT:
            # What its own account's orders take off it may leave it too small for others.
            plan = self._plan(order)
        if plan.leaves == 0:
            return Reason.NONE
        match plan.stop:
            case Stop.SELF_TRADE:
                return Reason.SELF_TRADE
            case Stop.WALK_LIMIT:
                return Reason.WALK_LIMIT
            case Stop.OUTSIDE_BAND:
                return Reason.OUTSIDE_BAND
            case Stop.DONE:
                return Reason.FOK_KILLED if plan.steps else Reason.NO_LIQUIDITY

    def _enter(self, taker: RestingOrder) -> None:
        """Walk in earnest, then rest or go."""
        plan, before = self._plan(taker), len(self._orders)
        for step in plan.steps:
            taker = self._carry_out(taker, step)
        if taker.leaves == 0:
            return
        match plan.stop:
            case Stop.SELF_TRADE:
                self._say_canceled(taker, Reason.SELF_TRADE)
            case Stop.WALK_LIMIT:
                self._say_canceled(taker, Reason.WALK_LIMIT)
            case Stop.OUTSIDE_BAND:
                self._breach(taker, plan.opens_auction, before - len(self._orders))
            case Stop.DONE:
                self._finish(taker)

    def _finish(self, taker: RestingOrder) -> None:
        """The walk found no more: what is left rests, if it may."""
        if taker.order_type is OrderType.MARKET:
            self._say_canceled(taker, Reason.MARKET_REMAINDER)
        elif not may_rest(taker):
            self._say_canceled(taker, Reason.IOC_REMAINDER)
        elif conditional(taker) and 0 < self._limits.max_conditional_side <= self._conditional_at[taker.side]:
            self._say_canceled(taker, Reason.CONDITIONAL_LIMIT)
        else:
            self._rest(replace(taker, shown=displayed(taker)))

    def _breach(self, taker: RestingOrder, opens_auction: bool, gone: int) -> None:
        """A trade would print outside the band: perhaps an auction opens, and what is left joins it.

        gone: makers that the walk took away.
        """
        if not opens_auction:
            self._say_canceled(taker, Reason.OUTSIDE_BAND)
            return
        self._session = Session.AUCTION
        self._say_session(Reason.OUTSIDE_BAND, self._now_ns + self._limits.auction_s * NS_PER_S)
        if not may_rest(taker):
            self._say_canceled(taker, Reason.OUTSIDE_BAND)
        elif reason := self._own_refusal(taker, gone):
            self._say_canceled(taker, reason)
        else:
            self._rest(replace(taker, shown=displayed(taker)))

    # ------------------------------------------------------------ steps

    def _carry_out(self, taker: RestingOrder, step: Step) -> RestingOrder:
        """Do one step to both; the taker after it."""
        maker = self._orders[step.maker.order_id]
        match step.act:
            case Act.CANCEL:
                self._cancel(maker, Reason.SELF_TRADE)
                return taker
            case Act.DECREMENT:
                return self._decrement(taker, maker, step.quantity)
            case Act.TRADE:
                return self._trade(taker, maker, step.quantity)

    def _trade(self, taker: RestingOrder, maker: RestingOrder, quantity: int) -> RestingOrder:
        price = self._trade_price(maker)
        taker = replace(taker, leaves=taker.leaves - quantity)
        left = replace(maker, leaves=maker.leaves - quantity, shown=maker.shown - quantity)
        self._say(
            EventKind.TRADE,
            maker.order_id,
            taker.side,
            price,
            quantity,
            left.leaves,
            other_id=taker.order_id,
            other_leaves=taker.leaves,
        )
        self._fill_maker(maker, left)
        self._reference_now()
        self._reference.trade(self._now_ns, price, quantity)
        self._trigger(price)
        return taker

    def _fill_maker(self, maker: RestingOrder, left: RestingOrder) -> None:
        """A maker was filled and is now what is left of it."""
        if left.leaves == 0:
            self._unrest(maker)
        elif self._shows_anew(left):
            refilled = self._refill(left)
            self._say(
                EventKind.REFILLED,
                refilled.order_id,
                refilled.side,
                refilled.price,
                refilled.shown,
                refilled.leaves,
            )
        else:
            self._change(left)

    def _decrement(self, taker: RestingOrder, maker: RestingOrder, quantity: int) -> RestingOrder:
        """Both shrink by the same quantity, totals too; nothing is traded."""
        taker, left = (
            replace(order, quantity=order.quantity - quantity, leaves=order.leaves - quantity)
            for order in (taker, maker)
        )
        left = replace(left, shown=min(left.shown, left.leaves))
        if left.leaves == 0:
            self._unrest(maker)
        else:
            self._change(left)
        for order in (left, taker):
            if order.leaves == 0:
                self._say_canceled(replace(order, leaves=quantity), Reason.SELF_TRADE)
            else:
                self._say_amended(order, EventFlag.KEPT_PRIORITY, Reason.SELF_TRADE)
        return taker

    def _cancel(self, order: RestingOrder, reason: Reason) -> None:
        """A live order is cancelled."""
        self._leave(order)
        self._say_canceled(order, reason)

    # ------------------------------------------------------------ events

    def _say_canceled(self, order: RestingOrder, reason: Reason) -> None:
        self._say(EventKind.CANCELED, order.order_id, order.side, order.price, order.leaves, reason=reason)

    def _say_amended(self, order: RestingOrder, flags: int, reason: Reason = Reason.NONE) -> None:
        self._say(
            EventKind.AMENDED, order.order_id, order.side, order.price, order.quantity, order.leaves, reason, flags
        )

    def _say_session(self, reason: Reason, end_ns: int = 0) -> None:
        price = rounded(self._reference_now())
        self._say(EventKind.SESSION, price=price, reason=reason, flags=self._session, other_id=end_ns)
