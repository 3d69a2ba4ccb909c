"""uvicorn's WebSocket protocol, but for two things that callers do and uvicorn 0.54 logs as errors of the server.

An upgrade that was refused with a response is over: uvicorn takes it for a handshake that the application forgot. A text that
isn't UTF-8 ends its connection, with code 1007. Whoever serves the gateway gives this class to uvicorn as `ws`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

PING_S: Final = 10.0
"""A peer is pinged so often, and has as long to answer: orders that go with its connection don't wait for a dead line."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_utf8(b"".join(self.frames)):
            self.frames = []
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
