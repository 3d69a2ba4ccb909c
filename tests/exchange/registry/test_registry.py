"""Accounts, keys, Barons and idempotency records as the gateway and the provisioner use them."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.messages import OpenAccount, RegisterBaron
from exchange.registry import accounts, barons, idempotency
from exchange.registry.database import WrongVersion, open_database
from exchange.registry.registry import Registry
from exchange.registry.rows import MAX_SSH_KEYS, HeldGpu, Principal, RegistryError, Scope, Slot
from tests.exchange.registry.conftest import DAY_NS, START_NS, Clock

FEES = (0, 5_000)
SLOT = Slot(account=1, route="POST /keys", key_hash=b"k", body_hash=b"b")


async def opened(registry: Registry, name: str = "a", scopes: frozenset[Scope] = frozenset(Scope)) -> Principal:
    row, key = await registry.create_account(name, scopes, FEES)
    await registry.confirm_account(row.account)
    principal = await registry.principal(key.token)
    assert principal is not None
    return principal


async def refused(code: str, work: object) -> None:
    with pytest.raises(RegistryError) as caught:
        await work  # type: ignore[misc]
    assert caught.value.code == code


async def test_an_account_is_valid_from_its_confirmation_on(registry: Registry) -> None:
    row, key = await registry.create_account("a", [Scope.READ], FEES)
    assert (row.account, row.open) == (1, False)
    assert await registry.principal(key.token) is None
    assert await registry.pending() == [OpenAccount(account=1, maker_fee_ppm=0, taker_fee_ppm=5_000)]
    await registry.confirm_account(1)
    principal = await registry.principal(key.token)
    assert principal == Principal(account=1, key_id=key.key.key_id, scopes=frozenset({Scope.READ}))
    assert await registry.pending() == []
    await registry.discard_account(1)
    assert await registry.principal(key.token) == principal


async def test_a_discarded_account_leaves_its_number_unused(registry: Registry) -> None:
    slot = Slot(account=9, route="POST /accounts", key_hash=b"k", body_hash=b"b")
    row, _ = await registry.create_account("a", [Scope.READ], FEES, slot)
    remembered = await registry.remembered(slot)
    assert remembered is not None
    assert remembered.secret_of == "acc_0000000000001"
    await registry.discard_account(row.account, slot)
    assert await registry.remembered(slot) is None
    assert await registry.account(row.account) is None
    assert (await registry.create_account("b", [Scope.READ], FEES))[0].account == 2


async def test_there_is_one_administration(registry: Registry) -> None:
    row, key = await registry.create_admin(FEES)
    assert key.key.scopes == frozenset(Scope)
    await refused("admin_exists", registry.create_admin(FEES))
    await registry.confirm_account(row.account)
    assert await registry.principal(key.token) is not None


async def test_a_token_is_not_on_disk(registry: Registry, tmp_path: Path) -> None:
    _, key = await registry.create_admin(FEES)
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"exchange administration" in files
    assert key.token.encode() not in files
    assert len(key.token) == 46
    assert key.token.startswith("hb_")


async def test_keys_expire_and_are_revoked(registry: Registry, clock: Clock) -> None:
    owner = await opened(registry)
    made = await registry.create_key(owner, [Scope.READ], "x", clock.now_ns + 10)
    clock.now_ns += 9
    assert await registry.principal(made.token) is not None
    clock.now_ns += 1
    assert await registry.principal(made.token) is None
    await refused("unknown_key", registry.revoke_key(owner, made.key.key_id))
    forever = await registry.create_key(owner, [Scope.READ], "y", 0)
    await registry.revoke_key(owner, forever.key.key_id)
    assert await registry.principal(forever.token) is None
    assert [key.key_id for key in await registry.keys(owner.account)] == [owner.key_id]


async def test_an_account_has_so_many_keys(registry: Registry) -> None:
    owner = await opened(registry)
    for _ in range(accounts.MAX_KEYS - 1):
        await registry.create_key(owner, [Scope.READ], "", 0)
    await refused("too_many_keys", registry.create_key(owner, [Scope.READ], "", 0))


async def test_an_account_has_so_many_ssh_keys(registry: Registry) -> None:
    owner = await opened(registry)
    for number in range(MAX_SSH_KEYS):
        await registry.add_ssh_key(owner.account, "x", f"ssh-ed25519 {number}")
    await refused("too_many_ssh_keys", registry.add_ssh_key(owner.account, "x", "ssh-ed25519 new"))
    assert len(await registry.ssh_public_keys(owner.account)) == MAX_SSH_KEYS


async def test_a_baron_enrolls_once_and_in_time(registry: Registry, clock: Clock) -> None:
    owner = await opened(registry)
    made = await registry.create_baron(owner.account, "S", "r", "rack")
    assert await registry.pending() == [RegisterBaron(baron=1, provider=owner.account, sku="S", region="r")]
    assert await registry.enroll(made.enrolment_token) is None
    await registry.confirm_baron(1)
    enrolled = await registry.enroll(made.enrolment_token)
    assert enrolled is not None
    identity, credential = enrolled
    assert (identity.baron, identity.provider, identity.sku, identity.region) == (1, owner.account, "S", "r")
    assert await registry.enroll(made.enrolment_token) is None
    assert await registry.authenticate(credential) == identity
    assert await registry.authenticate(made.enrolment_token) is None
    assert await registry.authenticate("") is None

    late = await registry.create_baron(owner.account, "S", "r", "rack 2")
    await registry.confirm_baron(late.baron.baron)
    clock.now_ns += barons.TOKEN_LIFE_NS
    assert await registry.enroll(late.enrolment_token) is None
    assert [entry.enrolled for entry in await registry.barons(owner.account, 0, 10)] == [False, True]


async def test_a_gpu_belongs_to_one_baron(registry: Registry) -> None:
    owner = await opened(registry)
    for name in ("one", "two"):
        made = await registry.create_baron(owner.account, "S", "r", name)
        await registry.confirm_baron(made.baron.baron)
    uuids = [f"GPU-{number}" for number in range(1200)]
    assert await registry.claim_gpus(1, uuids) == []
    assert await registry.claim_gpus(1, [*uuids, "GPU-x", "GPU-x"]) == []
    held = await registry.claim_gpus(2, ["GPU-new", "GPU-7", "GPU-1199"])
    assert held == [HeldGpu(uuid=uuid, baron=1, provider=owner.account) for uuid in ("GPU-7", "GPU-1199")]
    assert await registry.claim_gpus(1, ["GPU-new"]) == []
    assert await registry.claim_gpus(2, []) == []
    for bad in ([""], ["x" * 97], ["x"] * 4097):
        with pytest.raises(ValueError, match="uuids"):
            await registry.claim_gpus(1, bad)


async def test_gpus_pass_from_a_vacated_baron_to_another_of_its_provider_only(registry: Registry) -> None:
    owner, stranger = await opened(registry, "a"), await opened(registry, "b")
    for provider in (owner, owner, stranger, owner):
        made = await registry.create_baron(provider.account, "S", "r", "rack")
        await registry.confirm_baron(made.baron.baron)
    uuids = [f"GPU-{number}" for number in range(1200)]
    assert await registry.claim_gpus(1, uuids) == []
    assert await registry.claim_gpus(4, ["GPU-of-4"]) == []
    assert len(await registry.claim_gpus(3, uuids, {1, 3})) == 1200
    assert len(await registry.claim_gpus(2, uuids, {4})) == 1200
    assert await registry.claim_gpus(2, ["GPU-new", *uuids, "GPU-of-4"], {1}) == [
        HeldGpu(uuid="GPU-of-4", baron=4, provider=owner.account)
    ]
    assert await registry.claim_gpus(1, uuids) == []
    assert await registry.claim_gpus(2, ["GPU-new", *uuids[:700], "GPU-7"], {1}) == []
    held = await registry.claim_gpus(1, ["GPU-new", *uuids])
    assert [gpu.uuid for gpu in held] == ["GPU-new", *uuids[:700]]
    assert await registry.claim_gpus(1, uuids[700:]) == []


async def test_an_answer_is_remembered_for_a_day(registry: Registry, clock: Clock) -> None:
    await registry.remember(SLOT, 201, b"{}")
    first = await registry.remembered(SLOT)
    assert first is not None
    assert (first.status, first.body, first.body_hash, first.secret_of) == (201, b"{}", b"b", "")
    clock.now_ns = START_NS + DAY_NS
    assert await registry.remembered(SLOT) is None
    await registry.remember(SLOT, 409, b"[]")
    later = await registry.remembered(SLOT)
    assert later is not None
    assert later.status == 409


async def test_there_is_a_bound_on_what_is_remembered(
    registry: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MAX_RECORDS", 3)
    slots = [Slot(account=1, route="r", key_hash=bytes([number]), body_hash=b"") for number in range(5)]
    for slot in slots[:4]:
        await registry.remember(slot, 200, b"")
    assert await registry.remembered(slots[0]) is not None
    await refused("overloaded", registry.remembered(slots[4]))
    clock.now_ns += DAY_NS
    assert await registry.remembered(slots[4]) is None


async def test_everything_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "home" / "registry.db"
    registry = Registry.open(file, clock)
    _, key = await registry.create_admin(FEES)
    await registry.confirm_account(1)
    await registry.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    registry = Registry.open(file, clock)
    assert await registry.principal(key.token) is not None
    with registry._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    await registry.close()


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    engine = open_database(file)
    with engine.begin() as connection:
        connection.execute(text("UPDATE version SET version = 2"))
    engine.dispose()
    with pytest.raises(WrongVersion, match="version 2"):
        open_database(file)


async def test_two_who_register_at_once_get_two_numbers(registry: Registry) -> None:
    made = await asyncio.gather(*(registry.create_account(f"a{n}", [Scope.READ], FEES) for n in range(20)))
    assert sorted(row.account for row, _ in made) == list(range(1, 21))
