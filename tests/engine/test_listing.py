"""What is listed when: markets and their forwards, day by day, over the ends of weeks, months and years (rulebook §3, §11).

Orders reach a forward's book here without a shard's check: what a trade of hours means is no matter of the calendar.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine import book_events, book_orders, listing, matching
from engine.book_plain import PlainBook
from engine.ids import INDEX_MAX
from engine.kinds import Kind, OrderType, Origin, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    Canceled,
    Command,
    Deposit,
    Event,
    InstrumentListed,
    InstrumentSession,
    ListMarket,
    MarketListed,
    Offer,
    OpenAccount,
    PlaceOrder,
    RegisterBaron,
    Rejected,
    Rent,
    SetFeatures,
    SetOffers,
    SetRating,
    SetSession,
    SettlementPrice,
    Tick,
)
from engine.periods import listed
from engine.reasons import Reason
from engine.records import Session
from engine.state import Instrument, Order, Refused
from engine.units import MICROS_PER_USD, NS_PER_HOUR, NS_PER_S
from tests.engine.shard import ALICE, BOB, PAT, Shard, ask, bid, only

SKU = "H100-SXM5-80GB"
RENTER, PROVIDER, BARON = 11, 21, 101
A_MARKET = 31
"""Spot, on-demand, 7 days, 4 weeks, 12 months, 4 quarters, 2 years."""
MINUTE = 60 * NS_PER_S


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


class Exchange:
    """A shard with one market, listed at a time of the test's choice; unless told not to, it holds each answer against a twin's."""

    def __init__(self, now: str, markets: int = 1, *, twin: bool = True) -> None:
        self._twin = twin
        self.machine = Machine(1, Limits(), PlainBook)
        self.now_ns = at(now)
        for account in (RENTER, PROVIDER):
            self.do(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=0))
        self.do(Deposit(account=RENTER, amount_micros=10**6 * MICROS_PER_USD, client_id=""))
        self.listed = [self.do(ListMarket(sku=SKU, region=f"here-{number}")) for number in range(markets)]

    def apply(self, command: Command) -> list[Event]:
        """Apply it to the machine, and to one restored from the state before: they must agree."""
        twin = Machine.restore(self.machine.snapshot(), PlainBook) if self._twin else None
        seq = self.machine.last_seq + 1
        events = self.machine.apply(seq, self.now_ns, command)
        if twin is not None:
            assert twin.apply(seq, self.now_ns, command) == events
            assert twin.state_hash() == self.machine.state_hash()
        return events

    def do(self, command: Command) -> list[Event]:
        events = self.apply(command)
        assert not only(events, Rejected), events
        return events

    def ticks(self, now: str) -> list[Event]:
        """The clock jumps, and Ticks come until none is due; their events."""
        self.now_ns = at(now)
        events: list[Event] = []
        while (due_ns := self.machine.next_due_ns()) is not None and due_ns <= self.now_ns:
            events += self.do(Tick())
        return events

    def refused(self, command: Command) -> tuple[Reason, str]:
        (event,) = self.apply(command)
        assert isinstance(event, Rejected), event
        return event.reason, event.field

    @property
    def forwards(self) -> list[Instrument]:
        return [found for found in self.machine.state.instruments.values() if found.kind is Kind.FORWARD]

    def forward(self, period: str) -> int:
        (found,) = [forward.instrument for forward in self.forwards if forward.period == period]
        return found

    def rest(self, side: Side, period: str, price_ticks: int, quantity: int = 1, stop_ticks: int = 0) -> Order:
        """An order of the renter's in a forward's book, with what the shard keeps of it."""
        state = self.machine.state
        state.last_seq += 1
        state.begin()
        order = Order(
            order_id=state.new_id(),
            account=RENTER,
            instrument=self.forward(period),
            kind=Kind.FORWARD,
            side=side,
            order_type=OrderType.STOP_LIMIT if stop_ticks else OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price_ticks=price_ticks,
            quantity=quantity,
            leaves_quantity=quantity,
            origin=Origin.CLIENT,
            post_only=False,
            client_order_id="",
            hours=0,
            baron=0,
            window_end_ns=0,
            delivery=b"",
            stop_price_ticks=stop_ticks,
        )
        state.last_ts_ns = self.now_ns
        book_events.submit(state, order.instrument, book_orders.new(order, self.now_ns), order)
        return order


def periods_of(events: list[Event]) -> list[str]:
    return [event.period for event in only(events, InstrumentListed)]


def expired(exchange: Exchange, events: list[Event], names: dict[int, str]) -> list[str]:
    """The periods that expired, by the names that their numbers had."""
    gone = [event.instrument for event in only(events, InstrumentSession) if event.session is Session.EXPIRED]
    assert not set(gone) & set(exchange.machine.state.instruments)
    return [names[number] for number in gone]


def names_of(exchange: Exchange) -> dict[int, str]:
    return {forward.instrument: forward.period for forward in exchange.forwards}


# ---------------------------------------------------------------- what is listed


def test_a_market_lists_spot_on_demand_and_the_forwards_of_its_time_in_order() -> None:
    exchange = Exchange("2026-11-23T10:00", markets=2)
    for place, events in enumerate(exchange.listed):
        first = 1 + place * A_MARKET
        assert isinstance(events[0], MarketListed)
        assert (events[0].spot_instrument, events[0].ondemand_instrument) == (first, first + 1)
        forwards = only(events, InstrumentListed)
        assert len(events) == 1 + len(forwards) == A_MARKET - 1
        assert [event.instrument for event in forwards] == list(range(first + 2, first + A_MARKET))
        assert {(event.sku, event.region, event.kind) for event in forwards} == {(SKU, f"here-{place}", Kind.FORWARD)}
        assert [(event.period, event.start_h, event.end_h) for event in forwards] == [
            (period.name, period.start_h, period.end_h) for period in listed(exchange.now_ns)
        ]
    assert exchange.machine.next_due_ns() == at("2026-11-23T23:00")


@pytest.mark.parametrize(
    ("now", "due", "day", "week", "month", "quarter", "year"),
    [
        # 30 December: January is the first month, the running year isn't listed, and the week is the long year's last.
        ("2026-12-30T12:00", "2026-12-30T23:00", "2026-12-31", "2027-W01", "2027-01", "2027Q1", "2027"),
        ("2026-12-30T23:00", "2026-12-31T23:00", "2027-01-01", "2027-W01", "2027-01", "2027Q1", "2027"),
        ("2026-12-31T22:59:59", "2026-12-31T23:00", "2027-01-01", "2027-W01", "2027-01", "2027Q1", "2027"),
        ("2026-12-31T23:00", "2027-01-01T23:00", "2027-01-02", "2027-W01", "2027-02", "2027Q2", "2028"),
        ("2026-12-27T22:00", "2026-12-27T23:00", "2026-12-28", "2026-W53", "2027-01", "2027Q1", "2027"),
        ("2028-02-27T23:30", "2028-02-28T23:00", "2028-02-29", "2028-W10", "2028-03", "2028Q2", "2029"),
    ],
)
def test_what_a_new_market_begins_with(
    now: str, due: str, day: str, week: str, month: str, quarter: str, year: str
) -> None:
    exchange = Exchange(now)
    found = [forward.period for forward in exchange.forwards]
    assert [found[place] for place in (0, 7, 11, 23, 27)] == [day, week, month, quarter, year]
    assert exchange.machine.next_due_ns() == at(due)


@pytest.mark.parametrize(
    ("now", "gone", "come"),
    [
        ("2026-11-24T23:00", ["2026-11-25"], ["2026-12-02"]),
        ("2026-11-29T23:00", ["2026-11-30", "2026-W49"], ["2026-12-07", "2026-W53"]),
        ("2026-11-30T23:00", ["2026-12-01", "2026-12"], ["2026-12-08", "2027-12"]),
        ("2026-12-27T23:00", ["2026-12-28", "2026-W53"], ["2027-01-04", "2027-W04"]),
        (
            "2026-12-31T23:00",
            ["2027-01-01", "2027-01", "2027Q1", "2027"],
            ["2027-01-08", "2028-01", "2028Q1", "2029"],
        ),
        ("2028-02-28T23:00", ["2028-02-29"], ["2028-03-07"]),
        ("2028-02-29T23:00", ["2028-03-01", "2028-03"], ["2028-03-08", "2029-03"]),
    ],
)
def test_a_day_ends(now: str, gone: list[str], come: list[str]) -> None:
    """What begins in an hour expires, then what comes in is listed; each has a number that none had."""
    exchange = Exchange("2026-11-23T10:00")
    exchange.ticks(now[:10] + "T22:59:59")
    before, highest = names_of(exchange), exchange.machine.state.next_instrument
    events = exchange.ticks(now)
    assert sorted(expired(exchange, events, before)) == sorted(gone)
    assert periods_of(events) == come
    assert [event.instrument for event in only(events, InstrumentListed)] == [
        highest + place for place in range(len(come))
    ]
    sessions = [place for place, event in enumerate(events) if isinstance(event, InstrumentSession)]
    newcomers = [place for place, event in enumerate(events) if isinstance(event, InstrumentListed)]
    assert max(sessions) < min(newcomers)
    assert len(exchange.machine.state.books) == A_MARKET
    assert sorted(names_of(exchange).values()) == sorted(period.name for period in listed(exchange.now_ns))


def test_a_clock_that_jumps_over_years_does_each_day_in_its_turn() -> None:
    """Whoever ticks each day, and whoever ticks once after it all, come to the same: each day as of its own time."""
    exchange, other = (Exchange("2026-12-20T10:00", markets=2, twin=False) for _ in range(2))
    jumped = exchange.ticks("2028-03-01T07:00")
    daily: list[Event] = []
    for day in range(1, 438):
        moment = datetime.fromtimestamp(at("2026-12-20T07:00") // NS_PER_S + day * 86_400, tz=UTC)
        daily += other.ticks(moment.replace(tzinfo=None).isoformat())
    assert jumped == daily
    assert exchange.now_ns == other.now_ns
    assert names_of(exchange) == names_of(other)
    assert sorted(names_of(exchange).values()) == sorted(2 * [period.name for period in listed(exchange.now_ns)])
    assert "2028-02-29" in periods_of(jumped)
    assert len(periods_of(jumped)) == len(set(periods_of(jumped))) * 2
    assert exchange.machine.next_due_ns() == at("2028-03-01T23:00")


def test_markets_take_their_turns_in_order_of_listing_and_one_that_comes_later_joins() -> None:
    exchange = Exchange("2026-11-23T10:00", markets=2)
    exchange.now_ns = at("2026-11-23T23:00") - 1
    exchange.do(ListMarket(sku="A", region="later"))
    events = exchange.ticks("2026-11-23T23:00")
    assert [event.region for event in only(events, InstrumentListed)] == ["here-0", "here-1", "later"]
    assert [event.instrument for event in only(events, InstrumentListed)] == [94, 95, 96]
    exchange.do(ListMarket(sku="B", region="last"))
    assert exchange.machine.state.markets["B", "last"] == (97, 98)


# ---------------------------------------------------------------- who is told, and who is refused


def test_each_book_of_a_market_knows_its_barons_whichever_came_first() -> None:
    exchange = Exchange("2026-11-23T10:00", markets=2)
    exchange.do(RegisterBaron(baron=BARON, provider=PROVIDER, sku=SKU, region="here-0"))
    exchange.do(SetFeatures(baron=BARON, features=5))
    exchange.do(SetRating(baron=BARON, rating=91))
    exchange.ticks("2026-11-24T23:00")
    state = exchange.machine.state
    for place in range(2):
        told = [state.books[number].state().barons for number in listing.instruments_of(state, SKU, f"here-{place}")]
        assert told == A_MARKET * [told[0]]
        # Beside its features a Baron's bits may say more of it.
        assert [(number, rating, bits & 5) for number, rating, bits in told[0]] == (
            [(BARON, 91, 5)] if place == 0 else []
        )
    assert list(listing.instruments_of(state, SKU, "nowhere")) == []


def test_forwards_are_neither_rented_nor_offered_and_what_expired_says_so() -> None:
    exchange = Exchange("2026-11-23T10:00")
    exchange.do(RegisterBaron(baron=BARON, provider=PROVIDER, sku=SKU, region="here-0"))
    forward = exchange.forward("2026-11-24")
    order = PlaceOrder(
        account=RENTER,
        instrument=forward,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=20_000,
        quantity=1,
        post_only=False,
        client_order_id="",
        hours=0,
        baron=0,
        max_hours=0,
        delivery=b"key",
    )
    rental = Rent(
        account=RENTER,
        instruments=(forward,),
        quantity=1,
        hours=24,
        max_price_ticks=0,
        delivery=b"key",
        client_order_id="",
    )
    assert exchange.refused(rental) == (Reason.INVALID_ORDER, "instruments")
    offer = Offer(baron=BARON, instrument=forward, price_ticks=20_000, gpus=1, max_hours=24)
    assert exchange.refused(SetOffers(account=PROVIDER, offers=(offer,))) == (
        Reason.INVALID_OFFER,
        "offers[0].instrument",
    )
    exchange.ticks("2026-11-23T23:00")
    assert exchange.refused(order) == (Reason.INSTRUMENT_EXPIRED, "instrument")
    halt = SetSession(instrument=forward, session=Session.HALTED)
    assert exchange.refused(halt) == (Reason.INSTRUMENT_EXPIRED, "instrument")
    never = SetSession(instrument=exchange.machine.state.next_instrument, session=Session.HALTED)
    assert exchange.refused(never) == (Reason.UNKNOWN_INSTRUMENT, "instrument")


def test_no_order_enters_when_trading_is_over_though_the_tick_is_late() -> None:
    exchange = Exchange("2026-11-23T10:00")
    state = exchange.machine.state
    ending, staying = exchange.forward("2026-11-24"), exchange.forward("2026-11-25")
    state.last_ts_ns = at("2026-11-23T23:00") - 1
    matching.check_session(state, ending)
    state.last_ts_ns += 1
    with pytest.raises(Refused) as refused:
        matching.check_session(state, ending)
    assert refused.value.reason is Reason.INSTRUMENT_EXPIRED
    matching.check_session(state, staying)


# ---------------------------------------------------------------- expiry takes what rests


def test_expiry_cancels_what_rests_and_gives_the_money_back() -> None:
    exchange = Exchange("2026-11-23T10:00")
    before = list(exchange.machine.balances())
    ending = [exchange.rest(Side.BUY, "2026-11-24", price) for price in (10_000, 30_000, 20_000)]
    armed = exchange.rest(Side.BUY, "2026-11-24", 40_000, stop_ticks=35_000)
    staying = exchange.rest(Side.BUY, "2026-11-25", 10_000)
    events = exchange.ticks("2026-11-23T23:00")
    gone = only(events, Canceled)
    assert [event.order_id for event in gone] == [ending[place].order_id for place in (1, 2, 0)] + [armed.order_id]
    assert {event.reason for event in gone} == {Reason.INSTRUMENT_EXPIRED}
    session = next(place for place, event in enumerate(events) if isinstance(event, InstrumentSession))
    assert events.index(gone[-1]) < session
    state = exchange.machine.state
    assert list(state.orders) == [staying.order_id]
    assert state.accounts[RENTER].open_orders == 1
    exchange.ticks("2026-11-24T23:00")
    assert list(exchange.machine.balances()) == before


def test_an_operators_own_expiry_is_not_said_twice_and_has_no_price() -> None:
    exchange = Exchange("2026-11-23T10:00")
    names = names_of(exchange)
    exchange.do(SetSession(instrument=exchange.forward("2026-11-24"), session=Session.EXPIRED))
    events = exchange.ticks("2026-11-23T23:00")
    assert not only(events, InstrumentSession)
    assert not only(events, SettlementPrice)
    assert "2026-11-24" in names.values()
    assert "2026-11-24" not in names_of(exchange).values()


def test_more_orders_than_one_firing_cancels_take_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer stays due, each part as long as it may be, and the day's prices are said once."""
    monkeypatch.setattr(listing, "CANCELS_A_FIRING", 3)
    exchange = Exchange("2026-11-29T10:00")
    for place in range(5):
        exchange.rest(Side.BUY, "2026-11-30", 10_000 + place)
        exchange.rest(Side.BUY, "2026-W49", 10_000 + place)
    exchange.rest(Side.BUY, "2027-01", 10_000)
    state, names = exchange.machine.state, names_of(exchange)
    calendar = state.calendars[1]
    exchange.now_ns = state.last_ts_ns = at("2026-11-29T23:00")
    parts: list[list[Event]] = []
    while calendar.due_ns <= exchange.now_ns:
        state.begin()
        listing.day_ends(state, calendar)
        parts.append(state.events)
        restored = Machine.restore(exchange.machine.snapshot(), PlainBook)
        assert restored.next_due_ns() == calendar.due_ns
        assert restored.state_hash() == exchange.machine.state_hash()
    assert [len(only(part, Canceled)) for part in parts] == [3, 3, 3, 1]
    together = [event for part in parts for event in part]
    assert expired(exchange, together, names) == ["2026-11-30", "2026-W49"]
    assert periods_of(parts[-1]) == periods_of(together) == ["2026-12-07", "2026-W53"]
    assert len(state.orders) == 1


def test_the_events_of_a_firing_are_numbered_in_the_bits_that_are_left() -> None:
    """A Tick that goes on after 2^14 events, then one firing at its longest: two events an order, prices, sessions, names."""
    assert 2**14 + listing.CANCELS_A_FIRING * 3 + 2 * A_MARKET + 16 < INDEX_MAX


def test_a_firm_ask_that_expires_frees_its_hours_and_its_bond() -> None:
    """Through every door of the market, each step audited."""
    shard = Shard(usd=100_000, providers_usd=100_000)
    day = next(each for each in shard.machine.state.instruments.values() if each.kind is Kind.FORWARD)
    row = shard.machine.state.rows[PAT, BARON]
    shard.place(ask(PAT, 20_000, 8, day.instrument, max_hours=0))
    shard.place(bid(ALICE, 20_000, 3, day.instrument, hours=0))
    shard.place(bid(BOB, 19_000, 2, day.instrument, hours=0))
    assert row.grid.least_free(day.start_h, day.end_h) == -8
    events = shard.wait(day.trading_end_ns - shard.now_ns)
    assert {event.reason for event in only(events, Canceled)} == {Reason.INSTRUMENT_EXPIRED}
    assert sum(event.quantity for event in only(events, Canceled)) == 5 + 2
    assert row.grid.least_free(day.start_h, day.end_h) == -3
    assert day.instrument not in shard.machine.state.instruments
    refused = bid(BOB, 19_000, 2, day.instrument, hours=0)
    shard.refuse(refused, Reason.INSTRUMENT_EXPIRED, "instrument")
    # What was traded in it goes on: its hours are delivered, each paid for.
    shard.wait(26 * NS_PER_HOUR)
