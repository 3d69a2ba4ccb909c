"""The same request twice does its work once, also when the registry's memory of the first is gone."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from engine.messages import Command, Deposit, Reply
from exchange.gateway.deps import Deps
from exchange.sequencer.interface import OutcomeUnknown
from tests.exchange.gateway.floor import SKU, SPOT, Floor, floor

WANTED = {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}
KEY = {"Idempotency-Key": "abc-1"}


async def test_a_repeat_gets_the_first_answer_again(exchange: Floor) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    first = await renter.ask("POST", "/rentals", WANTED, headers=KEY)
    again = await renter.ask("POST", "/rentals", WANTED, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    problem = await renter.refused("POST", "/rentals", WANTED | {"gpus": 2}, headers=KEY)
    assert (problem["status"], problem["code"]) == (422, "idempotency_key_reused")
    assert len((await renter.get("/leases", min_seq=exchange.machine.last_seq))["leases"]) == 1
    other = await renter.ask("POST", "/rentals", WANTED, headers={"Idempotency-Key": "abc-2"})
    assert other.json()["order_id"] != first.json()["order_id"]


async def test_a_quote_is_made_anew_and_nothing_is_kept_of_it(exchange: Floor, tmp_path: Path) -> None:
    await exchange.seller(price="2.0000", gpus=1)
    renter = await exchange.renter()
    first = await renter.ask("POST", "/quotes", WANTED, headers=KEY)
    await renter.post("/rentals", WANTED)
    again = await renter.ask("POST", "/quotes", WANTED, headers=KEY)
    assert [answer.json()["quotes"][0]["reason"] for answer in (first, again)] == [None, "no_liquidity"]
    assert "idempotent-replayed" not in again.headers
    assert (await renter.ask("POST", "/quotes", WANTED | {"gpus": 2}, headers=KEY)).status_code == 200
    problem = await renter.refused("POST", "/quotes", WANTED, headers={"Idempotency-Key": ""})
    assert problem["code"] == "invalid_idempotency_key"
    engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM idempotency")).scalar_one() == 0
    engine.dispose()


async def test_only_a_post_takes_a_key(exchange: Floor) -> None:
    provider, baron = await exchange.seller()
    renter = await exchange.renter()
    placed = await renter.post("/orders", {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1"})
    path = f"/orders/{placed['order']['id']}"
    asks = {"offers": [{"baron": baron, "instrument": SPOT, "price": "3", "gpus": 8}]}
    for client, method, where, body in (
        (renter, "GET", path, None),
        (renter, "PATCH", path, {"price": "1.5"}),
        (renter, "DELETE", path, None),
        (provider, "PUT", "/asks", asks),
    ):
        problem = await client.refused(method, where, body, headers=KEY)
        assert (problem["status"], problem["code"]) == (422, "invalid_idempotency_key"), method
    assert (await renter.get(path, min_seq=exchange.machine.last_seq)) == placed["order"]
    assert (await provider.get("/asks"))["offers"][0]["price"] == "2.0000"


async def test_one_account_s_keys_leave_the_others_theirs(exchange: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange.registry.idempotency.MAX_RECORDS_PER_ACCOUNT", 2)
    await exchange.seller()
    one, two = await exchange.renter(), await exchange.renter()
    keys = [{"Idempotency-Key": f"k{number}"} for number in range(3)]
    for headers in keys[:2]:
        assert (await one.ask("POST", "/rentals", WANTED, headers=headers)).status_code == 201
    seq = exchange.machine.last_seq
    problem = await one.refused("POST", "/rentals", WANTED, headers=keys[2])
    assert (problem["status"], problem["code"]) == (429, "too_many_idempotency_keys")
    assert exchange.machine.last_seq == seq
    again = await one.ask("POST", "/rentals", WANTED, headers=keys[0])
    assert again.headers["idempotent-replayed"] == "true"
    assert (await one.ask("POST", "/rentals", WANTED)).status_code == 201
    assert (await two.ask("POST", "/rentals", WANTED, headers=keys[2])).status_code == 201
    exchange.clock.now_ns += 24 * 3600 * 10**9
    assert (await one.ask("POST", "/quotes", WANTED, headers=keys[2])).status_code == 200
    assert (
        await one.ask(
            "POST", "/orders", {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1"}, headers=keys[2]
        )
    ).status_code == 201


async def test_keys_belong_to_an_account_and_a_route(exchange: Floor) -> None:
    await exchange.seller()
    one, two = await exchange.renter(), await exchange.renter()
    rentals = [(await client.ask("POST", "/rentals", WANTED, headers=KEY)).json()["order_id"] for client in (one, two)]
    assert len(set(rentals)) == 2
    order = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1"}
    placed = await one.ask("POST", "/orders", order, headers=KEY)
    assert placed.status_code == 201


async def test_a_refusal_is_repeated_as_it_was(exchange: Floor) -> None:
    await exchange.seller()
    renter = await exchange.open("renter")
    await renter.post("/ssh-keys", {"name": "laptop", "public_key": (await _ssh_key(exchange))})
    first = await renter.refused("POST", "/rentals", WANTED, headers=KEY)
    assert first["code"] == "insufficient_funds"
    await exchange.admin.post("/deposits", {"account": renter.account, "amount": "100"})
    again = await renter.ask("POST", "/rentals", WANTED, headers=KEY)
    assert (again.json(), again.headers["idempotent-replayed"]) == (first, "true")
    assert again.headers["content-type"] == "application/problem+json"


async def test_the_memory_lasts_a_day(exchange: Floor) -> None:
    first = await exchange.admin.ask("POST", "/accounts", {"name": "a", "scopes": ["read"]}, headers=KEY)
    problem = await exchange.admin.refused("POST", "/accounts", {"name": "a", "scopes": ["read"]}, headers=KEY)
    assert (problem["status"], problem["code"]) == (409, "idempotency_secret_shown_once")
    assert problem["made_id"] == first.json()["id"]
    exchange.clock.now_ns += 24 * 3600 * 10**9
    later = await exchange.admin.ask("POST", "/accounts", {"name": "a", "scopes": ["read"]}, headers=KEY)
    assert later.status_code == 201
    assert later.json()["id"] != first.json()["id"]


async def test_no_secret_is_kept(exchange: Floor, tmp_path: Path) -> None:
    made = await exchange.admin.ask("POST", "/accounts", {"name": "a", "scopes": ["read"]}, headers=KEY)
    key = await exchange.admin.ask("POST", "/keys", {"scopes": ["read"]}, headers=KEY)
    provider = await exchange.open("provider", "1000.00")
    body = {"sku": SKU, "region": "us-east", "name": "x"}
    baron = await provider.ask("POST", "/barons", body, headers=KEY)
    secrets = [made.json()["key"]["token"], key.json()["token"], baron.json()["enrolment_token"]]
    files = b"".join(path.read_bytes() for path in tmp_path.glob("registry.db*"))
    assert b"first key" in files
    assert not [secret for secret in secrets if secret.encode() in files]
    for client, path, sent in (
        (exchange.admin, "/keys", {"scopes": ["read"]}),
        (provider, "/barons", body),
    ):
        assert (await client.refused("POST", path, sent, headers=KEY))["code"] == "idempotency_secret_shown_once"


async def test_a_crash_between_engine_and_registry_does_nothing_twice(exchange: Floor, tmp_path: Path) -> None:
    await exchange.seller()
    renter = await exchange.renter("100")
    rental = await renter.ask("POST", "/rentals", WANTED, headers=KEY)
    money = {"account": renter.account, "amount": "7"}
    moved = await exchange.admin.ask("POST", "/deposits", money, headers=KEY)
    order = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1"}
    placed = await renter.ask("POST", "/orders", order, headers=KEY)
    engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    with engine.begin() as connection:
        assert connection.execute(text("DELETE FROM idempotency")).rowcount == 3
    engine.dispose()

    again = await renter.ask("POST", "/rentals", WANTED, headers=KEY)
    assert again.status_code == 201
    assert again.json() == rental.json() | {"duplicate": True}
    assert (await exchange.admin.ask("POST", "/deposits", money, headers=KEY)).json() == moved.json() | {
        "duplicate": True
    }
    repeat = (await renter.ask("POST", "/orders", order, headers=KEY)).json()
    assert repeat == placed.json() | {"duplicate": True}
    assert len((await renter.get("/leases", min_seq=exchange.machine.last_seq))["leases"]) == 1


async def test_a_repeat_of_what_was_done_that_cant_be_told_yet_is_no_rejection(
    exchange: Floor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    order = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1"}
    first = [
        await renter.ask("POST", path, body, headers=KEY) for path, body in (("/rentals", WANTED), ("/orders", order))
    ]
    engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM idempotency"))
    engine.dispose()

    async def behind(_seq: int, _timeout_s: float) -> bool:
        return False

    monkeypatch.setattr(exchange.deps.read, "reached", behind)
    for path, body, answer in (("/rentals", WANTED, first[0]), ("/orders", order, first[1])):
        problem = await renter.refused("POST", path, body, headers=KEY)
        assert (problem["status"], problem["code"], problem["outcome"]) == (503, "read_side_behind", "unknown")
        assert problem["seq"] == answer.json()["seq"]


async def test_one_in_flight_and_one_whose_outcome_isnt_known(tmp_path: Path) -> None:
    gate = asyncio.Event()
    arrived = asyncio.Event()
    fail = [False]

    def slow(deps: Deps) -> Deps:
        async def submit(command: Command) -> Reply:
            if isinstance(command, Deposit):
                arrived.set()
                await gate.wait()
                reply = await deps.submit(command)
                if fail[0]:
                    raise OutcomeUnknown("the log failed")
                return reply
            return await deps.submit(command)

        return dataclasses.replace(deps, submit=submit)

    async with floor(tmp_path, slow) as exchange:
        account = (await exchange.admin.post("/accounts", {"name": "a", "scopes": ["read"]}))["id"]
        money = {"account": account, "amount": "7"}
        first = asyncio.create_task(exchange.admin.ask("POST", "/deposits", money, headers=KEY))
        await arrived.wait()
        problem = await exchange.admin.refused("POST", "/deposits", money, headers=KEY)
        assert (problem["status"], problem["code"], problem["outcome"]) == (409, "idempotency_in_flight", "unknown")
        changed = await exchange.admin.refused("POST", "/deposits", money | {"amount": "8"}, headers=KEY)
        assert changed["code"] == "idempotency_key_reused"
        fail[0] = True
        gate.set()
        assert (await first).status_code == 503
        fail[0] = False
        again = await exchange.admin.ask("POST", "/deposits", money, headers=KEY)
        assert (again.status_code, again.json()["duplicate"]) == (201, True)


async def test_keys_that_cant_be_used(exchange: Floor) -> None:
    for value in ("", " ", "a b", "x" * 256, "\x7f"):
        problem = await exchange.admin.refused(
            "POST", "/keys", {"scopes": ["read"]}, headers={"Idempotency-Key": value}
        )
        assert (problem["status"], problem["code"]) == (422, "invalid_idempotency_key")


async def _ssh_key(exchange: Floor) -> str:
    renter = await exchange.renter()
    return str((await renter.get("/ssh-keys"))["ssh_keys"][0]["public_key"])
