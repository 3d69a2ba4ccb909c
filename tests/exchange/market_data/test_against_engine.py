"""Market data says what the engine's own books say, after every command, from events alone (rulebook §11)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.book_fast import FastBook
from engine.book_plain import PlainBook
from engine.kinds import Side
from engine.messages import (
    Accepted,
    Amended,
    AuctionCleared,
    Canceled,
    InstrumentSession,
    QuotesSet,
    Refilled,
    Traded,
    Triggered,
)
from engine.reasons import Reason
from engine.state import BookFactory
from exchange.market_data.feed import Feed
from exchange.market_data.live import Live, Update
from exchange.read.interface import BookView, DepthLevel
from exchange.read.model import ReadModel, connect
from exchange.read.queries import Queries, Snapshot
from tests.exchange.market_data.chance import TIGHT, run
from tests.exchange.market_data.commands import (
    FAR_ONDEMAND,
    FAR_SPOT,
    ONDEMAND,
    PROVIDERS,
    RENTERS,
    SPOT,
    Exchange,
    opened,
)

ALL_LEVELS = 10_000
NOTHING = Snapshot(0, 0, [], [], [], [])
INSTRUMENTS = (SPOT, ONDEMAND, FAR_SPOT, FAR_ONDEMAND)
ACCOUNTS = (*PROVIDERS.values(), *RENTERS)
TERMS = (
    "side",
    "order_type",
    "time_in_force",
    "price_ticks",
    "quantity",
    "leaves_quantity",
    "origin",
    "post_only",
    "client_order_id",
    "hours",
    "baron",
    "window_end_ns",
    "stop_price_ticks",
    "display_quantity",
    "min_quantity",
    "self_trade",
    "features",
    "min_rating",
    "same_baron",
    "lot",
    "min_hours",
    "tag",
    "expire_ns",
    "armed",
    "quote_set",
)
COMMANDS = 300


def opened_live(book_factory: BookFactory = PlainBook) -> tuple[Exchange, Live]:
    exchange, live = opened(TIGHT, book_factory), Live(NOTHING)
    for reply in exchange.replies:
        live.apply(reply)
    return exchange, live


def test_the_random_commands_meet_what_matters() -> None:
    """Each kind of event that moves a book comes often enough for the laws below to mean something."""
    exchange = opened(TIGHT)
    met: Counter[tuple[type, object]] = Counter(
        (type(event), event.auction if isinstance(event, Traded) else getattr(event, "reason", None))
        for reply in run(exchange, Random(7), 4_000)
        for event in reply.events
    )
    wanted: set[tuple[type, object]] = {
        (Accepted, None),
        (Traded, False),
        (Traded, True),
        (Refilled, None),
        (Triggered, None),
        (AuctionCleared, None),
        (QuotesSet, None),
        (InstrumentSession, Reason.OUTSIDE_BAND),
        *(
            (Amended, reason)
            for reason in (Reason.REQUESTED, Reason.CAPACITY_CUT, Reason.SELF_TRADE, Reason.WINDOW_MOVED)
        ),
        *(
            (Canceled, reason)
            for reason in (
                Reason.REQUESTED,
                Reason.CAPACITY_CUT,
                Reason.WINDOW_CLOSED,
                Reason.OFFER_CHANGED,
                Reason.EXPIRED,
                Reason.SELF_TRADE,
                Reason.OUTSIDE_BAND,
                Reason.CONDITIONAL_LIMIT,
                Reason.MASS_CANCELED,
                Reason.QUOTE_REPLACED,
            )
        ),
    }
    assert {kind: met[kind] for kind in wanted if met[kind] < 3} == {}


def engine_depth(exchange: Exchange, instrument: int, side: Side) -> list[DepthLevel]:
    return [
        DepthLevel(
            price_ticks=level.price,
            unconditional_quantity=level.unconditional,
            conditional_quantity=level.conditional,
            orders=level.orders,
        )
        for level in exchange.machine.depth(instrument, side, ALL_LEVELS)
    ]


def check_books(exchange: Exchange, live: Live) -> None:
    for instrument in INSTRUMENTS:
        view = live.book(instrument, ALL_LEVELS)
        assert view.bids == engine_depth(exchange, instrument, Side.BUY)
        assert view.asks == engine_depth(exchange, instrument, Side.SELL)
        assert live.instrument(instrument).session is exchange.machine.session(instrument)


def check_orders(exchange: Exchange, live: Live) -> None:
    """Every live order's row says what the engine's own says: terms, what it leaves and shows, whether it waits."""
    orders = exchange.machine.state.orders
    rows = {row.order_id: row for account in ACCOUNTS for row in live.orders_of(account)}
    assert rows.keys() == orders.keys()
    for order_id, row in rows.items():
        order = orders[order_id]
        assert [getattr(row, name) for name in TERMS] == [getattr(order, name) for name in TERMS]
        assert row.cum_quantity == order.filled
        resting = exchange.machine.state.books[order.instrument].get(order_id)
        assert row.shown_quantity == (0 if order.armed else resting.shown)
        assert (row.triggered_ns != 0) == (order.stop_price_ticks != 0 and not order.armed)
    for baron, expected in exchange.machine.state.barons.items():
        found = live.baron(baron)
        assert found is not None
        assert (found.features, found.rating, found.verified_gpus, found.leased_gpus) == (
            expected.features,
            expected.rating,
            expected.verified_gpus,
            expected.leased_gpus,
        )


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([PlainBook, FastBook]))
def test_books_from_events_equal_the_engines(seed: int, book_factory: BookFactory) -> None:
    exchange, live = opened_live(book_factory)
    for reply in run(exchange, Random(seed), COMMANDS):
        if reply.events:
            live.apply(reply)
        check_books(exchange, live)
        check_orders(exchange, live)


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_deltas_lead_from_each_book_to_the_next(seed: int) -> None:
    """Who keeps a copy by snapshot and deltas has the book; and no delta tells what was so already."""
    exchange, live = opened_live()
    copies = {(instrument, side): dict[int, DepthLevel]() for instrument in INSTRUMENTS for side in Side}
    for reply in run(exchange, Random(seed), COMMANDS):
        if not reply.events:
            continue
        for instrument, deltas in live.apply(reply).levels.items():
            for delta in deltas:
                copy = copies[instrument, delta.side]
                assert copy.get(delta.level.price_ticks) != delta.level
                if delta.level.orders:
                    copy[delta.level.price_ticks] = delta.level
                else:
                    del copy[delta.level.price_ticks]
        for instrument in INSTRUMENTS:
            view = live.book(instrument, ALL_LEVELS)
            assert copies[instrument, Side.BUY] == {level.price_ticks: level for level in view.bids}
            assert copies[instrument, Side.SELL] == {level.price_ticks: level for level in view.asks}


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_seeded_in_the_middle_it_says_the_same(seed: int) -> None:
    """From the database at any position, with replies that came before the seed, at and after it: no gap and no double."""
    exchange, chance = opened(TIGHT), Random(seed)
    for _ in run(exchange, chance, COMMANDS):
        pass
    replies = exchange.replies
    subscribed, seeded, told = sorted(chance.randint(0, len(replies)) for _ in range(3))

    feed = Feed()
    updates: list[Update] = []
    feed.listen(updates.append)
    for reply in replies[subscribed:told]:
        feed.on_reply(reply)
    with TemporaryDirectory() as folder:
        model = ReadModel.open(Path(folder, "read.db"))
        model.apply(replies[:seeded])
        reader = connect(model.path, read_only=True)
        feed.seed(Queries(reader).snapshot())
        reader.close()
        model.close()
    for reply in replies[told:]:
        feed.on_reply(reply)

    assert [update.changes.seq for update in updates] == [reply.seq for reply in replies[seeded:]]
    check_books(exchange, feed.live)
    straight = Live(NOTHING)
    for reply in replies:
        straight.apply(reply)
    for account in ACCOUNTS:
        assert list(feed.live.orders_of(account)) == list(straight.orders_of(account))
        assert list(feed.live.leases_of(account)) == list(straight.leases_of(account))


def test_levels_asked_for_bound_the_view() -> None:
    exchange, live = opened_live()
    assert live.book(1, 0) == BookView(
        instrument=1, simulated=False, seq=exchange.seq, ts_ns=exchange.ts_ns, bids=[], asks=[]
    )
