"""Random lives that trade days ahead, too, and resell them, while the days come and go."""

from __future__ import annotations

from hypothesis import strategies as st

from engine.kinds import OrderType, Side, TimeInForce
from engine.messages import PlaceOrder, SetDelivery
from tests.engine.sequences import AHEAD, MOMENTS, Step, accounts, back, commands, lives, quantities, reports
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, PAT, SECOND_BARON


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


_days = st.sampled_from([0, 0, 0, 1])
_forward_prices = st.sampled_from([3_000, 3_001, 3_003])
"""Low enough that a day of some GPUs can be paid for."""
_forwards = st.one_of(
    st.builds(_forward, st.just(PAT), st.just(Side.SELL), _days, _forward_prices, quantities, st.just(BARON)),
    st.builds(_forward, st.just(PAT), st.just(Side.SELL), _days, _forward_prices, quantities, st.just(SECOND_BARON)),
    st.builds(_forward, accounts, st.just(Side.BUY), _days, _forward_prices, quantities, st.just(0)),
    st.builds(
        _forward, st.sampled_from([ALICE, BOB]), st.just(Side.SELL), _days, _forward_prices, quantities, st.just(BARON)
    ),
    st.builds(SetDelivery, account=st.sampled_from([ALICE, BOB]), obligation_id=back, delivery=st.just(b"key")),
)

steps_ahead: st.SearchStrategy[list[Step]] = lives(
    st.one_of(commands, _forwards, _forwards, reports), [0] * 9 + [*MOMENTS, 7 * MINUTE, HOUR, 5 * HOUR, 26 * HOUR]
)
