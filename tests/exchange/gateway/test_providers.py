"""A provider's Barons and offers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engine.kinds import Presence
from engine.messages import Command, OpenAccount, RegisterBaron, Reply, SetCapacity, SetPresence
from exchange.gateway.deps import Deps
from exchange.registry.pending import send_pending
from exchange.sequencer.interface import OutcomeUnknown, Overloaded
from tests.exchange.gateway.floor import ONDEMAND, SKU, SPOT, SSH_KEY, Floor, floor, number_of

BARON = {"sku": SKU, "region": "us-east", "name": "rack 1"}


async def test_a_baron_is_registered_enrolled_and_shown(exchange: Floor) -> None:
    provider = await exchange.open("provider", "1000.00")
    made = await provider.post("/barons", BARON)
    assert made["enrolment_token"].startswith("hbe_")
    shown = await provider.get(f"/barons/{made['id']}", min_seq=made["seq"])
    assert (shown["enrolled"], shown["online"], shown["verified_gpus"]) == (False, False, 0)
    enrolled = await exchange.deps.registry.enroll(made["enrolment_token"])
    assert enrolled is not None
    assert enrolled[0].baron == number_of(made["id"])
    (listed,) = (await provider.get("/barons"))["barons"]
    assert (listed["id"], listed["enrolled"], listed["name"]) == (made["id"], True, "rack 1")
    stranger = await exchange.open("stranger")
    assert (await stranger.refused("GET", f"/barons/{made['id']}"))["code"] == "unknown_baron"
    assert (await stranger.get("/barons"))["barons"] == []


async def test_a_baron_of_no_market_is_refused_and_leaves_nothing(exchange: Floor) -> None:
    provider = await exchange.open("provider", "1000.00")
    problem = await provider.refused("POST", "/barons", BARON | {"region": "mars"})
    assert (problem["status"], problem["code"]) == (404, "unknown_instrument")
    assert (await provider.get("/barons"))["barons"] == []


async def test_what_a_simulated_baron_sells_is_marked(exchange: Floor) -> None:
    provider = await exchange.open("provider", "100")
    await provider.post("/ssh-keys", {"name": "laptop", "public_key": SSH_KEY})
    simulated, real = await exchange.baron(provider), await exchange.baron(provider)
    await exchange.enter(SetCapacity(baron=number_of(real), gpus=8, simulated=False))
    for baron, marked in ((simulated, True), (real, False)):
        sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": baron}
        placed = await provider.post("/orders", sell)
        assert placed["order"]["simulated"] is marked
        shown = await provider.get(f"/orders/{placed['order']['id']}")
        assert (shown["baron"], shown["simulated"]) == (baron, marked)
    bought = await provider.post("/orders", {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1.0000"})
    assert (bought["order"]["baron"], bought["order"]["simulated"]) == (None, None)
    listed = (await provider.get("/orders", min_seq=exchange.machine.last_seq))["orders"]
    assert [order["simulated"] for order in listed] == [None, False, True]
    renter = await exchange.renter()
    for marked in (False, True):
        cheaper = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "1.5000"}
        await provider.post("/orders", cheaper | {"baron": simulated if marked else real})
        taken = await renter.post("/orders", {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "1.5000"})
        assert [fill["simulated"] for fill in taken["fills"]] == [marked]
    traded = (await renter.get(f"/trades/{SPOT}", min_seq=exchange.machine.last_seq))["trades"]
    assert [trade["simulated"] for trade in traded] == [True, False]
    offers = [{"baron": baron, "instrument": SPOT, "price": "2", "gpus": 4} for baron in (simulated, real)]
    answer = (await provider.ask("PUT", "/asks", {"offers": offers})).json()
    assert [offer["simulated"] for offer in answer["offers"]] == [True, False]
    assert (await provider.get("/asks"))["offers"] == answer["offers"]


async def test_an_ask_that_stands_and_cant_be_told_yet_has_an_unknown_outcome(
    exchange: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = await exchange.open("provider", "1000.00")
    baron = await exchange.baron(provider)

    async def behind(_seq: int, _timeout_s: float) -> bool:
        return False

    sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": baron}
    headers = {"Idempotency-Key": "once"}
    with monkeypatch.context() as patched:
        patched.setattr(exchange.deps.read, "reached", behind)
        problem = await provider.refused("POST", "/orders", sell, headers=headers)
    assert (problem["status"], problem["code"], problem["outcome"]) == (503, "read_side_behind", "unknown")
    again = await provider.post("/orders", sell, Idempotency_Key="once")
    assert (again["duplicate"], again["seq"], again["order"]["simulated"]) == (True, problem["seq"], True)


async def test_offers_stand_as_a_whole_list(exchange: Floor) -> None:
    provider, baron = await exchange.seller(price="2.0000")
    other = await exchange.open("other")
    spot = {"baron": baron, "instrument": SPOT, "price": "1.9000", "gpus": 8}
    firm = {"baron": baron, "instrument": ONDEMAND, "price": "2.5000", "gpus": 4, "max_hours": 24}
    firm |= {"min_hours": 6, "lot": 2}
    answer = (await provider.ask("PUT", "/asks", {"offers": [spot, firm]})).json()
    listed = {"simulated": True, "note": None}
    assert answer["offers"] == [
        spot | listed | {"max_hours": None, "min_hours": None, "lot": None, "listed_gpus": 8},
        firm | listed | {"listed_gpus": 4},
    ]
    assert await provider.get("/asks", min_seq=answer["seq"]) == answer
    (level,) = (await provider.get(f"/books/{ONDEMAND}"))["asks"]
    assert (level["quantity"], level["conditional_quantity"]) == (0, 4)
    asks = (await provider.get(f"/books/{SPOT}", min_seq=answer["seq"]))["asks"]
    assert [(level["price"], level["quantity"]) for level in asks] == [("1.9000", 8)]
    (order,) = [one for one in (await provider.get("/orders", open=True))["orders"] if one["instrument"] == SPOT]
    assert (order["origin"], order["simulated"]) == ("offer", True)
    assert (await provider.refused("DELETE", f"/orders/{order['id']}"))["code"] == "offer_order"

    problem = await other.refused("PUT", "/asks", {"offers": [spot]})
    assert (problem["status"], problem["code"]) == (403, "not_your_baron")
    problem = await provider.refused("PUT", "/asks", {"offers": [spot, firm | {"price": "0.00001"}]})
    assert (problem["code"], problem["field"]) == ("invalid_price", "offers[1].price")
    problem = await provider.refused("PUT", "/asks", {"offers": [spot, spot]})
    assert problem["code"] == "invalid_offer"
    assert (await provider.get("/asks", min_seq=exchange.machine.last_seq))["offers"] == answer["offers"]
    none = (await provider.ask("PUT", "/asks", {"offers": []})).json()
    assert none["offers"] == []
    assert (await provider.get(f"/books/{SPOT}", min_seq=none["seq"]))["asks"] == []


async def test_an_offer_that_isnt_listed_whole_says_why(tmp_path: Path) -> None:
    online: dict[int, int] = {}
    async with floor(tmp_path, lambda deps: dataclasses.replace(deps, baron_heartbeats=lambda: online)) as exchange:
        await _offer_step_by_step(exchange, online)


async def _offer_step_by_step(exchange: Floor, online: dict[int, int]) -> None:
    provider = await exchange.open("provider", "100")
    await provider.post("/ssh-keys", {"name": "laptop", "public_key": SSH_KEY})
    made = await provider.post("/barons", BARON)
    baron, number = made["id"], number_of(made["id"])

    async def offered(gpus: int = 8) -> tuple[int, str | None]:
        offer = {"baron": baron, "instrument": SPOT, "price": "2", "gpus": gpus}
        answer = (await provider.ask("PUT", "/asks", {"offers": [offer]})).json()
        assert await provider.get("/asks", min_seq=answer["seq"]) == answer
        return answer["offers"][0]["listed_gpus"], answer["offers"][0]["note"]

    nothing = f"0 of 8 GPUs are listed: Baron {baron} has no verified GPUs; its agent "
    assert await offered() == (0, nothing + "has not reported yet; enrol and run it there: baron enroll, baron run")
    await exchange.deps.registry.enroll(made["enrolment_token"])
    assert await offered() == (0, nothing + "is not connected; run it there: baron run")
    online[number] = exchange.clock()
    assert await offered() == (0, nothing + f"is connected, and none of its GPUs is verified as {SKU}")
    await exchange.enter(SetCapacity(baron=number, gpus=5, simulated=True))
    assert await offered() == (5, f"5 of 8 GPUs are listed: Baron {baron} has 5 of 5 verified GPUs free")
    assert await offered(5) == (5, None)
    renter = await exchange.renter()
    await renter.post("/rentals", {"sku": SKU, "kind": "spot", "gpus": 5, "hours": 1})
    assert await offered(5) == (0, f"0 of 5 GPUs are listed: Baron {baron} has 0 of 5 verified GPUs free")
    await exchange.enter(SetCapacity(baron=number, gpus=8, simulated=True))
    await provider.post("/orders", {"instrument": SPOT, "side": "buy", "quantity": 1, "price": "2.0000"})
    listed_gpus, note = await offered()
    assert listed_gpus == 0
    assert note is not None
    assert "has 3 of 8 verified GPUs free; what is leased under the offer counts" in note


async def test_an_on_demand_offer_without_its_bond_says_that_it_needs_one(exchange: Floor) -> None:
    provider, baron = await exchange.seller(price="2.0000")
    offer = {"baron": baron, "instrument": ONDEMAND, "price": "150.0000", "gpus": 8, "max_hours": 24}
    for deposit, listed_gpus in ((None, 0), ("1000.00", 8)):
        if deposit:
            await exchange.admin.post("/deposits", {"account": provider.account, "amount": deposit})
        (listed,) = (await provider.ask("PUT", "/asks", {"offers": [offer]})).json()["offers"]
        assert listed["listed_gpus"] == listed_gpus
        assert (listed["note"] is None) == bool(deposit)
        assert deposit or "a bond of an hour at its price in your available" in listed["note"]
        order = {
            "instrument": ONDEMAND,
            "side": "sell",
            "quantity": 8,
            "price": "900.0000",
            "baron": baron,
            "max_hours": 24,
        }
        problem = await provider.refused("POST", "/orders", order)
        assert deposit or (problem["code"], "its bond" in problem["detail"]) == ("insufficient_funds", True)


async def test_a_baron_is_drained_by_its_owner_and_comes_back(exchange: Floor) -> None:
    provider, baron = await exchange.seller(price="2.0000")
    path = f"/barons/{baron}/drain"
    for owner in (await exchange.open("other"), exchange.admin):
        problem = await owner.refused("POST", path, {"draining": True})
        assert (problem["status"], problem["code"]) == (403, "not_your_baron")
    assert (await provider.refused("POST", "/barons/brn_0000000000099/drain", {"draining": True}))["status"] == 404
    assert (await provider.refused("POST", path, {"drain": True}))["code"] == "unknown_field"
    reader = await exchange.open("reader", scopes=["read", "trade"])
    assert (await reader.refused("POST", path, {"draining": True}))["code"] == "missing_scope"
    drained = await provider.post(path, {"draining": True}, 200, Idempotency_Key="once")
    assert (drained["baron"], drained["presence"], drained["draining"]) == (baron, "reporting", True)
    assert await provider.post(path, {"draining": True}, 200, Idempotency_Key="once") == drained
    shown = await provider.get(f"/barons/{baron}", min_seq=drained["seq"])
    assert (shown["presence"], shown["draining"], shown["verified_gpus"]) == ("reporting", True, 8)
    assert (await provider.get(f"/books/{SPOT}"))["asks"] == []
    sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": baron}
    problem = await provider.refused("POST", "/orders", sell)
    assert (problem["status"], problem["code"], problem["field"]) == (409, "baron_drained", "baron")
    (offer,) = (await provider.get("/asks", min_seq=drained["seq"]))["offers"]
    assert (offer["listed_gpus"], "is drained" in offer["note"]) == (0, True)
    back = await provider.post(path, {"draining": False}, 200)
    assert back["draining"] is False
    (offer,) = (await provider.get("/asks", min_seq=back["seq"]))["offers"]
    assert (offer["listed_gpus"], offer["note"]) == (8, None)


async def test_a_quiet_baron_sells_nothing_and_says_so(exchange: Floor) -> None:
    provider, baron = await exchange.seller(price="2.0000")
    number = number_of(baron)
    quiet = await exchange.enter(SetPresence(baron=number, presence=Presence.QUIET))
    (shown,) = (await provider.get("/barons", min_seq=quiet.seq))["barons"]
    assert (shown["presence"], shown["draining"], shown["verified_gpus"]) == ("quiet", False, 8)
    sell = {"instrument": SPOT, "side": "sell", "quantity": 1, "price": "2.0000", "baron": baron}
    problem = await provider.refused("POST", "/orders", sell)
    assert (problem["status"], problem["code"]) == (409, "baron_quiet")
    offers = {"offers": [{"baron": baron, "instrument": SPOT, "price": "1.9000", "gpus": 8}]}
    (offer,) = (await provider.ask("PUT", "/asks", offers)).json()["offers"]
    assert (offer["listed_gpus"], "nothing is heard of Baron" in offer["note"]) == (0, True)
    lost = await exchange.enter(SetPresence(baron=number, presence=Presence.LOST, as_of_ns=exchange.clock()))
    assert (await provider.get(f"/barons/{baron}", min_seq=lost.seq))["presence"] == "lost"
    back = await exchange.enter(SetPresence(baron=number, presence=Presence.REPORTING))
    asks = (await provider.get(f"/books/{SPOT}", min_seq=back.seq))["asks"]
    assert [(level["price"], level["quantity"]) for level in asks] == [("1.9000", 8)]


class Failing:
    """A sequencer that fails for some commands: before it takes them, or after."""

    def __init__(self, deps: Deps) -> None:
        self._submit = deps.submit
        self.error: type[Exception] | None = None

    async def __call__(self, command: Command) -> Reply:
        if self.error is Overloaded and isinstance(command, OpenAccount | RegisterBaron):
            raise Overloaded("full")
        reply = await self._submit(command)
        if self.error is OutcomeUnknown and isinstance(command, OpenAccount | RegisterBaron):
            raise OutcomeUnknown("the log failed")
        return reply


async def test_what_wasnt_taken_is_forgotten_and_what_isnt_known_is_settled_later(tmp_path: Path) -> None:
    failing: list[Failing] = []

    def break_it(deps: Deps) -> Deps:
        failing.append(Failing(deps))
        return dataclasses.replace(deps, submit=failing[0])

    async with floor(tmp_path, break_it) as exchange:
        provider = await exchange.open("provider", "1000.00")
        failing[0].error = Overloaded
        problem = await provider.refused("POST", "/barons", BARON)
        assert (problem["status"], problem["code"], problem["outcome"]) == (503, "overloaded", "rejected")
        assert problem["retry_after_ms"] > 0
        assert await exchange.deps.registry.pending() == []

        failing[0].error = OutcomeUnknown
        for client, path, body in (
            (provider, "/barons", BARON),
            (exchange.admin, "/accounts", {"name": "x", "scopes": ["read"]}),
        ):
            problem = await client.refused("POST", path, body)
            assert (problem["status"], problem["code"], problem["outcome"]) == (503, "outcome_unknown", "unknown")
        assert [type(command) for command in await exchange.deps.registry.pending()] == [OpenAccount, RegisterBaron]
        assert (await provider.get("/barons"))["barons"] == []
        failing[0].error = None
        assert await send_pending(exchange.deps.registry, exchange.deps.submit) == 2
        assert await exchange.deps.registry.pending() == []
        assert len((await provider.get("/barons"))["barons"]) == 1
