"""The exchange over a WebSocket: orders in, execution reports and book updates out.

One `Stream` is one connection, and it doesn't reconnect: whoever uses it begins anew from the snapshots. A reader that falls
behind ends its own stream instead of growing without bound. Replies find their request; events come in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from hourbook.decimals import Number, refuse_no_number, to_text
from hourbook.errors import (
    HourbookError,
    OutcomeUnknown,
    Problem,
    Rejected,
    StreamEnded,
    Unreachable,
    from_problem,
    made_here,
    settles,
    still_unknown,
)

SUBPROTOCOL: Final = Subprotocol("hourbook.v1.json")
PATHS: Final = {"trade": "/ws/v1/trade", "market": "/ws/v1/market"}
OPEN_TIMEOUT_S: Final = 10.0
REPLY_TIMEOUT_S: Final = 10.0
MAX_EVENTS: Final = 10_000
"""Kept for a reader; one more ends the stream."""
MAX_MESSAGE_BYTES: Final = 16 << 20
MAX_DOUBTFUL: Final = 10_000
"""Orders without a reply whose ids are kept, as many as the exchange keeps of an account; one more drops the oldest."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's message; `data` as the channel's kind has it."""

    ch: str
    type: Literal["snapshot", "update"]
    seq: int
    prev_seq: int
    ts_us: int
    data: Any


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    """A reply (it has a status) or an event (it has a channel)."""

    id: str | int | None = None
    status: int | None = None
    result: Any = None
    error: Problem | None = None
    ch: str | None = None


class Stream:
    """A connection to one of the two doors; use it with `async with`."""

    def __init__(
        self,
        url: str,
        key: str = "",
        door: Literal["trade", "market"] = "trade",
        *,
        cancel_on_disconnect: bool = False,
    ) -> None:
        """`cancel_on_disconnect` (trade): orders that come by this connection go when it ends, unless it logged out."""
        scheme, _, rest = url.rstrip("/").partition("://")
        if scheme not in ("http", "https"):
            raise ValueError(f"{url!r} is no http:// or https:// address")
        self._address = f"{'wss' if scheme == 'https' else 'ws'}://{rest}{PATHS[door]}"
        if cancel_on_disconnect:
            self._address += "?cancel_on_disconnect=true"
        self._key = key
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._doubtful: dict[str, str] = {}
        self._seqs: dict[str, int] = {}
        self._ids = itertools.count(1)
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._why: Problem | None = None

    async def __aenter__(self) -> Stream:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            self._socket = await connect(
                self._address,
                additional_headers=headers,
                subprotocols=[SUBPROTOCOL],
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                max_size=MAX_MESSAGE_BYTES,
                proxy=None,
            )
        except InvalidStatus as error:
            raise _refused(error) from error
        except (OSError, InvalidHandshake) as error:
            raise Unreachable(
                made_here("unreachable", f"{self._address}: {str(error) or type(error).__name__}")
            ) from error
        self._reader = asyncio.create_task(self._read(self._socket))
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        assert self._socket is not None  # noqa: S101 - entered before left
        assert self._reader is not None  # noqa: S101
        await self._socket.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def subscribe(self, channel: str) -> None:
        """From now on the channel's events come; books, orders and leases begin with a snapshot."""
        self._seqs.pop(channel, None)
        await self.ask("subscribe", {"ch": channel})

    async def unsubscribe(self, channel: str) -> None:
        await self.ask("unsubscribe", {"ch": channel})

    async def place(
        self, instrument: str, side: Literal["buy", "sell"], quantity: int, price: Number | None = None, **options: Any
    ) -> dict[str, Any]:
        """Place an order; the execution report of its entry. `options`: further fields of the order.

        With a `client_order_id` it may be repeated when its outcome is unknown. What refuses the repeat without knowing of
        the first leaves that unknown; on another connection `Rejected.settles` says whether it does.
        """
        params = {"instrument": instrument, "side": side, "quantity": quantity, **_priced(options)}
        if price is not None:
            params["price"] = to_text(price)
        return await self._placed(params)

    async def amend(
        self, order_id: str, price: Number | None = None, quantity: int | None = None, expire_us: int | None = None
    ) -> dict[str, Any]:
        """A new price, a new total quantity, a gtd order's new expiry, or several of them; the execution report."""
        params: dict[str, Any] = {"order_id": order_id}
        if price is not None:
            params["price"] = to_text(price)
        if quantity is not None:
            params["quantity"] = quantity
        if expire_us is not None:
            params["expire_us"] = expire_us
        return dict(await self.ask("order.amend", params))

    async def cancel(self, order_id: str) -> dict[str, Any]:
        return dict(await self.ask("order.cancel", {"order_id": order_id}))

    async def cancel_all(self, **wanted: str) -> int:
        """Cancel your orders that fit all that is given (`instrument`, `side`, `tag`); how many there were."""
        return int((await self.ask("orders.cancel_all", wanted))["orders"])

    async def cancel_all_after(self, after_ms: int) -> int | None:
        """The dead-man switch: cancel all after so long unless this comes again; when that is, in us. 0: off (None)."""
        due_us = (await self.ask("cancel_all_after", {"after_ms": after_ms}))["due_us"]
        return None if due_us is None else int(due_us)

    async def set_quotes(
        self, name: str, quotes: Sequence[Mapping[str, Any]], max_fills: int | None = None
    ) -> list[dict[str, Any]]:
        """Replace your set of quotes of this name, whole; the execution report of each, in order."""
        params: dict[str, Any] = {"name": name, "quotes": [_priced(quote) for quote in quotes]}
        if max_fills is not None:
            params["max_fills"] = max_fills
        return list((await self.ask("quotes.set", params))["orders"])

    async def log_out(self) -> None:
        """The last request: what came by this connection stays when it ends."""
        await self.ask("session.logout", {})

    async def ask(self, op: str, params: dict[str, Any], timeout_s: float = REPLY_TIMEOUT_S) -> Any:
        """The result of a request; Rejected, OutcomeUnknown (no reply came) or StreamEnded (it wasn't sent).

        ValueError for a NaN or an infinity in `params`, before anything is sent.
        """
        refuse_no_number(params)
        if self._socket is None or self._why is not None:
            raise StreamEnded(self._why or made_here("stream_ended", "the stream isn't open"))
        number = next(self._ids)
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send(msgspec.json.encode({"id": number, "op": op, "params": params}).decode())
            return await asyncio.wait_for(reply, timeout_s)
        except (TimeoutError, WebSocketException, StreamEnded) as error:
            detail = f"no reply to {op}: {str(error) or type(error).__name__}; it may have been done"
            raise OutcomeUnknown(made_here("outcome_unknown", detail, "unknown")) from error
        finally:
            del self._replies[number]

    async def event(self) -> Event:
        """The next event; StreamEnded after the last."""
        event = None if self._why is not None and self._events.empty() else await self._events.get()
        if event is None:
            raise StreamEnded(self._why or made_here("stream_ended", "the stream has ended"))
        return event

    async def _placed(self, params: dict[str, Any]) -> dict[str, Any]:
        client_order_id = str(params.get("client_order_id") or "")
        try:
            report = dict(await self.ask("order.place", params))
        except OutcomeUnknown as error:
            if client_order_id:
                self._doubtful.setdefault(client_order_id, error.detail)
                if len(self._doubtful) > MAX_DOUBTFUL:
                    del self._doubtful[next(iter(self._doubtful))]
            raise
        except Rejected as error:
            if client_order_id in self._doubtful and not error.settles:
                raise still_unknown(self._doubtful[client_order_id], error) from error
            self._doubtful.pop(client_order_id, None)
            raise
        self._doubtful.pop(client_order_id, None)
        return report

    async def _read(self, socket: ClientConnection) -> None:
        why = made_here("stream_ended", "the exchange closed the connection")
        try:
            async for message in socket:
                self._take(message if isinstance(message, bytes) else message.encode())
        except HourbookError as error:
            why = error.problem
        except (WebSocketException, msgspec.DecodeError) as error:
            why = made_here("stream_ended", f"the connection failed: {error}")
        finally:
            self._why = why
            for reply in self._replies.values():
                if not reply.done():
                    reply.set_exception(StreamEnded(why))
            self._events.put_nowait(None)

    def _take(self, content: bytes) -> None:
        message = msgspec.json.decode(content, type=_Message)
        if message.ch is not None:
            self._take_event(msgspec.json.decode(content, type=Event))
            return
        reply = self._replies.get(message.id) if isinstance(message.id, int) else None
        if reply is None or reply.done():
            return
        if message.error is not None:
            # Only an order carries an id by which a repeat is known, and only of an order is `settles` of use.
            reply.set_exception(from_problem(message.error, settles=settles(message.error, False, True)))
        else:
            reply.set_result(message.result)

    def _take_event(self, event: Event) -> None:
        if event.ch != "heartbeat":
            last = self._seqs.get(event.ch)
            if event.type == "update" and last is not None and event.prev_seq != last:
                raise StreamEnded(made_here("gap", f"{event.ch} went from {last} to {event.prev_seq}: connect again"))
            self._seqs[event.ch] = event.seq
        if self._events.qsize() >= MAX_EVENTS:
            raise StreamEnded(made_here("slow_reader", f"{MAX_EVENTS} events were waiting to be read"))
        self._events.put_nowait(event)


def _priced(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An order's fields with prices as text; a float is refused as everywhere."""
    return {name: to_text(value) if name in ("price", "stop_price") else value for name, value in fields.items()}


def _refused(error: InvalidStatus) -> HourbookError:
    try:
        return from_problem(msgspec.json.decode(error.response.body or b"", type=Problem))
    except (msgspec.DecodeError, UnicodeDecodeError):
        status = error.response.status_code
        return Unreachable(made_here(f"http_{status}", f"the upgrade was answered {status}: is this an exchange?"))
