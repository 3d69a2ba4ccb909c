"""Accounts' limits and kill switches: an operator sets them, the account itself may look."""

from __future__ import annotations

from engine.messages import SetAccountLimits
from engine.reasons import Reason
from exchange.gateway.endpoint import Call
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.orders_in import amount_in
from exchange.gateway.schema import KillSwitchBody, LimitsBody, Nothing, Since
from exchange.gateway.views import limits as views


async def own_limits(gateway: Gateway, call: Call[Nothing, Since]) -> views.Limits:
    return await _limits(gateway, call.account, call.query.min_seq)


async def limits(gateway: Gateway, call: Call[Nothing, Since]) -> views.Limits:
    account = call.id("account_id")
    if await gateway.deps.registry.account(account) is None:
        raise Problem(Reason.UNKNOWN_ACCOUNT, "There is no such account")
    return await _limits(gateway, account, call.query.min_seq)


async def set_limits(gateway: Gateway, call: Call[LimitsBody, Nothing]) -> views.Limits:
    account, body = call.id("account_id"), call.body
    command = SetAccountLimits(
        account=account,
        max_open_orders=body.max_open_orders or 0,
        max_notional_micros=_notional_in(body.max_notional),
        max_gpus=body.max_gpus or 0,
    )
    return views.limits_set(await gateway.enter(command), account)


async def set_kill_switch(gateway: Gateway, call: Call[KillSwitchBody, Nothing]) -> views.KillSwitch:
    account = call.id("account_id")
    reply = await gateway.enter(SetAccountLimits(account=account, killed=call.body.killed))
    return views.kill_switch(reply, account)


async def _limits(gateway: Gateway, account: int, min_seq: int) -> views.Limits:
    await gateway.read_from(min_seq)
    seq = gateway.deps.read.position()
    return views.limits(seq, account, await gateway.deps.read.account_limits(account))


def _notional_in(text: str | None) -> int:
    """Micro-dollars, 0 for no limit; that "0" asks for one of nothing is refused rather than taken for none."""
    if text is None:
        return 0
    amount_micros = amount_in(text, "max_notional")
    if amount_micros == 0:
        raise Problem(
            Reason.INVALID_LIMITS, "A limit is above zero; the kill switch allows nothing", field="max_notional"
        )
    return amount_micros
