"""The terms of an order: what a PlaceOrder must be, field by field, and the order that it becomes (rulebook §2, §4, §5).

A field that the order's side, type or kind doesn't have is refused, never ignored, and the refusal names it. What an
order does in the book is not known here.
"""

from __future__ import annotations

from typing import Final

from engine import client_ids, timers
from engine.kinds import Feature, Kind, OrderType, Origin, Side, TimeInForce
from engine.messages import PlaceOrder
from engine.reasons import Reason
from engine.records import SelfTrade
from engine.state import Baron, Instrument, Order, Refused, State
from engine.units import INT64_MAX, NS_PER_DAY, NS_PER_HOUR, PRICE_MAX_TICKS, PRICE_MIN_TICKS, QUANTITY_MAX, RATING_MAX

_ASK_HOURS_MIN: Final = 2
"""An on-demand ask's window begins with the running hour: a shorter one couldn't serve a whole hour any more."""
_LOT_MAX: Final = 2**16 - 1
"""What the book's records hold."""
_FEATURES: Final = int(sum(Feature))
_STOPS: Final = (OrderType.STOP, OrderType.STOP_LIMIT)
_LASTING: Final = (TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)
_BID_ONLY: Final = ("hours", "delivery", "features", "same_baron", "min_rating")
_ASK_ONLY: Final = ("baron", "max_hours", "lot", "min_hours", "reduce_only")


def order_of(state: State, command: PlaceOrder, origin: Origin = Origin.CLIENT, quote_set: str = "") -> Order:
    """The order that a command asks for; refused with the field at fault."""
    instrument = instrument_of(state, command.instrument)
    check_quantity(command.quantity)
    _check_prices(command)
    _check_lifetime(state, command)
    _check_quantities(state, command)
    if command.side is Side.BUY:
        _check_bid(state, command, instrument)
    else:
        _check_ask(state, command, instrument)
    _check_self_trade(command)
    if not client_ids.valid(state, command.tag):
        raise Refused(Reason.INVALID_ORDER, "tag")
    if not 0 <= command.connection <= INT64_MAX:
        raise Refused(Reason.INVALID_ORDER, "connection")
    return _order(state, command, instrument, origin, quote_set)


def _order(state: State, command: PlaceOrder, instrument: Instrument, origin: Origin, quote_set: str) -> Order:
    return state.records.order(
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
        origin=origin,
        post_only=command.post_only,
        client_order_id=command.client_order_id,
        hours=command.hours,
        baron=command.baron,
        window_end_ns=_window_end_ns(state, command, instrument),
        delivery=command.delivery,
        stop_price_ticks=command.stop_price_ticks,
        display_quantity=command.display_quantity,
        min_quantity=command.min_quantity,
        self_trade=command.self_trade,
        features=command.features,
        same_baron=command.same_baron,
        lot=command.lot,
        min_hours=command.min_hours,
        tag=command.tag,
        expire_ns=_expire_ns(state, command),
        connection=command.connection,
        quote_set=quote_set,
        min_rating=command.min_rating,
    )


def _window_end_ns(state: State, command: PlaceOrder, instrument: Instrument) -> int:
    """Where an ask's fixed hours end: a forward's with its period."""
    if command.side is Side.SELL and instrument.kind is Kind.FORWARD:
        return instrument.end_h * NS_PER_HOUR
    return window_end_ns(state.last_ts_ns, command.max_hours)


def _expire_ns(state: State, command: PlaceOrder) -> int:
    if command.time_in_force is TimeInForce.DAY:
        return (state.last_ts_ns // NS_PER_DAY + 1) * NS_PER_DAY
    return command.expire_ns


# ---------------------------------------------------------------- by type and time in force


def _check_prices(command: PlaceOrder) -> None:
    # A stop buy is paid for at its entry, so it must say how much at most.
    needs_price = command.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT) or (
        command.order_type is OrderType.STOP and command.side is Side.BUY
    )
    if needs_price or command.price_ticks != 0:
        check_price(command.price_ticks)
    if command.order_type in _STOPS:
        check_price(command.stop_price_ticks, "stop_price_ticks")
    elif command.stop_price_ticks:
        raise Refused(Reason.INVALID_ORDER, "stop_price_ticks")


def _check_lifetime(state: State, command: PlaceOrder) -> None:
    lasting = command.time_in_force in _LASTING
    if command.order_type is OrderType.MARKET and lasting:
        raise Refused(Reason.INVALID_ORDER, "time_in_force")
    if command.post_only and not (lasting and command.order_type is OrderType.LIMIT):
        raise Refused(Reason.INVALID_ORDER, "post_only")
    if command.time_in_force is TimeInForce.GTD:
        check_expiry(state, command.expire_ns)
    elif command.expire_ns:
        raise Refused(Reason.INVALID_ORDER, "expire_ns")


def _check_quantities(state: State, command: PlaceOrder) -> None:
    display = command.display_quantity
    if display:
        if command.time_in_force not in _LASTING or command.order_type is OrderType.STOP:
            raise Refused(Reason.INVALID_ORDER, "display_quantity")
        if not 0 < display <= command.quantity:
            raise Refused(Reason.INVALID_QUANTITY, "display_quantity")
        check_display(state, display, command.quantity)
    if not 0 <= command.min_quantity <= (display or command.quantity):
        raise Refused(Reason.INVALID_QUANTITY, "min_quantity")
    if command.lot:
        check_lot(command.lot, command.quantity)
        if command.quantity % command.lot:
            raise Refused(Reason.INVALID_QUANTITY, "quantity")
        if display % command.lot:
            raise Refused(Reason.INVALID_QUANTITY, "display_quantity")


def _check_self_trade(command: PlaceOrder) -> None:
    """Two orders can't take equal parts off each other where one takes only certain quantities (§5)."""
    choosy = command.lot > 1 or command.min_quantity > 1 or command.same_baron
    if command.self_trade is SelfTrade.DECREMENT and choosy:
        raise Refused(Reason.INVALID_ORDER, "self_trade")


# ---------------------------------------------------------------- by side


def _check_bid(state: State, command: PlaceOrder, instrument: Instrument) -> None:
    _check_absent(command, _ASK_ONLY)
    check_hours(state, command.hours, instrument.kind)
    check_features(command.features)
    check_rating(command.min_rating, "min_rating")
    if command.same_baron and command.display_quantity:
        raise Refused(Reason.INVALID_ORDER, "same_baron")
    if instrument.kind is not Kind.FORWARD or command.delivery:
        # Who buys a forward may say later where to deliver.
        check_delivery(state, command.delivery)


def _check_ask(state: State, command: PlaceOrder, instrument: Instrument) -> None:
    _check_absent(command, _BID_ONLY)
    baron = check_seller(state, command.account, command.baron, instrument)
    if command.reduce_only and baron.provider == command.account:
        raise Refused(Reason.REDUCE_ONLY, "reduce_only")
    check_open(baron)
    check_window(state, command.max_hours, instrument.kind)
    check_min_hours(command.min_hours, command.max_hours)


def _check_absent(command: PlaceOrder, fields: tuple[str, ...]) -> None:
    for field in fields:
        if getattr(command, field):
            raise Refused(Reason.INVALID_ORDER, field)


# ---------------------------------------------------------------- checks that other doors share


def instrument_of(state: State, number: int) -> Instrument:
    instrument = state.instruments.get(number)
    if instrument is None:
        expired = 0 < number < state.next_instrument
        raise Refused(Reason.INSTRUMENT_EXPIRED if expired else Reason.UNKNOWN_INSTRUMENT, "instrument")
    return instrument


def check_price(price_ticks: int, field: str = "price_ticks") -> None:
    if not PRICE_MIN_TICKS <= price_ticks <= PRICE_MAX_TICKS:
        raise Refused(Reason.INVALID_PRICE, field)


def check_quantity(quantity: int, field: str = "quantity") -> None:
    if not 0 < quantity <= QUANTITY_MAX:
        raise Refused(Reason.INVALID_QUANTITY, field)


def check_display(state: State, display_quantity: int, quantity: int) -> None:
    """An iceberg shows no less than its part of the whole (§2)."""
    if display_quantity and 0 < display_quantity * state.limits.display_ratio < quantity:
        raise Refused(Reason.INVALID_QUANTITY, "display_quantity")


def check_lot(lot: int, quantity: int, field: str = "lot") -> None:
    """A lot (0: none) that at least one fill of so many could have."""
    if not 0 <= lot <= min(quantity, _LOT_MAX):
        raise Refused(Reason.INVALID_QUANTITY, field)


def check_expiry(state: State, expire_ns: int) -> None:
    if not state.last_ts_ns < expire_ns <= INT64_MAX:
        raise Refused(Reason.INVALID_EXPIRY, "expire_ns")


def check_features(features: int, field: str = "features") -> None:
    if features & ~_FEATURES or features < 0:
        raise Refused(Reason.INVALID_FEATURES, field)


def check_rating(rating: int, field: str) -> None:
    if not 0 <= rating <= RATING_MAX:
        raise Refused(Reason.INVALID_RATING, field)


def check_delivery(state: State, delivery: bytes) -> None:
    if not delivery:
        raise Refused(Reason.NO_SSH_KEY, "delivery")
    if len(delivery) > state.limits.max_delivery_bytes:
        raise Refused(Reason.INVALID_DELIVERY, "delivery")


def check_hours(state: State, hours: int, kind: Kind, *, may_be_open: bool = True) -> None:
    """A bid's hours: a term of 1 hour or more; on spot an upper limit, or none (0) where it may be open; a forward's own."""
    if kind is Kind.FORWARD and hours:
        raise Refused(Reason.INVALID_HOURS, "hours")
    if kind is Kind.FORWARD:
        return
    least = 0 if kind is Kind.SPOT and may_be_open else 1
    if not least <= hours <= state.limits.max_term_hours:
        raise Refused(Reason.INVALID_HOURS, "hours")


def check_window(state: State, max_hours: int, kind: Kind, field: str = "max_hours") -> None:
    """An ask's fixed hours: on-demand alone has them (§4)."""
    in_range = (
        max_hours == 0 if kind is not Kind.ONDEMAND else _ASK_HOURS_MIN <= max_hours <= state.limits.max_term_hours
    )
    if not in_range:
        raise Refused(Reason.INVALID_HOURS, field)


def check_min_hours(min_hours: int, max_hours: int, field: str = "min_hours") -> None:
    """The shortest term that an on-demand ask sells, inside its window; none (0) on spot, which has no window (§4)."""
    if not 0 <= min_hours < max(max_hours, 1):
        raise Refused(Reason.INVALID_HOURS, field)


def check_seller(state: State, account: int, number: int, instrument: Instrument, field: str = "baron") -> Baron:
    """The Baron that an ask names: the account's own, or one whose hours it has bought (§4)."""
    if (account, number) not in state.rows:
        return check_own_baron(state, account, number, instrument, field)
    return _in_market(state.barons[number], instrument, field)


def check_own_baron(state: State, account: int, number: int, instrument: Instrument, field: str = "baron") -> Baron:
    """The Baron that an ask names: the account's own, in the instrument's market."""
    baron = state.barons.get(number)
    if baron is None:
        raise Refused(Reason.UNKNOWN_BARON, field)
    if baron.provider != account:
        raise Refused(Reason.NOT_YOUR_BARON, field)
    return _in_market(baron, instrument, field)


def _in_market(baron: Baron, instrument: Instrument, field: str) -> Baron:
    if (baron.sku, baron.region) != (instrument.sku, instrument.region):
        raise Refused(Reason.WRONG_MARKET, field)
    return baron


def check_open(baron: Baron, field: str = "baron") -> None:
    """Refused while it isn't heard of, or is drained: nothing new is asked on it then, whoever sells (§4)."""
    if baron.shut:
        raise Refused(baron.shut, field)


def window_end_ns(ts_ns: int, max_hours: int) -> int:
    """End of an ask's fixed hours, entered at ts_ns: the hour of entry counts as the first; 0 for none."""
    return timers.hour_floor_ns(ts_ns) + max_hours * NS_PER_HOUR if max_hours else 0
