"""Which orders an auction would fill beyond their accounts' bounds: the clearing's next part, gone through dry (§2, §6).

The book clears by itself and knows neither leases nor obligations, so the shard looks first, with the book's own rule of
prices. Nothing is changed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from itertools import takewhile
from typing import Final

import msgspec

from engine.book import Book, RestingOrder
from engine.book_plain_auction import clearing
from engine.book_plain_orders import joins_auction
from engine.bounds import Beyond, Room
from engine.kinds import Side
from engine.state import Order, State

FIRST_TAKEN: Final = 64
"""Orders of a side that are looked at to begin with."""


class _Left(msgspec.Struct):
    """What an order would still leave."""

    order: RestingOrder
    leaves: int


class _Queue:
    """The orders of a side that take part, in their order, taken from the book as far as somebody goes through them."""

    def __init__(self, book: Book, side: Side, now_ns: int) -> None:
        self._book = book
        self._side = side
        self._now_ns = now_ns
        self._taken = 0
        self._met: list[_Left] = []
        """Those taken that may still trade."""

    def __iter__(self) -> Iterator[_Left]:
        at = 0
        while at < len(self._met) or self._take():
            # Of what was just taken nothing may take part.
            while at < len(self._met):
                yield self._met[at]
                at += 1

    def _take(self) -> bool:
        """As many again as were taken before; False when there are no more."""
        orders = list(self._book.resting(self._side, max(2 * self._taken, FIRST_TAKEN)))[self._taken :]
        self._taken += len(orders)
        self._met += [_Left(order, order.leaves) for order in orders if joins_auction(order, self._now_ns)]
        return bool(orders)

    def drop(self, beyond: Container[int]) -> None:
        """Leave out from now on what leaves nothing, or is in `beyond`."""
        self._met = [left for left in self._met if left.leaves and left.order.order_id not in beyond]


def beyond_bound(state: State, book: Book, room: Room) -> list[Order]:
    """The orders that can't be filled in the clearing's next part without a lease or obligation too many, as they are met.

    Takes as long as the trades that it makes dry, but where bids are beyond: then what crosses is gone through once more
    for each price that it clears at.
    """
    price = book.clearing_price
    if not price:
        indicative = book.indicative()
        price = indicative.price if indicative is not None else 0
    bids, asks = (_Queue(book, side, state.last_ts_ns) for side in Side)
    beyond: dict[int, None] = {}
    trades_left = state.limits.max_looked
    # A clearing that was disturbed goes on at its kept price, then at another one while orders cross.
    while price and trades_left:
        trades_left -= _trade(room, bids, asks, price, trades_left, beyond)
        bids.drop(beyond)
        asks.drop(beyond)
        price = _price(book, bids, asks) if trades_left else 0
    return [state.orders[number] for number in beyond]


def _price(book: Book, bids: _Queue, asks: _Queue) -> int:
    """At which price these would clear; 0: at none."""
    best_bid, best_ask = next(iter(bids), None), next(iter(asks), None)
    if best_bid is None or best_ask is None:
        return 0
    wanted, offered = Counter[int](), Counter[int]()
    for left in takewhile(lambda bid: bid.order.price >= best_ask.order.price, bids):
        wanted[left.order.price] += left.leaves
    for left in takewhile(lambda ask: ask.order.price <= best_bid.order.price, asks):
        offered[left.order.price] += left.leaves
    notional, quantity = book.reference()
    found = clearing(wanted, offered, notional // quantity if quantity else 0)
    return found.price if found is not None else 0


def _trade(room: Room, bids: _Queue, asks: _Queue, price: int, trades_left: int, beyond: dict[int, None]) -> int:
    """Trade at a price in price-time order, at most so many times; orders that may not go beyond. How many trades."""
    sellers = takewhile(lambda ask: ask.order.price <= price, asks)
    ask = next(sellers, None)
    made = 0
    for bid in takewhile(lambda bid: bid.order.price >= price, bids):
        while ask is not None and bid.leaves and made < trades_left:
            quantity = min(bid.leaves, ask.leaves)
            buyer, seller = bid.order, ask.order
            found = room.takes((buyer.order_id, buyer.account), (seller.account, seller.baron), price, quantity)
            if found is Beyond.SELLER:
                beyond[seller.order_id] = None
                ask = next(sellers, None)
                continue
            if found is not Beyond.NOBODY:
                beyond[buyer.order_id] = None
                break
            bid.leaves -= quantity
            ask.leaves -= quantity
            made += 1
            if ask.leaves == 0:
                ask = next(sellers, None)
        if ask is None or made == trades_left:
            break
    return made
