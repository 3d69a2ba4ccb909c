"""Quotes and rentals: what each of several instruments would give for a whole quantity, and the fok that takes the best.

A rental is its own quote, taken in the same command, so that nothing can come between the two (§6, and `POST /rentals`).
Quoting changes nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from engine import account_limits, book_orders, client_ids, matching, money, order_terms, orders
from engine.book import Stop, Walk
from engine.kinds import Kind, OrderType, Origin, Side, TimeInForce
from engine.messages import Rent
from engine.reasons import Reason
from engine.records import Session
from engine.state import Account, Instrument, Order, Refused, State
from engine.units import MICROS_PER_TICK, PRICE_MAX_TICKS, fee_micros_up

_BEST_REASON: Final = (
    Reason.PRICE_ABOVE_MAXIMUM,
    Reason.FOK_KILLED,
    Reason.SELF_TRADE,
    Reason.WALK_LIMIT,
    Reason.OUTSIDE_BAND,
    Reason.SESSION_CLOSED,
    Reason.NO_LIQUIDITY,
)
"""Of several instruments that can't serve a rental, the one nearest to it says why.

A closed session comes before an empty book: what stands in an auction is there once it is over.
"""
_STOPPED: Final = {
    Stop.SELF_TRADE: Reason.SELF_TRADE,
    Stop.WALK_LIMIT: Reason.WALK_LIMIT,
    Stop.OUTSIDE_BAND: Reason.OUTSIDE_BAND,
}
_NOBODYS_ID: Final = 1
"""A question needs an order with an id, which no order of the shard has: theirs begin beyond it."""


class Wish(NamedTuple):
    """What is to be rented, wherever it is found: GPUs, hours, features (`engine.kinds.Feature`), rating, on one Baron or not."""

    quantity: int
    hours: int
    max_price_ticks: int = 0
    features: int = 0
    same_baron: bool = False
    min_rating: int = 0


class Quote(NamedTuple):
    """What one instrument would give now. reason NONE: the whole quantity is there at up to `worst_price_ticks`.

    available_quantity: eligible GPUs inside the limit, at most the quantity asked for.
    cost_per_hour_micros: of the whole quantity at the fills' prices, without fee; 0 when it isn't whole.
    fee_per_hour_micros: the taker's fee on it, rounded up; hold_micros: what must be available to rent it.
    simulated: some of the available GPUs are a simulated Baron's.
    """

    instrument: int
    reason: Reason
    quantity: int
    available_quantity: int
    best_price_ticks: int
    worst_price_ticks: int
    cost_per_hour_micros: int
    fee_per_hour_micros: int
    hold_micros: int
    simulated: bool


def quote(state: State, number: int, instruments: tuple[int, ...], wish: Wish, now_ns: int) -> list[Quote]:
    """Quote each instrument, cheapest whole one first, then the others as named, each with its reason. Never refuses."""
    lines = []
    for instrument in instruments[: state.limits.max_rent_instruments]:
        try:
            account = state.open_account(number)
            listed = order_terms.instrument_of(state, instrument)
            _check_wish(state, listed.kind, wish)
            lines.append(_quote_one(state, account, _fok(state, account, listed, _NOBODYS_ID, wish), wish, now_ns))
        except Refused as refusal:
            lines.append(_unserved(instrument, refusal.reason, wish.quantity))
    return sorted(lines, key=_rank)


def rent(state: State, command: Rent) -> None:
    """Quote the named instruments and take the cheapest whole, all or nothing; refused with the nearest reason."""
    account = state.open_account(command.account)
    if client_ids.repeated(state, account, command.client_order_id, command):
        return
    listed = _check_instruments(state, command.instruments)
    wish = Wish(
        command.quantity,
        command.hours,
        command.max_price_ticks,
        command.features,
        command.same_baron,
        command.min_rating,
    )
    _check_wish(state, listed[0].kind, wish)
    if command.auto_extend and listed[0].kind is not Kind.ONDEMAND:
        raise Refused(Reason.INVALID_ORDER, "auto_extend")
    order_terms.check_delivery(state, command.delivery)
    account_limits.check_entry(state, account)
    order_id = state.new_id()
    best: tuple[Quote, Order] | None = None
    reasons = []
    for instrument in listed:
        order = _fok(state, account, instrument, order_id, wish)
        line = _quote_one(state, account, order, wish, state.last_ts_ns)
        reasons.append(line.reason)
        if line.reason is Reason.NONE and (best is None or _rank(line) < _rank(best[0])):
            best = line, order
    if best is None:
        raise Refused(min(reasons, key=_BEST_REASON.index))
    line, order = best
    order.price_ticks = line.worst_price_ticks
    order.client_order_id = command.client_order_id
    order.delivery = command.delivery
    matching.enter(state, order)
    # Its leases open when the command ends, and are extended within what the rental said.
    for draft in state.drafts.values():
        if draft.bid.order_id == order_id:
            draft.limit_ticks, draft.auto_extend = command.max_price_ticks, command.auto_extend
    client_ids.remember(state, account, command.client_order_id, command, order_id)


def _rank(line: Quote) -> tuple[bool, int]:
    """Whole ones first, cheapest first; sorting keeps the caller's order among equals."""
    return line.reason is not Reason.NONE, line.cost_per_hour_micros


def _check_instruments(state: State, numbers: tuple[int, ...]) -> list[Instrument]:
    if not 0 < len(numbers) <= state.limits.max_rent_instruments or len(set(numbers)) != len(numbers):
        raise Refused(Reason.UNKNOWN_INSTRUMENT, "instruments")
    listed = []
    for index, number in enumerate(numbers):
        if number not in state.instruments:
            raise Refused(Reason.UNKNOWN_INSTRUMENT, f"instruments[{index}]")
        listed.append(state.instruments[number])
    if listed[0].kind is Kind.FORWARD or any(instrument.kind is not listed[0].kind for instrument in listed):
        raise Refused(Reason.INVALID_ORDER, "instruments")
    return listed


def _check_wish(state: State, kind: Kind, wish: Wish) -> None:
    order_terms.check_quantity(wish.quantity)
    order_terms.check_hours(state, wish.hours, kind, may_be_open=False)
    if wish.max_price_ticks:
        order_terms.check_price(wish.max_price_ticks, "max_price_ticks")
    order_terms.check_features(wish.features)
    order_terms.check_rating(wish.min_rating, "min_rating")


def _fok(state: State, account: Account, instrument: Instrument, order_id: int, wish: Wish) -> Order:
    """The bid that would rent; its price is set once it is known."""
    return state.records.order(
        order_id=order_id,
        account=account.account,
        instrument=instrument.instrument,
        kind=instrument.kind,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.FOK,
        price_ticks=0,
        quantity=wish.quantity,
        leaves_quantity=wish.quantity,
        origin=Origin.RENTAL,
        post_only=False,
        client_order_id="",
        hours=wish.hours,
        baron=0,
        window_end_ns=0,
        delivery=b"",
        features=wish.features,
        same_baron=wish.same_baron,
        min_rating=wish.min_rating,
    )


def _quote_one(state: State, account: Account, order: Order, wish: Wish, now_ns: int) -> Quote:
    """Walk one book dry; `order` is a fok without a price, and stays as it is."""
    book = state.books[order.instrument]
    if book.session is not Session.CONTINUOUS:
        return _unserved(order.instrument, Reason.SESSION_CLOSED, order.quantity)
    taker = book_orders.new(order, now_ns)
    try:
        limit_ticks = wish.max_price_ticks or orders.protection_ticks(state, order, now_ns)
    except Refused as refusal:
        return _unserved(order.instrument, refusal.reason, order.quantity)
    found = book.walk(taker._replace(price=limit_ticks))
    if found.leaves == 0:
        return _whole(state, account, order, found)
    if found.stop is not Stop.DONE:
        reason = _STOPPED[found.stop]
    else:
        beyond = book.walk(taker._replace(price=PRICE_MAX_TICKS))
        if wish.max_price_ticks and beyond.leaves == 0:
            reason = Reason.PRICE_ABOVE_MAXIMUM
        else:
            reason = Reason.FOK_KILLED if beyond.fills else Reason.NO_LIQUIDITY
    line = _unserved(order.instrument, reason, order.quantity)
    best_ticks = found.fills[0].price if found.fills else 0
    available = order.quantity - found.leaves
    return line._replace(available_quantity=available, best_price_ticks=best_ticks, simulated=_simulated(state, found))


def _whole(state: State, account: Account, order: Order, found: Walk) -> Quote:
    worst_ticks = found.fills[-1].price
    cost = sum(fill.price * fill.quantity for fill in found.fills) * MICROS_PER_TICK
    return Quote(
        instrument=order.instrument,
        reason=Reason.NONE,
        quantity=order.quantity,
        available_quantity=order.quantity,
        best_price_ticks=found.fills[0].price,
        worst_price_ticks=worst_ticks,
        cost_per_hour_micros=cost,
        fee_per_hour_micros=fee_micros_up(cost, account.taker_fee_ppm),
        hold_micros=money.hold_micros(state, account, worst_ticks, order.quantity),
        simulated=_simulated(state, found),
    )


def _simulated(state: State, found: Walk) -> bool:
    return any(state.barons[state.orders[fill.order_id].baron].simulated for fill in found.fills)


def _unserved(instrument: int, reason: Reason, quantity: int) -> Quote:
    return Quote(instrument, reason, quantity, 0, 0, 0, 0, 0, 0, simulated=False)
