"""A book against the plain one: random calls, and every answer, error, depth and order at rest must be equal.

Few accounts, prices and hours, so that orders meet each other often; ids that lie close together and ids of 63 bits.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from engine.kinds import Side
from engine.resting import Book, Resting, Taker
from engine.resting_plain import PlainBook
from engine.units import NS_PER_HOUR
from tests.engine.resting.orders import NOW, BookFactory, after, book_of, contents

_sides = st.sampled_from(Side)
_accounts = st.integers(1, 4)
_hours = st.sampled_from([0, 1, 1, 2, 3, 744])
_windows = st.sampled_from([0, 0, after(1), after(2), after(3, -1), after(3), after(744)])
_times = st.sampled_from([NOW, NOW, NOW + 1, NOW + NS_PER_HOUR])
_looks = st.sampled_from([0, 1, 2, 5, 1_024, 1_024, 1_024])
_ids = st.one_of(st.integers(1, 30), st.integers(2**62, 2**62 + 30), st.integers(-(2**63), 2**63 - 1))
_quantities = st.integers(1, 9)
_reductions = st.one_of(st.integers(-1, 10), st.sampled_from([2**31, 2**32, 2**63]))
_strangers = st.one_of(_ids, st.sampled_from([2**63, -(2**63) - 1]))
_prices: Final = {"few": st.integers(98, 102), "many": st.integers(1, 10_000_000)}

takers = st.builds(
    Taker,
    account=_accounts,
    side=_sides,
    price_ticks=st.integers(97, 103),
    quantity=st.integers(0, 40),
    hours=_hours,
    window_end_ns=_windows,
)


def answer(book: Book, call: str, *arguments: Any) -> object:
    """What a call gives, or the error that it raises, in a form that compares."""
    try:
        given = getattr(book, call)(*arguments)
    except (KeyError, ValueError) as error:
        return type(error), error.args
    return given


class Differential(RuleBasedStateMachine):
    """Both books live the same life. Made for a factory by `against`."""

    factory: BookFactory

    orders = Bundle("orders")

    @initialize(prices=st.sampled_from(sorted(_prices)), crowd=st.sampled_from([0, 0, 200]))
    def begin(self, prices: str, crowd: int) -> None:
        self.plain: Book = PlainBook()
        self.other: Book = type(self).factory()
        self.prices = _prices[prices]
        # A crowd makes pools, ladders and tables grow before the first call.
        for number in range(1, crowd + 1):
            side = Side.BUY if number % 2 else Side.SELL
            price_ticks = (90 - number % 70) if side is Side.BUY else 110 + number % 70
            self.same("add", Resting(-number, 1 + number % 4, side, price_ticks, 1 + number % 9, number % 3, 0))

    def same(self, call: str, *arguments: Any) -> Any:
        plain, other = answer(self.plain, call, *arguments), answer(self.other, call, *arguments)
        assert plain == other, f"{call}{arguments}: plain gives {plain}, the other {other}"
        return plain

    @rule(
        target=orders,
        order_id=_ids,
        account=_accounts,
        side=_sides,
        data=st.data(),
        quantity=_quantities,
        hours=_hours,
        window_end_ns=_windows,
    )
    def add(
        self,
        order_id: int,
        account: int,
        side: Side,
        data: st.DataObject,
        quantity: int,
        hours: int,
        window_end_ns: int,
    ) -> int:
        price_ticks = data.draw(self.prices, label="price_ticks")
        self.same("add", Resting(order_id, account, side, price_ticks, quantity, hours, window_end_ns))
        return order_id

    @rule(order_id=orders, quantity=_reductions)
    def reduce(self, order_id: int, quantity: int) -> None:
        self.same("reduce", order_id, quantity)

    @rule(order_id=consumes(orders))
    def remove(self, order_id: int) -> None:
        self.same("remove", order_id)

    @rule(order_id=orders, window_end_ns=_windows)
    def move_window(self, order_id: int, window_end_ns: int) -> None:
        self.same("move_window", order_id, window_end_ns)

    @rule(order_id=_strangers)
    def meet_a_stranger(self, order_id: int) -> None:
        self.same("__contains__", order_id)
        self.same("get", order_id)
        self.same("remove", order_id)

    @rule(taker=takers, now_ns=_times, max_looked=_looks)
    def look(self, taker: Taker, now_ns: int, max_looked: int) -> None:
        self.same("walk", taker, now_ns, max_looked)
        self.same("best_price", taker, now_ns, max_looked)

    @rule(taker=takers, now_ns=_times, max_looked=_looks)
    def trade(self, taker: Taker, now_ns: int, max_looked: int) -> None:
        for fill in self.same("walk", taker, now_ns, max_looked).fills:
            self.same("reduce", fill.order_id, fill.quantity)

    @rule(side=_sides, max_levels=st.integers(0, 6))
    def depth(self, side: Side, max_levels: int) -> None:
        self.same("depth", side, max_levels)

    @rule()
    def add_again(self) -> None:
        """Both books made anew from what rests in priority order, as a restored snapshot makes them."""
        for book, factory in ((self.plain, PlainBook), (self.other, type(self).factory)):
            again = book_of(factory, *book.resting(Side.BUY), *book.resting(Side.SELL))
            assert contents(again) == contents(book)

    @invariant()
    def equal(self) -> None:
        if hasattr(self, "plain"):
            assert contents(self.plain) == contents(self.other)


def against(factory: BookFactory) -> type[Differential]:
    """The state machine that runs this book beside the plain one."""
    return type("DifferentialOf", (Differential,), {"factory": staticmethod(factory)})
