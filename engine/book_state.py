"""What a book's state must be before a book becomes it: both halves refuse the same, and change nothing of what it says.

A state comes out of bytes that anybody may have written. What the rules of a book can't lead to, an order that shows what it
hasn't, a queue out of its order, a trade of the year 9999, would be a book that loses orders, or never ends. ValueError for all
of it. It knows no rule of matching.
"""

from __future__ import annotations

from typing import Any, Final

from engine.book import BookLimits, BookState, RestingOrder
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import LIFETIMES, Session
from engine.units import INT64_MAX, NS_PER_HOUR, NS_PER_S, NUMBER_MAX, RATING_MAX

MINUTES: Final = 60
MINUTE_MAX: Final = INT64_MAX // (MINUTES * NS_PER_S)
"""The last minute that a book's 64 bits of nanoseconds can name."""
TRADED_MAX: Final = 2**56
"""GPUs of a minute's trades, beyond any: sums of an hour's and of their prices are exact in both halves."""
_SHORT_MAX: Final = 2**16 - 1
_ORDER_ID_MAX: Final = 2**64 - 1
_CALM: Final = (Session.CONTINUOUS, Session.EXPIRED)
"""Sessions in which no clearing is under way."""
_STOPS: Final = (OrderType.STOP, OrderType.STOP_LIMIT)


def check(state: BookState) -> None:
    """The whole of it."""
    check_bare(state)
    for side, queue in ((Side.BUY, state.bids), (Side.SELL, state.asks)):
        for order in queue:
            _check_resting(order, side, state.limits)
        prices = [order.price for order in queue]
        if prices != sorted(prices, reverse=side is Side.BUY):
            raise ValueError("the state holds orders out of their priority")
    for order in state.stops:
        _check_stop(order, state.limits)
    ids = [order.order_id for order in (*state.bids, *state.asks, *state.stops)]
    if len(set(ids)) < len(ids):
        raise ValueError("the state holds an order twice")


def check_bare(state: Any) -> None:
    """The same, but for its orders: of whatever has its other fields."""
    most = state.limits.price_max
    if not all(0 <= price <= most for price in (state.last_price, state.auction_price, state.clearing_price)):
        raise ValueError("the state has a price that the book doesn't")
    if not 0 <= state.auction_end_ns <= state.last_ts_ns <= INT64_MAX:
        raise ValueError("the state's times are no times, or an auction ends after them")
    if state.auction_price and state.last_ts_ns >= state.auction_end_ns + NS_PER_HOUR:
        raise ValueError("the state's auction is no reference any more")
    if state.clearing_price and state.session in _CALM:
        raise ValueError("the state clears an auction, and there is none")
    _check_minutes(state.minutes, most)
    barons = [baron for baron, _, _ in state.barons]
    if barons != sorted(set(barons)) or not all(0 < baron <= NUMBER_MAX for baron in barons):
        raise ValueError("the state's Barons are numbers, each once, in order")
    if not all(0 <= rating <= RATING_MAX and 0 <= features <= _SHORT_MAX for _, rating, features in state.barons):
        raise ValueError("the state's Barons have ratings and features that none has")


def _check_minutes(minutes: tuple[tuple[int, int, int, int], ...], price_max: int) -> None:
    numbers = [minute for minute, _, _, _ in minutes]
    if numbers != sorted(set(numbers)) or not all(0 <= minute <= MINUTE_MAX for minute in numbers):
        raise ValueError("the state's minutes are each once, in order, and of this calendar")
    if numbers and numbers[-1] - numbers[0] >= MINUTES:
        raise ValueError("the state's minutes are more than an hour's")
    for _, high, low, quantity in minutes:
        if not (
            0 <= low < 2**64 and 0 < quantity <= TRADED_MAX and quantity <= high << 64 | low <= quantity * price_max
        ):
            raise ValueError("the state's trades are at prices that the book doesn't have")


def _check_resting(order: RestingOrder, side: Side, limits: BookLimits) -> None:
    _check_order(order, limits)
    if order.side is not side or order.order_type is not OrderType.LIMIT or order.time_in_force is not TimeInForce.GTC:
        raise ValueError(f"the state holds order {order.order_id} where it can't rest")
    if order.stop_price or order.triggered:
        raise ValueError(f"the state holds order {order.order_id} at rest, and it is a stop")
    if not 1 <= order.price <= limits.price_max:
        raise ValueError("the state holds an order at no price")
    most = min(order.display_quantity, order.leaves) if order.display_quantity else order.leaves
    if not (1 if order.display_quantity else most) <= order.shown <= most:
        raise ValueError(f"the state holds order {order.order_id}, which shows {order.shown} of {order.leaves}")


def _check_stop(order: RestingOrder, limits: BookLimits) -> None:
    _check_order(order, limits)
    if order.order_type not in _STOPS or order.time_in_force not in LIFETIMES or order.post_only:
        raise ValueError(f"the state holds order {order.order_id} among the stops, and it is none")
    priced = order.order_type is OrderType.STOP_LIMIT or order.side is Side.BUY
    if not priced <= order.price <= limits.price_max or not 1 <= order.stop_price <= limits.price_max:
        raise ValueError("the state holds a stop at no price")
    if order.shown != order.leaves:
        raise ValueError(f"the state holds stop {order.order_id}, which shows {order.shown} of {order.leaves}")


def _check_order(order: RestingOrder, limits: BookLimits) -> None:
    """What both have; numbers that their fields can hold."""
    if not 0 < order.order_id <= _ORDER_ID_MAX or not 1 <= order.leaves <= order.quantity <= limits.quantity_max:
        raise ValueError(f"the state holds order {order.order_id}, which leaves {order.leaves} of {order.quantity}")
    wide = (order.account, order.display_quantity, order.min_quantity, order.window_end_h, order.baron, order.tag)
    short = (order.features, order.hours, order.lot)
    if not all(0 <= each <= NUMBER_MAX for each in wide) or not all(0 <= each <= _SHORT_MAX for each in short):
        raise ValueError(f"the state holds order {order.order_id} with terms that no order has")
    if not 0 <= order.min_rating <= RATING_MAX:
        raise ValueError(f"the state holds order {order.order_id}, which wants a rating that no Baron has")
    asks = (order.baron, order.lot, order.window_end_h)
    bids = (order.features, order.min_rating, order.same_baron)
    if any(asks) if order.side is Side.BUY else any(bids):
        raise ValueError(f"the state holds order {order.order_id} with terms of the other side")
