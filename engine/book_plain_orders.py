"""An order as the plain book keeps it: how a NEW record becomes one, what makes it conditional, whom it may trade with.

Orders are `engine.book.RestingOrder`, frozen: a change is a new one in the old one's place. Here are the rules that need
two orders and the time and nothing else (docs/book.md, "Eligibility and the quantity of a fill"); this room never knows
queues, sessions or limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from engine.book import RestingOrder
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import LIFETIMES, SELF_TRADE_SHIFT, SHAPE_BITS, TIME_SHIFT, TYPE_SHIFT, Command, Flag, SelfTrade
from engine.units import NS_PER_HOUR

OPPOSITE: Final = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
_TWO_BITS: Final = 3


class Shape(NamedTuple):
    """What a NEW record's `shape` says."""

    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    self_trade: SelfTrade


def _shapes() -> Iterator[tuple[int, Shape]]:
    for shape in range(1 << SHAPE_BITS):
        order_type = (shape >> TYPE_SHIFT & _TWO_BITS) + 1
        time_in_force = (shape >> TIME_SHIFT & _TWO_BITS) + 1
        if time_in_force in LIFETIMES:
            side = Side.SELL if shape & 1 else Side.BUY
            self_trade = SelfTrade(shape >> SELF_TRADE_SHIFT & _TWO_BITS)
            yield shape, Shape(side, OrderType(order_type), TimeInForce(time_in_force), self_trade)


SHAPES: Final = dict(_shapes())
"""Every value of `shape` that means something, and what."""
KNOWN_SHAPES: Final = frozenset(SHAPES)

# An IntFlag's own & is ten times a number's, and each order asks twice.
POST_ONLY: Final = int(Flag.POST_ONLY)
SAME_BARON: Final = int(Flag.SAME_BARON)


def order_of(command: Command) -> RestingOrder:
    """The order that a NEW record describes, normalized; its `shape` must be one of SHAPES."""
    side, order_type, time_in_force, self_trade = SHAPES[command.shape]
    return RestingOrder(
        order_id=command.order_id,
        account=command.account,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        self_trade=self_trade,
        post_only=bool(command.flags & POST_ONLY),
        same_baron=bool(command.flags & SAME_BARON),
        price=command.price,
        quantity=command.quantity,
        leaves=command.quantity,
        shown=command.quantity,
        display_quantity=command.display_quantity,
        min_quantity=one_is_none(command.min_quantity),
        stop_price=command.stop_price,
        window_end_h=command.window_end_h,
        baron=command.baron,
        tag=command.tag,
        features=command.features,
        hours=one_is_none(command.hours),
        lot=one_is_none(command.lot),
        min_rating=command.min_rating,
    )


def one_is_none(value: int) -> int:
    """A minimum, a lot or a term of 1 asks for nothing."""
    return 0 if value == 1 else value


def is_stop(order: RestingOrder) -> bool:
    return order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)


def fired(order: RestingOrder) -> RestingOrder:
    """What a stop enters the book as: an ioc or fok market order, or a limit with its own time in force."""
    if order.order_type is OrderType.STOP_LIMIT:
        return replace(order, order_type=OrderType.LIMIT, stop_price=0, triggered=False)
    waits = order.time_in_force is TimeInForce.GTC
    time_in_force = TimeInForce.IOC if waits else order.time_in_force
    return replace(order, order_type=OrderType.MARKET, stop_price=0, triggered=False, time_in_force=time_in_force)


def may_rest(order: RestingOrder) -> bool:
    return order.order_type is OrderType.LIMIT and order.time_in_force is TimeInForce.GTC


def conditional(order: RestingOrder) -> bool:
    """Whether the order is choosy about its counterpart, so that it may rest inside the other side's prices (§5)."""
    return bool(
        order.min_quantity or order.hours or order.lot or order.min_rating or order.features or order.same_baron
    )


def displayed(order: RestingOrder) -> int:
    """What an order shows anew: all it leaves, or an iceberg's next slice."""
    return min(order.display_quantity, order.leaves) if order.display_quantity else order.leaves


def shows_too_little(order: RestingOrder) -> bool:
    """Whether what a filled order still shows is less than its smallest fill, so that nobody could take it."""
    return order.shown < min(max(order.min_quantity, 1), order.leaves)


def window_holds(ask: RestingOrder, hours: int, now_ns: int) -> bool:
    """Whether so many hours from now end inside the ask's window, if it has one (§4)."""
    return not ask.window_end_h or now_ns + hours * NS_PER_HOUR <= ask.window_end_h * NS_PER_HOUR


def joins_auction(order: RestingOrder, now_ns: int) -> bool:
    """Whether an order at rest takes part in a clearing: it is unconditional, and an hour is left of its window (§6)."""
    return not conditional(order) and (order.side is Side.BUY or window_holds(order, 1, now_ns))


def eligible(bid: RestingOrder, ask: RestingOrder, now_ns: int, rating: int, features: int) -> bool:
    """Whether term, window, rating and features fit (§5); rating and features are those of the ask's Baron now."""
    hours = max(bid.hours, 1)
    if not window_holds(ask, hours, now_ns):
        return False
    if hours < max(ask.hours, 1):
        return False
    return rating >= bid.min_rating and features & bid.features == bid.features


def fill_quantity(taker: RestingOrder, maker: RestingOrder) -> int:
    """What an eligible pair trades: whole lots, no less than either's minimum, and all or nothing on one Baron; or 0."""
    bid, ask = (taker, maker) if taker.side is Side.BUY else (maker, taker)
    quantity = min(taker.leaves, maker.shown)
    quantity -= quantity % max(ask.lot, 1)
    for order in (taker, maker):
        if quantity < min(order.min_quantity, order.leaves):
            return 0
    if bid.same_baron and quantity < bid.leaves:
        return 0
    return quantity
