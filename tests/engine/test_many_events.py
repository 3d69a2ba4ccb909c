"""A command's events are numbered in 16 bits, for ids and for the ledger: what could make more goes in several Ticks."""

from __future__ import annotations

from engine.book_fast import FastBook
from engine.kinds import Side
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    AllCanceled,
    CancelAllAfter,
    Command,
    Deposit,
    Event,
    ListMarket,
    OpenAccount,
    Quote,
    SetQuotes,
    Tick,
)
from engine.units import MICROS_PER_USD, NS_PER_HOUR, NS_PER_S

SETS = 33
BIDS = tuple(Quote(instrument=1, side=Side.BUY, price_ticks=1, quantity=1, delivery=b"key") for _ in range(250))


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
