"""The first answers to requests that carried an Idempotency-Key, kept for 24 hours.

Only final answers come here. A request in flight is known to its gateway alone: after a crash nothing of it is left, and
its repeat goes through the engine, whose client ids make it harmless. What was made with a secret is remembered in the
transaction that makes it, by its id alone.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select

from exchange.registry.rows import RegistryError, Remembered, Slot
from exchange.registry.tables import IDEMPOTENCY

KEPT_NS: Final = 24 * 3_600 * 1_000_000_000
MAX_RECORDS_PER_ACCOUNT: Final = 50_000
"""More of one account are refused until its oldest have had their 24 hours; the others' go on."""
MAX_RECORDS: Final = 1_000_000
"""Of all accounts, so that what is kept fits on a disk."""
MAX_PRUNED: Final = 1_000
"""Expired records that one removal takes, so that no request pays for a day's worth."""


def remembered(connection: Connection, slot: Slot, now_ns: int) -> Remembered | None:
    """The first answer of this slot, if one is kept.

    RegistryError when no more can be kept: too_many_idempotency_keys of this account, overloaded of all.
    """
    row = connection.execute(
        select(IDEMPOTENCY).where(_of(slot), IDEMPOTENCY.c.created_ns > now_ns - KEPT_NS)
    ).one_or_none()
    if row is not None:
        return Remembered(
            body_hash=row.body_hash,
            status=row.status,
            body=row.body,
            secret_of=row.secret_of,
        )
    refusal = _full(connection, slot.account)
    if refusal is not None and _prune(connection, now_ns, slot.account):
        refusal = _full(connection, slot.account)
    if refusal is not None:
        raise refusal
    return None


def remember(connection: Connection, slot: Slot, status: int, body: bytes, now_ns: int, secret_of: str = "") -> None:
    """Keep the first answer of this slot, in the place of one that has expired."""
    _prune(connection, now_ns)
    forget(connection, slot)
    connection.execute(
        insert(IDEMPOTENCY).values(
            account=slot.account,
            route=slot.route,
            key_hash=slot.key_hash,
            body_hash=slot.body_hash,
            status=status,
            body=body,
            secret_of=secret_of,
            created_ns=now_ns,
        )
    )


def remember_secret(connection: Connection, slot: Slot, made_id: str, now_ns: int) -> None:
    """Keep that this slot made something whose secret is said once; `made_id` names it."""
    remember(connection, slot, 0, b"", now_ns, secret_of=made_id)


def forget(connection: Connection, slot: Slot) -> None:
    connection.execute(delete(IDEMPOTENCY).where(_of(slot)))


def _of(slot: Slot) -> ColumnElement[bool]:
    columns: Any = IDEMPOTENCY.c
    return and_(columns.account == slot.account, columns.route == slot.route, columns.key_hash == slot.key_hash)


def _full(connection: Connection, account: int) -> RegistryError | None:
    """Why no more can be kept, expired ones counted; None when there is room."""
    # Numbers only grow, so their span bounds the count of all and costs no scan.
    newest, oldest = connection.execute(select(func.max(IDEMPOTENCY.c.id), func.min(IDEMPOTENCY.c.id))).one()
    if newest is not None and newest - oldest >= MAX_RECORDS:
        return RegistryError("overloaded", "There are as many idempotent requests as can be kept")
    # A bounded walk along the index that begins with the account; no row is read.
    own = select(IDEMPOTENCY.c.account).where(IDEMPOTENCY.c.account == account).limit(MAX_RECORDS_PER_ACCOUNT)
    if connection.execute(select(func.count()).select_from(own.subquery())).scalar_one() >= MAX_RECORDS_PER_ACCOUNT:
        wrong = f"The account has used {MAX_RECORDS_PER_ACCOUNT} Idempotency-Keys"
        return RegistryError("too_many_idempotency_keys", wrong)
    return None


def _prune(connection: Connection, now_ns: int, account: int = 0) -> int:
    """Remove the oldest of what has expired, and of what `account` has expired; returns how many those were."""
    expired = IDEMPOTENCY.c.created_ns <= now_ns - KEPT_NS
    # Adding nothing keeps SQLite from walking all that the account has: what has expired is less.
    wanted = [expired, and_(expired, IDEMPOTENCY.c.account + 0 == account)] if account else [expired]
    removed = 0
    for condition in wanted:
        old = select(IDEMPOTENCY.c.id).where(condition).order_by(IDEMPOTENCY.c.created_ns).limit(MAX_PRUNED)
        removed += connection.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.id.in_(old))).rowcount
    return removed
