"""The registry as the rest of the exchange holds it: every call one transaction, on one thread off the event loop.

What is written here and in the engine goes in this order: a row that isn't open, the engine's command, then open. A crash
between two steps leaves a row that `pending` names, and the same command sent again is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from engine.messages import OpenAccount, RegisterBaron
from exchange.registry import accounts, barons, idempotency, ssh_keys
from exchange.registry.database import open_database
from exchange.registry.rows import (
    AccountRow,
    BaronEntry,
    BaronIdentity,
    HeldGpu,
    KeyRow,
    NewBaron,
    NewKey,
    Principal,
    Remembered,
    Scope,
    Slot,
    SshKeyRow,
)

P = ParamSpec("P")
T = TypeVar("T")


class Registry:
    """Accounts, keys, SSH keys, Barons, idempotency records. Errors: RegistryError, with a code of the table."""

    def __init__(self, engine: Engine, clock_ns: Callable[[], int]) -> None:
        self._engine = engine
        self._clock_ns = clock_ns
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="registry")

    @classmethod
    def open(cls, path: Path, clock_ns: Callable[[], int]) -> Registry:
        """Open or make the registry's file; database.WrongVersion when another version wrote it. Blocks."""
        return cls(open_database(path), clock_ns)

    async def close(self) -> None:
        """Finish what has begun, and close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()

    async def _do(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def transact() -> T:
            with self._engine.begin() as connection:
                return work(connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, transact)

    # ------------------------------------------------------------ accounts and keys

    async def principal(self, token: str) -> Principal | None:
        """Who holds this API key now, or None."""
        return await self._do(accounts.authenticate, token, self._clock_ns())

    async def account(self, account: int) -> AccountRow | None:
        return await self._do(accounts.account, account)

    async def create_account(
        self, name: str, scopes: Iterable[Scope], fees_ppm: tuple[int, int], slot: Slot | None = None
    ) -> tuple[AccountRow, NewKey]:
        """A new account that isn't open yet, and its first key; then enter `open_account`, then confirm or discard."""
        return await self._do(accounts.create_account, name, tuple(scopes), fees_ppm, slot, self._clock_ns())

    async def create_admin(self, fees_ppm: tuple[int, int]) -> tuple[AccountRow, NewKey]:
        """The exchange's administration with a key of all scopes; RegistryError admin_exists when there is one."""
        return await self._do(accounts.create_admin, tuple(Scope), fees_ppm, self._clock_ns())

    async def confirm_account(self, account: int) -> None:
        await self._do(accounts.confirm_account, account)

    async def discard_account(self, account: int, slot: Slot | None = None) -> None:
        await self._do(accounts.discard_account, account, slot)

    async def create_key(
        self, principal: Principal, scopes: Iterable[Scope], label: str, expires_ns: int, slot: Slot | None = None
    ) -> NewKey:
        now_ns = self._clock_ns()
        return await self._do(accounts.create_key, principal, frozenset(scopes), label, expires_ns, slot, now_ns)

    async def keys(self, account: int) -> list[KeyRow]:
        return await self._do(accounts.keys, account, self._clock_ns())

    async def revoke_key(self, principal: Principal, key_id: int) -> KeyRow:
        return await self._do(accounts.revoke_key, principal, key_id, self._clock_ns())

    # ------------------------------------------------------------ SSH keys

    async def add_ssh_key(self, account: int, name: str, public_key: str) -> SshKeyRow:
        return await self._do(ssh_keys.add_ssh_key, account, name, public_key, self._clock_ns())

    async def ssh_keys(self, account: int) -> list[SshKeyRow]:
        return await self._do(ssh_keys.ssh_keys, account)

    async def ssh_public_keys(self, account: int) -> list[str]:
        return [row.public_key for row in await self.ssh_keys(account)]

    async def delete_ssh_key(self, account: int, ssh_key_id: int) -> None:
        await self._do(ssh_keys.delete_ssh_key, account, ssh_key_id)

    # ------------------------------------------------------------ Barons

    async def create_baron(self, provider: int, sku: str, region: str, name: str, slot: Slot | None = None) -> NewBaron:
        """A new Baron that isn't open yet; then enter `register_baron`, then confirm or discard."""
        return await self._do(barons.create_baron, provider, sku, region, name, slot, self._clock_ns())

    async def confirm_baron(self, baron: int) -> None:
        await self._do(barons.confirm_baron, baron)

    async def discard_baron(self, baron: int, slot: Slot | None = None) -> None:
        await self._do(barons.discard_baron, baron, slot)

    async def baron(self, baron: int) -> BaronEntry | None:
        return await self._do(barons.baron, baron)

    async def barons(self, provider: int, before_id: int, limit: int) -> list[BaronEntry]:
        return await self._do(barons.barons, provider, before_id, limit)

    async def enroll(self, token: str) -> tuple[BaronIdentity, str] | None:
        return await self._do(barons.enroll, token, self._clock_ns())

    async def authenticate(self, credential: str) -> BaronIdentity | None:
        """The Baron of an agent's credential, or None."""
        return await self._do(barons.authenticate, credential)

    async def claim_gpus(self, baron: int, uuids: list[str], vacated: Collection[int] = ()) -> list[HeldGpu]:
        """Make these GPUs the Baron's, those of its provider's `vacated` Barons too; those of others, and then none is."""
        return await self._do(barons.claim_gpus, baron, uuids, vacated)

    # ------------------------------------------------------------ idempotency, and what a crash left

    async def remembered(self, slot: Slot) -> Remembered | None:
        return await self._do(idempotency.remembered, slot, self._clock_ns())

    async def remember(self, slot: Slot, status: int, body: bytes) -> None:
        await self._do(idempotency.remember, slot, status, body, self._clock_ns())

    async def pending(self) -> list[OpenAccount | RegisterBaron]:
        """Commands to send again at a start, in this order, each confirmed (or discarded) when it is answered."""
        opens = [open_account(row) for row in await self._do(accounts.pending_accounts)]
        return [*opens, *(register_baron(entry) for entry in await self._do(barons.pending_barons))]


def open_account(row: AccountRow) -> OpenAccount:
    """The engine's command for an account of the registry."""
    return OpenAccount(account=row.account, maker_fee_ppm=row.maker_fee_ppm, taker_fee_ppm=row.taker_fee_ppm)


def register_baron(entry: BaronEntry) -> RegisterBaron:
    """The engine's command for a Baron of the registry."""
    return RegisterBaron(baron=entry.baron, provider=entry.provider, sku=entry.sku, region=entry.region)
