"""Sets of quotes: a market maker's two-sided prices, replaced whole in one command, and withdrawn after so many fills (§5).

All of a set is checked before anything changes: its terms, and money and capacity for the whole of it. Then what is live
of the old set goes and the new quotes enter in order. What an earlier quote of the set makes impossible for a later one
(its account's bounds, a session that a trade closed) cancels that one with the reason.
"""

from __future__ import annotations

from engine import account_limits, capacity, client_ids, in_book, matching, money, order_terms, rows
from engine.kinds import OrderType, Origin, Pot, Side, TimeInForce
from engine.messages import PlaceOrder, Quote, QuotesSet, SetQuotes
from engine.reasons import Reason
from engine.state import Account, Order, QuoteSet, Refused, State, short_of_funds
from engine.units import INT64_MAX


def set_quotes(state: State, command: SetQuotes) -> None:
    """Replace the account's set of this name; refused whole, with the quote and field at fault."""
    account = state.open_account(command.account)
    if command.quotes:
        # To withdraw a set is a cancel.
        account_limits.check_alive(account)
    old = _live(state, account, command.name)
    _check_set(state, account, command, len(old))
    quotes = [_order(state, command, index, quote) for index, quote in enumerate(command.quotes)]
    _check_money(state, account, quotes, old)
    _check_capacity(state, quotes, old)
    for order in old:
        in_book.cancel(state, order, Reason.QUOTE_REPLACED)
    state.emit(
        QuotesSet(
            account=account.account,
            name=command.name,
            order_ids=tuple(order.order_id for order in quotes),
            max_fills=command.max_fills,
        )
    )
    # One more than its orders, so that it outlives the first of them while the others enter.
    counted = account.quote_sets[command.name] = QuoteSet(max_fills=command.max_fills, orders=1)
    for order in quotes:
        try:
            matching.enter(state, order)
        except Refused as refusal:
            matching.enter_closed(state, order, refusal.reason)
    counted.orders -= 1
    if counted.orders == 0:
        del account.quote_sets[command.name]


def follow(state: State) -> bool:
    """Withdraw what is left of the sets that have had their fills; whether there was any."""
    spent, state.spent_quotes = state.spent_quotes, {}
    closed = False
    for number, name in spent:
        for order in _live(state, state.accounts[number], name):
            in_book.cancel(state, order, Reason.MAX_FILLS)
            closed = True
    return closed


def _live(state: State, account: Account, name: str) -> list[Order]:
    if name not in account.quote_sets:
        return []
    return [order for order in state.orders_by(account.account) if order.quote_set == name]


def _check_set(state: State, account: Account, command: SetQuotes, live: int) -> None:
    limits = state.limits
    if not command.name or not client_ids.valid(state, command.name):
        raise Refused(Reason.INVALID_QUOTES, "name")
    if command.name not in account.quote_sets and len(account.quote_sets) >= limits.max_quote_sets:
        raise Refused(Reason.TOO_MANY_ORDERS, "name")
    if not 0 <= command.max_fills <= INT64_MAX:
        raise Refused(Reason.INVALID_QUOTES, "max_fills")
    if len(command.quotes) > limits.max_quotes:
        raise Refused(Reason.INVALID_QUOTES, "quotes")
    if account.open_orders - live + len(command.quotes) > account_limits.open_orders_bound(state, account):
        raise Refused(Reason.TOO_MANY_ORDERS, "quotes")


def _order(state: State, command: SetQuotes, index: int, quote: Quote) -> Order:
    """One quote as the gtc limit order that it is."""
    order = PlaceOrder(
        account=command.account,
        instrument=quote.instrument,
        side=quote.side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=quote.price_ticks,
        quantity=quote.quantity,
        hours=quote.hours,
        baron=quote.baron,
        max_hours=quote.max_hours,
        delivery=quote.delivery,
        connection=command.connection,
    )
    try:
        made = order_terms.order_of(state, order, Origin.QUOTE, command.name)
        matching.check_session(state, quote.instrument)
    except Refused as refusal:
        field = f"quotes[{index}].{refusal.field}" if refusal.field else f"quotes[{index}]"
        raise Refused(refusal.reason, "connection" if refusal.field == "connection" else field) from refusal
    return made


def _check_money(state: State, account: Account, quotes: list[Order], old: list[Order]) -> None:
    """The set, one quote after another: the account's limits, and money for their holds."""
    freed_gpus, freed_micros = _held(state, old)
    gpus = micros = 0
    for index, order in enumerate(quotes):
        if order.side is Side.BUY:
            gpus += order.leaves_quantity
        order.hold_ticks = matching.entry_ticks(state, order)
        micros += money.order_hold_micros(state, order, order.leaves_quantity)
        try:
            account_limits.check_growth(state, account, gpus, micros, freed_gpus, freed_micros)
        except Refused as refusal:
            raise Refused(refusal.reason, f"quotes[{index}]") from refusal
        if micros > account.pots[Pot.AVAILABLE] + freed_micros:
            raise short_of_funds(micros, account.pots[Pot.AVAILABLE] + freed_micros, f"quotes[{index}]")


def _held(state: State, orders: list[Order]) -> tuple[int, int]:
    """GPUs that the bids among them leave, and what all hold."""
    held_micros = sum(money.order_hold_micros(state, order, order.leaves_quantity) for order in orders)
    return sum(order.leaves_quantity for order in orders if order.side is Side.BUY), held_micros


def _check_capacity(state: State, quotes: list[Order], old: list[Order]) -> None:
    """The asks of the set, one after another, as if the old ones were gone: tried out on the rows, and taken back."""
    tried = [(order, -order.leaves_quantity) for order in old if order.side is Side.SELL]
    for order, gpus in tried:
        rows.stand(state, order, gpus)
    try:
        for index, order in enumerate(quotes):
            if order.side is Side.SELL:
                _try_ask(state, order, f"quotes[{index}].quantity")
                tried.append((order, order.leaves_quantity))
    finally:
        for order, gpus in reversed(tried):
            rows.stand(state, order, -gpus)


def _try_ask(state: State, ask: Order, field: str) -> None:
    try:
        capacity.check_ask(state, ask)
    except Refused as refusal:
        raise Refused(refusal.reason, field) from refusal
    rows.stand(state, ask, ask.leaves_quantity)
