"""The proof over a reservation whose holder lets it: its own lease gives way, and the money of what is let goes by the lease."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.kinds import EndReason, Fault, Kind, LeaseState, OrderType, Side, TimeInForce
from engine.messages import Deposit, Event, LeaseChanged, PlaceOrder, SetOffers
from engine.units import NS_PER_HOUR, NS_PER_S
from tests.settlement.market import ONDEMAND, PROVIDERS, RENTERS, SPOT, Market

DAY_H = 24
HOLDER, OTHER = RENTERS[:2]


def order(
    market: Market, account: int, side: Side, instrument: int, quantity: int, price_ticks: int, hours: int = 0
) -> list[Event]:
    """hours: an on-demand bid's term, or its ask's window."""
    asks = side is Side.SELL
    return market.enter(
        PlaceOrder(
            account=account,
            instrument=instrument,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price_ticks=price_ticks,
            quantity=quantity,
            hours=0 if asks else hours,
            max_hours=hours if asks else 0,
            baron=1 if asks else 0,
            delivery=b"" if asks else b"key",
        )
    )


@pytest.mark.parametrize("instrument", [SPOT, ONDEMAND])
@pytest.mark.parametrize("let", [1, 2])
@pytest.mark.parametrize("fault", list(Fault))
def test_the_proof_holds_while_a_reservation_is_let(tmp_path: Path, instrument: int, let: int, fault: Fault) -> None:
    market = Market(tmp_path / "ledger.db")
    for provider in PROVIDERS:
        market.enter(SetOffers(account=provider, offers=()))
    for account in (PROVIDERS[0], HOLDER, OTHER):
        market.enter(Deposit(account=account, amount_micros=10**10, client_id="more"))
    listed = market.machine.state.instruments
    today = next(n for n, each in listed.items() if each.kind is Kind.FORWARD and each.hours == DAY_H)
    order(market, PROVIDERS[0], Side.SELL, today, 2, 20_003)
    order(market, HOLDER, Side.BUY, today, 2, 20_003)
    (obligation,) = market.machine.state.obligations.values()
    market.pass_time(obligation.start_h * NS_PER_HOUR - market.now_ns)
    (own,) = (each.lease_id for each in market.leases.values() if each.kind is Kind.FORWARD)
    market.activate(own)
    window_h = DAY_H if instrument == ONDEMAND else 0
    order(market, HOLDER, Side.SELL, instrument, let, 30_001, window_h)
    before = set(market.leases)
    events = order(market, OTHER, Side.BUY, instrument, let, 30_001, window_h and 5)
    (sublease,) = set(market.leases) - before
    changed = next(each for each in events if isinstance(each, LeaseChanged) and each.lease_id == own)
    if let == 2:
        assert (changed.state, changed.reason) == (LeaseState.ENDED, EndReason.RELEASED)
        market.wipe(own)
    else:
        assert (changed.state, changed.quantity) == (LeaseState.ACTIVE, 1)
    assert market.prove().findings == []
    market.activate(sublease)
    market.pass_time(2 * NS_PER_HOUR + 500 * NS_PER_S)
    assert market.prove().findings == []
    market.fail(sublease, fault)
    assert market.prove().findings == []
    market.pass_time(32 * DAY_H * NS_PER_HOUR)
    assert market.prove().findings == []
    market.close()
