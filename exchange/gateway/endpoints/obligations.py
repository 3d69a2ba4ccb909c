"""Forwards' obligations: who owes whom which hours, what is owed hour by hour, and where to deliver."""

from __future__ import annotations

from engine.messages import SetDelivery
from engine.reasons import Reason
from exchange.gateway.endpoint import Call
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.orders_in import delivery_of
from exchange.gateway.schema import DeliveryBody, Nothing, ObligationPage, Since
from exchange.gateway.views import obligations as views
from exchange.gateway.views.text import next_cursor, parse_cursor
from exchange.read.interface import ObligationRow


async def obligations(gateway: Gateway, call: Call[Nothing, ObligationPage]) -> views.Obligations:
    await gateway.read_from(call.query.min_seq)
    as_provider = call.query.role == "provider"
    before = parse_cursor(call.query.cursor)
    seq = gateway.deps.read.position()
    rows = await gateway.deps.read.obligations(call.account, as_provider, call.query.open, before, call.query.limit)
    cursor = next_cursor([row.obligation_id for row in rows], call.query.limit)
    shown = [await _view(gateway, row, call.account) for row in rows]
    return views.Obligations(seq=seq, obligations=shown, next_cursor=cursor)


async def obligation(gateway: Gateway, call: Call[Nothing, Since]) -> views.Obligation:
    await gateway.read_from(call.query.min_seq)
    return await _own(gateway, call.id("obligation_id"), call.account)


async def set_delivery(gateway: Gateway, call: Call[DeliveryBody, Nothing]) -> views.Obligation:
    number = call.id("obligation_id")
    delivery = await delivery_of(call.account, call.body.ssh_keys, gateway.deps.registry)
    reply = await gateway.enter(SetDelivery(account=call.account, obligation_id=number, delivery=delivery))
    await gateway.read_done(reply.seq)
    return await _own(gateway, number, call.account)


async def positions(gateway: Gateway, call: Call[Nothing, Since]) -> views.Positions:
    await gateway.read_from(call.query.min_seq)
    seq = gateway.deps.read.position()
    rows = await gateway.deps.read.owed(call.account)
    barons = {}
    for number in sorted({row.baron for row in rows}):
        baron = await gateway.deps.read.baron(number)
        if baron is None:
            raise LookupError(f"obligations name the Baron {number}, which nobody registered")
        barons[number] = baron
    return views.positions(seq, rows, barons)


async def _own(gateway: Gateway, number: int, account: int) -> views.Obligation:
    row = await gateway.deps.read.obligation(number)
    if row is None or account not in (row.holder, row.provider):
        raise Problem(Reason.UNKNOWN_OBLIGATION, "The account has no such obligation")
    return await _view(gateway, row, account)


async def _view(gateway: Gateway, row: ObligationRow, account: int) -> views.Obligation:
    return views.obligation(row, await gateway.instruments.of_number(row.instrument), account)
