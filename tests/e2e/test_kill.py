"""SIGKILL in the middle: Monarch while orders flow, and the agent while its sandbox runs. Nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from exchange.monarch.demo.rest import RestError
from tests.e2e.exchange import SPOT, Exchange
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(300)
CLIENTS = 4
ACKNOWLEDGED_BEFORE_KILL = 60
KILLS = 3
NO_ANSWER = {"unreachable", "outcome_unknown", "overloaded", "not_ready"}


@dataclass
class History:
    """What one client was told: orders by client id, and which of them it was told are cancelled."""

    placed: dict[str, dict[str, Any]] = field(default_factory=dict)
    canceled: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)


def trade(exchange: Exchange, name: str, seed: int, stop: threading.Event, history: History) -> None:
    """Place and cancel resting bids until stopped; what gets no answer is of unknown outcome, and is sent again later."""
    chance = random.Random(seed)
    rest = exchange.rest("renter")
    count = 0
    while not stop.is_set():
        count += 1
        client_order_id = f"{name}-{count}"
        body = {"instrument": SPOT, "side": "buy", "quantity": 1, "price": f"0.{chance.randrange(1000, 9999)}"}
        try:
            placed = rest.post("/v1/orders", {**body, "client_order_id": client_order_id})
            history.placed[client_order_id] = placed["order"]
            if chance.random() < 0.5:
                rest.delete(f"/v1/orders/{history.placed[client_order_id]['id']}")
                history.canceled.add(client_order_id)
        except RestError as error:
            if error.code not in NO_ANSWER:
                raise
            history.unknown.add(client_order_id)
            stop.wait(0.02)


def test_monarch_killed_while_orders_flow_loses_nothing_acknowledged(stopped_exchange: Exchange) -> None:
    exchange = stopped_exchange
    exchange.start_monarch()
    exchange.settle()
    exchange.start_barons(1)
    exchange.offer_all()
    lease = exchange.wait_active(exchange.rent()["leases"][0]["id"])
    port = lease["ssh"]["port"]
    assert exchange.ssh(lease, "echo kept > note").returncode == 0

    seed = random.randrange(2**32)
    print(f"seed {seed}")
    histories = [kill_under_load(exchange, f"{seed}-{kill}", seed + kill) for kill in range(KILLS)]

    orders = {order["client_order_id"]: order for order in every_order(exchange)}
    for history in (one for several in histories for one in several):
        for client_order_id, answer in history.placed.items():
            order = orders[client_order_id]
            assert order["id"] == answer["id"]
            if client_order_id in history.canceled:
                assert order["status"] == "canceled"
            elif client_order_id not in history.unknown:
                assert order["status"] == "new"
    known = {name for several in histories for one in several for name in one.placed.keys() | one.unknown}
    assert orders.keys() <= known, "an order is there that nobody sent"

    assert exchange.wait_active(lease["id"])["ssh"]["port"] == port
    assert exchange.ssh_when_up(lease, "cat note") == "kept\n"
    check_money(exchange, orders)
    exchange.rest("renter").delete(f"/v1/leases/{lease['id']}")
    exchange.wait_wiped(lease["id"])
    proof = exchange.verify()
    assert proof.returncode == 0, proof.stdout


def kill_under_load(exchange: Exchange, name: str, seed: int) -> list[History]:
    stop = threading.Event()
    histories = [History() for _ in range(CLIENTS)]
    clients = [
        threading.Thread(target=trade, args=(exchange, f"{name}-{number}", seed * CLIENTS + number, stop, history))
        for number, history in enumerate(histories)
    ]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: sum(len(one.placed) for one in histories) >= ACKNOWLEDGED_BEFORE_KILL, "acknowledged orders")
        exchange.kill_monarch()
    finally:
        stop.set()
        for client in clients:
            client.join()
    exchange.start_monarch()
    return histories


def every_order(exchange: Exchange) -> list[dict[str, Any]]:
    rest, found, cursor = exchange.rest("renter"), [], ""
    while True:
        page = rest.get(f"/v1/orders?limit=200&cursor={cursor}")
        found += [order for order in page["orders"] if order["client_order_id"] is not None]
        if not (cursor := page["next_cursor"] or ""):
            return found


def check_money(exchange: Exchange, orders: dict[str, dict[str, Any]]) -> None:
    """The ledger's balances are those that an independent sum over the open orders and the lease gives."""
    balances = exchange.rest("renter").get("/v1/balances")
    held = sum(hold_micros(ticks(order["price"])) for order in orders.values() if order["status"] == "new")
    assert micros(balances["held"]) == held + hold_micros(20_000)
    assert micros(balances["available"]) == 1_000_000_000 - held - hold_micros(20_000)


def hold_micros(price_ticks: int) -> int:
    """One GPU for an hour and 120 s, rounded up, and 0.5 % of it, rounded up (rulebook §9)."""
    usage = -(-price_ticks * 100 * 3_720 // 3_600)
    return usage + -(-usage * 5_000 // 1_000_000)


def ticks(price: str) -> int:
    return int(price.replace(".", ""))


def micros(money: str) -> int:
    return int(money.replace(".", ""))


def test_a_killed_agent_adopts_its_running_sandbox(exchange: Exchange) -> None:
    lease = exchange.wait_active(exchange.rent()["leases"][0]["id"])
    exchange.ssh_when_up(lease, "echo kept > note; nohup sleep 600 >/dev/null 2>&1 & echo $! > pid")

    os.kill(exchange.children.pid("baron-1"), signal.SIGKILL)
    exchange.children.kill("baron-1")
    exchange.start_baron(1)

    seen = exchange.ssh_when_up(lease, "cat note; cat /proc/$(cat pid)/comm")
    assert seen.split() == ["kept", "sleep"], "the same sandbox, and what ran in it still runs"
    after = exchange.rest("renter").get(f"/v1/leases/{lease['id']}")
    assert (after["state"], after["active"]) == ("active", lease["active"])
    exchange.rest("renter").delete(f"/v1/leases/{lease['id']}")
    exchange.wait_wiped(lease["id"])
