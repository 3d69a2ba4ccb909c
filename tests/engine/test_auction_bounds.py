"""Which bids a clearing would fill beyond their accounts' bound: the engine's lazy reckoning against one from all orders."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from engine import auction_bounds
from engine.book import Book, RestingOrder
from engine.book_fast import FastBook
from engine.book_plain import PlainBook
from engine.book_plain_auction import clearing
from engine.book_plain_orders import joins_auction
from engine.bounds import Room
from engine.kinds import Side
from engine.limits import Limits
from engine.messages import CancelOrder, OpenAccount, SetSession, Tick
from engine.records import Command, Op, Session, shape_of
from engine.state import Order, State
from tests.engine.shard import (
    ALICE,
    BARON,
    HOUR,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    TAKER_PPM,
    Shard,
    ask,
    bid,
)

RENTERS = range(31, 37)
PRICES = (20_000, 20_100, 20_200, 20_300, 20_400)


def of_all_orders(state: State, book: Book) -> list[int]:
    """The same from the whole book, by the words of the rulebook: dearest bids with cheapest asks, one by one."""
    bids, asks = ([order for order in book.resting(side) if joins_auction(order, state.last_ts_ns)] for side in Side)
    leaves = {order.order_id: order.leaves for order in bids + asks}
    opened: set[tuple[int, int, int]] = set()
    beyond: list[int] = []
    made, price = 0, book.state().clearing_price or price_of(book, bids, asks, leaves)
    while price and made < state.limits.max_looked:
        while (pair := next(pairs(bids, asks, leaves, beyond, price), None)) and made < state.limits.max_looked:
            buyer, seller = pair
            new = {(buyer.order_id, seller.baron, price)} - opened
            account = state.accounts[buyer.account]
            own = sum(state.orders[order_id].account == buyer.account for order_id, *_ in opened)
            if new and account.leases + own >= state.limits.max_leases:
                beyond.append(buyer.order_id)
                continue
            opened |= new
            quantity = min(leaves[buyer.order_id], leaves[seller.order_id])
            for order in pair:
                leaves[order.order_id] -= quantity
            made += 1
        for order_id in beyond:
            leaves[order_id] = 0
        price = price_of(book, bids, asks, leaves)
    return beyond


def pairs(
    bids: list[RestingOrder], asks: list[RestingOrder], leaves: dict[int, int], beyond: list[int], price: int
) -> Iterator[tuple[RestingOrder, RestingOrder]]:
    for buyer in bids:
        for seller in asks:
            left = leaves[buyer.order_id] and leaves[seller.order_id]
            if left and seller.price <= price <= buyer.price and buyer.order_id not in beyond:
                yield buyer, seller


def price_of(book: Book, bids: list[RestingOrder], asks: list[RestingOrder], leaves: dict[int, int]) -> int:
    totals = Counter[int](), Counter[int]()
    for total, side in zip(totals, (bids, asks), strict=True):
        for order in side:
            if leaves[order.order_id]:
                total[order.price] += leaves[order.order_id]
    notional, quantity = book.reference()
    found = clearing(*totals, notional // quantity if quantity else 0)
    return found.price if found else 0


class Seen:
    """Compares each answer that a shard gets, of both books, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asked = auction_bounds.beyond_bound
        self.asked = self.beyond = self.amid = 0
        monkeypatch.setattr("engine.auction_bounds.beyond_bound", self)

    def __call__(self, state: State, book: Book, room: Room) -> list[Order]:
        twin = FastBook(state.limits.of_book())
        twin.restore(book.state())
        found = self._asked(state, book, room)
        assert self._asked(state, twin, Room(state, SPOT)) == found
        assert [order.order_id for order in found] == of_all_orders(state, book)
        self.asked += 1
        self.beyond += len(found)
        self.amid += book.clearing_price != 0
        return found


def auction(draw: random.Random) -> None:
    """Bids and asks gather, clear in parts, and are disturbed meanwhile."""
    shard = Shard(Limits(max_looked=draw.choice((2, 5, 20)), max_leases=draw.randrange(1, 5)), gpus=500)
    shard.auditor.every = 1_000
    for renter in RENTERS:
        shard.do(OpenAccount(account=renter, maker_fee_ppm=0, taker_fee_ppm=TAKER_PPM))
        shard.pay(renter, 100_000)
    shard.do(SetSession(instrument=SPOT, session=Session.PRE_OPEN))
    ids = []
    for _ in range(draw.randrange(4, 40)):
        price, quantity = draw.choice(PRICES), draw.randrange(1, 9)
        display = draw.choice((0, 0, 1))
        provider, baron = draw.choice(((PAT, BARON), (PAT, SECOND_BARON), (QUINN, OTHER_BARON)))
        order = draw.choice(
            (
                bid(draw.choice(RENTERS), price, quantity, display_quantity=display),
                ask(provider, price, quantity, baron=baron, display_quantity=display),
            )
        )
        ids.append((order.account, shard.place(order)))
    shard.wait(HOUR)
    shard.do(SetSession(instrument=SPOT, session=Session.CONTINUOUS))
    while shard.machine.state.books[SPOT].clearing_price:
        for account, order_id in draw.sample(ids, 3):
            if order_id in shard.machine.state.orders:
                shard.do(CancelOrder(account=account, order_id=order_id))
        shard.do(Tick())


@pytest.mark.parametrize("first_taken", [1, 64])
def test_it_finds_what_all_orders_show(monkeypatch: pytest.MonkeyPatch, first_taken: int) -> None:
    monkeypatch.setattr(auction_bounds, "FIRST_TAKEN", first_taken)
    seen = Seen(monkeypatch)
    for seed in range(150):
        auction(random.Random(seed))
    assert seen.beyond > 200
    assert seen.amid > 100


@pytest.mark.parametrize("factory", [PlainBook, FastBook])
def test_it_takes_no_more_orders_than_its_trades_need(factory: type[Book], monkeypatch: pytest.MonkeyPatch) -> None:
    """Among six thousand orders that cross, a part of eight trades looks at the first few."""
    shard = Shard(Limits(max_looked=8), gpus=1_000)
    state = shard.machine.state
    book = factory(state.limits.of_book())
    book.submit(Command(Op.SET_SESSION, shape=Session.PRE_OPEN))
    for number in range(1, 3_001):
        book.submit(Command(Op.NEW, number, price=20_000, quantity=1, account=ALICE, shape=shape_of(Side.BUY)))
        book.submit(Command(Op.NEW, 10**6 + number, price=20_000, quantity=1, baron=BARON, shape=shape_of(Side.SELL)))
    taken = []

    class Counted:
        """The book, counting what is taken of it."""

        def __getattr__(self, name: str) -> object:
            if name == "state":
                raise AssertionError("the whole book is asked for")
            return getattr(book, name)

        def resting(self, side: Side, max_orders: int | None = None) -> Iterator[RestingOrder]:
            orders = list(book.resting(side, max_orders))
            taken.append(len(orders))
            return iter(orders)

    assert auction_bounds.beyond_bound(state, Counted(), Room(state, SPOT)) == []  # type: ignore[arg-type]
    assert sum(taken) <= 4 * auction_bounds.FIRST_TAKEN
