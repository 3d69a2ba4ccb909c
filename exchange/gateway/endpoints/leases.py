"""Rentals and the leases that come of them."""

from __future__ import annotations

from starlette.responses import Response

from engine.ids import format_id
from engine.messages import Duplicate, EndLease, ExtendLease, RaisePrice, Reply, ReportOutage, SetAutoExtend
from engine.reasons import Reason
from exchange.gateway.auth import identify
from exchange.gateway.endpoint import Call
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.orders_in import price_in, rent_in, time_in
from exchange.gateway.results import Result
from exchange.gateway.schema import ExtensionBody, LeaseBody, LeasePage, Nothing, OutageBody, RentalBody, Since
from exchange.gateway.views import leases as views
from exchange.gateway.views.text import next_cursor, parse_cursor
from exchange.read.interface import LeaseRow
from exchange.registry.rows import Principal


async def rent(gateway: Gateway, call: Call[RentalBody, Nothing]) -> views.Rental:
    command = await rent_in(call.account, call.body, call.client_id, gateway.instruments, gateway.deps.registry)
    reply = await gateway.enter(command)
    duplicate = duplicate_of(reply)
    if duplicate is not None:
        await gateway.read_done(duplicate.first_seq)
        order = await gateway.deps.read.order(duplicate.order_id)
        rows = await gateway.deps.read.leases_of_order(duplicate.order_id)
    else:
        result = Result(reply)
        order = result.entered(call.account)
        rows = [] if order is None else result.leases_of(order.order_id)
    if order is None:
        raise LookupError(f"command {reply.seq} took a rental, and no order of it is to be found")
    symbol = (await gateway.instruments.of_number(order.instrument)).symbol
    return views.Rental(
        seq=reply.seq if duplicate is None else duplicate.first_seq,
        order_id=format_id("ord", order.order_id),
        instrument=symbol,
        leases=await lease_views(gateway, rows, call.account),
        duplicate=duplicate is not None,
    )


async def leases(gateway: Gateway, call: Call[Nothing, LeasePage]) -> views.Leases:
    await gateway.read_from(call.query.min_seq)
    as_provider = call.query.role == "provider"
    before = parse_cursor(call.query.cursor)
    seq = gateway.deps.read.position()
    rows = await gateway.deps.read.leases(call.account, as_provider, call.query.open, before, call.query.limit)
    cursor = next_cursor([row.lease_id for row in rows], call.query.limit)
    return views.Leases(seq=seq, leases=await lease_views(gateway, rows, call.account), next_cursor=cursor)


async def lease(gateway: Gateway, call: Call[Nothing, Since]) -> views.Lease:
    lease_id = call.id("lease_id")
    await gateway.read_from(call.query.min_seq)
    row = await own_lease(gateway, call.asker, lease_id)
    return await _lease_view(gateway, row, call.account)


async def end_lease(gateway: Gateway, call: Call[Nothing, Nothing]) -> views.Lease:
    lease_id = call.id("lease_id")
    await gateway.read_maker_of(lease_id)
    before = await gateway.deps.read.lease(lease_id)
    reply = await gateway.enter(EndLease(account=call.account, lease_id=lease_id))
    if before is None:
        await gateway.read_done(reply.seq)
        return await _lease_view(gateway, await own_lease(gateway, call.asker, lease_id), call.account)
    after = Result(reply, lease=before).lease(lease_id)
    return await _lease_view(gateway, after, call.account)


async def change_lease(gateway: Gateway, call: Call[LeaseBody, Nothing]) -> views.Lease:
    lease_id, body = call.id("lease_id"), call.body
    if body.price is not None and body.auto_extend is not None:
        raise Problem(
            "invalid_field", "A lease has a price to raise or a term to extend, not both", field="auto_extend"
        )
    if body.auto_extend is not None:
        automatic = SetAutoExtend(account=call.account, lease_id=lease_id, auto_extend=body.auto_extend)
        return await _changed(gateway, call.asker, lease_id, automatic)
    if body.price is None:
        raise Problem("missing_field", "Say what changes of the lease: price or auto_extend", field="price")
    price_ticks = price_in(body.price, "price")
    raised = RaisePrice(account=call.account, lease_id=lease_id, price_ticks=price_ticks)
    return await _changed(gateway, call.asker, lease_id, raised)


async def extend_lease(gateway: Gateway, call: Call[ExtensionBody, Nothing]) -> views.Lease:
    # A repeat can't buy twice: after the first the term's end is an hour away, and too early to extend.
    lease_id = call.id("lease_id")
    command = ExtendLease(account=call.account, lease_id=lease_id, hours=call.body.hours)
    return await _changed(gateway, call.asker, lease_id, command)


async def _changed(
    gateway: Gateway, asker: Principal, lease_id: int, command: RaisePrice | ExtendLease | SetAutoExtend
) -> views.Lease:
    """Enter a command that changes a lease, and show that."""
    reply = await gateway.enter(command)
    # What the command's events leave unsaid (its state, its earlier prices) only the read models know.
    await gateway.read_done(reply.seq)
    return await _lease_view(gateway, await own_lease(gateway, asker, lease_id), asker.account)


async def report_outage(gateway: Gateway, call: Call[OutageBody, Nothing]) -> views.Outage:
    command = ReportOutage(
        lease_id=call.id("lease_id"),
        from_ns=time_in(call.body.began, "began"),
        to_ns=time_in(call.body.ended, "ended"),
    )
    return views.outage(await gateway.enter(command))


async def events(gateway: Gateway, call: Call[Nothing, Nothing]) -> Response:
    lease_id = call.id("lease_id")
    await own_lease(gateway, call.asker, lease_id)

    async def recheck() -> None:
        await identify(gateway.deps.registry, call.request.headers["authorization"])

    return await gateway.deps.lease_events(call.asker, lease_id, recheck)


async def own_lease(gateway: Gateway, principal: Principal, lease_id: int) -> LeaseRow:
    """A lease that this account rents or delivers; Problem unknown_lease for any other."""
    await gateway.read_maker_of(lease_id)
    row = await gateway.deps.read.lease(lease_id)
    if row is None or principal.account not in (row.renter, row.provider):
        raise Problem(Reason.UNKNOWN_LEASE, "The account has no such lease")
    return row


async def lease_views(gateway: Gateway, rows: list[LeaseRow], account: int) -> list[views.Lease]:
    return [await _lease_view(gateway, row, account) for row in rows]


def duplicate_of(reply: Reply) -> Duplicate | None:
    """The Duplicate that a reply is, when its client id came before with the same content."""
    first = reply.events[0]
    return first if isinstance(first, Duplicate) else None


async def _lease_view(gateway: Gateway, row: LeaseRow, account: int) -> views.Lease:
    instrument = await gateway.instruments.of_number(row.instrument)
    return views.lease(row, instrument, account, gateway.deps.clock_ns())
