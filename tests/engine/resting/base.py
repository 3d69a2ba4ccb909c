"""The base: every check that an order book must pass, by name, whichever implementation makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.engine.resting.orders import BookFactory
from tests.engine.resting.scenarios import SCENARIOS
from tests.engine.resting.walks import BEST_PRICES, WALKS

Check = Callable[[BookFactory], None]


def _named() -> dict[str, Check]:
    checks: dict[str, Check] = {f"walk: {case.name}": case.check for case in WALKS}
    checks |= {f"best price: {case.name}": case.check for case in BEST_PRICES}
    return checks | {scenario.__name__.replace("_", " "): scenario for scenario in SCENARIOS}


BASE: Final = _named()
"""By name; a name that is there twice would hide a check, so the tests count them."""
EXPECTED: Final = len(WALKS) + len(BEST_PRICES) + len(SCENARIOS)
