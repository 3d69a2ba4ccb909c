"""Random lives that trade days ahead, too, and resell them, while the days come and go."""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

from hypothesis import strategies as st

from engine.kinds import LeaseState, OrderType, Side, TimeInForce
from engine.messages import LeaseActive, PlaceOrder, SetDelivery
from tests.engine.sequences import AHEAD, MOMENTS, Step, accounts, back, commands, lives, quantities, reports, resolve
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, ONDEMAND, PAT, SECOND, SECOND_BARON, SPOT, Shard

BEGINS: Final = tuple(
    int(datetime.fromisoformat(begins).timestamp()) * SECOND
    for begins in (
        "2026-11-29T21:00+00:00",  # a month's last days
        "2026-12-27T22:00+00:00",  # before 2026-W53, and the year's end
        "2027-12-31T05:00+00:00",
        "2028-02-28T20:00+00:00",  # before a leap day
        "2028-02-29T22:00+00:00",
    )
)
"""When lives begin that go over a calendar's edges."""


T = TypeVar("T")


def either(*strategies: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """One of these, each as often as any other: `one_of` counts each branch of one that is of many itself."""
    return st.sampled_from(strategies).flatmap(lambda strategy: strategy)


def _forward(account: int, side: Side, days: int, price_ticks: int, quantity: int, baron: int) -> PlaceOrder:
    return PlaceOrder(
        account=account,
        instrument=AHEAD + days,
        side=side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=price_ticks,
        quantity=quantity,
        baron=baron if side is Side.SELL else 0,
        delivery=b"key" if side is Side.BUY and quantity % 2 else b"",
    )


def _sublet(account: int, kind: int, hours: int, price_ticks: int, quantity: int) -> PlaceOrder:
    """Hours that may have been bought, sold on from now on."""
    return PlaceOrder(
        account=account,
        instrument=kind,
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price_ticks=price_ticks,
        quantity=quantity,
        baron=BARON,
        max_hours=hours if kind == ONDEMAND else 0,
        reduce_only=quantity % 2 == 0,
    )


_days = st.sampled_from([0, 0, 0, 1])
_forward_prices = st.sampled_from([3_000, 3_001, 3_003])
"""Low enough that a day of some GPUs can be paid for."""
_sublets = st.builds(
    _sublet,
    st.sampled_from([ALICE, ALICE, BOB]),
    st.sampled_from([SPOT, ONDEMAND]),
    st.sampled_from([2, 5, 30]),
    st.sampled_from([20_000, 20_001]),
    quantities,
)
_forwards = st.one_of(
    st.builds(_forward, st.just(PAT), st.just(Side.SELL), _days, _forward_prices, quantities, st.just(BARON)),
    st.builds(_forward, st.just(PAT), st.just(Side.SELL), _days, _forward_prices, quantities, st.just(SECOND_BARON)),
    st.builds(_forward, accounts, st.just(Side.BUY), _days, _forward_prices, quantities, st.just(0)),
    st.builds(
        _forward, st.sampled_from([ALICE, BOB]), st.just(Side.SELL), _days, _forward_prices, quantities, st.just(BARON)
    ),
    _sublets,
    st.builds(SetDelivery, account=st.sampled_from([ALICE, BOB]), obligation_id=back, delivery=st.just(b"key")),
)

steps_ahead: st.SearchStrategy[list[Step]] = lives(
    either(commands, _forwards, _forwards, reports), [0] * 9 + [*MOMENTS, 7 * MINUTE, HOUR, 5 * HOUR, 26 * HOUR]
)

steps_let: st.SearchStrategy[list[Step]] = lives(
    either(commands, _sublets, _sublets, _forwards, reports), [0] * 9 + [*MOMENTS, 7 * MINUTE, HOUR, 5 * HOUR]
)


def hold(shard: Shard) -> None:
    """Alice and Bob hold hours of a Baron that run, each with a lease of its own, and the next day's, too."""
    for quantity, account in ((3, ALICE), (2, ALICE), (2, BOB)):
        for days in (0, 1):
            sold, bought = (_forward(each, side, days, 3_000, quantity, BARON) for each, side in _sides(account))
            shard.do(resolve(shard, sold))
            shard.do(resolve(shard, bought))
    begins_h = min(each.start_h for each in shard.machine.state.obligations.values())
    shard.wait(begins_h * HOUR - shard.now_ns)
    for lease_id in tuple(shard.machine.state.leases):
        if shard.machine.state.leases[lease_id].state is LeaseState.PROVISIONING:
            shard.do(LeaseActive(lease_id=lease_id, access=b"port"))


def _sides(buyer: int) -> tuple[tuple[int, Side], tuple[int, Side]]:
    return (PAT, Side.SELL), (buyer, Side.BUY)
