"""What a book answers and never changes by answering: dry walks, protection, orders, depth, indicative, reference, state."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.book import (
    LIMIT_MAX,
    PRICE_MAX_OF_A_BOOK,
    Book,
    BookLimits,
    Fill,
    Indicative,
    Level,
    Stop,
    Walk,
    decode_state,
    encode_state,
)
from engine.kinds import OrderType, Side, TimeInForce
from engine.records import Command, Op, SelfTrade, Session
from tests.engine.book.cases import BookFactory
from tests.engine.book.words import (
    BUY,
    CANCEL_BOTH,
    CANCEL_OLDEST,
    DECREMENT,
    IOC,
    MARKET,
    NOW_H,
    NOW_NS,
    SELL,
    STOP,
    STOP_LIMIT,
    amend,
    baron,
    buy,
    cancel,
    depth,
    does,
    sell,
    session,
    tick,
)

HOUR_NS = 3_600 * 10**9


def lived(make_book: BookFactory, *commands: Command, **limits: Any) -> Book:
    book = make_book(BookLimits(**limits))
    book.submit_many(commands)
    return book


# ---------------------------------------------------------------- dry walks


def test_a_dry_walk_meets_icebergs_again_and_changes_nothing(make_book: BookFactory) -> None:
    book = lived(make_book, sell(1, 10, 5, display_quantity=2), sell(2, 10, 1), sell(3, 11, 9))
    before = book.state()
    fills = [Fill(1, 10, 2), Fill(2, 10, 1), Fill(1, 10, 2), Fill(1, 10, 1), Fill(3, 11, 2)]
    assert book.walk(buy(9, 11, 8)) == Walk(fills, 0, Stop.DONE)
    assert book.walk(buy(9, 10, 8)) == Walk(fills[:4], 2, Stop.DONE)
    assert book.walk(buy(9, 9, 8)) == Walk([], 8, Stop.DONE)
    assert book.state() == before


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (SelfTrade.CANCEL_NEWEST, Walk([Fill(1, 10, 1)], 8, Stop.SELF_TRADE)),
        (CANCEL_BOTH, Walk([Fill(1, 10, 1)], 8, Stop.SELF_TRADE)),
        (CANCEL_OLDEST, Walk([Fill(1, 10, 1), Fill(3, 10, 1)], 7, Stop.DONE)),
        (DECREMENT, Walk([Fill(1, 10, 1), Fill(3, 10, 1)], 2, Stop.DONE)),
    ],
)
def test_a_dry_walk_counts_its_own_as_in_earnest(make_book: BookFactory, mode: SelfTrade, expected: Walk) -> None:
    book = lived(make_book, sell(1, 10, 1), sell(2, 10, 5, account=5), sell(3, 10, 1))
    assert book.walk(buy(9, 10, 9, stp=mode, account=5)) == expected


@pytest.mark.parametrize(
    ("own", "fills", "leaves"),
    [
        (sell(1, 10, 3, account=5), [Fill(2, 10, 1)], 0),
        (sell(1, 10, 9, account=5, display_quantity=2), [], 0),
        (sell(1, 10, 3, account=5, min_quantity=2), [Fill(2, 10, 4)], 0),
        (sell(1, 10, 8, account=5, lot=4), [Fill(2, 10, 4)], 0),
    ],
)
def test_a_dry_walk_under_decrement_takes_less_of_others(
    make_book: BookFactory, own: Command, fills: list[Fill], leaves: int
) -> None:
    book = lived(make_book, own, sell(2, 10, 9))
    assert book.walk(buy(9, 10, 4, stp=DECREMENT, account=5)) == Walk(fills, leaves, Stop.DONE)


def test_a_dry_walk_ends_at_its_limit_and_at_the_band(make_book: BookFactory) -> None:
    book = lived(make_book, *(sell(number, 10, 1) for number in (1, 2, 3)), max_looked=2)
    assert book.walk(buy(9, 10, 3)) == Walk([Fill(1, 10, 1), Fill(2, 10, 1)], 1, Stop.WALK_LIMIT)
    book = lived(make_book, sell(1, 100, 2), buy(2, 100, 1), sell(3, 131, 1))
    assert book.walk(buy(9, 131, 3)) == Walk([Fill(1, 100, 1)], 2, Stop.OUTSIDE_BAND)


def test_a_question_has_the_order_s_time_or_the_book_s_if_that_is_later(make_book: BookFactory) -> None:
    book = lived(make_book, sell(1, 100, 1, window_end_h=NOW_H + 3), tick(ts_ns=NOW_NS + HOUR_NS))
    assert book.walk(buy(9, 100, 1, hours=2, ts_ns=0)).leaves == 0
    assert book.walk(buy(9, 100, 1, hours=2, ts_ns=NOW_NS + HOUR_NS + 1)).leaves == 1
    assert book.walk(buy(9, 100, 1, hours=3, ts_ns=NOW_NS)).leaves == 1
    # The reference of that time, too: the trade at 100 falls out of the hour, the last price is 120.
    half = NOW_NS + HOUR_NS // 2
    trades = [
        *(sell(2, 80, 1), buy(3, 80, 1)),
        *(sell(4, 99, 1, ts_ns=half), buy(5, 99, 1, ts_ns=half), sell(6, 120, 1, ts_ns=half)),
    ]
    book = lived(make_book, *trades)
    assert book.walk(buy(9, 120, 1)).stop is Stop.OUTSIDE_BAND
    assert book.walk(buy(9, 120, 1, ts_ns=NOW_NS + HOUR_NS)).stop is Stop.DONE
    assert book.reference() == (179, 2)


def test_a_market_order_walks_to_its_protection_and_a_stop_as_if_it_fired(make_book: BookFactory) -> None:
    book = lived(make_book, sell(1, 100, 1), sell(2, 105, 1), sell(3, 106, 1))
    fills = [Fill(1, 100, 1), Fill(2, 105, 1)]
    assert book.walk(buy(9, 0, 3, MARKET, IOC)) == Walk(fills, 1, Stop.DONE)
    assert book.walk(buy(9, 105, 3, STOP, stop_price=999)) == Walk(fills, 1, Stop.DONE)
    assert book.walk(buy(9, 105, 3, STOP_LIMIT, stop_price=999)) == Walk(fills, 1, Stop.DONE)
    assert book.walk(sell(9, 0, 3, MARKET, IOC)) == Walk([], 3, Stop.DONE)
    assert book.walk(sell(9, 0, 3, STOP, stop_price=1)) == Walk([], 3, Stop.DONE)


def test_protection_is_of_the_best_that_another_account_offers(make_book: BookFactory) -> None:
    book = lived(make_book, sell(1, 100, 1, account=5), sell(2, 111, 1, hours=2), sell(3, 200, 1), buy(4, 50, 1))
    assert book.protection(buy(9, 0, 1, MARKET, IOC, account=5)) == 210
    assert book.protection(buy(9, 0, 1, MARKET, IOC, account=5, hours=2)) == 116
    assert book.protection(buy(9, 0, 1, MARKET, IOC)) == 105
    assert book.protection(sell(9, 0, 1, MARKET, IOC)) == 48
    assert book.protection(sell(9, 0, 3, MARKET, IOC, lot=3)) == 0


@pytest.mark.parametrize(
    "wrong", [cancel(1), tick(), buy(1, 10, 1, reserved=1), buy(0, 10, 1), does(Op.NEW, 1, shape=255)]
)
def test_a_question_is_about_a_new_order(make_book: BookFactory, wrong: Command) -> None:
    book = lived(make_book)
    for ask in (book.walk, book.protection):
        with pytest.raises(ValueError, match="NEW"):
            ask(wrong)


# ---------------------------------------------------------------- orders


def test_an_order_is_there_with_all_that_it_was_entered_with(make_book: BookFactory) -> None:
    book = lived(
        make_book,
        buy(1, 10, 6, stp=CANCEL_BOTH, account=4, tag=8, features=3, hours=2, min_rating=50, min_quantity=2, display_quantity=3),
        sell(2, 20, 8, account=5, tag=9, baron=7, window_end_h=NOW_H, hours=4, lot=4, min_quantity=4),
        sell(3, 0, 2, STOP, stop_price=5, account=6),
        sell(4, 30, 2, min_quantity=1, hours=1, lot=1),
        buy(5, 5, 1, flags=1),
        buy(6, 4, 1, flags=2),
    )  # fmt: skip
    bid = book.get(1)
    assert (bid.order_id, bid.side, bid.order_type, bid.time_in_force) == (1, BUY, OrderType.LIMIT, TimeInForce.GTC)
    assert (bid.account, bid.tag, bid.self_trade, bid.features) == (4, 8, SelfTrade.CANCEL_BOTH, 3)
    assert (bid.hours, bid.min_rating, bid.min_quantity, bid.display_quantity) == (2, 50, 2, 3)
    assert (bid.price, bid.quantity, bid.leaves, bid.shown) == (10, 6, 6, 3)
    ask = book.get(2)
    assert (ask.side, ask.baron, ask.window_end_h, ask.hours, ask.lot) == (SELL, 7, NOW_H, 4, 4)
    stop = book.get(3)
    assert (stop.order_type, stop.stop_price, stop.price, stop.triggered) == (OrderType.STOP, 5, 0, False)
    plain = book.get(4)
    assert (plain.min_quantity, plain.hours, plain.lot) == (0, 0, 0)
    assert [(book.get(number).post_only, book.get(number).same_baron) for number in (4, 5, 6)] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert len(book) == 6
    assert [number in book for number in (0, 1, 3, 7)] == [False, True, True, False]
    for stranger in (0, 7, 2**64 - 1):
        with pytest.raises(KeyError):
            book.get(stranger)


def test_depth_gives_so_many_levels_from_the_best(make_book: BookFactory) -> None:
    book = lived(
        make_book, *(sell(number, 10 + number % 3, number) for number in range(1, 7)), buy(9, 8, 1), buy(10, 9, 1)
    )
    asks = [Level(10, 9, 0, 2), Level(11, 5, 0, 2), Level(12, 7, 0, 2)]
    assert [book.depth(SELL, count) for count in (0, 1, 2, 9)] == [[], asks[:1], asks[:2], asks]
    assert [level.price for level in book.depth(BUY, 9)] == [9, 8]
    assert [order.order_id for order in book.resting(SELL)] == [3, 6, 1, 4, 2, 5]


def test_an_order_at_rest_may_be_looked_at_while_the_book_changes(make_book: BookFactory) -> None:
    book = lived(make_book, sell(1, 10, 5), sell(2, 10, 5))
    asks = book.resting(SELL)
    first = next(asks)
    book.submit_many([cancel(1), cancel(2)])
    assert (first.order_id, first.leaves) == (1, 5)
    assert [order.order_id for order in asks] == [2]


# ---------------------------------------------------------------- sessions and state


def test_what_an_auction_would_clear_at(make_book: BookFactory) -> None:
    book = lived(make_book, sell(1, 10, 5), buy(2, 9, 5))
    assert book.indicative() is None
    book.submit_many([session(Session.AUCTION), buy(3, 12, 8), sell(4, 11, 1)])
    assert book.indicative() == Indicative(11, 6, 2, Side.BUY)
    book.submit_many([cancel(3), buy(3, 12, 6)])
    assert book.indicative() == Indicative(11, 6, 0, 0)
    book.submit_many([buy(5, 99, 9), cancel(5), sell(6, 1, 4)])
    assert book.indicative() == Indicative(10, 6, 3, Side.SELL)
    book.submit(cancel(3))
    assert book.indicative() == Indicative(5, 4, 1, Side.BUY)


def test_the_last_price_and_the_reference(make_book: BookFactory) -> None:
    book = lived(make_book, sell(1, 10, 3), sell(2, 12, 5))
    assert (book.session, book.last_price, book.reference()) == (Session.CONTINUOUS, 0, (0, 0))
    book.submit_many([buy(3, 10, 3), buy(4, 12, 1)])
    assert (book.last_price, book.reference()) == (12, (42, 4))
    book.submit(tick(ts_ns=NOW_NS + HOUR_NS))
    assert (book.last_price, book.reference()) == (12, (12, 1))
    book.submit_many([session(Session.AUCTION, ts_ns=NOW_NS + HOUR_NS), sell(5, 14, 1, ts_ns=NOW_NS + HOUR_NS)])
    book.submit_many([buy(6, 14, 9, ts_ns=NOW_NS + HOUR_NS), session(Session.CONTINUOUS, ts_ns=NOW_NS + HOUR_NS)])
    assert (book.session, book.last_price, book.reference()) == (Session.CONTINUOUS, 14, (14, 1))


def test_whether_a_tick_would_do_something(make_book: BookFactory) -> None:
    stops = [buy(number, 9, 1, STOP_LIMIT, stop_price=10) for number in (1, 2)]
    book = lived(make_book, *stops, sell(3, 10, 1), max_stops=1)
    assert (book.stops_due, book.next_stop()) == (False, 0)
    book.submit(buy(4, 10, 1))
    assert (book.stops_due, book.next_stop()) == (True, 2)
    book.submit(session(Session.HALTED))
    assert (book.stops_due, book.next_stop()) == (False, 0)
    book.submit(session(Session.CONTINUOUS))
    assert (book.stops_due, book.next_stop(), len(book)) == (False, 0, 2)
    book = lived(make_book, session(Session.AUCTION), sell(1, 9, 1), sell(2, 9, 1), buy(3, 9, 2), max_looked=1)
    assert not book.stops_due
    book.submit(session(Session.CONTINUOUS))
    assert (book.stops_due, book.next_stop()) == (True, 0)
    book.submit(tick())
    assert not book.stops_due


def test_stops_that_wait_for_their_word_are_not_due(make_book: BookFactory) -> None:
    book = make_book(BookLimits(fires=False))
    book.submit_many(
        [buy(7, 9, 1, STOP, stop_price=10), buy(8, 9, 1, STOP, stop_price=10), sell(3, 10, 1), buy(4, 10, 1)]
    )
    assert (book.stops_due, book.next_stop(), len(book)) == (False, 7, 2)


def eventful(make_book: BookFactory) -> Book:
    return lived(
        make_book,
        baron(9, 40, 2),
        baron(3, 100),
        *(sell(number, 100 + number % 5, number, display_quantity=number // 2, baron=9) for number in range(1, 12)),
        *(buy(number, 99 - number % 5, 5, account=number % 3, hours=number % 3) for number in range(20, 33)),
        buy(40, 102, 11),
        sell(41, 98, 7, ts_ns=NOW_NS + 90 * 10**9),
        *(
            buy(number, 90, 1, STOP_LIMIT, stop_price=100 + number % 3, ts_ns=NOW_NS + 90 * 10**9)
            for number in (50, 51, 52)
        ),
        sell(53, 0, 1, STOP, stop_price=98, ts_ns=NOW_NS + 90 * 10**9),
        amend(50, quantity=3, ts_ns=NOW_NS + 90 * 10**9),
        max_stops=1,
    )


def test_a_state_is_the_same_bytes_for_the_same_life(make_book: BookFactory) -> None:
    first, second = eventful(make_book), eventful(make_book)
    state = first.state()
    assert encode_state(state) == encode_state(second.state())
    assert decode_state(encode_state(state)) == state
    assert state.barons == ((3, 100, 0), (9, 40, 2))
    assert [minute for minute, *_ in state.minutes] == [NOW_NS // (60 * 10**9), NOW_NS // (60 * 10**9) + 1]
    assert state.bids and state.asks and state.stops


def test_a_restored_book_lives_on_like_the_first(make_book: BookFactory) -> None:
    first, second = eventful(make_book), make_book(BookLimits())
    second.restore(first.state())
    assert (second.state(), depth(second, BUY), len(second)) == (first.state(), depth(first, BUY), len(first))
    later = NOW_NS + 100 * 10**9
    rest = [
        sell(60, 95, 30, ts_ns=later),
        buy(61, 103, 40, ts_ns=later),
        tick(ts_ns=later),
        session(Session.EXPIRED, ts_ns=later),
    ]
    assert first.submit_many(rest) == second.submit_many(rest)
    assert first.state() == second.state()


def test_sums_beyond_64_bits_are_encoded_too(make_book: BookFactory) -> None:
    most = 2**32 - 1
    limits = BookLimits(quantity_max=most, price_max=PRICE_MAX_OF_A_BOOK, band_ppm=0)
    book = make_book(limits)
    for number in range(1, 601, 2):
        book.submit_many([sell(number, PRICE_MAX_OF_A_BOOK, most), buy(number + 1, PRICE_MAX_OF_A_BOOK, most)])
    [(_, high, low, volume)] = book.state().minutes
    total = 300 * most * PRICE_MAX_OF_A_BOOK
    assert (high << 64 | low, volume) == (total, 300 * most)
    assert high > 0
    again = make_book(BookLimits())
    again.restore(decode_state(encode_state(book.state())))
    assert again.state() == book.state()
    assert again.reference() == (total, 300 * most)


def test_no_book_has_prices_beyond_24_bits(make_book: BookFactory) -> None:
    book = make_book(BookLimits(price_max=PRICE_MAX_OF_A_BOOK))
    book.submit_many([buy(1, PRICE_MAX_OF_A_BOOK, 1), buy(2, PRICE_MAX_OF_A_BOOK + 1, 1)])
    assert depth(book, BUY) == f"1@{PRICE_MAX_OF_A_BOOK}"
    with pytest.raises(ValueError, match="price_max"):
        make_book(BookLimits(price_max=PRICE_MAX_OF_A_BOOK + 1))


@pytest.mark.parametrize("field", [name for name in BookLimits.__struct_fields__ if name != "price_max"])
def test_a_limit_is_a_number_of_32_bits(make_book: BookFactory, field: str) -> None:
    for value in (0, LIMIT_MAX):
        limits = replace(BookLimits(), **{field: value})
        assert make_book(limits).state().limits == limits
    for value in (-1, LIMIT_MAX + 1, 2**70):
        with pytest.raises(ValueError, match=field):
            replace(BookLimits(), **{field: value})
    with pytest.raises(TypeError):
        replace(BookLimits(), **{field: 1.5})
    state = make_book(BookLimits(max_looked=LIMIT_MAX)).state()
    with pytest.raises(ValueError, match="max_looked"):
        decode_state(encode_state(state).replace(b"\xce\xff\xff\xff\xff", b"\xcf" + bytes([0, 0, 0, 1]) + bytes(4), 1))


class _Seven:
    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize("order_id", [7, _Seven()])
def test_an_id_is_what_python_takes_as_an_index(make_book: BookFactory, order_id: Any) -> None:
    book = make_book(BookLimits())
    book.submit(buy(7, 10, 1))
    assert order_id in book
    assert book.get(order_id).order_id == 7


@pytest.mark.parametrize("order_id", [7.0, "7", None, [7], {7: 7}, 0, -7, 2**64, 2**64 + 7, 8])
def test_what_is_no_id_is_nobodys(make_book: BookFactory, order_id: Any) -> None:
    book = make_book(BookLimits())
    book.submit(buy(7, 10, 1))
    assert order_id not in book
    with pytest.raises(KeyError) as missing:
        book.get(order_id)
    assert missing.value.args == (order_id,)


def test_minutes_older_than_an_hour_are_forgotten_at_the_next_trade(make_book: BookFactory) -> None:
    minute_ns = 60 * 10**9
    book = lived(
        make_book,
        *(
            command
            for number in range(0, 140, 2)
            for command in (
                sell(number + 1, 10, 1, ts_ns=NOW_NS + number // 2 * minute_ns),
                buy(number + 2, 10, 1, ts_ns=NOW_NS + number // 2 * minute_ns),
            )
        ),
    )
    first = NOW_NS // minute_ns + 10
    assert [minute for minute, *_ in book.state().minutes] == list(range(first, first + 60))
    book.submit(tick(ts_ns=NOW_NS + 5 * HOUR_NS))
    assert len(book.state().minutes) == 60
    assert book.reference() == (10, 1)


def test_an_auction_s_price_leaves_the_state_after_its_hour(make_book: BookFactory) -> None:
    book = lived(make_book, session(Session.AUCTION), sell(1, 10, 1), buy(2, 10, 1), session(Session.CONTINUOUS))
    assert (book.state().auction_price, book.state().auction_end_ns) == (10, NOW_NS)
    book.submit(tick(ts_ns=NOW_NS + HOUR_NS - 1))
    assert book.state().auction_price == 10
    book.submit(tick(ts_ns=NOW_NS + HOUR_NS))
    assert (book.state().auction_price, book.state().auction_end_ns) == (0, NOW_NS)
