"""Random command sequences over everything that an order may be: much of it trades, and much is refused, as in life.

Prices lie near each other, and the limits of TIGHT are met often: bands, bounds on walks and stops, parts of a clearing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

import msgspec

from engine.kinds import Fault, Feature, OrderType, Presence, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    AmendOrder,
    CancelAll,
    CancelAllAfter,
    CancelOrder,
    Command,
    EndLease,
    KeepOrders,
    LeaseActive,
    LeaseFailed,
    LeaseWiped,
    Offer,
    PlaceOrder,
    Quote,
    Rent,
    Reply,
    SetAccountLimits,
    SetCapacity,
    SetDrain,
    SetFeatures,
    SetOffers,
    SetPresence,
    SetQuotes,
    SetRating,
    SetSession,
    Tick,
)
from engine.records import SelfTrade, Session
from engine.units import NS_PER_HOUR, NS_PER_S
from tests.exchange.market_data.commands import (
    BARON_OF,
    DELIVERY,
    FAR_ONDEMAND,
    FAR_SPOT,
    GPUS,
    ONDEMAND,
    PROVIDERS,
    RENTERS,
    SPOT,
    Exchange,
    ask,
    bid,
)

TIGHT: Final = Limits(
    max_looked=8,
    max_stops=2,
    max_conditional_account=6,
    max_conditional_side=5,
    display_ratio=8,
    band_ppm=300,
    auction_s=120,
    cooldown_s=300,
    max_quote_sets=2,
)
ACCESS = b'{"host":"127.0.0.1","port":22000,"user":"gpu","host_key":"ssh-ed25519 AAAA"}'
_LASTING = (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)
_SESSIONS = (*[Session.CONTINUOUS] * 6, *[Session.AUCTION] * 3, Session.PRE_OPEN, Session.HALTED)


def _price(chance: Random) -> int:
    return chance.randint(19_990, 20_010)


def _some(chance: Random, numbers: list[int]) -> int:
    return chance.choice(numbers[-20:]) if numbers else 1


def _owner(chance: Random) -> int:
    return chance.choice((*PROVIDERS.values(), *RENTERS))


def _instrument(chance: Random) -> int:
    """Mostly one book, so that it is deep."""
    return chance.choice((SPOT, SPOT, ONDEMAND, ONDEMAND, ONDEMAND, FAR_SPOT, FAR_ONDEMAND))


def _lifetime(exchange: Exchange, chance: Random) -> dict[str, Any]:
    if chance.random() < 0.2:
        return {"time_in_force": chance.choice((TimeInForce.IOC, TimeInForce.FOK))}
    time_in_force = chance.choice(_LASTING)
    expire_ns = exchange.ts_ns + chance.randint(1, 200) * 60 * NS_PER_S
    return {"time_in_force": time_in_force, "expire_ns": expire_ns if time_in_force is TimeInForce.GTD else 0}


def _rarer(chance: Random, side: Side, quantity: int) -> dict[str, Any]:
    """At most two of the terms that few orders have, and what a mass cancel or self-trade goes by."""
    display_quantity = {"display_quantity": chance.randint(1, quantity)} if chance.random() < 0.25 else {}
    terms: dict[str, Any] = {
        "min_quantity": chance.randint(1, quantity),
        "post_only": True,
    }
    if side is Side.BUY:
        terms |= {"features": chance.choice((1, 2, 3)), "same_baron": True, "min_rating": chance.choice((1, 70, 71))}
    else:
        terms |= {"lot": chance.choice((1, 2, 3)), "min_hours": chance.choice((1, 2))}
    chosen = chance.sample(sorted(terms), chance.choice((0, 0, 0, 1, 1, 2)))
    return (
        {name: terms[name] for name in chosen}
        | display_quantity
        | {
            "self_trade": chance.choice(tuple(SelfTrade)),
            "tag": chance.choice(("", "a", "b")),
            "connection": chance.choice((0, 7)),
        }
    )


def _ask(exchange: Exchange, chance: Random) -> PlaceOrder:
    instrument, quantity = _instrument(chance), chance.randint(1, 8)
    max_hours = 0 if instrument in (SPOT, FAR_SPOT) else chance.choice((2, 3, 48, 48))
    terms = _lifetime(exchange, chance) | _rarer(chance, Side.SELL, quantity)
    return ask(instrument, _price(chance), quantity, max_hours=max_hours, **terms)


def _bid(exchange: Exchange, chance: Random) -> PlaceOrder:
    quantity = chance.randint(1, 8)
    terms = _lifetime(exchange, chance) | _rarer(chance, Side.BUY, quantity)
    account = chance.choice((*RENTERS, *PROVIDERS.values()))
    if chance.random() < 0.1:
        # Whatever runs pays so much less that it is displaced; an ioc, so that no ask trades at such a price.
        return bid(chance.choice(RENTERS), chance.choice((1, 3)), 25_000, quantity, time_in_force=TimeInForce.IOC)
    return bid(
        account, _instrument(chance), _price(chance), quantity, hours=chance.choice((0, 1, 1, 1, 1, 1, 2, 30)), **terms
    )


def _stop(exchange: Exchange, chance: Random) -> Command:
    order = chance.choice((_ask, _bid))(exchange, chance)
    order_type = chance.choice((OrderType.STOP, OrderType.STOP_LIMIT))
    return msgspec.structs.replace(order, order_type=order_type, stop_price_ticks=_price(chance), post_only=False)


def _market_order(exchange: Exchange, chance: Random) -> Command:
    order = chance.choice((_ask, _bid))(exchange, chance)
    price_ticks = chance.choice((0, 0, order.price_ticks))
    time_in_force = chance.choice((TimeInForce.IOC, TimeInForce.FOK))
    return msgspec.structs.replace(
        order,
        order_type=OrderType.MARKET,
        price_ticks=price_ticks,
        time_in_force=time_in_force,
        expire_ns=0,
        display_quantity=0,
        post_only=False,
    )


def _offers(exchange: Exchange, chance: Random) -> Command:
    baron = chance.choice((1, 2))
    kinds = chance.sample((0, 1), chance.randint(0, 2))
    offers = (
        Offer(
            baron=baron,
            instrument=baron * 2 - 1 + kind,
            price_ticks=20_003 + kind,
            gpus=chance.randint(3, GPUS),
            max_hours=48 if kind else 0,
            lot=chance.choice((0, 0, 2)),
            min_hours=chance.choice((0, 2)) if kind else 0,
        )
        for kind in kinds
    )
    return SetOffers(account=PROVIDERS[baron], offers=tuple(offers))


def _quotes(exchange: Exchange, chance: Random) -> Command:
    """A set of a provider's: bids of its own beside asks on its Baron."""
    instrument = _instrument(chance)
    quotes = tuple(
        Quote(
            instrument=instrument,
            side=order.side,
            price_ticks=order.price_ticks,
            quantity=order.quantity,
            baron=order.baron,
            max_hours=order.max_hours,
            hours=order.hours,
            delivery=order.delivery,
        )
        for order in (
            ask(instrument, chance.randint(20_001, 20_010), chance.randint(1, 3)),
            bid(0, instrument, chance.randint(19_990, 20_000), chance.randint(1, 3)),
        )
        if chance.random() < 0.8
    )
    provider = PROVIDERS[BARON_OF[instrument]]
    name = chance.choice(("one", "two", "three"))
    return SetQuotes(account=provider, name=name, quotes=quotes, max_fills=chance.randint(0, 2), connection=7)


def _amend(exchange: Exchange, chance: Random) -> Command:
    number = _some(chance, exchange.orders)
    return AmendOrder(
        account=exchange.owners.get(number, 1),
        order_id=number,
        price_ticks=chance.choice((0, 0, _price(chance))),
        quantity=chance.randint(0, 6),
        expire_ns=chance.choice((0, 0, 0, exchange.ts_ns + NS_PER_HOUR)),
    )


def _cancel(exchange: Exchange, chance: Random) -> Command:
    number = _some(chance, exchange.orders)
    return CancelOrder(account=exchange.owners.get(number, 1), order_id=number)


def _cancel_all(exchange: Exchange, chance: Random) -> Command:
    if chance.random() < 0.3:
        return CancelAllAfter(account=_owner(chance), after_ns=chance.choice((0, 60 * NS_PER_S)))
    if chance.random() < 0.1:
        return KeepOrders(account=_owner(chance), connection=7)
    return CancelAll(
        account=_owner(chance),
        instrument=chance.choice((0, _instrument(chance))),
        side=chance.choice((None, *Side)),
        tag=chance.choice(("", "a")),
        connection=chance.choice((0, 7)),
    )


def _session(exchange: Exchange, chance: Random) -> Command:
    return SetSession(instrument=_instrument(chance), session=chance.choice(_SESSIONS))


def _features(exchange: Exchange, chance: Random) -> Command:
    return SetFeatures(baron=chance.choice((1, 2)), features=chance.choice((0, Feature.INFINIBAND, 3, 15)))


def _rating(exchange: Exchange, chance: Random) -> Command:
    return SetRating(baron=chance.choice((1, 2)), rating=chance.choice((0, 69, 70, 100)))


def _presence(exchange: Exchange, chance: Random) -> Command:
    """Silence and drain for a while; a Baron that is shut comes back with the next of these."""
    for number, baron in exchange.machine.state.barons.items():
        if baron.presence is not Presence.REPORTING:
            return SetPresence(baron=number, presence=Presence.REPORTING)
        if baron.draining:
            return SetDrain(account=baron.provider, baron=number, draining=False)
    number = chance.choice((1, 2))
    if chance.random() < 0.5:
        return SetDrain(account=exchange.machine.state.barons[number].provider, baron=number, draining=True)
    if chance.random() < 0.5:
        return SetPresence(baron=number, presence=Presence.QUIET)
    return SetPresence(baron=number, presence=Presence.LOST, as_of_ns=exchange.machine.last_ts_ns)


def _limits(exchange: Exchange, chance: Random) -> Command:
    """Limits for a while; who was stopped goes on with the next of these."""
    killed = [number for number, account in exchange.machine.state.accounts.items() if account.killed]
    if killed:
        return SetAccountLimits(account=killed[0], killed=False)
    gpus, orders = chance.choice((0, 0, 30)), chance.choice((0, 0, 12))
    return SetAccountLimits(account=_owner(chance), max_gpus=gpus, max_open_orders=orders, killed=chance.random() < 0.2)


def _rent(exchange: Exchange, chance: Random) -> Command:
    return Rent(
        account=chance.choice(RENTERS),
        instruments=chance.choice(((SPOT,), (ONDEMAND,), (ONDEMAND, FAR_ONDEMAND), (FAR_SPOT, SPOT))),
        quantity=chance.randint(1, 6),
        hours=chance.randint(1, 4),
        max_price_ticks=0,
        delivery=DELIVERY,
        features=chance.choice((0, 0, 1)),
        same_baron=chance.random() < 0.2,
        min_rating=chance.choice((0, 0, 70)),
    )


def _capacity(exchange: Exchange, chance: Random) -> Command:
    return SetCapacity(
        baron=chance.choice((1, 2)),
        gpus=chance.choice((0, 5, 10, 20, *[4 * GPUS] * 4)),
        simulated=chance.random() < 0.5,
    )


def _active(exchange: Exchange, chance: Random) -> Command:
    return LeaseActive(lease_id=_some(chance, exchange.unwiped), access=ACCESS)


def _end(exchange: Exchange, chance: Random) -> Command:
    return EndLease(account=chance.choice(RENTERS), lease_id=_some(chance, exchange.unwiped))


def _wiped(exchange: Exchange, chance: Random) -> Command:
    return LeaseWiped(lease_id=_some(chance, exchange.unwiped))


def _failed(exchange: Exchange, chance: Random) -> Command:
    fault = chance.choice(tuple(Fault))
    return LeaseFailed(
        lease_id=_some(chance, exchange.unwiped), fault=fault, as_of_ns=exchange.ts_ns, detail="it was lost"
    )


_KINDS: dict[Callable[[Exchange, Random], Command], int] = {
    _ask: 20,
    _bid: 28,
    _stop: 8,
    _market_order: 4,
    _offers: 5,
    _quotes: 4,
    _amend: 10,
    _cancel: 5,
    _cancel_all: 2,
    _session: 4,
    _features: 2,
    _rating: 2,
    _presence: 2,
    _limits: 1,
    _rent: 4,
    _capacity: 2,
    _active: 8,
    _end: 8,
    _wiped: 16,
    _failed: 2,
    lambda exchange, chance: Tick(): 6,
}


def run(exchange: Exchange, chance: Random, count: int) -> Iterator[Reply]:
    """Apply so many random commands; many are refused, as in life."""
    makers, weights = list(_KINDS), list(_KINDS.values())
    for _ in range(count):
        make = chance.choices(makers, weights)[0]
        later_ns = chance.choice((*[0] * 10, *[NS_PER_S] * 4, *[60 * NS_PER_S] * 4, NS_PER_HOUR))
        yield exchange.apply(make(exchange, chance), later_ns)
