"""Who is asking, and may they: the bearer key of a request, and the one place that checks a scope."""

from __future__ import annotations

from enum import Enum
from typing import Final, Protocol

from exchange.gateway.errors import Problem
from exchange.registry.rows import Principal, Scope

_SCHEME: Final = "bearer"


class Access(Enum):
    """Routes that ask for no scope: open to all, or to any valid key."""

    PUBLIC = "public"
    ANY_KEY = "any key"


class Keys(Protocol):
    """Whoever knows the keys: the registry."""

    async def principal(self, token: str) -> Principal | None: ...


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header (None: not exactly one was sent); Problem unauthorized when there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != _SCHEME or not token:
        raise Problem("unauthorized", "The request carries no bearer key")
    return token.strip()


async def identify(keys: Keys, authorization: str | None) -> Principal:
    """The holder of the request's key; Problem unauthorized when it isn't valid now."""
    principal = await keys.principal(bearer_token(authorization))
    if principal is None:
        raise Problem("unauthorized", "The key is unknown, revoked or expired")
    return principal


def require(principal: Principal, scope: Scope) -> None:
    """Problem missing_scope when the key doesn't hold the scope."""
    if scope not in principal.scopes:
        raise Problem("missing_scope", f"The key doesn't hold the scope `{scope.value}`")
