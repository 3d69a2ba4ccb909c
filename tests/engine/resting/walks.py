"""What a taker would take: the rulebook's matching (§5, §6) as a table, one row a rule."""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.resting import Fill, Resting, Stop, Taker, Walk
from engine.units import INT64_MAX
from tests.engine.resting.orders import ENOUGH, NOW, TAKER, BookFactory, after, ask, bid, book_of, buy, contents, sell


class WalkCase(NamedTuple):
    """Resting orders in order of entry, a taker, and what it would take: (order_id, price_ticks, quantity)."""

    name: str
    resting: tuple[Resting, ...]
    taker: Taker
    fills: tuple[tuple[int, int, int], ...]
    leaves: int = 0
    stop: Stop = Stop.DONE
    max_looked: int = ENOUGH
    now_ns: int = NOW

    def check(self, factory: BookFactory) -> None:
        book = book_of(factory, *self.resting)
        before = contents(book)
        expected = Walk([Fill(*fill) for fill in self.fills], self.leaves, self.stop)
        assert book.walk(self.taker, self.now_ns, self.max_looked) == expected
        assert contents(book) == before, "a walk is dry"


THREE_ASKS: Final = (ask(1, 102, 5), ask(2, 100, 5), ask(3, 101, 5))
THREE_BIDS: Final = (bid(1, 98, 5), bid(2, 100, 5), bid(3, 99, 5))
QUEUE: Final = (ask(5, 100, 2), ask(4, 100, 2), ask(9, 100, 2))
OWN: Final = ask(2, 101, 5, account=TAKER)

WALKS: Final = [
    WalkCase("an empty book gives a buyer nothing", (), buy(3, 100), (), 3),
    WalkCase("an empty book gives a seller nothing", (), sell(3, 100), (), 3),
    WalkCase("a buyer takes the lowest price first", THREE_ASKS, buy(5, 200), ((2, 100, 5),)),
    WalkCase("a seller takes the highest price first", THREE_BIDS, sell(5, 1), ((2, 100, 5),)),
    WalkCase("a buyer goes up the prices", THREE_ASKS, buy(12, 200), ((2, 100, 5), (3, 101, 5), (1, 102, 2))),
    WalkCase("a seller goes down the prices", THREE_BIDS, sell(12, 1), ((2, 100, 5), (3, 99, 5), (1, 98, 2))),
    WalkCase("a buyer's limit is the highest it pays", THREE_ASKS, buy(12, 101), ((2, 100, 5), (3, 101, 5)), 2),
    WalkCase("a seller's limit is the lowest it takes", THREE_BIDS, sell(12, 99), ((2, 100, 5), (3, 99, 5)), 2),
    WalkCase("a buyer below all asks takes nothing", THREE_ASKS, buy(1, 99), (), 1),
    WalkCase("a seller above all bids takes nothing", THREE_BIDS, sell(1, 101), (), 1),
    WalkCase("a buyer meets no bids", THREE_BIDS, buy(1, 200), (), 1),
    WalkCase("a seller meets no asks", THREE_ASKS, sell(1, 1), (), 1),
    WalkCase(
        "at one price who came first is first, whatever its id",
        QUEUE,
        buy(5, 100),
        ((5, 100, 2), (4, 100, 2), (9, 100, 1)),
    ),
    WalkCase(
        "so it is among bids",
        (bid(5, 100, 2), bid(4, 100, 2), bid(9, 100, 2)),
        sell(5, 100),
        ((5, 100, 2), (4, 100, 2), (9, 100, 1)),
    ),
    WalkCase("price goes before time", (ask(1, 101, 1), ask(2, 100, 1)), buy(2, 101), ((2, 100, 1), (1, 101, 1))),
    WalkCase("the last order is taken in part", QUEUE, buy(3, 100), ((5, 100, 2), (4, 100, 1))),
    WalkCase("a fill is at the resting order's price", (ask(1, 100, 1),), buy(1, 10_000_000), ((1, 100, 1),)),
    WalkCase("a taker of nothing takes nothing", THREE_ASKS, buy(0, 200), ()),
    # ---- eligibility: hours against the ask's fixed hours
    WalkCase(
        "hours end inside the window", (ask(1, 100, 1, window_end_ns=after(5)),), buy(1, 100, hours=4), ((1, 100, 1),)
    ),
    WalkCase(
        "hours end with the window", (ask(1, 100, 1, window_end_ns=after(5)),), buy(1, 100, hours=5), ((1, 100, 1),)
    ),
    WalkCase("hours end after the window", (ask(1, 100, 1, window_end_ns=after(5)),), buy(1, 100, hours=6), (), 1),
    WalkCase(
        "a nanosecond too long is too long",
        (ask(1, 100, 1, window_end_ns=after(5, -1)),),
        buy(1, 100, hours=5),
        (),
        1,
    ),
    WalkCase(
        "what fitted before doesn't fit later",
        (ask(1, 100, 1, window_end_ns=after(5)),),
        buy(1, 100, hours=5),
        (),
        1,
        now_ns=NOW + 1,
    ),
    WalkCase("an ask without a window meets every bid", (ask(1, 100, 1),), buy(1, 100, hours=744), ((1, 100, 1),)),
    WalkCase(
        "a selling taker's window decides for it",
        (bid(1, 100, 1, hours=6), bid(2, 100, 1, hours=5), bid(3, 99, 1, hours=1)),
        sell(3, 99, window_end_ns=after(5)),
        ((2, 100, 1), (3, 99, 1)),
        1,
    ),
    WalkCase(
        "a seller without a window meets every bid",
        (bid(1, 100, 1, hours=744), bid(2, 100, 1)),
        sell(2, 99),
        ((1, 100, 1), (2, 100, 1)),
    ),
    WalkCase(
        "who isn't eligible is passed over, at its price and above",
        (ask(1, 100, 5, window_end_ns=after(2)), ask(2, 100, 5, window_end_ns=after(9)), ask(3, 101, 5)),
        buy(8, 101, hours=3),
        ((2, 100, 5), (3, 101, 3)),
    ),
    WalkCase(
        "hours beyond all time are just too long",
        (ask(1, 100, 1, window_end_ns=INT64_MAX), ask(2, 101, 1)),
        buy(2, 101, hours=2**31 - 1),
        ((2, 101, 1),),
        1,
    ),
    # ---- self-trade: the newest goes
    WalkCase(
        "an own order ends the walk; what came before it stands",
        (ask(1, 100, 5), OWN, ask(3, 102, 5)),
        buy(12, 200),
        ((1, 100, 5),),
        7,
        Stop.SELF_TRADE,
    ),
    WalkCase("an own order behind the last fill is no matter", (ask(1, 100, 5), OWN), buy(5, 200), ((1, 100, 5),)),
    WalkCase("an own order beyond the limit is no matter", (ask(1, 100, 5), OWN), buy(6, 100), ((1, 100, 5),), 1),
    WalkCase(
        "an own order that isn't eligible is passed over",
        (ask(1, 100, 5, window_end_ns=after(1), account=TAKER), ask(2, 101, 5)),
        buy(5, 101, hours=2),
        ((2, 101, 5),),
    ),
    WalkCase("an own bid ends a seller's walk", (bid(1, 100, 5, account=TAKER),), sell(1, 100), (), 1, Stop.SELF_TRADE),
    # ---- the walk limit
    WalkCase("the limit ends the walk", QUEUE, buy(6, 100), ((5, 100, 2), (4, 100, 2)), 2, Stop.WALK_LIMIT, 2),
    WalkCase("filled within the limit is done", QUEUE, buy(4, 100), ((5, 100, 2), (4, 100, 2)), max_looked=2),
    WalkCase(
        "a limit as large as the book is none",
        QUEUE,
        buy(9, 100),
        ((5, 100, 2), (4, 100, 2), (9, 100, 2)),
        3,
        max_looked=3,
    ),
    WalkCase("prices beyond its own aren't looked at", THREE_ASKS, buy(9, 100), ((2, 100, 5),), 4, max_looked=1),
    WalkCase(
        "those passed over were looked at",
        (ask(1, 100, 1, window_end_ns=after(1)), ask(2, 100, 1, window_end_ns=after(1)), ask(3, 100, 1)),
        buy(1, 100, hours=2),
        (),
        1,
        Stop.WALK_LIMIT,
        2,
    ),
    WalkCase("who may look at nothing is stopped at the first", QUEUE, buy(1, 100), (), 1, Stop.WALK_LIMIT, 0),
    WalkCase("a limit that isn't even nothing is as nothing", QUEUE, buy(1, 100), (), 1, Stop.WALK_LIMIT, -1),
    WalkCase("the limit comes before the own order", (OWN,), buy(1, 200), (), 1, Stop.WALK_LIMIT, 0),
]


class BestPriceCase(NamedTuple):
    """Resting orders in order of entry, a taker, and the first price that it may take, its limit left aside."""

    name: str
    resting: tuple[Resting, ...]
    taker: Taker
    price_ticks: int
    max_looked: int = ENOUGH

    def check(self, factory: BookFactory) -> None:
        book = book_of(factory, *self.resting)
        assert book.best_price(self.taker, NOW, self.max_looked) == self.price_ticks


BEST_PRICES: Final = [
    BestPriceCase("an empty book has no best price", (), buy(1, 100), 0),
    BestPriceCase("the lowest ask, whatever the limit", THREE_ASKS, buy(1, 1), 100),
    BestPriceCase("the highest bid, whatever the limit", THREE_BIDS, sell(1, 10_000_000), 100),
    BestPriceCase("a buyer's isn't a bid's", THREE_BIDS, buy(1, 200), 0),
    BestPriceCase("own orders are passed over", (ask(1, 100, 1, account=TAKER), ask(2, 101, 1)), buy(1, 200), 101),
    BestPriceCase(
        "orders that aren't eligible are passed over",
        (ask(1, 100, 1, window_end_ns=after(1)), ask(2, 101, 1, window_end_ns=after(2))),
        buy(1, 200, hours=2),
        101,
    ),
    BestPriceCase(
        "for a seller its window decides",
        (bid(1, 101, 1, hours=3), bid(2, 100, 1, hours=2)),
        sell(1, 1, window_end_ns=after(2)),
        100,
    ),
    BestPriceCase("none eligible", (ask(1, 100, 1, window_end_ns=after(1)),), buy(1, 200, hours=2), 0),
    BestPriceCase("none of another account", (OWN,), buy(1, 200), 0),
    BestPriceCase(
        "it looks no further than it may",
        (ask(1, 100, 1, account=TAKER), ask(2, 101, 1, account=TAKER), ask(3, 102, 1)),
        buy(1, 200),
        0,
        max_looked=2,
    ),
    BestPriceCase(
        "the last that it may look at counts",
        (ask(1, 100, 1, account=TAKER), ask(2, 101, 1, account=TAKER), ask(3, 102, 1)),
        buy(1, 200),
        102,
        max_looked=3,
    ),
    BestPriceCase("who may look at nothing sees nothing", THREE_ASKS, buy(1, 200), 0, max_looked=0),
]
