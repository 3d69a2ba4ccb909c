"""From a quote to a lease that has ended, through the public API."""

from __future__ import annotations

import shlex
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from engine.messages import LeaseActive, LeaseScheduled
from exchange.gateway.views.leases import ssh_command
from tests.exchange.gateway.floor import ACCESS, ONDEMAND, SKU, SPOT, SSH_KEY, Floor, number_of
from tests.waiting import wait_until_async


async def test_the_whole_story_of_a_lease(exchange: Floor) -> None:
    provider, baron = await exchange.seller(price="2.0000")
    renter = await exchange.renter("1000")
    wanted = {"sku": SKU, "kind": "spot", "gpus": 2, "hours": 3}

    quotes = (await renter.post("/quotes", wanted, status=200))["quotes"]
    assert [(quote["region"], quote["reason"]) for quote in quotes] == [("us-east", None), ("us-west", "no_liquidity")]
    assert quotes[0]["best_price"] == quotes[0]["worst_price"] == "2.0000"
    assert (quotes[0]["cost_per_hour"], quotes[0]["fee_per_hour"]) == ("4.000000", "0.020000")
    assert quotes[1]["cost_per_hour"] is None
    assert [quote["simulated"] for quote in quotes] == [True, False]

    rental = await renter.post("/rentals", wanted)
    (lease,) = rental["leases"]
    assert rental["instrument"] == lease["instrument"] == SPOT
    assert (lease["state"], lease["gpus"], lease["price"], lease["baron"]) == ("provisioning", 2, "2.0000", baron)
    assert lease["simulated"] is True
    assert lease["ssh"] is None
    assert await renter.get(f"/leases/{lease['id']}") == lease

    await exchange.enter(LeaseActive(lease_id=number_of(lease["id"]), access=ACCESS))
    seq = exchange.machine.last_seq
    active = await renter.get(f"/leases/{lease['id']}", min_seq=seq)
    assert active["state"] == "active"
    assert active["ssh"]["command"].startswith("ssh -p 22001 ")
    assert active["ssh"]["host_key"] == "ssh-ed25519 AAAAHOST"

    as_provider = (await provider.get("/leases", role="provider"))["leases"]
    assert [(one["id"], one["ssh"], one["order_id"]) for one in as_provider] == [(lease["id"], None, None)]
    assert (await provider.get("/leases"))["leases"] == []

    exchange.clock.now_ns += 3600 * 10**9
    ended = await renter.delete(f"/leases/{lease['id']}")
    assert (ended["state"], ended["reason"], ended["charged"]) == ("ended", "quit", "4.000000")
    assert ended["ssh"] is None
    assert ended == await renter.get(f"/leases/{lease['id']}", min_seq=ended["seq"])

    again = await renter.refused("DELETE", f"/leases/{lease['id']}")
    assert (again["status"], again["code"]) == (409, "lease_ended")
    balances = await renter.get("/balances", min_seq=ended["seq"])
    assert (balances["available"], balances["held"]) == ("995.980000", "0.000000")


async def test_the_price_of_a_spot_lease_is_raised(exchange: Floor) -> None:
    provider, _ = await exchange.seller(price="2.0000")
    renter = await exchange.renter("20")
    wanted = {"sku": SKU, "kind": "spot", "gpus": 2, "hours": 3}
    (lease,) = (await renter.post("/rentals", wanted))["leases"]
    path = f"/leases/{lease['id']}"
    await exchange.enter(LeaseActive(lease_id=number_of(lease["id"]), access=ACCESS))
    exchange.clock.now_ns += 1800 * 10**9
    raised = (await renter.ask("PATCH", path, {"price": "2.5000"})).json()
    assert (raised["price"], raised["state"], raised["accrued"]) == ("2.5000", "active", "2.000000")
    assert raised == await renter.get(path, min_seq=raised["seq"])
    exchange.clock.now_ns += 1800 * 10**9
    assert (await renter.get(path))["accrued"] == "4.500000"
    for price, status, code in (
        ("2.5000", 409, "price_not_higher"),
        ("1000.0000", 409, "insufficient_funds"),
        ("0", 422, "invalid_price"),
        ("2.50001", 422, "invalid_price"),
    ):
        problem = await renter.refused("PATCH", path, {"price": price})
        assert (problem["status"], problem["code"], problem["field"]) == (status, code, "price")
    assert (await renter.refused("PATCH", path, {}))["code"] == "missing_field"
    assert (await provider.refused("PATCH", path, {"price": "3"}))["code"] == "unknown_lease"
    reader = await exchange.open("reader", scopes=["read", "trade"])
    assert (await reader.refused("PATCH", path, {"price": "3"}))["code"] == "missing_scope"
    ended = await renter.delete(path)
    assert ended["charged"] == "4.500000"
    ended = await renter.refused("PATCH", path, {"price": "3"})
    assert ended["code"] == "lease_ended" and "changed" in ended["detail"]


async def test_an_on_demand_lease_is_extended(exchange: Floor) -> None:
    provider, baron = await exchange.seller(price="2.0000", symbol=ONDEMAND)
    renter = await exchange.renter("100")
    wanted = {"sku": SKU, "kind": "ondemand", "gpus": 2, "hours": 1, "max_price": "2.2000"}
    (lease,) = (await renter.post("/rentals", wanted))["leases"]
    assert (lease["max_price"], lease["auto_extend"]) == ("2.2000", False)
    path = f"/leases/{lease['id']}"
    await exchange.enter(LeaseActive(lease_id=number_of(lease["id"]), access=ACCESS))
    assert (await renter.refused("POST", f"{path}/extend", {"hours": 2}))["code"] == "too_early_to_extend"
    exchange.clock.now_ns += 3_300 * 10**9
    offer = {"baron": baron, "instrument": ONDEMAND, "gpus": 8, "max_hours": 48}
    assert (await provider.ask("PUT", "/asks", {"offers": [offer | {"price": "2.1000"}]})).status_code == 200
    assert (await provider.refused("POST", f"{path}/extend", {"hours": 2}))["code"] == "unknown_lease"
    extended = await renter.post(f"{path}/extend", {"hours": 2}, status=200, idempotency_key="once")
    assert (extended["price"], extended["state"]) == ("2.0000", "active"), "the old term is paid at the old price"
    started = datetime.fromisoformat(lease["started"])
    assert datetime.fromisoformat(extended["term_end"]) == started + timedelta(hours=3)
    assert await renter.post(f"{path}/extend", {"hours": 2}, status=200, idempotency_key="once") == extended
    exchange.clock.now_ns += 300 * 10**9
    await exchange.open("somebody")
    assert (await renter.get(path, min_seq=exchange.machine.last_seq))["price"] == "2.1000"

    automatic = (await renter.ask("PATCH", path, {"auto_extend": True})).json()
    assert automatic["auto_extend"] is True
    assert automatic["seq"] > extended["seq"]
    both = await renter.refused("PATCH", path, {"auto_extend": True, "price": "3"})
    assert (both["code"], both["field"]) == ("invalid_field", "auto_extend")
    assert (await renter.refused("PATCH", path, {"price": "3"}))["code"] == "not_spot"
    exchange.clock.now_ns += 7_000 * 10**9
    await exchange.open("somebody else")
    longer = await renter.get(path, min_seq=exchange.machine.last_seq)
    assert datetime.fromisoformat(longer["term_end"]) == started + timedelta(hours=4)
    assert (longer["charged"], longer["accrued"]) == ("8.200000", "3.966666")


async def test_a_lease_of_somebody_else_is_unknown(exchange: Floor) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    (lease,) = (await renter.post("/rentals", {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}))["leases"]
    stranger = await exchange.renter()
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        problem = await stranger.refused(method, f"/leases/{lease['id']}{path}")
        assert (problem["status"], problem["code"]) == (404, "unknown_lease")
    assert (await renter.get(f"/leases/{lease['id']}"))["state"] == "provisioning"


async def test_the_keys_given_ride_along_and_else_the_stored_ones(exchange: Floor) -> None:
    await exchange.seller(symbol=ONDEMAND)
    renter = await exchange.open("renter", "1000")
    wanted = {"sku": SKU, "kind": "ondemand", "gpus": 1, "hours": 2}
    assert (await renter.refused("POST", "/rentals", wanted))["code"] == "no_ssh_key"
    await renter.post("/rentals", wanted | {"ssh_keys": [SSH_KEY + " me@home"]})
    await renter.post("/ssh-keys", {"name": "laptop", "public_key": SSH_KEY})
    await renter.post("/rentals", wanted)

    def deliveries() -> list[bytes]:
        events = (event for reply in exchange.replies for event in reply.events)
        return [event.delivery for event in events if isinstance(event, LeaseScheduled)]

    await wait_until_async(lambda: len(deliveries()) == 2, "both leases' events")
    assert deliveries() == [b'{"ssh_keys":["%s"]}' % SSH_KEY.encode()] * 2


async def test_regions_are_chosen_and_named(exchange: Floor) -> None:
    await exchange.seller(price="3.0000")
    renter = await exchange.renter()
    wanted = {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}
    problem = await renter.refused("POST", "/rentals", wanted | {"regions": ["us-west"]})
    assert (problem["status"], problem["code"], problem["outcome"]) == (409, "no_liquidity", "rejected")
    problem = await renter.refused("POST", "/rentals", wanted | {"regions": ["us-east", "mars"]})
    assert (problem["code"], problem["field"]) == ("unknown_instrument", "regions[1]")
    problem = await renter.refused("POST", "/rentals", wanted | {"max_price": "2.9999"})
    assert problem["code"] == "price_above_maximum"
    rental = await renter.post("/rentals", wanted | {"regions": ["us-west", "us-east"], "max_price": "3.0000"})
    assert rental["leases"][0]["region"] == "us-east"


async def test_leases_page_newest_first(exchange: Floor) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    made = [
        (await renter.post("/rentals", {"sku": SKU, "kind": "spot", "gpus": 1, "hours": 1}))["leases"][0]["id"]
        for _ in range(5)
    ]
    page = await renter.get("/leases", limit=2, min_seq=exchange.machine.last_seq)
    found = [lease["id"] for lease in page["leases"]]
    while page["next_cursor"]:
        page = await renter.get("/leases", limit=2, cursor=page["next_cursor"])
        found += [lease["id"] for lease in page["leases"]]
    assert found == made[::-1]


def test_the_ssh_command_is_one_that_ssh_understands(tmp_path: Path) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    words = shlex.split(ssh_command("127.0.0.1", 22017, "gpu", key))
    assert words[0] == "ssh"
    asked = subprocess.run(["ssh", "-G", *words[1:]], capture_output=True, text=True, check=True, timeout=30)
    settings = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
    assert (settings["hostname"], settings["port"], settings["user"]) == ("127.0.0.1", "22017", "gpu")
    assert settings["stricthostkeychecking"] in {"yes", "true"}
    assert settings["userknownhostsfile"] == settings["globalknownhostsfile"] == "/dev/null"
    assert settings["knownhostscommand"] == f"/bin/echo [127.0.0.1]:22017 {key}"
