"""`Idempotency-Key`: the same request gets its first answer again; what that is, for how long, and what it may not hold.

The registry keeps final answers for 24 hours; this room knows which are being made now. The client id of an engine
command derives from account, route and key, so that a crash between engine and registry can't do anything twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.requests import Request

from exchange.gateway.errors import RETRY_AFTER_MS, Problem
from exchange.registry.rows import Principal, Remembered, Slot

HEADER: Final = "idempotency-key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"
KEY_PATTERN: Final = r"^[\x21-\x7e]{1,255}$"
_KEY: Final = re.compile(KEY_PATTERN)
_CLIENT_ID_PREFIX: Final = "idk-"
_CLIENT_ID_DIGITS: Final = 32


def idempotency_key(request: Request, method: str) -> bytes:
    """The request's Idempotency-Key, hashed; b"" without one; Problem invalid_idempotency_key.

    Only a POST may carry one: with the other methods it would promise what it doesn't do.
    """
    values = request.headers.getlist(HEADER)
    if not values:
        return b""
    if method != "POST":
        raise Problem("invalid_idempotency_key", f"A {method} takes no Idempotency-Key")
    if len(values) > 1 or _KEY.fullmatch(values[0]) is None:
        raise Problem("invalid_idempotency_key", "The Idempotency-Key can't be used")
    return hashlib.sha256(values[0].encode()).digest()


def slot_of(key_hash: bytes, principal: Principal, route: str, body: bytes) -> Slot:
    """The slot of a request with this Idempotency-Key."""
    return Slot(
        account=principal.account,
        route=route,
        key_hash=key_hash,
        body_hash=hashlib.sha256(body).digest(),
    )


def client_id(slot: Slot | None) -> str:
    """The client id (36 characters) that a slot's command carries; "" without a slot."""
    if slot is None:
        return ""
    parts = hashlib.sha256(f"{slot.account} {slot.route} ".encode() + slot.key_hash)
    return _CLIENT_ID_PREFIX + parts.hexdigest()[:_CLIENT_ID_DIGITS]


def check_same(slot: Slot, first: Remembered) -> None:
    """Problem idempotency_key_reused for another body, idempotency_secret_shown_once for an answer that isn't kept."""
    if first.body_hash != slot.body_hash:
        raise Problem("idempotency_key_reused", "The Idempotency-Key was used with another body")
    if first.secret_of:
        raise Problem("idempotency_secret_shown_once", "This request was answered before", made_id=first.secret_of)


class InFlight:
    """The slots whose first answer is being made."""

    def __init__(self) -> None:
        self._bodies: dict[tuple[int, str, bytes], bytes] = {}

    @contextmanager
    def hold(self, slot: Slot) -> Iterator[None]:
        """Take the slot for the length of the block; Problem when another request has it."""
        place = (slot.account, slot.route, slot.key_hash)
        held = self._bodies.get(place)
        if held is not None and held != slot.body_hash:
            raise Problem("idempotency_key_reused", "The Idempotency-Key is in use with another body")
        if held is not None:
            raise Problem(
                "idempotency_in_flight",
                "The first request with this Idempotency-Key isn't answered yet",
                retry_after_ms=RETRY_AFTER_MS,
                outcome="unknown",
            )
        self._bodies[place] = slot.body_hash
        try:
            yield
        finally:
            del self._bodies[place]
