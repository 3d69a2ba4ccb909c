"""The record of a forward's obligation: a row of the shard's table of them (rulebook §8).

What is done with it is `engine.obligations` and `engine.obligation_hours`; here is only what it is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from engine.units import MICROS_PER_TICK, NS_PER_HOUR


class Part(NamedTuple):
    """So many GPUs in each hour of [start_h, end_h)."""

    start_h: int
    end_h: int
    quantity: int

    @property
    def gpu_hours(self) -> int:
        return self.quantity * (self.end_h - self.start_h)


class Conditions(NamedTuple):
    """What a bid asked of the Baron that it buys from (§5); a cover asks for the same (§8)."""

    features: int = 0
    min_rating: int = 0
    same_baron: bool = False


NO_CONDITIONS: Final = Conditions()


class Obligation(msgspec.Struct, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """What a forward's provider owes its holder: `quantity` GPUs of a Baron in each hour of [start_h, end_h) (§8).

    Hours that were paid are no part of it any more. What is in escrow for it follows from its terms; its bond doesn't, for
    shares of it are rounded.
    """

    obligation_id: int
    provider: int
    """Always the Baron's."""
    holder: int
    baron: int
    instrument: int
    """In which the holder bought it."""
    quantity: int
    start_h: int
    """The first hour that isn't paid yet."""
    end_h: int
    price_ticks: int
    """Of the hours' first sale: what is in escrow for each GPU-hour."""
    bond_micros: int
    delivery: bytes = b""
    """Empty until its holder gives one; until then it has no lease that starts."""
    conditions: Conditions = NO_CONDITIONS
    """Its holder's, when it bought."""
    lease_id: int = 0
    due_ns: int = 0
    """Its next timer: its first hour's start, then the end of the hour that runs; 0: none."""

    @property
    def gpu_hours(self) -> int:
        return self.quantity * (self.end_h - self.start_h)

    @property
    def escrow_micros(self) -> int:
        return self.price_ticks * MICROS_PER_TICK * self.gpu_hours

    @property
    def running(self) -> bool:
        """Its first hour has begun."""
        return self.due_ns > self.start_h * NS_PER_HOUR
