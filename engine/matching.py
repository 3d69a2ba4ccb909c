"""Matching as the shard sees it: an order is checked whole, enters its book, and what it traded becomes leases (§5, §6).

`enter` and `amend` raise Refused while nothing has changed. The book decides who trades; here stands what it can't know:
money, capacity, and the bound on an account's leases, for which the walk is made dry first.
"""

from __future__ import annotations

from engine import account_limits, book_events, book_orders, capacity, displacement, in_book, money, open_orders, trades
from engine.book import Walk
from engine.book_plain_orders import conditional
from engine.bounds import Beyond, Room
from engine.kinds import Kind, OrderType, Pot, Side, TimeInForce
from engine.reasons import Reason
from engine.records import Command, SelfTrade, Session
from engine.state import Order, Refused, State, short_of_funds


def enter(state: State, order: Order) -> None:
    """Take in a new order, or refuse it whole."""
    check_session(state, order.instrument, order.order_type)
    order.hold_ticks = entry_ticks(state, order)
    check_funds(state, order)
    command = book_orders.new(order, state.last_ts_ns)
    if not order.stop_price_ticks:
        quantity = clear_quantity(state, order, command, may_cut=True)
        if not quantity:
            enter_closed(state, order, Reason.WALK_LIMIT)
            return
        command = command._replace(quantity=quantity)
    displaces = displacement.may(order)
    book_events.submit(state, order.instrument, command, order, keeps_remainder=displaces)
    if displaces:
        displacement.follow(state, order)
    trades.capacity_follows(state)
    rests(state, order)


def enter_closed(state: State, order: Order, reason: Reason) -> None:
    """Accept an order that can't be taken back any more, and cancel it before it enters its book."""
    # An ask's bond may be what it lacks.
    order.hold_ticks = 0
    open_orders.admit(state, order)
    open_orders.close(state, order, reason)


def amend(state: State, order: Order, amended: Order, *, later: bool) -> None:
    """Give a live order the price and total of `amended`, its copy: less at its price in place, else as if it came anew.

    later: it will also expire later, so that not even less of it keeps its place.
    """
    check_session(state, order.instrument)
    less = amended.price_ticks == order.price_ticks and amended.quantity < order.quantity and not later
    in_place = order.armed or less
    freed_micros = money.order_hold_micros(state, order, order.leaves_quantity)
    amended.hold_ticks = amended.price_ticks if in_place else entry_ticks(state, amended)
    check_funds(state, amended, freed_micros, order.leaves_quantity)
    if not in_place and not clear_way(state, amended, book_orders.new(amended, state.last_ts_ns)):
        in_book.cancel(state, order, Reason.WALK_LIMIT)
        return
    total = amended.quantity - _found_elsewhere(state, order)
    command = book_orders.amend(order, state.last_ts_ns, amended.price_ticks, total, anew=later)
    state.entering_ticks[order.order_id] = amended.hold_ticks
    try:
        book_events.submit(state, order.instrument, command)
    finally:
        state.entering_ticks.pop(order.order_id, None)
    if not in_place and displacement.may(order):
        displacement.follow(state, order)
    trades.capacity_follows(state)
    rests(state, order)


def entry_ticks(state: State, order: Order) -> int:
    """The price at which an ask's bond and fee are held as it enters: the higher of its limit and the best bid (§9).

    No taker in an auction, it is held at its limit there.
    """
    book = state.books[order.instrument]
    if order.side is Side.BUY or book.session is not Session.CONTINUOUS or not money.needs_bond(state, order):
        return order.price_ticks
    best = book.depth(Side.BUY, 1)
    return max(order.price_ticks, best[0].price) if best else order.price_ticks


def hold_to_enter(state: State, ask: Order) -> None:
    """An armed ask fires: hold what its fills will need; Refused, and nothing changed, where its account lacks it."""
    ticks = entry_ticks(state, ask)
    before = money.order_hold_micros(state, ask, ask.leaves_quantity)
    fires = ask.with_hold(ticks)
    more = money.order_hold_micros(state, fires, ask.leaves_quantity) - before
    account = state.accounts[ask.account]
    account_limits.check_growth(state, account, 0, more)
    if more > account.pots[Pot.AVAILABLE]:
        raise short_of_funds(more, account.pots[Pot.AVAILABLE])
    open_orders.hold_at(state, ask, ticks)


def rests(state: State, order: Order) -> None:
    """An order has been through its walk: what an ask holds comes down to its limit."""
    if order.hold_ticks != order.price_ticks and order.order_id in state.orders:
        open_orders.hold_at(state, order, order.price_ticks)


def _found_elsewhere(state: State, order: Order) -> int:
    """GPUs that an order got by displacement: its book counts them neither as filled nor in its total."""
    if not displacement.may(order):
        return 0
    rests = state.books[order.instrument].get(order.order_id)
    return order.filled - (rests.quantity - rests.leaves)


def check_funds(state: State, order: Order, freed_micros: int = 0, freed_gpus: int = 0) -> None:
    """Refused unless money, and an ask's capacity, are there for all it leaves, inside the account's limits.

    `freed_*` is what its old self gives back.
    """
    account = state.accounts[order.account]
    bid = order.side is Side.BUY
    if not bid:
        capacity.check_ask(state, order, freed_gpus)
    hold = money.order_hold_micros(state, order, order.leaves_quantity)
    account_limits.check_growth(state, account, order.leaves_quantity - freed_gpus if bid else 0, hold - freed_micros)
    if hold > account.pots[Pot.AVAILABLE] + freed_micros:
        raise short_of_funds(hold, account.pots[Pot.AVAILABLE] + freed_micros)


def check_session(state: State, instrument: int, order_type: OrderType = OrderType.LIMIT) -> None:
    """Refused where no order enters now: trading is over, halted, amid a clearing; outside continuous but a limit order (§6)."""
    check_trading(state, instrument)
    book = state.books[instrument]
    closed = book.session in (Session.HALTED, Session.EXPIRED) or book.stops_due
    if closed or (book.session is not Session.CONTINUOUS and order_type is not OrderType.LIMIT):
        raise Refused(Reason.SESSION_CLOSED)


def check_trading(state: State, instrument: int) -> None:
    """Refused where a forward's trading has ended: its timer is due, and this came first (§3)."""
    listed = state.instruments[instrument]
    if listed.kind is Kind.FORWARD and listed.trading_end_ns <= state.last_ts_ns:
        raise Refused(Reason.INSTRUMENT_EXPIRED)


def clear_way(state: State, order: Order, command: Command) -> bool:
    """Hold what an order's walk will do to the bounds, as a whole; False when the command may do no more of it.

    command: the order as a NEW record. Refused where it would break a bound as a whole, or its account's own.
    """
    return clear_quantity(state, order, command) == command.quantity


def clear_quantity(state: State, order: Order, command: Command, *, may_cut: bool = False) -> int:
    """How much of an order may enter, as `clear_way`; 0: nothing, and it can't be taken back any more.

    A bid that would open more leases than its account may have is refused; of one that takes up others' obligations piece by
    piece what fits enters, if it `may_cut`. A resting order whose fill would break its account's bound is cancelled when met
    (§2), and the walk looked at again.
    """
    book = state.books[order.instrument]
    if book.session is not Session.CONTINUOUS or order.post_only or _far_from_bounds(state, order):
        return command.quantity
    canceled = False
    while True:
        walk = book.walk(command)
        # The book kills a fok whose walk leaves something (and under decrement others, too).
        if order.time_in_force is TimeInForce.FOK and walk.leaves:
            return command.quantity
        if len(walk.fills) > state.fills_left:
            if canceled:
                return 0
            raise Refused(Reason.WALK_LIMIT)
        room = Room(state, order.instrument)
        beyond, stopped = _beyond_bound(state, room, order, walk)
        if not beyond and stopped is None:
            room.keep()
            return command.quantity
        if not beyond and may_cut and (fits := _what_fits(state, order, walk)):
            return fits
        if order.time_in_force is TimeInForce.FOK and beyond:
            raise Refused(Reason.FOK_KILLED)
        if not beyond and canceled:
            return 0
        if not beyond:
            raise Refused(Reason.WALK_LIMIT if stopped is Beyond.COMMAND else room.reason)
        if not canceled:
            _check_conditional(state, order)
        for resting in beyond:
            state.fills_left -= 1
            in_book.cancel(state, resting, room.reason)
        canceled = True


def _far_from_bounds(state: State, order: Order) -> bool:
    """Whether no walk at all could bring a bid to a bound, so that it needn't be made dry."""
    limits = state.limits
    if order.side is Side.SELL or order.kind is Kind.FORWARD or state.fills_left < limits.max_looked:
        return False
    return state.accounts[order.account].leases + limits.max_looked <= limits.max_leases


def _beyond_bound(state: State, room: Room, order: Order, walk: Walk) -> tuple[list[Order], Beyond | None]:
    """The resting orders of a walk whose accounts have as much as they may, with those before them.

    And what stops the walk before its end, if anything does: the incoming order's own account, or the command.
    """
    beyond: dict[int, Order] = {}
    own = Beyond.BUYER if order.side is Side.BUY else Beyond.SELLER
    for fill in walk.fills:
        resting = state.orders[fill.order_id]
        bid, ask = (order, resting) if order.side is Side.BUY else (resting, order)
        found = room.takes((bid.order_id, bid.account), (ask.account, ask.baron), fill.price, fill.quantity)
        if found in (own, Beyond.COMMAND):
            return list(beyond.values()), found
        if found is not Beyond.NOBODY:
            beyond[resting.order_id] = resting
    return list(beyond.values()), None


def _what_fits(state: State, bid: Order, walk: Walk) -> int:
    """How much of a bid its account and the command have room for, taken as it comes (§2); 0 where nothing of it may enter."""
    # What must be filled whole, or shows less than it has, is no other order when it is smaller.
    if bid.side is Side.SELL or bid.time_in_force is TimeInForce.FOK or bid.same_baron or bid.min_quantity > 1:
        return 0
    if bid.display_quantity or bid.self_trade is SelfTrade.DECREMENT or bid.kind is not Kind.FORWARD:
        return 0
    room, total = Room(state, bid.instrument), 0
    for fill in walk.fills:
        ask = state.orders[fill.order_id]
        buyer, seller = (bid.order_id, bid.account), (ask.account, ask.baron)
        if room.takes(buyer, seller, fill.price, fill.quantity) is Beyond.NOBODY:
            total += fill.quantity
            continue
        part = room.most(bid.account, seller, fill.quantity)
        part -= part % max(1, ask.lot)
        if part >= max(1, min(ask.min_quantity, ask.leaves_quantity)):
            total += part if room.takes(buyer, seller, fill.price, part) is Beyond.NOBODY else 0
        break
    room.keep()
    return total


def _check_conditional(state: State, order: Order) -> None:
    """The book's bound on an account's conditional orders, where its refusal would come too late to change nothing."""
    bound = state.limits.max_conditional_account
    if not (bound and order.may_rest) or order.order_id in state.orders:
        return
    if not (order.lot > 1 or order.min_hours > 1 or order.min_quantity > 1):
        return
    book = state.books[order.instrument]
    own = [each for each in state.orders_by(order.account) if each.instrument == order.instrument]
    if sum(conditional(book.get(each.order_id)) for each in own) >= bound:
        raise Refused(Reason.TOO_MANY_CONDITIONAL)
