"""The one table of errors at every door: code, HTTP status, what to do; and the problem that carries them (RFC 9457).

The engine's reasons keep their advice in `engine.reasons`; what only the gateway can find wrong stands here beside them.
REST and WebSocket both raise `Problem`; this room never knows which of the two will write it out.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from engine.limits import Limits
from engine.reasons import ADVICE, Reason

RETRY_AFTER_MS: Final = 200
"""What a refused caller is told to wait when the queue is full or the read side is behind."""
MEDIA_TYPE: Final = "application/problem+json"

_INDEX: Final = re.compile(r"\[\d+\]\Z")

Outcome = Literal["rejected", "unknown"]


class Entry(NamedTuple):
    """One line of the table."""

    status: HTTPStatus
    advice: str


_S = HTTPStatus

_REASON_STATUS: Final[dict[Reason, HTTPStatus]] = {
    Reason.UNKNOWN_ACCOUNT: _S.NOT_FOUND,
    Reason.INSUFFICIENT_FUNDS: _S.CONFLICT,
    Reason.INVALID_AMOUNT: _S.UNPROCESSABLE_ENTITY,
    Reason.ACCOUNT_EXISTS: _S.CONFLICT,
    Reason.INVALID_LIMITS: _S.UNPROCESSABLE_ENTITY,
    Reason.GPU_LIMIT: _S.CONFLICT,
    Reason.NOTIONAL_LIMIT: _S.CONFLICT,
    Reason.ACCOUNT_KILLED: _S.FORBIDDEN,
    Reason.UNKNOWN_INSTRUMENT: _S.NOT_FOUND,
    Reason.INSTRUMENT_EXPIRED: _S.NOT_FOUND,
    Reason.MARKET_EXISTS: _S.CONFLICT,
    Reason.INVALID_MARKET: _S.UNPROCESSABLE_ENTITY,
    Reason.UNKNOWN_BARON: _S.NOT_FOUND,
    Reason.NOT_YOUR_BARON: _S.FORBIDDEN,
    Reason.WRONG_MARKET: _S.UNPROCESSABLE_ENTITY,
    Reason.INSUFFICIENT_CAPACITY: _S.CONFLICT,
    Reason.BARON_EXISTS: _S.CONFLICT,
    Reason.INVALID_CAPACITY: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_OFFER: _S.UNPROCESSABLE_ENTITY,
    Reason.TOO_MANY_OFFERS: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_RATING: _S.UNPROCESSABLE_ENTITY,
    Reason.BARON_QUIET: _S.CONFLICT,
    Reason.BARON_DRAINED: _S.CONFLICT,
    Reason.INVALID_PRESENCE: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_PRICE: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_QUANTITY: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_HOURS: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_ORDER: _S.UNPROCESSABLE_ENTITY,
    Reason.POST_ONLY_WOULD_TRADE: _S.CONFLICT,
    Reason.NO_LIQUIDITY: _S.CONFLICT,
    Reason.FOK_KILLED: _S.CONFLICT,
    Reason.SELF_TRADE: _S.CONFLICT,
    Reason.WALK_LIMIT: _S.CONFLICT,
    Reason.TOO_MANY_ORDERS: _S.CONFLICT,
    Reason.TOO_MANY_LEASES: _S.CONFLICT,
    Reason.DUPLICATE_CLIENT_ORDER_ID: _S.UNPROCESSABLE_ENTITY,
    Reason.UNKNOWN_ORDER: _S.NOT_FOUND,
    Reason.ORDER_CLOSED: _S.CONFLICT,
    Reason.NOTHING_TO_AMEND: _S.UNPROCESSABLE_ENTITY,
    Reason.NO_SSH_KEY: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_DELIVERY: _S.UNPROCESSABLE_ENTITY,
    Reason.OFFER_ORDER: _S.CONFLICT,
    Reason.PRICE_ABOVE_MAXIMUM: _S.CONFLICT,
    Reason.DUPLICATE_ORDER_ID: _S.CONFLICT,
    Reason.MALFORMED_RECORD: _S.UNPROCESSABLE_ENTITY,
    Reason.SESSION_CLOSED: _S.CONFLICT,
    Reason.TOO_MANY_CONDITIONAL: _S.CONFLICT,
    Reason.INVALID_EXPIRY: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_QUOTES: _S.UNPROCESSABLE_ENTITY,
    Reason.INVALID_FEATURES: _S.UNPROCESSABLE_ENTITY,
    Reason.OUTSIDE_BAND: _S.CONFLICT,
    Reason.UNKNOWN_LEASE: _S.NOT_FOUND,
    Reason.TOO_MANY_OBLIGATIONS: _S.CONFLICT,
    Reason.REDUCE_ONLY: _S.UNPROCESSABLE_ENTITY,
    Reason.UNKNOWN_OBLIGATION: _S.NOT_FOUND,
    Reason.NO_LEASE_NOW: _S.CONFLICT,
    Reason.NOT_RESERVED: _S.CONFLICT,
    Reason.NO_WHOLE_PERIOD: _S.CONFLICT,
    Reason.LEASE_ENDED: _S.CONFLICT,
    Reason.LEASE_NOT_PROVISIONING: _S.CONFLICT,
    Reason.LEASE_NOT_ENDED: _S.CONFLICT,
    Reason.INVALID_LEASE_REPORT: _S.UNPROCESSABLE_ENTITY,
    Reason.LEASE_UNDER_NOTICE: _S.CONFLICT,
    Reason.PRICE_NOT_HIGHER: _S.CONFLICT,
    Reason.NOT_SPOT: _S.CONFLICT,
    Reason.INVALID_OUTAGE: _S.UNPROCESSABLE_ENTITY,
    Reason.TOO_MANY_RAISES: _S.CONFLICT,
    Reason.NOT_ONDEMAND: _S.CONFLICT,
    Reason.TOO_EARLY_TO_EXTEND: _S.CONFLICT,
    Reason.CANNOT_EXTEND: _S.CONFLICT,
    Reason.LEASE_SCHEDULED: _S.CONFLICT,
    Reason.TIME_TOO_LATE: _S.SERVICE_UNAVAILABLE,
    Reason.TIME_WENT_BACK: _S.SERVICE_UNAVAILABLE,
}

_GATEWAY: Final[dict[str, Entry]] = {
    "malformed_request": Entry(_S.BAD_REQUEST, "Send a well-formed HTTP/1.1 request."),
    "invalid_json": Entry(_S.BAD_REQUEST, "Send one JSON object as the body."),
    "invalid_utf8": Entry(_S.BAD_REQUEST, "Send the body as UTF-8."),
    "unauthorized": Entry(_S.UNAUTHORIZED, "Send `Authorization: Bearer hb_...` with a key that is valid now."),
    "missing_scope": Entry(_S.FORBIDDEN, "Use a key that has the scope."),
    "scope_not_held": Entry(
        _S.FORBIDDEN, "A key can give or revoke only what it holds itself: its scopes and its expiry."
    ),
    "not_found": Entry(_S.NOT_FOUND, "See the API document for the paths there are."),
    "unknown_key": Entry(_S.NOT_FOUND, "Take the id from GET /v1/keys."),
    "unknown_ssh_key": Entry(_S.NOT_FOUND, "Take the id from GET /v1/ssh-keys."),
    "method_not_allowed": Entry(_S.METHOD_NOT_ALLOWED, "Use a method that the Allow header names."),
    "request_timeout": Entry(_S.REQUEST_TIMEOUT, "Send the whole body at once."),
    "idempotency_in_flight": Entry(
        _S.CONFLICT, "The first request with this key is being answered; ask again shortly."
    ),
    "idempotency_secret_shown_once": Entry(
        _S.CONFLICT, "It was made, and its secret was shown with the first answer; make another if that was lost."
    ),
    "idempotency_key_reused": Entry(_S.UNPROCESSABLE_ENTITY, "Use a new Idempotency-Key for another body."),
    "invalid_idempotency_key": Entry(
        _S.UNPROCESSABLE_ENTITY, "Send one Idempotency-Key of 1 to 255 printable characters, and with a POST only."
    ),
    "too_many_idempotency_keys": Entry(
        _S.TOO_MANY_REQUESTS,
        "Nothing was done; each Idempotency-Key is kept for 24 hours: wait, or send the request without one.",
    ),
    "unexpected_body": Entry(_S.UNPROCESSABLE_ENTITY, "Leave the body out; what can be given stands in the address."),
    "payload_too_large": Entry(_S.REQUEST_ENTITY_TOO_LARGE, "Keep the body within 64 KiB."),
    "unsupported_media_type": Entry(
        _S.UNSUPPORTED_MEDIA_TYPE, "Send the body in UTF-8, as `Content-Type: application/json`."
    ),
    "unknown_field": Entry(_S.UNPROCESSABLE_ENTITY, "Leave the field out."),
    "missing_field": Entry(_S.UNPROCESSABLE_ENTITY, "Give the field."),
    "invalid_field": Entry(_S.UNPROCESSABLE_ENTITY, "Give the field in the form that the API document states."),
    "invalid_parameter": Entry(_S.UNPROCESSABLE_ENTITY, "Give each parameter once, in the form of the API document."),
    "invalid_ssh_key": Entry(
        _S.UNPROCESSABLE_ENTITY, "Give an OpenSSH public key line: ed25519, ecdsa, sk-*, or rsa of 2048 bits or more."
    ),
    "too_many_ssh_keys": Entry(_S.CONFLICT, "Delete an SSH key first."),
    "ssh_key_exists": Entry(_S.CONFLICT, "The account has this SSH key already."),
    "too_many_keys": Entry(_S.CONFLICT, "Revoke a key first."),
    "too_many_barons": Entry(_S.CONFLICT, "Use the Barons that are registered already."),
    # what only a WebSocket can find wrong
    "unsupported_subprotocol": Entry(_S.BAD_REQUEST, "Offer `hourbook.v1.json`, or no subprotocol."),
    "unknown_op": Entry(_S.NOT_FOUND, "Use an op of this endpoint."),
    "unknown_channel": Entry(_S.NOT_FOUND, "Use a channel of this endpoint; a symbol comes from GET /v1/instruments."),
    "not_subscribed": Entry(_S.CONFLICT, "Unsubscribe from channels that were subscribed to on this connection."),
    "logged_out": Entry(_S.CONFLICT, "Close this connection, and open another."),
    "too_many_subscriptions": Entry(_S.CONFLICT, "Unsubscribe from a channel, or open another connection."),
    "too_many_in_flight": Entry(_S.TOO_MANY_REQUESTS, "Nothing was done; wait for replies before sending more."),
    "overloaded": Entry(_S.SERVICE_UNAVAILABLE, "Nothing was done; send the request again after the time given."),
    "outcome_unknown": Entry(
        _S.SERVICE_UNAVAILABLE,
        "It may or may not have been done; ask for it, or send it again with the same Idempotency-Key.",
    ),
    "read_side_behind": Entry(
        _S.SERVICE_UNAVAILABLE, "The read side hasn't got that far; ask again after the time given."
    ),
    "not_ready": Entry(_S.SERVICE_UNAVAILABLE, "Wait until the exchange is ready."),
    "internal": Entry(_S.INTERNAL_SERVER_ERROR, "This is our fault; ask what became of it before you send it again."),
}

TABLE: Final[dict[str, Entry]] = _GATEWAY | {
    reason.name.lower(): Entry(status, ADVICE[reason]) for reason, status in _REASON_STATUS.items()
}
"""Every code that a caller may meet."""

_LIMITS: Final = Limits()
_FORM_OF_NAMES: Final = "Use 1 to 36 letters, digits, hyphens and underscores."
_EXPIRY: Final = "Only a gtd order has an expiry: leave it out, or give time_in_force gtd with it."

OF_FIELD: Final[dict[str, dict[str, str]]] = {
    "invalid_quantity": {
        "display_quantity": f"Show at most the quantity and at least a part in {_LIMITS.display_ratio} of it, in whole lots.",
        "min_quantity": "Ask for at most the quantity, and at most display_quantity where the order has one.",
        "lot": f"Give at most {2**16 - 1}, and at most the quantity, which is a multiple of it.",
    },
    "invalid_order": {
        "time_in_force": "A market order is ioc or fok; leave time_in_force out for ioc.",
        "stop_price": "Only stop and stop_limit orders have one: leave it out, or give one of those types.",
        "post_only": "Only a limit order that may rest (gtc, gtd or day) can be post_only.",
        "display_quantity": "Leave it out: ioc, fok, market and stop orders never rest, so they show nothing.",
        "stp": "Choose another stp, or leave out lot, min_quantity and same_baron: decrement cuts orders by any number.",
        "same_baron": "Leave out same_baron or display_quantity: what comes from one Baron whole isn't shown in parts.",
        "expire": _EXPIRY,
        "expire_us": _EXPIRY,
        "tag": _FORM_OF_NAMES,
        "client_order_id": _FORM_OF_NAMES,
    },
    "unknown_order": {
        "client_order_id": f"Give one of your live orders, or of your last {_LIMITS.max_client_ids} that had one; or an order_id."
    },
    "invalid_expiry": {"after_ms": "Give at most a day, in milliseconds; 0 switches it off."},
    "too_many_orders": {
        "name": "Withdraw a set of quotes first: send it with an empty list.",
        "quotes": "Send fewer quotes, or cancel open orders first.",
    },
}
"""By code and the last name of its field, what to do where the code alone doesn't tell."""


Code = Annotated[
    str,
    msgspec.Meta(
        description="What each means is in docs/errors.md. More may come: take one that you don't know by its `status`.",
        extra_json_schema={"enum": sorted(TABLE)},
    ),
]


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"kind": "type"}):
    """An error (RFC 9457). `outcome` "unknown": it may have been done; "rejected": nothing was changed by this request.

    `needed` and `available`, of `insufficient_funds`: what it would take, and what of the account's own was there for it.
    """

    kind: str
    title: str
    status: int
    code: Code
    detail: str
    outcome: Outcome
    field: str | None = None
    retry_after_ms: int | None = None
    seq: int | None = None
    order_id: str | None = None
    order_status: str | None = None
    made_id: str | None = None
    needed: str | None = None
    available: str | None = None


class Problem(Exception):
    """A request that can't be answered as asked; `code` is in TABLE. `advice`: what to do, where this case knows better."""

    def __init__(
        self,
        code: str | Reason,
        wrong: str = "",
        *,
        advice: str = "",
        field: str | None = None,
        retry_after_ms: int | None = None,
        outcome: Outcome = "rejected",
        seq: int | None = None,
        order_id: str | None = None,
        order_status: str | None = None,
        made_id: str | None = None,
        needed: str | None = None,
        available: str | None = None,
    ) -> None:
        name = code.name.lower() if isinstance(code, Reason) else code
        entry = TABLE[name]
        self.code = name
        self.status = int(entry.status)
        known = OF_FIELD.get(name, {}).get(last_name(field or ""), entry.advice)
        title = name.replace("_", " ").capitalize()
        self.body = ProblemBody(
            kind=f"urn:hourbook:error:{name}",
            title=title,
            status=self.status,
            code=name,
            detail=f"{(wrong or title).rstrip('.')}. {advice or known}",
            outcome=outcome,
            field=field,
            retry_after_ms=retry_after_ms,
            seq=seq,
            order_id=order_id,
            order_status=order_status,
            made_id=made_id,
            needed=needed,
            available=available,
        )
        super().__init__(self.body.detail)


def last_name(field: str) -> str:
    """`price` of `offers[3].price`, `quotes` of `quotes[2]`."""
    return _INDEX.sub("", field.rpartition(".")[2])


def overloaded() -> Problem:
    return Problem("overloaded", "The exchange has more to do than it can take in", retry_after_ms=RETRY_AFTER_MS)


def outcome_unknown() -> Problem:
    return Problem("outcome_unknown", "The exchange's log failed in the middle of it", outcome="unknown")
