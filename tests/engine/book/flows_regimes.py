"""What a stretch of a random flow is made of: mixes of ops, prices, accounts and paces, and the shapes of its orders.

Each regime crowds one part of the rulebook; in `wild` all of them meet. Orders are drawn in advance as rows, so that making a
command costs little; one row in eight is careless and mostly refused.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

from engine.kinds import OrderType, Side, TimeInForce
from engine.records import Flag, Op, SelfTrade, Session, shape_of
from engine.units import NS_PER_HOUR, NS_PER_S

NS: Final = (1, 1, 20, 1_000)
SECONDS: Final = (1, 1_000_000, NS_PER_S, 7 * NS_PER_S)
MINUTES: Final = (NS_PER_S, 60 * NS_PER_S, 121 * NS_PER_S, 11 * 60 * NS_PER_S)
TO_THE_MINUTE: Final = -1
TO_THE_HOUR: Final = -2
"""Waits until the next full one: there windows close and the reference moves on."""
HOURS: Final = (TO_THE_HOUR, TO_THE_MINUTE, 60 * NS_PER_S, 20 * 60 * NS_PER_S, NS_PER_HOUR, 5 * NS_PER_HOUR)
ANY_WAIT: Final = (*NS, *SECONDS, *MINUTES, *HOURS)

CALM: Final = (Session.CONTINUOUS,)
"""Ends the auctions that the band opens; else it changes nothing."""
BUSY: Final = (Session.PRE_OPEN, *(Session.AUCTION,) * 4, Session.HALTED, *(Session.CONTINUOUS,) * 9, 0, 6)

SMALL: Final = (1, 1, 2, 2, 3, 4, 5, 6, 8, 12)
LARGE: Final = (1, 5, 16, 64, 100, 640, 5_000, 100_000)
HUGE: Final = (1, 100_000, 2**31 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 1)
"""Two of them are more than a field of 32 bits holds."""
ODD: Final = (0, 1, 2, 8, 100_000, 100_001, 2**31 - 1, 2**31, 2**32 - 1)


class Row(NamedTuple):
    """A NEW record but for its id, time, account and prices; `rest` are its last fields in the record's order."""

    quantity: int
    display_quantity: int
    min_quantity: int
    window_h: int
    """From now; 0: none."""
    lean: int
    """From the middle of the prices, as the stop price's."""
    stop_lean: int
    unpriced: bool
    is_stop: bool
    lasts: bool
    """Whether it may rest, or wait as a stop does."""
    rest: tuple[int, ...]


class Regime(NamedTuple):
    """A mix. Shares are of 1; `other_ops` are drawn evenly when it isn't a NEW."""

    new_share: float = 0.62
    other_ops: Sequence[int] = (Op.CANCEL,) * 16 + (Op.AMEND,) * 10 + (Op.REDUCE,) * 2 + (Op.SET_SESSION,)
    spread: int = 4
    lean: int = 1
    """How far bids stand below the middle, asks above."""
    stop_away: int = 2
    """How far beyond the middle stops wait: buys above, sells below."""
    jump: float = 0.1
    drift: float = 0.01
    """The middle's share of commands in which it moves a few ticks: what waited there is met in a crowd."""
    accounts: int = 5
    memory: int = 24
    quantities: Sequence[int] = SMALL
    pace: float = 0.3
    waits_ns: Sequence[int] = NS
    types: Sequence[OrderType] = (OrderType.LIMIT,) * 8 + (OrderType.MARKET,)
    lasting: float = 0.75
    iceberg: float = 0.05
    conditional: float = 0.05
    minimum: float = 0
    """The share that asks for a minimum and nothing else: where it is an iceberg, its slices end before they are empty."""
    windows: float = 0.05
    modes: Sequence[SelfTrade] = (SelfTrade.CANCEL_NEWEST, *SelfTrade)
    sessions: Sequence[int] = CALM
    careless: float = 0.03
    middle: int = 0
    """Where the prices stay; 0: anywhere."""


_STOPS: Final = (OrderType.LIMIT,) * 3 + (OrderType.MARKET,) + (OrderType.STOP,) * 3 + (OrderType.STOP_LIMIT,) * 3
_ALL_OPS: Final = (
    *(Op.CANCEL,) * 60,
    *(Op.AMEND,) * 60,
    *(Op.REDUCE,) * 10,
    *(Op.MOVE_WINDOW,) * 10,
    *(Op.SET_BARON,) * 10,
    *(Op.SET_SESSION,) * 8,
    *(Op.TICK,) * 8,
    *(Op.FIRE,) * 6,
    *(Op.MASS_CANCEL,) * 2,
    *(0,) * 12,
)
_AUCTION_OPS: Final = (Op.CANCEL,) * 12 + (Op.AMEND,) * 12 + (Op.SET_SESSION,) * 4 + (Op.TICK,) * 3 + (Op.REDUCE,)
_ELIGIBLE_OPS: Final = (
    *(Op.CANCEL,) * 12,
    *(Op.AMEND,) * 10,
    *(Op.MOVE_WINDOW,) * 4,
    *(Op.SET_BARON,) * 4,
    Op.SET_SESSION,
)

REGIMES: Final[dict[str, Regime]] = {
    "opening": Regime(types=(OrderType.LIMIT,), lasting=1.0, lean=0, conditional=0, iceberg=0.2, windows=0),
    "plain": Regime(iceberg=0, conditional=0, windows=0, careless=0),
    "deep": Regime(new_share=0.8, spread=30, lean=28, memory=4_000, quantities=LARGE, iceberg=0.2),
    "wide": Regime(spread=100_000, lean=2_000, jump=0.8, memory=500, quantities=LARGE),
    "moves": Regime(
        new_share=0.15,
        other_ops=(Op.AMEND,) * 40 + (Op.CANCEL,) * 3 + (Op.SET_SESSION,),
        spread=40,
        lean=25,
        memory=200,
    ),
    "icebergs": Regime(iceberg=0.6, minimum=0.2, spread=2, quantities=(*SMALL, *LARGE), lasting=0.6),
    "eligible": Regime(
        other_ops=_ELIGIBLE_OPS,
        conditional=0.6,
        windows=0.4,
        waits_ns=(*NS, *HOURS),
        pace=0.06,
        lasting=0.65,
        iceberg=0.15,
    ),
    "stops": Regime(
        types=_STOPS,
        spread=3,
        lean=0,
        stop_away=5,
        drift=0.05,
        conditional=0.1,
        other_ops=(Op.CANCEL,) * 8 + (Op.AMEND,) * 8 + (Op.TICK,) * 4 + (Op.FIRE,) * 8 + (Op.SET_SESSION,),
    ),
    "sessions": Regime(
        other_ops=_AUCTION_OPS, sessions=BUSY, types=(OrderType.LIMIT,) * 15 + _STOPS, waits_ns=SECONDS, lasting=0.92
    ),
    "ties": Regime(
        new_share=0.84,
        other_ops=(Op.SET_SESSION,) * 10 + (Op.CANCEL,) * 3 + (Op.AMEND,),
        sessions=(Session.AUCTION, Session.PRE_OPEN, Session.CONTINUOUS, Session.CONTINUOUS),
        types=(OrderType.LIMIT,),
        lasting=1.0,
        spread=9,
        lean=0,
        drift=0.1,
        accounts=40,
        quantities=(5, 5, 5, 10),
        iceberg=0,
        conditional=0,
        windows=0,
        waits_ns=(*SECONDS, *MINUTES, NS_PER_HOUR),
        pace=0.05,
        careless=0,
    ),
    "windows": Regime(
        other_ops=(*_AUCTION_OPS, *(Op.MOVE_WINDOW,) * 6),
        sessions=BUSY,
        windows=0.6,
        lean=0,
        conditional=0.1,
        waits_ns=(*NS, *NS, *NS, *HOURS),
        lasting=0.92,
    ),
    "bands": Regime(
        spread=45,
        lean=5,
        jump=0.7,
        other_ops=_AUCTION_OPS,
        waits_ns=(*SECONDS, *MINUTES),
        pace=0.4,
        sessions=(3, 3, 3, 2),
    ),
    "selves": Regime(accounts=3, spread=2, lean=0, iceberg=0.2, minimum=0.3, modes=tuple(SelfTrade), sessions=BUSY),
    "huge": Regime(
        other_ops=_AUCTION_OPS,
        types=(*_STOPS, *(OrderType.LIMIT,) * 12),
        sessions=BUSY,
        spread=40,
        iceberg=0.2,
        quantities=HUGE,
        waits_ns=(*SECONDS, *MINUTES),
    ),
    "wild": Regime(
        other_ops=_ALL_OPS,
        types=(*_STOPS, *(OrderType.LIMIT,) * 8),
        iceberg=0.2,
        conditional=0.2,
        windows=0.15,
        pace=0.2,
        waits_ns=ANY_WAIT,
        quantities=(*SMALL, *SMALL, *LARGE, *ODD),
        sessions=(*BUSY, *BUSY, Session.CONTINUOUS),
        careless=0.12,
    ),
}


ALONE: Final[dict[str, Regime]] = {
    "crowd": Regime(
        new_share=0.86,
        other_ops=(Op.CANCEL,) * 6 + (Op.AMEND,) * 6 + (Op.REDUCE,),
        spread=3_000,
        lean=2_950,
        accounts=5_000,
        memory=40_000,
        iceberg=0.02,
        conditional=0.01,
        windows=0.01,
        lasting=0.96,
        drift=0,
        jump=0,
        careless=0.01,
        middle=1_000_000,
    ),
}
"""What takes a whole long life of its own, under the rulebook's limits: here so many orders live at once that the fast book's
table of ids grows by and by, and is fetched ahead."""


def new_rows(chance: random.Random, regime: Regime, count: int) -> list[Row]:
    """Shapes of orders as the regime likes them."""
    return [
        _careless(chance, regime) if chance.random() < regime.careless else _row(chance, regime) for _ in range(count)
    ]


def _row(chance: random.Random, regime: Regime) -> Row:
    side = chance.choice([Side.BUY, Side.SELL])
    order_type = chance.choice(regime.types)
    lasting = chance.random() < regime.lasting
    quantity = chance.choice(regime.quantities)
    display = min_quantity = hours = lot = rating = features = flags = baron = window_h = 0
    mode = chance.choice(regime.modes)
    if order_type is OrderType.MARKET or not lasting:
        time_in_force = chance.choice([TimeInForce.IOC, TimeInForce.IOC, TimeInForce.FOK])
    else:
        time_in_force = TimeInForce.GTC
    if side is Side.SELL:
        baron = chance.randrange(4)
        window_h = chance.choice([1, 2, 3, 6]) if chance.random() < regime.windows else 0
    if chance.random() < regime.conditional:
        hours = chance.choice([0, 1, 2, 3]) if chance.random() < 0.5 else 0
        min_quantity = chance.choice([0, 1, 2, 3]) if chance.random() < 0.5 else 0
        if side is Side.BUY:
            rating = chance.choice([0, 0, 30, 60, 100])
            features = chance.choice([0, 0, 0, 1, 2, 3])
            flags = Flag.SAME_BARON if chance.random() < 0.2 else 0
        else:
            lot = chance.choice([0, 0, 1, 2, 3, 8])
    elif regime.minimum and chance.random() < regime.minimum:
        min_quantity = chance.choice([2, 3, 4])
    min_quantity = min(min_quantity, quantity)
    if lot > 1:
        quantity = max(lot, quantity - quantity % lot)
    if chance.random() < regime.iceberg and not flags:
        display = max(1, min(quantity, chance.choice([1, 1, 2, 3, 10, 2_000])), -(-quantity // 64), min_quantity)
        display += -display % max(1, lot)
    if mode is SelfTrade.DECREMENT and (lot > 1 or min_quantity > 1 or flags):
        mode = SelfTrade.CANCEL_OLDEST
    if order_type is OrderType.LIMIT and time_in_force is TimeInForce.GTC and chance.random() < 0.08:
        flags |= Flag.POST_ONLY
    is_stop = order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
    unpriced = (order_type is OrderType.MARKET and chance.random() < 0.7) or (
        order_type is OrderType.STOP and side is Side.SELL and chance.random() < 0.7
    )
    shape = shape_of(side, order_type, time_in_force, mode)
    rest = (baron, chance.randrange(3), features, hours, lot, rating, 0, Op.NEW, shape, flags, 0)
    away = -regime.lean if side is Side.BUY else regime.lean
    if order_type is not OrderType.LIMIT or time_in_force is not TimeInForce.GTC:
        away = -away
    lasts = is_stop or time_in_force is TimeInForce.GTC
    stop_lean = regime.stop_away if side is Side.BUY else -regime.stop_away
    return Row(quantity, display, min_quantity, window_h, away, stop_lean, unpriced, is_stop, lasts, rest)


def _careless(chance: random.Random, regime: Regime) -> Row:
    """Fields drawn without regard to each other."""
    rest = (
        chance.choice([0, 0, 1, 2]),
        chance.randrange(3),
        chance.choice([0, 0, 1, 0xFFFF]),
        chance.choice([0, 0, 1, 2, 0xFFFF]),
        chance.choice([0, 0, 1, 2, 0xFFFF]),
        chance.choice([0, 0, 50, 100, 101, 255]),
        0,
        Op.NEW,
        chance.choice([chance.randrange(128), chance.randrange(128), chance.getrandbits(8)]),
        chance.choice([0, 0, 0, 1, 2, 3, 4, 128]),
        chance.choice([0] * 20 + [1]),
    )
    return Row(
        quantity=chance.choice(ODD),
        display_quantity=chance.choice([0, 0, *ODD]),
        min_quantity=chance.choice([0, 0, *ODD]),
        window_h=chance.choice([0, 0, 1, 744]),
        lean=chance.choice([0, 0, 0, -100, 10_000_000]),
        stop_lean=chance.choice([0, 0, -(2**31), 10_000_000]) // 2,
        unpriced=chance.random() < 0.1,
        is_stop=chance.random() < 0.5,
        lasts=True,
        rest=rest,
    )
