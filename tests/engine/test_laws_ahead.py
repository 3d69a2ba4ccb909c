"""The laws hold ahead of delivery: random and long seeded lives of resales, releases, failures, covers, outages and credits.

What the auditor predicts of them it predicts only where they happen: so each of these says how much of it a run must meet.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.kinds import Kind
from engine.limits import Limits
from engine.messages import Event, SetCapacity, SetDelivery
from tests.engine import sequences, sequences_ahead, sequences_owed, wishes
from tests.engine.sequences_owed import GPUS, RICH_USD, Turn
from tests.engine.shard import ALICE, BARON, BOB, HOUR, MINUTE, ONDEMAND, PAT, QUINN, SECOND_BARON, SPOT, Shard, bid
from tests.engine.wishes import Failing, Lost, Outage, Outbid, Quit, Release, Resale, Sale, Spare, Upkeep, Wish


def _shard(limits: Limits, start_ns: int) -> Shard:
    shard = Shard(limits, gpus=GPUS, usd=RICH_USD, providers_usd=RICH_USD, start_ns=start_ns)
    sequences.open_up(shard)
    return shard


def _check_met(met: Counter[str], least: dict[str, int]) -> None:
    few = {what: met[what] for what, times in least.items() if met[what] < times}
    assert not few, f"too few for the laws on them to be tried: {few} of {dict(met)}"


LEAST_IN_ALL: Final = {
    "SOLD": 100,
    "RESOLD": 10,
    "RESOLD in part": 5,
    "JOINED": 20,
    "BEGUN": 20,
    "PAID": 500,
    "FAILED": 4,
    "RELEASE": 4,
    "OUTAGE": 2,
    "PRICED": 2,
}
"""How often random lives together meet what they are for, at the very least: a few times as much is usual."""


@pytest.mark.timeout(600)
def test_the_laws_hold_where_what_is_owed_is_resold_released_failed_and_covered() -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])
    @given(
        turns=sequences_owed.turns,
        limits=st.sampled_from([Limits(), Limits(max_term_hours=30), sequences.TIGHT]),
        start_ns=st.sampled_from(sequences_ahead.BEGINS),
    )
    def live(turns: list[Turn], limits: Limits, start_ns: int) -> None:
        shard = _shard(limits, start_ns)
        sequences_owed.hold(shard)
        shard.auditor.every = 8
        events: list[Event] = []
        for turn in turns:
            events += sequences_owed.play(shard, turn)
        shard.wait(2 * HOUR)
        met.update(wishes.met(shard, events))

    live()
    _check_met(met, LEAST_IN_ALL)


LEAST_IN_A_LIFE: Final = {
    "SOLD": 80,
    "RESOLD": 60,
    "RESOLD in part": 40,
    "RESOLD of several": 8,
    "RESOLD HOME": 20,
    "JOINED": 15,
    "LEASED": 80,
    "ADDRESSED": 1,
    "BEGUN": 80,
    "BEGUN with some let": 1,
    "TAKEN OVER": 10,
    "SHRUNK": 8,
    "PAID": 1_500,
    "FAILED": 50,
    "REFUNDED": 1,
    "COVER": 15,
    "COVERED": 15,
    "RELEASE": 15,
    "PREEMPTED": 10,
    "DISPLACED": 3,
    "OUTAGE": 8,
    "CREDIT": 2,
    "PRICED": 20,
    "PRICED without trades": 100,
}
"""How often each of these seeded lives meets what it is there for; about half of what it did when it was written."""


class Life:
    """A seeded life of the same wishes, long enough to go through a month's close with all that it paid."""

    def __init__(self, seed: int, start_ns: int) -> None:
        self.chance = Random(seed)
        self.shard = _shard(Limits(), start_ns)
        self.shard.auditor.every = 20
        self.events: list[Event] = []

    def step(self) -> None:
        wait_ns = self.chance.choice((0,) * 14 + (7 * MINUTE, 58 * MINUTE, HOUR, HOUR, 3 * HOUR, -1))
        self.events += wishes.wait(self.shard, wait_ns)
        self.events += wishes.carry_out(self.shard, self.wish())

    def wish(self) -> Wish:
        makers = (self.sale, self.resale, self.upkeep, self.release, self.rent, self.rarely)
        (maker,) = self.chance.choices(makers, (8, 8, 8, 3, 4, 4))
        return maker()

    def price(self) -> int:
        return 20_000 + self.chance.randint(0, 3)

    def sale(self) -> Wish:
        chance = self.chance
        return Sale(
            buyer=chance.choice((ALICE, BOB)),
            kind=chance.choice((0, 0, 0, 0, 1, 1, 1, 1, 2)),
            number=chance.choice((0, 0, 1, 1, 2)),
            gpus=chance.randint(1, 3),
            price_ticks=self.price(),
            baron=chance.choice((BARON, BARON, SECOND_BARON)),
            keyed=chance.random() < 0.8,
            min_rating=chance.choice((0, 0, 60)),
        )

    def resale(self) -> Wish:
        chance = self.chance
        buyer = chance.choice((ALICE, BOB, QUINN, PAT))
        return Resale(
            chance.randrange(40), chance.randrange(8), chance.randint(1, 3), self.price(), buyer, chance.random() < 0.5
        )

    def release(self) -> Wish:
        chance = self.chance
        kind = chance.choice((Kind.SPOT, Kind.ONDEMAND, Kind.FORWARD))
        return Release(chance.randrange(10), kind, chance.randint(1, 3), self.price() - 5, chance.random() < 0.7)

    def upkeep(self) -> Wish:
        return Upkeep()

    def rent(self) -> Wish:
        chance = self.chance
        if chance.random() < 0.5:
            return Outbid(chance.randrange(10), chance.choice((ALICE, BOB, QUINN)))
        return bid(chance.choice((ALICE, BOB)), 20_010, chance.randint(1, 3), chance.choice((SPOT, SPOT, ONDEMAND)))

    def rarely(self) -> Wish:
        chance = self.chance
        ago_ns = chance.choice((0, MINUTE, 2 * HOUR, 5 * HOUR))
        match chance.randint(0, 11):
            case 0 | 1:
                return Failing(chance.randrange(10), ago_ns)
            case 2:
                return Lost(chance.choice((BARON, SECOND_BARON)), ago_ns)
            case 3:
                return SetCapacity(baron=SECOND_BARON, gpus=chance.choice((3, GPUS, GPUS)), simulated=False)
            case 4 | 5 | 6:
                return Outage(chance.randrange(20), chance.choice((30, 600)), chance.choice((10, 500)))
            case 7:
                return SetDelivery(account=ALICE, obligation_id=chance.randrange(6), delivery=b"key")
            case 8:
                return Quit(chance.randrange(20))
            case _:
                return Spare(chance.choice((4, 8)), 20_500)


@pytest.mark.parametrize(("seed", "begins"), [(1, 1), (2, 3)])
@pytest.mark.timeout(300)
def test_a_long_life_of_what_is_owed_is_lawful_and_meets_all_of_it(seed: int, begins: int) -> None:
    life = Life(seed, sequences_ahead.BEGINS[begins])
    for _ in range(700):
        life.step()
    _check_met(wishes.met(life.shard, life.events), LEAST_IN_A_LIFE)
