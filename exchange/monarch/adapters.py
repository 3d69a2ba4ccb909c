"""Where one part's rows become another's: settlement's for the gateway, the registry's for the provisioner, the engine's quotes.

The parts may not import each other; here, and nowhere else, one's struct becomes the other's, field by field by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import msgspec

from engine.machine import Machine
from exchange.gateway import ports as gateway
from exchange.registry.registry import Registry
from provisioner import ports as provisioner
from settlement.ledger import Settlement

T = TypeVar("T")


class Ledger:
    """Settlement's read side as the gateway asks it; satisfies `exchange.gateway.ports.LedgerView`."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement

    def position(self) -> int:
        return self._settlement.position()

    async def reached(self, seq: int, timeout_s: float) -> bool:
        return await self._settlement.reached(seq, timeout_s)

    async def balances(self, account: int) -> list[gateway.BalanceRow]:
        return _as(list[gateway.BalanceRow], await self._settlement.balances(account))

    async def transfers(self, account: int, before_position: int, limit: int) -> list[gateway.TransferRow]:
        return _as(list[gateway.TransferRow], await self._settlement.transfers(account, before_position, limit))

    async def statement(self, account: int, month: str) -> gateway.Statement:
        return _as(gateway.Statement, await self._settlement.statement(account, month))


class Directory:
    """The registry's Barons as the provisioner asks for them; satisfies `provisioner.ports.BaronDirectory`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def enroll(self, token: str) -> tuple[provisioner.BaronIdentity, str] | None:
        found = await self._registry.enroll(token)
        return None if found is None else (_as(provisioner.BaronIdentity, found[0]), found[1])

    async def authenticate(self, credential: str) -> provisioner.BaronIdentity | None:
        found = await self._registry.authenticate(credential)
        return None if found is None else _as(provisioner.BaronIdentity, found)

    async def claim_gpus(
        self, baron: int, uuids: list[str], vacated: Collection[int] = ()
    ) -> list[provisioner.HeldGpu]:
        return _as(list[provisioner.HeldGpu], await self._registry.claim_gpus(baron, uuids, vacated))


class Quotes:
    """The machine's quotes for `POST /quotes`: a read of its state as it is now; satisfies the gateway's `Quoter`."""

    def __init__(self, machine: Machine, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._machine = machine
        self._clock_ns = clock_ns

    def __call__(
        self,
        account: int,
        instruments: tuple[int, ...],
        quantity: int,
        hours: int,
        max_price_ticks: int,
        *,
        features: int = 0,
        same_baron: bool = False,
        min_rating: int = 0,
    ) -> list[gateway.QuoteLine]:
        now_ns = max(self._clock_ns(), self._machine.last_ts_ns)
        quotes = self._machine.quote(
            account,
            instruments,
            quantity,
            hours,
            max_price_ticks,
            now_ns,
            features=features,
            same_baron=same_baron,
            min_rating=min_rating,
        )
        return [gateway.QuoteLine(**quote._asdict()) for quote in quotes]


def _as(kind: type[T], rows: Any) -> T:
    return msgspec.convert(rows, kind, from_attributes=True)
