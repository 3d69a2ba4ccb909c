"""Displacement: what the walk of a spot bid leaves takes running leases that pay at least 10 % less (rulebook §7).

Lowest price first, newest first among equals, whole leases alone. The displaced has notice; the newcomer's lease waits
for its wipe, pays the bid's own limit, and an hour of it at least. No book is asked: it is told of what its order leaves.
"""

from __future__ import annotations

from itertools import takewhile

from engine import fills, in_book, leases, money, open_orders, trades
from engine.kinds import EndReason, Kind, LeaseState, OrderStatus, OrderType, Side, TimeInForce
from engine.messages import Traded
from engine.reasons import Reason
from engine.records import Session
from engine.state import Lease, Order, State
from engine.units import NS_PER_HOUR, NS_PER_S

_OF_TEN = 9
"""A lease is displaced at nine tenths of the bid's limit and below."""


def may(order: Order) -> bool:
    """Whether an order is of those that displace. A stop that fired isn't, nor a rental, which is a fok."""
    return (
        order.kind is Kind.SPOT
        and order.side is Side.BUY
        and order.order_type is OrderType.LIMIT
        and order.time_in_force is not TimeInForce.FOK
        and not (order.post_only or order.min_quantity or order.same_baron)
    )


def follow(state: State, bid: Order) -> None:
    """After a bid's walk: displace what it may; of an ioc what is left then is cancelled.

    The book has the bid still if it rests; of an ioc it knows no more, and what it left is the caller's (`book_events.submit`).
    """
    if bid.order_id not in state.orders:
        return
    rests = bid.may_rest
    if state.books[bid.instrument].session is Session.CONTINUOUS:
        before = bid.leaves_quantity
        displaced = _chosen(state, bid)
        for lease in displaced:
            _displace(state, bid, lease)
        if displaced and rests:
            in_book.withdraw(state, bid, before - bid.leaves_quantity)
    if bid.leaves_quantity == 0:
        open_orders.forget(state, bid, OrderStatus.FILLED)
    elif not rests:
        open_orders.close(state, bid, Reason.IOC_REMAINDER)


def _chosen(state: State, bid: Order) -> list[Lease]:
    """The leases that it displaces, in order, among as many as the command may still look at."""
    index = state.spot_index.get(bid.instrument)
    if not index or index[0][0] * 10 > bid.price_ticks * _OF_TEN:
        return []
    leaves = bid.leaves_quantity
    room = min(state.fills_left, state.limits.max_leases - state.accounts[bid.account].leases)
    looks = state.fills_left - state.leases_passed - _passed_over(state, bid)
    chosen: list[Lease] = []
    for _, number in index.irange(maximum=(bid.price_ticks * _OF_TEN // 10, 0)):
        if looks <= 0 or leaves == 0 or len(chosen) >= room:
            break
        looks -= 1
        lease = state.leases[-number]
        if lease.quantity <= leaves and _eligible(state, bid, lease):
            chosen.append(lease)
            leaves -= lease.quantity
        else:
            state.leases_passed += 1
    return chosen


def _passed_over(state: State, bid: Order) -> int:
    """How many asks the walk passed over: all that stand inside the limit still, since it left something."""
    book = state.books[bid.instrument]
    best = book.depth(Side.SELL, 1)
    if not best or best[0].price > bid.price_ticks:
        return 0
    asks = book.resting(Side.SELL, state.limits.max_looked)
    return sum(1 for _ in takewhile(lambda ask: ask.price <= bid.price_ticks, asks))


def _eligible(state: State, bid: Order, lease: Lease) -> bool:
    """Whether its holder and its seller are others, and its Baron and seller could sell to the bid now."""
    baron = state.barons[lease.baron]
    return (
        bid.account not in (lease.renter, lease.provider)
        and baron.features & bid.features == bid.features
        and baron.rating >= bid.min_rating
        and not baron.shut
        and not state.accounts[lease.provider].killed
    )


def _displace(state: State, bid: Order, displaced: Lease) -> None:
    """One lease: the trade, its notice, and the newcomer's lease with its claim."""
    trade_id, obligation_id, lease_id = state.new_id(), state.new_id(), state.new_id()
    share = money.order_hold_micros(state, bid, bid.leaves_quantity)
    bid.leaves_quantity -= displaced.quantity
    share -= money.order_hold_micros(state, bid, bid.leaves_quantity)
    state.fills_left -= 1
    # Whoever is told of it learns with it whether the Baron is simulated.
    state.touched_rows[displaced.provider, displaced.baron] = None
    state.emit(
        Traded(
            trade_id=trade_id,
            instrument=bid.instrument,
            price_ticks=bid.price_ticks,
            quantity=displaced.quantity,
            maker_order_id=0,
            taker_order_id=bid.order_id,
            maker_leaves=0,
            taker_leaves=bid.leaves_quantity,
            taker_side=Side.BUY,
            buyer=bid.account,
            seller=displaced.provider,
            baron=displaced.baron,
            lease_id=lease_id,
            displaced_lease_id=displaced.lease_id,
        )
    )
    fills.count_quote(state, bid)
    displaced.promised_to = lease_id
    leases.give_notice(state, displaced, state.last_ts_ns, EndReason.DISPLACED)
    newcomer = _newcomer(state, bid, displaced, lease_id, share)
    state.accounts[bid.account].leases += 1
    leases.begin(state, newcomer)
    trades.emit_opened(state, bid, obligation_id, newcomer)
    money.change_hold(state, bid.account, newcomer.prefund_micros - share, bid.order_id)


def _newcomer(state: State, bid: Order, displaced: Lease, lease_id: int, share_micros: int) -> Lease:
    """Its lease: as any spot bid's that took, but that it waits, and pays an hour at least from now on."""
    limits, start_ns = state.limits, state.last_ts_ns
    renter_fee_ppm = state.accounts[bid.account].taker_fee_ppm
    needed = money.needed_micros(bid.price_ticks, displaced.quantity, limits.prefund_s * NS_PER_S, renter_fee_ppm)
    return state.records.lease(
        lease_id=lease_id,
        renter=bid.account,
        provider=displaced.provider,
        baron=displaced.baron,
        kind=Kind.SPOT,
        quantity=displaced.quantity,
        offer_quantity=0,
        price_ticks=bid.price_ticks,
        start_ns=start_ns,
        term_end_ns=start_ns + bid.hours * NS_PER_HOUR if bid.hours else 0,
        minimum_s=limits.newcomer_minimum_s,
        renter_fee_ppm=renter_fee_ppm,
        provider_fee_ppm=state.accounts[displaced.provider].maker_fee_ppm,
        prefund_micros=min(share_micros, needed),
        state=LeaseState.SCHEDULED,
        waits_for=displaced.lease_id,
    )
