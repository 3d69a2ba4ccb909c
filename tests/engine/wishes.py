"""What somebody in a random life wants to do ahead of delivery, and the commands that it comes to where the shard stands.

A wish names what it is of by a number, counted back from the newest, so that it mostly meets something real; that is looked up
in what the auditor has seen, never in the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from engine.kinds import EndReason, Fault, Kind, LeaseState, Origin, Presence, TimeInForce
from engine.messages import (
    Accepted,
    BillClosed,
    Command,
    EndLease,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseFailed,
    LeaseWiped,
    OutageNoted,
    PlaceOrder,
    ReleaseLease,
    ReportOutage,
    SetPresence,
    Tick,
    Traded,
)
from engine.state import Instrument
from tests.engine import sequences
from tests.engine.auditing.hours import Let
from tests.engine.shard import ALICE, BOB, HOUR, MINUTE, ONDEMAND, OTHER_BARON, PAT, QUINN, SPOT, Shard, ask, bid

T = TypeVar("T")

PERIODS: Final = ((24, 24), (168, 168), (672, 744), (2_160, 2_208), (8_760, 8_784))
"""Of days, weeks, months, quarters and years: the fewest and most hours."""
DAY: Final = 24 * HOUR
CLOSES: Final = 22 * HOUR + 40 * MINUTE
"""In a day's last half-hour of trading."""


class Sale(NamedTuple):
    """A provider sells of a period, and somebody buys it: as it is asked, with a key or without, on conditions or without."""

    buyer: int
    kind: int
    number: int
    gpus: int
    price_ticks: int
    baron: int
    keyed: bool
    min_rating: int = 0


class Resale(NamedTuple):
    """A holder sells so many GPUs of a listed period that lies in what it is owed, and somebody buys them."""

    back: int
    period: int
    gpus: int
    price_ticks: int
    buyer: int
    keyed: bool


class Release(NamedTuple):
    """A holder gives GPUs of a running reservation back; `taken`: somebody rents them at once."""

    back: int
    kind: Kind
    gpus: int
    price_ticks: int
    taken: bool


class Outage(NamedTuple):
    """A lease couldn't be used for some minutes, so many minutes ago."""

    back: int
    minutes_ago: int
    minutes: int


class Failing(NamedTuple):
    """Its Baron has failed a forward's lease, some time ago."""

    back: int
    ago_ns: int


class Lost(NamedTuple):
    """A Baron was lost some time ago, and is there again."""

    baron: int
    ago_ns: int


class Spare(NamedTuple):
    """A rival asks for so much that a cover can afford it."""

    gpus: int
    price_ticks: int


class Outbid(NamedTuple):
    """Somebody bids for a running spot lease's GPUs as much as displaces it."""

    back: int
    buyer: int


class Quit(NamedTuple):
    """A renter ends an on-demand lease, or a holder that of its forward."""

    back: int


class Upkeep(NamedTuple):
    """The provisioner does its work: what starts runs, and what is over is wiped."""


Wish = Command | Sale | Resale | Release | Outage | Failing | Lost | Spare | Outbid | Quit | Upkeep


def wait(shard: Shard, wait_ns: int, *, tick: bool = True) -> list[Event]:
    """Let time pass; less than none: to the next day's last half-hour of trading."""
    if wait_ns < 0:
        wait_ns = (CLOSES - shard.now_ns) % DAY
    return shard.wait(wait_ns, tick=tick)


def carry_out(shard: Shard, wish: Wish, *, tick: bool = True) -> list[Event]:
    """Have somebody do what it wishes for, after what is due by then, unless Ticks come late."""
    events: list[Event] = []
    for command in commands_of(shard, wish):
        while tick and shard.due():
            events += shard.do(Tick())
        events += shard.apply(command)
    return events


def commands_of(shard: Shard, wish: Wish) -> list[Command]:
    """What a wish comes to; nothing where there is nothing that it could be of."""
    match wish:
        case Sale():
            return _sale(shard, wish)
        case Resale():
            return _resale(shard, wish)
        case Release():
            return _release(shard, wish)
        case Outage():
            return _outage(shard, wish)
        case Failing():
            return _failing(shard, wish)
        case Lost():
            lost = SetPresence(baron=wish.baron, presence=Presence.LOST, as_of_ns=shard.now_ns - wish.ago_ns)
            return [lost, SetPresence(baron=wish.baron, presence=Presence.REPORTING)]
        case Spare():
            max_hours = min(200, shard.machine.state.limits.max_term_hours)
            return [ask(QUINN, wish.price_ticks, wish.gpus, ONDEMAND, baron=OTHER_BARON, max_hours=max_hours)]
        case Outbid():
            return _outbid(shard, wish)
        case Upkeep():
            return _upkeep(shard)
        case Quit():
            let = _pick([*_running(shard, Kind.ONDEMAND), *_running(shard, Kind.FORWARD)], wish.back)
            return [] if let is None else [EndLease(account=let.renter, lease_id=let.lease_id)]
        case _:
            return [sequences.resolve(shard, wish)]


def _sale(shard: Shard, wish: Sale) -> list[Command]:
    fewest, most = PERIODS[wish.kind]
    periods = [each for each in _trading(shard) if fewest <= each.end_h - each.start_h <= most]
    listed = periods[wish.number % len(periods)].instrument
    sold = ask(PAT, wish.price_ticks, wish.gpus, listed, baron=wish.baron, max_hours=0)
    return [sold, _bid(wish.buyer, wish.price_ticks, wish.gpus, listed, keyed=wish.keyed, min_rating=wish.min_rating)]


def _resale(shard: Shard, wish: Resale) -> list[Command]:
    owed = _pick([each.said for each in shard.auditor.owing.owed.values()], wish.back)
    if owed is None:
        return []
    inside = [each for each in _trading(shard) if owed.start_h <= each.start_h and each.end_h <= owed.end_h]
    listed = _pick(inside, wish.period)
    if listed is None:
        return []
    gpus = min(wish.gpus, owed.quantity)
    buyer = wish.buyer if wish.buyer != owed.holder else ALICE if owed.holder != ALICE else BOB
    sold = ask(owed.holder, wish.price_ticks, gpus, listed.instrument, baron=owed.baron, max_hours=0, reduce_only=True)
    return [sold, _bid(buyer, wish.price_ticks, gpus, listed.instrument, keyed=wish.keyed)]


def _release(shard: Shard, wish: Release) -> list[Command]:
    let = _pick(_running(shard, Kind.FORWARD), wish.back)
    if let is None:
        return []
    gpus = min(wish.gpus, let.quantity)
    commands: list[Command] = [
        ReleaseLease(
            account=let.renter,
            lease_id=let.lease_id,
            kind=wish.kind,
            quantity=gpus,
            price_ticks=wish.price_ticks,
            client_order_id="",
        )
    ]
    if wish.taken and wish.kind is not Kind.FORWARD:
        renter = ALICE if let.renter != ALICE else BOB
        commands.append(bid(renter, wish.price_ticks, gpus, SPOT if wish.kind is Kind.SPOT else ONDEMAND))
    return commands


def _outage(shard: Shard, wish: Outage) -> list[Command]:
    let = _pick([*_running(shard, Kind.ONDEMAND), *_running(shard, Kind.FORWARD)], wish.back)
    if let is None:
        return []
    from_ns = shard.now_ns - wish.minutes_ago * MINUTE
    to_ns = min(from_ns + wish.minutes * MINUTE, shard.now_ns)
    return [ReportOutage(lease_id=let.lease_id, from_ns=from_ns, to_ns=to_ns)]


def _failing(shard: Shard, wish: Failing) -> list[Command]:
    let = _pick(_running(shard, Kind.FORWARD), wish.back)
    if let is None:
        return []
    start_ns = shard.auditor.leases[let.lease_id].scheduled.start_ns
    as_of_ns = max(start_ns, shard.now_ns - wish.ago_ns)
    return [LeaseFailed(lease_id=let.lease_id, fault=Fault.PROVIDER, as_of_ns=as_of_ns, detail="why")]


def _outbid(shard: Shard, wish: Outbid) -> list[Command]:
    active = [let for let in _running(shard, Kind.SPOT) if let.state is LeaseState.ACTIVE]
    let = _pick([let for let in active if wish.buyer not in (let.renter, let.row[0])], wish.back)
    return [] if let is None else [bid(wish.buyer, -(-let.price_ticks * 10 // 9), let.quantity)]


def _upkeep(shard: Shard) -> list[Command]:
    commands: list[Command] = []
    for let in shard.auditor.hours.lets.values():
        if let.state is LeaseState.PROVISIONING:
            commands.append(LeaseActive(lease_id=let.lease_id, access=b"port"))
        elif not let.live:
            commands.append(LeaseWiped(lease_id=let.lease_id))
    return [*commands, Tick()]


def _bid(account: int, price_ticks: int, gpus: int, listed: int, *, keyed: bool, min_rating: int = 0) -> PlaceOrder:
    order = bid(account, price_ticks, gpus, listed, hours=0, time_in_force=TimeInForce.IOC, min_rating=min_rating)
    return order if keyed else msgspec.structs.replace(order, delivery=b"")


def _trading(shard: Shard) -> list[Instrument]:
    """Forwards of the first market that are traded now, the shortest first, then the earliest."""
    listed = shard.machine.state.instruments.values()
    forwards = [each for each in listed if each.kind is Kind.FORWARD and each.region == "here"]
    forwards = [each for each in forwards if each.trading_end_ns > shard.now_ns]
    return sorted(forwards, key=lambda each: (each.end_h - each.start_h, each.start_h))


def _running(shard: Shard, kind: Kind) -> list[Let]:
    """Leases of a kind that live, and that an obligation stands behind where they are forwards'."""
    lets = (let for let in shard.auditor.hours.lets.values() if let.kind is kind and let.live and not let.displaces)
    return [let for let in lets if let.delivers or kind is not Kind.FORWARD]


def _pick(found: Sequence[T], back: int) -> T | None:
    return found[-1 - back % len(found)] if found else None


def met(shard: Shard, events: list[Event]) -> Counter[str]:
    """How often a life met what lives ahead are made of: what its auditor counted, and what its events say."""
    auditor = shard.auditor
    told = Counter[str]()
    for each in (auditor.owing.met, auditor.delivering.met, auditor.pricing.met, auditor.covering.met):
        told += each
    for event in events:
        match event:
            case Accepted() if event.origin is Origin.RELEASE:
                told["RELEASE"] += 1
            case Traded() if event.displaced_lease_id:
                told["DISPLACED"] += 1
            case LeaseChanged() if (event.state, event.reason) == (LeaseState.ENDING, EndReason.PREEMPTED):
                told["PREEMPTED"] += 1
            case OutageNoted():
                told["OUTAGE"] += 1
            case BillClosed() if event.credit_micros:
                told["CREDIT"] += 1
    return told
