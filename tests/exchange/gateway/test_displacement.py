"""Spot that yields, as its people see it: who displaces, who is displaced, and everybody who watches the trades."""

from __future__ import annotations

from engine.messages import LeaseActive, LeaseWiped
from tests.exchange.gateway.floor import ACCESS, ONDEMAND, SKU, SPOT, Client, Floor, Json, number_of

BID: Json = {"instrument": SPOT, "side": "buy", "quantity": 2, "price": "2.0000"}


async def running(exchange: Floor, price: str = "1.8000") -> tuple[Client, Client, Json]:
    """A provider, and a renter's active spot lease of 2 GPUs at a price."""
    provider, _ = await exchange.seller(price=price, gpus=2)
    renter = await exchange.renter()
    wanted = {"sku": SKU, "kind": "spot", "gpus": 2, "hours": 24}
    (lease,) = (await renter.post("/rentals", wanted))["leases"]
    await exchange.enter(LeaseActive(lease_id=number_of(lease["id"]), access=ACCESS))
    return provider, renter, lease


async def test_a_bid_displaces_and_waits_for_the_wipe(exchange: Floor) -> None:
    provider, holder, old = await running(exchange)
    newcomer = await exchange.renter()
    placed = await newcomer.post("/orders", BID)
    assert (placed["order"]["status"], placed["order"]["cum_quantity"]) == ("filled", 2)
    (fill,) = placed["fills"]
    assert (fill["price"], fill["quantity"], fill["liquidity"], fill["simulated"]) == ("2.0000", 2, "taker", True)
    (lease,) = placed["leases"]
    assert (lease["id"], lease["state"], lease["price"], lease["ssh"]) == (
        fill["lease_id"],
        "scheduled",
        "2.0000",
        None,
    )
    assert (lease["simulated"], lease["baron"]) == (True, old["baron"])
    seq = placed["seq"]
    assert await newcomer.get(f"/leases/{lease['id']}", min_seq=seq) == lease
    shown = await holder.get(f"/leases/{old['id']}", min_seq=seq)
    assert (shown["state"], shown["reason"]) == ("ending", "displaced")
    assert shown["ends"] is not None and shown["ssh"] is not None

    (trade, before) = (await newcomer.get(f"/trades/{SPOT}", min_seq=seq))["trades"]
    assert (trade["displacement"], trade["price"], trade["taker_side"]) == (True, "2.0000", "buy")
    assert (before["displacement"], before["price"]) == (False, "1.8000")
    assert trade["id"] == fill["trade_id"]
    assert await provider.refused("GET", f"/orders/{placed['order']['id']}")

    problem = await newcomer.refused("PATCH", f"/leases/{lease['id']}", {"price": "3.0000"})
    assert (problem["status"], problem["code"]) == (409, "lease_scheduled")
    problem = await holder.refused("PATCH", f"/leases/{old['id']}", {"price": "3.0000"})
    assert problem["code"] == "lease_under_notice"

    assert (await holder.delete(f"/leases/{old['id']}"))["reason"] == "displaced"
    wiped = await exchange.enter(LeaseWiped(lease_id=number_of(old["id"])))
    assert (await newcomer.get(f"/leases/{lease['id']}", min_seq=wiped.seq))["state"] == "provisioning"
    assert [one["id"] for one in (await provider.get("/leases", role="provider", open="true"))["leases"]] == [
        lease["id"]
    ]


async def test_who_quits_before_its_start_pays_an_hour(exchange: Floor) -> None:
    await running(exchange)
    newcomer = await exchange.renter("100")
    (lease,) = (await newcomer.post("/orders", BID))["leases"]
    ended = await newcomer.delete(f"/leases/{lease['id']}")
    assert (ended["state"], ended["reason"], ended["charged"], ended["wiped"]) == ("ended", "quit", "4.000000", True)
    balances = await newcomer.get("/balances", min_seq=ended["seq"])
    assert (balances["available"], balances["held"]) == ("95.980000", "0.000000")


async def test_firm_demand_ends_a_promise_and_gives_notice(exchange: Floor) -> None:
    provider, holder, old = await running(exchange)
    # Firm asks have a bond.
    await exchange.admin.post("/deposits", {"account": provider.account, "amount": "100"})
    offers = [
        {"baron": old["baron"], "instrument": SPOT, "price": "1.8000", "gpus": 2},
        {"baron": old["baron"], "instrument": ONDEMAND, "price": "3.0000", "gpus": 2, "max_hours": 24},
    ]
    assert (await provider.ask("PUT", "/asks", {"offers": offers})).status_code == 200
    newcomer, firm = await exchange.renter(), await exchange.renter()
    (waiting,) = (await newcomer.post("/orders", BID))["leases"]
    rental = await firm.post("/rentals", {"sku": SKU, "kind": "ondemand", "gpus": 2, "hours": 1})
    ended = await newcomer.get(f"/leases/{waiting['id']}", min_seq=rental["seq"])
    assert (ended["state"], ended["reason"], ended["charged"]) == ("ended", "preempted", "0.000000")
    assert (await newcomer.get("/balances", min_seq=rental["seq"]))["available"] == "1000.000000"
    assert (await holder.get(f"/leases/{old['id']}"))["reason"] == "displaced", "its notice stands as it was given"
