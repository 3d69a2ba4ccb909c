"""The API's door: the gateway's application with its WebSockets and lease streams, served by uvicorn on one socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry

from exchange.gateway.app import create_app
from exchange.gateway.deps import Deps
from exchange.gateway.page.files import page_router
from exchange.gateway.ports import LedgerView, Quoter
from exchange.gateway.sse import LeaseStreams
from exchange.gateway.ws.doors import Doors
from exchange.gateway.ws.protocol import PING_S, WebSocketProtocol
from exchange.market_data.feed import Feed
from exchange.monarch.config import Config
from exchange.monarch.connections import bounded, raise_file_limit
from exchange.read.interface import ReadSide
from exchange.registry.registry import Registry
from exchange.sequencer.interface import Submit

WS_MAX_BYTES: Final = 64 << 10
CONNECTIONS_STOP_S: Final = 2.0
REQUESTS_STOP_S: Final = 3
KEEP_ALIVE_S: Final = 30


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process has one owner, and it isn't the server."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class ApiDoor:
    """REST and WebSocket of one Monarch."""

    def __init__(
        self,
        config: Config,
        *,
        submit: Submit,
        read: ReadSide,
        ledger: LedgerView,
        quoter: Quoter,
        registry: Registry,
        feed: Feed,
        not_ready: Callable[[], list[str]],
        baron_heartbeats: Callable[[], Mapping[int, int]],
        metrics: CollectorRegistry,
    ) -> None:
        longest = config.max_term_hours
        self._doors = Doors(feed=feed, submit=submit, read=read, keys=registry, stored=registry, max_term_hours=longest)
        self._streams = LeaseStreams(feed, read)
        self._ended = asyncio.Event()
        app = create_app(
            Deps(
                submit=submit,
                read=read,
                ledger=ledger,
                quoter=quoter,
                registry=registry,
                lease_events=self._streams,
                maker_fee_ppm=config.fees.maker_ppm,
                taker_fee_ppm=config.fees.taker_ppm,
                max_term_hours=longest,
                not_ready=not_ready,
                baron_heartbeats=baron_heartbeats,
                on_key_revoked=self._close_key,
                routers=(self._doors.router, page_router()),
                metrics=metrics,
            )
        )
        self._server = _Server(
            uvicorn.Config(
                app,
                http=bounded(raise_file_limit()),
                ws=WebSocketProtocol,
                ws_max_size=WS_MAX_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=REQUESTS_STOP_S,
            )
        )

    async def serve(self, listening: socket.socket) -> None:
        """Serve until `stop`."""
        try:
            await self._server.serve(sockets=[listening])
        finally:
            self._server.up.set()
            self._ended.set()

    async def started(self) -> None:
        """Return when requests are answered, or when it has ended before."""
        await self._server.up.wait()

    async def stop(self) -> None:
        """End streams and WebSockets, let requests finish, and return when `serve` has; bounded."""
        self._streams.stop()
        await self._doors.stop(CONNECTIONS_STOP_S)
        self._server.should_exit = True
        await self._ended.wait()

    def _close_key(self, key_id: int) -> None:
        self._doors.close_key(key_id)
        self._streams.close_key(key_id)
