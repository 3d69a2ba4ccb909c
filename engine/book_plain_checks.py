"""What a record must be before the book looks at its orders: the checks of docs/book.md that need the record alone.

Each check is a line; the first that fails gives the reason. It never knows which orders live or what session it is.
"""

from __future__ import annotations

from typing import Final

from engine.book import BookLimits
from engine.book_plain_orders import KNOWN_SHAPES, POST_ONLY, SAME_BARON, SHAPES, Shape
from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import Command, Given, Op, SelfTrade, Session, Sides
from engine.units import RATING_MAX

_OPS: Final = frozenset(Op)
_SESSIONS: Final = frozenset(Session)
_REASONS: Final = frozenset(Reason)
_NAMES_AN_ORDER: Final = frozenset({Op.NEW, Op.CANCEL, Op.AMEND, Op.REDUCE, Op.MOVE_WINDOW, Op.FIRE})
_GIVES_A_REASON: Final = frozenset({Op.CANCEL, Op.REDUCE, Op.MASS_CANCEL, Op.SET_SESSION})
_FLAGS: Final = POST_ONLY | SAME_BARON
_GIVEN: Final = int(Given.PRICE | Given.QUANTITY | Given.ANEW)
_SIDES: Final = int(Sides.BUY | Sides.SELL)


def malformed(command: Command) -> bool:
    """Check 1: whether the record means nothing."""
    op = command.op
    if op not in _OPS or command.reserved:
        return True
    if op in _NAMES_AN_ORDER and command.order_id == 0:
        return True
    if op in _GIVES_A_REASON and command.reason not in _REASONS:
        return True
    if op == Op.NEW:
        return command.shape not in KNOWN_SHAPES or bool(command.flags & ~_FLAGS)
    if op == Op.AMEND:
        return bool(command.flags & ~_GIVEN)
    if op == Op.MASS_CANCEL:
        return bool(command.flags & ~_SIDES) or not command.flags
    if op == Op.SET_SESSION:
        return command.shape not in _SESSIONS
    if op == Op.SET_BARON:
        return command.baron == 0 or command.min_rating > RATING_MAX
    return False


def new_refusal(command: Command, limits: BookLimits) -> Reason:
    """Checks 5 to 13 of a NEW record; NONE when it passes."""
    shape = SHAPES[command.shape]
    return (
        _quantity_refusal(command, limits)
        or _price_refusal(command, shape, limits)
        or _kind_refusal(command, shape)
        or _display_refusal(command, limits)
        or _side_refusal(command, shape)
        or _lot_refusal(command)
        or _decrement_refusal(command, shape)
    )


def _quantity_refusal(command: Command, limits: BookLimits) -> Reason:
    return Reason.NONE if 1 <= command.quantity <= limits.quantity_max else Reason.INVALID_QUANTITY


def _price_refusal(command: Command, shape: Shape, limits: BookLimits) -> Reason:
    stops = shape.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    # A stop buy is paid for at its entry, so it must say how much at most.
    limited = shape.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    limited |= shape.order_type is OrderType.STOP and shape.side is Side.BUY
    if not (1 if limited else 0) <= command.price <= limits.price_max:
        return Reason.INVALID_PRICE
    if stops and not 1 <= command.stop_price <= limits.price_max:
        return Reason.INVALID_PRICE
    return Reason.INVALID_ORDER if command.stop_price and not stops else Reason.NONE


def _kind_refusal(command: Command, shape: Shape) -> Reason:
    """Which time in force a type can have, and what may be post-only."""
    _, order_type, time_in_force, _ = shape
    if order_type is OrderType.MARKET and time_in_force is TimeInForce.GTC:
        return Reason.INVALID_ORDER
    rests = order_type is OrderType.LIMIT and time_in_force is TimeInForce.GTC
    return Reason.INVALID_ORDER if command.flags & POST_ONLY and not rests else Reason.NONE


def shows_enough(display_quantity: int, quantity: int, limits: BookLimits) -> bool:
    """Whether an iceberg shows enough of its quantity: refills are bounded that way (§2)."""
    return not display_quantity or not limits.display_ratio or display_quantity * limits.display_ratio >= quantity


def _display_refusal(command: Command, limits: BookLimits) -> Reason:
    if not shows_enough(command.display_quantity, command.quantity, limits):
        return Reason.INVALID_QUANTITY
    most = min(command.quantity, command.display_quantity or command.quantity)
    return Reason.NONE if command.min_quantity <= most else Reason.INVALID_QUANTITY


def _side_refusal(command: Command, shape: Shape) -> Reason:
    """What a bid asks for an ask doesn't have, and the other way round (§5)."""
    same_baron = command.flags & SAME_BARON
    if shape.side is Side.BUY:
        wrong = bool(command.baron or command.lot or command.window_end_h)
    else:
        wrong = bool(command.features or command.min_rating or same_baron)
    wrong |= command.min_rating > RATING_MAX
    wrong |= bool(same_baron and command.display_quantity)
    return Reason.INVALID_ORDER if wrong else Reason.NONE


def _lot_refusal(command: Command) -> Reason:
    lot = max(command.lot, 1)
    whole = command.quantity % lot == 0 and command.display_quantity % lot == 0
    return Reason.NONE if whole else Reason.INVALID_QUANTITY


def _decrement_refusal(command: Command, shape: Shape) -> Reason:
    """Decrement cuts an order by any number, which a lot or a minimum can't bear; same_baron is a minimum of all."""
    if shape.self_trade is not SelfTrade.DECREMENT:
        return Reason.NONE
    choosy = command.lot > 1 or command.min_quantity > 1 or command.flags & SAME_BARON
    return Reason.INVALID_ORDER if choosy else Reason.NONE
