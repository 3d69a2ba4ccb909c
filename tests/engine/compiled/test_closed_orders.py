"""What an account remembers of closed orders: a dict that forgets its oldest, wherever the newest stand meanwhile."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from engine.compiled import doors_tables as doors
from engine.compiled import records
from engine.compiled.machine import CompiledRecords, FastMachine
from engine.ids import make_id
from engine.kinds import OrderStatus
from engine.limits import Limits
from engine.messages import OpenAccount
from engine.state import POTS

ACCOUNT = 11
FEW = 15
"""So many stand in the account itself at most."""

statuses = st.sampled_from(OrderStatus)
bounds = st.sampled_from([0, 1, 2, FEW - 1, FEW, FEW + 1, 40, 10_000, 2**32 - 1, 2**62])


class ClosedOrders(RuleBasedStateMachine):
    """A compiled account beside a dict. Nothing is asked but by rules, so that what stands where is left to chance."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = FastMachine(1, Limits())
        self.machine.apply(1, 0, OpenAccount(account=ACCOUNT, maker_fee_ppm=0, taker_fee_ppm=0))
        self.law: dict[int, OrderStatus] = {}
        self.made = 0

    @property
    def account(self) -> Any:
        return self.machine.state.accounts[ACCOUNT]

    def close(self, remembered: Any, order_id: int, status: OrderStatus, most: int) -> None:
        """As `engine.client_ids.closed` has it."""
        remembered[order_id] = status
        if len(remembered) > most:
            del remembered[next(iter(remembered))]

    @rule(count=st.integers(1, 40), status=statuses, most=bounds)
    def orders_close(self, count: int, status: OrderStatus, most: int) -> None:
        for _ in range(count):
            self.made += 1
            order_id = make_id(1, self.made, self.made % 7)
            doors.account_closes(self.account, order_id, status, most)
            self.close(self.law, order_id, status, most)

    @rule(status=statuses, most=bounds)
    def an_order_closes_in_the_laws_rooms(self, status: OrderStatus, most: int) -> None:
        self.made += 1
        for remembered in (self.account.closed_orders, self.law):
            self.close(remembered, make_id(1, self.made, 1), status, most)

    @rule(back=st.integers(0, 60))
    def one_is_asked_for(self, back: int) -> None:
        seq = max(1, self.made - back)
        for order_id in (make_id(1, seq, seq % 7), make_id(1, seq, 1)):
            status = self.law.get(order_id)
            assert self.account.closed_orders.get(order_id) is status
            assert doors.memory_find(self.account.closed_orders, order_id) == (-1 if status is None else status)

    @rule(share=st.integers(1, 4))
    def some_are_dropped(self, share: int) -> None:
        for order_id in [order_id for order_id in self.law if order_id % 5 < share]:
            assert self.account.closed_orders.pop(order_id) is self.law.pop(order_id)

    @rule()
    def all_are_walked(self) -> None:
        assert list(self.account.closed_orders.items()) == list(self.law.items())
        assert len(self.account.closed_orders) == len(self.law)

    @rule()
    def it_is_copied_as_the_laws_struct(self) -> None:
        copy: Any = CompiledRecords().law(self.account)
        assert list(copy.closed_orders.items()) == list(self.law.items())

    @rule()
    def its_machine_is_saved_and_read(self) -> None:
        data = self.machine.snapshot()
        self.machine = FastMachine.restore(data)
        assert self.machine.snapshot() == data
        self.all_are_walked()

    def teardown(self) -> None:
        self.all_are_walked()


TestClosedOrders = ClosedOrders.TestCase
TestClosedOrders.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("count", [1, FEW - 1, FEW, FEW + 1, 2 * FEW, 2 * FEW + 1])
@pytest.mark.parametrize("most", [0, 1, FEW, 10_000])
def test_a_walk_sees_as_many_as_are_remembered(count: int, most: int) -> None:
    made = CompiledRecords().account(account=ACCOUNT, maker_fee_ppm=0, taker_fee_ppm=0, pots=[0] * POTS)
    account = cast(records.Account, made)
    for order_id in range(1, count + 1):
        doors.account_closes(account, order_id, OrderStatus.EXPIRED, most)
    assert list(made.closed_orders.items()) == [
        (order_id, OrderStatus.EXPIRED) for order_id in range(1, count + 1)[-most:] if most
    ]
