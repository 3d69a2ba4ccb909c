"""Balances, transfers, statements; and money in and out, entered by the exchange's administration."""

from __future__ import annotations

import secrets
from typing import Final

from engine.ids import format_id
from engine.messages import Deposit, Withdraw
from engine.reasons import Reason
from engine.units import format_money
from exchange.gateway.endpoint import Call
from exchange.gateway.endpoints.leases import duplicate_of
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.orders_in import amount_in, id_in
from exchange.gateway.schema import MoneyBody, Nothing, Page, Since
from exchange.gateway.views import money as views
from exchange.gateway.views.text import next_cursor, parse_cursor

_CLIENT_ID_BYTES: Final = 16


async def balances(gateway: Gateway, call: Call[Nothing, Since]) -> views.Balances:
    await gateway.ledger_from(call.query.min_seq)
    seq = gateway.deps.ledger.position()
    return views.balances(seq, await gateway.deps.ledger.balances(call.account))


async def transfers(gateway: Gateway, call: Call[Nothing, Page]) -> views.Transfers:
    await gateway.ledger_from(call.query.min_seq)
    seq = gateway.deps.ledger.position()
    rows = await gateway.deps.ledger.transfers(call.account, parse_cursor(call.query.cursor), call.query.limit)
    shown = [views.transfer(row, call.account) for row in rows]
    cursor = next_cursor([row.position for row in rows], call.query.limit)
    return views.Transfers(seq=seq, transfers=shown, next_cursor=cursor)


async def statement(gateway: Gateway, call: Call[Nothing, Since]) -> views.Statement:
    await gateway.ledger_from(call.query.min_seq)
    try:
        found = await gateway.deps.ledger.statement(call.account, call.text("month"))
    except ValueError as error:
        raise Problem("invalid_parameter", "A month is of the form 2026-12", field="month") from error
    return views.statement(found)


async def deposit(gateway: Gateway, call: Call[MoneyBody, Nothing]) -> views.Moved:
    account, amount, client_id = _terms(call, call.body)
    return await _moved(gateway, Deposit(account=account, amount_micros=amount, client_id=client_id))


async def withdraw(gateway: Gateway, call: Call[MoneyBody, Nothing]) -> views.Moved:
    account, amount, client_id = _terms(call, call.body)
    return await _moved(gateway, Withdraw(account=account, amount_micros=amount, client_id=client_id))


def _terms(call: Call[MoneyBody, Nothing], body: MoneyBody) -> tuple[int, int, str]:
    """Account, amount and client id; without an Idempotency-Key a fresh one, so that each request counts."""
    account = id_in("acc", body.account, Reason.UNKNOWN_ACCOUNT, "account")
    return account, amount_in(body.amount, "amount"), call.client_id or secrets.token_hex(_CLIENT_ID_BYTES)


async def _moved(gateway: Gateway, command: Deposit | Withdraw) -> views.Moved:
    reply = await gateway.enter(command)
    duplicate = duplicate_of(reply)
    return views.Moved(
        seq=reply.seq if duplicate is None else duplicate.first_seq,
        account=format_id("acc", command.account),
        amount=format_money(command.amount_micros),
        duplicate=duplicate is not None,
    )
