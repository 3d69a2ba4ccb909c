"""The proof over outages: what a lease's month ran, was out and gave back, whichever obligations of forwards share it (§9)."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from engine.kinds import Kind, OrderType, Side, TimeInForce
from engine.messages import Deposit, PlaceOrder, ReportOutage, SetDelivery, SetOffers
from engine.units import NS_PER_HOUR
from tests.settlement.market import ONDEMAND, PROVIDERS, RENTERS, SPOT, Market, refused

DAY_H = 24
PROVIDER, OTHER = PROVIDERS
HOLDER, RESELLER = RENTERS
PRICES = (20_003, 20_011, 20_003, 19_997)
"""Of days in a row; the second is bought from a reseller."""


def days(market: Market) -> list[int]:
    """The listed days, in order."""
    listed = market.machine.state.instruments
    found = [number for number, each in listed.items() if each.kind is Kind.FORWARD and each.hours == DAY_H]
    return sorted(found, key=lambda number: listed[number].start_h)


def trade(market: Market, seller: int, buyer: int, instrument: int, price_ticks: int) -> None:
    """Two GPUs of the first Baron."""
    for account in (seller, buyer):
        side = Side.SELL if account == seller else Side.BUY
        order = PlaceOrder(
            account=account,
            instrument=instrument,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price_ticks=price_ticks,
            quantity=2,
            baron=1 if side is Side.SELL else 0,
            delivery=b"" if side is Side.SELL else b"key",
        )
        assert not refused(market.enter(order))


def reserved(path: Path) -> tuple[Market, int]:
    """Four days of a holder's, in the first of which their one lease has begun: (the market, the lease)."""
    market = Market(path)
    market.enter(SetOffers(account=PROVIDER, offers=()))
    for account in (PROVIDER, HOLDER, RESELLER):
        market.enter(Deposit(account=account, amount_micros=10**10, client_id="more"))
    for instrument, price_ticks in zip(days(market), PRICES, strict=False):
        if price_ticks == PRICES[1]:
            trade(market, PROVIDER, RESELLER, instrument, price_ticks)
            trade(market, RESELLER, HOLDER, instrument, 30_001)
        else:
            trade(market, PROVIDER, HOLDER, instrument, price_ticks)
    first = min(market.machine.state.obligations.values(), key=lambda each: each.start_h)
    market.pass_time(first.start_h * NS_PER_HOUR - market.now_ns)
    (lease,) = [each.lease_id for each in market.leases.values() if each.kind is Kind.FORWARD]
    market.activate(lease)
    return market, lease


def out(market: Market, lease: int, hours: int, ago_h: int = 0) -> None:
    """The lease was out for so many hours, up to so many ago."""
    to_ns = market.now_ns - ago_h * NS_PER_HOUR
    report = ReportOutage(lease_id=lease, from_ns=to_ns - hours * NS_PER_HOUR, to_ns=to_ns)
    assert not refused(market.enter(report))


@pytest.mark.parametrize("out_h", [0, 1, 2, 5])
@pytest.mark.parametrize("quits", [False, True])
def test_the_proof_holds_over_a_lease_that_several_obligations_share(tmp_path: Path, out_h: int, quits: bool) -> None:
    market, lease = reserved(tmp_path / "ledger.db")
    market.pass_time(30 * NS_PER_HOUR)
    if out_h:
        out(market, lease, out_h)
        out(market, lease, 1)
    assert market.prove().findings == []
    if quits:
        market.quit(lease)
        market.wipe(lease)
        market.pass_time(10 * NS_PER_HOUR)
        running = next(each for each in market.machine.state.obligations.values() if each.running)
        assert not refused(
            market.enter(SetDelivery(account=HOLDER, obligation_id=running.obligation_id, delivery=b"key"))
        )
        assert market.prove().findings == []
    market.pass_time(70 * DAY_H * NS_PER_HOUR)
    assert market.prove().findings == []
    market.close()


def test_the_proof_holds_over_a_lease_that_runs_over_a_months_end_and_is_out_in_each(tmp_path: Path) -> None:
    market = Market(tmp_path / "ledger.db")
    market.enter(Deposit(account=HOLDER, amount_micros=10**10, client_id="more"))
    spot, ondemand = (
        market.rent(HOLDER, instrument, 1, hours)[0] for instrument, hours in ((SPOT, 744), (ONDEMAND, 99))
    )
    market.activate(spot, ondemand)
    for days_on in range(31):
        market.pass_time(DAY_H * NS_PER_HOUR)
        for lease in (spot, ondemand):
            if days_on % 3 == 2 and lease in market.live():
                out(market, lease, 2, ago_h=3)
                out(market, lease, 3, ago_h=1)
        if days_on % 10 == 0:
            assert market.prove().findings == []
    assert not market.live()
    market.pass_time(32 * DAY_H * NS_PER_HOUR)
    assert market.prove().findings == []
    market.close()


def test_of_very_many_outages_the_oldest_may_count_for_less(tmp_path: Path) -> None:
    market = Market(tmp_path / "ledger.db")
    market.enter(Deposit(account=HOLDER, amount_micros=10**10, client_id="more"))
    (lease,) = market.rent(HOLDER, SPOT, 1, 744)
    market.activate(lease)
    market.pass_time(200 * NS_PER_HOUR)
    for hours_ago in range(150, 0, -2):
        out(market, lease, 1, hours_ago)
    out(market, lease, 190, 5)
    market.pass_time(40 * DAY_H * NS_PER_HOUR)
    assert market.prove().findings == []
    market.close()


DAMAGE = {
    "a run of an hour more": ("update bills set run_ns = run_ns + 3600000000000", "month ran as long as its dates say"),
    "an outage of an hour more": (
        "update bills set out_ns = out_ns + 3600000000000",
        "month was out as long as was noted",
    ),
    "an outage that nobody noted": ("delete from outages", "month was out as long as was noted"),
    "an outage that was noted, and didn't count": (
        "insert into outages select lease_id, from_ns - 1, to_ns from outages",
        "month was out as long as was noted",
    ),
    "a credit that is paid out": (
        "update bills set paid_micros = paid_micros + credit_micros, credit_micros = 0",
        "month's credit is what its uptime says",
    ),
    "a charge of one micro-dollar more": (
        "update bills set charge_micros = charge_micros + 1",
        "an ended lease's months are its charge",
    ),
    "a lease that began an hour earlier": (
        "update leases set start_ns = start_ns - 3600000000000",
        "month ran as long as its dates say",
    ),
    "an hour's pay that names another lease": (
        """
        update postings set ref = ref + 1 where position =
        (select max(position) from postings where code = 6 and debit_pot = 3)
        """,
        "an ended lease's months are its charge",
    ),
    "an outage of no lease": ("update outages set lease_id = 12345", "closed month has a lease"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_wrong_about_a_months_uptime_is_found(tmp_path: Path, name: str) -> None:
    statement, check = DAMAGE[name]
    market, lease = reserved(tmp_path / "ledger.db")
    market.pass_time(30 * NS_PER_HOUR)
    out(market, lease, 2)
    market.pass_time(70 * DAY_H * NS_PER_HOUR)
    assert market.prove().findings == []
    with contextlib.closing(sqlite3.connect(market.path)) as connection, connection:
        assert connection.execute(statement).rowcount > 0
    assert check in {finding.check for finding in market.prove().findings}
    market.close()
