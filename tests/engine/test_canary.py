"""Canaries: bugs put into the engine on purpose, each of which the auditor or the engine itself must catch.

# What is caught here, the laws catch.
pytestmark = pytest.mark.usefixtures("law_alone")

A law that no bug can break checks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from engine import (
    auction_bounds,
    book_orders,
    charging,
    cuts,
    fills,
    leases,
    matching,
    money,
    open_orders,
    raises,
    timers,
    trades,
)
from engine.kinds import OrderType, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    CancelOrder,
    EndLease,
    LeaseActive,
    LeaseScheduled,
    LeaseWiped,
    Quote,
    RaisePrice,
    SetCapacity,
    SetQuotes,
    SetSession,
)
from engine.records import Session
from engine.state import Broken
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    HOUR,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND,
    SPOT,
    START,
    Shard,
    ask,
    bid,
    offered,
    only,
    rental,
)


def story() -> None:
    """A little of everything: a cut, a partial fill, a cancel, hours of use, a quit, a wipe."""
    shard = Shard()
    shard.offer(offered(20_000, 8), offered(30_000, 8, ONDEMAND))
    shard.place(ask(PAT, 40_000, 3, baron=BARON + 1))
    shard.place(ask(PAT, 41_000, 8, ONDEMAND, baron=BARON + 1))
    spot = shard.place(bid(ALICE, 19_999, 3, SPOT))
    shard.do(ask(PAT, 19_999, 1, baron=BARON + 1))
    lease = shard.lease(ALICE, 3, 5)
    shard.wait(2 * HOUR + 17 * SECOND)
    shard.do(CancelOrder(account=ALICE, order_id=spot))
    shard.do(EndLease(account=ALICE, lease_id=lease))
    shard.do(LeaseWiped(lease_id=lease))


def crowd() -> None:
    """What a book does beside plain trades: slices, lots, a stop, an auction, a set of quotes, an expiry, bounds that hold."""
    shard = Shard(Limits(max_leases=3))
    shard.pay(PAT, 100)
    shard.place(bid(ALICE, 19_000, 3, display_quantity=1))
    shard.place(bid(ALICE, 18_900, 1))
    shard.place(bid(BOB, 18_800, 4, time_in_force=TimeInForce.GTD, expire_ns=START + HOUR))
    shard.place(bid(BOB, 19_500, 1, order_type=OrderType.STOP_LIMIT, stop_price_ticks=19_000))
    shard.do(ask(PAT, 19_000, 2))
    shard.place(ask(PAT, 25_000, 6, lot=2))
    shard.do(SetCapacity(baron=BARON, gpus=5, simulated=False))
    quotes = tuple(
        Quote(instrument=SPOT, side=Side.SELL, price_ticks=price, quantity=1, baron=BARON + 1)
        for price in (19_400, 19_600)
    )
    shard.do(SetQuotes(account=PAT, name="maker", quotes=quotes, max_fills=1))
    shard.do(bid(BOB, 19_600, 1))
    shard.do(SetSession(instrument=SPOT, session=Session.AUCTION))
    for _ in range(4):
        shard.place(bid(ALICE, 20_000, 1))
        shard.place(ask(QUINN, 20_000, 1, baron=OTHER_BARON))
    shard.do(SetSession(instrument=SPOT, session=Session.CONTINUOUS))
    shard.do(ask(QUINN, 18_800, 2, baron=OTHER_BARON))
    shard.wait(HOUR)


def long_leases() -> None:
    """Leases whose price or term changes: a raise, an extension at another price, and one that can't be paid for any more."""
    shard = Shard(usd=40)
    shard.offer(offered(20_000, 4), offered(30_000, 8, ONDEMAND))
    (spot,) = only(shard.do(bid(ALICE, 20_000, 2)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=spot.lease_id, access=b""))
    (term,) = only(shard.do(rental(BOB, 1, 1, max_price_ticks=50_000, auto_extend=True)), LeaseScheduled)
    shard.do(LeaseActive(lease_id=term.lease_id, access=b""))
    shard.wait(HOUR // 2)
    shard.do(RaisePrice(account=ALICE, lease_id=spot.lease_id, price_ticks=70_000))
    shard.offer(offered(40_000, 8, ONDEMAND))
    shard.wait(5 * HOUR)
    assert shard.auditor.leases[spot.lease_id].scheduled.quantity == 2


def nothing(*_: object) -> None:
    """Does nothing where something is needed."""


def more_by_one(function: Callable[..., int]) -> Callable[..., int]:
    return lambda *given: function(*given) + 1


CANARIES: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("a firm fill doesn't cut spot asks", cuts, "cut_spot", lambda _: nothing),
    ("usage is one micro-dollar more", charging, "usage", more_by_one),
    ("a hold isn't released", open_orders, "release_down", lambda _: nothing),
    ("a hold is one micro-dollar more", money, "hold_micros", more_by_one),
    ("a fee is one micro-dollar more", charging, "fee_micros", more_by_one),
    ("a lease isn't taken in", leases, "begin", lambda _: nothing),
    ("an order is never forgotten", open_orders, "forget", lambda _: nothing),
    ("time that nobody used is charged", charging, "_charged_ns", lambda charged: lambda *given: 2 * charged(*given)),
    ("an unopened lease", trades, "open_lease", lambda _: nothing),
]


CROWD_CANARIES: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    ("what an order became isn't taken in", open_orders, "amend", lambda _: nothing),
    ("a set's fills aren't counted", fills, "count_quote", lambda _: nothing),
    ("an order's time isn't kept", timers, "_order_timers", lambda _: lambda *_: []),
    ("an auction opens leases beyond the bound", auction_bounds, "beyond_bound", lambda _: lambda *_: []),
    ("a resting bid opens a lease beyond the bound", matching, "_beyond_bound", lambda _: lambda *_: ([], None)),
    ("a book's trade isn't followed by capacity", trades, "capacity_follows", lambda _: nothing),
    ("lots don't reach the book", book_orders, "new", lambda new: lambda *given: new(*given)._replace(lot=0)),
]


LONG_CANARIES: list[tuple[str, ModuleType, str, Callable[[Any], Any]]] = [
    (
        "a notice lasts longer than what was paid",
        charging,
        "affordable_ns",
        lambda _: lambda _lease, _now, most: 2 * most,
    ),
    ("nothing is held for what is dearer", charging, "missing_micros", lambda _: lambda *_: 0),
    ("a price counts from the beginning", raises, "priced", lambda _: lambda *_: []),
    (
        "the last price counts for all the time",
        charging,
        "tick_ns",
        lambda ticks: lambda last, _, *span: ticks(last, [], *span),
    ),
]


def test_the_stories_are_lawful() -> None:
    story()
    crowd()
    long_leases()


@pytest.mark.parametrize(
    ("name", "module", "function", "bug"), LONG_CANARIES, ids=[canary[0] for canary in LONG_CANARIES]
)
def test_a_bug_in_long_leases_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        long_leases()


@pytest.mark.parametrize(
    ("name", "module", "function", "bug"), CROWD_CANARIES, ids=[canary[0] for canary in CROWD_CANARIES]
)
def test_a_bug_in_the_crowd_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        crowd()


@pytest.mark.parametrize(("name", "module", "function", "bug"), CANARIES, ids=[canary[0] for canary in CANARIES])
def test_a_bug_is_caught(
    name: str, module: ModuleType, function: str, bug: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, function, bug(getattr(module, function)))
    with pytest.raises((AssertionError, Broken)):
        story()
