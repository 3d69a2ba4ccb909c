"""Every scenario of the order book, by name; a book is right when it lives each of them as it is written."""

from __future__ import annotations

from typing import Final

from tests.engine.book.cases import Case
from tests.engine.book.scenarios_checks import CHECKS

_ALL: Final = (*CHECKS,)
SCENARIOS: Final[dict[str, Case]] = {case.name: case for case in _ALL}
if len(SCENARIOS) != len(_ALL):
    raise ValueError("two scenarios have one name: one of them would not be run")
