"""The routes about the account itself, part of the table in `routes`: money, limits, keys."""

from __future__ import annotations

from typing import Any, Final

from exchange.gateway import schema
from exchange.gateway.auth import Access
from exchange.gateway.endpoint import Endpoint
from exchange.gateway.endpoints import access, limits, money
from exchange.gateway.schema import Nothing
from exchange.gateway.views import access as access_views
from exchange.gateway.views import limits as limit_views
from exchange.gateway.views import money as money_views
from exchange.registry.rows import Scope

_GET, _POST, _PUT, _DELETE = "GET", "POST", "PUT", "DELETE"
_CREATED: Final = 201

_MONEY: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method=_GET,
        path="/balances",
        access=Scope.READ,
        summary="Your balances, from the ledger",
        run=money.balances,
        body=Nothing,
        query=schema.Since,
        answer=money_views.Balances,
    ),
    Endpoint(
        method=_GET,
        path="/transfers",
        access=Scope.READ,
        summary="Each movement of your money, newest first",
        run=money.transfers,
        body=Nothing,
        query=schema.Page,
        answer=money_views.Transfers,
    ),
    Endpoint(
        method=_GET,
        path="/statements/{month}",
        access=Scope.READ,
        summary="A month's statement (2026-12)",
        run=money.statement,
        body=Nothing,
        query=schema.Since,
        answer=money_views.Statement,
    ),
    Endpoint(
        method=_POST,
        path="/deposits",
        access=Scope.ADMIN,
        summary="Enter money that came in for an account",
        run=money.deposit,
        body=schema.MoneyBody,
        query=Nothing,
        answer=money_views.Moved,
        status=_CREATED,
    ),
    Endpoint(
        method=_POST,
        path="/withdrawals",
        access=Scope.ADMIN,
        summary="Enter money that went out of an account",
        run=money.withdraw,
        body=schema.MoneyBody,
        query=Nothing,
        answer=money_views.Moved,
        status=_CREATED,
    ),
)
_LIMITS: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method=_GET,
        path="/limits",
        access=Scope.READ,
        summary="What your account may have open",
        run=limits.own_limits,
        body=Nothing,
        query=schema.Since,
        answer=limit_views.Limits,
    ),
    Endpoint(
        method=_GET,
        path="/accounts/{account_id}/limits",
        access=Scope.ADMIN,
        summary="What an account may have open",
        run=limits.limits,
        body=Nothing,
        query=schema.Since,
        answer=limit_views.Limits,
    ),
    Endpoint(
        method=_PUT,
        path="/accounts/{account_id}/limits",
        access=Scope.ADMIN,
        summary="Limit what an account may have open, all limits at once",
        run=limits.set_limits,
        body=schema.LimitsBody,
        query=Nothing,
        answer=limit_views.Limits,
    ),
    Endpoint(
        method=_PUT,
        path="/accounts/{account_id}/kill-switch",
        access=Scope.ADMIN,
        summary="Stop an account: cancel all its orders and refuse new ones; or let it trade again",
        run=limits.set_kill_switch,
        body=schema.KillSwitchBody,
        query=Nothing,
        answer=limit_views.KillSwitch,
    ),
)
_ACCESS: Final[tuple[Endpoint[Any, Any, Any], ...]] = (
    Endpoint(
        method=_GET,
        path="/account",
        access=Access.ANY_KEY,
        summary="Who you are",
        run=access.who_am_i,
        body=Nothing,
        query=Nothing,
        answer=access_views.Account,
    ),
    Endpoint(
        method=_POST,
        path="/accounts",
        access=Scope.ADMIN,
        summary="Open an account, with its first key",
        run=access.create_account,
        body=schema.AccountBody,
        query=Nothing,
        answer=access_views.NewAccount,
        status=_CREATED,
        makes_secret=True,
    ),
    Endpoint(
        method=_POST,
        path="/keys",
        access=Access.ANY_KEY,
        summary="Make a further key for your account",
        run=access.create_key,
        body=schema.KeyBody,
        query=Nothing,
        answer=access_views.NewKey,
        status=_CREATED,
        makes_secret=True,
    ),
    Endpoint(
        method=_GET,
        path="/keys",
        access=Access.ANY_KEY,
        summary="Your valid keys",
        run=access.keys,
        body=Nothing,
        query=Nothing,
        answer=access_views.KeyList,
    ),
    Endpoint(
        method=_DELETE,
        path="/keys/{key_id}",
        access=Access.ANY_KEY,
        summary="Revoke a key and end its connections",
        run=access.revoke_key,
        body=Nothing,
        query=Nothing,
        answer=access_views.Gone,
    ),
    Endpoint(
        method=_POST,
        path="/ssh-keys",
        access=Scope.RENT,
        summary="Store an SSH public key for your leases",
        run=access.create_ssh_key,
        body=schema.SshKeyBody,
        query=Nothing,
        answer=access_views.SshKey,
        status=_CREATED,
    ),
    Endpoint(
        method=_GET,
        path="/ssh-keys",
        access=Scope.RENT,
        summary="Your SSH public keys",
        run=access.ssh_keys,
        body=Nothing,
        query=Nothing,
        answer=access_views.SshKeyList,
    ),
    Endpoint(
        method=_DELETE,
        path="/ssh-keys/{ssh_key_id}",
        access=Scope.RENT,
        summary="Forget an SSH public key; leases keep it",
        run=access.delete_ssh_key,
        body=Nothing,
        query=Nothing,
        answer=access_views.Gone,
    ),
)

ACCOUNT_ENDPOINTS: Final = (*_MONEY, *_LIMITS, *_ACCESS)
