"""Order entry: what a client's PlaceOrder, CancelOrder and AmendOrder must be, and how they begin (rulebook §5).

It turns a command into an order that `matching` can check and execute, or into a refusal that names the field. What an
order does in the book is not known here.
"""

from __future__ import annotations

import msgspec

from engine import client_ids, matching, money, open_orders, timers
from engine.kinds import Kind, OrderStatus, OrderType, Origin, Side, TimeInForce
from engine.messages import AmendOrder, CancelOrder, PlaceOrder
from engine.reasons import Reason
from engine.state import Account, Baron, Instrument, Order, Refused, State
from engine.units import NS_PER_HOUR, PPM, PRICE_MAX_TICKS, PRICE_MIN_TICKS, QUANTITY_MAX

_ASK_HOURS_MIN = 2
"""An on-demand ask's window begins with the running hour: a shorter one couldn't serve a whole hour any more."""


def place(state: State, command: PlaceOrder) -> None:
    """Take in an order, or refuse it whole."""
    account = state.open_account(command.account)
    if client_ids.repeated(state, account, command.client_order_id, command):
        return
    instrument = instrument_of(state, command.instrument)
    check_quantity(command.quantity)
    if command.order_type is OrderType.LIMIT or command.price_ticks != 0:
        check_price(command.price_ticks)
    _check_type(command)
    if command.side is Side.BUY:
        _check_bid(state, command, instrument)
    else:
        _check_ask(state, command, instrument)
    check_open_orders(state, account)
    order = _order(state, command, instrument)
    if command.order_type is OrderType.MARKET and command.price_ticks == 0:
        order.price_ticks = protection_ticks(state, order, state.last_ts_ns)
    found = matching.check(state, order)
    client_ids.remember(state, account, command.client_order_id, command, order.order_id)
    matching.enter(state, order, found)


def cancel(state: State, command: CancelOrder) -> None:
    """Cancel a live order of the account; refused with its final state when it is closed."""
    order = _own_order(state, command.account, command.order_id, command.client_order_id)
    open_orders.close(state, order, Reason.REQUESTED)


def amend(state: State, command: AmendOrder) -> None:
    """Change price or total quantity: a pure reduction in place, anything else at the back, as if it came anew."""
    order = _own_order(state, command.account, command.order_id, command.client_order_id)
    price_ticks = command.price_ticks or order.price_ticks
    quantity = command.quantity or order.quantity
    check_price(price_ticks)
    check_quantity(quantity)
    if (price_ticks, quantity) == (order.price_ticks, order.quantity):
        raise Refused(Reason.NOTHING_TO_AMEND)
    filled = order.quantity - order.leaves_quantity
    if quantity <= filled:
        open_orders.close(state, order, Reason.REQUESTED)
    elif price_ticks == order.price_ticks and quantity < order.quantity:
        open_orders.shrink(state, order, order.quantity - quantity, Reason.REQUESTED)
    else:
        _enter_anew(state, order, price_ticks, quantity, quantity - filled)


def _enter_anew(state: State, order: Order, price_ticks: int, quantity: int, leaves_quantity: int) -> None:
    amended = msgspec.structs.replace(
        order, price_ticks=price_ticks, quantity=quantity, leaves_quantity=leaves_quantity
    )
    if order.side is Side.BUY:
        before = money.order_hold_micros(state, order, order.leaves_quantity)
        found = matching.check(state, amended, freed_micros=before)
        delta = money.order_hold_micros(state, amended, leaves_quantity) - before
    else:
        found = matching.check(state, amended, freed_gpus=order.leaves_quantity)
        listing = open_orders.listing_of(state, order)
        listing.asked_gpus += leaves_quantity - order.leaves_quantity
        # Newest again: it is the first to be cut from now on.
        del listing.asks[order.order_id]
        listing.asks[order.order_id] = None
        open_orders.touch(state, order.baron)
        delta = 0
    state.books[order.instrument].remove(order.order_id)
    state.orders[order.order_id] = amended
    open_orders.emit_amended(state, amended, False, Reason.REQUESTED)
    money.change_hold(state, order.account, delta, order.order_id)
    matching.execute(state, amended, found)


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


# ---------------------------------------------------------------- checks that other doors share


def instrument_of(state: State, number: int) -> Instrument:
    instrument = state.instruments.get(number)
    if instrument is None:
        raise Refused(Reason.UNKNOWN_INSTRUMENT, "instrument")
    return instrument


def check_price(price_ticks: int, field: str = "price_ticks") -> None:
    if not PRICE_MIN_TICKS <= price_ticks <= PRICE_MAX_TICKS:
        raise Refused(Reason.INVALID_PRICE, field)


def check_quantity(quantity: int, field: str = "quantity") -> None:
    if not 0 < quantity <= QUANTITY_MAX:
        raise Refused(Reason.INVALID_QUANTITY, field)


def check_delivery(state: State, delivery: bytes) -> None:
    if not delivery:
        raise Refused(Reason.NO_SSH_KEY, "delivery")
    if len(delivery) > state.limits.max_delivery_bytes:
        raise Refused(Reason.INVALID_DELIVERY, "delivery")


def check_hours(state: State, hours: int, kind: Kind, *, may_be_open: bool = True) -> None:
    """A bid's hours: a term of 1 hour or more; on spot an upper limit, or none (0) where it may be open."""
    least = 0 if kind is Kind.SPOT and may_be_open else 1
    if not least <= hours <= state.limits.max_term_hours:
        raise Refused(Reason.INVALID_HOURS, "hours")


def check_window(state: State, max_hours: int, kind: Kind, field: str = "max_hours") -> None:
    """An ask's fixed hours: on-demand alone has them (§4)."""
    in_range = max_hours == 0 if kind is Kind.SPOT else _ASK_HOURS_MIN <= max_hours <= state.limits.max_term_hours
    if not in_range:
        raise Refused(Reason.INVALID_HOURS, field)


def check_open_orders(state: State, account: Account) -> None:
    if account.open_orders >= state.limits.max_open_orders:
        raise Refused(Reason.TOO_MANY_ORDERS)


def window_end_ns(ts_ns: int, max_hours: int) -> int:
    """End of an ask's fixed hours, entered at ts_ns: the hour of entry counts as the first; 0 for none."""
    return timers.hour_floor_ns(ts_ns) + max_hours * NS_PER_HOUR if max_hours else 0


def protection_ticks(state: State, order: Order, now_ns: int) -> int:
    """5 % through the best price that the order is eligible for, rounded toward it (§5); refused when there is none."""
    book, limits = state.books[order.instrument], state.limits
    best = book.best_price(open_orders.as_taker(order), now_ns, limits.max_looked)
    if best == 0:
        raise Refused(Reason.NO_LIQUIDITY)
    if order.side is Side.BUY:
        return min(PRICE_MAX_TICKS, best * (PPM + limits.market_protection_ppm) // PPM)
    return max(PRICE_MIN_TICKS, -(-best * (PPM - limits.market_protection_ppm) // PPM))


def _check_type(command: PlaceOrder) -> None:
    if command.order_type is OrderType.MARKET and command.time_in_force is TimeInForce.GTC:
        raise Refused(Reason.INVALID_ORDER, "time_in_force")
    if command.post_only and command.time_in_force is not TimeInForce.GTC:
        raise Refused(Reason.INVALID_ORDER, "post_only")


def _check_bid(state: State, command: PlaceOrder, instrument: Instrument) -> None:
    for field, value in (("baron", command.baron), ("max_hours", command.max_hours)):
        if value:
            raise Refused(Reason.INVALID_ORDER, field)
    check_hours(state, command.hours, instrument.kind)
    check_delivery(state, command.delivery)


def _check_ask(state: State, command: PlaceOrder, instrument: Instrument) -> None:
    for field, value in (("hours", command.hours), ("delivery", command.delivery)):
        if value:
            raise Refused(Reason.INVALID_ORDER, field)
    check_own_baron(state, command.account, command.baron, instrument)
    check_window(state, command.max_hours, instrument.kind)


def check_own_baron(state: State, account: int, number: int, instrument: Instrument, field: str = "baron") -> Baron:
    """The Baron that an ask names: the account's own, in the instrument's market."""
    baron = state.barons.get(number)
    if baron is None:
        raise Refused(Reason.UNKNOWN_BARON, field)
    if baron.provider != account:
        raise Refused(Reason.NOT_YOUR_BARON, field)
    if baron.listing(instrument.kind).instrument != instrument.instrument:
        raise Refused(Reason.WRONG_MARKET, field)
    return baron


def _order(state: State, command: PlaceOrder, instrument: Instrument) -> Order:
    return Order(
        order_id=state.new_id(),
        account=command.account,
        instrument=command.instrument,
        kind=instrument.kind,
        side=command.side,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        price_ticks=command.price_ticks,
        quantity=command.quantity,
        leaves_quantity=command.quantity,
        origin=Origin.CLIENT,
        post_only=command.post_only,
        client_order_id=command.client_order_id,
        hours=command.hours,
        baron=command.baron,
        window_end_ns=window_end_ns(state.last_ts_ns, command.max_hours),
        delivery=command.delivery,
    )
