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
MAX_RECORDS: Final = 1_000_000
"""Of all accounts; more are refused until the oldest have had their 24 hours."""
MAX_PRUNED: Final = 1_000
"""Expired records that one write removes, so that no request pays for a day's worth."""


def remembered(connection: Connection, slot: Slot, now_ns: int) -> Remembered | None:
    """The first answer of this slot, if one is kept. RegistryError overloaded when no more can be kept."""
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
    if _is_full(connection):
        _prune(connection, now_ns)
        if _is_full(connection):
            raise RegistryError("overloaded", "There are as many idempotent requests as can be kept")
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


def _is_full(connection: Connection) -> bool:
    # Numbers only grow, so their span bounds the count and costs no scan.
    newest, oldest = connection.execute(select(func.max(IDEMPOTENCY.c.id), func.min(IDEMPOTENCY.c.id))).one()
    return newest is not None and newest - oldest >= MAX_RECORDS


def _prune(connection: Connection, now_ns: int) -> None:
    old = select(IDEMPOTENCY.c.id).where(IDEMPOTENCY.c.created_ns <= now_ns - KEPT_NS).limit(MAX_PRUNED)
    connection.execute(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.id.in_(old)))
