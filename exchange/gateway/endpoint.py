"""The shape of one REST route: who may ask, what is sent, what is answered, and the function that does it.

The routes' table (`routes.py`) is made of these; serving, scopes and the API document all derive from that one table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.reasons import Reason
from exchange.gateway.auth import Access
from exchange.gateway.gateway import Gateway
from exchange.gateway.idempotency import client_id
from exchange.gateway.orders_in import id_in
from exchange.gateway.schema import Nothing
from exchange.registry.rows import Principal, Scope, Slot

B = TypeVar("B", bound=msgspec.Struct)
Q = TypeVar("Q", bound=msgspec.Struct)
A = TypeVar("A", bound=msgspec.Struct)

PATH_IDS: Mapping[str, tuple[str, str | Reason]] = {
    "account_id": ("acc", Reason.UNKNOWN_ACCOUNT),
    "order_id": ("ord", Reason.UNKNOWN_ORDER),
    "lease_id": ("lse", Reason.UNKNOWN_LEASE),
    "obligation_id": ("obl", Reason.UNKNOWN_OBLIGATION),
    "baron_id": ("brn", Reason.UNKNOWN_BARON),
    "key_id": ("key", "unknown_key"),
    "ssh_key_id": ("ssh", "unknown_ssh_key"),
}
"""Path parameters that are ids: their prefix, and what a malformed one is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call(Generic[B, Q]):
    """One request, admitted and read: who asks (None on a public route), and what. `slot`: of its Idempotency-Key."""

    request: Request
    body: B
    query: Q
    principal: Principal | None
    slot: Slot | None

    @property
    def asker(self) -> Principal:
        """The principal of a route that isn't public."""
        if self.principal is None:
            raise LookupError("a public route has no asker")
        return self.principal

    @property
    def account(self) -> int:
        return self.asker.account

    @property
    def client_id(self) -> str:
        """The client id for an engine command; "" without an Idempotency-Key."""
        return client_id(self.slot)

    def text(self, name: str) -> str:
        """A path parameter as it stands."""
        return str(self.request.path_params[name])

    def id(self, name: str) -> int:
        """A path parameter that is an id; Problem (404) when it isn't one's text."""
        prefix, code = PATH_IDS[name]
        return id_in(prefix, self.text(name), code)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Endpoint(Generic[B, Q, A]):
    """`run` returns the answer's struct, or a whole Response where `media_type` isn't JSON.

    makes_secret: what a POST answers is never kept; `run` remembers by itself that it was made.
    changes_nothing: a POST that only asks, so its repeat is answered anew and nothing is kept for it.
    """

    method: str
    path: str
    access: Access | Scope
    summary: str
    run: Callable[[Gateway, Call[B, Q]], Awaitable[A | Response]]
    body: type[B]
    query: type[Q]
    answer: type[A]
    status: int = 200
    media_type: str = "application/json"
    makes_secret: bool = False
    changes_nothing: bool = False

    @property
    def has_body(self) -> bool:
        return self.body is not Nothing

    @property
    def is_once(self) -> bool:
        """Whether an Idempotency-Key makes it be done once."""
        return self.method == "POST" and not self.changes_nothing

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"
