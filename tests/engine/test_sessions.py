"""Sessions and auctions as the shard lives them: who may order when, what an auction makes of money and leases (§6)."""

from __future__ import annotations

import pytest

from engine import listing
from engine.book_plain import PlainBook
from engine.kinds import OrderType, Pot, TimeInForce
from engine.limits import Limits
from engine.messages import (
    AmendOrder,
    AuctionCleared,
    Canceled,
    CancelOrder,
    InstrumentSession,
    LeaseScheduled,
    ListMarket,
    SetCapacity,
    SetSession,
    Tick,
    Traded,
)
from engine.reasons import Reason
from engine.records import Session
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    ELSEWHERE_SPOT,
    FAR_BARON,
    HOUR,
    MINUTE,
    NO_INSTRUMENT,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND,
    SECOND_BARON,
    SPOT,
    Shard,
    ask,
    bid,
    offered,
    only,
    rental,
)


def session(name: Session, instrument: int = SPOT) -> SetSession:
    return SetSession(instrument=instrument, session=name)


def test_an_instrument_is_known_and_a_new_one_starts_continuous() -> None:
    shard = Shard()
    shard.do(ListMarket(sku="L40S-PCIE-48GB", region="here"))
    assert shard.machine.session(63) is Session.CONTINUOUS
    shard.refuse(session(Session.AUCTION, NO_INSTRUMENT), Reason.UNKNOWN_INSTRUMENT, "instrument")


def test_a_halt_takes_cancels_only_and_leases_run_on() -> None:
    shard = Shard()
    lease = shard.place(ask(PAT, 20_000, 2))
    shard.do(bid(ALICE, 20_000, 1))
    order = shard.place(bid(BOB, 19_000, 2))
    till = shard.now_ns + HOUR
    lasting = shard.place(bid(BOB, 18_000, 1, time_in_force=TimeInForce.GTD, expire_ns=till))
    (said,) = only(shard.do(session(Session.HALTED)), InstrumentSession)
    assert (said.session, said.reason, said.until_ns) == (Session.HALTED, Reason.NONE, 0)
    for refused in (
        bid(BOB, 19_000, 1),
        ask(PAT, 21_000, 1),
        bid(BOB, 0, 1, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC),
        AmendOrder(account=BOB, order_id=order, quantity=1),
        AmendOrder(account=BOB, order_id=lasting, expire_ns=till + HOUR),
        rental(ALICE, 1, 1, SPOT),
    ):
        shard.refuse(refused, Reason.SESSION_CLOSED)
    (line,) = shard.machine.quote(ALICE, (SPOT,), 1, 1, 0, shard.now_ns)
    assert line.reason is Reason.SESSION_CLOSED
    shard.do(CancelOrder(account=BOB, order_id=order))
    shard.do(SetCapacity(baron=BARON, gpus=1, simulated=False))
    assert lease not in shard.auditor.orders
    # The other instrument of the market trades.
    shard.do(ask(PAT, 30_000, 1, ONDEMAND, baron=SECOND_BARON))


def test_a_pre_open_gathers_plain_limit_orders_and_refuses_others() -> None:
    shard = Shard()
    shard.do(session(Session.PRE_OPEN))
    shard.do(ask(PAT, 20_000, 2))
    shard.do(bid(ALICE, 21_000, 2))
    shard.refuse(bid(ALICE, 21_000, 2, time_in_force=TimeInForce.IOC), Reason.SESSION_CLOSED)
    shard.refuse(bid(ALICE, 21_000, 2, min_quantity=2), Reason.SESSION_CLOSED)
    shard.refuse(ask(QUINN, 20_000, 2, baron=OTHER_BARON, lot=2), Reason.SESSION_CLOSED)
    shard.pay(PAT, 100)
    shard.refuse(bid(PAT, 20_000, 1), Reason.SELF_TRADE)
    assert (shard.asks(SPOT), shard.bids(SPOT)) == ([(20_000, 2)], [(21_000, 2)])


def test_an_auction_clears_at_one_price_and_both_sides_pay_as_makers() -> None:
    shard = Shard()
    shard.do(session(Session.AUCTION))
    shard.place(ask(PAT, 20_000, 3))
    shard.place(ask(QUINN, 20_500, 3, baron=OTHER_BARON))
    shard.place(bid(ALICE, 22_000, 4, hours=3))
    shard.place(bid(BOB, 20_500, 1, hours=3))
    events = shard.do(session(Session.CONTINUOUS))
    (cleared,) = only(events, AuctionCleared)
    assert (cleared.price_ticks, cleared.quantity, cleared.surplus_quantity) == (20_500, 5, 1)
    trades = only(events, Traded)
    assert [(trade.buyer, trade.seller, trade.quantity, trade.price_ticks) for trade in trades] == [
        (ALICE, PAT, 3, 20_500),
        (ALICE, QUINN, 1, 20_500),
        (BOB, QUINN, 1, 20_500),
    ]
    assert all(trade.auction for trade in trades)
    leases = only(events, LeaseScheduled)
    assert [(lease.renter_fee_ppm, lease.provider_fee_ppm) for lease in leases] == [(0, 0)] * 3
    assert [event.session for event in only(events, InstrumentSession)] == [Session.CONTINUOUS]
    assert shard.auditor.pots[ALICE, Pot.HELD] == shard.prefunds(ALICE)
    assert shard.asks(SPOT) == [(20_500, 1)]


def test_a_breach_of_the_band_opens_an_auction_that_ends_by_itself() -> None:
    shard = Shard()
    shard.do(ask(PAT, 20_000, 1))
    shard.do(bid(ALICE, 20_000, 1))
    shard.place(ask(PAT, 26_001, 1))
    events = shard.do(bid(ALICE, 26_001, 1))
    (said,) = only(events, InstrumentSession)
    assert (said.session, said.reason, said.reference_ticks) == (Session.AUCTION, Reason.OUTSIDE_BAND, 20_000)
    assert said.until_ns == shard.now_ns + 2 * MINUTE == shard.machine.next_due_ns()
    assert only(events, Traded) == []
    shard.wait(2 * MINUTE - SECOND)
    assert shard.bids(SPOT) == [(26_001, 1)]
    twin = type(shard.machine).restore(shard.machine.snapshot(), shard.machine.state.book_factory)
    assert twin.next_due_ns() == said.until_ns
    shard.twin = twin
    events = shard.wait(SECOND)
    assert [trade.price_ticks for trade in only(events, Traded)] == [26_001]
    assert shard.machine.session(SPOT) is Session.CONTINUOUS
    assert not shard.due()
    # Its price is the reference now; within ten minutes a breach is refused and opens none.
    shard.place(ask(PAT, 40_000, 1))
    events = shard.do(bid(ALICE, 40_000, 1))
    assert [event.reason for event in only(events, Canceled)] == [Reason.OUTSIDE_BAND]
    assert only(events, InstrumentSession) == []


def test_a_rental_that_only_a_closed_session_keeps_away_says_so() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 2))
    shard.do(session(Session.AUCTION))
    wish = rental(ALICE, 1, 1, ELSEWHERE_SPOT, SPOT)
    shard.refuse(wish, Reason.SESSION_CLOSED)
    # An open instrument is tried all the same: it says what it lacks, and serves once it can.
    shard.place(ask(PAT, 30_000, 1, ELSEWHERE_SPOT, baron=FAR_BARON))
    shard.refuse(rental(ALICE, 2, 1, ELSEWHERE_SPOT, SPOT), Reason.FOK_KILLED)
    assert [trade.instrument for trade in only(shard.do(wish), Traded)] == [ELSEWHERE_SPOT]


def test_an_operator_ends_an_auction_before_its_time() -> None:
    shard = Shard()
    shard.do(ask(PAT, 20_000, 1))
    shard.do(bid(ALICE, 20_000, 1))
    shard.place(ask(PAT, 30_000, 1))
    shard.do(bid(ALICE, 30_000, 1))
    assert shard.machine.session(SPOT) is Session.AUCTION
    shard.do(session(Session.HALTED))
    assert not shard.due()
    assert len(only(shard.do(session(Session.CONTINUOUS)), Traded)) == 1


def test_a_rental_outside_the_band_is_refused_with_its_reason() -> None:
    shard = Shard()
    shard.do(ask(PAT, 20_000, 1))
    shard.do(bid(ALICE, 20_000, 1))
    shard.place(ask(PAT, 30_000, 1))
    shard.refuse(rental(ALICE, 1, 1, SPOT), Reason.OUTSIDE_BAND)
    assert shard.machine.session(SPOT) is Session.CONTINUOUS


def test_bids_beyond_their_accounts_bound_go_before_the_clearing() -> None:
    shard = Shard(Limits(max_leases=2))
    shard.do(session(Session.AUCTION))
    shard.place(ask(PAT, 20_000, 1))
    shard.place(ask(PAT, 20_000, 1))
    shard.place(ask(PAT, 20_000, 2, baron=SECOND_BARON))
    wide = shard.place(bid(ALICE, 20_003, 3))
    third = shard.place(bid(ALICE, 20_002, 1))
    shard.place(bid(BOB, 20_001, 1))
    events = shard.do(session(Session.CONTINUOUS))
    # Two asks of one Baron are one lease; the second Baron's is the second.
    assert [(event.order_id, event.reason) for event in only(events, Canceled)] == [(third, Reason.TOO_MANY_LEASES)]
    assert {trade.taker_order_id for trade in only(events, Traded)} == {wide} | {
        trade.taker_order_id for trade in only(events, Traded) if trade.buyer == BOB
    }
    assert shard.machine.state.accounts[ALICE].leases == 2


def test_a_long_clearing_goes_on_tick_by_tick() -> None:
    shard = Shard(Limits(max_looked=2))
    shard.do(session(Session.AUCTION))
    for quantity in (2, 3):
        shard.place(ask(PAT, 20_000, quantity))
    for account, quantity in ((ALICE, 1), (BOB, 4)):
        shard.place(bid(account, 20_000, quantity))
    shard.place(ask(PAT, 20_000, 1))
    assert len(only(shard.do(session(Session.CONTINUOUS)), Traded)) == 2
    assert shard.machine.session(SPOT) is Session.AUCTION
    assert shard.machine.next_due_ns() == shard.now_ns
    shard.refuse(bid(ALICE, 20_000, 1), Reason.SESSION_CLOSED)
    shard.refuse(session(Session.HALTED), Reason.SESSION_CLOSED, "session")
    # What can't be delivered goes meanwhile: two GPUs are left beside two leases.
    shard.do(SetCapacity(baron=BARON, gpus=4, simulated=False))
    assert shard.asks(SPOT) == [(20_000, 2)]
    events = shard.wait(0)
    assert [trade.quantity for trade in only(events, Traded)] == [2]
    assert only(events, AuctionCleared) == []
    assert shard.machine.session(SPOT) is Session.CONTINUOUS
    assert not shard.due()
    assert shard.do(Tick()) == []


def test_an_offer_that_a_halt_refused_is_tried_at_the_next_full_hour() -> None:
    shard = Shard()
    shard.now_ns += 10 * MINUTE
    shard.do(session(Session.HALTED))
    shard.offer(offered(20_000, 8))
    assert shard.asks(SPOT) == []
    shard.do(session(Session.CONTINUOUS))
    shard.wait(HOUR)
    assert shard.asks(SPOT) == [(20_000, 8)]


def test_an_expired_instrument_has_no_orders_any_more() -> None:
    shard = Shard()
    order = shard.place(bid(ALICE, 20_000, 1))
    shard.offer(offered(30_000, 8))
    events = shard.do(session(Session.EXPIRED))
    assert {event.reason for event in only(events, Canceled)} == {Reason.INSTRUMENT_EXPIRED}
    assert shard.machine.counts().open_orders == 0
    shard.refuse(CancelOrder(account=ALICE, order_id=order), Reason.ORDER_CLOSED)
    shard.refuse(bid(ALICE, 20_000, 1), Reason.SESSION_CLOSED)
    shard.refuse(session(Session.CONTINUOUS), Reason.SESSION_CLOSED, "session")
    shard.wait(HOUR)


def test_an_operators_expiry_goes_on_in_ticks_where_many_orders_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CANCELS_A_FIRING", 2)
    shard = Shard()
    for price_ticks in (20_000, 20_001, 20_002):
        shard.place(bid(ALICE, price_ticks, 1))
    shard.place(bid(BOB, 40_000, 1, order_type=OrderType.STOP_LIMIT, stop_price_ticks=40_000))
    shard.offer(offered(30_000, 8))
    events = shard.do(session(Session.EXPIRED))
    assert len(only(events, Canceled)) == 2
    assert [event.session for event in only(events, InstrumentSession)] == [Session.HALTED]
    shard.refuse(bid(ALICE, 20_000, 1), Reason.SESSION_CLOSED)
    shard.refuse(session(Session.CONTINUOUS), Reason.SESSION_CLOSED, "session")
    shard.twin = type(shard.machine).restore(shard.machine.snapshot(), PlainBook)
    gone = shard.wait(0)
    assert {event.reason for event in only(gone, Canceled)} == {Reason.INSTRUMENT_EXPIRED}
    assert [event.session for event in only(gone, InstrumentSession)] == [Session.EXPIRED]
    assert shard.machine.counts().open_orders == 0
    assert shard.twin.state_hash() == shard.machine.state_hash()


@pytest.mark.parametrize("again", list(Session))
def test_the_session_that_is_may_be_set_again(again: Session) -> None:
    shard = Shard()
    shard.do(session(again))
    if again is not Session.EXPIRED:
        (said,) = only(shard.do(session(again)), InstrumentSession)
        assert said.session is again
