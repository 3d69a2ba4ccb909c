"""Which bids an auction would fill beyond their accounts' bound on leases: the clearing's next part, gone through dry (§2, §6).

The book clears by itself and knows no leases, so the shard looks first, with the book's own rule of prices. Nothing is
changed here.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from engine.book import Book, RestingOrder
from engine.book_plain_auction import clearing
from engine.book_plain_orders import joins_auction
from engine.kinds import Side
from engine.state import Order, State


class _Left(msgspec.Struct):
    """What an order would still leave."""

    order: RestingOrder
    leaves: int


class _Leases:
    """The leases that would be opened: one a bid and Baron."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._room: dict[int, int] = {}
        self._opened: set[tuple[int, int, int]] = set()

    def may_open(self, bid: RestingOrder, baron: int, price: int) -> bool:
        """Whether a fill fits its account's bound, and if so the room that it takes."""
        key = (bid.order_id, baron, price)
        if key in self._opened:
            return True
        taken = self._state.accounts[bid.account].leases
        room = self._room.get(bid.account, self._state.limits.max_leases - taken)
        if room <= 0:
            return False
        self._opened.add(key)
        self._room[bid.account] = room - 1
        return True


def beyond_bound(state: State, book: Book) -> list[Order]:
    """The bids that can't be filled in the clearing's next part without a lease too many, in the order they are met."""
    bids, asks = (_sides(book, side, state.last_ts_ns) for side in Side)
    leases = _Leases(state)
    beyond: dict[int, None] = {}
    trades_left = state.limits.max_looked
    # A clearing that was disturbed goes on at its kept price, then at another one while orders cross.
    price = book.state().clearing_price if book.stops_due else _price(book, bids, asks)
    while price and trades_left > 0:
        trades_left -= _trade(leases, bids, asks, price, trades_left, beyond)
        bids = [bid for bid in bids if bid.leaves and bid.order.order_id not in beyond]
        asks = [ask for ask in asks if ask.leaves]
        price = _price(book, bids, asks)
    return [state.orders[number] for number in beyond]


def _sides(book: Book, side: Side, now_ns: int) -> list[_Left]:
    """The orders of a side that take part, in their order."""
    return [_Left(order, order.leaves) for order in book.resting(side) if joins_auction(order, now_ns)]


def _price(book: Book, bids: list[_Left], asks: list[_Left]) -> int:
    """At which price these would clear; 0: at none."""
    notional, quantity = book.reference()
    wanted, offered = Counter[int](), Counter[int]()
    for total, side in ((wanted, bids), (offered, asks)):
        for left in side:
            total[left.order.price] += left.leaves
    found = clearing(wanted, offered, notional // quantity if quantity else 0)
    return found.price if found is not None else 0


def _trade(
    leases: _Leases, bids: list[_Left], asks: list[_Left], price: int, trades_left: int, beyond: dict[int, None]
) -> int:
    """Trade at a price in price-time order, at most so many times; bids that may not go beyond. How many trades."""
    sellers = iter([ask for ask in asks if ask.order.price <= price])
    ask = next(sellers, None)
    made = 0
    for bid in bids:
        if bid.order.price < price:
            break
        while ask is not None and bid.leaves and made < trades_left:
            if not leases.may_open(bid.order, ask.order.baron, price):
                beyond[bid.order.order_id] = None
                break
            quantity = min(bid.leaves, ask.leaves)
            bid.leaves -= quantity
            ask.leaves -= quantity
            made += 1
            if ask.leaves == 0:
                ask = next(sellers, None)
    return made
