"""The auditor of daily settlement prices: each forward's, from its trades and from what rests (rulebook §11).

It weighs in fractions, and knows the clock of a day by `divmod`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

from engine.kinds import Side
from engine.messages import Event, InstrumentSession, SettlementPrice, Traded
from engine.records import Session
from tests.engine.auditing.records import SeenOrder

DAY_S = 86_400
CLOSES_S = 23 * 3_600
"""A day's trading ends at 23:00 UTC."""
WEIGHED_S = 1_800
"""Its last half-hour is what its price is weighed over."""


class Prices:
    def __init__(self) -> None:
        self.met: Counter[str] = Counter()
        self._now_s = Fraction(0)
        self._last: dict[int, int] = {}
        """By forward that ever traded: its last price."""
        self._weighed: dict[tuple[int, int], list[tuple[int, int]]] = {}
        """By forward and day: (price, GPUs) of the trades in its last half-hour."""
        self._said: set[tuple[int, int]] = set()
        """By forward and day: what was said since the last day that closed."""
        self._day = 0
        """The last day that is closed."""

    def begin(self, now_ns: int) -> None:
        """A command comes."""
        self._now_s = Fraction(now_ns, 10**9)

    def take(self, event: Event, orders: dict[int, SeenOrder], forwards: Iterable[int]) -> None:
        """One event, before anybody else has taken it."""
        match event:
            case Traded() if event.instrument in forwards:
                self._last[event.instrument] = event.price_ticks
                day, second = divmod(self._now_s, DAY_S)
                if CLOSES_S - WEIGHED_S <= second < CLOSES_S:
                    self._weighed.setdefault((event.instrument, day), []).append((event.price_ticks, event.quantity))
            case SettlementPrice():
                self._check(event, orders)
            case InstrumentSession() if event.session is Session.EXPIRED:
                self._last.pop(event.instrument, None)

    def finish(self, *, on_time: bool) -> None:
        """Whatever ever traded has a price of each day. `on_time`: nothing is due, and no command ever came while it was."""
        day = math.floor((self._now_s - CLOSES_S) / DAY_S)
        if day == self._day or not on_time:
            return
        assert {(instrument, day) for instrument in self._last} <= self._said, "each day has its settlement prices"
        self._day = day
        self._said.clear()

    def _check(self, event: SettlementPrice, orders: dict[int, SeenOrder]) -> None:
        weighed = self._weighed.pop((event.instrument, event.day), [])
        quantity = sum(gpus for _, gpus in weighed)
        if weighed:
            price = Fraction(sum(ticks * gpus for ticks, gpus in weighed), quantity)
        else:
            price = _middle(event.instrument, orders) or Fraction(self._last[event.instrument])
        assert (event.price_ticks, event.quantity) == (math.floor(price), quantity), "a day's settlement price"
        self._said.add((event.instrument, event.day))
        self.met["PRICED" if weighed else "PRICED without trades"] += 1


def _middle(instrument: int, orders: dict[int, SeenOrder]) -> Fraction | None:
    """Between the best bid and the best ask that rest."""
    resting = [each for each in orders.values() if each.accepted.instrument == instrument and not each.armed]
    bids = [each.price_ticks for each in resting if each.accepted.side is Side.BUY]
    asks = [each.price_ticks for each in resting if each.accepted.side is Side.SELL]
    return Fraction(max(bids) + min(asks), 2) if bids and asks else None
