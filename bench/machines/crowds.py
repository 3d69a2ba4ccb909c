"""Crowds that a machine carries: running spot leases that yield, orders at rest, rows with hours; each made by commands.

What one more bid, fill or snapshot costs among so many is timed here, by nothing but the machine's public ways in.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from bench.machines.flow import MIDDLE, ONDEMAND, SPOT, START_NS, WEALTH_MICROS
from engine.halves import compiled_half
from engine.kinds import OrderType, Side, TimeInForce
from engine.limits import Limits
from engine.messages import (
    Command,
    Deposit,
    Event,
    LeaseActive,
    LeaseScheduled,
    ListMarket,
    OpenAccount,
    PlaceOrder,
    RegisterBaron,
    SetCapacity,
)

RENTERS: Final = 64
YEAR: Final = "2027"
"""The second of the years that are listed at START_NS."""
PROVIDER: Final = 10_001
NEWCOMER: Final = 10_002
LEAST_PAID: Final = 10_000
PRICES: Final = 5_000
"""Leases pay from LEAST_PAID on, so many ticks up: all of them yield to MIDDLE."""
_LIMITS: Final = Limits(max_leases=10**6, max_open_orders=10**7)


class Took(NamedTuple):
    """Median microseconds of one command among a crowd."""

    displaced_us: float
    preempted_us: float


class Crowd:
    """A shard with one provider and many renters, to be filled."""

    def __init__(self) -> None:
        self.machine = compiled_half().machine(0, _LIMITS)
        self._seq = 0
        self.do(ListMarket(sku="H100-SXM5-80GB", region="us-east"))
        for account in (*range(1, RENTERS + 1), PROVIDER, NEWCOMER):
            self.do(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=5_000))
            self.do(Deposit(account=account, amount_micros=10**4 * WEALTH_MICROS, client_id=""))

    def do(self, command: Command) -> list[Event]:
        """Apply one command, all at one time."""
        self._seq += 1
        return self.machine.apply(self._seq, START_NS, command)

    def baron(self, number: int, gpus: int) -> None:
        """One more Baron of the provider."""
        self.do(RegisterBaron(baron=number, provider=PROVIDER, sku="H100-SXM5-80GB", region="us-east"))
        self.do(SetCapacity(baron=number, gpus=gpus, simulated=False))


def order(account: int, instrument: int, side: Side, price_ticks: int, quantity: int, baron: int = 0) -> PlaceOrder:
    """A limit order; on-demand for an hour, in a window of a day."""
    ondemand = instrument == ONDEMAND
    return PlaceOrder(
        account=account,
        instrument=instrument,
        side=side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=price_ticks,
        quantity=quantity,
        hours=1 if ondemand and side is Side.BUY else 0,
        baron=baron,
        max_hours=24 if ondemand and side is Side.SELL else 0,
        delivery=b"key" if side is Side.BUY else b"",
    )


def leases(crowd: Crowd, number: int, gpus_a_baron: int, *, spare: int = 0) -> None:
    """So many active spot leases of one GPU each, at thousands of prices, on Barons that they fill but for `spare` GPUs."""
    for place in range(number):
        baron = 1 + place // gpus_a_baron
        if place % gpus_a_baron == 0:
            crowd.baron(baron, gpus_a_baron + spare)
        crowd.do(order(PROVIDER, SPOT, Side.SELL, LEAST_PAID + place * 7_919 % PRICES, 1, baron))
        for event in crowd.do(order(1 + place % RENTERS, SPOT, Side.BUY, LEAST_PAID + PRICES, 1)):
            if isinstance(event, LeaseScheduled):
                crowd.do(LeaseActive(lease_id=event.lease_id, access=b"port"))


def hours(crowd: Crowd, barons: int) -> None:
    """On each of the first Barons a GPU is sold for a year to come, and another is offered by the hour for a day."""
    year = listed_year(crowd)
    for baron in range(1, barons + 1):
        crowd.do(order(PROVIDER, ONDEMAND, Side.SELL, 3 * MIDDLE, 1, baron))
        crowd.do(order(PROVIDER, year, Side.SELL, MIDDLE, 1, baron))
        crowd.do(order(1 + baron % RENTERS, year, Side.BUY, MIDDLE, 1))


def listed_year(crowd: Crowd) -> int:
    """The instrument of YEAR."""
    (year,) = (listed.instrument for listed in crowd.machine.state.instruments.values() if listed.period == YEAR)
    return year


def yielding(number: int, times: int) -> Took:
    """Bids that displace one lease each, and firm fills that pre-empt one each, among so many running spot leases."""
    crowd = Crowd()
    leases(crowd, number, min(1_000, number))
    displaced = [_timed(crowd, order(NEWCOMER, SPOT, Side.BUY, MIDDLE, 1)) for _ in range(times)]
    preempted = []
    for _ in range(times):
        crowd.do(order(PROVIDER, ONDEMAND, Side.SELL, MIDDLE, 1, 1))
        preempted.append(_timed(crowd, order(NEWCOMER, ONDEMAND, Side.BUY, MIDDLE, 1)))
    return Took(_median_us(displaced), _median_us(preempted))


def year_filled_us(times: int) -> float:
    """Median microseconds of a bid that takes a GPU for a whole year, hours, obligation, escrow and bond counted in."""
    crowd = Crowd()
    crowd.baron(1, times)
    year = listed_year(crowd)
    crowd.do(order(PROVIDER, year, Side.SELL, MIDDLE, times, 1))
    return _median_us([_timed(crowd, order(1 + place % RENTERS, year, Side.BUY, MIDDLE, 1)) for place in range(times)])


def resting(crowd: Crowd, number: int) -> None:
    """So many bids at rest, spot and on-demand by turns, over a few hundred prices."""
    for command in _bids(number):
        crowd.do(command)


def _bids(number: int) -> Iterator[PlaceOrder]:
    for place in range(number):
        instrument = (SPOT, ONDEMAND)[place % 2]
        yield order(1 + place % RENTERS, instrument, Side.BUY, 1 + place * 7_919 % 300, 1)


def _timed(crowd: Crowd, command: Command) -> int:
    before = time.perf_counter_ns()
    crowd.do(command)
    return time.perf_counter_ns() - before


def _median_us(times_ns: list[int]) -> float:
    return sorted(times_ns)[len(times_ns) // 2] / 1_000
