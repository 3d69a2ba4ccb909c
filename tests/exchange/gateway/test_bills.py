"""A month's close at the doors: an operator says an outage, and statement, transfers and balances tell what came of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.messages import BillClosed, LeaseActive, Tick
from engine.units import NS_PER_HOUR, NS_PER_S
from exchange.gateway.views.text import format_time
from tests.exchange.gateway.floor import ACCESS, Floor, number_of
from tests.exchange.gateway.test_limits import WISH
from tests.waiting import wait_until_async

HOURS = 30
CLOSED = datetime(2025, 11, 1, tzinfo=UTC)


def closed_at(exchange: Floor) -> int:
    """The sequence of the command that closed a bill; 0: none was closed."""
    closing = (reply.seq for reply in exchange.replies for event in reply.events if isinstance(event, BillClosed))
    return max(closing, default=0)


async def passed(exchange: Floor, until_ns: int) -> None:
    """Time passes, with the Ticks that are due."""
    exchange.clock.now_ns = until_ns
    await exchange.enter(Tick())


async def test_an_outage_is_a_credit_in_the_statements_of_both(exchange: Floor) -> None:
    provider, _ = await exchange.seller()
    renter = await exchange.renter()
    lease = (await renter.post("/rentals", WISH | {"hours": 60}))["leases"][0]["id"]
    await exchange.enter(LeaseActive(lease_id=number_of(lease), access=ACCESS))
    begun_ns = exchange.clock.now_ns
    await passed(exchange, begun_ns + HOURS * NS_PER_HOUR)
    outage = {"began": format_time(begun_ns), "ended": format_time(begun_ns + NS_PER_HOUR)}
    said = await exchange.admin.post(f"/leases/{lease}/outages", outage, status=200)
    assert (said["lease_id"], said["out_s"]) == (lease, 3_600)
    assert (await exchange.admin.post(f"/leases/{lease}/outages", outage, status=200))["out_s"] == 3_600
    await renter.delete(f"/leases/{lease}")
    month_end_ns = (CLOSED - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * NS_PER_S
    await passed(exchange, month_end_ns)
    await wait_until_async(lambda: closed_at(exchange) > 0, "the month's close")
    seq = closed_at(exchange)
    # 30 hours of 4 GPUs at $2, and 29/30 of them up: a quarter of the charge.
    (line,) = (await renter.get("/statements/2025-11", min_seq=seq))["leases"]
    assert line == {
        "lease_id": lease,
        "usage": "0.000000",
        "fee": "0.000000",
        "credit": "60.000000",
        "paid_out": "0.000000",
    }
    (line,) = (await provider.get("/statements/2025-11", min_seq=seq))["leases"]
    assert (line["credit"], line["paid_out"]) == ("-60.000000", "180.000000")
    balances = await provider.get("/balances", min_seq=seq)
    assert (balances["available"], balances["receivable"]) == ("1180.000000", "0.000000")
    codes = [one["code"] for one in (await provider.get("/transfers", min_seq=seq))["transfers"]]
    assert codes[:2] == ["payout", "penalty"]


@pytest.mark.parametrize(
    ("began", "ended", "status", "code"),
    [
        ("2025-10-01T00:00:00Z", "2099-10-01T00:00:00Z", 422, "invalid_outage"),
        ("2024-10-01T00:00:00Z", "2024-10-02T00:00:00Z", 422, "invalid_outage"),
        ("yesterday", "2024-10-02T00:00:00Z", 422, "invalid_field"),
    ],
)
async def test_an_outage_that_cant_be(exchange: Floor, began: str, ended: str, status: int, code: str) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    lease = (await renter.post("/rentals", WISH))["leases"][0]["id"]
    await exchange.enter(LeaseActive(lease_id=number_of(lease), access=ACCESS))
    problem = await exchange.admin.refused("POST", f"/leases/{lease}/outages", {"began": began, "ended": ended})
    assert (problem["status"], problem["code"]) == (status, code)


async def test_only_an_operator_says_outages(exchange: Floor) -> None:
    await exchange.seller()
    renter = await exchange.renter()
    lease = (await renter.post("/rentals", WISH))["leases"][0]["id"]
    outage = {"began": "2025-10-01T00:00:00Z", "ended": "2025-10-01T01:00:00Z"}
    assert (await renter.refused("POST", f"/leases/{lease}/outages", outage))["code"] == "missing_scope"
    assert (await exchange.admin.refused("POST", f"/leases/{lease}/outages", outage))["code"] == "unknown_lease"
