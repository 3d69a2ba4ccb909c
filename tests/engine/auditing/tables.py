"""The machine's tables against what was seen: balances and holds, orders and books, accounts' counts (rulebook §5, §6, §9)."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

from engine.book import BookState, RestingOrder
from engine.book_plain_orders import conditional
from engine.kinds import Kind, Pot, Side
from engine.messages import Accepted
from engine.records import Session
from engine.state import Lease
from tests.engine.auditing.charges import HOUR_NS
from tests.engine.auditing.records import SeenOrder
from tests.engine.auditing.seen import Seen


def check_money(seen: Seen) -> None:
    state = seen.machine.state
    balances = {(account, pot): amount for account, pot, amount in seen.machine.balances()}
    assert balances == {key: amount for key, amount in seen.pots.items() if amount}
    assert sum(balances.values()) == 0
    assert all(amount > 0 for (_, pot), amount in balances.items() if pot is not Pot.CASH)
    held: Counter[int] = Counter()
    for order in seen.orders.values():
        held[order.accepted.account] += _hold(seen, order)
    for lease in state.leases.values():
        assert lease.prefund_micros >= 0
        assert lease.live or lease.prefund_micros == 0
        held[lease.renter] += lease.prefund_micros
    assert +held == Counter({account: amount for (account, pot), amount in balances.items() if pot is Pot.HELD})
    _check_bonds(seen)


def _check_bonds(seen: Seen) -> None:
    """Escrow and bond are exactly what stands for hours that aren't paid, and for leases that run (§9)."""
    state = seen.machine.state
    escrow, bond = Counter[int](), Counter[int]()
    for owed in seen.obligations.values():
        hours = owed.end_h - owed.start_h
        assert owed.escrow_micros == owed.price_ticks * 100 * owed.quantity * hours
        escrow[owed.provider] += owed.escrow_micros
        bond[owed.provider] += owed.bond_micros
    for lease in state.leases.values():
        assert lease.live or not lease.bond_micros
        bond[lease.provider] += lease.bond_micros
    for pot, kept in ((Pot.ESCROW, escrow), (Pot.BOND, bond)):
        assert +kept == Counter(
            {account: amount for (account, each), amount in seen.pots.items() if each is pot and amount}
        )
    assert {number: each.holder for number, each in state.obligations.items()} == {
        number: each.holder for number, each in seen.obligations.items()
    }
    held_by = Counter(each.holder for each in seen.obligations.values())
    most = state.limits.max_obligations
    assert all(account.obligations == held_by[account.account] <= most for account in state.accounts.values())


def _hold(seen: Seen, order: SeenOrder) -> int:
    state, accepted = seen.machine.state, order.accepted
    account = state.accounts[accepted.account]
    listed = state.instruments[accepted.instrument]
    fee = Fraction(max(account.maker_fee_ppm, account.taker_fee_ppm), 10**6)
    notional = order.price_ticks * 100 * order.leaves * (listed.end_h - listed.start_h)
    if accepted.side is Side.SELL:
        own = state.barons[accepted.baron].provider == accepted.account
        if not own or listed.kind is Kind.SPOT:
            return 0
        if listed.kind is Kind.ONDEMAND:
            return math.ceil(Fraction(order.price_ticks * 100 * order.leaves * state.limits.ondemand_bond_s, 3600))
        return math.ceil(Fraction(notional * state.limits.forward_bond_ppm, 10**6)) + math.ceil(notional * fee)
    if listed.kind is Kind.FORWARD:
        return notional + math.ceil(notional * fee)
    seconds = state.limits.prefund_s
    usage = math.ceil(Fraction(order.price_ticks * 100 * order.leaves * seconds, 3600))
    return usage + math.ceil(Fraction(usage * max(account.maker_fee_ppm, account.taker_fee_ppm), 10**6))


def check_orders_and_books(seen: Seen, books: dict[int, BookState], now_ns: int, *, on_time: bool) -> None:
    state = seen.machine.state
    at_rest = {order.order_id: order for book in books.values() for order in (*book.bids, *book.asks, *book.stops)}
    stops = {order.order_id for book in books.values() for order in book.stops}
    assert set(at_rest) == set(seen.orders) == set(state.orders), "an order is live exactly while its book has it"
    assert stops == {number for number, order in seen.orders.items() if order.armed}
    for order_id, order in seen.orders.items():
        kept, rests = state.orders[order_id], at_rest[order_id]
        assert (kept.price_ticks, kept.quantity, kept.leaves_quantity, kept.window_end_ns, kept.expire_ns) == (
            order.price_ticks,
            order.quantity,
            order.leaves,
            order.window_end_ns,
            order.expire_ns,
        )
        assert (rests.price, rests.quantity + order.displaced, rests.leaves, rests.window_end_h * HOUR_NS) == (
            order.price_ticks,
            order.quantity,
            order.leaves,
            order.window_end_ns,
        )
        assert _terms(rests) == _told(order.accepted, state.instruments[order.accepted.instrument].kind)
        assert order.leaves % max(order.accepted.lot, 1) == 0, "an ask stands in whole lots"
        assert not on_time or not order.expire_ns or order.expire_ns > now_ns, "an order outlives its time"
    open_orders = Counter(order.accepted.account for order in seen.orders.values())
    leases = Counter(lease.renter for lease in state.leases.values())
    forwards = Counter(lease.renter for lease in state.leases.values() if lease.kind is Kind.FORWARD)
    bids_gpus, leased_gpus = Counter[int](), Counter[int]()
    for order in seen.orders.values():
        if order.accepted.side is Side.BUY:
            bids_gpus[order.accepted.account] += order.leaves
    here: dict[int, dict[int, Lease]] = {}
    for lease in state.leases.values():
        here.setdefault(lease.baron, {})[lease.lease_id] = lease
    assert state.leases_of == here, "leases are known by their Baron"
    for lease in state.leases.values():
        # A forward's are its obligation's.
        leased_gpus[lease.renter] += lease.quantity if lease.kind is not Kind.FORWARD else 0
    for account in state.accounts.values():
        number = account.account
        assert account.open_orders == open_orders[number] <= state.limits.max_open_orders
        assert [order.order_id for order in state.orders_by(number)] == [
            order_id for order_id, order in seen.orders.items() if order.accepted.account == number
        ], "an account's orders are known in order of entry"
        # The lease of a forward opens when its time comes, however many there are.
        assert account.leases == leases[number] - forwards[number] <= state.limits.max_leases
        assert account.gpus == bids_gpus[number] + leased_gpus[number], "an account's GPUs are counted"
        quotes = Counter(
            order.accepted.quote_set
            for order in seen.orders.values()
            if order.accepted.account == number and order.accepted.quote_set
        )
        assert {name: each.orders for name, each in account.quote_sets.items()} == quotes
        for name in quotes:
            most, fills = seen.quotes[number, name]
            assert fills < most or not most, "what is left of a set goes after its fills"
    for number, book in books.items():
        assert book.session is seen.sessions.get(number, Session.CONTINUOUS)
        # An offer's window that moves too late may let a bid in that should have traded.
        if seen.ticked_in_time and book.session is Session.CONTINUOUS:
            _uncrossed(book, now_ns)


def _terms(order: RestingOrder) -> tuple[object, ...]:
    """What a book must know of an order for its eligibility and its manners."""
    minima = (max(order.lot, 1), max(order.min_quantity, 1), max(order.hours, 1))
    who = (order.account, order.side, order.baron, order.self_trade)
    return who, minima, order.display_quantity, order.features, order.min_rating, order.same_baron, order.post_only


def _told(order: Accepted, kind: Kind) -> tuple[object, ...]:
    """The same as the order's events say it: a spot bid's hours are no condition."""
    hours = order.min_hours if order.side is Side.SELL else order.hours if kind is Kind.ONDEMAND else 0
    minima = (max(order.lot, 1), max(order.min_quantity, 1), max(hours, 1))
    who = (order.account, order.side, order.baron, order.self_trade)
    return who, minima, order.display_quantity, order.features, order.min_rating, order.same_baron, order.post_only


def _uncrossed(book: BookState, now_ns: int) -> None:
    """No unconditional bid at rest reaches an unconditional ask (§6)."""
    bids = [order.price for order in book.bids if not conditional(order)]
    asks = [
        order.price
        for order in book.asks
        if not conditional(order) and (order.window_end_h == 0 or now_ns + HOUR_NS <= order.window_end_h * HOUR_NS)
    ]
    assert not bids or not asks or max(bids) < min(asks), "the book is crossed at rest"
