"""Before a WebSocket is one: its subprotocol and its address. What is refused here is refused as an HTTP response."""

from __future__ import annotations

import msgspec
from starlette.responses import Response
from starlette.websockets import WebSocket

from exchange.gateway.errors import MEDIA_TYPE, Problem
from exchange.gateway.ws.messages import SUBPROTOCOL


def chosen_subprotocol(websocket: WebSocket) -> str | None:
    """The subprotocol to accept with: ours, or None when none was offered; Problem when only others were."""
    offered = websocket.scope.get("subprotocols") or []
    if not offered:
        return None
    if SUBPROTOCOL not in offered:
        raise Problem("unsupported_subprotocol", f"Offered was none but {', '.join(offered)[:100]}")
    return SUBPROTOCOL


async def refuse(websocket: WebSocket, problem: Problem) -> None:
    """Answer the upgrade with the problem instead of a WebSocket."""
    headers = {"WWW-Authenticate": "Bearer"} if problem.code == "unauthorized" else None
    body = msgspec.json.encode(problem.body)
    await websocket.send_denial_response(Response(body, problem.status, headers=headers, media_type=MEDIA_TYPE))
