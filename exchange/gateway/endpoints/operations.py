"""Health and metrics, for whoever runs the exchange."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from exchange.gateway.endpoint import Call
from exchange.gateway.errors import RETRY_AFTER_MS, Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.schema import Nothing
from exchange.gateway.views.text import View


class Health(View, frozen=True):
    """`status` is `ok`; anything else is a problem."""

    status: str


async def live(_gateway: Gateway, _call: Call[Nothing, Nothing]) -> Health:
    return Health(status="ok")


async def ready(gateway: Gateway, _call: Call[Nothing, Nothing]) -> Health:
    missing = gateway.deps.not_ready()
    if missing:
        raise Problem("not_ready", f"Not ready: {', '.join(missing)}", retry_after_ms=RETRY_AFTER_MS)
    return Health(status="ok")


async def metrics(gateway: Gateway, _call: Call[Nothing, Nothing]) -> Response:
    return Response(gateway.meter.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
