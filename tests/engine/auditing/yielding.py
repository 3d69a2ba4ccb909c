"""Spot that yields: who has notice, why that one, and what becomes of who waits (rulebook §7)."""

from __future__ import annotations

from engine.kinds import EndReason, Kind, LeaseState, OrderType, Origin, Side, TimeInForce
from engine.messages import Event, LeaseChanged, LeaseScheduled, Traded
from engine.records import Session
from tests.engine.auditing.charges import HOUR_NS
from tests.engine.auditing.hours import Hours, Key, Let
from tests.engine.auditing.seen import Seen

SLACK_NS = 10**9
"""What roundings of a hold may take off a notice."""


def check_change(hours: Hours, event: LeaseChanged) -> None:
    """Before it is taken in: a lease is pre-empted because GPUs lack, and is the first in its row to go."""
    let = hours.lets[event.lease_id]
    if event.wiped or event.reason is not EndReason.PREEMPTED or let.state is LeaseState.ENDING or not let.live:
        return
    if hours.shut(let.row[1]):
        return
    as_of_ns, left = _as_of(hours, event, let)
    assert hours.staying(let.row, as_of_ns) > max(0, left), "a lease had notice that nobody needed"
    claims = hours.claims(let.row)
    if let.displaces:
        assert let is claims[-1], "the newest promise goes first"
        return
    assert not claims, "a running lease had notice before those who only wait"
    had_begun = [each for each in hours.yields_first(let.row) if each.begun_ns <= as_of_ns]
    assert let is had_begun[0], "the cheapest lease yields first, among equals the newest"


def _as_of(hours: Hours, event: LeaseChanged, let: Let) -> tuple[int, int]:
    """As of when a lease had notice, and what firm sales left to spot then: a late timer's is as of its due time (§2, §4)."""
    if event.ends_ns > hours.now_ns + hours.notice_ns - SLACK_NS or (let.displaces and event.ended_ns == hours.now_ns):
        return hours.now_ns, hours.left_to_spot(let.row)
    if let.displaces or event.ends_ns == event.active_ns:
        # It came to be, or to run, when its GPUs were gone, by a command that passed the timers that were due.
        return hours.now_ns, hours.least(let.row, hours.kept_h * HOUR_NS, hours.now_ns + hours.notice_ns)
    as_of_ns = event.ends_ns - hours.notice_ns
    return as_of_ns, hours.least(let.row, as_of_ns, event.ends_ns + SLACK_NS)


def check_displacing(seen: Seen, hours: Hours, event: Traded) -> None:
    """Before it is taken in: who may displace, whom, and in which order."""
    bid = seen.orders[event.taker_order_id]
    told = bid.accepted
    assert told.side is Side.BUY and told.order_type is OrderType.LIMIT and told.time_in_force is not TimeInForce.FOK
    assert told.origin is not Origin.RENTAL and not (told.post_only or told.min_quantity or told.same_baron)
    assert seen.sessions.get(told.instrument, Session.CONTINUOUS) is Session.CONTINUOUS
    assert event.price_ticks == bid.price_ticks, "the newcomer pays its own limit"
    assert (event.maker_order_id, event.maker_leaves) == (0, 0) and event.taker_side is Side.BUY
    assert event.buyer == told.account
    old = hours.lets[event.displaced_lease_id]
    assert (event.seller, event.baron) == old.row and event.quantity == old.quantity
    may_go = [let for key in hours.rows for let in _displaceable(seen, hours, key, event)]
    fitting = [let for let in may_go if let.quantity <= bid.leaves]
    assert old in fitting, "who was displaced may not be"
    first = min(fitting, key=lambda let: (let.price_ticks, -let.lease_id))
    assert old is first, "the cheapest is displaced first, among equals the newest"
    for ask in seen.orders.values():
        given = ask.accepted
        if given.side is Side.BUY or given.instrument != event.instrument or ask.armed or given.account == event.buyer:
            continue
        whole = min(bid.leaves, ask.leaves) // max(given.lot, 1) * max(given.lot, 1)
        eligible = _eligible(seen, given.baron, told.features, told.min_rating)
        fits = whole > 0 and whole >= min(given.min_quantity, ask.leaves)
        assert ask.price_ticks > bid.price_ticks or not eligible or not fits, "an ask was there to be had"


def check_displaced(hours: Hours, now_ns: int, events: list[Event], *, on_time: bool) -> None:
    """After a command: each displaced lease has its notice and somebody who waits; each claim has had what it is due."""
    trades = {event.lease_id: event for event in events if isinstance(event, Traded) and event.displaced_lease_id}
    for event in events:
        if isinstance(event, LeaseScheduled) and event.lease_id in trades:
            assert event.price_ticks == trades[event.lease_id].price_ticks, "the newcomer pays its own limit"
            assert (event.state, event.minimum_s) == (LeaseState.SCHEDULED, 3_600), "an hour of it, and not at once"
    assert {trade.displaced_lease_id for trade in trades.values()} == set(hours.displaced), (
        "who is displaced has notice"
    )
    for ends_ns in hours.displaced.values():
        # What was used up before a Tick that is late can't be run on with.
        lasts = ends_ns > now_ns + hours.notice_ns - SLACK_NS
        assert lasts or not on_time, "who is displaced runs on for its notice"
    for let in hours.lets.values():
        if let.displaces:
            assert let.displaces in hours.lets, "a newcomer waits for what is there"
            assert let.state is LeaseState.SCHEDULED or not let.live
        elif let.live and let.kind is not Kind.FORWARD:
            assert let.state is not LeaseState.SCHEDULED, "a claim is served when its GPUs are wiped"


def _displaceable(seen: Seen, hours: Hours, key: Key, event: Traded) -> list[Let]:
    """Active spot leases of a row that the bid may displace, whatever their quantity."""
    bid, (seller, _) = seen.orders[event.taker_order_id].accepted, key
    market, baron = seen.machine.state.instruments[event.instrument], seen.machine.state.barons[key[1]]
    if (market.sku, market.region) != (baron.sku, baron.region):
        return []
    if seller in seen.limits and seen.limits[seller].killed:
        return []
    if event.buyer == key[0] or hours.shut(key[1]) or not _eligible(seen, key[1], bid.features, bid.min_rating):
        return []
    return [
        let
        for let in hours.spot_lets(key)
        if let.renter != event.buyer
        and (let.state is LeaseState.ACTIVE or (let.lease_id in hours.displaced and not let.promised_to))
        and let.price_ticks * 10 <= event.price_ticks * 9
    ]


def _eligible(seen: Seen, baron: int, features: int, min_rating: int) -> bool:
    return seen.features.get(baron, 0) & features == features and seen.ratings[baron] >= min_rating
