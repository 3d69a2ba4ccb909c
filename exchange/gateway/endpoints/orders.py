"""Order entry for those who don't stream."""

from __future__ import annotations

from typing import Final

from engine.ids import INDEX_MAX
from engine.kinds import Kind, Origin
from engine.messages import AllCanceled, Amended, Canceled, Command, ReleaseLease, Reply, Traded
from engine.reasons import Reason
from exchange.gateway.endpoint import Call
from exchange.gateway.endpoints.leases import duplicate_of, lease_views, own_lease
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.orders_in import amend_in, cancel_all_in, cancel_in, place_in, price_in, time_in
from exchange.gateway.results import Result
from exchange.gateway.schema import AmendBody, CancelFilter, Nothing, OpenPage, OrderBody, ReleaseBody, Since
from exchange.gateway.views import orders as views
from exchange.gateway.views.text import next_cursor, parse_cursor
from exchange.read.interface import OrderRow

_RELEASED_AS: Final = {"spot": Kind.SPOT, "ondemand": Kind.ONDEMAND, "forwards": Kind.FORWARD}
_IDS_OF_A_COMMAND: Final = INDEX_MAX
"""Ids of one command differ in these bits alone."""
_IDS_OF_A_RELEASE: Final = 64
"""More than there are listed forwards of a market."""
TERMS_WAIT_S: Final = 1.0
"""How long the answer of a cancel waits for the read side, to tell the order's terms with it."""


async def place(gateway: Gateway, call: Call[OrderBody, Nothing]) -> views.Placed:
    expire_ns = time_in(call.body.expire, "expire")
    command = await place_in(
        call.account, call.body, call.client_id, gateway.instruments, gateway.deps.registry, expire_ns
    )
    reply = await gateway.enter(command)
    duplicate = duplicate_of(reply)
    fills: list[views.Fill] = []
    if duplicate is not None:
        await gateway.read_done(duplicate.first_seq)
        row = await gateway.deps.read.order(duplicate.order_id)
        leases = await gateway.deps.read.leases_of_order(duplicate.order_id)
    else:
        result = Result(reply)
        row = result.entered(call.account)
        leases = [] if row is None else result.leases_of(row.order_id)
        fills = [] if row is None else _fills(result, row.order_id)
    if row is None:
        raise LookupError(f"command {reply.seq} took an order that is not to be found")
    own = [lease for lease in leases if lease.renter == call.account]
    (shown,) = await _views(gateway, [row], reply.seq)
    return views.Placed(
        seq=reply.seq if duplicate is None else duplicate.first_seq,
        order=shown,
        fills=fills,
        leases=await lease_views(gateway, own, call.account),
        duplicate=duplicate is not None,
    )


async def release(gateway: Gateway, call: Call[ReleaseBody, Nothing]) -> views.Released:
    lease_id = call.id("lease_id")
    command = ReleaseLease(
        account=call.account,
        lease_id=lease_id,
        kind=_RELEASED_AS[call.body.as_],
        quantity=call.body.quantity,
        price_ticks=price_in(call.body.price, "price"),
        client_order_id=call.client_id,
    )
    reply = await gateway.enter(command)
    duplicate = duplicate_of(reply)
    # Its fills may have taken GPUs from the lease, which is shown with them.
    await gateway.read_done(reply.seq)
    if duplicate is None:
        seq, rows = reply.seq, Result(reply).entered_all(Origin.RELEASE)
    else:
        seq, rows = duplicate.first_seq, await _entered_with(gateway, call.account, duplicate.order_id)
    (lease,) = await lease_views(gateway, [await own_lease(gateway, call.asker, lease_id)], call.account)
    orders = await _views(gateway, rows, reply.seq)
    return views.Released(seq=seq, lease=lease, orders=orders, duplicate=duplicate is not None)


async def _entered_with(gateway: Gateway, account: int, order_id: int) -> list[OrderRow]:
    """The account's orders of the command that made this one, in order of entry: their ids follow one another."""
    last_id = order_id | _IDS_OF_A_COMMAND
    rows = await gateway.deps.read.orders(account, False, last_id + 1, _IDS_OF_A_RELEASE)
    return [row for row in reversed(rows) if row.order_id >= order_id]


async def orders(gateway: Gateway, call: Call[Nothing, OpenPage]) -> views.Orders:
    await gateway.read_from(call.query.min_seq)
    seq = gateway.deps.read.position()
    rows = await gateway.deps.read.orders(
        call.account, call.query.open, parse_cursor(call.query.cursor), call.query.limit
    )
    cursor = next_cursor([row.order_id for row in rows], call.query.limit)
    return views.Orders(seq=seq, orders=await _views(gateway, rows), next_cursor=cursor)


async def order(gateway: Gateway, call: Call[Nothing, Since]) -> views.Order:
    order_id = call.id("order_id")
    await gateway.read_from(call.query.min_seq)
    await gateway.read_maker_of(order_id)
    return await _own_view(gateway, call.account, await gateway.deps.read.order(order_id))


async def order_by_client_id(gateway: Gateway, call: Call[Nothing, Since]) -> views.Order:
    await gateway.read_from(call.query.min_seq)
    row = await gateway.deps.read.order_by_client_id(call.account, call.text("client_order_id"))
    return await _own_view(gateway, call.account, row)


async def amend(gateway: Gateway, call: Call[AmendBody, Nothing]) -> views.Changed:
    order_id = call.id("order_id")
    expire_ns = time_in(call.body.expire, "expire")
    return await _change(gateway, call.account, order_id, amend_in(call.account, order_id, call.body, expire_ns))


async def cancel(gateway: Gateway, call: Call[Nothing, Nothing]) -> views.Changed:
    order_id = call.id("order_id")
    return await _change(gateway, call.account, order_id, cancel_in(call.account, order_id))


async def cancel_all(gateway: Gateway, call: Call[Nothing, CancelFilter]) -> views.AllCanceled:
    reply = await gateway.enter(await cancel_all_in(call.account, call.query, gateway.instruments))
    return views.AllCanceled(seq=reply.seq, orders=_count(reply))


def _count(reply: Reply) -> int:
    return next(event.orders for event in reply.events if isinstance(event, AllCanceled))


async def _change(gateway: Gateway, account: int, order_id: int, command: Command) -> views.Changed:
    """Enter an amend or cancel, and tell what its own events say; what a cancel's don't say, from the read side."""
    reply = await gateway.enter(command)
    result = Result(reply)
    told = (event for event in reply.events if isinstance(event, Amended | Canceled))
    instrument = next(event.instrument for event in told if event.order_id == order_id)
    row = result.order(order_id)
    leases = [lease for lease in result.leases_of(order_id) if lease.renter == account]
    return views.changed(
        reply.seq,
        row,
        None if row.quantity else await _canceled_terms(gateway, order_id, reply.seq),
        (await gateway.instruments.of_number(instrument)).symbol,
        _fills(result, order_id),
        await lease_views(gateway, leases, account),
    )


async def _canceled_terms(gateway: Gateway, order_id: int, seq: int) -> OrderRow | None:
    """The order as its cancel left it; None when the read side isn't there soon: a cancel's answer waits for nothing long."""
    if not await gateway.deps.read.reached(seq, TERMS_WAIT_S):
        return None
    return await gateway.deps.read.order(order_id)


def _fills(result: Result, order_id: int) -> list[views.Fill]:
    trades = result.trades_of(order_id)
    return [views.fill(trade, order_id, _is_simulated(result, trade)) for trade in trades]


def _is_simulated(result: Result, trade: Traded) -> bool:
    """A forward has no lease yet; each of its fills says what its Baron has."""
    sold_by = result.lease(trade.lease_id) if trade.lease_id else result.baron(trade.baron)
    return sold_by.simulated


async def _views(gateway: Gateway, rows: list[OrderRow], done_seq: int = 0) -> list[views.Order]:
    """`done_seq`: the command that has just left them so, for one that the read models may not have yet."""
    simulated = await gateway.simulated((row.baron for row in rows), done_seq)
    symbols = [(await gateway.instruments.of_number(row.instrument)).symbol for row in rows]
    return [views.order(row, symbol, row.baron in simulated) for row, symbol in zip(rows, symbols, strict=True)]


async def _own_view(gateway: Gateway, account: int, row: OrderRow | None) -> views.Order:
    if row is None or row.account != account:
        raise Problem(Reason.UNKNOWN_ORDER, "The account has no such order")
    (shown,) = await _views(gateway, [row])
    return shown
