"""What is kept of idempotent requests: bounded for each account alone, and free again when it has expired."""

from __future__ import annotations

import pytest

from exchange.registry import idempotency
from exchange.registry.registry import Registry
from exchange.registry.rows import RegistryError, Slot
from tests.exchange.registry.conftest import Clock

CODE = "too_many_idempotency_keys"


def slot(account: int, number: int) -> Slot:
    return Slot(account=account, route="POST /rentals", key_hash=bytes([number]), body_hash=b"")


async def fill(registry: Registry, account: int, numbers: range) -> None:
    for number in numbers:
        assert await registry.remembered(slot(account, number)) is None
        await registry.remember(slot(account, number), 201, b"{}")


async def refusal(registry: Registry, wanted: Slot) -> str:
    with pytest.raises(RegistryError) as raised:
        await registry.remembered(wanted)
    return raised.value.code


async def test_one_account_fills_its_own_room_alone(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_RECORDS_PER_ACCOUNT", 3)
    await fill(registry, 1, range(3))
    assert await refusal(registry, slot(1, 3)) == CODE
    assert await registry.remembered(slot(1, 0)) is not None
    await fill(registry, 2, range(3))
    assert await refusal(registry, slot(2, 3)) == CODE


async def test_room_comes_back_with_the_oldest_that_expires(
    registry: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MAX_RECORDS_PER_ACCOUNT", 3)
    await fill(registry, 1, range(1))
    clock.now_ns += 10
    await fill(registry, 1, range(1, 3))
    clock.now_ns += idempotency.KEPT_NS - 11
    assert await refusal(registry, slot(1, 3)) == CODE
    clock.now_ns += 1
    await fill(registry, 1, range(3, 4))
    assert await refusal(registry, slot(1, 4)) == CODE


async def test_what_others_left_to_expire_keeps_nobody_out(
    registry: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of others has expired, and earlier, than one removal takes."""
    monkeypatch.setattr(idempotency, "MAX_PRUNED", 2)
    monkeypatch.setattr(idempotency, "MAX_RECORDS_PER_ACCOUNT", 3)
    for account in range(2, 12):
        await fill(registry, account, range(3))
    clock.now_ns += 1
    await fill(registry, 1, range(3))
    clock.now_ns += idempotency.KEPT_NS
    await fill(registry, 1, range(3, 5))
