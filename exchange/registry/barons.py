"""Barons: who registered them, their single-use enrolment tokens, their agents' credentials, and whose GPU is whose.

Functions of a connection inside a transaction; they block. Capacity and leases are the engine's business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from engine.ids import format_id
from exchange.registry import idempotency
from exchange.registry.rows import BaronEntry, BaronIdentity, HeldGpu, NewBaron, RegistryError, Slot
from exchange.registry.tables import BARONS, GPUS
from exchange.registry.tokens import CREDENTIAL_PREFIX, ENROLMENT_PREFIX, new_token, token_hash

TOKEN_LIFE_NS: Final = 24 * 3_600 * 1_000_000_000
MAX_BARONS: Final = 4_096
"""Barons of an account."""
MAX_UUIDS: Final = 4_096
MAX_UUID_CHARS: Final = 96
_IN_ONE_QUERY: Final = 500


def create_baron(
    connection: Connection, provider: int, sku: str, region: str, name: str, slot: Slot | None, now_ns: int
) -> NewBaron:
    """A new Baron, not open yet, with an enrolment token that lives 24 h; RegistryError too_many_barons."""
    count = select(func.count()).where(BARONS.c.provider == provider)
    if connection.execute(count).scalar_one() >= MAX_BARONS:
        raise RegistryError("too_many_barons", f"The account has {MAX_BARONS} Barons")
    token = new_token(ENROLMENT_PREFIX)
    expires_ns = now_ns + TOKEN_LIFE_NS
    connection.execute(
        insert(BARONS).values(
            provider=provider,
            sku=sku,
            region=region,
            name=name,
            is_open=False,
            created_ns=now_ns,
            token_hash=token_hash(ENROLMENT_PREFIX, token),
            token_expires_ns=expires_ns,
            credential_hash=None,
        )
    )
    row = connection.execute(select(BARONS).order_by(BARONS.c.baron.desc()).limit(1)).one()
    if slot is not None:
        idempotency.remember_secret(connection, slot, format_id("brn", row.baron), now_ns)
    return NewBaron(baron=_entry(row), enrolment_token=token, expires_ns=expires_ns)


def confirm_baron(connection: Connection, baron: int) -> None:
    """The engine has it."""
    connection.execute(update(BARONS).where(BARONS.c.baron == baron).values(is_open=True))


def discard_baron(connection: Connection, baron: int, slot: Slot | None) -> None:
    """The engine didn't take it: forget that it was asked for. Its number is not used again."""
    connection.execute(delete(BARONS).where(BARONS.c.baron == baron, ~BARONS.c.is_open))
    if slot is not None:
        idempotency.forget(connection, slot)


def baron(connection: Connection, number: int) -> BaronEntry | None:
    row = connection.execute(select(BARONS).where(BARONS.c.baron == number)).one_or_none()
    return None if row is None else _entry(row)


def barons(connection: Connection, provider: int, before_id: int, limit: int) -> list[BaronEntry]:
    """An account's open Barons, newest first, those before `before_id` (0: from the newest)."""
    query = select(BARONS).where(BARONS.c.provider == provider, BARONS.c.is_open)
    if before_id:
        query = query.where(BARONS.c.baron < before_id)
    return [_entry(row) for row in connection.execute(query.order_by(BARONS.c.baron.desc()).limit(limit))]


def pending_barons(connection: Connection) -> list[BaronEntry]:
    """Those that the engine hasn't confirmed, oldest first."""
    query = select(BARONS).where(~BARONS.c.is_open).order_by(BARONS.c.baron)
    return [_entry(row) for row in connection.execute(query)]


def enroll(connection: Connection, token: str, now_ns: int) -> tuple[BaronIdentity, str] | None:
    """Use up an enrolment token: the Baron and its new credential; None when the token isn't valid now."""
    digest = token_hash(ENROLMENT_PREFIX, token)
    if digest is None:
        return None
    query = select(BARONS).where(BARONS.c.token_hash == digest, BARONS.c.token_expires_ns > now_ns, BARONS.c.is_open)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    credential = new_token(CREDENTIAL_PREFIX)
    hashed = token_hash(CREDENTIAL_PREFIX, credential)
    used = update(BARONS).where(BARONS.c.baron == row.baron).values(token_hash=None, credential_hash=hashed)
    connection.execute(used)
    return _identity(row), credential


def authenticate(connection: Connection, credential: str) -> BaronIdentity | None:
    """The Baron of an agent's credential, or None."""
    digest = token_hash(CREDENTIAL_PREFIX, credential)
    if digest is None:
        return None
    row = connection.execute(select(BARONS).where(BARONS.c.credential_hash == digest)).one_or_none()
    return None if row is None else _identity(row)


def claim_gpus(
    connection: Connection, number: int, uuids: Sequence[str], vacated: Collection[int] = ()
) -> list[HeldGpu]:
    """Record that these GPUs are the Baron's; returns those of another Baron, and then records nothing.

    GPUs of Barons in `vacated` pass to it (§4), but never to another provider. ValueError for more uuids, or longer ones,
    than any agent's inventory may hold.
    """
    if len(uuids) > MAX_UUIDS or any(not 1 <= len(uuid) <= MAX_UUID_CHARS for uuid in uuids):
        raise ValueError(f"at most {MAX_UUIDS} uuids of at most {MAX_UUID_CHARS} characters")
    provider = connection.execute(select(BARONS.c.provider).where(BARONS.c.baron == number)).scalar_one()
    owners: dict[str, HeldGpu] = {}
    for some in _slices(uuids):
        query = select(GPUS.c.uuid, GPUS.c.baron, BARONS.c.provider).join(BARONS).where(GPUS.c.uuid.in_(some))
        for row in connection.execute(query):
            owners[row.uuid] = HeldGpu(uuid=row.uuid, baron=row.baron, provider=row.provider)
    others = [owners[uuid] for uuid in dict.fromkeys(uuids) if uuid in owners and owners[uuid].baron != number]
    held = [gpu for gpu in others if gpu.baron not in vacated or gpu.provider != provider]
    if held:
        return held
    for some in _slices([gpu.uuid for gpu in others]):
        connection.execute(update(GPUS).where(GPUS.c.uuid.in_(some)).values(baron=number))
    if new := [{"uuid": uuid, "baron": number} for uuid in dict.fromkeys(uuids) if uuid not in owners]:
        connection.execute(insert(GPUS), new)
    return []


def _slices(uuids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (uuids[start : start + _IN_ONE_QUERY] for start in range(0, len(uuids), _IN_ONE_QUERY))


def _identity(row: Row[Any]) -> BaronIdentity:
    return BaronIdentity(baron=row.baron, provider=row.provider, sku=row.sku, region=row.region)


def _entry(row: Row[Any]) -> BaronEntry:
    return BaronEntry(
        baron=row.baron,
        provider=row.provider,
        sku=row.sku,
        region=row.region,
        name=row.name,
        open=row.is_open,
        enrolled=row.credential_hash is not None,
        created_ns=row.created_ns,
    )
