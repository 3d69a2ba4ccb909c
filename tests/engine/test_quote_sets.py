"""Sets of quotes: replaced whole, checked whole, withdrawn after so many fills (§5)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kinds import Origin, Pot, Side
from engine.limits import Limits
from engine.messages import (
    Accepted,
    AmendOrder,
    CancelAll,
    Canceled,
    CancelOrder,
    Event,
    LeaseScheduled,
    Quote,
    QuotesSet,
    SetQuotes,
    SetSession,
    Traded,
)
from engine.reasons import Reason
from engine.records import Session
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    ELSEWHERE_SPOT,
    NO_INSTRUMENT,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    Shard,
    ask,
    bid,
    only,
)


def buys(price_ticks: int, quantity: int, instrument: int = SPOT) -> Quote:
    hours = 1 if instrument == ONDEMAND else 0
    return Quote(
        instrument=instrument,
        side=Side.BUY,
        price_ticks=price_ticks,
        quantity=quantity,
        hours=hours,
        delivery=b"key",
    )


def sells(price_ticks: int, quantity: int, instrument: int = SPOT, baron: int = BARON) -> Quote:
    max_hours = 24 if instrument == ONDEMAND else 0
    return Quote(
        instrument=instrument,
        side=Side.SELL,
        price_ticks=price_ticks,
        quantity=quantity,
        baron=baron,
        max_hours=max_hours,
    )


def quoted(*quotes: Quote, account: int = PAT, name: str = "one", **more: Any) -> SetQuotes:
    return SetQuotes(account=account, name=name, quotes=quotes, **more)


@pytest.fixture
def shard() -> Shard:
    shard = Shard()
    shard.pay(PAT, 100)
    return shard


def canceled(events: list[Event]) -> list[tuple[int, Reason]]:
    return [(event.order_id, event.reason) for event in only(events, Canceled)]


def test_a_set_enters_in_order_and_says_its_orders(shard: Shard) -> None:
    events = shard.do(quoted(buys(19_000, 2), sells(21_000, 3), max_fills=5))
    (said,) = only(events, QuotesSet)
    accepted = only(events, Accepted)
    assert said.order_ids == tuple(event.order_id for event in accepted)
    assert (said.name, said.max_fills) == ("one", 5)
    assert {(event.origin, event.quote_set) for event in accepted} == {(Origin.QUOTE, "one")}
    assert (shard.bids(SPOT), shard.asks(SPOT)) == ([(19_000, 2)], [(21_000, 3)])


def test_a_new_set_replaces_the_old_one_of_its_name_alone(shard: Shard) -> None:
    (first,) = only(shard.do(quoted(buys(19_000, 2), sells(21_000, 8))), QuotesSet)
    (other,) = only(shard.do(quoted(buys(18_000, 1), name="two")), QuotesSet)
    # All of its capacity is quoted: what goes makes room for what comes.
    events = shard.do(quoted(sells(22_000, 8)))
    assert canceled(events) == [(number, Reason.QUOTE_REPLACED) for number in first.order_ids]
    assert (shard.bids(SPOT), shard.asks(SPOT)) == ([(18_000, 1)], [(22_000, 8)])
    events = shard.do(quoted(name="two"))
    assert canceled(events) == [(other.order_ids[0], Reason.QUOTE_REPLACED)]
    assert [said.order_ids for said in only(events, QuotesSet)] == [()]
    assert list(shard.machine.state.accounts[PAT].quote_sets) == ["one"]


GOOD = (buys(19_000, 2), sells(21_000, 3))


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        (quoted(account=99), Reason.UNKNOWN_ACCOUNT, "account"),
        (quoted(name=""), Reason.INVALID_QUOTES, "name"),
        (quoted(name="a b"), Reason.INVALID_QUOTES, "name"),
        (quoted(max_fills=-1), Reason.INVALID_QUOTES, "max_fills"),
        (quoted(*GOOD, *GOOD, *GOOD), Reason.INVALID_QUOTES, "quotes"),
        (quoted(*GOOD, connection=-1), Reason.INVALID_ORDER, "connection"),
        (quoted(*GOOD, buys(0, 1)), Reason.INVALID_PRICE, "quotes[2].price_ticks"),
        (quoted(*GOOD, buys(1, 0)), Reason.INVALID_QUANTITY, "quotes[2].quantity"),
        (quoted(*GOOD, buys(1, 1, NO_INSTRUMENT)), Reason.UNKNOWN_INSTRUMENT, "quotes[2].instrument"),
        (quoted(*GOOD, sells(21_000, 1, baron=OTHER_BARON)), Reason.NOT_YOUR_BARON, "quotes[2].baron"),
        (quoted(*GOOD, sells(21_000, 1, ELSEWHERE_SPOT)), Reason.WRONG_MARKET, "quotes[2].baron"),
        (quoted(*GOOD, buys(19_000, 1_000)), Reason.INSUFFICIENT_FUNDS, "quotes[2]"),
        (quoted(buys(19_000, 300), buys(18_999, 300)), Reason.INSUFFICIENT_FUNDS, "quotes[1]"),
        (quoted(*GOOD, sells(21_000, 6)), Reason.INSUFFICIENT_CAPACITY, "quotes[2].quantity"),
        (quoted(buys(1, 1, ONDEMAND)), Reason.SESSION_CLOSED, "quotes[0]"),
    ],
)
def test_a_bad_set_is_refused_whole_with_the_field_at_fault(command: SetQuotes, reason: Reason, field: str) -> None:
    shard = Shard(Limits(max_quotes=5))
    shard.pay(PAT, 100)
    shard.do(SetSession(instrument=ONDEMAND, session=Session.HALTED))
    shard.do(quoted(*GOOD))
    shard.refuse(command, reason, field)
    assert (shard.bids(SPOT), shard.asks(SPOT)) == ([(19_000, 2)], [(21_000, 3)])


def test_sets_and_their_orders_are_bounded() -> None:
    shard = Shard(Limits(max_quote_sets=1, max_open_orders=2))
    shard.pay(PAT, 100)
    shard.do(quoted(*GOOD))
    shard.refuse(quoted(name="two"), Reason.TOO_MANY_ORDERS, "name")
    shard.do(quoted(*GOOD))
    shard.refuse(quoted(*GOOD, buys(1, 1)), Reason.TOO_MANY_ORDERS, "quotes")


def test_what_is_left_of_a_set_goes_after_its_fills(shard: Shard) -> None:
    (said,) = only(shard.do(quoted(buys(19_000, 2), sells(21_000, 1), sells(22_000, 3), max_fills=2)), QuotesSet)
    assert canceled(shard.do(bid(ALICE, 21_000, 1))) == []
    events = shard.do(ask(QUINN, 19_000, 1, baron=OTHER_BARON))
    assert canceled(events) == [(said.order_ids[0], Reason.MAX_FILLS), (said.order_ids[2], Reason.MAX_FILLS)]
    assert shard.machine.state.accounts[PAT].quote_sets == {}
    # Fills since the set was replaced count anew.
    shard.do(quoted(sells(21_000, 3), max_fills=2))
    shard.do(bid(ALICE, 21_000, 1))
    shard.do(quoted(sells(21_000, 3), max_fills=2))
    assert canceled(shard.do(bid(ALICE, 21_000, 1))) == []


def test_a_set_that_trades_as_it_enters_counts_its_fills(shard: Shard) -> None:
    shard.place(bid(ALICE, 21_000, 1))
    shard.place(bid(BOB, 21_000, 1))
    (said, *_) = only(events := shard.do(quoted(sells(21_000, 1), sells(21_000, 2), max_fills=2)), QuotesSet)
    assert len(only(events, Traded)) == 2
    assert canceled(events) == [(said.order_ids[1], Reason.MAX_FILLS)]
    assert shard.machine.state.accounts[PAT].quote_sets == {}


def test_a_set_that_fills_whole_is_forgotten(shard: Shard) -> None:
    shard.do(quoted(sells(21_000, 1)))
    shard.do(bid(ALICE, 21_000, 1))
    assert shard.machine.state.accounts[PAT].quote_sets == {}


def test_quotes_are_amended_and_cancelled_one_by_one_too(shard: Shard) -> None:
    (said,) = only(shard.do(quoted(*GOOD)), QuotesSet)
    shard.do(CancelOrder(account=PAT, order_id=said.order_ids[0]))
    events = shard.do(quoted(*GOOD))
    assert canceled(events) == [(said.order_ids[1], Reason.QUOTE_REPLACED)]
    shard.do(CancelAll(account=PAT))
    assert shard.machine.state.accounts[PAT].quote_sets == {}
    assert shard.auditor.pots[PAT, Pot.HELD] == 0


def test_a_quote_that_meets_its_own_set_is_cancelled_as_any_newest(shard: Shard) -> None:
    events = shard.do(quoted(buys(21_000, 1), sells(21_000, 1)))
    (said,) = only(events, QuotesSet)
    assert canceled(events) == [(said.order_ids[1], Reason.SELF_TRADE)]


def test_what_an_earlier_quote_makes_impossible_is_cancelled_with_the_reason() -> None:
    shard = Shard(Limits(max_leases=1))
    shard.place(ask(PAT, 20_000, 1))
    shard.place(ask(PAT, 20_000, 1, baron=SECOND_BARON))
    events = shard.do(quoted(buys(20_000, 1), buys(20_000, 1), account=ALICE))
    (said,) = only(events, QuotesSet)
    assert len(only(events, LeaseScheduled)) == 1
    assert canceled(events) == [(said.order_ids[1], Reason.TOO_MANY_LEASES)]


def test_a_restored_set_goes_on_counting(shard: Shard) -> None:
    shard.do(quoted(sells(21_000, 3), max_fills=2))
    shard.do(bid(ALICE, 21_000, 1))
    shard.twin = type(shard.machine).restore(shard.machine.snapshot(), shard.machine.state.book_factory)
    events = shard.do(bid(ALICE, 21_000, 1))
    assert [reason for _, reason in canceled(events)] == [Reason.MAX_FILLS]


def test_an_amended_quote_stays_in_its_set(shard: Shard) -> None:
    (said,) = only(shard.do(quoted(*GOOD)), QuotesSet)
    shard.do(AmendOrder(account=PAT, order_id=said.order_ids[0], price_ticks=18_000))
    assert [number for number, _ in canceled(shard.do(quoted()))] == list(said.order_ids)
