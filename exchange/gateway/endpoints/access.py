"""Accounts, keys and SSH keys."""

from __future__ import annotations

from engine.ids import format_id
from engine.units import NS_PER_S
from exchange.gateway.endpoint import Call
from exchange.gateway.errors import Problem
from exchange.gateway.gateway import Gateway
from exchange.gateway.schema import AccountBody, KeyBody, Nothing, SshKeyBody
from exchange.gateway.ssh_keys import delivery_blob, normalize
from exchange.gateway.views import access as views
from exchange.registry.registry import open_account


async def who_am_i(gateway: Gateway, call: Call[Nothing, Nothing]) -> views.Account:
    row = await gateway.deps.registry.account(call.account)
    if row is None:
        raise LookupError("the account of a valid key is not in the registry")
    return views.account(row, call.asker)


async def create_account(gateway: Gateway, call: Call[AccountBody, Nothing]) -> views.NewAccount:
    deps = gateway.deps
    fees_ppm = (deps.maker_fee_ppm, deps.taker_fee_ppm)
    row, key = await deps.registry.create_account(call.body.name, call.body.scopes, fees_ppm, call.slot)
    try:
        reply = await gateway.enter(open_account(row))
    except Problem as problem:
        if problem.body.outcome == "rejected":
            await deps.registry.discard_account(row.account, call.slot)
        raise
    await deps.registry.confirm_account(row.account)
    return views.NewAccount(seq=reply.seq, id=format_id("acc", row.account), name=row.name, key=views.new_key(key))


async def create_key(gateway: Gateway, call: Call[KeyBody, Nothing]) -> views.NewKey:
    expires_ns = 0 if call.body.expires_in_s is None else gateway.deps.clock_ns() + call.body.expires_in_s * NS_PER_S
    made = await gateway.deps.registry.create_key(call.asker, call.body.scopes, call.body.label, expires_ns, call.slot)
    return views.new_key(made)


async def keys(gateway: Gateway, call: Call[Nothing, Nothing]) -> views.KeyList:
    return views.KeyList(keys=[views.key(row) for row in await gateway.deps.registry.keys(call.account)])


async def revoke_key(gateway: Gateway, call: Call[Nothing, Nothing]) -> views.Gone:
    key_id = call.id("key_id")
    await gateway.deps.registry.revoke_key(call.asker, key_id)
    gateway.deps.on_key_revoked(key_id)
    return views.Gone(id=format_id("key", key_id))


async def create_ssh_key(gateway: Gateway, call: Call[SshKeyBody, Nothing]) -> views.SshKey:
    registry = gateway.deps.registry
    line = normalize(call.body.public_key, "public_key")
    # A lease is let with all of them, so one that wouldn't fit its delivery is refused here, not at each rental.
    delivery_blob([*await registry.ssh_public_keys(call.account), line], "public_key")
    return views.ssh_key(await registry.add_ssh_key(call.account, call.body.name, line))


async def ssh_keys(gateway: Gateway, call: Call[Nothing, Nothing]) -> views.SshKeyList:
    rows = await gateway.deps.registry.ssh_keys(call.account)
    return views.SshKeyList(ssh_keys=[views.ssh_key(row) for row in rows])


async def delete_ssh_key(gateway: Gateway, call: Call[Nothing, Nothing]) -> views.Gone:
    ssh_key_id = call.id("ssh_key_id")
    await gateway.deps.registry.delete_ssh_key(call.account, ssh_key_id)
    return views.Gone(id=format_id("ssh", ssh_key_id))
