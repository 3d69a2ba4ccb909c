"""Listing, Barons and their capacity: nobody sells what isn't there (§3, §4)."""

from __future__ import annotations

import pytest

from engine.kinds import OrderStatus
from engine.messages import (
    Amended,
    BaronRegistered,
    Canceled,
    CancelOrder,
    CapacityChanged,
    Command,
    EndLease,
    LeaseWiped,
    ListMarket,
    MarketListed,
    RegisterBaron,
    SetCapacity,
)
from engine.reasons import Reason
from tests.engine.shard import (
    ALICE,
    BARON,
    HOUR,
    MINUTE,
    ONDEMAND,
    PAT,
    QUINN,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    only,
)

SKU = "H100-SXM5-80GB"


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (ListMarket(sku=SKU, region="here"), Reason.MARKET_EXISTS, ""),
        (ListMarket(sku="", region="here"), Reason.INVALID_MARKET, "sku"),
        (ListMarket(sku="a.b", region="here"), Reason.INVALID_MARKET, "sku"),
        (ListMarket(sku="a" * 65, region="here"), Reason.INVALID_MARKET, "sku"),
        (ListMarket(sku=SKU, region="-x"), Reason.INVALID_MARKET, "region"),
        (ListMarket(sku=SKU, region="ü"), Reason.INVALID_MARKET, "region"),
        (RegisterBaron(baron=BARON, provider=QUINN, sku=SKU, region="here"), Reason.BARON_EXISTS, "baron"),
        (RegisterBaron(baron=BARON, provider=PAT, sku=SKU, region="elsewhere"), Reason.BARON_EXISTS, "baron"),
        (RegisterBaron(baron=0, provider=PAT, sku=SKU, region="here"), Reason.UNKNOWN_BARON, "baron"),
        (RegisterBaron(baron=2**63, provider=PAT, sku=SKU, region="here"), Reason.UNKNOWN_BARON, "baron"),
        (RegisterBaron(baron=9, provider=99, sku=SKU, region="here"), Reason.UNKNOWN_ACCOUNT, "account"),
        (RegisterBaron(baron=9, provider=PAT, sku=SKU, region="nowhere"), Reason.INVALID_MARKET, "sku"),
        (SetCapacity(baron=9, gpus=8, simulated=False), Reason.UNKNOWN_BARON, "baron"),
        (SetCapacity(baron=BARON, gpus=-1, simulated=False), Reason.INVALID_CAPACITY, "gpus"),
        (SetCapacity(baron=BARON, gpus=100_001, simulated=False), Reason.INVALID_CAPACITY, "gpus"),
    ],
)
def test_what_cannot_be_listed(command: Command, reason: Reason, field: str) -> None:
    Shard().refuse(command, reason, field)


def test_instruments_count_up_and_a_repeat_of_a_registration_is_harmless() -> None:
    shard = Shard()
    (listed,) = only(shard.do(ListMarket(sku="L40S-PCIE-48GB", region="here")), MarketListed)
    assert (listed.spot_instrument, listed.ondemand_instrument) == (63, 64)
    again = RegisterBaron(baron=BARON, provider=PAT, sku=SKU, region="here")
    before = shard.rows()
    assert len(only(shard.do(again), BaronRegistered)) == 1
    assert shard.rows() == before


def test_each_kinds_asks_together_stand_on_what_no_lease_holds() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 5))
    shard.refuse(ask(PAT, 20_000, 4), Reason.INSUFFICIENT_CAPACITY, "quantity")
    shard.place(ask(PAT, 20_000, 3))
    # Both kinds may stand on the same GPUs.
    shard.place(ask(PAT, 30_000, 8, ONDEMAND))
    shard.refuse(ask(PAT, 30_000, 1, ONDEMAND), Reason.INSUFFICIENT_CAPACITY, "quantity")


def test_a_firm_fill_cuts_spot_asks_newest_first() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 8, ONDEMAND))
    asks = [shard.place(ask(PAT, 30_000 + number, 2)) for number in range(4)]
    events = shard.do(bid(ALICE, 20_000, 3, ONDEMAND))
    (canceled,) = only(events, Canceled)
    assert (canceled.order_id, canceled.reason) == (asks[3], Reason.CAPACITY_CUT)
    (amended,) = only(events, Amended)
    assert (amended.order_id, amended.leaves_quantity, amended.quantity) == (asks[2], 1, 1)
    assert (amended.kept_priority, amended.reason) == (True, Reason.CAPACITY_CUT)
    assert shard.asks(SPOT) == [(30_000, 2), (30_001, 2), (30_002, 1)]


def test_a_spot_fill_leaves_firm_asks_alone() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 8))
    shard.place(ask(PAT, 30_000, 8, ONDEMAND))
    shard.do(bid(ALICE, 20_000, 3))
    assert shard.asks(SPOT) == [(20_000, 5)]
    assert shard.asks(ONDEMAND) == [(30_000, 8)]


def test_lost_capacity_cuts_newest_first_and_a_cut_ask_never_grows_back() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 4))
    shard.place(ask(PAT, 19_000, 4))
    shard.do(SetCapacity(baron=BARON, gpus=3, simulated=False))
    assert shard.asks(SPOT) == [(20_000, 3)]
    shard.do(SetCapacity(baron=BARON, gpus=8, simulated=False))
    assert shard.asks(SPOT) == [(20_000, 3)]


def test_less_verified_than_leased_leaves_nothing_to_sell() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 8))
    shard.do(bid(ALICE, 20_000, 4))
    events = shard.do(SetCapacity(baron=BARON, gpus=2, simulated=True))
    (changed,) = only(events, CapacityChanged)
    assert (changed.verified_gpus, changed.leased_gpus, changed.simulated) == (2, 4, True)
    assert shard.asks(SPOT) == []
    shard.refuse(ask(PAT, 20_000, 1), Reason.INSUFFICIENT_CAPACITY, "quantity")
    assert shard.machine.counts().leases == 1


def test_gpus_are_taken_from_the_fill_to_the_wipe() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 8, ONDEMAND))
    lease = shard.lease(ALICE, 8, 1)
    shard.refuse(ask(PAT, 20_000, 1), Reason.INSUFFICIENT_CAPACITY)
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.refuse(ask(PAT, 20_000, 1), Reason.INSUFFICIENT_CAPACITY)
    (changed,) = only(shard.do(LeaseWiped(lease_id=lease)), CapacityChanged)
    assert changed.leased_gpus == 0
    shard.do(ask(PAT, 20_000, 8))


def test_a_window_closes_when_less_than_an_hour_of_it_is_left() -> None:
    shard = Shard()
    shard.now_ns = START + 30 * MINUTE
    order = shard.place(ask(PAT, 20_000, 8, ONDEMAND, max_hours=2))
    shard.wait(30 * MINUTE)
    assert shard.now_ns == START + HOUR
    assert shard.asks(ONDEMAND) == [(20_000, 8)]
    assert shard.machine.next_due_ns() == START + HOUR + 1
    (canceled,) = only(shard.wait(1), Canceled)
    assert (canceled.order_id, canceled.reason) == (order, Reason.WINDOW_CLOSED)
    rejected = shard.refuse(CancelOrder(account=PAT, order_id=order), Reason.ORDER_CLOSED)
    assert rejected.order_status is OrderStatus.EXPIRED
    assert shard.timers() == []
