"""The ops of `/ws/v1/trade`: orders in, and the account's own channels.

An order's reply waits for the feed to come to its command, so that it goes out right before that command's events; the
engine's answer is all that it tells.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from engine import messages
from engine.kinds import Origin
from engine.messages import (
    Accepted,
    Amended,
    AmendOrder,
    CancelAll,
    Canceled,
    CancelOrder,
    Duplicate,
    KeepOrders,
    PlaceOrder,
    Rejected,
    Reply,
)
from engine.reasons import Reason
from engine.units import NS_PER_US
from exchange.gateway.auth import require
from exchange.gateway.errors import RETRY_AFTER_MS, Problem, outcome_unknown, overloaded
from exchange.gateway.orders_in import (
    Instruments,
    StoredSshKeys,
    amend_in,
    cancel_all_in,
    cancel_in,
    id_in,
    place_in,
)
from exchange.gateway.reading import decode_body
from exchange.gateway.refusals import instrument_named, refused, rejection
from exchange.gateway.results import Result
from exchange.gateway.schema import CancelFilter
from exchange.gateway.ws.channels import Channels, Key
from exchange.gateway.ws.connection import Asked, Connection
from exchange.gateway.ws.messages import (
    PRIVATE_CHANNELS,
    AllCanceled,
    Amend,
    Cancel,
    CancelAllAfter,
    CancelAllAfterSet,
    LoggedOut,
    Logout,
    Place,
    QuoteSet,
    SetQuotes,
    Subscription,
)
from exchange.gateway.ws.quotes_in import quotes_in
from exchange.gateway.ws.reports import status_report
from exchange.market_data.feed import Feed
from exchange.market_data.live import Update
from exchange.read.interface import InstrumentRow, OrderRow, ReadSide
from exchange.registry.rows import Principal, Scope
from exchange.sequencer.interface import OutcomeUnknown, Overloaded, Submit

MAX_IN_FLIGHT: Final = 256
"""Commands of one connection that wait for the engine's answer."""
READ_WAIT_S: Final = 5.0

CANCEL_AGAIN_S: Final = 0.2
CANCEL_AGAIN_MAX_S: Final = 5.0
"""From one try to the next of a lost connection's mass cancel, while the exchange is overloaded: doubled each time."""

OrderCommand = PlaceOrder | AmendOrder | CancelOrder
SetCommand = CancelAll | messages.CancelAllAfter | messages.SetQuotes
"""Commands about many orders at once."""

_EXPIRY: Final = "expire_us"
"""What this door calls an order's expiry."""
_NS_PER_MS: Final = 1_000_000

log = logging.getLogger(__name__)


class TradeOps:
    """The ops of one connection."""

    def __init__(
        self,
        principal: Principal,
        submit: Submit,
        read: ReadSide,
        feed: Feed,
        channels: Channels,
        instruments: Instruments,
        stored: StoredSshKeys,
        max_term_hours: int,
        number: int,
    ) -> None:
        """`number`: of the connection, where its orders are to go when it is lost; else 0."""
        self._principal = principal
        self._submit = submit
        self._read = read
        self._feed = feed
        self._channels = channels
        self._instruments = instruments
        self._stored = stored
        self._max_term_hours = max_term_hours
        self._number = number
        self._has_entered = False
        self._logged_out = False
        self._ops: dict[str, Callable[[Connection, Asked], Awaitable[None]]] = {
            "order.place": self._place,
            "order.amend": self._amend,
            "order.cancel": self._cancel,
            "orders.cancel_all": self._cancel_all,
            "cancel_all_after": self._cancel_all_after,
            "quotes.set": self._set_quotes,
            "session.logout": self._logout,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }

    async def __call__(self, connection: Connection, asked: Asked) -> None:
        op = self._ops.get(asked.op)
        if op is None:
            raise Problem("unknown_op", f"There is no op {asked.op[:64]!r} here", field="op")
        if self._logged_out:
            raise Problem("logged_out", "This connection has logged out")
        await op(connection, asked)

    async def _place(self, connection: Connection, asked: Asked) -> None:
        self._may_enter(connection)
        body = decode_body(bytes(asked.params), Place, self._max_term_hours)
        expire_ns = (body.expire_us or 0) * NS_PER_US
        account = self._principal.account
        command = await place_in(
            account, body, "", self._instruments, self._stored, expire_ns, self._number, expiry=_EXPIRY
        )
        self._enter(connection, asked, command)

    async def _amend(self, connection: Connection, asked: Asked) -> None:
        self._may_enter(connection)
        params = decode_body(bytes(asked.params), Amend)
        order_id, client_order_id = _named(params)
        expire_ns = (params.expire_us or 0) * NS_PER_US
        self._enter(connection, asked, amend_in(self._principal.account, order_id, params, expire_ns, client_order_id))

    async def _cancel(self, connection: Connection, asked: Asked) -> None:
        self._may_enter(connection)
        order_id, client_order_id = _named(decode_body(bytes(asked.params), Cancel))
        self._enter(connection, asked, cancel_in(self._principal.account, order_id, client_order_id))

    async def _cancel_all(self, connection: Connection, asked: Asked) -> None:
        self._may_enter(connection)
        wanted = decode_body(bytes(asked.params), CancelFilter)
        self._enter(connection, asked, await cancel_all_in(self._principal.account, wanted, self._instruments))

    async def _cancel_all_after(self, connection: Connection, asked: Asked) -> None:
        self._may_enter(connection)
        after_ns = decode_body(bytes(asked.params), CancelAllAfter).after_ms * _NS_PER_MS
        self._enter(connection, asked, messages.CancelAllAfter(account=self._principal.account, after_ns=after_ns))

    async def _set_quotes(self, connection: Connection, asked: Asked) -> None:
        self._may_enter(connection)
        wanted = decode_body(bytes(asked.params), SetQuotes, self._max_term_hours)
        account = self._principal.account
        self._enter(connection, asked, await quotes_in(account, wanted, self._instruments, self._stored, self._number))

    async def _logout(self, connection: Connection, asked: Asked) -> None:
        decode_body(bytes(asked.params), Logout)
        self._logged_out = True
        if self._number and self._has_entered:
            # Behind the commands that came before it, so that it finds all that they entered.
            connection.keep(asyncio.create_task(self._kept(connection, asked)))
        else:
            connection.reply(asked, LoggedOut())

    async def _kept(self, connection: Connection, asked: Asked) -> None:
        """Unbind the orders from the connection in the log: a start after a kill must know that it logged out."""
        try:
            await self._submit(KeepOrders(account=self._principal.account, connection=self._number))
        except Overloaded:
            self._logged_out = False
            connection.refuse(asked.id, asked.in_us, overloaded())
        except OutcomeUnknown:
            connection.refuse(asked.id, asked.in_us, outcome_unknown())
        else:
            # Nothing shows it, so there is no `seq` to wait for.
            connection.reply(asked, LoggedOut())

    async def disconnected(self) -> None:
        """The connection is over: cancel what came by it, if that was chosen and it didn't log out.

        Returns when the log has the cancel. It keeps its connection's place until then, so that those who wait are bounded;
        and where the server ends first, its next start cancels.
        """
        if not self._number or not self._has_entered or self._logged_out:
            return
        account = self._principal.account
        try:
            await self._until_taken(CancelAll(account=account, connection=self._number))
        except OutcomeUnknown:
            log.warning("orders of a lost connection of account %d wait for the next start: the log failed", account)
        except asyncio.CancelledError:
            log.warning("orders of a lost connection of account %d wait for the next start: overloaded", account)
            raise

    async def _until_taken(self, command: CancelAll) -> None:
        wait_s = CANCEL_AGAIN_S
        while True:
            try:
                await self._submit(command)
            except Overloaded:
                log.warning("a lost connection's cancel wasn't taken and comes again in %.1f s", wait_s)
            else:
                return
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, CANCEL_AGAIN_MAX_S)

    async def _subscribe(self, connection: Connection, asked: Asked) -> None:
        connection.subscribe(asked, *self._channel(asked))

    async def _unsubscribe(self, connection: Connection, asked: Asked) -> None:
        connection.unsubscribe(asked, *self._channel(asked))

    def _channel(self, asked: Asked) -> tuple[str, Key]:
        require(self._principal, Scope.READ)
        name = decode_body(bytes(asked.params), Subscription).ch
        for topic in PRIVATE_CHANNELS:
            if name == topic:
                return name, (topic, self._principal.account)
        raise Problem("unknown_channel", f"Here are the channels {', '.join(PRIVATE_CHANNELS)}", field="ch")

    def _may_enter(self, connection: Connection) -> None:
        require(self._principal, Scope.TRADE)
        if len(connection.under_way) >= MAX_IN_FLIGHT:
            raise Problem(
                "too_many_in_flight", f"{MAX_IN_FLIGHT} commands wait for replies", retry_after_ms=RETRY_AFTER_MS
            )

    def _enter(self, connection: Connection, asked: Asked, command: OrderCommand | SetCommand) -> None:
        self._has_entered = True
        # Tasks begin in the order in which they are made, so commands enter in the order of their requests.
        connection.keep(asyncio.create_task(self._entered(connection, asked, command)))

    async def _entered(self, connection: Connection, asked: Asked, command: OrderCommand | SetCommand) -> None:
        try:
            reply = await self._submit(command)
        except Overloaded:
            connection.refuse(asked.id, asked.in_us, overloaded())
        except OutcomeUnknown:
            connection.refuse(asked.id, asked.in_us, outcome_unknown())
        else:
            if not self._channels.expect(
                reply.seq, lambda update: self._answer(connection, asked, command, reply, update)
            ):
                await self._answer_late(connection, asked, command, reply)

    def _answer(
        self, connection: Connection, asked: Asked, command: OrderCommand | SetCommand, reply: Reply, update: Update
    ) -> None:
        """The reply, from the very changes whose events follow it."""
        if rejected := refused(reply):
            connection.refuse(asked.id, asked.in_us, self._rejection(rejected, command, reply.seq))
            return
        if isinstance(command, SetCommand):
            connection.reply(asked, self._told(reply), reply.seq)
            return
        order_id = _order_of(reply, command)
        changes = [change for change in update.changes.orders if change.row.order_id == order_id]
        if not changes:
            # Only a duplicate changes nothing: its order stands as it is, or is closed and no longer in memory.
            row = self._feed.live.order(order_id)
            if row is not None:
                simulated = self._feed.live.simulated(row)
                connection.reply(asked, status_report(row, self._symbol(row), simulated, duplicate=True), reply.seq)
                return
            connection.keep(asyncio.create_task(self._answer_late(connection, asked, command, reply)))
            return
        connection.reply(asked, self._channels.report(update, changes[-1]), reply.seq)

    async def _answer_late(
        self, connection: Connection, asked: Asked, command: OrderCommand | SetCommand, reply: Reply
    ) -> None:
        """The reply, from the read models: for what memory has let go of."""
        if rejected := refused(reply):
            connection.refuse(asked.id, asked.in_us, self._rejection(rejected, command, reply.seq))
            return
        if isinstance(command, SetCommand):
            connection.reply(asked, self._told(reply), reply.seq)
            return
        reached = await self._read.reached(reply.seq, READ_WAIT_S)
        row = await self._read.order(_order_of(reply, command)) if reached else None
        if row is None:
            # It was done, and only its telling is late.
            behind = Problem(
                "read_side_behind",
                f"Command {reply.seq} was done",
                outcome="unknown",
                retry_after_ms=RETRY_AFTER_MS,
                seq=reply.seq,
            )
            connection.refuse(asked.id, asked.in_us, behind)
            return
        duplicate = isinstance(reply.events[0], Duplicate)
        simulated = self._feed.live.simulated(row)
        connection.reply(asked, status_report(row, self._symbol(row), simulated, duplicate=duplicate), reply.seq)

    def _rejection(self, rejected: Rejected, command: OrderCommand | SetCommand, seq: int) -> Problem:
        closed = self._closed(rejected, command) if rejected.reason is Reason.SESSION_CLOSED else None
        return rejection(rejected, command, seq, self._max_term_hours, closed, _EXPIRY)

    def _closed(self, rejected: Rejected, command: OrderCommand | SetCommand) -> InstrumentRow | None:
        """The instrument whose session didn't take a command."""
        live = self._feed.live
        number = instrument_named(rejected, command)
        if isinstance(command, AmendOrder):
            own = live.orders_of(command.account)
            number = next((row.instrument for row in own if _is_named(row, command)), 0)
        return live.instrument(number) if number else None

    def _told(self, reply: Reply) -> AllCanceled | CancelAllAfterSet | QuoteSet:
        """What a command about many orders did, from its own events."""
        for event in reply.events:
            match event:
                case messages.AllCanceled():
                    return AllCanceled(orders=event.orders)
                case messages.CancelAllAfterSet():
                    return CancelAllAfterSet(due_us=event.due_ns // NS_PER_US if event.due_ns else None)
                case messages.QuotesSet():
                    result = Result(reply)
                    rows = [result.order(order_id) for order_id in event.order_ids]
                    reports = [status_report(row, self._symbol(row), self._feed.live.simulated(row)) for row in rows]
                    return QuoteSet(name=event.name, orders=reports)
        raise LookupError(f"command {reply.seq} was taken, and says nothing of what it did")

    def _symbol(self, row: OrderRow) -> str:
        return self._feed.live.instrument(row.instrument).symbol


def _is_named(row: OrderRow, command: AmendOrder) -> bool:
    if command.order_id:
        return row.order_id == command.order_id
    return row.client_order_id == command.client_order_id


def _named(params: Amend | Cancel) -> tuple[int, str]:
    """(order id, client's id) of which one is given."""
    if (params.order_id is None) == (params.client_order_id is None):
        raise Problem("invalid_field", "Give one of order_id and client_order_id", field="order_id")
    if params.order_id is None:
        return 0, params.client_order_id or ""
    return id_in("ord", params.order_id, Reason.UNKNOWN_ORDER, "order_id"), ""


def _order_of(reply: Reply, command: OrderCommand) -> int:
    """The order that a command which was taken is about."""
    for event in reply.events:
        if isinstance(event, Duplicate):
            return event.order_id
        if isinstance(command, PlaceOrder):
            if isinstance(event, Accepted) and event.origin is Origin.CLIENT:
                return event.order_id
        elif isinstance(event, Amended | Canceled) and event.reason is Reason.REQUESTED:
            return event.order_id
    raise LookupError(f"command {reply.seq} was taken, and says nothing of its order")
