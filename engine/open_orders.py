"""A live order's rows: it is admitted, changes, and is closed; every table of the shard that knows it follows at once.

The tables are the orders, their account's, the row of an ask, the set of a quote, the timers and the hold.
An order's hold is always exactly a function of what it leaves and of the price that it is held at (rulebook §9). It
never decides why an order changes, and it never speaks to the book: what the book did is told here (`engine.book_events`).
"""

from __future__ import annotations

from engine import client_ids, money, rows, timers
from engine.kinds import Kind, OrderStatus, Origin, Side, TransferCode
from engine.messages import Accepted, Amended, Canceled
from engine.reasons import Reason
from engine.state import Order, State


def touch(state: State, baron: int) -> None:
    """Something changed that the Baron's offers may grow by: they are looked at when the command ends (§4)."""
    state.touched_barons[baron] = None


def admit(state: State, order: Order) -> None:
    """Take a new order into the tables, with its hold."""
    account = state.accounts[order.account]
    state.add_order(order)
    account.open_orders += 1
    if order.quote_set:
        account.quote_sets[order.quote_set].orders += 1
    _emit_accepted(state, order)
    hold = money.order_hold_micros(state, order, order.leaves_quantity)
    code = TransferCode.COVER if order.origin is Origin.COVER else TransferCode.HOLD
    money.change_hold(state, order.account, hold, order.order_id, code)
    if order.side is Side.BUY:
        account.gpus += order.leaves_quantity
    else:
        _asks(state, order)[order.order_id] = None
        rows.stand(state, order, order.leaves_quantity)
        timers.arm_look_ahead(state, rows.row_of_ask(state, order))
    timers.arm_order(state, order)


def amend(
    state: State,
    order: Order,
    price_ticks: int,
    quantity: int,
    leaves_quantity: int,
    kept_priority: bool,
    reason: Reason,
) -> None:
    """An order has other terms now. An ask that lost its priority is the newest of its row: the first to be cut."""
    before_quantity = order.leaves_quantity
    bid = order.side is Side.BUY
    before_micros = money.order_hold_micros(state, order, before_quantity)
    order.price_ticks, order.quantity, order.leaves_quantity = price_ticks, quantity, leaves_quantity
    order.hold_ticks = state.entering_ticks.pop(order.order_id, order.hold_ticks)
    if bid:
        state.accounts[order.account].gpus += leaves_quantity - before_quantity
    else:
        rows.stand(state, order, leaves_quantity - before_quantity)
        if not kept_priority:
            asks = _asks(state, order)
            del asks[order.order_id]
            asks[order.order_id] = None
        touch(state, order.baron)
    emit_amended(state, order, kept_priority, reason)
    delta = money.order_hold_micros(state, order, leaves_quantity) - before_micros
    money.change_hold(state, order.account, delta, order.order_id)


def hold_at(state: State, ask: Order, hold_ticks: int) -> None:
    """An ask's bond and fee are held at another price from now on."""
    before_micros = money.order_hold_micros(state, ask, ask.leaves_quantity)
    ask.hold_ticks = hold_ticks
    delta = money.order_hold_micros(state, ask, ask.leaves_quantity) - before_micros
    money.change_hold(state, ask.account, delta, ask.order_id)


def release_down(state: State, order: Order, before_quantity: int) -> None:
    """Bring an order's hold down from what `before_quantity` needed to what it leaves now."""
    freed = money.order_hold_micros(state, order, before_quantity) - money.order_hold_micros(
        state, order, order.leaves_quantity
    )
    money.change_hold(state, order.account, -freed, order.order_id)


def close(state: State, order: Order, reason: Reason) -> None:
    """What a live order leaves is cancelled; it is in the book no more."""
    before = order.leaves_quantity
    state.emit(
        Canceled(
            order_id=order.order_id,
            account=order.account,
            instrument=order.instrument,
            quantity=before,
            reason=reason,
        )
    )
    if order.side is Side.SELL:
        rows.stand(state, order, -before)
    order.leaves_quantity = 0
    if order.side is Side.BUY:
        state.accounts[order.account].gpus -= before
    release_down(state, order, before)
    expired = reason in (Reason.WINDOW_CLOSED, Reason.EXPIRED)
    forget(state, order, OrderStatus.EXPIRED if expired else OrderStatus.CANCELED)


def forget(state: State, order: Order, status: OrderStatus) -> None:
    """Drop an order that leaves nothing from the tables; its final state is remembered for a while."""
    account = state.accounts[order.account]
    state.drop_order(order)
    account.open_orders -= 1
    client_ids.closed(state, account, order, status)
    timers.disarm_order(state, order)
    if order.quote_set:
        quotes = account.quote_sets[order.quote_set]
        quotes.orders -= 1
        if quotes.orders == 0:
            del account.quote_sets[order.quote_set]
    if order.side is Side.SELL:
        del _asks(state, order)[order.order_id]
        if order.origin is Origin.OFFER:
            rows.row_of_ask(state, order).listings[order.instrument].offer_order_id = 0
        timers.arm_look_ahead(state, rows.row_of_ask(state, order))
        touch(state, order.baron)


def _asks(state: State, ask: Order) -> dict[int, None]:
    """The open asks among which it stands, in its row."""
    row = rows.row_of_ask(state, ask)
    return row.spot_asks if ask.kind is Kind.SPOT else row.firm_asks


def emit_amended(state: State, order: Order, kept_priority: bool, reason: Reason) -> None:
    state.emit(
        Amended(
            order_id=order.order_id,
            account=order.account,
            instrument=order.instrument,
            price_ticks=order.price_ticks,
            quantity=order.quantity,
            leaves_quantity=order.leaves_quantity,
            kept_priority=kept_priority,
            window_end_ns=order.window_end_ns,
            reason=reason,
            expire_ns=order.expire_ns,
        )
    )


def _emit_accepted(state: State, order: Order) -> None:
    state.emit(
        Accepted(
            order_id=order.order_id,
            account=order.account,
            instrument=order.instrument,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            price_ticks=order.price_ticks,
            quantity=order.quantity,
            origin=order.origin,
            post_only=order.post_only,
            client_order_id=order.client_order_id,
            hours=order.hours,
            baron=order.baron,
            window_end_ns=order.window_end_ns,
            stop_price_ticks=order.stop_price_ticks,
            display_quantity=order.display_quantity,
            min_quantity=order.min_quantity,
            self_trade=order.self_trade,
            features=order.features,
            same_baron=order.same_baron,
            lot=order.lot,
            min_hours=order.min_hours,
            tag=order.tag,
            expire_ns=order.expire_ns,
            armed=order.armed,
            quote_set=order.quote_set,
            min_rating=order.min_rating,
        )
    )
