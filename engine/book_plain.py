"""The plain order book: the written law of matching (rulebook §5, §6; docs/book.md), as simply as it can be said.

A command is checked, in the order that docs/book.md gives, and then carried out; each check and each command is a method
of its own. The rooms behind: `book_plain_doors` (bytes in and out), `_queues` (orders at rest), `_walk` (matching),
`_sessions` (auctions, stops), and the pure rules in `_orders`, `_checks`, `_auction`, `_reference`, `_ladder`, `_stops`.
The fast book gives the same events, depth and state for every sequence of commands. It never knows money, capacity,
leases, expiry times or client ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from engine.book import BookLimits, BookState, Fill, Indicative, RestingOrder, Walk
from engine.book_plain_checks import malformed, new_refusal, shows_enough
from engine.book_plain_doors import alone, command_of, record_of
from engine.book_plain_orders import conditional, fired, is_stop, may_rest, order_of
from engine.book_plain_reference import rounded
from engine.book_plain_sessions import Sessions
from engine.book_plain_stops import reaches
from engine.book_plain_walk import Act
from engine.book_state import check
from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import Command, EventFlag, EventKind, Given, Op, Session, Sides

_Answer = TypeVar("_Answer")
_BEFORE_TRADING: Final = (Session.PRE_OPEN, Session.AUCTION)


class PlainBook(Sessions):
    """One instrument; implements `engine.book.Book`."""

    def __init__(self, limits: BookLimits | None = None) -> None:
        super().__init__(limits or BookLimits())
        self._commands: dict[int, Callable[[Command], Reason]] = {
            Op.NEW: self._new,
            Op.CANCEL: self._cancel_one,
            Op.AMEND: self._amend,
            Op.REDUCE: self._reduce,
            Op.MOVE_WINDOW: self._move_window,
            Op.MASS_CANCEL: self._mass_cancel,
            Op.SET_BARON: self._set_baron,
            Op.SET_SESSION: self._set_session,
            Op.TICK: self._tick,
            Op.FIRE: self._fire_one,
        }

    # ------------------------------------------------------------ any command

    def _apply(self, command: Command) -> None:
        reason = self._refusal(command) or self._commands[command.op](command)
        if reason:
            self._reject(command.order_id, reason)
        else:
            self._fire_due()

    def _refusal(self, command: Command) -> Reason:
        """Checks 1 to 3; in passing, the book's time becomes the command's."""
        if malformed(command):
            return Reason.MALFORMED_RECORD
        if command.ts_ns < self._now_ns:
            return Reason.TIME_WENT_BACK
        self._now_ns = command.ts_ns
        self._command_reference = None
        return Reason.NONE if self._lets_in(command) else Reason.SESSION_CLOSED

    def _lets_in(self, command: Command) -> bool:
        """Check 3: what an instrument that expired takes, and one in the middle of its clearing."""
        if self._session is Session.EXPIRED:
            return command.op in (Op.TICK, Op.SET_BARON)
        if self._clearing_price == 0:
            return True
        if command.op == Op.SET_SESSION:
            return command.shape == Session.CONTINUOUS
        return command.op not in (Op.NEW, Op.AMEND, Op.FIRE)

    def _own(self, command: Command) -> RestingOrder | None:
        """The live order that a command names, if its account may."""
        order = self._orders.get(command.order_id)
        if order is None or command.account not in (0, order.account):
            return None
        return order

    # ------------------------------------------------------------ new

    def _new(self, command: Command) -> Reason:
        if command.order_id in self._orders:
            return Reason.DUPLICATE_ORDER_ID
        if reason := new_refusal(command, self._limits):
            return reason
        order = order_of(command)
        if reason := self._session_refusal(order) or self._conditional_refusal(order):
            return reason
        if is_stop(order):
            self._accept(order, EventFlag.ARMED)
            last_price = self._reference.last_price
            triggered = last_price != 0 and reaches(order.side, order.stop_price, last_price)
            self._arm(replace(order, triggered=triggered))
        elif self._session is Session.CONTINUOUS:
            entering = self._prepare(order)
            if isinstance(entering, Reason):
                return entering
            self._accept(entering)
            self._enter(entering)
        else:
            self._accept(order)
            self._finish(order)
        return Reason.NONE

    def _session_refusal(self, order: RestingOrder) -> Reason:
        """Check 14: what may enter before trading, and that nothing may in a halt."""
        if self._session is Session.HALTED:
            return Reason.SESSION_CLOSED
        if self._session in _BEFORE_TRADING:
            if conditional(order) or not may_rest(order):
                return Reason.SESSION_CLOSED
            return self._own_refusal(order, gone=0)
        return Reason.NONE

    def _conditional_refusal(self, order: RestingOrder) -> Reason:
        """Check 15: an account's bound on live conditional orders."""
        stays = order.time_in_force is TimeInForce.GTC or is_stop(order)
        if order.account == 0 or not stays or not conditional(order):
            return Reason.NONE
        full = 0 < self._limits.max_conditional_account <= self._conditional_of[order.account]
        return Reason.TOO_MANY_CONDITIONAL if full else Reason.NONE

    def _accept(self, order: RestingOrder, flags: int = 0) -> None:
        self._say(
            EventKind.ACCEPTED,
            order.order_id,
            order.side,
            order.price,
            order.quantity,
            order.leaves,
            flags=flags,
            other_leaves=order.display_quantity,
        )

    # ------------------------------------------------------------ less of an order

    def _cancel_one(self, command: Command) -> Reason:
        order = self._own(command)
        if order is None:
            return Reason.UNKNOWN_ORDER
        self._cancel(order, Reason(command.reason) or Reason.REQUESTED)
        return Reason.NONE

    def _reduce(self, command: Command) -> Reason:
        order = self._own(command)
        if order is None:
            return Reason.UNKNOWN_ORDER
        if command.quantity == 0:
            return Reason.INVALID_QUANTITY
        reason = Reason(command.reason) or Reason.REQUESTED
        if command.quantity >= order.leaves:
            self._cancel(order, reason)
        else:
            self._shrink(order, order.quantity - command.quantity, reason)
        return Reason.NONE

    def _shrink(self, order: RestingOrder, quantity: int, reason: Reason) -> None:
        """A smaller total, in place: the order keeps its priority."""
        leaves = order.leaves - (order.quantity - quantity)
        smaller = replace(order, quantity=quantity, leaves=leaves, shown=min(order.shown, leaves))
        self._change(smaller)
        self._say_amended(smaller, EventFlag.KEPT_PRIORITY, reason)

    def _move_window(self, command: Command) -> Reason:
        order = self._own(command)
        if order is None:
            return Reason.UNKNOWN_ORDER
        if order.side is Side.BUY:
            return Reason.INVALID_ORDER
        moved = replace(order, window_end_h=command.window_end_h)
        self._change(moved)
        self._say_amended(moved, EventFlag.KEPT_PRIORITY, Reason.WINDOW_MOVED)
        return Reason.NONE

    def _mass_cancel(self, command: Command) -> Reason:
        reason = Reason(command.reason) or Reason.MASS_CANCELED
        sides = {Side.BUY: command.flags & Sides.BUY, Side.SELL: command.flags & Sides.SELL}
        for order in self._all():
            if sides[order.side] and command.account in (0, order.account) and command.tag in (0, order.tag):
                self._cancel(order, reason)
        return Reason.NONE

    # ------------------------------------------------------------ amend

    def _amend(self, command: Command) -> Reason:
        if self._session is Session.HALTED:
            return Reason.SESSION_CLOSED
        order = self._own(command)
        if order is None:
            return Reason.UNKNOWN_ORDER
        if command.flags == 0:
            return Reason.NOTHING_TO_AMEND
        price = command.price if command.flags & Given.PRICE else order.price
        quantity = command.quantity if command.flags & Given.QUANTITY else order.quantity
        if command.flags & Given.PRICE and not 1 <= price <= self._limits.price_max:
            return Reason.INVALID_PRICE
        if command.flags & Given.QUANTITY and quantity > self._limits.quantity_max:
            return Reason.INVALID_QUANTITY
        leaves = quantity - (order.quantity - order.leaves)
        if leaves <= 0:
            self._cancel(order, Reason.REQUESTED)
            return Reason.NONE
        if leaves % max(order.lot, 1) or not shows_enough(order.display_quantity, quantity, self._limits):
            return Reason.INVALID_QUANTITY
        if price == order.price and quantity < order.quantity and not command.flags & Given.ANEW:
            self._shrink(order, quantity, Reason.NONE)
            return Reason.NONE
        amended = replace(order, price=price, quantity=quantity, leaves=leaves, shown=leaves)
        if is_stop(order):
            return self._amend_stop(order, amended)
        return self._enter_anew(order, amended)

    def _amend_stop(self, order: RestingOrder, amended: RestingOrder) -> Reason:
        """A stop that waits goes to the end of the stops."""
        self._disarm(order)
        self._arm(amended)
        self._say_amended(amended, 0)
        return Reason.NONE

    def _enter_anew(self, order: RestingOrder, amended: RestingOrder) -> Reason:
        """An order at rest leaves its level and enters like a new one; refused, it stands unchanged."""
        if self._session is Session.CONTINUOUS:
            entering = self._prepare(amended)
            if isinstance(entering, Reason):
                return entering
        elif reason := self._session_refusal(amended):
            return reason
        self._unrest(order)
        self._say_amended(amended, 0)
        if self._session is Session.CONTINUOUS:
            self._enter(amended)
        else:
            self._finish(amended)
        return Reason.NONE

    # ------------------------------------------------------------ the book's own

    def _set_baron(self, command: Command) -> Reason:
        self._barons[command.baron] = (command.min_rating, command.features)
        return Reason.NONE

    def _set_session(self, command: Command) -> Reason:
        self._go_to(Session(command.shape), Reason(command.reason))
        return Reason.NONE

    def _tick(self, _command: Command) -> Reason:
        if self._clearing_price:
            self._clear(Reason.NONE)
        return Reason.NONE

    def _fire_one(self, command: Command) -> Reason:
        if self._session is not Session.CONTINUOUS:
            return Reason.SESSION_CLOSED
        order = self._own(command)
        if order is None or not order.triggered:
            return Reason.UNKNOWN_ORDER
        self._fire(order)
        return Reason.NONE

    # ------------------------------------------------------------ questions

    def walk(self, order: Any) -> Walk:
        """What a NEW would take if it were entered now as it stands; ValueError for a malformed one."""
        return self._as_of(order, self._dry_walk)

    def _dry_walk(self, taker: RestingOrder) -> Walk:
        if taker.order_type is OrderType.MARKET and taker.price == 0:
            taker = replace(taker, price=self._protection(taker))
        plan = self._plan(taker)
        taken = [step for step in plan.steps if step.act is Act.TRADE]
        fills = [Fill(step.maker.order_id, step.maker.price, step.quantity) for step in taken]
        return Walk(fills, plan.leaves, plan.stop)

    def protection(self, order: Any) -> int:
        """The protection price of a market order without one; 0 when nothing that it is eligible for is there."""
        return self._as_of(order, self._protection)

    def _as_of(self, order: Any, question: Callable[[RestingOrder], _Answer]) -> _Answer:
        """Ask about an order at its own time, if that is later than the book's; a stop as if it fired."""
        return self._asked(command_of(record_of(order), 0), question)

    @alone
    def _asked(self, command: Command, question: Callable[[RestingOrder], _Answer]) -> _Answer:
        if command.op != Op.NEW or malformed(command):
            raise ValueError("ask about a NEW record whose every bit means something")
        taker = order_of(command)
        now_ns, command_reference = self._now_ns, self._command_reference
        self._now_ns, self._command_reference = max(now_ns, command.ts_ns), None
        try:
            return question(fired(taker) if is_stop(taker) else taker)
        finally:
            self._now_ns, self._command_reference = now_ns, command_reference

    @alone
    def indicative(self) -> Indicative | None:
        """What an auction would clear at now; None when nothing crosses."""
        return self._clearing_result(rounded(self._reference.at(self._now_ns)))

    @alone
    def reference(self) -> tuple[int, int]:
        """The reference price as of the last command's time, as (sum of price x quantity, quantity); (0, 0): none."""
        return self._reference.at(self._now_ns)

    @property
    @alone
    def session(self) -> Session:
        return self._session

    @property
    @alone
    def last_price(self) -> int:
        """Ticks; 0: never traded."""
        return self._reference.last_price

    @property
    @alone
    def stops_due(self) -> bool:
        """Whether a TICK would do something now: stops wait to fire by themselves, or a clearing isn't finished."""
        return self._clearing_price != 0 or (self._limits.fires and self._next_stop() != 0)

    @property
    @alone
    def clearing_price(self) -> int:
        """Of a clearing that isn't finished; 0 none."""
        return self._clearing_price

    @alone
    def next_stop(self) -> int:
        """Id of the first triggered stop in order of entry, in `continuous`; 0 when none may fire now."""
        return self._next_stop()

    # ------------------------------------------------------------ state

    @alone
    def state(self) -> BookState:
        """All of it, for snapshots and hashes."""
        reference = self._reference
        return BookState(
            limits=self._limits,
            session=self._session,
            last_ts_ns=self._now_ns,
            last_price=reference.last_price,
            auction_price=reference.auction_price_at(self._now_ns),
            auction_end_ns=reference.auction_end_ns,
            clearing_price=self._clearing_price,
            minutes=tuple(
                (minute, *divmod(value, 2**64), volume) for minute, (value, volume) in reference.minutes.items()
            ),
            barons=tuple((baron, *known) for baron, known in sorted(self._barons.items())),
            bids=tuple(self._queue(Side.BUY)),
            asks=tuple(self._queue(Side.SELL)),
            stops=tuple(map(self._orders.__getitem__, self._stops.ids())),
        )

    @alone
    def restore(self, state: BookState) -> None:
        """Become what `state` says, whatever it was: what waited to be told is forgotten."""
        fresh = type(self)(state.limits)
        fresh._fill(state)
        # Everything is the other's from now on, but whose turn it is, and who carries commands out.
        vars(self).update(vars(fresh), _turn=self._turn, _commands=self._commands)

    def _fill(self, state: BookState) -> None:
        check(state)
        self._limits = state.limits
        self._session = state.session
        self._now_ns = state.last_ts_ns
        self._clearing_price = state.clearing_price
        reference = self._reference
        reference.last_price = state.last_price
        reference.auction_price = state.auction_price
        reference.auction_end_ns = state.auction_end_ns
        reference.minutes.update({minute: (high << 64 | low, volume) for minute, high, low, volume in state.minutes})
        self._barons.update({baron: (rating, features) for baron, rating, features in state.barons})
        for order in (*state.bids, *state.asks):
            self._rest(order)
        for stop in state.stops:
            self._arm(stop)
