"""Whether a command had to be refused, and why: every check of docs/book.md, told from what the auditor knows alone.

A book that refuses what it should take breaks a law here, as one that takes what it should refuse. Written from the law's
text, check by check; it never sees a book.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import groupby
from typing import Final, NamedTuple

from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import Command, Flag, Given, Op, SelfTrade, Session, Sides
from engine.units import PPM
from tests.engine.book.laws_ledger import Known, Ledger, known_of
from tests.engine.book.laws_walk import ENDING_MODES, own_refusal

NAMED: Final = (Op.CANCEL, Op.AMEND, Op.REDUCE, Op.MOVE_WINDOW, Op.FIRE)
STOPS: Final = (OrderType.STOP, OrderType.STOP_LIMIT)
RATING_MAX: Final = 100
_REASONS: Final = frozenset(int(reason) for reason in Reason)
_GIVES_A_REASON: Final = (Op.CANCEL, Op.REDUCE, Op.MASS_CANCEL, Op.SET_SESSION)
_TIME_IN_FORCE_BITS: Final = 0b11000
_SHAPE_BITS: Final = 0x7F


class Entry(NamedTuple):
    """How an order enters the walk: why it doesn't, or NONE and its limit, a market order's protection included."""

    reason: Reason
    price: int


# ---------------------------------------------------------------- all commands


def malformed(command: Command) -> bool:
    """Check 1."""
    op = command.op
    if op not in set(Op) or command.reserved:
        return True
    if op in (Op.NEW, *NAMED) and not command.order_id:
        return True
    if op in _GIVES_A_REASON and command.reason not in _REASONS:
        return True
    match op:
        case Op.NEW:
            unknown_time = command.shape & _TIME_IN_FORCE_BITS == _TIME_IN_FORCE_BITS
            return unknown_time or command.shape > _SHAPE_BITS or command.flags > Flag.POST_ONLY | Flag.SAME_BARON
        case Op.AMEND:
            return command.flags > Given.PRICE | Given.QUANTITY | Given.ANEW
        case Op.MASS_CANCEL:
            return not 0 < command.flags <= Sides.BUY | Sides.SELL
        case Op.SET_SESSION:
            return command.shape not in set(Session)
        case Op.SET_BARON:
            return not command.baron or command.min_rating > RATING_MAX
    return False


def refusal(ledger: Ledger, command: Command, reference: tuple[int, int], *, clearing: bool) -> Reason:
    """Why a command that isn't malformed nor late is refused; NONE: it isn't. clearing: one isn't finished."""
    session = ledger.session
    if session is Session.EXPIRED and command.op not in (Op.TICK, Op.SET_BARON):
        return Reason.SESSION_CLOSED
    if clearing and command.op in (Op.NEW, Op.AMEND, Op.FIRE):
        return Reason.SESSION_CLOSED
    if clearing and command.op == Op.SET_SESSION and command.shape != Session.CONTINUOUS:
        return Reason.SESSION_CLOSED
    if command.op == Op.NEW:
        return _new(ledger, command, reference)
    if command.op not in NAMED:
        return Reason.NONE
    if command.op == Op.AMEND and session is Session.HALTED:
        return Reason.SESSION_CLOSED
    if command.op == Op.FIRE and session is not Session.CONTINUOUS:
        return Reason.SESSION_CLOSED
    order = ledger.orders.get(command.order_id)
    if order is None or command.account not in (0, order.account):
        return Reason.UNKNOWN_ORDER
    match command.op:
        case Op.AMEND:
            return _amend(ledger, command, order, reference)
        case Op.REDUCE if not command.quantity:
            return Reason.INVALID_QUANTITY
        case Op.MOVE_WINDOW if order.side is Side.BUY:
            return Reason.INVALID_ORDER
        case Op.FIRE if not (order.armed and order.triggered):
            return Reason.UNKNOWN_ORDER
    return Reason.NONE


# ---------------------------------------------------------------- NEW and AMEND


def _new(ledger: Ledger, command: Command, reference: tuple[int, int]) -> Reason:
    """Checks 4 to 16."""
    if command.order_id in ledger.orders:
        return Reason.DUPLICATE_ORDER_ID
    if not 1 <= command.quantity <= ledger.limits.quantity_max:
        return Reason.INVALID_QUANTITY
    order = known_of(command)
    if reason := _prices(ledger, order) or _terms(ledger, order, command):
        return reason
    if ledger.session is not Session.CONTINUOUS and (reason := _before_trading(ledger, order)):
        return reason
    bound = ledger.limits.max_conditional_account
    stops = order.order_type in STOPS
    if bound and order.account and order.conditional and (stops or order.time_in_force is TimeInForce.GTC):
        live = sum(other.conditional and other.account == order.account for other in ledger.orders.values())
        if live >= bound:
            return Reason.TOO_MANY_CONDITIONAL
    if stops or ledger.session is not Session.CONTINUOUS:
        return Reason.NONE
    return entry(ledger, order, reference).reason


def _prices(ledger: Ledger, order: Known) -> Reason:
    """Checks 6 and 7."""
    highest, kind = ledger.limits.price_max, order.order_type
    priced = kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) or (kind is OrderType.STOP and order.side is Side.BUY)
    if not int(priced) <= order.price <= highest:
        return Reason.INVALID_PRICE
    if kind in STOPS:
        return Reason.NONE if 1 <= order.stop_price <= highest else Reason.INVALID_PRICE
    return Reason.INVALID_ORDER if order.stop_price else Reason.NONE


def _terms(ledger: Ledger, order: Known, command: Command) -> Reason:
    """Checks 8 to 13."""
    gtc = order.time_in_force is TimeInForce.GTC
    if order.order_type is OrderType.MARKET and gtc:
        return Reason.INVALID_ORDER
    if order.post_only and not (gtc and order.order_type is OrderType.LIMIT):
        return Reason.INVALID_ORDER
    if _hides_too_much(ledger, order.display, order.total):
        return Reason.INVALID_QUANTITY
    if order.min_quantity > order.total or 0 < order.display < order.min_quantity:
        return Reason.INVALID_QUANTITY
    if order.side is Side.BUY:
        foreign = command.baron or command.lot or command.window_end_h
    else:
        foreign = command.features or command.min_rating or order.same_baron
    if foreign or order.min_rating > RATING_MAX or (order.same_baron and order.display):
        return Reason.INVALID_ORDER
    if order.lot > 1 and (order.total % order.lot or order.display % order.lot):
        return Reason.INVALID_QUANTITY
    choosy = order.lot > 1 or order.min_quantity > 1 or order.same_baron
    return Reason.INVALID_ORDER if choosy and order.mode is SelfTrade.DECREMENT else Reason.NONE


def _hides_too_much(ledger: Ledger, display: int, total: int) -> bool:
    ratio = ledger.limits.display_ratio
    return bool(display and ratio) and display * ratio < total


def _before_trading(ledger: Ledger, order: Known) -> Reason:
    """Check 14."""
    plain = order.order_type is OrderType.LIMIT and order.time_in_force is TimeInForce.GTC and not order.conditional
    if ledger.session is Session.HALTED or not plain:
        return Reason.SESSION_CLOSED
    return own_refusal(ledger, order)


def _amend(ledger: Ledger, command: Command, order: Known, reference: tuple[int, int]) -> Reason:
    limits, given = ledger.limits, command.flags
    if not given:
        return Reason.NOTHING_TO_AMEND
    price = command.price if given & Given.PRICE else order.price
    total = command.quantity if given & Given.QUANTITY else order.total
    if given & Given.PRICE and not 1 <= price <= limits.price_max:
        return Reason.INVALID_PRICE
    if given & Given.QUANTITY and total > limits.quantity_max:
        return Reason.INVALID_QUANTITY
    if total <= order.filled:
        return Reason.NONE
    if (total - order.filled) % max(order.lot, 1) or _hides_too_much(ledger, order.display, total):
        return Reason.INVALID_QUANTITY
    pure_reduction = price == order.price and total < order.total and not given & Given.ANEW
    if pure_reduction or order.armed:
        return Reason.NONE
    anew = replace(order, price=price, total=total, leaves=total - order.filled)
    if ledger.session is not Session.CONTINUOUS:
        return _before_trading(ledger, anew)
    return entry(ledger, anew, reference).reason


# ---------------------------------------------------------------- check 16


def _opposite(order: Known) -> Side:
    return Side.SELL if order.side is Side.BUY else Side.BUY


def _inside(order: Known, price: int) -> bool:
    return price <= order.price if order.side is Side.BUY else price >= order.price


def _own(order: Known, maker: Known) -> bool:
    return bool(order.account) and order.account == maker.account


def as_fired(stop: Known) -> Known:
    """What a stop enters as."""
    if stop.order_type is OrderType.STOP_LIMIT:
        return replace(stop, order_type=OrderType.LIMIT)
    ioc = TimeInForce.IOC if stop.time_in_force is TimeInForce.GTC else stop.time_in_force
    return replace(stop, order_type=OrderType.MARKET, time_in_force=ioc)


def entry(ledger: Ledger, order: Known, reference: tuple[int, int]) -> Entry:
    """Check 16 of an order that would walk now."""
    price = order.price
    if order.order_type is OrderType.MARKET and not price:
        price = protection(ledger, order)
        if not price:
            return Entry(Reason.NO_LIQUIDITY, 0)
        order = replace(order, price=price)
    if order.post_only:
        return Entry(_post_only(ledger, order), price)
    if order.time_in_force is TimeInForce.FOK:
        return Entry(_fok(ledger, order, reference), price)
    return Entry(Reason.NONE, price)


def protection(ledger: Ledger, order: Known) -> int:
    """So far through the first price at which another account's order would trade with it; 0: none is in sight."""
    limits = ledger.limits
    for looked, maker in enumerate(ledger.first(_opposite(order))):
        if limits.max_looked and looked == limits.max_looked:
            return 0
        if not _own(order, maker) and ledger.fill_quantity(order, maker):
            through = limits.market_protection_ppm
            if order.side is Side.BUY:
                return min(maker.price * (PPM + through) // PPM, limits.price_max)
            return max((maker.price * (PPM - through) + PPM - 1) // PPM, 1)
    return 0


def _post_only(ledger: Ledger, order: Known) -> Reason:
    bound = ledger.limits.max_looked
    for looked, maker in enumerate(ledger.first(_opposite(order))):
        if not _inside(order, maker.price):
            break
        if bound and looked == bound:
            return Reason.WALK_LIMIT
        if ledger.fill_quantity(order, maker):
            return Reason.SELF_TRADE if _own(order, maker) else Reason.POST_ONLY_WOULD_TRADE
    return Reason.NONE


def _fok(ledger: Ledger, order: Known, reference: tuple[int, int]) -> Reason:
    """Whole with its own account's orders as nothing; and, under decrement, with what they take off it, too."""
    first = _unfilled(ledger, order, reference, own_shrinks=False)
    if first or order.mode is not SelfTrade.DECREMENT:
        return first
    return _unfilled(ledger, order, reference, own_shrinks=True)


def _unfilled(ledger: Ledger, order: Known, reference: tuple[int, int], *, own_shrinks: bool) -> Reason:
    """Why a dry walk leaves something; NONE: it doesn't."""
    bound, looked, met = ledger.limits.max_looked, 0, False
    taker = replace(order)
    for price, makers in groupby(ledger.first(_opposite(order)), key=lambda maker: maker.price):
        if not _inside(order, price):
            break
        line = deque(makers)
        while line:
            if not taker.leaves:
                return Reason.NONE
            if bound and looked == bound:
                return Reason.WALK_LIMIT
            looked += 1
            maker = line.popleft()
            quantity = ledger.fill_quantity(taker, maker)
            if not quantity:
                continue
            if _own(taker, maker):
                if taker.mode in ENDING_MODES:
                    return Reason.SELF_TRADE
                divisible = maker.lot <= 1 and maker.min_quantity <= 1 and not maker.same_baron
                if own_shrinks and divisible:
                    taker.leaves -= min(taker.leaves, maker.leaves)
                    met = True
                continue
            if ledger.outside(price, reference):
                return Reason.OUTSIDE_BAND
            met = True
            taker.leaves -= quantity
            rest = replace(maker, leaves=maker.leaves - quantity, shown=maker.shown - quantity)
            if ledger.starved(rest):
                rest.shown = min(rest.display, rest.leaves)
                line.append(rest)
    if not taker.leaves:
        return Reason.NONE
    return Reason.FOK_KILLED if met else Reason.NO_LIQUIDITY
