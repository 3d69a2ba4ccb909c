"""A small market and the machine that answers its commands: what market data and read models are tested against.

Two markets, two providers with a Baron each, three renters. Ids that a later command needs (orders, leases) are taken from
the events so far.
"""

from __future__ import annotations

from engine.book_plain import PlainBook
from engine.kinds import OrderType, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    Accepted,
    Command,
    Deposit,
    LeaseScheduled,
    ListMarket,
    OpenAccount,
    PlaceOrder,
    RegisterBaron,
    Reply,
    SetCapacity,
)
from engine.state import BookFactory
from engine.units import MICROS_PER_USD, NS_PER_S

START_NS = 1_700_000_000 * NS_PER_S
DELIVERY = b'{"ssh_keys":["ssh-ed25519 AAAA"]}'
PROVIDERS = {1: 11, 2: 12}
"""Baron to provider."""
RENTERS = (21, 22, 23)
SPOT, ONDEMAND = 1, 2
FAR_SPOT, FAR_ONDEMAND = 32, 33
REGIONS = ("us-east", "eu-north")
BARON_OF = {SPOT: 1, ONDEMAND: 1, FAR_SPOT: 2, FAR_ONDEMAND: 2}
"""Instrument to the Baron of its market."""
GPUS = 16


class Exchange:
    """A machine and everything that it has said, without log or loop."""

    def __init__(self, limits: Limits | None = None, book_factory: BookFactory = PlainBook) -> None:
        self.machine = Machine(0, limits or Limits(), book_factory)
        self.seq = 0
        self.ts_ns = START_NS
        self.replies: list[Reply] = []
        self.orders: list[int] = []
        self.owners: dict[int, int] = {}
        self.leases: list[int] = []
        self.unwiped: list[int] = []

    def apply(self, command: Command, later_ns: int = NS_PER_S) -> Reply:
        self.seq += 1
        self.ts_ns += later_ns
        reply = Reply(self.seq, self.ts_ns, tuple(self.machine.apply(self.seq, self.ts_ns, command)))
        accepted = [event for event in reply.events if isinstance(event, Accepted)]
        self.orders += [event.order_id for event in accepted]
        self.owners |= {event.order_id: event.account for event in accepted}
        self.leases += [event.lease_id for event in reply.events if isinstance(event, LeaseScheduled)]
        self.unwiped = [number for number in self.leases if number in self.machine.state.leases]
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
        "max_hours": 0 if instrument in (SPOT, FAR_SPOT) else 48,
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
        "hours": 0 if instrument in (SPOT, FAR_SPOT) else 1,
        "delivery": DELIVERY,
    }
    return PlaceOrder(**(fields | more))  # type: ignore[arg-type]


def opened(limits: Limits | None = None, book_factory: BookFactory = PlainBook) -> Exchange:
    """An exchange with its market open."""
    exchange = Exchange(limits, book_factory)
    exchange.open_market()
    return exchange
