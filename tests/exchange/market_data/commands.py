"""Random command sequences for a small market, and the machine that answers them: what market data is tested against.

Two markets, two providers with a Baron each, three renters; prices near each other, so that much of it trades. Ids that a
command needs (orders, leases) are taken from the events so far.
"""

from __future__ import annotations

from hypothesis import strategies as st

from engine.book_plain import PlainBook
from engine.kinds import Fault, LeaseState, OrderType, Side, TimeInForce
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
        self.leases: list[int] = []

    def apply(self, command: Command, later_ns: int = NS_PER_S) -> Reply:
        self.seq += 1
        self.ts_ns += later_ns
        reply = Reply(self.seq, self.ts_ns, tuple(self.machine.apply(self.seq, self.ts_ns, command)))
        self.orders += [event.order_id for event in reply.events if isinstance(event, Accepted)]
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


_PRICES = st.integers(19_990, 20_010)
_INSTRUMENTS = st.sampled_from((1, 2, 3, 4))
_TIMES = st.sampled_from(TimeInForce)


def _some(numbers: list[int]) -> st.SearchStrategy[int]:
    return st.sampled_from(numbers[-40:]) if numbers else st.just(1)


def commands(exchange: Exchange) -> st.SearchStrategy[Command]:
    """The next command, given what has happened; many are refused, as in life."""
    owners = st.sampled_from((*PROVIDERS.values(), *RENTERS))
    asks = st.builds(
        lambda instrument, price, quantity, time: ask(instrument, price, quantity, time_in_force=time),
        _INSTRUMENTS,
        _PRICES,
        st.integers(1, 6),
        _TIMES,
    )
    bids = st.builds(
        lambda account, instrument, price, quantity, time, hours, post_only: bid(
            account, instrument, price, quantity, time_in_force=time, hours=hours, post_only=post_only
        ),
        st.sampled_from(RENTERS),
        _INSTRUMENTS,
        _PRICES,
        st.integers(1, 6),
        _TIMES,
        st.integers(0, 50),
        st.booleans(),
    )
    offers = st.builds(
        lambda baron, listed: SetOffers(
            account=PROVIDERS[baron],
            offers=tuple(
                Offer(
                    baron=baron,
                    instrument=baron * 2 - 1 + kind,
                    price_ticks=price,
                    gpus=gpus,
                    max_hours=48 if kind else 0,
                )
                for kind, (price, gpus) in listed.items()
            ),
        ),
        st.sampled_from((1, 2)),
        st.dictionaries(st.integers(0, 1), st.tuples(_PRICES, st.integers(1, GPUS))),
    )
    return st.one_of(
        asks,
        bids,
        bids,
        offers,
        st.builds(CancelOrder, account=owners, order_id=_some(exchange.orders)),
        st.builds(
            AmendOrder,
            account=owners,
            order_id=_some(exchange.orders),
            price_ticks=st.one_of(st.just(0), _PRICES),
            quantity=st.integers(0, 8),
        ),
        st.builds(
            Rent,
            account=st.sampled_from(RENTERS),
            instruments=st.sampled_from(((1,), (2,), (2, 4), (3, 1))),
            quantity=st.integers(1, 8),
            hours=st.integers(1, 4),
            max_price_ticks=st.just(0),
            delivery=st.just(DELIVERY),
        ),
        st.builds(SetCapacity, baron=st.sampled_from((1, 2)), gpus=st.integers(0, GPUS), simulated=st.booleans()),
        st.builds(LeaseActive, lease_id=_some(exchange.leases), access=st.just(ACCESS)),
        st.builds(EndLease, account=st.sampled_from(RENTERS), lease_id=_some(exchange.leases)),
        st.builds(LeaseWiped, lease_id=_some(exchange.leases)),
        st.builds(
            LeaseFailed,
            lease_id=_some(exchange.leases),
            fault=st.sampled_from(Fault),
            as_of_ns=st.just(exchange.ts_ns),
            detail=st.just("lost"),
        ),
        st.just(Tick()),
    )


STEPS_NS = st.sampled_from((0, NS_PER_S, 60 * NS_PER_S, NS_PER_HOUR))
LIVE_STATES = frozenset({LeaseState.SCHEDULED, LeaseState.PROVISIONING, LeaseState.ACTIVE, LeaseState.ENDING})
