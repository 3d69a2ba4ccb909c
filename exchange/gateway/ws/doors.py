"""Both WebSocket doors: upgrades, the connections there are, and how they all end.

The composition root makes one, mounts `router`, calls `close_key` when a key is revoked, and `stop` before the server
stops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter
from starlette.websockets import WebSocket

from engine.limits import Limits
from engine.units import NS_PER_S
from exchange.gateway.auth import Keys, identify
from exchange.gateway.errors import RETRY_AFTER_MS, Problem
from exchange.gateway.orders_in import Instruments, StoredSshKeys
from exchange.gateway.reading import decode_query
from exchange.gateway.ws.channels import Channels
from exchange.gateway.ws.connection import GOING_AWAY, KEY_REVOKED, Connection
from exchange.gateway.ws.market import MarketOps
from exchange.gateway.ws.messages import MARKET_PATH, TRADE_PATH, NoQuery, TradeQuery
from exchange.gateway.ws.trade import TradeOps
from exchange.gateway.ws.upgrade import chosen_subprotocol, refuse
from exchange.market_data.feed import Feed
from exchange.read.interface import ReadSide
from exchange.registry.rows import Principal, Scope
from exchange.sequencer.interface import Submit

MAX_TRADE_CONNECTIONS: Final = 2_000
MAX_MARKET_CONNECTIONS: Final = 2_000
"""A bound of its own, since anybody may open these: however many there are, traders get in."""
MAX_CONNECTIONS_PER_ACCOUNT: Final = 64


class Doors:
    """`keys` knows bearer keys, `stored` the accounts' SSH keys: both are the registry. `max_term_hours`: the longest term."""

    def __init__(
        self,
        *,
        feed: Feed,
        submit: Submit,
        read: ReadSide,
        keys: Keys,
        stored: StoredSshKeys,
        max_term_hours: int = Limits().max_term_hours,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._feed = feed
        self._submit = submit
        self._read = read
        self._keys = keys
        self._stored = stored
        self._max_term_hours = max_term_hours
        self._clock_ns = clock_ns
        self._channels = Channels(feed)
        self._instruments = Instruments(read)
        self._market_ops = MarketOps(feed)
        self._open: dict[Connection, Principal | None] = {}
        self._revocations = 0
        self._last_number = 0
        self._stopping = False
        self.router = APIRouter()
        self.router.add_api_websocket_route(TRADE_PATH, self._trade)
        self.router.add_api_websocket_route(MARKET_PATH, self._market)

    @property
    def connections(self) -> int:
        return len(self._open)

    def close_key(self, key_id: int) -> None:
        """End every connection of a key that was revoked."""
        self._revocations += 1
        for connection, principal in self._open.items():
            if principal is not None and principal.key_id == key_id:
                connection.end(KEY_REVOKED)

    async def stop(self, timeout_s: float) -> None:
        """Refuse new connections and end those there are; returns when they have ended, or after `timeout_s`."""
        self._stopping = True
        for connection in self._open:
            connection.end(GOING_AWAY)
        ended = [connection.ended for connection in self._open]
        if ended:
            await asyncio.wait(ended, timeout=timeout_s)

    async def _trade(self, websocket: WebSocket) -> None:
        try:
            query = decode_query(websocket, TradeQuery)
            subprotocol = self._check(websocket, self._check_trade_room)
            principal, revocations = await self._identify(websocket)
        except Problem as problem:
            await refuse(websocket, problem)
            return
        ops = TradeOps(
            principal,
            self._submit,
            self._read,
            self._feed,
            self._channels,
            self._instruments,
            self._stored,
            self._max_term_hours,
            self._number() if query.cancel_on_disconnect else 0,
        )
        connection = Connection(websocket, self._channels, self._clock_ns, ops, drop_books=False)
        await self._serve(connection, principal, websocket, subprotocol, revocations, ops.disconnected)

    async def _market(self, websocket: WebSocket) -> None:
        try:
            decode_query(websocket, NoQuery)
            subprotocol = self._check(websocket, self._check_market_room)
        except Problem as problem:
            await refuse(websocket, problem)
            return
        connection = Connection(websocket, self._channels, self._clock_ns, self._market_ops, drop_books=True)
        await self._serve(connection, None, websocket, subprotocol, self._revocations)

    def _check(self, websocket: WebSocket, check_room: Callable[[], None]) -> str | None:
        subprotocol = chosen_subprotocol(websocket)
        check_room()
        return subprotocol

    def _check_trade_room(self) -> None:
        self._check_room(sum(principal is not None for principal in self._open.values()), MAX_TRADE_CONNECTIONS)

    def _check_market_room(self) -> None:
        self._check_room(sum(principal is None for principal in self._open.values()), MAX_MARKET_CONNECTIONS)

    def _check_room(self, connections: int, most: int) -> None:
        if self._stopping or not self._feed.ready:
            raise Problem("not_ready", "The exchange is starting or stopping", retry_after_ms=RETRY_AFTER_MS)
        if connections >= most:
            raise Problem("overloaded", "There are as many connections as there may be", retry_after_ms=RETRY_AFTER_MS)

    async def _identify(self, websocket: WebSocket) -> tuple[Principal, int]:
        """Who it is, and how many keys had been revoked when the registry was asked."""
        revocations = self._revocations
        given = websocket.headers.getlist("authorization")
        principal = await identify(self._keys, given[0] if len(given) == 1 else None)
        if not principal.scopes & {Scope.TRADE, Scope.READ}:
            raise Problem("missing_scope", "The key holds neither `trade` nor `read`")
        # Others may have come while the registry was asked.
        self._check_trade_room()
        mine = sum(other is not None and other.account == principal.account for other in self._open.values())
        if mine >= MAX_CONNECTIONS_PER_ACCOUNT:
            raise Problem(
                "overloaded",
                f"The account has {MAX_CONNECTIONS_PER_ACCOUNT} connections",
                retry_after_ms=RETRY_AFTER_MS,
            )
        return principal, revocations

    async def _serve(
        self,
        connection: Connection,
        principal: Principal | None,
        websocket: WebSocket,
        subprotocol: str | None,
        revocations: int,
        last: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._open[connection] = principal
        try:
            await websocket.accept(subprotocol=subprotocol)
            if principal is not None and revocations != self._revocations:
                # A key was revoked while this one was looked up: look again, now that `close_key` would find us.
                await self._recheck(connection, websocket)
            if self._stopping:
                connection.end(GOING_AWAY)
            heartbeat = self._market_ops.heartbeat if principal is None else None
            await connection.run(self._seconds_left(principal), heartbeat, last)
        finally:
            del self._open[connection]

    def _number(self) -> int:
        """A number that no connection had: not now, and not before this process began."""
        self._last_number = max(self._last_number + 1, self._clock_ns())
        return self._last_number

    async def _recheck(self, connection: Connection, websocket: WebSocket) -> None:
        try:
            await identify(self._keys, websocket.headers.get("authorization"))
        except Problem:
            connection.end(KEY_REVOKED)

    def _seconds_left(self, principal: Principal | None) -> float | None:
        if principal is None or not principal.expires_ns:
            return None
        return max(0.0, (principal.expires_ns - self._clock_ns()) / NS_PER_S)
