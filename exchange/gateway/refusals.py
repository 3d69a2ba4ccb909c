"""What a command's refusal says at the doors: its code, the public field, what was wrong in this case and what to do.

The engine's Rejected names a reason and a field; the command and the instrument's session tell the rest. Whose door it
is, and how the session is found, is not known here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple

from engine.ids import format_id
from engine.kinds import Kind, OrderStatus, OrderType, TimeInForce, edge_name
from engine.limits import Limits
from engine.messages import (
    AmendOrder,
    CancelOrder,
    Command,
    PlaceOrder,
    Rejected,
    ReleaseLease,
    Rent,
    Reply,
    SetQuotes,
    SetSession,
)
from engine.reasons import Reason
from engine.records import Session
from engine.units import NS_PER_S, format_money
from exchange.gateway.errors import Problem
from exchange.read.interface import InstrumentRow

_PUBLIC_FIELDS: Final = {
    "order_type": "type",
    "delivery": "ssh_keys",
    "self_trade": "stp",
    "after_ns": "after_ms",
    "kind": "as",
}
_LIMITS: Final = Limits()
_WAIT: Final = "wait for continuous"
_PLAIN: Final = (
    "plain limit orders that rest (gtc, gtd or day), without features, same_baron, lot, minimum or further hours"
)


class Words(NamedTuple):
    """What was wrong, and what to do; empty: what the table of errors says."""

    wrong: str = ""
    advice: str = ""


def refused(reply: Reply) -> Rejected | None:
    """The event of a reply that is a rejection; None when the command was taken."""
    first = reply.events[0] if reply.events else None
    return first if isinstance(first, Rejected) else None


def rejection(
    rejected: Rejected,
    command: Command,
    seq: int,
    max_term_hours: int,
    closed: InstrumentRow | None = None,
    expiry: str = "expire",
) -> Problem:
    """The problem that a rejection is.

    `max_term_hours`: the longest term; `closed`: of SESSION_CLOSED, the instrument (None: not known); `expiry`: what the door
    calls the field of an order's expiry.
    """
    known = rejected.order_status is not OrderStatus.NONE
    words = _words(rejected, command, max_term_hours, closed)
    return Problem(
        rejected.reason,
        words.wrong,
        advice=words.advice,
        field=_field(rejected.field, command, expiry) or None,
        seq=seq,
        order_id=format_id("ord", rejected.order_id) if rejected.order_id and known else None,
        order_status=edge_name(rejected.order_status) if known else None,
        needed=format_money(rejected.needed_micros) if rejected.needed_micros else None,
        available=format_money(rejected.available_micros) if rejected.needed_micros else None,
    )


def public_field(field: str) -> str:
    """A command's field as callers know it: `offers[3].price_ticks` is `offers[3].price`."""
    head, dot, last = field.rpartition(".")
    last = _PUBLIC_FIELDS.get(last, last)
    for unit in ("_ticks", "_micros"):
        last = last.removesuffix(unit)
    return head + dot + last


def hours_allowed(max_term_hours: int) -> str:
    """The limits that INVALID_HOURS is about (§4, §5)."""
    return (
        f"hours go from 1 to {max_term_hours}; of an on-demand ask alone, max_hours from 2 to {max_term_hours}, "
        "and min_hours below it"
    )


def instrument_named(rejected: Rejected, command: Command) -> int:
    """The instrument that a command is about; 0 of one that names none, or several to choose from (a rental)."""
    if isinstance(command, PlaceOrder | SetSession):
        return command.instrument
    if isinstance(command, SetQuotes):
        place = rejected.field.partition("[")[2].partition("]")[0]
        return command.quotes[int(place)].instrument if place else 0
    return 0


def session_words(row: InstrumentRow | None, command: Command | None = None) -> Words:
    """Why an instrument's session doesn't take a command (None: a rental), and what it does take (§6)."""
    if row is None:
        return Words()
    session = row.session
    if session is Session.HALTED:
        return Words(f"{row.symbol} is halted, and takes cancels alone{_elsewhere(command)}", f"Cancel, or {_WAIT}.")
    if session is Session.EXPIRED:
        return Words(f"{row.symbol} has expired", "Choose another instrument.")
    if session is Session.CONTINUOUS:
        return Words(f"{row.symbol} has changed its session in this moment", "Send it again.")
    wrong = f"{row.symbol} is in {_named(row)}"
    if command is None or isinstance(command, Rent):
        return Words(
            f"{wrong}, and nothing trades at once there{_elsewhere(command)}",
            f"Rent later ({_WAIT}), or place a plain limit order.",
        )
    if isinstance(command, AmendOrder):
        return Words(f"{wrong}, and takes amends of plain limit orders alone", f"Cancel it, or {_WAIT}.")
    if isinstance(command, PlaceOrder) and not _is_plain(command, row.kind):
        return Words(f"{wrong}, and takes {_PLAIN} alone", f"Send such an order, or {_WAIT}.")
    return Words(f"{wrong}, whose clearing isn't finished", "Send it again in a moment.")


def _elsewhere(command: Command | None) -> str:
    """Of a rental that might have been served by other instruments too: a closed one is named where none gives it."""
    return "; no other region has it now" if isinstance(command, Rent) and len(command.instruments) > 1 else ""


def _field(field: str, command: Command, expiry: str) -> str:
    if field == "expire_ns":
        return expiry
    if isinstance(command, AmendOrder) and field == "display_quantity":
        # An amend has none: it is the new total that is too much for the order's.
        return "quantity"
    if isinstance(command, AmendOrder | CancelOrder) and field == "order_id" and not command.order_id:
        return "client_order_id"
    return public_field(field)


def _words(rejected: Rejected, command: Command, max_term_hours: int, closed: InstrumentRow | None) -> Words:
    match rejected.reason:
        case Reason.INVALID_HOURS:
            return Words(hours_allowed(max_term_hours))
        case Reason.SESSION_CLOSED:
            return session_words(closed, command)
        case Reason.INVALID_QUANTITY if isinstance(command, PlaceOrder):
            return _of_quantities(rejected.field, command)
        case Reason.INVALID_QUANTITY if isinstance(command, AmendOrder):
            return _of_amended_quantity(rejected.field)
        case Reason.INVALID_QUANTITY if isinstance(command, ReleaseLease):
            return Words(f"The lease has fewer GPUs than {command.quantity}", "Give at most as many as it has.")
        case Reason.INSUFFICIENT_FUNDS if rejected.needed_micros:
            needed, has = (format_money(micros) for micros in (rejected.needed_micros, rejected.available_micros))
            return Words(f"This needs {needed} dollars, and the account has {has} available for it")
        case Reason.TOO_MANY_ORDERS if rejected.field == "name":
            return Words(f"The account has {_LIMITS.max_quote_sets} sets of quotes, as many as it may")
        case Reason.TOO_MANY_ORDERS:
            return Words(f"An account has at most {_LIMITS.max_open_orders} open orders, those of quotes among them")
    return Words()


def _of_quantities(field: str, order: PlaceOrder) -> Words:
    """Which of an order's quantities doesn't go with which other."""
    quantity, lot = order.quantity, order.lot
    of_lot = f" and lot is {lot}" if lot else ""
    match field:
        case "quantity" if lot and quantity % lot:
            return Words(f"quantity is {quantity}, and no multiple of the lot of {lot}", "Give a multiple of the lot.")
        case "display_quantity":
            return Words(f"display_quantity is {order.display_quantity}, where quantity is {quantity}{of_lot}")
        case "min_quantity":
            shown = f" and display_quantity is {order.display_quantity}" if order.display_quantity else ""
            return Words(f"min_quantity is {order.min_quantity}, where quantity is {quantity}{shown}")
        case "lot":
            return Words(f"lot is {lot}, where quantity is {quantity}")
    return Words()


def _of_amended_quantity(field: str) -> Words:
    if field == "display_quantity":
        return Words(
            f"The quantity would be more than {_LIMITS.display_ratio} times what the order shows, its display_quantity",
            "Give less, or cancel the order and place one that shows more.",
        )
    return Words(
        "What the order would leave is no multiple of its lot",
        "Give a quantity that, less what is filled, is a multiple of the lot.",
    )


def _is_plain(order: PlaceOrder, kind: Kind) -> bool:
    """Whether it is an unconditional limit order that rests (§5, §6)."""
    asks_hours = order.hours > 1 and kind is Kind.ONDEMAND
    minimum = max(order.lot, order.min_hours, order.min_quantity) > 1
    choosy = bool(asks_hours or minimum or order.features or order.same_baron)
    lasting = order.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK)
    return order.order_type is OrderType.LIMIT and lasting and not choosy


def _named(row: InstrumentRow) -> str:
    if row.session is Session.PRE_OPEN:
        return "pre_open"
    if not row.session_until_ns:
        return "an auction"
    return f"an auction until {datetime.fromtimestamp(row.session_until_ns // NS_PER_S, UTC):%H:%M:%S} UTC"
