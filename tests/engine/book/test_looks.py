"""A command looks at so many different orders at rest and no more (§2), whatever it searches, and however often."""

from __future__ import annotations

import pytest

from engine.book import BookLimits, RestingOrder
from engine.book_plain import PlainBook
from engine.records import COMMAND_BYTES, Command, Flag, Session, unpack_command, unpack_events
from tests.engine.book.cases import BookFactory
from tests.engine.book.flows import segments
from tests.engine.book.flows_regimes import REGIMES
from tests.engine.book.words import DECREMENT, FOK, IOC, MARKET, buy, cancel, line, sell, session


class Watched(PlainBook):
    """Notes whom an entering order looks at, by protection, dry walks and the walk in earnest alike."""

    def __init__(self, limits: BookLimits) -> None:
        super().__init__(limits)
        self.looked_at: set[int] = set()
        self.most = 0

    def _note(self, maker: RestingOrder) -> None:
        self.looked_at.add(maker.order_id)
        self.most = max(self.most, len(self.looked_at))

    def _fill_quantity(self, taker: RestingOrder, maker: RestingOrder) -> int:
        self._note(maker)
        return super()._fill_quantity(taker, maker)

    def _same_account(self, taker: RestingOrder, maker: RestingOrder) -> bool:
        self._note(maker)
        return super()._same_account(taker, maker)

    def _apply(self, command: Command) -> None:
        self.looked_at.clear()
        super()._apply(command)

    def _fire(self, stop: RestingOrder) -> None:
        # Each stop that fires after a command looks for itself.
        self.looked_at.clear()
        super()._fire(stop)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("regime", REGIMES)
def test_a_command_never_looks_at_more_orders_than_it_may(regime: str) -> None:
    reached = 0
    for segment in segments(5, 6_000, regime, (600,)):
        bound = segment.limits.max_looked
        book = Watched(segment.limits)
        for at in range(0, len(segment.commands), COMMAND_BYTES):
            book.submit(unpack_command(segment.commands[at : at + COMMAND_BYTES]))
            assert not bound or book.most <= bound, (segment.seed, segment.number, at // COMMAND_BYTES)
        reached += bool(bound) and book.most == bound
    assert reached, "no book of this flow came to its bound"


@pytest.mark.parametrize(
    ("max_looked", "taker", "said"),
    [
        (
            3,
            buy(9, 0, 3, MARKET, IOC),
            ["accepted 9 buy 3@105 leaves 3", "trade 3 x9 buy 2@100 other 1", "canceled 9 buy 1@105 walk_limit"],
        ),
        (2, buy(9, 0, 3, MARKET, IOC), ["rejected 9 no_liquidity"]),
        (3, buy(9, 200, 3, tif=FOK), ["rejected 9 walk_limit"]),
        (3, buy(9, 200, 3, tif=FOK, stp=DECREMENT, account=5), ["rejected 9 walk_limit"]),
        (2, buy(9, 200, 1, flags=int(Flag.POST_ONLY)), ["rejected 9 walk_limit"]),
    ],
    ids=["market", "protection", "fok", "fok under decrement", "post-only"],
)
def test_every_search_begins_at_the_best_and_ends_at_the_same_order(
    make_book: BookFactory, max_looked: int, taker: Command, said: list[str]
) -> None:
    book = make_book(BookLimits(max_looked=max_looked, band_ppm=0))
    book.submit_many([sell(1, 100, 2, hours=2), sell(2, 100, 2, hours=2), sell(3, 100, 2), sell(4, 101, 9)])
    assert [line(event) for event in unpack_events(book.submit(taker))] == said


def test_a_thousand_strangers_shut_nobody_out_of_an_auction(make_book: BookFactory) -> None:
    """At the rulebook's own limit: renters and providers, who are on one side, enter; who is on both is told why not."""
    book = make_book(BookLimits())
    book.submit(session(Session.AUCTION))
    book.submit_many([sell(number, 10, 1, account=9) for number in range(1, 1_101)])
    book.submit_many([sell(2_001, 20, 1, account=6), sell(2_002, 20, 1, account=7)])
    entering = [buy(3_000 + account, 10, 1, account=account) for account in (5, 6, 7)]
    accepted = "accepted {0} buy 1@10 leaves 1"
    assert [line(event) for event in unpack_events(book.submit_many([*entering, cancel(2_002), *entering[1:]]))] == [
        accepted.format(3_005),
        "rejected 3006 walk_limit",
        "rejected 3007 walk_limit",
        "canceled 2002 sell 1@20 requested",
        "rejected 3006 walk_limit",
        accepted.format(3_007),
    ]
    assert [line(event) for event in unpack_events(book.submit(buy(4_000, 9, 1, account=6)))] == [
        "accepted 4000 buy 1@9 leaves 1"
    ]
