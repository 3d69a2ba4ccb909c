"""Hypothesis's hands on two books at once: short lives in readable steps, which it shrinks by itself.

Rules are what a client or the engine asks of a book; after each, everything that both books say is compared.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from engine.book import BookLimits
from engine.book_plain import PlainBook
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import LIFETIMES, Command, Flag, Given, Op, SelfTrade, Session, Sides, shape_of
from engine.units import NS_PER_HOUR, NS_PER_S
from tests.engine.book.differential_pair import BookFactory, Pair, Step, Way

BIRTH_NS = 400_000 * NS_PER_HOUR
ROOMS = st.sampled_from([0, 40, 80, 4_000])

_sides = st.sampled_from(Side)
_accounts = st.integers(0, 3)
_prices = st.integers(98, 102)
_quantities = st.integers(1, 9)
_lasting = st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, *LIFETIMES])
_modes = st.sampled_from(SelfTrade)
_reasons = st.sampled_from([0, 0, 84, 88])
_limits = st.builds(
    BookLimits,
    max_looked=st.sampled_from([1_024, 1_024, 3, 1]),
    max_stops=st.sampled_from([64, 1]),
    fires=st.booleans(),
    max_conditional_account=st.sampled_from([16, 1]),
    max_conditional_side=st.sampled_from([512, 1]),
    display_ratio=st.sampled_from([64, 3]),
    band_ppm=st.sampled_from([300_000, 10_000]),
)


class Differential(RuleBasedStateMachine):
    """Both books live the same life; `other` is made by a subclass's factory."""

    factory: BookFactory

    orders = Bundle("orders")

    @initialize(limits=_limits, session=st.sampled_from([Session.CONTINUOUS, Session.CONTINUOUS, Session.PRE_OPEN]))
    def begin(self, limits: BookLimits, session: Session) -> None:
        self.pair = Pair(limits, PlainBook, type(self).factory)
        self.now_ns = BIRTH_NS
        self.made = 0
        self.send(Command(Op.SET_SESSION, shape=session))

    def send(self, command: Command, room: int = 4_000) -> None:
        record = command._replace(ts_ns=self.now_ns).pack()
        self.pair.run([Step(Way.BATCH, (record,), room, 3_200)])

    def new(self, command: Command, room: int) -> int:
        self.made += 1
        self.send(command._replace(op=Op.NEW, order_id=self.made), room)
        return self.made

    @rule(
        target=orders,
        side=_sides,
        account=_accounts,
        price=_prices,
        quantity=_quantities,
        lasting=_lasting,
        mode=_modes,
        display=st.sampled_from([0, 0, 0, 1, 2, 3]),
        post_only=st.sampled_from([0, 0, 0, Flag.POST_ONLY]),
        tag=st.integers(0, 2),
        room=ROOMS,
    )
    def limit(
        self,
        side: Side,
        account: int,
        price: int,
        quantity: int,
        lasting: TimeInForce,
        mode: SelfTrade,
        display: int,
        post_only: int,
        tag: int,
        room: int,
    ) -> int:
        shape = shape_of(side, OrderType.LIMIT, lasting, mode)
        order = Command(Op.NEW, account=account, price=price, quantity=quantity, shape=shape, flags=post_only)
        return self.new(order._replace(display_quantity=display, tag=tag), room)

    @rule(side=_sides, account=_accounts, price=st.sampled_from([0, 0, 99, 101]), quantity=_quantities, room=ROOMS)
    def market(self, side: Side, account: int, price: int, quantity: int, room: int) -> None:
        shape = shape_of(side, OrderType.MARKET, TimeInForce.IOC)
        self.new(Command(Op.NEW, account=account, price=price, quantity=quantity, shape=shape), room)

    @rule(
        target=orders,
        side=_sides,
        account=_accounts,
        stop_price=_prices,
        price=_prices,
        quantity=_quantities,
        limited=st.booleans(),
        lasting=_lasting,
    )
    def stop(
        self,
        side: Side,
        account: int,
        stop_price: int,
        price: int,
        quantity: int,
        limited: bool,
        lasting: TimeInForce,
    ) -> int:
        shape = shape_of(side, OrderType.STOP_LIMIT if limited else OrderType.STOP, lasting)
        order = Command(Op.NEW, account=account, price=price, quantity=quantity, shape=shape, stop_price=stop_price)
        return self.new(order, 4_000)

    @rule(
        target=orders,
        account=_accounts,
        price=_prices,
        quantity=_quantities,
        hours=st.integers(0, 3),
        rating=st.sampled_from([0, 0, 50]),
        features=st.integers(0, 3),
        least=st.integers(0, 3),
        same_baron=st.sampled_from([0, 0, Flag.SAME_BARON]),
    )
    def choosy_bid(
        self,
        account: int,
        price: int,
        quantity: int,
        hours: int,
        rating: int,
        features: int,
        least: int,
        same_baron: int,
    ) -> int:
        order = Command(
            Op.NEW, account=account, price=price, quantity=quantity, shape=shape_of(Side.BUY), flags=same_baron
        )
        return self.new(order._replace(hours=hours, min_rating=rating, features=features, min_quantity=least), 4_000)

    @rule(
        target=orders,
        account=_accounts,
        price=_prices,
        lots=st.integers(1, 3),
        lot=st.integers(0, 3),
        hours=st.integers(0, 3),
        baron=st.integers(0, 2),
        window_h=st.sampled_from([0, 1, 2, 5]),
    )
    def ask_of_a_baron(
        self, account: int, price: int, lots: int, lot: int, hours: int, baron: int, window_h: int
    ) -> int:
        window_end_h = self.now_ns // NS_PER_HOUR + window_h if window_h else 0
        order = Command(Op.NEW, account=account, price=price, quantity=lots * max(lot, 1), shape=shape_of(Side.SELL))
        return self.new(order._replace(hours=hours, lot=lot, baron=baron, window_end_h=window_end_h), 4_000)

    @rule(order_id=orders, account=st.sampled_from([0, 0, 0, 1]), reason=_reasons)
    def cancel(self, order_id: int, account: int, reason: int) -> None:
        self.send(Command(Op.CANCEL, order_id, account=account, reason=reason))

    @rule(order_id=orders, price=_prices, quantity=st.integers(0, 12), given_fields=st.integers(0, 7), room=ROOMS)
    def amend(self, order_id: int, price: int, quantity: int, given_fields: int, room: int) -> None:
        fields = Given(given_fields)
        self.send(Command(Op.AMEND, order_id, price=price, quantity=quantity, flags=fields), room)

    @rule(order_id=orders, quantity=st.integers(0, 5))
    def reduce(self, order_id: int, quantity: int) -> None:
        self.send(Command(Op.REDUCE, order_id, quantity=quantity))

    @rule(order_id=orders, hours=st.integers(-1, 5))
    def move_window(self, order_id: int, hours: int) -> None:
        self.send(Command(Op.MOVE_WINDOW, order_id, window_end_h=self.now_ns // NS_PER_HOUR + hours))

    @rule(order_id=orders)
    def fire(self, order_id: int) -> None:
        self.send(Command(Op.FIRE, order_id))

    @rule(
        account=_accounts, tag=st.integers(0, 2), sides=st.sampled_from([Sides.BUY, Sides.SELL, Sides.BUY | Sides.SELL])
    )
    def mass_cancel(self, account: int, tag: int, sides: Sides) -> None:
        self.send(Command(Op.MASS_CANCEL, account=account, tag=tag, flags=sides))

    @rule(baron=st.integers(1, 2), rating=st.sampled_from([0, 49, 50, 100]), features=st.integers(0, 3))
    def set_baron(self, baron: int, rating: int, features: int) -> None:
        self.send(Command(Op.SET_BARON, baron=baron, min_rating=rating, features=features))

    @rule(session=st.sampled_from([Session.CONTINUOUS, Session.CONTINUOUS, *Session]), reason=_reasons, room=ROOMS)
    def set_session(self, session: Session, reason: int, room: int) -> None:
        # An instrument that expired teaches nothing more: it is left for the end of the long flows.
        shape = Session.HALTED if session is Session.EXPIRED else session
        self.send(Command(Op.SET_SESSION, shape=shape, reason=reason), room)

    @rule(wait_ns=st.sampled_from([0, 1, NS_PER_S, 121 * NS_PER_S, 600 * NS_PER_S, NS_PER_HOUR - 1, NS_PER_HOUR]))
    def tick(self, wait_ns: int) -> None:
        self.now_ns += wait_ns
        self.send(Command(Op.TICK))

    @rule()
    def go_on_as_new_books(self) -> None:
        self.pair.restore()

    @invariant()
    def equal(self) -> None:
        if hasattr(self, "pair"):
            self.pair.compare()


def against(factory: BookFactory) -> type[Differential]:
    """The state machine that runs this book beside the plain one."""
    return type("DifferentialOf", (Differential,), {"factory": staticmethod(factory)})
