"""Mass cancels: by account, instrument, side, tag or connection, and the dead-man switch that does it unasked (§5).

They go by the shard's own index of an account's orders, never through a book's queues. An offer's orders stay: an offer
is changed as an offer.
"""

from __future__ import annotations

from engine import client_ids, in_book, order_terms, timers
from engine.kinds import Origin
from engine.messages import AllCanceled, CancelAll, CancelAllAfter, CancelAllAfterSet, KeepOrders
from engine.reasons import Reason
from engine.state import Account, Order, Refused, State
from engine.units import INT64_MAX, NS_PER_S


def cancel_all(state: State, command: CancelAll) -> None:
    """Cancel the account's orders that fit all that the command names."""
    state.open_account(command.account)
    if command.instrument:
        order_terms.instrument_of(state, command.instrument)
    if not client_ids.valid(state, command.tag):
        raise Refused(Reason.INVALID_ORDER, "tag")
    _check_connection(command.connection, 0)
    reason = Reason.DISCONNECTED if command.connection else Reason.MASS_CANCELED
    _cancel(state, command, reason)


def keep_orders(state: State, command: KeepOrders) -> None:
    """A connection logged out: what came by it is bound to none from now on, whatever happens to the exchange."""
    state.open_account(command.account)
    _check_connection(command.connection, 1)
    for order in state.orders_by(command.account):
        if order.connection == command.connection:
            order.connection = 0


def cancel_all_after(state: State, command: CancelAllAfter) -> None:
    """Set the account's dead-man switch anew, or switch it off."""
    account = state.open_account(command.account)
    if not 0 <= command.after_ns <= state.limits.max_dead_man_s * NS_PER_S:
        raise Refused(Reason.INVALID_EXPIRY, "after_ns")
    due_ns = state.last_ts_ns + command.after_ns if command.after_ns else 0
    timers.arm_dead_man(state, account, due_ns)
    state.emit(CancelAllAfterSet(account=account.account, due_ns=due_ns))


def dead_man(state: State, account: Account) -> None:
    """Nobody was heard in time: everything goes."""
    timers.arm_dead_man(state, account, 0)
    _cancel(state, CancelAll(account=account.account), Reason.DEAD_MAN)


def _check_connection(connection: int, least: int) -> None:
    if not least <= connection <= INT64_MAX:
        raise Refused(Reason.INVALID_ORDER, "connection")


def _cancel(state: State, wanted: CancelAll, reason: Reason) -> None:
    orders = [order for order in state.orders_by(wanted.account) if _fits(order, wanted)]
    for order in orders:
        in_book.cancel(state, order, reason)
    state.emit(AllCanceled(account=wanted.account, orders=len(orders), reason=reason))


def _fits(order: Order, wanted: CancelAll) -> bool:
    return (
        order.origin is not Origin.OFFER
        and wanted.instrument in (0, order.instrument)
        and wanted.side in (None, order.side)
        and wanted.tag in ("", order.tag)
        and wanted.connection in (0, order.connection)
    )
