"""Forwards in the read models and in memory: listed, traded, settled, expired, and kept for what was traded in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.kinds import EndReason, Kind, LeaseState, OrderType, Origin, Side, TimeInForce
from engine.messages import (
    Accepted,
    Canceled,
    Event,
    LeaseChanged,
    LeaseScheduled,
    Reply,
    SettlementPrice,
    Tick,
    Traded,
)
from engine.reasons import Reason
from engine.records import Session
from engine.units import NS_PER_DAY, NS_PER_HOUR
from exchange.market_data.live import Live
from exchange.read.interface import CurvePoint, InstrumentRow
from exchange.read.model import ReadModel, connect
from exchange.read.queries import Queries, Snapshot
from tests.exchange.market_data.commands import DELIVERY, FAR_SPOT, REGIONS, Exchange, opened

SKU = "H100-SXM5-80GB"
NOTHING = Snapshot(0, 0, [], [], [], [])
BUYER, SELLER, BARON = 21, 11, 1


def accepted(order_id: int, instrument: int, side: Side, price_ticks: int) -> Accepted:
    return Accepted(
        order_id=order_id,
        account=BUYER if side is Side.BUY else SELLER,
        instrument=instrument,
        side=side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=price_ticks,
        quantity=4,
        origin=Origin.CLIENT,
        post_only=False,
        client_order_id="",
        hours=0,
        baron=0 if side is Side.BUY else BARON,
        window_end_ns=0,
    )


def traded(trade_id: int, instrument: int, maker: int, taker: int, price_ticks: int) -> Traded:
    return Traded(
        trade_id=trade_id,
        instrument=instrument,
        price_ticks=price_ticks,
        quantity=1,
        maker_order_id=maker,
        taker_order_id=taker,
        maker_leaves=3,
        taker_leaves=3,
        taker_side=Side.BUY,
        buyer=BUYER,
        seller=SELLER,
        baron=BARON,
        lease_id=0,
    )


class Told:
    """The rows in a file and in memory, told the same; and what a memory would be that began from the file now."""

    def __init__(self, path: Path) -> None:
        self.exchange: Exchange = opened()
        self.model = ReadModel.open(path)
        self.live = Live(NOTHING)
        self.queries = Queries(connect(path, read_only=True))
        self._told = 0
        self.follow()

    def follow(self) -> None:
        """Take in what the exchange has said since."""
        fresh = self.exchange.replies[self._told :]
        self._told = len(self.exchange.replies)
        self.model.apply(fresh)
        for reply in fresh:
            self.live.apply(reply)

    def say(self, *events: Event) -> None:
        """Events as of a command of their own."""
        self.exchange.seq += 1
        self.exchange.replies.append(Reply(self.exchange.seq, self.exchange.ts_ns, events))
        self.follow()

    def days(self, number: int) -> None:
        for _ in range(number):
            self.exchange.apply(Tick(), NS_PER_DAY)
        self.follow()

    def forward(self, place: int, region: str = REGIONS[0]) -> InstrumentRow:
        return self.queries.instruments(SKU, region, Kind.FORWARD)[place]

    def again(self) -> Live:
        return Live(self.queries.snapshot())


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path / "read.db")
    yield told
    told.queries.close()
    told.model.close()


def test_a_market_has_its_forwards_each_with_its_delivery(told: Told) -> None:
    # It was opened on 14 November 2023, a Tuesday, at 22:13.
    rows = told.queries.instruments(SKU, REGIONS[0])
    assert [row.symbol.rpartition(".")[2] for row in rows[:4]] == [
        "spot",
        "ondemand",
        "fwd-2023-11-15",
        "fwd-2023-11-16",
    ]
    assert [row.period for row in rows[9:14]] == ["2023-W47", "2023-W48", "2023-W49", "2023-W50", "2023-12"]
    assert [row.period for row in rows[-6:]] == ["2024Q1", "2024Q2", "2024Q3", "2024Q4", "2024", "2025"]
    year = rows[-2]
    assert (year.start_h * NS_PER_HOUR, year.end_h - year.start_h) == (19_723 * NS_PER_DAY, 8_784)
    assert [row.period for row in rows[:2]] == ["", ""]
    assert [row.kind for row in rows] == [Kind.SPOT, Kind.ONDEMAND] + 29 * [Kind.FORWARD]
    # The second market's Baron is a simulated one.
    assert [row.simulated for row in told.queries.instruments(region=REGIONS[1])] == 31 * [True]
    assert list(told.live.instruments()) == told.queries.instruments()


def test_lists_are_of_what_was_asked_for(told: Told) -> None:
    queries = told.queries
    assert len(queries.instruments()) == 62
    assert [row.instrument for row in queries.instruments(kind=Kind.SPOT)] == [1, FAR_SPOT]
    assert len(queries.instruments(kind=Kind.FORWARD, region=REGIONS[1])) == 29
    assert queries.instruments(sku="L40S-PCIE-48GB") == []
    found = queries.instrument_of(f"{SKU}.{REGIONS[1]}.fwd-2024")
    assert found is not None
    assert found == queries.instrument(found.instrument)
    assert queries.instrument_of(f"{SKU}.{REGIONS[1]}.fwd-2031") is None
    assert queries.instrument(63) is None


def test_what_expired_is_listed_no_more_and_kept_for_its_history(told: Told) -> None:
    day = told.forward(0)
    told.say(accepted(900, day.instrument, Side.SELL, 20_000), accepted(901, day.instrument, Side.BUY, 20_000))
    told.say(traded(910, day.instrument, 900, 901, 20_000))
    told.say(
        *(
            Canceled(
                order_id=order_id,
                account=account,
                instrument=day.instrument,
                quantity=3,
                reason=Reason.INSTRUMENT_EXPIRED,
            )
            for order_id, account in ((900, SELLER), (901, BUYER))
        )
    )
    told.days(1)
    assert day.instrument not in [row.instrument for row in told.queries.instruments()]
    kept = told.queries.instrument(day.instrument)
    assert kept is not None
    assert (kept.symbol, kept.session, kept.listed) == (day.symbol, Session.EXPIRED, False)
    assert told.queries.instrument_of(day.symbol) == kept
    assert [row.price_ticks for row in told.queries.trades(day.instrument, 0, 10)] == [20_000]
    # Who was told that it expired may look it up until the next command.
    assert told.live.instrument(day.instrument) == kept
    assert told.live.book(day.instrument, 10).asks == []
    told.days(1)
    with pytest.raises(KeyError):
        told.live.book(day.instrument, 10)
    assert told.live.instrument_of(day.symbol) is None
    assert list(told.live.instruments()) == list(told.again().instruments()) == told.queries.instruments()


def test_a_lease_outlives_the_forward_that_it_was_bought_as(told: Told) -> None:
    day = told.forward(0)
    start_ns = day.start_h * NS_PER_HOUR
    told.say(
        LeaseScheduled(
            lease_id=950,
            obligation_id=949,
            order_id=901,
            renter=BUYER,
            provider=SELLER,
            baron=BARON,
            instrument=day.instrument,
            kind=Kind.FORWARD,
            quantity=1,
            price_ticks=20_000,
            start_ns=start_ns,
            term_end_ns=start_ns + NS_PER_DAY,
            minimum_s=0,
            renter_fee_ppm=0,
            provider_fee_ppm=0,
            state=LeaseState.SCHEDULED,
            delivery=DELIVERY,
        )
    )
    told.days(2)
    for live in (told.live, told.again()):
        assert live.instrument(day.instrument).symbol == day.symbol
        assert day.instrument not in [row.instrument for row in live.instruments()]
    again = told.again()
    wiped = LeaseChanged(
        lease_id=950,
        renter=BUYER,
        provider=SELLER,
        baron=BARON,
        state=LeaseState.ENDED,
        reason=EndReason.QUIT,
        active_ns=0,
        ended_ns=start_ns,
        charged_micros=0,
        wiped=True,
        access=b"",
        detail="",
    )
    told.say(wiped)
    again.apply(told.exchange.replies[-1])
    told.days(1)
    again.apply(told.exchange.replies[-1])
    for live in (told.live, again, told.again()):
        with pytest.raises(KeyError):
            live.instrument(day.instrument)


def test_a_curve_has_each_period_s_best_and_last_and_settlement_price(told: Told) -> None:
    year = next(row for row in told.queries.instruments(SKU, REGIONS[0]) if row.period == "2024")

    def point(live: Live) -> CurvePoint:
        (found,) = [point for point in live.curve(SKU, REGIONS[0]).points if point.instrument.period == "2024"]
        return found

    curve = told.live.curve(SKU, REGIONS[0])
    assert [point.instrument.period for point in curve.points][-3:] == ["2024Q4", "2024-11", "2025"]
    starts = [(point.instrument.start_h, point.instrument.end_h) for point in curve.points]
    assert starts == sorted(starts)
    assert len(starts) == 29
    assert point(told.live) == CurvePoint(instrument=year, bid_ticks=0, ask_ticks=0, last_ticks=0)
    told.say(
        accepted(900, year.instrument, Side.SELL, 20_000),
        accepted(901, year.instrument, Side.SELL, 19_000),
        accepted(902, year.instrument, Side.BUY, 19_000),
        traded(910, year.instrument, 901, 902, 19_000),
        Canceled(order_id=901, account=SELLER, instrument=year.instrument, quantity=3, reason=Reason.REQUESTED),
    )
    day = told.exchange.ts_ns // NS_PER_DAY
    told.say(SettlementPrice(instrument=year.instrument, price_ticks=19_500, day=day, quantity=0))
    for live in (told.live, told.again()):
        found = point(live)
        assert (found.bid_ticks, found.ask_ticks, found.last_ticks) == (19_000, 20_000, 19_000)
        assert (found.instrument.settlement_ticks, found.instrument.settlement_day) == (19_500, day)
        assert (live.market(SKU, REGIONS[1]), live.market(SKU, "nowhere")) == (FAR_SPOT, 0)
        with pytest.raises(KeyError):
            live.curve(SKU, "nowhere")
