"""Scenarios: the reference and its band, and the auction that a breach opens (rulebook §6; docs/book.md, "Band")."""

from __future__ import annotations

from typing import Final

from engine.book import BookLimits
from engine.records import Session
from tests.engine.book.cases import Case
from tests.engine.book.words import (
    CANCEL_OLDEST,
    FOK,
    IOC,
    MARKET,
    NOW_NS,
    NS_PER_S,
    STOP,
    amend,
    buy,
    sell,
    session,
    tick,
)

AT_100: Final = (sell(1, 100, 1), buy(2, 100, 1))
_OPENS: Final = f"session auction x{NOW_NS + 120 * NS_PER_S} reference 100 outside_band"
CONTINUOUS: Final = session(Session.CONTINUOUS)


def at(seconds: int) -> int:
    return NOW_NS + seconds * NS_PER_S


BAND: Final = [
    Case(
        "no trade yet, no band",
        (sell(1, 1, 1), sell(2, 9999, 1), buy(3, 9999, 2), "trade 1 x3 buy 1@1 other 1", "trade 2 x3 buy 1@9999"),
    ),
    *(
        Case(
            f"a trade at {price} against a reference of 100: {'refused' if outside else 'made'}",
            (
                *AT_100,
                maker,
                taker,
                *((_OPENS,) if outside else (f"trade 3 x4 {'buy' if taker.shape == 0 else 'sell'} 1@{price}",)),
            ),
        )
        for price, outside in ((130, False), (131, True), (70, False), (69, True))
        for maker, taker in (
            ((sell(3, price, 1), buy(4, price, 1)) if price > 100 else (buy(3, price, 1), sell(4, price, 1))),
        )
    ),
    Case(
        "a breach opens an auction, and what is left joins it",
        (
            *AT_100,
            *(sell(3, 120, 1), sell(4, 140, 1)),
            buy(5, 150, 3),
            "trade 3 x5 buy 1@120 other 2",
            _OPENS,
            sell(6, 149, 1),
            CONTINUOUS,
            "cleared 2@149",
            "trade auction 4 x5 1@149 other 1",
            "trade auction 6 x5 1@149",
            "session continuous reference 149",
        ),
        bids="",
        asks="",
    ),
    Case(
        "a breach's ioc is cancelled",
        (*AT_100, sell(3, 140, 1), buy(4, 140, 1, tif=IOC), _OPENS, "canceled 4 buy 1@140 outside_band"),
        bids="",
        asks="1@140",
    ),
    Case(
        "a breach's market order is cancelled",
        (
            *AT_100,
            sell(3, 140, 1),
            buy(4, 0, 1, MARKET, IOC),
            "accepted 4 buy 1@147 leaves 1",
            _OPENS,
            "canceled 4 buy 1@147 outside_band",
        ),
    ),
    *(
        Case(
            f"what joins an auction looks for its own as far as its walk left looks: {name}",
            (
                *AT_100,
                sell(3, 110, 1),
                sell(8, 500, 1, account=5),
                *(sell(number, 136 + number, 1, account=6) for number in (4, 5, 6)),
                buy(7, limit, 4, account=5),
                "trade 3 x7 buy 1@110 other 3",
                _OPENS,
                *end,
            ),
            bids=bids,
            limits=BookLimits(max_looked=3),
        )
        for name, limit, bids, end in (
            ("enough", 141, "3@141", ()),
            ("one too few", 142, "", ("canceled 7 buy 3@142 walk_limit",)),
        )
    ),
    Case(
        "a fok opens none",
        (*AT_100, sell(3, 140, 1), buy(4, 140, 1, tif=FOK), "rejected 4 outside_band", tick(), "nothing"),
        asks="1@140",
    ),
    Case(
        "a fok that reaches the band in the middle",
        (*AT_100, sell(3, 110, 1), sell(4, 140, 1), buy(5, 140, 2, tif=FOK), "rejected 5 outside_band"),
        asks="1@110 1@140",
    ),
    Case(
        "a conditional taker opens none",
        (*AT_100, sell(3, 140, 1), buy(4, 140, 1, hours=2), "canceled 4 buy 1@140 outside_band"),
        bids="",
    ),
    Case(
        "a conditional maker opens none",
        (*AT_100, sell(3, 140, 2, lot=2), buy(4, 140, 2), "canceled 4 buy 2@140 outside_band"),
        bids="",
    ),
    Case(
        "a better-priced order that was passed over: none opens",
        (*AT_100, sell(3, 139, 2, lot=2), sell(4, 140, 1), buy(5, 140, 1), "canceled 5 buy 1@140 outside_band"),
        bids="",
        asks="0+2@139 1@140",
    ),
    Case(
        "one passed over at the same price is no better",
        (*AT_100, sell(3, 140, 2, lot=2), sell(4, 140, 1), buy(5, 140, 1), _OPENS),
        bids="1@140",
    ),
    Case(
        "one's own orders that were cancelled were not passed over",
        (
            *AT_100,
            sell(3, 110, 1, account=5),
            sell(4, 140, 1),
            buy(5, 140, 1, stp=CANCEL_OLDEST, account=5),
            "canceled 3 sell 1@110 self_trade",
            _OPENS,
        ),
        bids="1@140",
        asks="1@140",
    ),
    Case(
        "what is left doesn't join across its own account's order",
        (
            *AT_100,
            sell(3, 140, 1),
            sell(4, 150, 1, account=5),
            buy(5, 150, 2, account=5),
            _OPENS,
            "canceled 5 buy 2@150 self_trade",
        ),
        bids="",
    ),
    Case(
        "one's own order comes before the band",
        (*AT_100, sell(3, 140, 1, account=5), buy(4, 140, 1, account=5), "canceled 4 buy 1@140 self_trade"),
    ),
    Case(
        "an amend breaches like a new order",
        (
            *AT_100,
            sell(3, 140, 1),
            buy(4, 90, 2, display_quantity=1),
            amend(4, price=140),
            "amended 4 buy 2@140 leaves 2",
            _OPENS,
        ),
        bids="1@140",
        orders={4: "1/2/2@140"},
    ),
    Case(
        "no auction within ten minutes of the last one's end",
        (
            *AT_100,
            session(Session.AUCTION),
            session(Session.CONTINUOUS, ts_ns=at(60)),
            "session continuous reference 100",
            sell(3, 140, 1, ts_ns=at(60)),
            buy(4, 140, 1, ts_ns=at(659)),
            "canceled 4 buy 1@140 outside_band",
            buy(5, 140, 1, ts_ns=at(660)),
            f"session auction x{at(780)} reference 100 outside_band",
        ),
        bids="1@140",
    ),
    Case(
        "a halt ends no auction",
        (*AT_100, session(Session.HALTED), CONTINUOUS, sell(3, 140, 1), buy(4, 140, 1), _OPENS),
    ),
    Case(
        "stops stay until the auction that a firing opened is over",
        (
            *(buy(number, 200, 1, STOP, stop_price=100) for number in (11, 12)),
            sell(3, 140, 1),
            sell(1, 100, 1),
            buy(2, 100, 1),
            "trade 1 x2 buy 1@100",
            "triggered 11 buy 1@200 leaves 1",
            # The reference is the one before this command: there was none, so there is no band yet.
            "trade 3 x11 buy 1@140",
            "triggered 12 buy 1@200 leaves 1",
            "canceled 12 buy 1@200 market_remainder",
            *(buy(number, 200, 1, STOP, stop_price=150) for number in (13, 14)),
            *(sell(4, 150, 1), sell(5, 190, 1)),
            buy(6, 150, 1),
            "trade 4 x6 buy 1@150",
            "triggered 13 buy 1@200 leaves 1",
            f"session auction x{at(120)} reference 120 outside_band",
            "canceled 13 buy 1@200 outside_band",
        ),
        stops="14!",
    ),
]

REFERENCE: Final = [
    Case(
        "volume-weighted, rounded down where it is said",
        (*AT_100, sell(3, 111, 2), buy(4, 111, 2), session(Session.HALTED), "session halted reference 107"),
    ),
    Case(
        "it doesn't move within a command",
        (
            *AT_100,
            *(sell(number, 100 + number, 50) for number in (20, 30, 31)),
            buy(4, 131, 150),
            "trade 20 x4 buy 50@120 other 100",
            "trade 30 x4 buy 50@130 other 50",
            _OPENS,
        ),
    ),
    *(
        Case(
            f"an hour of minutes: a trade {seconds} s ago {'counts' if counts else 'does not'}",
            (
                sell(1, 100, 1, ts_ns=at(59)),
                buy(2, 100, 1, ts_ns=at(59)),
                sell(3, 120, 1, ts_ns=at(60)),
                buy(4, 120, 1, ts_ns=at(60)),
                session(Session.HALTED, ts_ns=at(59 + seconds)),
                f"session halted reference {110 if counts else 120}",
            ),
        )
        for seconds, counts in ((3_540, True), (3_541, False))
    ),
    Case(
        "no trade within the hour: the last price",
        (
            *AT_100,
            sell(3, 111, 1),
            buy(4, 111, 1),
            session(Session.HALTED, ts_ns=at(7_200)),
            "session halted reference 111",
        ),
    ),
    Case(
        "an auction's price for an hour, then the trades since",
        (
            *AT_100,
            session(Session.AUCTION),
            *(sell(3, 160, 5), buy(4, 160, 5)),
            session(Session.CONTINUOUS, ts_ns=at(10)),
            "cleared 5@160",
            "trade auction 3 x4 5@160",
            "session continuous reference 160",
            sell(5, 180, 1, ts_ns=at(20)),
            buy(6, 180, 1, ts_ns=at(20)),
            "trade 5 x6 buy 1@180",
            session(Session.HALTED, ts_ns=at(3_609)),
            "session halted reference 160",
            session(Session.HALTED, ts_ns=at(3_610)),
            "session halted reference 180",
        ),
    ),
    Case(
        "an auction that doesn't clear leaves the minutes, and ends the last one's price",
        (
            session(Session.AUCTION),
            *(sell(3, 160, 5), buy(4, 160, 5)),
            CONTINUOUS,
            *(sell(5, 170, 5), buy(6, 170, 5)),
            session(Session.AUCTION),
            CONTINUOUS,
            "session continuous reference 170",
        ),
    ),
    Case(
        "what clears after a halt is an auction: its price is the reference for an hour",
        (
            session(Session.PRE_OPEN),
            *(sell(2, 160, 1), buy(3, 160, 1)),
            session(Session.HALTED),
            session(Session.CONTINUOUS, ts_ns=at(7_200)),
            "cleared 1@160",
            "trade auction 2 x3 1@160",
            "session continuous reference 160",
            sell(4, 170, 1, ts_ns=at(7_201)),
            buy(5, 170, 1, ts_ns=at(7_201)),
            "trade 4 x5 buy 1@170",
            session(Session.HALTED, ts_ns=at(10_800) - 1),
            "session halted reference 160",
            session(Session.HALTED, ts_ns=at(10_800)),
            "session halted reference 170",
        ),
    ),
    Case(
        "what clears after a halt is an auction: the cooldown runs from its end",
        (
            session(Session.PRE_OPEN),
            *(sell(2, 160, 1), buy(3, 160, 1)),
            session(Session.HALTED),
            CONTINUOUS,
            "cleared 1@160",
            "trade auction 2 x3 1@160",
            "session continuous reference 160",
            *(sell(4, 900, 1), buy(5, 900, 1)),
            "canceled 5 buy 1@900 outside_band",
        ),
        asks="1@900",
    ),
    Case(
        "a halt after which nothing clears is no auction",
        (
            session(Session.AUCTION),
            *(sell(2, 160, 1), buy(3, 160, 1)),
            CONTINUOUS,
            session(Session.HALTED, ts_ns=at(1_800)),
            session(Session.CONTINUOUS, ts_ns=at(1_801)),
            "session continuous reference 160",
            sell(4, 170, 1, ts_ns=at(1_802)),
            buy(5, 170, 1, ts_ns=at(1_802)),
            session(Session.HALTED, ts_ns=at(3_600)),
            "session halted reference 170",
        ),
    ),
    Case(
        "stops that an auction triggered are banded by its price",
        (
            *AT_100,
            sell(7, 210, 1),
            buy(8, 250, 1, STOP, stop_price=200),
            session(Session.AUCTION),
            *(sell(3, 200, 5), buy(4, 200, 5)),
            CONTINUOUS,
            "cleared 5@200",
            "trade auction 3 x4 5@200",
            "session continuous reference 200",
            "triggered 8 buy 1@250 leaves 1",
            "trade 7 x8 buy 1@210",
        ),
    ),
    Case(
        "a band of 0 is none",
        (*AT_100, sell(3, 9_000_000, 1), buy(4, 9_000_000, 1), "trade 3 x4 buy 1@9000000"),
        limits=BookLimits(band_ppm=0),
    ),
    Case(
        "no cooldown, another auction at once",
        (*AT_100, session(Session.AUCTION), CONTINUOUS, sell(3, 140, 1), buy(4, 140, 1), _OPENS),
        limits=BookLimits(cooldown_s=0),
    ),
]
BANDS: Final = [*BAND, *REFERENCE]
