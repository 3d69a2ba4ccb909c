"""Release: a holder gives GPUs of a running reservation back to the market, as asks of its own on what it bought (rulebook §8).

On spot; on-demand to the end of the obligation's hours; or in the listed forwards that lie whole in them. All of it is
checked before anything enters, and until a fill its lease runs on. What an ask then does is any ask's affair.
"""

from __future__ import annotations

from engine import account_limits, client_ids, leases, matching, order_terms, rows
from engine.kinds import Kind, OrderType, Origin, Side, TimeInForce
from engine.messages import PlaceOrder, ReleaseLease
from engine.obligation import Obligation
from engine.reasons import Reason
from engine.state import Account, Baron, Instrument, Lease, Order, Refused, State


def release(state: State, command: ReleaseLease) -> None:
    """Enter the asks; refused whole, with the field at fault."""
    account = state.open_account(command.account)
    if client_ids.repeated(state, account, command.client_order_id, command):
        return
    lease = leases.rented(state, command.account, command.lease_id)
    obligation = state.obligations.get(lease.obligation_id)
    if lease.kind is not Kind.FORWARD or obligation is None:
        raise Refused(Reason.NOT_RESERVED, "lease_id")
    order_terms.check_quantity(command.quantity)
    if command.quantity > lease.quantity:
        raise Refused(Reason.INVALID_QUANTITY, "quantity")
    asks = [_ask(state, command, listed, obligation) for listed in _instruments(state, command.kind, lease, obligation)]
    _check(state, account, asks)
    for ask in asks:
        try:
            matching.enter(state, ask)
        except Refused as refusal:
            # What an earlier one traded may have left no room for it.
            matching.enter_closed(state, ask, refusal.reason)
    client_ids.remember(state, account, command.client_order_id, command, asks[0].order_id)


def _instruments(state: State, kind: Kind, lease: Lease, obligation: Obligation) -> list[Instrument]:
    baron = state.barons[lease.baron]
    if kind is Kind.FORWARD:
        return _periods(state, baron, obligation)
    spot, ondemand = state.markets[baron.sku, baron.region]
    return [state.instruments[spot if kind is Kind.SPOT else ondemand]]


def _periods(state: State, baron: Baron, obligation: Obligation) -> list[Instrument]:
    """Listed forwards that still trade and lie whole in its hours, none in another, the longest first, then the earliest."""
    listed = (state.instruments[number] for number in state.instruments_of[baron.sku, baron.region])
    inside = [
        each
        for each in listed
        if each.kind is Kind.FORWARD
        and obligation.start_h <= each.start_h
        and each.end_h <= obligation.end_h
        and each.trading_end_ns > state.last_ts_ns
    ]
    chosen: list[Instrument] = []
    for each in sorted(inside, key=lambda each: (-each.hours, each.start_h)):
        if all(each.end_h <= other.start_h or other.end_h <= each.start_h for other in chosen):
            chosen.append(each)
    if not chosen:
        raise Refused(Reason.NO_WHOLE_PERIOD, "kind")
    return chosen


def _ask(state: State, command: ReleaseLease, listed: Instrument, obligation: Obligation) -> Order:
    """One ask; on-demand's window ends with the obligation, or is the longest that there is."""
    max_hours = 0
    if listed.kind is Kind.ONDEMAND:
        hours_left = obligation.end_h - rows.hour_of(state.last_ts_ns)
        max_hours = min(hours_left, state.limits.max_term_hours)
    asked = PlaceOrder(
        account=command.account,
        instrument=listed.instrument,
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=command.price_ticks,
        quantity=command.quantity,
        baron=obligation.baron,
        max_hours=max_hours,
        reduce_only=True,
    )
    return order_terms.order_of(state, asked, Origin.RELEASE)


def _check(state: State, account: Account, asks: list[Order]) -> None:
    """What may still be checked of all before the first enters; bought hours need no money."""
    account_limits.check_entry(state, account)
    if account.open_orders + len(asks) > account_limits.open_orders_bound(state, account):
        raise Refused(Reason.TOO_MANY_ORDERS)
    for ask in asks:
        matching.check_session(state, ask.instrument, ask.order_type)
        ask.hold_ticks = matching.entry_ticks(state, ask)
        matching.check_funds(state, ask)
