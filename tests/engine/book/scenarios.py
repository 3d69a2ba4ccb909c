"""Every scenario of the order book, by name; a book is right when it lives each of them as it is written."""

from __future__ import annotations

from typing import Final

from tests.engine.book.cases import Case
from tests.engine.book.scenarios_band import BANDS
from tests.engine.book.scenarios_checks import CHECKS
from tests.engine.book.scenarios_crowds import CROWDS
from tests.engine.book.scenarios_eligibility import ELIGIBILITY
from tests.engine.book.scenarios_orders import ORDERS
from tests.engine.book.scenarios_own import OWN
from tests.engine.book.scenarios_sessions import SESSIONS
from tests.engine.book.scenarios_stops import STOPS
from tests.engine.book.scenarios_walk import WALKS
from tests.engine.book.scenarios_windows import WINDOWS

_ALL: Final = (*CHECKS, *WALKS, *ORDERS, *ELIGIBILITY, *OWN, *STOPS, *SESSIONS, *WINDOWS, *BANDS, *CROWDS)
SCENARIOS: Final[dict[str, Case]] = {case.name: case for case in _ALL}
if len(SCENARIOS) != len(_ALL):
    raise ValueError("two scenarios have one name: one of them would not be run")
