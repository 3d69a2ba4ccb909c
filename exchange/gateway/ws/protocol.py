"""uvicorn's WebSocket protocol, but for one thing: an upgrade that was refused with a response is over, and no error.

uvicorn 0.54 takes it for a handshake that the application forgot, and would log an ERROR for each caller whom the doors
refuse. Whoever serves the gateway gives this class to uvicorn as `ws`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

PING_S: Final = 10.0
"""A peer is pinged so often, and has as long to answer: orders that go with its connection don't wait for a dead line."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True
