"""Matching: an order comes in, is checked whole, walks the book, trades, and rests or goes (rulebook §5, §6, §8).

`check` raises Refused and changes nothing; `execute` changes everything and refuses nothing. Between them stands the
walk that the book made dry. Fills of one bid on one Baron at one price become one obligation and one lease.
"""

from __future__ import annotations

from typing import Final

import msgspec

from engine import capacity, leases, money, open_orders
from engine.kinds import Kind, LeaseState, OrderStatus, OrderType, Origin, Pot, Side, TimeInForce
from engine.messages import Accepted, LeaseScheduled, ObligationOpened, Traded
from engine.reasons import Reason
from engine.resting import Stop, Walk
from engine.state import Lease, Order, Refused, State
from engine.units import NS_PER_HOUR, NS_PER_S

_STOPPED: Final = {Stop.SELF_TRADE: Reason.SELF_TRADE, Stop.WALK_LIMIT: Reason.WALK_LIMIT}

_DraftKey = tuple[int, int, int]


class _Draft(msgspec.Struct):
    """A lease that the fills of one bid on one Baron at one price are adding up to."""

    lease_id: int
    obligation_id: int
    bid: Order
    ask: Order
    price_ticks: int
    share_micros: int = 0
    quantity: int = 0
    offer_quantity: int = 0


def walk(state: State, order: Order) -> Walk:
    """What the order would take now, inside what the command may still look at (§2)."""
    book = state.books[order.instrument]
    return book.walk(open_orders.as_taker(order), state.last_ts_ns, state.fills_left)


def check(state: State, order: Order, freed_micros: int = 0, freed_gpus: int = 0) -> Walk:
    """Every entry check of an order, new or amended; `freed_*` is what its old self gives back. Returns its walk."""
    account = state.accounts[order.account]
    if order.side is Side.BUY:
        hold = money.order_hold_micros(state, order, order.leaves_quantity)
        if hold > account.pots[Pot.AVAILABLE] + freed_micros:
            raise Refused(Reason.INSUFFICIENT_FUNDS)
    else:
        capacity.check_ask(state.barons[order.baron], order.kind, order.leaves_quantity, freed_gpus)
    found = walk(state, order)
    if order.post_only:
        if found.fills:
            raise Refused(Reason.POST_ONLY_WOULD_TRADE, "post_only")
        if found.stop is Stop.SELF_TRADE:
            raise Refused(Reason.SELF_TRADE)
    if order.time_in_force is TimeInForce.FOK:
        _check_whole(state, order, found)
    if order.side is Side.BUY and account.leases + _leases_made(state, found) > state.limits.max_leases:
        raise Refused(Reason.TOO_MANY_LEASES)
    return found


def _check_whole(state: State, order: Order, found: Walk) -> None:
    """A fok trades whole or not at all (§6)."""
    if found.leaves_quantity:
        if found.stop is not Stop.DONE:
            raise Refused(_STOPPED[found.stop])
        raise Refused(Reason.FOK_KILLED if found.fills else Reason.NO_LIQUIDITY)
    if order.side is Side.SELL:
        made: dict[int, int] = {}
        for fill in found.fills:
            bidder = state.orders[fill.order_id].account
            made[bidder] = made.get(bidder, 0) + 1
        if any(state.accounts[bidder].leases + count > state.limits.max_leases for bidder, count in made.items()):
            raise Refused(Reason.FOK_KILLED)


def _leases_made(state: State, found: Walk) -> int:
    """How many leases a bid's walk would open: one a Baron and price."""
    return len({(state.orders[fill.order_id].baron, fill.price_ticks) for fill in found.fills})


def enter(state: State, order: Order, found: Walk) -> None:
    """Accept a checked new order, and execute it."""
    state.emit(
        Accepted(
            order_id=order.order_id,
            account=order.account,
            instrument=order.instrument,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            price_ticks=order.price_ticks,
            quantity=order.quantity,
            origin=order.origin,
            post_only=order.post_only,
            client_order_id=order.client_order_id,
            hours=order.hours,
            baron=order.baron,
            window_end_ns=order.window_end_ns,
        )
    )
    open_orders.admit(state, order)
    execute(state, order, found)


def execute(state: State, order: Order, found: Walk) -> None:
    """Trade an admitted order as walked; rest what is left or cancel it; let capacity follow."""
    drafts: dict[_DraftKey, _Draft] = {}
    while _trade_walk(state, order, found, drafts):
        found = walk(state, order)
    for draft in drafts.values():
        _open_lease(state, draft, order.side)
    if order.leaves_quantity == 0:
        open_orders.forget(state, order, OrderStatus.FILLED)
    elif found.stop is not Stop.DONE:
        open_orders.close(state, order, _STOPPED[found.stop])
    elif order.order_type is OrderType.MARKET:
        open_orders.close(state, order, Reason.MARKET_REMAINDER)
    elif order.time_in_force is not TimeInForce.GTC:
        open_orders.close(state, order, Reason.IOC_REMAINDER)
    else:
        state.books[order.instrument].add(open_orders.as_resting(order))
    for number in dict.fromkeys(draft.ask.baron for draft in drafts.values()):
        capacity.changed(state, state.barons[number])


def _trade_walk(state: State, order: Order, found: Walk, drafts: dict[_DraftKey, _Draft]) -> bool:
    """Execute a walk's fills; True when a resting bid had to go instead, and the order should walk again.

    A resting bid whose fill would open a lease more than its account may have is cancelled when met (§2).
    """
    canceled = False
    for fill in found.fills:
        maker = state.orders[fill.order_id]
        state.fills_left -= 1
        if maker.side is Side.BUY and state.accounts[maker.account].leases >= state.limits.max_leases:
            open_orders.close(state, maker, Reason.TOO_MANY_LEASES)
            canceled = True
        else:
            _trade(state, order, maker, fill.quantity, drafts)
    return canceled and order.leaves_quantity > 0


def _trade(state: State, taker: Order, maker: Order, quantity: int, drafts: dict[_DraftKey, _Draft]) -> None:
    """One fill at the maker's price: quantities, capacity and the bid's share move; holds move with the lease."""
    bid, ask = (taker, maker) if taker.side is Side.BUY else (maker, taker)
    trade_id = state.new_id()
    draft = _draft(state, bid, ask, maker.price_ticks, drafts)
    draft.share_micros += money.order_hold_micros(state, bid, bid.leaves_quantity)
    taker.leaves_quantity -= quantity
    maker.leaves_quantity -= quantity
    draft.share_micros -= money.order_hold_micros(state, bid, bid.leaves_quantity)
    draft.quantity += quantity
    if ask.origin is Origin.OFFER:
        draft.offer_quantity += quantity
    open_orders.listing_of(state, ask).asked_gpus -= quantity
    state.barons[ask.baron].leased_gpus += quantity
    state.books[maker.instrument].reduce(maker.order_id, quantity)
    state.emit(
        Traded(
            trade_id=trade_id,
            instrument=maker.instrument,
            price_ticks=maker.price_ticks,
            quantity=quantity,
            maker_order_id=maker.order_id,
            taker_order_id=taker.order_id,
            maker_leaves=maker.leaves_quantity,
            taker_leaves=taker.leaves_quantity,
            taker_side=taker.side,
            buyer=bid.account,
            seller=ask.account,
            baron=ask.baron,
            lease_id=draft.lease_id,
        )
    )
    if maker.leaves_quantity == 0:
        open_orders.forget(state, maker, OrderStatus.FILLED)


def _draft(state: State, bid: Order, ask: Order, price_ticks: int, drafts: dict[_DraftKey, _Draft]) -> _Draft:
    key = (bid.order_id, ask.baron, price_ticks)
    draft = drafts.get(key)
    if draft is None:
        obligation_id, lease_id = state.new_id(), state.new_id()
        draft = drafts[key] = _Draft(lease_id, obligation_id, bid, ask, price_ticks)
        state.accounts[bid.account].leases += 1
    return draft


def _open_lease(state: State, draft: _Draft, taker_side: Side) -> None:
    """The obligation and the lease of a draft; the prefund out of the bid's share, the rest of that back to available."""
    bid, limits = draft.bid, state.limits
    renter, provider = state.accounts[bid.account], state.accounts[draft.ask.account]
    bid_takes = taker_side is Side.BUY
    renter_fee_ppm = renter.taker_fee_ppm if bid_takes else renter.maker_fee_ppm
    provider_fee_ppm = provider.maker_fee_ppm if bid_takes else provider.taker_fee_ppm
    prefund_ns = limits.prefund_s * NS_PER_S
    needed = money.needed_micros(draft.price_ticks, draft.quantity, prefund_ns, renter_fee_ppm)
    prefund = min(draft.share_micros, needed)
    spot = bid.kind is Kind.SPOT
    start_ns = state.last_ts_ns
    lease = Lease(
        lease_id=draft.lease_id,
        renter=bid.account,
        provider=draft.ask.account,
        baron=draft.ask.baron,
        kind=bid.kind,
        quantity=draft.quantity,
        offer_quantity=draft.offer_quantity,
        price_ticks=draft.price_ticks,
        start_ns=start_ns,
        term_end_ns=start_ns + bid.hours * NS_PER_HOUR if bid.hours else 0,
        minimum_s=limits.spot_minimum_s if spot else limits.ondemand_minimum_s,
        renter_fee_ppm=renter_fee_ppm,
        provider_fee_ppm=provider_fee_ppm,
        prefund_micros=prefund,
    )
    open_orders.listing_of(state, draft.ask).offer_leased_gpus += draft.offer_quantity
    leases.begin(state, lease)
    _emit_opened(state, draft, lease)
    money.change_hold(state, bid.account, prefund - draft.share_micros, bid.order_id)


def _emit_opened(state: State, draft: _Draft, lease: Lease) -> None:
    state.emit(
        ObligationOpened(
            obligation_id=draft.obligation_id,
            lease_id=lease.lease_id,
            provider=lease.provider,
            holder=lease.renter,
            baron=lease.baron,
            instrument=draft.bid.instrument,
            quantity=lease.quantity,
            price_ticks=lease.price_ticks,
            start_ns=lease.start_ns,
            end_ns=lease.term_end_ns,
        )
    )
    state.emit(
        LeaseScheduled(
            lease_id=lease.lease_id,
            obligation_id=draft.obligation_id,
            order_id=draft.bid.order_id,
            renter=lease.renter,
            provider=lease.provider,
            baron=lease.baron,
            instrument=draft.bid.instrument,
            kind=lease.kind,
            quantity=lease.quantity,
            price_ticks=lease.price_ticks,
            start_ns=lease.start_ns,
            term_end_ns=lease.term_end_ns,
            minimum_s=lease.minimum_s,
            renter_fee_ppm=lease.renter_fee_ppm,
            provider_fee_ppm=lease.provider_fee_ppm,
            state=LeaseState.PROVISIONING,
            delivery=draft.bid.delivery,
        )
    )
