"""Random command sequences for a small market, and the machine that answers them: what market data is tested against.

Two markets, two providers with a Baron each, three renters; prices near each other, so that much of it trades. Ids that a
command needs (orders, leases) are taken from the events so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from engine.book_plain import PlainBook
from engine.kinds import Fault, OrderType, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    Accepted,
    AmendOrder,
    CancelOrder,
    Command,
    Deposit,
    EndLease,
    LeaseActive,
    LeaseFailed,
    LeaseScheduled,
    LeaseWiped,
    ListMarket,
    Offer,
    OpenAccount,
    PlaceOrder,
    RegisterBaron,
    Rent,
    Reply,
    SetCapacity,
    SetOffers,
    Tick,
)
from engine.units import MICROS_PER_USD, NS_PER_HOUR, NS_PER_S

START_NS = 1_700_000_000 * NS_PER_S
ACCESS = b'{"host":"127.0.0.1","port":22000,"user":"gpu","host_key":"ssh-ed25519 AAAA"}'
DELIVERY = b'{"ssh_keys":["ssh-ed25519 AAAA"]}'
PROVIDERS = {1: 11, 2: 12}
"""Baron to provider."""
RENTERS = (21, 22, 23)
SPOT, ONDEMAND = 1, 2
REGIONS = ("us-east", "eu-north")
BARON_OF = {1: 1, 2: 1, 3: 2, 4: 2}
"""Instrument to the Baron of its market."""
GPUS = 16


class Exchange:
    """A machine and everything that it has said, without log or loop."""

    def __init__(self) -> None:
        self.machine = Machine(0, Limits(), PlainBook)
        self.seq = 0
        self.ts_ns = START_NS
        self.replies: list[Reply] = []
        self.orders: list[int] = []
        self.owners: dict[int, int] = {}
        self.leases: list[int] = []

    def apply(self, command: Command, later_ns: int = NS_PER_S) -> Reply:
        self.seq += 1
        self.ts_ns += later_ns
        reply = Reply(self.seq, self.ts_ns, tuple(self.machine.apply(self.seq, self.ts_ns, command)))
        accepted = [event for event in reply.events if isinstance(event, Accepted)]
        self.orders += [event.order_id for event in accepted]
        self.owners |= {event.order_id: event.account for event in accepted}
        self.leases += [event.lease_id for event in reply.events if isinstance(event, LeaseScheduled)]
        if reply.events:
            self.replies.append(reply)
        return reply

    def open_market(self) -> None:
        """Markets, accounts with money, Barons with capacity."""
        for region in REGIONS:
            self.apply(ListMarket(sku="H100-SXM5-80GB", region=region))
        for account in (*PROVIDERS.values(), *RENTERS):
            self.apply(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=5_000))
            self.apply(Deposit(account=account, amount_micros=100_000 * MICROS_PER_USD, client_id=f"d{account}"))
        for (baron, provider), region in zip(PROVIDERS.items(), REGIONS, strict=True):
            self.apply(RegisterBaron(baron=baron, provider=provider, sku="H100-SXM5-80GB", region=region))
            self.apply(SetCapacity(baron=baron, gpus=GPUS, simulated=baron == 2))


def ask(instrument: int, price_ticks: int, quantity: int, **more: object) -> PlaceOrder:
    """A provider's resting ask on the instrument's Baron."""
    baron = BARON_OF[instrument]
    fields: dict[str, object] = {
        "account": PROVIDERS[baron],
        "instrument": instrument,
        "side": Side.SELL,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "price_ticks": price_ticks,
        "quantity": quantity,
        "baron": baron,
        "max_hours": 0 if instrument in (1, 3) else 48,
    }
    return PlaceOrder(**(fields | more))  # type: ignore[arg-type]


def bid(account: int, instrument: int, price_ticks: int, quantity: int, **more: object) -> PlaceOrder:
    """A renter's bid."""
    fields: dict[str, object] = {
        "account": account,
        "instrument": instrument,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "price_ticks": price_ticks,
        "quantity": quantity,
        "hours": 0 if instrument in (1, 3) else 1,
        "delivery": DELIVERY,
    }
    return PlaceOrder(**(fields | more))  # type: ignore[arg-type]


def _price(chance: Random) -> int:
    return chance.randint(19_990, 20_010)


def _some(chance: Random, numbers: list[int]) -> int:
    return chance.choice(numbers[-20:]) if numbers else 1


def _owner(chance: Random) -> int:
    return chance.choice((*PROVIDERS.values(), *RENTERS))


def _ask(exchange: Exchange, chance: Random) -> Command:
    time = chance.choice((TimeInForce.GTC, *TimeInForce))
    instrument = chance.randint(1, 4)
    max_hours = 0 if instrument in (1, 3) else chance.choice((2, 3, 48))
    return ask(instrument, _price(chance), chance.randint(1, 5), time_in_force=time, max_hours=max_hours)


def _bid(exchange: Exchange, chance: Random) -> Command:
    return bid(
        chance.choice(RENTERS),
        chance.randint(1, 4),
        _price(chance),
        chance.randint(1, 5),
        time_in_force=chance.choice((TimeInForce.GTC, *TimeInForce)),
        hours=chance.choice((0, 1, 1, 2, 30)),
        post_only=chance.random() < 0.1,
    )


def _market_order(exchange: Exchange, chance: Random) -> Command:
    return bid(
        chance.choice(RENTERS),
        chance.randint(1, 4),
        0,
        chance.randint(1, 5),
        order_type=OrderType.MARKET,
        time_in_force=chance.choice((TimeInForce.IOC, TimeInForce.FOK)),
        hours=1,
    )


def _offers(exchange: Exchange, chance: Random) -> Command:
    baron = chance.choice((1, 2))
    kinds = chance.sample((0, 1), chance.randint(0, 2))
    offers = (
        Offer(
            baron=baron,
            instrument=baron * 2 - 1 + kind,
            price_ticks=20_003 + kind,
            gpus=chance.randint(1, GPUS),
            max_hours=48 if kind else 0,
        )
        for kind in kinds
    )
    return SetOffers(account=PROVIDERS[baron], offers=tuple(offers))


def _amend(exchange: Exchange, chance: Random) -> Command:
    number = _some(chance, exchange.orders)
    price = chance.choice((0, 0, _price(chance)))
    return AmendOrder(
        account=exchange.owners.get(number, 1), order_id=number, price_ticks=price, quantity=chance.randint(0, 6)
    )


def _cancel(exchange: Exchange, chance: Random) -> Command:
    number = _some(chance, exchange.orders)
    return CancelOrder(account=exchange.owners.get(number, 1), order_id=number)


def _rent(exchange: Exchange, chance: Random) -> Command:
    return Rent(
        account=chance.choice(RENTERS),
        instruments=chance.choice(((1,), (2,), (2, 4), (3, 1))),
        quantity=chance.randint(1, 6),
        hours=chance.randint(1, 4),
        max_price_ticks=0,
        delivery=DELIVERY,
    )


def _capacity(exchange: Exchange, chance: Random) -> Command:
    return SetCapacity(baron=chance.choice((1, 2)), gpus=chance.randint(0, GPUS), simulated=chance.random() < 0.5)


def _active(exchange: Exchange, chance: Random) -> Command:
    return LeaseActive(lease_id=_some(chance, exchange.leases), access=ACCESS)


def _end(exchange: Exchange, chance: Random) -> Command:
    return EndLease(account=chance.choice(RENTERS), lease_id=_some(chance, exchange.leases))


def _wiped(exchange: Exchange, chance: Random) -> Command:
    return LeaseWiped(lease_id=_some(chance, exchange.leases))


def _failed(exchange: Exchange, chance: Random) -> Command:
    fault = chance.choice(tuple(Fault))
    return LeaseFailed(
        lease_id=_some(chance, exchange.leases), fault=fault, as_of_ns=exchange.ts_ns, detail="it was lost"
    )


_KINDS: dict[Callable[[Exchange, Random], Command], int] = {
    _ask: 20,
    _bid: 30,
    _market_order: 4,
    _offers: 6,
    _amend: 8,
    _cancel: 6,
    _rent: 4,
    _capacity: 2,
    _active: 8,
    _end: 5,
    _wiped: 10,
    _failed: 2,
    lambda exchange, chance: Tick(): 4,
}


def run(exchange: Exchange, chance: Random, count: int) -> Iterator[Reply]:
    """Apply so many random commands; many are refused, as in life."""
    makers, weights = list(_KINDS), list(_KINDS.values())
    for _ in range(count):
        make = chance.choices(makers, weights)[0]
        later_ns = chance.choice((0, 0, NS_PER_S, 60 * NS_PER_S, NS_PER_HOUR))
        yield exchange.apply(make(exchange, chance), later_ns)


def opened() -> Exchange:
    """An exchange with its market open."""
    exchange = Exchange()
    exchange.open_market()
    return exchange
