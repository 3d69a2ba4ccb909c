"""Forwards as their parties see them: orders, obligations, positions, delivery, and a ledger that adds up (rulebook §8, §9)."""

from __future__ import annotations

from pathlib import Path

from engine.messages import Deposit
from engine.units import NS_PER_HOUR
from settlement.verify import EngineState, ledger_moment
from tests.exchange.gateway.floor import SKU, SSH_KEY, Client, Floor

DAY = f"{SKU}.us-east.fwd-2025-10-10"
DAY_START_NS = 1_760_054_400 * 10**9
"""2025-10-10, 00:00 UTC."""


async def sold(exchange: Floor, gpus: int = 4) -> tuple[Client, str, Client]:
    """A provider's Baron, and a renter without an SSH key that bought a day of it at $2."""
    provider = await exchange.open("provider", "10000.00")
    baron = await exchange.baron(provider)
    await provider.post(
        "/orders", {"instrument": DAY, "side": "sell", "quantity": gpus, "price": "2.0", "baron": baron}
    )
    renter = await exchange.open("renter", "10000.00")
    bought = await renter.post("/orders", {"instrument": DAY, "side": "buy", "quantity": gpus, "price": "2.0"})
    assert bought["order"]["status"] == "filled"
    assert (bought["fills"][0]["lease_id"], bought["fills"][0]["simulated"]) == (None, True)
    return provider, baron, renter


async def test_what_was_bought_shows_as_obligation_and_position(exchange: Floor) -> None:
    provider, baron, renter = await sold(exchange)
    seq = exchange.machine.last_seq
    (mine,) = (await renter.get("/obligations", min_seq=seq))["obligations"]
    assert {name: mine[name] for name in ("role", "baron", "gpus", "price", "escrow", "bond", "delivery", "lease")} == {
        "role": "holder",
        "baron": baron,
        "gpus": 4,
        "price": "2.0000",
        "escrow": "192.000000",
        "bond": "19.200000",
        "delivery": False,
        "lease": None,
    }
    assert (mine["start"], mine["end"]) == ("2025-10-10T00:00:00.000000Z", "2025-10-11T00:00:00.000000Z")
    (owed,) = (await provider.get("/obligations", role="provider"))["obligations"]
    assert (owed["id"], owed["role"]) == (mine["id"], "provider")
    assert (await provider.get("/obligations"))["obligations"] == []
    (position,) = (await renter.get("/positions"))["positions"]
    assert (position["baron"], position["gpus"], position["start"], position["end"]) == (
        baron,
        4,
        mine["start"],
        mine["end"],
    )
    stranger = await exchange.open("stranger")
    for path in (f"/obligations/{mine['id']}", "/obligations/obl_0000000000000", "/obligations/nonsense"):
        assert (await stranger.refused("GET", path))["code"] == "unknown_obligation"


async def test_a_resale_moves_the_obligation_and_positions_follow(exchange: Floor) -> None:
    _, baron, renter = await sold(exchange)
    resold = {"instrument": DAY, "side": "sell", "quantity": 1, "price": "2.5", "baron": baron, "reduce_only": True}
    await renter.post("/orders", resold)
    other = await exchange.open("other", "1000.00")
    await other.post("/orders", {"instrument": DAY, "side": "buy", "quantity": 1, "price": "2.5"})
    seq = exchange.machine.last_seq
    assert [row["gpus"] for row in (await renter.get("/positions", min_seq=seq))["positions"]] == [3]
    (got,) = (await other.get("/obligations", open=True))["obligations"]
    assert (got["gpus"], got["price"], got["change"]) == (1, "2.0000", "resold")


async def test_who_has_no_key_says_later_where_to(exchange: Floor) -> None:
    _, _, renter = await sold(exchange)
    (mine,) = (await renter.get("/obligations", min_seq=exchange.machine.last_seq))["obligations"]
    path = f"/obligations/{mine['id']}"
    assert (await renter.refused("PATCH", path, {}))["code"] == "no_ssh_key"
    answer = await renter.ask("PATCH", path, {"ssh_keys": [SSH_KEY]})
    assert (answer.status_code, answer.json()["delivery"], answer.json()["change"]) == (200, True, "addressed")
    stranger = await exchange.open("stranger")
    assert (await stranger.refused("PATCH", path, {"ssh_keys": [SSH_KEY]}))["code"] == "unknown_obligation"


async def test_hours_are_paid_and_the_ledger_adds_up(exchange: Floor, tmp_path: Path) -> None:
    provider, _, renter = await sold(exchange)
    seq = 0
    for hour in (0, 1, 24):
        exchange.clock.now_ns = DAY_START_NS + hour * NS_PER_HOUR
        seq = (await exchange.enter(Deposit(account=1, amount_micros=1_000_000, client_id=""))).seq
        assert await exchange.deps.ledger.reached(seq, 5.0)
        engine = EngineState(
            seq=seq,
            ts_ns=exchange.machine.last_ts_ns,
            next_due_ns=exchange.machine.next_due_ns(),
            balances=list(exchange.machine.balances()),
        )
        with ledger_moment(tmp_path / "ledger.db") as moment:
            assert moment.prove(engine).findings == []
    (lease,) = (await renter.get("/leases", min_seq=seq))["leases"]
    assert (lease["kind"], lease["state"], lease["price"], lease["order_id"]) == ("forward", "ended", "0.0000", None)
    (over,) = (await renter.get("/obligations"))["obligations"]
    assert (over["live"], over["change"], over["escrow"]) == (False, "delivered", "0.000000")
    assert (await renter.get("/positions"))["positions"] == []
    balances = await provider.get("/balances", min_seq=seq)
    assert balances["receivable"] == "192.000000"
    (line,) = (await provider.get("/statements/2025-10"))["leases"]
    # Out of its escrow into its receivable: nothing came to the provider, and nothing is paid out yet.
    assert (line["lease_id"], line["usage"], line["paid_out"]) == (lease["id"], "0.000000", "0.000000")


async def test_a_sell_of_ones_own_is_no_reduction(exchange: Floor) -> None:
    provider = await exchange.open("provider", "1000.00")
    baron = await exchange.baron(provider)
    order = {"instrument": DAY, "side": "sell", "quantity": 1, "price": "2.0", "baron": baron, "reduce_only": True}
    problem = await provider.refused("POST", "/orders", order)
    assert (problem["code"], problem["field"]) == ("reduce_only", "reduce_only")
    buy = {"instrument": DAY, "side": "buy", "quantity": 1, "price": "2.0", "reduce_only": True}
    assert (await provider.refused("POST", "/orders", buy))["field"] == "reduce_only"
