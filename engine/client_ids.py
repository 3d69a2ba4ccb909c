"""Client ids: what makes a repeated command harmless (rulebook §5).

Unique among an account's live orders and its last 10,000 accepted commands of any kind. A repeat with the same content
is answered with the first result; with other content it is refused. A refused command leaves no trace here.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from engine.kinds import OrderStatus
from engine.messages import Command, Duplicate, PlaceOrder, Rent
from engine.reasons import Reason
from engine.state import Account, Order, Refused, Remembered, State

_ALLOWED: Final = re.compile(r"[A-Za-z0-9_-]+\Z", re.ASCII)
_DIGEST_BYTES: Final = 16

_encode = msgspec.msgpack.Encoder().encode


def valid(state: State, client_id: str) -> bool:
    """Whether it has a client id's form; the empty one, for none, has it too."""
    return client_id == "" or (
        len(client_id) <= state.limits.max_client_id_chars and _ALLOWED.match(client_id) is not None
    )


def repeated(state: State, account: Account, client_id: str, command: Command, field: str = "client_order_id") -> bool:
    """True, and the Duplicate emitted, when the command came before; refused when its id did with other content."""
    if not valid(state, client_id):
        raise Refused(Reason.INVALID_ORDER, field)
    first = find(account, client_id)
    if first is None:
        return False
    if first.digest != _digest(command):
        raise Refused(Reason.DUPLICATE_CLIENT_ORDER_ID, field)
    state.emit(
        Duplicate(account=account.account, client_order_id=client_id, first_seq=first.seq, order_id=first.order_id)
    )
    return True


def remember(state: State, account: Account, client_id: str, command: Command, order_id: int) -> None:
    """Take in an accepted command's id; the oldest is forgotten unless its order is still live."""
    if not client_id:
        return
    account.client_ids[client_id] = Remembered(digest=_digest(command), seq=state.last_seq, order_id=order_id)
    if len(account.client_ids) > state.limits.max_client_ids:
        oldest = next(iter(account.client_ids))
        forgotten = account.client_ids.pop(oldest)
        if forgotten.order_id in state.orders:
            account.older_live_ids[oldest] = forgotten


def find(account: Account, client_id: str) -> Remembered | None:
    """What the account's client id stood for, if it is remembered."""
    return account.client_ids.get(client_id) or account.older_live_ids.get(client_id)


def closed(state: State, account: Account, order: Order, status: OrderStatus) -> None:
    """An order is live no more: keep its final state for a while, and let go of an id kept for its sake alone."""
    account.older_live_ids.pop(order.client_order_id, None)
    account.closed_orders[order.order_id] = status
    if len(account.closed_orders) > state.limits.max_client_ids:
        del account.closed_orders[next(iter(account.closed_orders))]


def _digest(command: Command) -> bytes:
    # What is delivered comes from the account's stored keys where the caller names none, and who lost a connection repeats
    # on another: after either changed it is still the same order.
    if isinstance(command, PlaceOrder):
        command = msgspec.structs.replace(command, delivery=b"", connection=0)
    elif isinstance(command, Rent):
        command = msgspec.structs.replace(command, delivery=b"")
    return hashlib.blake2b(_encode(command), digest_size=_DIGEST_BYTES).digest()
