"""Order entry: PlaceOrder, CancelOrder and AmendOrder, as a client's command begins (rulebook §5).

It finds the order or has it made (`engine.order_terms`), and hands it to `matching`. A refusal names the field.
"""

from __future__ import annotations

from engine import account_limits, client_ids, in_book, matching, open_orders, order_terms, timers
from engine.book_orders import new
from engine.kinds import OrderStatus, OrderType, Origin, TimeInForce
from engine.messages import AmendOrder, CancelOrder, PlaceOrder
from engine.reasons import Reason
from engine.state import Order, Refused, State


def place(state: State, command: PlaceOrder) -> None:
    """Take in an order, or refuse it whole."""
    account = state.open_account(command.account)
    if client_ids.repeated(state, account, command.client_order_id, command):
        return
    order = order_terms.order_of(state, command)
    account_limits.check_entry(state, account)
    if command.order_type is OrderType.MARKET and command.price_ticks == 0:
        matching.check_session(state, order.instrument, order.order_type)
        order.price_ticks = protection_ticks(state, order, state.last_ts_ns)
    matching.enter(state, order)
    client_ids.remember(state, account, command.client_order_id, command, order.order_id)


def cancel(state: State, command: CancelOrder) -> None:
    """Cancel a live order of the account; refused with its final state when it is closed."""
    order = _own_order(state, command.account, command.order_id, command.client_order_id)
    in_book.cancel(state, order, Reason.REQUESTED)


def amend(state: State, command: AmendOrder) -> None:
    """Change price, total quantity or expiry: less of it or an earlier expiry in place, all else as if it came anew (§5)."""
    order = _own_order(state, command.account, command.order_id, command.client_order_id)
    # A halt takes cancels only: not even an earlier expiry.
    matching.check_session(state, order.instrument)
    price_ticks = command.price_ticks or order.price_ticks
    quantity = command.quantity or order.quantity
    expire_ns = command.expire_ns or order.expire_ns
    if command.price_ticks:
        order_terms.check_price(price_ticks)
    order_terms.check_quantity(quantity)
    if expire_ns != order.expire_ns:
        if order.time_in_force is not TimeInForce.GTD:
            raise Refused(Reason.INVALID_ORDER, "expire_ns")
        order_terms.check_expiry(state, expire_ns)
    same_terms = (price_ticks, quantity) == (order.price_ticks, order.quantity)
    if same_terms and expire_ns == order.expire_ns:
        raise Refused(Reason.NOTHING_TO_AMEND)
    if quantity <= order.filled:
        in_book.cancel(state, order, Reason.REQUESTED)
        return
    before_ns, later = order.expire_ns, expire_ns > order.expire_ns
    # The order's events carry its new expiry; a refusal puts the old one back.
    _set_expiry(state, order, expire_ns)
    try:
        if same_terms and not later:
            open_orders.emit_amended(state, order, True, Reason.REQUESTED)
        else:
            _change(state, order, price_ticks, quantity, later)
    except Refused:
        _set_expiry(state, order, before_ns)
        raise


def _change(state: State, order: Order, price_ticks: int, quantity: int, later: bool) -> None:
    leaves_quantity = quantity - order.filled
    if order.lot and leaves_quantity % order.lot:
        raise Refused(Reason.INVALID_QUANTITY, "quantity")
    order_terms.check_display(state, order.display_quantity, quantity)
    amended = order.with_terms(price_ticks, quantity, leaves_quantity)
    matching.amend(state, order, amended, later=later)


def _set_expiry(state: State, order: Order, expire_ns: int) -> None:
    if expire_ns == order.expire_ns:
        return
    timers.disarm_order(state, order)
    order.expire_ns = expire_ns
    timers.arm_order(state, order)


def protection_ticks(state: State, order: Order, now_ns: int) -> int:
    """5 % through the best price that the order is eligible for, rounded toward it (§5); refused when there is none."""
    price_ticks = state.books[order.instrument].protection(new(order, now_ns))
    if price_ticks == 0:
        raise Refused(Reason.NO_LIQUIDITY)
    return price_ticks


def _own_order(state: State, number: int, order_id: int, client_order_id: str) -> Order:
    """A client's own live order, by its id or its client id."""
    account = state.open_account(number)
    if order_id == 0:
        first = client_ids.find(account, client_order_id)
        order_id = first.order_id if first is not None else 0
    order = state.orders.get(order_id)
    if order is None and order_id in account.closed_orders:
        raise Refused(Reason.ORDER_CLOSED, "order_id", order_id, account.closed_orders[order_id])
    if order is None or order.account != number:
        raise Refused(Reason.UNKNOWN_ORDER, "order_id", order_status=OrderStatus.NONE)
    if order.origin is Origin.OFFER:
        raise Refused(Reason.OFFER_ORDER, "order_id", order_id)
    return order
