"""The routes about what was bought forward, part of the table in `routes`: obligations, positions, delivery."""

from __future__ import annotations

from typing import Any, Final

from exchange.gateway import schema
from exchange.gateway.endpoint import Endpoint
from exchange.gateway.endpoints import obligations
from exchange.gateway.schema import Nothing
from exchange.gateway.views import obligations as views
from exchange.registry.rows import Scope

FORWARD_ENDPOINTS: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method="GET",
        path="/positions",
        access=Scope.READ,
        summary="What you have bought forward, hour by hour",
        run=obligations.positions,
        body=Nothing,
        query=schema.Since,
        answer=views.Positions,
    ),
    Endpoint(
        method="GET",
        path="/obligations",
        access=Scope.READ,
        summary="Your forwards' obligations, newest first",
        run=obligations.obligations,
        body=Nothing,
        query=schema.ObligationPage,
        answer=views.Obligations,
    ),
    Endpoint(
        method="GET",
        path="/obligations/{obligation_id}",
        access=Scope.READ,
        summary="One of your forwards' obligations",
        run=obligations.obligation,
        body=Nothing,
        query=schema.Since,
        answer=views.Obligation,
    ),
    Endpoint(
        method="PATCH",
        path="/obligations/{obligation_id}",
        access=Scope.RENT,
        summary="Say where an obligation is delivered to",
        run=obligations.set_delivery,
        body=schema.DeliveryBody,
        query=Nothing,
        answer=views.Obligation,
    ),
)
