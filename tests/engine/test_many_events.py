"""A command's events are numbered in 16 bits, for ids and for the ledger: what could make more goes in several Ticks."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine import stops
from engine.book_fast import FastBook
from engine.ids import INDEX_MAX
from engine.kinds import OrderType, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    AllCanceled,
    CancelAllAfter,
    Canceled,
    Command,
    Deposit,
    Event,
    ListMarket,
    OpenAccount,
    PlaceOrder,
    Quote,
    RegisterBaron,
    SetAccountLimits,
    SetCapacity,
    SetQuotes,
    Tick,
    Triggered,
)
from engine.units import MICROS_PER_USD, NS_PER_HOUR, NS_PER_S

SETS = 33
BIDS = tuple(Quote(instrument=1, side=Side.BUY, price_ticks=1, quantity=1, delivery=b"key") for _ in range(250))


def test_stops_of_one_moment_go_in_several_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stop takes slices of icebergs, which say twice as much as they have ids."""
    room = 300
    monkeypatch.setattr(stops, "INDEX_MAX", 2**14 + 3 * Limits().max_looked + room)
    machine = Machine(0, Limits(), FastBook)
    now_ns = 400_000 * NS_PER_HOUR

    def do(command: Command) -> list[Event]:
        return machine.apply(machine.last_seq + 1, now_ns, command)

    bid = PlaceOrder(
        account=2,
        instrument=1,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=100,
        quantity=1,
        delivery=b"key",
    )
    iceberg = replace(bid, account=1, side=Side.SELL, baron=1, quantity=64, display_quantity=1, delivery=b"")
    stop = replace(bid, order_type=OrderType.STOP, stop_price_ticks=100, quantity=60)
    do(ListMarket(sku="H100-SXM5-80GB", region="here"))
    for account in (1, 2):
        do(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=0))
        do(Deposit(account=account, amount_micros=1_000 * MICROS_PER_USD, client_id=""))
    do(RegisterBaron(baron=1, provider=1, sku="H100-SXM5-80GB", region="here"))
    do(SetCapacity(baron=1, gpus=2_000, simulated=False))
    for order in (*[iceberg] * 20, *[stop] * 10):
        do(order)
    fired = [sum(isinstance(event, Triggered) for event in do(bid))]
    while machine.next_due_ns() == now_ns:
        fired.append(sum(isinstance(event, Triggered) for event in do(Tick())))
    # Before the fourth there are three times 121 events.
    assert fired == [3, 3, 3, 1]


def test_dead_men_of_one_moment_go_in_several_ticks() -> None:
    machine = Machine(0, Limits(), FastBook)
    now_ns = 400_000 * NS_PER_HOUR

    def do(command: Command) -> list[Event]:
        return machine.apply(machine.last_seq + 1, now_ns, command)

    do(ListMarket(sku="H100-SXM5-80GB", region="here"))
    for account in (1, 2):
        do(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=0))
        do(Deposit(account=account, amount_micros=1_000 * MICROS_PER_USD, client_id=""))
        for number in range(SETS):
            do(SetQuotes(account=account, name=f"set{number}", quotes=BIDS))
        do(CancelAllAfter(account=account, after_ns=NS_PER_S))
    now_ns += NS_PER_S
    canceled = []
    while machine.next_due_ns() == now_ns:
        canceled.append([event.orders for event in do(Tick()) if isinstance(event, AllCanceled)])
    assert canceled == [[SETS * len(BIDS)]] * 2


def test_one_kill_switch_takes_ten_thousand_orders_in_one_command() -> None:
    machine = Machine(0, Limits(max_quote_sets=100), FastBook)

    def do(command: Command) -> list[Event]:
        return machine.apply(machine.last_seq + 1, 400_000 * NS_PER_HOUR, command)

    do(ListMarket(sku="H100-SXM5-80GB", region="here"))
    do(OpenAccount(account=1, maker_fee_ppm=0, taker_fee_ppm=0))
    do(Deposit(account=1, amount_micros=1_000 * MICROS_PER_USD, client_id=""))
    for number in range(40):
        do(SetQuotes(account=1, name=f"set{number}", quotes=BIDS))
    assert machine.counts().open_orders == 10_000
    events = do(SetAccountLimits(account=1, killed=True))
    assert sum(isinstance(event, Canceled) for event in events) == 10_000
    assert len(events) <= INDEX_MAX
    assert (machine.counts().open_orders, machine.state.accounts[1].gpus) == (0, 0)
