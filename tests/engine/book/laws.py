"""An auditor of books: fed with commands and the events that answered them, it says which law was broken.

It trusts nothing that a book says without checking it: one that lies in its events, or that tells the truth of a wrong
deed, breaks a law here. It must never see a book's inside; its caller compares depth and length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.book import BookLimits, Level
from engine.kinds import OrderType, Side, TimeInForce
from engine.reasons import Reason
from engine.records import BookEvent, Command, EventFlag, EventKind, Given, Op, Session
from tests.engine.book.laws_auction import Clearing, clearing
from tests.engine.book.laws_ledger import Breach, Known, Ledger, known_of, law
from tests.engine.book.laws_refusals import NAMED, as_fired, entry, malformed, refusal
from tests.engine.book.laws_walk import Walk, own_refusal

__all__ = ["Auditor", "Breach"]

ACTIVE = (Session.PRE_OPEN, Session.AUCTION, Session.CONTINUOUS)


class Auditor:
    """Of one book, from its birth. `seen` counts what it was told, so that a silent flow is not taken for a lawful one."""

    def __init__(self, limits: BookLimits) -> None:
        self.limits = limits
        self.ledger = Ledger(limits)
        self.seen: Counter[tuple[EventKind, Reason]] = Counter()
        self.filled = {Side.BUY: 0, Side.SELL: 0}
        self._clearing: Clearing | None = None
        self._walk: Walk | None = None
        self._reference = (0, 0)
        self._fired = 0
        self._cleared = 0

    def __len__(self) -> int:
        return len(self.ledger.orders)

    def depth(self, side: Side) -> list[Level]:
        """What the book's whole depth must be."""
        return self.ledger.depth(side)

    def feed(self, command: Command, events: Sequence[BookEvent]) -> None:
        """Check one command's events; Breach when a law is broken."""
        for event in events:
            self.seen[event.kind, event.reason] += 1
        due = self._checked(command)
        if any(event.kind is EventKind.REJECTED for event in events):
            self._rejected(command, events, due)
            return
        law(not due, "what a check refuses is refused", command, due)
        self._fired = self._cleared = 0
        if self._clearing is not None:
            self._clearing.time_passed()
        rest = self._answer(command, list(events))
        for event in rest:
            self._happened(command, event)
        self._end_walk()
        self._after(command)

    # ------------------------------------------------------------ the answer to the command itself

    def _checked(self, command: Command) -> Reason:
        """Why the command must be refused, or NONE; in passing, the book's time becomes the command's."""
        ledger = self.ledger
        if malformed(command):
            return Reason.MALFORMED_RECORD
        if command.ts_ns < ledger.now_ns:
            return Reason.TIME_WENT_BACK
        ledger.now_ns = command.ts_ns
        self._reference = ledger.reference()
        return refusal(ledger, command, self._reference, clearing=self._clearing is not None)

    def _rejected(self, command: Command, events: Sequence[BookEvent], due: Reason) -> None:
        event = events[0]
        law(len(events) == 1, "a reject is all that is said", *events)
        law(event.order_id == command.order_id, "a reject names its order", event)
        law(event.reason is due, "a refusal says the first check that fails", command, event, due)

    def _answer(self, command: Command, events: list[BookEvent]) -> list[BookEvent]:
        """Take what the command itself must have led to; the events that follow it."""
        ledger = self.ledger
        if command.op in NAMED or command.op == Op.NEW:
            law(
                bool(events) and events[0].order_id == command.order_id,
                "a command's order is named first",
                command,
                *events,
            )
        match command.op:
            case Op.NEW:
                self._accepted(command, events[0])
                return events[1:]
            case Op.CANCEL:
                self._cancelled_by_name(command, events[0])
                return events[1:]
            case Op.AMEND | Op.REDUCE | Op.MOVE_WINDOW:
                if events[0].kind is EventKind.CANCELED:
                    self._cancelled_by_name(command, events[0])
                else:
                    self._amended(command, events[0])
                return events[1:]
            case Op.MASS_CANCEL:
                return self._mass_cancelled(command, events)
            case Op.SET_BARON:
                ledger.barons[command.baron] = (command.min_rating, command.features)
            case Op.SET_SESSION:
                return self._session_asked(command, events)
            case Op.FIRE:
                law(ledger.orders[command.order_id].triggered, "only a triggered stop fires", command)
            case _:
                law(command.op == Op.TICK, "an unknown op is refused", command)
        return events

    def _accepted(self, command: Command, event: BookEvent) -> None:
        ledger, session = self.ledger, self.ledger.session
        law(event.kind is EventKind.ACCEPTED, "a NEW is accepted or refused", event)
        law(command.order_id not in ledger.orders, "an id is one live order's", event)
        order = known_of(command)
        law((event.quantity, event.leaves) == (order.total, order.total), "what is accepted is what was asked", event)
        law(event.side == order.side, "what is accepted is what was asked", event)
        law(0 < order.total <= self.limits.quantity_max, "a quantity is inside its bounds", order)
        law(event.other_leaves == order.display, "what is accepted says what an iceberg shows", event)
        due = order.price
        if order.order_type is OrderType.MARKET:
            due = entry(ledger, order, self._reference).price
        law(event.price == due, "an order's price is its own, or its protection", event, due)
        order.price = event.price
        ledger.orders[order.order_id] = order
        is_stop = order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
        law(bool(event.flags & EventFlag.ARMED) == is_stop, "stops alone are armed", event)
        bound = self.limits.max_conditional_account
        if bound and order.account and order.conditional and (is_stop or order.may_rest):
            count = sum(other.conditional and other.account == order.account for other in ledger.orders.values())
            law(count <= bound, "an account has so many conditional orders", order, count)
        law(session in ACTIVE, "a closed session takes no order", event, session)
        if is_stop:
            order.armed = True
            order.triggered = ledger.triggers(order)
            ledger.stops.append(order)
            law(session is Session.CONTINUOUS, "stops are for continuous", order)
        elif session is Session.CONTINUOUS:
            law(0 < order.price <= self.limits.price_max, "a walk has a limit", order)
            self._begin_walk(order)
        else:
            law(order.may_rest and not order.conditional, "an auction takes plain limits alone", order)
            law(own_refusal(ledger, order) is Reason.NONE, "nobody crosses himself in an auction", order)
            self._rest(order)

    def _rest(self, order: Known) -> None:
        order.shown = min(order.display or order.leaves, order.leaves)
        self.ledger.settle(order)

    def _cancelled_by_name(self, command: Command, event: BookEvent) -> None:
        order = self._live(event)
        law(event.kind is EventKind.CANCELED, "a cancel cancels", event)
        law(command.account in (0, order.account), "an order is its account's", command, order)
        asked = Reason.NONE if command.op == Op.AMEND else Reason(command.reason)
        law(event.reason == (asked or Reason.REQUESTED), "a cancel gives its reason", event)
        if command.op == Op.AMEND:
            law(command.quantity <= order.filled, "an amend closes what is filled by then", command, order)
        elif command.op == Op.REDUCE:
            law(command.quantity >= order.leaves, "a reduction closes by all that is left", command, order)
        self._gone(order, event)

    def _gone(self, order: Known, event: BookEvent) -> None:
        law((event.side, event.price) == (order.side, order.price), "a cancel tells side and price", event, order)
        law(
            event.quantity == order.leaves == order.total - order.filled,
            "a cancel tells what was unfilled",
            event,
            order,
        )
        self.ledger.close(order)

    def _live(self, event: BookEvent) -> Known:
        law(event.order_id in self.ledger.orders, "who is told of is live", event)
        return self.ledger.orders[event.order_id]

    def _amended(self, command: Command, event: BookEvent) -> None:
        ledger, order = self.ledger, self._live(event)
        law(event.kind is EventKind.AMENDED, "an amend amends", event)
        law(command.account in (0, order.account), "an order is its account's", command, order)
        kept = event.flags == EventFlag.KEPT_PRIORITY
        total, price = order.total, order.price
        if command.op == Op.MOVE_WINDOW:
            law(
                kept and event.reason is Reason.WINDOW_MOVED and order.side is Side.SELL,
                "a window moves in place",
                event,
            )
            order.reopened |= not ledger.open_until(order, 1)
            order.window_end_h = command.window_end_h
        elif command.op == Op.REDUCE:
            law(kept, "a reduction keeps priority", event)
            law(event.reason == (command.reason or Reason.REQUESTED), "a reduction gives its reason", event)
            total -= command.quantity
        else:
            total = command.quantity if command.flags & Given.QUANTITY else total
            price = command.price if command.flags & Given.PRICE else price
            pure = price == order.price and total < order.total and not command.flags & Given.ANEW
            law(kept == pure, "a pure reduction keeps priority, and nothing else does", event, order)
        law((event.price, event.quantity) == (price, total), "an amend does what was asked", event, order)
        law(event.leaves == total - order.filled > 0, "an amended partial keeps its residual", event, order)
        if kept:
            order.total, order.leaves = total, event.leaves
            order.shown = min(order.shown, order.leaves)
            return
        if order.armed:
            ledger.stops.remove(order)
            ledger.stops.append(order)
        else:
            ledger.lift(order)
        order.price, order.total, order.leaves = price, total, event.leaves
        if order.armed:
            return
        if ledger.session is Session.CONTINUOUS:
            self._begin_walk(order)
        else:
            law(ledger.session in ACTIVE and not order.conditional, "an auction takes plain limits alone", order)
            law(own_refusal(ledger, order) is Reason.NONE, "nobody crosses himself in an auction", order)
            self._rest(order)

    def _mass_cancelled(self, command: Command, events: list[BookEvent]) -> list[BookEvent]:
        wanted = [
            order
            for order in (*self.ledger.first(Side.BUY), *self.ledger.first(Side.SELL), *self.ledger.stops)
            if command.account in (0, order.account) and command.tag in (0, order.tag) and command.flags & order.side
        ]
        self._cancel_all(wanted, events, command.reason or Reason.MASS_CANCELED)
        return events[len(wanted) :]

    def _cancel_all(self, wanted: Sequence[Known], events: Sequence[BookEvent], reason: int) -> None:
        law(len(events) >= len(wanted), "a mass cancel spares nobody", len(events), len(wanted))
        for order, event in zip(wanted, events, strict=False):
            law(
                event.kind is EventKind.CANCELED and event.order_id == order.order_id, "bids, asks, stops", event, order
            )
            law(event.reason == reason, "a cancel gives its reason", event, reason)
            self._gone(order, event)

    # ------------------------------------------------------------ sessions

    def _session_asked(self, command: Command, events: list[BookEvent]) -> list[BookEvent]:
        ledger, asked = self.ledger, Session(command.shape)
        if asked is Session.EXPIRED:
            every = [*ledger.first(Side.BUY), *ledger.first(Side.SELL), *ledger.stops]
            law(len(events) == len(every) + 1, "an expiry spares nobody", len(events), len(every))
            self._cancel_all(every, events, Reason.INSTRUMENT_EXPIRED)
            law(not ledger.orders, "an expiry spares nobody")
            events = events[-1:]
        if asked is Session.CONTINUOUS and ledger.session is not asked:
            if self._clearing is None:
                crossing = clearing(ledger, self._reference) is not None
                cleared = bool(events) and events[0].kind is EventKind.CLEARED
                law(crossing == cleared, "a crossed book clears before it goes on", *events[:1])
            return events
        law(bool(events) and events[0].kind is EventKind.SESSION, "a session that was asked for is told", *events[:1])
        self._session_told(events[0])
        law(ledger.session is asked, "the session is what was asked for", events[0], asked)
        return events[1:]

    def _session_told(self, event: BookEvent) -> None:
        ledger, before = self.ledger, self.ledger.session
        law(self._walk is None, "a walk has ended when a session is told", event)
        value, volume = self._reference
        ledger.session = Session(event.flags)
        if ledger.session is Session.CONTINUOUS and before is not Session.CONTINUOUS:
            if before in (Session.PRE_OPEN, Session.AUCTION):
                ledger.auction_end_ns = ledger.now_ns
            if self._clearing is not None:
                law(self._clearing.done, "a clearing ends when one side has no more", event)
                left = self._clearing.left if self._clearing.undisturbed else 0
                law(left == 0, "an auction trades the volume that it told", event, left)
                law(clearing(ledger, self._reference) is None, "what crosses goes on clearing", event)
                ledger.auction_price, ledger.minutes = self._clearing.price, {}
                ledger.auction_end_ns = ledger.now_ns
                self._clearing = None
            elif before in (Session.PRE_OPEN, Session.AUCTION):
                ledger.auction_price = 0
            self._reference = value, volume = ledger.reference()
        law(event.price == (value // volume if volume else 0), "a session tells the reference", event, (value, volume))

    # ------------------------------------------------------------ what follows

    def _happened(self, command: Command, event: BookEvent) -> None:
        ledger, walk = self.ledger, self._walk
        match event.kind:
            case EventKind.CLEARED:
                again = self._clearing is None or (self._clearing.done and not self._clearing.undisturbed)
                law(walk is None and again, "an auction clears once, unless orders left in the midst of it", event)
                self._clearing = Clearing(ledger, event, self._reference)
            case EventKind.TRADE if event.flags & EventFlag.AUCTION:
                law(self._clearing is not None and walk is None, "an auction's trades follow its clearing", event)
                assert self._clearing is not None
                self._count(event)
                self._clearing.trade(event)
                self._cleared += 1
            case EventKind.SESSION if walk is not None:
                walk.session(event)
                ledger.session = Session(event.flags)
                law(ledger.session is Session.AUCTION, "the band opens auctions alone", event)
            case EventKind.SESSION:
                self._session_told(event)
            case EventKind.TRIGGERED:
                self._triggered(command, event)
            case EventKind.CANCELED if self._is_refused_stop(event):
                self._end_walk()
                self._next_stop(command, event)
                stop = self._live(event)
                due = entry(ledger, as_fired(stop), self._reference).reason
                law(event.reason is due, "a stop that may not enter says why", event, due)
                self._gone(stop, event)
            case EventKind.TRADE | EventKind.REFILLED | EventKind.CANCELED | EventKind.AMENDED:
                law(walk is not None, "only a walk trades, refills and cancels by itself", event)
                assert walk is not None
                self._walked(walk, event)
            case _:
                law(False, "an event is one of those that a command leads to", command, event)

    def _walked(self, walk: Walk, event: BookEvent) -> None:
        if event.kind is EventKind.TRADE:
            law(event.other_id == walk.taker.order_id, "a trade's taker is who walks", event)
            self._count(event)
            walk.trade(event)
        elif event.kind is EventKind.REFILLED:
            walk.refilled(event)
        elif event.kind is EventKind.AMENDED:
            walk.amended(event)
        elif event.order_id == walk.taker.order_id:
            walk.taker_cancelled(event)
        else:
            walk.maker_cancelled(event, self._live(event))

    def _count(self, event: BookEvent) -> None:
        """What each side filled, by what the trade says that its two orders leave: buys are sells."""
        orders = self.ledger.orders
        law(event.order_id in orders and event.other_id in orders, "a trade is of two live orders", event)
        for order, leaves in ((orders[event.order_id], event.leaves), (orders[event.other_id], event.other_leaves)):
            self.filled[order.side] += order.leaves - leaves
        law(
            event.quantity > 0 and self.filled[Side.BUY] == self.filled[Side.SELL], "buys are sells", event, self.filled
        )

    def _begin_walk(self, order: Known) -> None:
        self._end_walk()
        self._walk = Walk(self.ledger, order, self._reference)

    def _end_walk(self) -> None:
        walk, self._walk = self._walk, None
        if walk is not None:
            walk.ended()

    def _is_refused_stop(self, event: BookEvent) -> bool:
        order = self.ledger.orders.get(event.order_id)
        return order is not None and order.armed

    def _next_stop(self, command: Command, event: BookEvent) -> None:
        """The stop that an event names must be the one whose turn it is."""
        ledger = self.ledger
        law(ledger.session is Session.CONTINUOUS, "stops fire in continuous", event)
        if command.op == Op.FIRE and not self._fired and event.order_id == command.order_id:
            law(self._live(event).triggered, "only a triggered stop fires", event)
        else:
            due = next((stop for stop in ledger.stops if stop.triggered), None)
            law(self.limits.fires, "stops wait for their FIRE", event)
            law(due is not None and due.order_id == event.order_id, "stops fire in order of entry", event, due)
            bound = self.limits.max_stops
            self._fired += 1
            law(not bound or self._fired <= bound, "so many stops fire after a command", self._fired)

    def _triggered(self, command: Command, event: BookEvent) -> None:
        self._end_walk()
        self._next_stop(command, event)
        ledger, stop = self.ledger, self._live(event)
        law(
            (event.quantity, event.leaves) == (stop.total, stop.leaves),
            "a trigger tells the stop as it is",
            event,
            stop,
        )
        due = entry(ledger, as_fired(stop), self._reference)
        law(not due.reason, "a stop that may not enter doesn't fire", event, due)
        law(event.price == due.price, "a stop that fires keeps its price, or gets its protection", event, due)
        stop.price = event.price
        ledger.stops.remove(stop)
        stop.armed = False
        if stop.order_type is OrderType.STOP_LIMIT:
            stop.order_type = OrderType.LIMIT
        else:
            stop.order_type = OrderType.MARKET
            if stop.time_in_force is TimeInForce.GTC:
                stop.time_in_force = TimeInForce.IOC
        self._begin_walk(stop)

    # ------------------------------------------------------------ after every command

    def _after(self, command: Command) -> None:
        ledger = self.ledger
        for order in self._untouched_breaches():
            law(False, "nobody stands without a place", order)
        if ledger.session is not Session.CONTINUOUS:
            if self._clearing is not None and command.op in (Op.TICK, Op.SET_SESSION):
                law(not self._clearing.done, "a clearing that has ended goes on to continuous", command)
                law(self._cleared == self.limits.max_looked, "a clearing stops at the bound alone", self._cleared)
            elif self._clearing is not None:
                # What leaves in the midst of it takes its part of the volume along.
                self._clearing.undisturbed &= command.op == Op.SET_BARON
            return
        law(self._clearing is None, "a clearing ends before continuous", command)
        due = self.limits.fires and any(stop.triggered for stop in ledger.stops)
        law(not due or self._fired == self.limits.max_stops, "a triggered stop fires", ledger.stops[:1], self._fired)
        self._never_crossed()

    def _untouched_breaches(self) -> Iterable[Known]:
        return (order for order in self.ledger.orders.values() if not (order.place or order.armed))

    def _never_crossed(self) -> None:
        """Among unconditional orders, but for asks whose hours are over, or were until they were moved."""
        ledger = self.ledger
        bid = next((order for order in ledger.first(Side.BUY) if not order.conditional), None)
        for ask in ledger.first(Side.SELL):
            if bid is None or ask.price > bid.price:
                return
            live = not ask.reopened and ledger.joins_auction(ask)
            law(not live, "unconditional orders at rest never cross", bid, ask)
