"""Accounts and their keys. Functions of a connection inside a transaction; they block, and know no event loop.

An account is written before the engine hears of it, not open; it opens when the engine has confirmed it, and is removed
when the engine refused it. Its keys are valid only while it is open.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from engine.ids import format_id
from exchange.registry import idempotency
from exchange.registry.rows import AccountRow, KeyRow, NewKey, Principal, RegistryError, Scope, Slot
from exchange.registry.tables import ACCOUNTS, KEYS
from exchange.registry.tokens import KEY_PREFIX, new_token, token_hash

MAX_KEYS: Final = 100
"""Valid keys of an account."""
ADMIN_NAME: Final = "exchange administration"


def authenticate(connection: Connection, token: str, now_ns: int) -> Principal | None:
    """Who holds this token; None when it is unknown, revoked or expired, or its account isn't open."""
    digest = token_hash(KEY_PREFIX, token)
    if digest is None:
        return None
    query = (
        select(KEYS.c.key_id, KEYS.c.account, KEYS.c.scopes, KEYS.c.expires_ns)
        .join(ACCOUNTS)
        .where(KEYS.c.token_hash == digest, _valid(now_ns), ACCOUNTS.c.is_open)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Principal(account=row.account, key_id=row.key_id, scopes=_scopes(row.scopes), expires_ns=row.expires_ns)


def create_account(
    connection: Connection,
    name: str,
    scopes: Iterable[Scope],
    fees_ppm: tuple[int, int],
    slot: Slot | None,
    now_ns: int,
) -> tuple[AccountRow, NewKey]:
    """A new account, not open yet, with its first key; fees are (maker, taker). Its slot remembers that it was made."""
    maker_fee_ppm, taker_fee_ppm = fees_ppm
    values = {"name": name, "maker_fee_ppm": maker_fee_ppm, "taker_fee_ppm": taker_fee_ppm}
    made = connection.execute(insert(ACCOUNTS).values(**values, is_open=False, created_ns=now_ns))
    account = _number(made.inserted_primary_key)
    if slot is not None:
        idempotency.remember_secret(connection, slot, format_id("acc", account), now_ns)
    key = _insert_key(connection, account, frozenset(scopes), "first key", 0, now_ns)
    return AccountRow(account=account, **values, open=False, created_ns=now_ns), key  # type: ignore[arg-type]


def create_admin(
    connection: Connection, scopes: Iterable[Scope], fees_ppm: tuple[int, int], now_ns: int
) -> tuple[AccountRow, NewKey]:
    """The first account, with a key of all scopes; RegistryError admin_exists when there is an administrator."""
    query = select(KEYS.c.scopes).where(_valid(now_ns), KEYS.c.scopes.contains(Scope.ADMIN.value))
    if connection.execute(query.limit(1)).first() is not None:
        raise RegistryError("admin_exists", "There is an administrator's key already")
    return create_account(connection, ADMIN_NAME, scopes, fees_ppm, None, now_ns)


def confirm_account(connection: Connection, account: int) -> None:
    """The engine has it."""
    connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.account == account).values(is_open=True))


def discard_account(connection: Connection, account: int, slot: Slot | None) -> None:
    """The engine didn't take it: forget that it was asked for. Its number is not used again."""
    pending = select(ACCOUNTS.c.account).where(ACCOUNTS.c.account == account, ~ACCOUNTS.c.is_open)
    if connection.execute(pending).first() is None:
        return
    connection.execute(delete(KEYS).where(KEYS.c.account == account))
    connection.execute(delete(ACCOUNTS).where(ACCOUNTS.c.account == account))
    if slot is not None:
        idempotency.forget(connection, slot)


def account(connection: Connection, number: int) -> AccountRow | None:
    row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.account == number)).one_or_none()
    return None if row is None else _account(row)


def pending_accounts(connection: Connection) -> list[AccountRow]:
    """Those that the engine hasn't confirmed, oldest first."""
    query = select(ACCOUNTS).where(~ACCOUNTS.c.is_open).order_by(ACCOUNTS.c.account)
    return [_account(row) for row in connection.execute(query)]


def create_key(
    connection: Connection,
    principal: Principal,
    scopes: frozenset[Scope],
    label: str,
    expires_ns: int,
    slot: Slot | None,
    now_ns: int,
) -> NewKey:
    """A key of the asker's account; it holds no scope that the asker's key lacks, and lives no longer (0: its end)."""
    if not scopes <= principal.scopes:
        raise RegistryError("scope_not_held", "The key that asks doesn't hold all of these scopes")
    if principal.expires_ns and expires_ns > principal.expires_ns:
        raise RegistryError("scope_not_held", "The key that asks expires before that")
    count = select(func.count()).where(KEYS.c.account == principal.account, _valid(now_ns))
    if connection.execute(count).scalar_one() >= MAX_KEYS:
        raise RegistryError("too_many_keys", f"The account has {MAX_KEYS} keys")
    key = _insert_key(connection, principal.account, scopes, label, expires_ns or principal.expires_ns, now_ns)
    if slot is not None:
        idempotency.remember_secret(connection, slot, format_id("key", key.key.key_id), now_ns)
    return key


def keys(connection: Connection, number: int, now_ns: int) -> list[KeyRow]:
    """The account's valid keys, oldest first."""
    query = select(KEYS).where(KEYS.c.account == number, _valid(now_ns)).order_by(KEYS.c.key_id)
    return [_key(row) for row in connection.execute(query)]


def revoke_key(connection: Connection, principal: Principal, key_id: int, now_ns: int) -> KeyRow:
    """Revoke a key of the asker's account that holds no scope the asker's lacks; RegistryError unknown_key."""
    query = select(KEYS).where(KEYS.c.key_id == key_id, KEYS.c.account == principal.account, _valid(now_ns))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise RegistryError("unknown_key", "The account has no such key")
    if not _scopes(row.scopes) <= principal.scopes:
        raise RegistryError("scope_not_held", "The key to revoke holds scopes that the one that asks doesn't")
    connection.execute(update(KEYS).where(KEYS.c.key_id == key_id).values(revoked_ns=now_ns))
    return _key(row)


def _insert_key(
    connection: Connection, number: int, scopes: frozenset[Scope], label: str, expires_ns: int, now_ns: int
) -> NewKey:
    token = new_token(KEY_PREFIX)
    made = connection.execute(
        insert(KEYS).values(
            account=number,
            token_hash=token_hash(KEY_PREFIX, token),
            label=label,
            scopes=",".join(sorted(scopes)),
            created_ns=now_ns,
            expires_ns=expires_ns,
            revoked_ns=0,
        )
    )
    key_id = _number(made.inserted_primary_key)
    return NewKey(key=_key(connection.execute(select(KEYS).where(KEYS.c.key_id == key_id)).one()), token=token)


def _valid(now_ns: int) -> Any:
    return and_(KEYS.c.revoked_ns == 0, or_(KEYS.c.expires_ns == 0, KEYS.c.expires_ns > now_ns))


def _number(key: Row[Any] | None) -> int:
    if key is None:
        raise AssertionError("SQLite numbers each row that is inserted")
    return int(key[0])


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(name) for name in text.split(","))


def _account(row: Row[Any]) -> AccountRow:
    return AccountRow(
        account=row.account,
        name=row.name,
        maker_fee_ppm=row.maker_fee_ppm,
        taker_fee_ppm=row.taker_fee_ppm,
        open=row.is_open,
        created_ns=row.created_ns,
    )


def _key(row: Row[Any]) -> KeyRow:
    return KeyRow(
        key_id=row.key_id,
        account=row.account,
        label=row.label,
        scopes=_scopes(row.scopes),
        created_ns=row.created_ns,
        expires_ns=row.expires_ns,
        revoked_ns=row.revoked_ns,
    )
