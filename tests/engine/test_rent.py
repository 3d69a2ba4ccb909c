"""Quotes and rentals: the cheapest whole, all or nothing, in one command."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.kinds import Kind, OrderType, Origin, Pot, TimeInForce
from engine.limits import Limits
from engine.messages import Accepted, CancelOrder, Deposit, LeaseScheduled, SetCapacity, Traded, Withdraw
from engine.quotes import Quote
from engine.reasons import Reason
from exchange.gateway.ports import QuoteLine
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    ELSEWHERE_ONDEMAND,
    ELSEWHERE_SPOT,
    FAR_BARON,
    HOUR,
    NO_INSTRUMENT,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND_BARON,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    only,
    rental,
)

RENTAL = rental(ALICE, 2, 3, ONDEMAND, ELSEWHERE_ONDEMAND)


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"account": 99}, Reason.UNKNOWN_ACCOUNT, "account"),
        ({"instruments": ()}, Reason.UNKNOWN_INSTRUMENT, "instruments"),
        ({"instruments": (ONDEMAND, ONDEMAND)}, Reason.UNKNOWN_INSTRUMENT, "instruments"),
        ({"instruments": tuple(range(65))}, Reason.UNKNOWN_INSTRUMENT, "instruments"),
        ({"instruments": (ONDEMAND, NO_INSTRUMENT)}, Reason.UNKNOWN_INSTRUMENT, "instruments[1]"),
        ({"instruments": (ONDEMAND, SPOT)}, Reason.INVALID_ORDER, "instruments"),
        ({"quantity": 0}, Reason.INVALID_QUANTITY, "quantity"),
        ({"quantity": 100_001}, Reason.INVALID_QUANTITY, "quantity"),
        ({"hours": 0}, Reason.INVALID_HOURS, "hours"),
        ({"hours": 745}, Reason.INVALID_HOURS, "hours"),
        ({"instruments": (SPOT,), "hours": 0}, Reason.INVALID_HOURS, "hours"),
        ({"max_price_ticks": -1}, Reason.INVALID_PRICE, "max_price_ticks"),
        ({"max_price_ticks": 10_000_001}, Reason.INVALID_PRICE, "max_price_ticks"),
        ({"delivery": b""}, Reason.NO_SSH_KEY, "delivery"),
        ({"delivery": b"x" * 8193}, Reason.INVALID_DELIVERY, "delivery"),
        ({"client_order_id": "a/b"}, Reason.INVALID_ORDER, "client_order_id"),
        ({}, Reason.NO_LIQUIDITY, ""),
    ],
)
def test_a_bad_rental_is_refused_with_the_field_at_fault(changes: dict[str, Any], reason: Reason, field: str) -> None:
    Shard().refuse(msgspec.structs.replace(RENTAL, **changes), reason, field)


def test_the_cheapest_whole_wins_though_its_best_price_is_not_the_best() -> None:
    shard = Shard()
    shard.place(ask(PAT, 10_000, 1, ONDEMAND))
    shard.place(ask(QUINN, 10_500, 1, ONDEMAND, baron=OTHER_BARON))
    shard.place(ask(PAT, 10_100, 8, ELSEWHERE_ONDEMAND, baron=FAR_BARON))
    lines = shard.machine.quote(ALICE, (ONDEMAND, ELSEWHERE_ONDEMAND), 2, 3, 0, START)
    # Held: 3,720 s at the worst price, 2,087,333.3 up, and 0.5 % of that, 10,436.7 up.
    assert lines == [
        Quote(ELSEWHERE_ONDEMAND, Reason.NONE, 2, 2, 10_100, 10_100, 2_020_000, 10_100, 2_087_334 + 10_437, False),
        Quote(ONDEMAND, Reason.NONE, 2, 2, 10_000, 10_500, 2_050_000, 10_250, 2_180_850, False),
    ]
    events = shard.rent(ALICE, 2, 3, ONDEMAND, ELSEWHERE_ONDEMAND)
    (accepted,) = only(events, Accepted)
    assert (accepted.instrument, accepted.price_ticks) == (ELSEWHERE_ONDEMAND, 10_100)
    assert (accepted.origin, accepted.order_type, accepted.time_in_force) == (
        Origin.RENTAL,
        OrderType.LIMIT,
        TimeInForce.FOK,
    )
    (lease,) = only(events, LeaseScheduled)
    assert (lease.kind, lease.term_end_ns, lease.renter_fee_ppm) == (Kind.ONDEMAND, START + 3 * HOUR, 5_000)
    assert shard.auditor.pots[ALICE, Pot.HELD] == lines[0].hold_micros


def test_the_first_named_wins_a_tie() -> None:
    for first, second in ((SPOT, ELSEWHERE_SPOT), (ELSEWHERE_SPOT, SPOT)):
        shard = Shard()
        shard.place(ask(PAT, 10_000, 8))
        shard.place(ask(PAT, 10_000, 8, ELSEWHERE_SPOT, baron=FAR_BARON))
        (trade,) = only(shard.rent(ALICE, 2, 3, first, second), Traded)
        assert trade.instrument == first


def test_the_hold_is_exactly_what_the_worst_fill_needs() -> None:
    shard = Shard(usd=0)
    shard.place(ask(PAT, 20_000, 1, baron=BARON))
    shard.place(ask(PAT, 20_500, 1, baron=SECOND_BARON))
    (line,) = shard.machine.quote(ALICE, (SPOT,), 2, 1, 0, START)
    shard.do(Deposit(account=ALICE, amount_micros=line.hold_micros - 1, client_id=""))
    shard.refuse(rental(ALICE, 2, 1, SPOT), Reason.INSUFFICIENT_FUNDS)
    shard.do(Deposit(account=ALICE, amount_micros=1, client_id=""))
    leases = only(shard.rent(ALICE, 2, 1, SPOT), LeaseScheduled)
    assert [(lease.baron, lease.price_ticks) for lease in leases] == [(BARON, 20_000), (SECOND_BARON, 20_500)]


def test_the_nearest_reason_is_told() -> None:
    shard = Shard()
    shard.pay(PAT, 100)
    wish = rental(ALICE, 4, 1, SPOT, ELSEWHERE_SPOT)
    shard.refuse(wish, Reason.NO_LIQUIDITY)
    shard.place(ask(PAT, 20_000, 3))
    shard.refuse(wish, Reason.FOK_KILLED)
    # More is there, but beyond the protection of 5 % through the best price.
    shard.place(ask(PAT, 30_000, 3))
    shard.refuse(wish, Reason.FOK_KILLED)
    shard.refuse(msgspec.structs.replace(wish, max_price_ticks=29_999), Reason.PRICE_ABOVE_MAXIMUM)
    shard.refuse(msgspec.structs.replace(wish, max_price_ticks=10_000), Reason.PRICE_ABOVE_MAXIMUM)
    shard.refuse(rental(PAT, 4, 1, SPOT, max_price_ticks=30_000), Reason.SELF_TRADE)
    lines = shard.machine.quote(ALICE, (SPOT, ELSEWHERE_SPOT), 4, 1, 29_999, START)
    assert [(line.reason, line.available_quantity) for line in lines] == [
        (Reason.PRICE_ABOVE_MAXIMUM, 3),
        (Reason.NO_LIQUIDITY, 0),
    ]
    shard.do(msgspec.structs.replace(wish, max_price_ticks=30_000))


def test_a_quote_never_refuses_and_says_what_is_wrong() -> None:
    shard = Shard()
    quote = shard.machine.quote
    assert [line.reason for line in quote(ALICE, (NO_INSTRUMENT, SPOT), 1, 1, 0, START)] == [
        Reason.UNKNOWN_INSTRUMENT,
        Reason.NO_LIQUIDITY,
    ]
    assert [line.reason for line in quote(99, (SPOT,), 1, 1, 0, START)] == [Reason.UNKNOWN_ACCOUNT]
    assert [line.reason for line in quote(ALICE, (SPOT,), 0, 1, 0, START)] == [Reason.INVALID_QUANTITY]
    assert [line.reason for line in quote(ALICE, (SPOT,), 1, 0, 0, START)] == [Reason.INVALID_HOURS]
    assert [line.reason for line in quote(ALICE, (SPOT,), 1, 1, -1, START)] == [Reason.INVALID_PRICE]


def test_a_quote_says_when_any_of_it_is_simulated() -> None:
    shard = Shard()
    shard.do(SetCapacity(baron=SECOND_BARON, gpus=8, simulated=True))
    shard.place(ask(PAT, 20_000, 2, baron=BARON))
    shard.place(ask(PAT, 20_500, 2, baron=SECOND_BARON))
    lines = {gpus: shard.machine.quote(ALICE, (SPOT,), gpus, 1, 0, START)[0] for gpus in (2, 3, 5)}
    assert {gpus: (line.reason, line.simulated) for gpus, line in lines.items()} == {
        2: (Reason.NONE, False),
        3: (Reason.NONE, True),
        5: (Reason.FOK_KILLED, True),
    }


def test_a_quote_has_the_fields_that_the_gateway_shows() -> None:
    assert Quote._fields == QuoteLine.__struct_fields__


def test_a_rental_is_bounded_like_any_order() -> None:
    shard = Shard(Limits(max_leases=1))
    shard.place(ask(PAT, 20_000, 1, baron=BARON))
    shard.place(ask(PAT, 20_000, 1, baron=SECOND_BARON))
    shard.refuse(rental(ALICE, 2, 1, SPOT), Reason.TOO_MANY_LEASES)
    shard.rent(ALICE, 1, 1, SPOT)
    shard.refuse(rental(ALICE, 1, 1, SPOT), Reason.TOO_MANY_LEASES)


def test_a_client_id_makes_a_repeat_harmless() -> None:
    shard = Shard()
    shard.place(ask(PAT, 20_000, 8))
    wish = rental(ALICE, 1, 1, SPOT, client_order_id="once")
    shard.refuse(msgspec.structs.replace(wish, quantity=9), Reason.FOK_KILLED)
    # What was refused left no trace, so the id is free.
    (accepted,) = only(shard.do(wish), Accepted)
    first_seq = shard.machine.last_seq
    duplicate = shard.again(wish)
    assert (duplicate.first_seq, duplicate.order_id) == (first_seq, accepted.order_id)
    shard.refuse(msgspec.structs.replace(wish, hours=2), Reason.DUPLICATE_CLIENT_ORDER_ID, "client_order_id")
    # The account's stored keys changed in between: it is the same wish still.
    assert shard.again(msgspec.structs.replace(wish, delivery=b"other keys")).order_id == accepted.order_id
    # Ids are an account's own.
    shard.do(msgspec.structs.replace(wish, account=BOB))


def test_one_namespace_for_orders_rentals_deposits_and_withdrawals() -> None:
    shard = Shard()
    paid = Deposit(account=ALICE, amount_micros=5, client_id="a")
    shard.do(paid)
    assert shard.again(paid).order_id == 0
    shard.refuse(Withdraw(account=ALICE, amount_micros=5, client_id="a"), Reason.DUPLICATE_CLIENT_ORDER_ID)
    shard.refuse(bid(ALICE, 20_000, 1, client_order_id="a"), Reason.DUPLICATE_CLIENT_ORDER_ID)
    shard.refuse(CancelOrder(account=ALICE, client_order_id="a"), Reason.UNKNOWN_ORDER)
    taken = Withdraw(account=ALICE, amount_micros=5, client_id="b")
    shard.do(taken)
    shard.again(taken)


def test_ids_are_remembered_for_live_orders_and_for_the_last_so_many() -> None:
    shard = Shard(Limits(max_client_ids=3))
    live = bid(ALICE, 10_000, 1, client_order_id="live")
    order_id = shard.place(live)
    paid = [Deposit(account=ALICE, amount_micros=1, client_id=f"d{number}") for number in range(4)]
    for deposit in paid:
        shard.do(deposit)
    shard.again(live)
    for deposit in paid[1:]:
        shard.again(deposit)
    shard.do(paid[0])
    shard.do(CancelOrder(account=ALICE, client_order_id="live"))
    assert shard.place(live) != order_id
