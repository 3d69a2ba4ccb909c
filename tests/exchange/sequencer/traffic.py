"""A small market's commands, drawn from a seed: enough of every kind that logs, snapshots and events are worth comparing.

Leases to end are learnt from replies, as a client would. It never asserts anything.
"""

from __future__ import annotations

import random

import msgspec

from engine.kinds import LeaseState, OrderType, Presence, Side, TimeInForce
from engine.messages import (
    Accepted,
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    Deposit,
    EndLease,
    LeaseActive,
    LeaseChanged,
    LeaseScheduled,
    LeaseWiped,
    ListMarket,
    OpenAccount,
    PlaceOrder,
    Quote,
    RegisterBaron,
    Rent,
    Reply,
    SetAccountLimits,
    SetCapacity,
    SetDrain,
    SetFeatures,
    SetPresence,
    SetQuotes,
    SetRating,
    SetSession,
)
from engine.records import Session

SKU, REGION = "H100-SXM5-80GB", "us-east"
SPOT, ONDEMAND = 1, 2
PROVIDER = 1
RENTERS = (2, 3, 4)
BARON = 1
GPUS = 64
FAR_NS = 2**62
"""Later than anything that a test does."""


def founding() -> list[Command]:
    """The market, a provider with one Baron, and renters with money."""
    commands: list[Command] = [ListMarket(sku=SKU, region=REGION)]
    for account in (PROVIDER, *RENTERS):
        commands.append(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=5_000))
        commands.append(Deposit(account=account, amount_micros=10**12, client_id=f"first-{account}"))
    commands.append(RegisterBaron(baron=BARON, provider=PROVIDER, sku=SKU, region=REGION))
    commands.append(SetCapacity(baron=BARON, gpus=GPUS, simulated=True))
    return commands


def bid(account: int, price_ticks: int, quantity: int, client_order_id: str = "") -> PlaceOrder:
    return PlaceOrder(
        account=account,
        instrument=SPOT,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=price_ticks,
        quantity=quantity,
        client_order_id=client_order_id,
        delivery=b"ssh-ed25519 AAAA",
    )


def ask(price_ticks: int, quantity: int, client_order_id: str = "") -> PlaceOrder:
    return PlaceOrder(
        account=PROVIDER,
        instrument=SPOT,
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=price_ticks,
        quantity=quantity,
        client_order_id=client_order_id,
        baron=BARON,
    )


def stop_bid(account: int, stop_price_ticks: int, quantity: int, client_order_id: str = "") -> PlaceOrder:
    """It buys at 10 % above its stop price at most."""
    return PlaceOrder(
        account=account,
        instrument=SPOT,
        side=Side.BUY,
        order_type=OrderType.STOP,
        time_in_force=TimeInForce.GTC,
        price_ticks=stop_price_ticks * 11 // 10,
        stop_price_ticks=stop_price_ticks,
        quantity=quantity,
        client_order_id=client_order_id,
        delivery=b"ssh-ed25519 AAAA",
    )


def iceberg(price_ticks: int, quantity: int, expire_ns: int) -> PlaceOrder:
    """An ask that shows one GPU at a time, until a time."""
    return msgspec.structs.replace(
        ask(price_ticks, quantity), display_quantity=1, time_in_force=TimeInForce.GTD, expire_ns=expire_ns
    )


def quotes(price_ticks: int, quantity: int) -> SetQuotes:
    """The provider's two-sided set, which goes after two fills."""
    sides = (
        Quote(instrument=SPOT, side=Side.BUY, price_ticks=price_ticks - 1, quantity=quantity, delivery=b"key"),
        Quote(instrument=SPOT, side=Side.SELL, price_ticks=price_ticks + 1, quantity=quantity, baron=BARON),
    )
    return SetQuotes(account=PROVIDER, name="maker", quotes=sides, max_fills=2)


def deposit(amount_micros: int) -> Deposit:
    return Deposit(account=RENTERS[0], amount_micros=amount_micros, client_id=f"d-{amount_micros}")


class Traffic:
    """An endless stream of commands; `learn` from every reply keeps it among orders and leases that exist."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0
        self._orders: list[tuple[int, int]] = []
        self._leases: dict[int, LeaseChanged | LeaseScheduled] = {}
        self.prefix = f"t{seed}"

    def learn(self, reply: Reply) -> None:
        for event in reply.events:
            if isinstance(event, Accepted):
                self._orders = [*self._orders[-50:], (event.account, event.order_id)]
            elif isinstance(event, LeaseScheduled | LeaseChanged):
                self._leases[event.lease_id] = event
                if isinstance(event, LeaseChanged) and event.wiped:
                    del self._leases[event.lease_id]

    def next(self) -> Command:
        pick = self._random
        self._count += 1
        client_id = f"{self.prefix}-{self._count}"
        renter = pick.choice(RENTERS)
        match pick.randrange(16):
            case 0 | 1:
                return ask(pick.randrange(15_000, 25_000), pick.randrange(1, 9), client_id)
            case 2 | 3 | 4:
                return bid(renter, pick.randrange(15_000, 25_000), pick.randrange(1, 9), client_id)
            case 5:
                account, order = pick.choice(self._orders or [(renter, 1)])
                return CancelOrder(account=account, order_id=order)
            case 6:
                account, order = pick.choice(self._orders or [(renter, 1)])
                return AmendOrder(account=account, order_id=order, quantity=pick.randrange(1, 9))
            case 7:
                return Deposit(account=renter, amount_micros=pick.randrange(1, 10**6), client_id=client_id)
            case 8:
                return Rent(
                    account=renter,
                    instruments=(SPOT,),
                    quantity=pick.randrange(1, 4),
                    hours=1,
                    max_price_ticks=0,
                    delivery=b"key",
                    client_order_id=client_id,
                )
            case 9:
                stop_price = pick.randrange(15_000, 25_000)
                return stop_bid(renter, stop_price, pick.randrange(1, 4), client_id)
            case 10:
                return iceberg(pick.randrange(15_000, 25_000), pick.randrange(2, 9), FAR_NS)
            case 11:
                return quotes(pick.randrange(15_000, 25_000), pick.randrange(1, 4))
            case 12:
                return SetSession(instrument=SPOT, session=pick.choice((Session.AUCTION, Session.CONTINUOUS)))
            case 13:
                words: tuple[Command, ...] = (
                    CancelAll(account=renter, side=Side.BUY),
                    SetFeatures(baron=BARON, features=1),
                    SetRating(baron=BARON, rating=pick.randrange(101)),
                    SetDrain(account=PROVIDER, baron=BARON, draining=pick.randrange(4) == 0),
                    SetPresence(baron=BARON, presence=pick.choice((*[Presence.REPORTING] * 3, *Presence))),
                    SetAccountLimits(account=renter, max_gpus=pick.randrange(40), killed=False),
                )
                return pick.choice(words)
            case _:
                return self._lease_step()

    def _lease_step(self) -> Command:
        if not self._leases:
            return ask(15_000, 1)
        lease = self._random.choice(list(self._leases.values()))
        if lease.state == LeaseState.PROVISIONING:
            return LeaseActive(lease_id=lease.lease_id, access=b"here")
        if lease.state == LeaseState.ACTIVE:
            return EndLease(account=lease.renter, lease_id=lease.lease_id)
        return LeaseWiped(lease_id=lease.lease_id)
