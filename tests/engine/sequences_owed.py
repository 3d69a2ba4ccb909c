"""Random lives that trade periods of every length ahead, resell parts of what they are owed, release, fail and are covered.

Where `sequences_ahead` meets the rest of the market with days in it, these mostly wish for what is only ahead.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hypothesis import strategies as st

from engine.kinds import Kind
from engine.messages import Event, SetCapacity, SetDelivery
from tests.engine import wishes
from tests.engine.sequences import MOMENTS, back, commands
from tests.engine.sequences_ahead import either
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, PAT, QUINN, SECOND, SECOND_BARON, Shard
from tests.engine.wishes import Failing, Lost, Outage, Outbid, Quit, Release, Resale, Sale, Spare, Upkeep, Wish

GPUS: Final = 24
RICH_USD: Final = 2_000_000


class Turn(NamedTuple):
    """Time passes, with Ticks in between or without, and then somebody wishes for something."""

    wait_ns: int
    ticked: bool
    wish: Wish


_gpus = st.sampled_from([1, 2, 2, 3, 4])
_prices = st.sampled_from([20_000, 20_001, 20_002])
_holders = st.sampled_from([ALICE, ALICE, BOB])
_barons = st.sampled_from([BARON, BARON, BARON, SECOND_BARON])
_ago = st.sampled_from([0, MINUTE, HOUR, 3 * HOUR, 9 * HOUR])

_sales = st.builds(
    Sale,
    buyer=_holders,
    kind=st.sampled_from([0] * 8 + [1] * 6 + [2, 2, 3, 4]),
    number=st.sampled_from([0, 0, 0, 1]),
    gpus=_gpus,
    price_ticks=_prices,
    baron=_barons,
    keyed=st.sampled_from([True, True, False]),
    min_rating=st.sampled_from([0, 0, 60]),
)
_resales = st.builds(
    Resale,
    back=back,
    period=back,
    gpus=_gpus,
    price_ticks=_prices,
    buyer=st.sampled_from([ALICE, BOB, BOB, QUINN, PAT]),
    keyed=st.booleans(),
)
_releases = st.builds(
    Release,
    back=back,
    kind=st.sampled_from([Kind.SPOT, Kind.ONDEMAND, Kind.FORWARD]),
    gpus=_gpus,
    price_ticks=_prices,
    taken=st.sampled_from([True, True, False]),
)
_outages = st.builds(
    Outage, back=back, minutes_ago=st.sampled_from([1, 60, 600]), minutes=st.sampled_from([1, 30, 500])
)
_failures = st.one_of(
    st.builds(Failing, back=back, ago_ns=_ago),
    st.builds(Failing, back=back, ago_ns=_ago),
    st.builds(Lost, baron=_barons, ago_ns=_ago),
    st.builds(
        SetCapacity,
        baron=st.sampled_from([BARON, SECOND_BARON]),
        gpus=st.sampled_from([3, 8, GPUS, GPUS]),
        simulated=st.just(False),
    ),
)
_spares = st.builds(Spare, gpus=st.sampled_from([4, 8]), price_ticks=st.sampled_from([20_010, 20_500, 22_500]))
_outbids = st.builds(Outbid, back=back, buyer=st.sampled_from([ALICE, BOB, QUINN]))
_keys = st.builds(SetDelivery, account=_holders, obligation_id=back, delivery=st.just(b"key"))
_quits = st.builds(Quit, back=back)
_upkeep = st.just(Upkeep())

_wishes: st.SearchStrategy[Wish] = either(
    _sales, _sales, _sales, _resales, _resales, _resales, _releases, _outages, _failures, _spares, _outbids, _keys, _quits,
    _upkeep, _upkeep, _upkeep, commands, commands,
)  # fmt: skip

turns: st.SearchStrategy[list[Turn]] = st.lists(
    st.builds(
        Turn,
        # The last is up to a day's last half-hour of trading.
        wait_ns=st.sampled_from([0] * 14 + [*MOMENTS, 7 * SECOND, HOUR, 5 * HOUR, -1]),
        ticked=st.sampled_from([True] * 9 + [False]),
        wish=_wishes,
    ),
    min_size=30,
    max_size=60,
)


def hold(shard: Shard) -> None:
    """Alice and Bob hold two days, a week and a month of two Barons when the first of them begins, most with a key."""
    for kind, numbers in ((0, (0, 1)), (1, (0, 1)), (2, (0,))):
        for number in numbers:
            for buyer, gpus in ((ALICE, 3), (BOB, 2), (ALICE, 1)):
                baron = SECOND_BARON if kind == 1 else BARON
                sale = Sale(buyer, kind, number, gpus, 20_000 + gpus % 2, baron, keyed=gpus > 1, min_rating=gpus * 20)
                wishes.carry_out(shard, sale)
    begins_h = min(each.said.start_h for each in shard.auditor.owing.owed.values())
    shard.wait(begins_h * HOUR - shard.now_ns)
    wishes.carry_out(shard, Upkeep())


def play(shard: Shard, turn: Turn) -> list[Event]:
    """Let the time pass, and have somebody do what it wishes for; what the auditor finds wrong is raised."""
    events = wishes.wait(shard, turn.wait_ns, tick=turn.ticked)
    return events + wishes.carry_out(shard, turn.wish, tick=turn.ticked)
