"""One WebSocket: its requests in, its replies and events out, and how it ends.

Requests are taken one after the other, so that commands enter in the order in which they were sent; their answers may be
waited for together. Everything is bounded: message size, subscriptions, commands under way, messages that wait for a slow
reader. It knows the envelope of a request, and leaves what an op means to its endpoint.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from engine.units import NS_PER_US
from exchange.gateway.errors import Problem
from exchange.gateway.reading import decode_body
from exchange.gateway.ws.channels import Channel, Channels, Key
from exchange.gateway.ws.messages import MAX_MESSAGE_BYTES, Reply, Request, RequestId, Subscribed
from exchange.gateway.ws.outbox import Outbox

CLOSE_S: Final = 5.0
"""How long a close frame may wait for a reader that doesn't read."""
FINISH_S: Final = 5.0
"""How long commands under way are waited for when the connection has ended."""
MAX_SUBSCRIPTIONS: Final = 256
OK: Final = 200

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class CloseWith(NamedTuple):
    """Why this side ends a connection; the code and the reason go into the close frame."""

    code: int
    reason: str


TEXT_ONLY: Final = CloseWith(1003, "send text frames")
TOO_BIG: Final = CloseWith(1009, f"a message has at most {MAX_MESSAGE_BYTES} bytes")
GOING_AWAY: Final = CloseWith(1012, "the exchange is stopping; come back")
FAULT: Final = CloseWith(1011, "this is our fault; come back")
KEY_REVOKED: Final = CloseWith(4001, "key_revoked")
KEY_EXPIRED: Final = CloseWith(4002, "key_expired")
SLOW_READER: Final = CloseWith(4008, "slow_reader")


class Asked(NamedTuple):
    """A request and when it came in."""

    id: str | int | None
    op: str
    params: msgspec.Raw
    in_us: int


Ops = Callable[["Connection", Asked], Awaitable[None]]


class Connection:
    """Implements Subscriber. `ops` answers requests, through `reply` and `refuse`."""

    def __init__(
        self,
        websocket: WebSocket,
        channels: Channels,
        clock_ns: Callable[[], int],
        ops: Ops,
        *,
        drop_books: bool,
    ) -> None:
        self._websocket = websocket
        self._channels = channels
        self._clock_ns = clock_ns
        self._ops = ops
        self._drop_books = drop_books
        self._outbox = Outbox()
        self._ending: asyncio.Future[CloseWith] = asyncio.get_running_loop().create_future()
        self._stale: dict[Channel, None] = {}
        self.subscriptions: dict[Key, Channel] = {}
        self.under_way: set[asyncio.Task[None]] = set()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(
        self,
        ends_in_s: float | None,
        beside: Callable[[Connection], Awaitable[None]] | None = None,
        last: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Serve the accepted WebSocket until either side ends it; `ends_in_s`: when its key expires.

        `beside` runs with it (the heartbeat); `last` when it is over, before it counts as ended.
        """
        tasks: list[asyncio.Future[None]] = [
            asyncio.create_task(self._receive()),
            asyncio.create_task(self._outbox.run(self._websocket.send_text, self._catch_up)),
        ]
        if beside is not None:
            tasks.append(asyncio.ensure_future(beside(self)))
        waited: list[asyncio.Future[Any]] = [*tasks, self._ending]
        try:
            done, _ = await asyncio.wait(waited, timeout=ends_in_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self.end(KEY_EXPIRED)
        finally:
            self._leave_all()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await self._finish(results)
            finally:
                try:
                    if last is not None:
                        await last()
                finally:
                    self.ended.set_result(None)

    def end(self, why: CloseWith) -> None:
        """Close the connection from this side; the first reason counts."""
        if not self._ending.done():
            self._ending.set_result(why)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Count a command under way until its task has ended."""
        self.under_way.add(task)
        task.add_done_callback(self._done)

    def now_us(self) -> int:
        return self._clock_ns() // NS_PER_US

    def send(self, message: bytes) -> None:
        """Queue a message; a reader that has too many waiting is disconnected."""
        if not self._outbox.put(message):
            self.end(SLOW_READER)

    def deliver(self, channel: Channel, message: bytes) -> None:
        if channel in self._stale:
            return
        if self._drop_books and channel.key[0] == "book" and self._outbox.lagging:
            self._stale[channel] = None
            return
        self.send(message)

    def reply(self, asked: Asked, result: Any, seq: int | None = None) -> None:
        self.send(
            _encode(
                Reply(
                    id=asked.id,
                    status=OK,
                    result=result,
                    seq=UNSET if seq is None else seq,
                    in_us=asked.in_us,
                    out_us=self.now_us(),
                )
            )
        )

    def refuse(self, request_id: str | int | None, in_us: int, problem: Problem) -> None:
        body = problem.body
        self.send(
            _encode(
                Reply(
                    id=request_id,
                    status=problem.status,
                    error=body,
                    seq=UNSET if body.seq is None else body.seq,
                    in_us=in_us,
                    out_us=self.now_us(),
                )
            )
        )

    def subscribe(self, asked: Asked, name: str, key: Key) -> None:
        """Join a channel: the reply, then its snapshot where it has one. Joining again answers the same again."""
        channel = self.subscriptions.get(key)
        if channel is None:
            if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
                raise Problem("too_many_subscriptions", f"A connection has at most {MAX_SUBSCRIPTIONS}", field="ch")
            channel = self._channels.join(key, self)
            if channel is None:
                raise Problem("overloaded", "The channel has as many subscribers as it may", field="ch")
            self.subscriptions[key] = channel
        self.reply(asked, Subscribed(ch=name, subscribed=True), channel.seq)
        snapshot = self._channels.snapshot(channel)
        if snapshot is not None:
            self._stale.pop(channel, None)
            self.send(snapshot)

    def unsubscribe(self, asked: Asked, name: str, key: Key) -> None:
        """Leave a channel; no event of it follows the reply."""
        channel = self.subscriptions.pop(key, None)
        if channel is None:
            raise Problem("not_subscribed", "The connection isn't subscribed to that channel", field="ch")
        self._stale.pop(channel, None)
        self._channels.leave(key, self)
        self.reply(asked, Subscribed(ch=name, subscribed=False))

    @property
    def lagging(self) -> bool:
        return self._outbox.lagging

    async def _receive(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return None
            text = message.get("text")
            if text is None:
                return self.end(TEXT_ONLY)
            if len(text) > MAX_MESSAGE_BYTES or len(text.encode()) > MAX_MESSAGE_BYTES:
                return self.end(TOO_BIG)
            await self._take(text)

    async def _take(self, text: str) -> None:
        in_us = self.now_us()
        try:
            request = decode_body(text.encode(), Request)
        except Problem as problem:
            self.refuse(_id_of(text), in_us, problem)
            return
        try:
            await self._ops(self, Asked(request.id, request.op, request.params, in_us))
        except Problem as problem:
            self.refuse(request.id, in_us, problem)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.under_way.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a command's reply failed", exc_info=error)
            self.end(FAULT)

    def _catch_up(self) -> None:
        """The reader has read everything: what was dropped for it begins anew with a snapshot."""
        while self._stale and not self._outbox.lagging:
            channel = next(iter(self._stale))
            del self._stale[channel]
            snapshot = self._channels.snapshot(channel)
            if snapshot is not None:
                self.send(snapshot)

    def _leave_all(self) -> None:
        for key in self.subscriptions:
            self._channels.leave(key, self)
        self.subscriptions.clear()
        self._stale.clear()

    async def _finish(self, results: list[BaseException | None]) -> None:
        faults = [result for result in results if isinstance(result, Exception) and not _gone(result)]
        for fault in faults:
            log.error("a WebSocket connection failed", exc_info=fault)
        why = self._ending.result() if self._ending.done() else (FAULT if faults else None)
        if why is not None and self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await asyncio.wait_for(self._websocket.close(why.code, why.reason), CLOSE_S)
            except (TimeoutError, WebSocketDisconnect, RuntimeError) as error:
                log.info("a WebSocket was cut, for it took no close frame (%s): %s", why.reason, error)
        if self.under_way:
            _, late = await asyncio.wait(self.under_way, timeout=FINISH_S)
            for task in late:
                task.cancel()


def _id_of(text: str) -> str | int | None:
    """The id of a message that is wrong elsewhere, where it has one to be answered by."""
    try:
        return msgspec.json.decode(text, type=_OnlyId).id
    except (msgspec.MsgspecError, RecursionError):
        return None


class _OnlyId(msgspec.Struct, frozen=True):
    id: RequestId | None = None


def _gone(error: Exception) -> bool:
    return isinstance(error, WebSocketDisconnect)
