"""Canaries: books that are wrong in one small thing, each of which the base and the random calls must both catch.

A base that lets one of these live would let such a mistake live in the fast book as well.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from engine.kinds import Side
from engine.resting import Level, Resting, Taker, Walk
from engine.resting_plain import PlainBook
from tests.engine.resting.base import BASE
from tests.engine.resting.differential import against
from tests.engine.resting.orders import BookFactory


class NewestFirst(PlainBook):
    """At one price the last to come is the first to trade."""

    def __init__(self) -> None:
        super().__init__()
        self._arrivals = itertools.count(0, -1)


class ShortWindow(PlainBook):
    """Hours that end with the window are a nanosecond too long."""

    def walk(self, taker: Taker, now_ns: int, max_looked: int) -> Walk:
        return super().walk(taker, now_ns + 1, max_looked)


class SelfTrader(PlainBook):
    """Nobody is himself."""

    def walk(self, taker: Taker, now_ns: int, max_looked: int) -> Walk:
        return super().walk(taker._replace(account=0), now_ns, max_looked)


class OneLookMore(PlainBook):
    """The walk limit is off by one."""

    def walk(self, taker: Taker, now_ns: int, max_looked: int) -> Walk:
        return super().walk(taker, now_ns, max_looked + 1)


class ReducedGoesBack(PlainBook):
    """A reduced order loses its place."""

    def reduce(self, order_id: int, quantity: int) -> int:
        leaves = super().reduce(order_id, quantity)
        if leaves:
            order = self.get(order_id)
            self.remove(order_id)
            self.add(order)
        return leaves


class MovedGoesBack(PlainBook):
    """An ask whose window moves loses its place."""

    def move_window(self, order_id: int, window_end_ns: int) -> None:
        order = self.get(order_id)
        self.remove(order_id)
        self.add(order._replace(window_end_ns=window_end_ns))


class LimitedBest(PlainBook):
    """The best price stops at the taker's own limit."""

    def best_price(self, taker: Taker, now_ns: int, max_looked: int) -> int:
        best = super().best_price(taker, now_ns, max_looked)
        beyond = best > taker.price_ticks if taker.side is Side.BUY else best < taker.price_ticks
        return 0 if beyond else best


class ConditionalFromOne(PlainBook):
    """A bid of one hour counts as conditional."""

    def depth(self, side: Side, max_levels: int) -> list[Level]:
        levels = []
        for level in super().depth(side, max_levels):
            of_one = sum(
                order.leaves_quantity
                for order in self.resting(side)
                if order.hours == 1 and order.price_ticks == level.price_ticks
            )
            levels.append(
                level._replace(
                    unconditional_quantity=level.unconditional_quantity - of_one,
                    conditional_quantity=level.conditional_quantity + of_one,
                )
            )
        return levels


class WrappingReduction(PlainBook):
    """A quantity loses its upper bits, as a C integer's would."""

    def reduce(self, order_id: int, quantity: int) -> int:
        return super().reduce(order_id, quantity & 0xFFFFFFFF if quantity > 0 else quantity)


class SecondComing(PlainBook):
    """An id that rests already replaces what rested."""

    def add(self, order: Resting) -> None:
        if order.order_id in self and order.leaves_quantity > 0:
            self.remove(order.order_id)
        super().add(order)


CANARIES: list[tuple[type[PlainBook], str]] = [
    (NewestFirst, "walk: at one price who came first is first, whatever its id"),
    (ShortWindow, "walk: hours end with the window"),
    (SelfTrader, "walk: an own order ends the walk; what came before it stands"),
    (OneLookMore, "walk: the limit ends the walk"),
    (ReducedGoesBack, "a reduced order keeps its place"),
    (MovedGoesBack, "a moved window keeps the place and decides from now on"),
    (LimitedBest, "best price: the lowest ask, whatever the limit"),
    (ConditionalFromOne, "depth gives the best prices first and conditional quantity apart"),
    (WrappingReduction, "no order is reduced by nothing or by more than it leaves"),
    (SecondComing, "an id rests once"),
]
_IDS = [canary.__name__ for canary, _ in CANARIES]


def _failing(factory: BookFactory) -> list[str]:
    failing = []
    for name, check in BASE.items():
        try:
            check(factory)
        except (AssertionError, pytest.fail.Exception):
            failing.append(name)
    return failing


@pytest.mark.parametrize(("canary", "caught_by"), CANARIES, ids=_IDS)
def test_the_base_catches_it(canary: type[PlainBook], caught_by: str) -> None:
    assert caught_by in _failing(canary)


@pytest.mark.parametrize("canary", [canary for canary, _ in CANARIES], ids=_IDS)
def test_random_calls_catch_it(canary: type[PlainBook]) -> None:
    hunt = settings(
        max_examples=300,
        stateful_step_count=40,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(against(canary), settings=hunt)
