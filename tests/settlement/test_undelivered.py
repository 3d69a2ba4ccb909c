"""The proof over a forward whose paid hours turn out not to have been delivered: refunds come off what its months charged."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.kinds import Fault, Kind, OrderType, Pot, Presence, Side, TimeInForce, TransferCode
from engine.messages import Deposit, Event, PlaceOrder, SetOffers, SetPresence, Transfer
from engine.units import NS_PER_HOUR, NS_PER_S
from settlement.bills import month_end_ns
from tests.settlement.market import ONDEMAND, PROVIDERS, RENTERS, SPOT, Market

DAY_H = 24


def order(market: Market, account: int, side: Side) -> list[Event]:
    """Two GPUs of the first listed day, at an odd price."""
    listed = market.machine.state.instruments
    first = next(n for n, each in listed.items() if each.kind is Kind.FORWARD and each.hours == DAY_H)
    return market.enter(
        PlaceOrder(
            account=account,
            instrument=first,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price_ticks=20_003,
            quantity=2,
            baron=1 if side is Side.SELL else 0,
            delivery=b"" if side is Side.SELL else b"key",
        )
    )


@pytest.mark.parametrize("hours", [1, 5, DAY_H])
@pytest.mark.parametrize("undone", [0, 1, 3])
def test_the_proof_holds_through_loss_and_close(tmp_path: Path, hours: int, undone: int) -> None:
    market = Market(tmp_path / "ledger.db")
    market.enter(SetOffers(account=PROVIDERS[0], offers=()))
    market.enter(Deposit(account=PROVIDERS[0], amount_micros=10**10, client_id="more"))
    order(market, PROVIDERS[0], Side.SELL)
    order(market, RENTERS[0], Side.BUY)
    (obligation,) = market.machine.state.obligations.values()
    start_ns = obligation.start_h * NS_PER_HOUR
    market.pass_time(start_ns - market.now_ns)
    (lease,) = [each.lease_id for each in market.leases.values() if each.kind is Kind.FORWARD]
    market.activate(lease)
    market.pass_time(hours * NS_PER_HOUR + 500 * NS_PER_S)
    assert market.prove().findings == []
    as_of_ns = market.now_ns - 500 * NS_PER_S + NS_PER_S - undone * NS_PER_HOUR
    heard_ns = max(as_of_ns, start_ns - NS_PER_HOUR)
    events = market.enter(SetPresence(baron=1, presence=Presence.LOST, as_of_ns=heard_ns))
    refunds = [
        each.amount_micros
        for each in events
        if isinstance(each, Transfer) and (each.code, each.debit_pot) == (TransferCode.REFUND, Pot.RECEIVABLE)
    ]
    assert sum(refunds) == min(undone, hours) * 20_003 * 100 * 2
    assert market.prove().findings == []
    market.pass_time(32 * DAY_H * NS_PER_HOUR)
    assert market.prove().findings == []
    market.close()


@pytest.mark.parametrize("instrument", [SPOT, ONDEMAND])
@pytest.mark.parametrize("fault", list(Fault))
def test_the_proof_holds_where_a_lease_fails_as_of_before_a_close(
    tmp_path: Path, instrument: int, fault: Fault
) -> None:
    """Its month is closed while it runs; after that nothing is charged, and there is nothing more to close."""
    market = Market(tmp_path / "ledger.db")
    close_ns = month_end_ns(market.now_ns)
    market.pass_time(close_ns - market.now_ns - 5 * NS_PER_HOUR - NS_PER_HOUR // 2)
    (lease,) = market.rent(RENTERS[0], instrument, 1, 20)
    market.activate(lease)
    market.pass_time(close_ns + 300 * NS_PER_S - market.now_ns)
    assert market.prove().findings == []
    market.fail(lease, fault, ago_ns=600 * NS_PER_S)
    market.wipe(lease)
    assert market.prove().findings == []
    market.pass_time(70 * DAY_H * NS_PER_HOUR)
    assert market.prove().findings == []
    market.close()
