"""From POST /rentals to the renter's own ssh, scp and sftp on the matched Baron, with the real OpenSSH client."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from exchange.monarch.demo.rest import Rest, RestError
from exchange.monarch.demo.story import copy_command
from tests.e2e.exchange import START_S, Exchange

pytestmark = pytest.mark.timeout(300)


def run(command: list[str], typed: str = "") -> str:
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=START_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rent_then_ssh_scp_sftp_then_end(exchange: Exchange) -> None:
    rental = exchange.rent(gpus=2)
    [lease] = rental["leases"]
    assert (lease["gpus"], lease["price"], lease["simulated"]) == (2, "2.0000", True)
    lease = exchange.wait_active(lease["id"])

    seen = exchange.ssh_when_up(lease, "id -un; ls /dev/nvidia[0-9]* | wc -l; echo $HOURBOOK_SIMULATED; ls /home")
    assert seen.split() == ["gpu", "2", "1", "gpu"]
    assert exchange.ssh(lease, "exit 7").returncode == 7

    files_there_and_back(exchange, lease)

    exchange.rest("renter").delete(f"/v1/leases/{lease['id']}")
    ended = exchange.wait_wiped(lease["id"])
    assert (ended["state"], ended["reason"], ended["ssh"]) == ("ended", "quit", None)
    assert exchange.ssh(lease, "true").returncode == 255
    proof = exchange.verify()
    assert proof.returncode == 0, proof.stdout


def files_there_and_back(exchange: Exchange, lease: dict[str, Any]) -> None:
    there = f"{lease['ssh']['user']}@{lease['ssh']['host']}"
    sent, returned = exchange.world.home / "sent", exchange.world.home / "returned"
    sent.write_bytes(os.urandom(3 << 20))
    scp = copy_command("scp", lease, exchange.world)
    run([*scp, str(sent), f"{there}:data"])
    run([*scp, f"{there}:data", str(returned)])
    assert returned.read_bytes() == sent.read_bytes()
    sftp = [*copy_command("sftp", lease, exchange.world), "-b", "-", there]
    assert "moved" in run(sftp, "rename data moved\nls\n")


def test_a_guaranteed_term_is_sold_and_the_money_adds_up(exchange: Exchange) -> None:
    renter = exchange.rest("renter")
    before = renter.get("/v1/balances")
    assert (before["available"], before["held"]) == ("1000.000000", "0.000000")
    rental = exchange.rent(kind="ondemand", gpus=1, hours=2)
    lease = exchange.wait_active(rental["leases"][0]["id"])
    assert lease["kind"] == "ondemand"
    assert lease["term_end"] is not None
    held = renter.get(f"/v1/balances?min_seq={rental['seq']}")["held"]
    assert held == "2.077001", "one hour and 120 s at 2.0000, rounded up, and the taker's fee on it, rounded up"
    renter.delete(f"/v1/leases/{lease['id']}")
    ended = exchange.wait_wiped(lease["id"])
    assert ended["charged"] == "2.000000", "on-demand's minimum is one hour"
    after = renter.get(f"/v1/balances?min_seq={ended['seq']}")
    assert (after["available"], after["held"]) == ("997.990000", "0.000000")


def test_nobody_else_gets_in_or_sees_it(exchange: Exchange) -> None:
    lease = exchange.wait_active(exchange.rent()["leases"][0]["id"])
    made = exchange.rest("admin").post("/v1/accounts", {"name": "somebody else", "scopes": ["read", "rent"]})
    stranger = Rest(exchange.url, made["key"]["token"])
    for attempt in (stranger.get, stranger.delete):
        with pytest.raises(RestError, match="unknown_lease"):
            attempt(f"/v1/leases/{lease['id']}")
    provider = exchange.rest("provider").get(f"/v1/leases/{lease['id']}")
    assert provider["ssh"] is None

    other_key = exchange.world.home / "other"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other_key)])
    mine = exchange.world.ssh_key
    kept = mine.read_bytes()
    mine.write_bytes(other_key.read_bytes())
    try:
        refused = exchange.ssh(lease, "true")
    finally:
        mine.write_bytes(kept)
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_a_rental_that_cannot_be_had_changes_nothing(exchange: Exchange) -> None:
    for wish, code in (
        ({"gpus": 9}, "fok_killed"),
        ({"max_price": "1.9999"}, "price_above_maximum"),
        ({"sku": "H200-SXM5-141GB"}, "no_liquidity"),
        ({"kind": "ondemand", "hours": 25}, "no_liquidity"),
    ):
        with pytest.raises(RestError) as refused:
            exchange.rent(**wish)
        assert refused.value.code == code, wish
    assert exchange.rest("renter").get("/v1/leases")["leases"] == []
    assert exchange.rest("renter").get("/v1/balances")["available"] == "1000.000000"
