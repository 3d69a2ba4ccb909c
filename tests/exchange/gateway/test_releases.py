"""Release as holder, provider and renters see it: asks of what was bought, leases that shrink, a ledger that adds up (§8, §9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import create_engine, text

from engine.ids import parse_id
from engine.kinds import Fault
from engine.messages import Deposit, EndLease, LeaseActive, LeaseFailed
from engine.units import NS_PER_HOUR
from provisioner.ports import Access
from settlement.verify import EngineState, ledger_moment
from tests.exchange.gateway.floor import SKU, SSH_KEY, Client, Floor
from tests.exchange.gateway.test_obligations import DAY, DAY_START_NS

SPOT = f"{SKU}.us-east.spot"
ACCESS = msgspec.json.encode(Access(host="gate", port=1, user="gpu", host_key="k"))


async def at(exchange: Floor, hour: int) -> int:
    """Let time pass to an hour of the day: a command brings what is due with it."""
    exchange.clock.now_ns = DAY_START_NS + hour * NS_PER_HOUR
    return (await exchange.enter(Deposit(account=1, amount_micros=1_000_000, client_id=""))).seq


async def reserved(exchange: Floor) -> tuple[Client, str, Client, dict[str, Any]]:
    """A provider, its Baron, and a holder whose reservation of four GPUs runs: its lease."""
    provider = await exchange.open("provider", "10000.00")
    baron = await exchange.baron(provider)
    ask = {"instrument": DAY, "side": "sell", "quantity": 4, "price": "2.0", "baron": baron}
    await provider.post("/orders", ask)
    holder = await exchange.open("holder", "10000.00")
    await holder.post("/ssh-keys", {"name": "laptop", "public_key": SSH_KEY})
    await holder.post("/orders", {"instrument": DAY, "side": "buy", "quantity": 4, "price": "2.0"})
    seq = await at(exchange, 0)
    (lease,) = (await holder.get("/leases", min_seq=seq))["leases"]
    await exchange.enter(LeaseActive(lease_id=parse_id("lse", lease["id"]), access=ACCESS))
    return provider, baron, holder, lease


async def renter_of(exchange: Floor, name: str) -> Client:
    renter = await exchange.open(name, "1000.00")
    await renter.post("/ssh-keys", {"name": "laptop", "public_key": SSH_KEY})
    return renter


async def test_a_release_lists_and_what_is_bought_of_it_leaves_the_lease(exchange: Floor, tmp_path: Path) -> None:
    _, baron, holder, lease = await reserved(exchange)
    path = f"/leases/{lease['id']}/release"
    body = {"as": "spot", "quantity": 3, "price": "2.5"}
    answer = await holder.post(path, body, idempotency_key="once")
    (order,) = answer["orders"]
    assert (order["origin"], order["baron"], order["instrument"], order["status"]) == ("release", baron, SPOT, "new")
    assert (answer["lease"]["gpus"], answer["duplicate"]) == (4, False)
    renter = await renter_of(exchange, "renter")
    bought = await renter.post("/orders", {"instrument": SPOT, "side": "buy", "quantity": 2, "price": "2.5"})
    (let,) = bought["leases"]
    assert let["gpus"] == 2
    shrunk = await holder.get(f"/leases/{lease['id']}", min_seq=bought["seq"])
    assert (shrunk["gpus"], shrunk["state"]) == (2, "active")
    (mine,) = (await holder.get("/leases", role="provider", min_seq=bought["seq"]))["leases"]
    assert mine["id"] == let["id"], "the holder stands as its provider"
    # A crash between engine and registry: the first answer isn't known any more.
    registry = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    with registry.begin() as connection:
        assert connection.execute(text("DELETE FROM idempotency")).rowcount == 1
    registry.dispose()
    again = await holder.post(path, body, idempotency_key="once")
    assert (again["duplicate"], again["seq"], [each["id"] for each in again["orders"]]) == (
        True,
        answer["seq"],
        [order["id"]],
    )
    assert again["orders"][0]["leaves_quantity"] == 1


async def test_what_cannot_be_released_says_why(exchange: Floor) -> None:
    _, _, holder, lease = await reserved(exchange)
    path = f"/leases/{lease['id']}/release"
    for body, code, field in (
        ({"as": "spot", "quantity": 5, "price": "2.5"}, "invalid_quantity", "quantity"),
        ({"as": "forwards", "quantity": 1, "price": "2.5"}, "no_whole_period", "as"),
        ({"as": "later", "quantity": 1, "price": "2.5"}, "invalid_field", "as"),
        ({"as": "spot", "quantity": 1}, "missing_field", "price"),
        ({"as": "spot", "quantity": 1, "price": "2.5", "hours": 1}, "unknown_field", "hours"),
    ):
        problem = await holder.refused("POST", path, body)
        assert (problem["code"], problem.get("field")) == (code, field), body
    problem = await holder.refused("POST", path, {"as": "spot", "quantity": 5, "price": "2.5"})
    assert problem["detail"] == "The lease has fewer GPUs than 5. Give at most as many as it has."
    stranger = await exchange.open("stranger")
    problem = await stranger.refused("POST", path, {"as": "spot", "quantity": 1, "price": "2.5"})
    assert problem["code"] == "unknown_lease"


async def test_the_ledger_adds_up_through_subleases_that_end_and_fail(exchange: Floor, tmp_path: Path) -> None:
    provider, _, holder, lease = await reserved(exchange)
    path = f"/leases/{lease['id']}/release"
    await holder.post(path, {"as": "spot", "quantity": 1, "price": "2.5"})
    await holder.post(path, {"as": "ondemand", "quantity": 2, "price": "2.6"})
    renter = await renter_of(exchange, "renter")
    lets = []
    for kind, gpus, hours in (("spot", 1, None), ("ondemand", 2, 3)):
        order = {"instrument": f"{SKU}.us-east.{kind}", "side": "buy", "quantity": gpus, "price": "3.0", "hours": hours}
        (let,) = (await renter.post("/orders", {name: said for name, said in order.items() if said}))["leases"]
        lets.append(parse_id("lse", let["id"]))
        await exchange.enter(LeaseActive(lease_id=lets[-1], access=ACCESS))
    await at(exchange, 2)
    row = exchange.machine.state.leases[lets[0]]
    await exchange.enter(EndLease(account=row.renter, lease_id=lets[0]))
    now_ns = exchange.machine.last_ts_ns
    failed = LeaseFailed(lease_id=lets[1], fault=Fault.PROVIDER, as_of_ns=now_ns, detail="")
    seq = (await exchange.enter(failed)).seq
    assert await exchange.deps.ledger.reached(seq, 5.0)
    engine = EngineState(
        seq=seq,
        ts_ns=now_ns,
        next_due_ns=exchange.machine.next_due_ns(),
        balances=list(exchange.machine.balances()),
    )
    with ledger_moment(tmp_path / "ledger.db") as moment:
        assert moment.prove(engine).findings == []
    balances = await holder.get("/balances", min_seq=seq)
    # Two hours of one GPU at $2.50, and of two at $2.60; half of the reservation failed with the latter.
    assert balances["receivable"] == "15.400000"
    (owed,) = (await holder.get("/obligations", open=True, min_seq=seq))["obligations"]
    assert (owed["gpus"], owed["change"]) == (2, "cut")
    assert (await provider.get("/balances", min_seq=seq))["receivable"] == "16.000000"
