"""Random lives of a shard: strategies for commands that meet each other often, and a runner that plays them.

Ids in the commands are small numbers here, counted back from the newest order or lease that the shard has seen, so that
cancels, amends and reports mostly meet something real.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from hypothesis import strategies as st

from engine.kinds import Fault, OrderType, Presence, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    AmendOrder,
    CancelAll,
    CancelAllAfter,
    CancelOrder,
    Command,
    Deposit,
    EndLease,
    ExtendLease,
    KeepOrders,
    LeaseActive,
    LeaseFailed,
    LeaseWiped,
    Offer,
    PlaceOrder,
    Quote,
    RaisePrice,
    Rent,
    SetAccountLimits,
    SetAutoExtend,
    SetCapacity,
    SetDelivery,
    SetDrain,
    SetFeatures,
    SetOffers,
    SetPresence,
    SetQuotes,
    SetRating,
    SetSession,
    Tick,
    Withdraw,
)
from engine.records import SelfTrade, Session
from tests.engine.shard import (
    ALICE,
    BARON,
    BOB,
    ELSEWHERE_ONDEMAND,
    ELSEWHERE_SPOT,
    FAR_BARON,
    HOUR,
    MINUTE,
    ONDEMAND,
    OTHER_BARON,
    PAT,
    QUINN,
    SECOND,
    SECOND_BARON,
    SPOT,
    Shard,
)

TIGHT: Final = Limits(
    max_looked=4,
    max_timers=3,
    max_open_orders=5,
    max_leases=3,
    max_client_ids=3,
    max_offers=3,
    max_term_hours=30,
    max_rent_instruments=2,
    max_stops=2,
    max_conditional_account=2,
    max_conditional_side=2,
    display_ratio=4,
    band_ppm=150,
    auction_s=600,
    cooldown_s=1_200,
    max_raises=2,
    extend_s=9_000,
    max_quotes=4,
    max_quote_sets=2,
)


class Step(NamedTuple):
    """Time passes, with Ticks in between or without, and then a command comes."""

    wait_ns: int
    ticked: bool
    command: Command


accounts = st.sampled_from([ALICE, ALICE, ALICE, BOB, BOB, PAT, PAT, QUINN])
_prices = st.sampled_from([19_999, 20_000, 20_000, 20_001, 21_003])
quantities = st.sampled_from([1, 1, 2, 3, 4, 6])
_terms = st.sampled_from([1, 1, 1, 2, 5, 24])
_client_ids = st.sampled_from([""] * 12 + ["a", "b", "c", "d", "e"])
_amounts = st.sampled_from([1_234_567, 50_000_000])
back = st.integers(0, 5)
_lifetimes = st.sampled_from([TimeInForce.GTC] * 5 + [TimeInForce.IOC, TimeInForce.FOK])


def _bid(order: PlaceOrder) -> PlaceOrder:
    """A spot bid of one hour loses its upper limit: such a lease runs until the money is gone."""
    open_ended = order.instrument in (SPOT, ELSEWHERE_SPOT) and order.hours == 1
    return msgspec.structs.replace(order, hours=0) if open_ended else order


_bids = st.builds(
    PlaceOrder,
    account=accounts,
    instrument=st.sampled_from([SPOT, SPOT, ONDEMAND, ONDEMAND, ELSEWHERE_SPOT, ELSEWHERE_ONDEMAND]),
    side=st.just(Side.BUY),
    order_type=st.just(OrderType.LIMIT),
    time_in_force=_lifetimes,
    price_ticks=_prices,
    quantity=quantities,
    client_order_id=_client_ids,
    hours=_terms,
    delivery=st.just(b"key"),
).map(_bid)


def _ask(order: PlaceOrder, baron: int) -> PlaceOrder:
    """A bid turned into an ask on a Baron: its owner's, in its market."""
    spot = order.instrument in (SPOT, ELSEWHERE_SPOT)
    far = baron == FAR_BARON
    return msgspec.structs.replace(
        order,
        account=QUINN if baron == OTHER_BARON else PAT,
        instrument=(ELSEWHERE_SPOT if far else SPOT) + (0 if spot else 1),
        side=Side.SELL,
        hours=0,
        baron=baron,
        max_hours=0 if spot else max(2, order.hours),
        delivery=b"",
    )


_dear_bids = st.builds(
    lambda order, price_ticks: msgspec.structs.replace(order, instrument=1, hours=0, price_ticks=price_ticks),
    _bids,
    # The last needs 10 % more than 20,001 to the tick.
    st.sampled_from([22_223, 22_224, 22_225, 25_000, 28_000]),
)
"""Spot bids that displace who pays the usual price, and each other."""

_windows = st.builds(
    lambda order, max_hours: msgspec.structs.replace(order, instrument=2, max_hours=max_hours),
    st.builds(lambda order: _ask(order, BARON), _bids.map(lambda bid: msgspec.structs.replace(bid, instrument=2))),
    st.sampled_from([2, 3, 7, 24, 30]),
)
"""On-demand asks of many lengths on one Baron."""

_asks = st.builds(_ask, _bids, st.sampled_from([BARON, BARON, SECOND_BARON, OTHER_BARON, FAR_BARON]))


def _market(order: PlaceOrder) -> PlaceOrder:
    lasting = order.time_in_force is TimeInForce.GTC
    time_in_force = TimeInForce.IOC if lasting else order.time_in_force
    price_ticks = 0 if lasting else order.price_ticks
    return msgspec.structs.replace(
        order, order_type=OrderType.MARKET, time_in_force=time_in_force, price_ticks=price_ticks
    )


def _post_only(order: PlaceOrder) -> PlaceOrder:
    return msgspec.structs.replace(order, post_only=True, time_in_force=TimeInForce.GTC)


_offers = st.builds(
    Offer,
    baron=st.sampled_from([BARON, BARON, SECOND_BARON]),
    instrument=st.sampled_from([1, 2]),
    price_ticks=st.sampled_from([19_999, 20_000, 20_001]),
    gpus=st.sampled_from([3, 4, 8, 20]),
    max_hours=st.just(0),
    lot=st.sampled_from([0, 0, 0, 2, 3]),
).map(lambda offer: msgspec.structs.replace(offer, max_hours=24 if offer.instrument == 2 else 0))


def _with_terms(order: PlaceOrder, terms: dict[str, Any]) -> PlaceOrder:
    """An order with rarer terms: those of its side."""
    other = {"features", "same_baron", "min_rating"} if order.side is Side.SELL else {"lot", "min_hours"}
    return msgspec.structs.replace(order, **{name: value for name, value in terms.items() if name not in other})


def _one_of_the_terms(**terms: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(sorted(terms)).flatmap(lambda name: st.fixed_dictionaries({name: terms[name]}))


_rarer = st.builds(
    lambda one, two: one | two,
    _one_of_the_terms(
        display_quantity=st.sampled_from([1, 2]),
        min_quantity=st.sampled_from([2, 3]),
        features=st.sampled_from([1, 2, 3]),
        min_rating=st.sampled_from([1, 70, 71]),
        same_baron=st.just(True),
        lot=st.sampled_from([1, 2, 3]),
        min_hours=st.sampled_from([1, 2, 5]),
    ),
    st.fixed_dictionaries(
        {
            "self_trade": st.sampled_from(SelfTrade),
            "tag": st.sampled_from(["", "a", "b"]),
            "connection": st.sampled_from([0, 1]),
        }
    ),
)


def _stop(order: PlaceOrder, stop_price_ticks: int, order_type: OrderType) -> PlaceOrder:
    return msgspec.structs.replace(order, order_type=order_type, stop_price_ticks=stop_price_ticks)


def _stops(orders: st.SearchStrategy[PlaceOrder]) -> st.SearchStrategy[PlaceOrder]:
    return st.builds(_stop, orders, _prices, st.sampled_from([OrderType.STOP, OrderType.STOP_LIMIT]))


def _passing(order: PlaceOrder, minutes: int) -> PlaceOrder:
    """An order that goes by itself; `minutes` is counted from now by `resolve`."""
    if minutes == 0:
        return msgspec.structs.replace(order, time_in_force=TimeInForce.DAY)
    return msgspec.structs.replace(order, time_in_force=TimeInForce.GTD, expire_ns=minutes * MINUTE)


_expiring = st.builds(_passing, st.one_of(_bids, _asks), st.sampled_from([0, 1, 60, 600]))

_quotes = st.builds(
    lambda order: Quote(
        instrument=order.instrument,
        side=order.side,
        price_ticks=order.price_ticks,
        quantity=order.quantity,
        baron=order.baron,
        max_hours=order.max_hours,
        hours=order.hours,
        delivery=order.delivery,
    ),
    st.one_of(_bids, st.builds(_ask, _bids, st.sampled_from([BARON, SECOND_BARON, FAR_BARON]))),
)

_sets = st.builds(
    SetQuotes,
    account=st.sampled_from([PAT, PAT, ALICE]),
    name=st.sampled_from(["one", "two"]),
    quotes=st.lists(_quotes, max_size=4).map(tuple),
    max_fills=st.sampled_from([0, 1, 2]),
    connection=st.sampled_from([0, 1]),
)

_mass = st.one_of(
    st.builds(
        CancelAll,
        account=accounts,
        instrument=st.sampled_from([0, 0, 1, 2]),
        side=st.sampled_from([None, None, *Side]),
        tag=st.sampled_from(["", "", "a", "b"]),
        connection=st.sampled_from([0, 0, 1]),
    ),
    st.builds(CancelAllAfter, account=accounts, after_ns=st.sampled_from([0, SECOND, HOUR])),
    st.builds(KeepOrders, account=accounts, connection=st.sampled_from([0, 1])),
)

_floor = st.one_of(
    st.builds(
        SetSession,
        instrument=st.sampled_from([SPOT, SPOT, ONDEMAND, ONDEMAND, ELSEWHERE_SPOT, ELSEWHERE_ONDEMAND]),
        session=st.sampled_from([Session.CONTINUOUS] * 6 + [Session.AUCTION] * 3 + [Session.PRE_OPEN, Session.HALTED]),
    ),
    st.builds(SetFeatures, baron=st.sampled_from([BARON, SECOND_BARON]), features=st.sampled_from([0, 1, 3])),
    st.builds(SetRating, baron=st.sampled_from([BARON, SECOND_BARON]), rating=st.sampled_from([0, 69, 70, 100])),
)

_limits = st.builds(
    SetAccountLimits,
    account=accounts,
    max_open_orders=st.sampled_from([None, 0, 2, 4]),
    max_notional_micros=st.sampled_from([None, 0, 2_500_000, 9_000_000]),
    max_gpus=st.sampled_from([None, 0, 2, 6]),
    # Off more often than on, so that life goes on.
    killed=st.sampled_from([None, None, False, False, False, True]),
)

reports = st.one_of(
    st.builds(LeaseActive, lease_id=back, access=st.just(b"port")),
    st.builds(LeaseActive, lease_id=back, access=st.just(b"port")),
    st.builds(EndLease, account=st.sampled_from([ALICE, BOB]), lease_id=back),
    st.builds(
        LeaseFailed,
        lease_id=back,
        fault=st.sampled_from(Fault),
        as_of_ns=st.sampled_from([0, SECOND, HOUR, 5 * HOUR]),
        detail=st.just("why"),
    ),
    st.builds(LeaseWiped, lease_id=back),
)

_raises = st.builds(
    RaisePrice,
    account=st.sampled_from([ALICE, BOB]),
    lease_id=back,
    price_ticks=st.sampled_from([20_000, 20_001, 25_000, 31_001]),
)

_extensions = st.one_of(
    st.builds(ExtendLease, account=st.just(ALICE), lease_id=back, hours=st.sampled_from([1, 1, 2, 5])),
    st.builds(SetAutoExtend, account=st.just(ALICE), lease_id=back, auto_extend=st.sampled_from([True, True, False])),
)

_changes = st.one_of(
    st.builds(CancelOrder, account=accounts, order_id=back, client_order_id=_client_ids),
    st.builds(
        AmendOrder,
        account=accounts,
        order_id=back,
        client_order_id=_client_ids,
        price_ticks=st.one_of(st.just(0), _prices),
        quantity=st.one_of(st.just(0), quantities),
        expire_ns=st.sampled_from([0, 0, 0, HOUR]),
    ),
)

_offer_lists = st.builds(
    SetOffers,
    account=st.just(PAT),
    offers=st.lists(_offers, max_size=3, unique_by=lambda offer: (offer.baron, offer.instrument)).map(tuple),
)

_rentals = st.builds(
    Rent,
    account=st.sampled_from([ALICE, BOB, PAT]),
    instruments=st.sampled_from([(SPOT,), (ONDEMAND,), (ONDEMAND, ELSEWHERE_ONDEMAND), (SPOT, ELSEWHERE_SPOT)]),
    quantity=quantities,
    hours=_terms,
    max_price_ticks=st.one_of(st.just(0), _prices),
    delivery=st.just(b"key"),
    client_order_id=_client_ids,
    features=st.sampled_from([0, 0, 0, 1]),
    min_rating=st.sampled_from([0, 0, 0, 70]),
    same_baron=st.sampled_from([False, False, False, True]),
    auto_extend=st.sampled_from([False, False, False, True]),
)

_others = st.one_of(
    st.builds(
        SetCapacity,
        baron=st.sampled_from([BARON, BARON, SECOND_BARON]),
        gpus=st.sampled_from([0, 3, 8, 16]),
        simulated=st.booleans(),
    ),
    # On more often than off, so that life goes on.
    st.builds(
        SetDrain,
        account=st.just(PAT),
        baron=st.sampled_from([BARON, SECOND_BARON]),
        draining=st.sampled_from([False, False, True]),
    ),
    st.builds(
        SetPresence,
        baron=st.sampled_from([BARON, SECOND_BARON]),
        presence=st.sampled_from([Presence.REPORTING] * 3 + [Presence.QUIET, Presence.LOST]),
        as_of_ns=st.sampled_from([SECOND, MINUTE, HOUR]),
    ),
    st.builds(Deposit, account=accounts, amount_micros=_amounts, client_id=_client_ids),
    st.builds(Withdraw, account=accounts, amount_micros=_amounts, client_id=_client_ids),
    st.just(Tick()),
)

commands: st.SearchStrategy[Command] = st.one_of(
    _bids, _bids, _asks, _asks, _bids.map(_market), _asks.map(_market), _bids.map(_post_only), _asks.map(_post_only),
    _rentals, _rentals, reports, reports, reports, _raises, _extensions, _changes, _changes, _offer_lists, _others,
    st.builds(_with_terms, _bids, _rarer), st.builds(_with_terms, _asks, _rarer), _stops(_bids), _stops(_asks),
    _stops(st.builds(_with_terms, _asks, _rarer)), _expiring, _sets, _mass, _floor, _floor,
    _limits, _dear_bids, _dear_bids, _windows, _windows,
)  # fmt: skip

MOMENTS: Final = (119 * SECOND, 120 * SECOND, 9 * MINUTE, 58 * MINUTE)
"""Waits that end about a notice's end, a wipe's last moment, and two minutes before a full hour."""

AHEAD: Final = 1_000
"""From here on an instrument is the forward of a day, so many days from the first that is listed (`resolve`)."""


def lives(commands: st.SearchStrategy[Command], waits_ns: list[int]) -> st.SearchStrategy[list[Step]]:
    return st.lists(
        st.builds(
            Step,
            wait_ns=st.sampled_from(waits_ns),
            ticked=st.sampled_from([True, True, True, False]),
            command=commands,
        ),
        min_size=40,
        max_size=80,
    )


steps: st.SearchStrategy[list[Step]] = lives(
    commands, [0] * 12 + [1, 7 * SECOND + 3, *MOMENTS, 10 * MINUTE, HOUR, 2 * HOUR + 1, 30 * HOUR]
)


def resolve(shard: Shard, command: Command) -> Command:
    """The command with its ids counted back from the newest, and a failure's time counted back from now."""
    if isinstance(command, PlaceOrder) and command.instrument >= AHEAD:
        return msgspec.structs.replace(command, instrument=_day(shard, command.instrument - AHEAD))
    if isinstance(command, SetDelivery):
        obligation_id = _pick(list(shard.auditor.obligations), command.obligation_id)
        owed = shard.auditor.obligations.get(obligation_id)
        account = owed.holder if owed else command.account
        return msgspec.structs.replace(command, account=account, obligation_id=obligation_id)
    if isinstance(command, PlaceOrder) and command.expire_ns:
        return msgspec.structs.replace(command, expire_ns=shard.now_ns + command.expire_ns)
    if isinstance(command, AmendOrder) and command.expire_ns:
        command = msgspec.structs.replace(command, expire_ns=shard.now_ns + command.expire_ns)
    if isinstance(command, CancelOrder | AmendOrder):
        order_id = _pick(shard.auditor.order_ids, command.order_id)
        order = shard.auditor.orders.get(order_id)
        # Mostly by its owner; what the sequence named stands where the order is closed.
        account = order.accepted.account if order and command.order_id else command.account
        return msgspec.structs.replace(command, order_id=order_id, account=account)
    if isinstance(command, LeaseFailed):
        lease_id, as_of_ns = _lease(shard, command.lease_id), shard.now_ns - command.as_of_ns
        return msgspec.structs.replace(command, lease_id=lease_id, as_of_ns=as_of_ns)
    if isinstance(command, SetPresence):
        as_of_ns = shard.now_ns - command.as_of_ns if command.presence is Presence.LOST else 0
        return msgspec.structs.replace(command, as_of_ns=as_of_ns)
    if isinstance(command, RaisePrice | ExtendLease | SetAutoExtend):
        lease_id = _lease(shard, command.lease_id)
        renter = shard.auditor.leases[lease_id].scheduled.renter if lease_id else command.account
        return msgspec.structs.replace(command, lease_id=lease_id, account=renter)
    if isinstance(command, LeaseActive | LeaseWiped | EndLease):
        return msgspec.structs.replace(command, lease_id=_lease(shard, command.lease_id))
    return command


def _lease(shard: Shard, back: int) -> int:
    leases = shard.auditor.leases
    return _pick([number for number, lease in leases.items() if not (lease.last and lease.last.wiped)], back)


def _day(shard: Shard, number: int) -> int:
    """The forward of a day in the first market, so many after the first that is listed."""
    listed = shard.machine.state.instruments.values()
    days = [each for each in listed if each.region == "here" and each.end_h - each.start_h == 24]
    return sorted(days, key=lambda each: each.start_h)[number].instrument


def _pick(ids: list[int], back: int) -> int:
    return ids[-1 - back % len(ids)] if ids else 0


def open_up(shard: Shard) -> None:
    """Something to trade from the first command on: offers of both kinds, and a rival's asks."""
    offers = [
        Offer(baron=BARON, instrument=1, price_ticks=20_000, gpus=6, max_hours=0),
        Offer(baron=SECOND_BARON, instrument=1, price_ticks=20_001, gpus=8, max_hours=0),
        Offer(baron=BARON, instrument=2, price_ticks=20_000, gpus=8, max_hours=6),
    ]
    shard.do(SetOffers(account=PAT, offers=tuple(offers)))


def play(shard: Shard, step: Step) -> None:
    """Let the time pass and apply the command; what the auditor finds wrong is raised."""
    shard.wait(step.wait_ns, tick=step.ticked)
    shard.apply(resolve(shard, step.command))
