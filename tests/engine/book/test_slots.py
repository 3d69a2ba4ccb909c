"""What an order took of the fast book is free again once it is gone, whatever it was and however it went."""

from __future__ import annotations

import pytest

from tests.engine.book.differential_pair import fast_book
from tests.engine.book.slots import leaks


@pytest.mark.parametrize("batches", [False, True], ids=["one by one", "by batches with deltas"])
def test_thirty_rounds_of_every_rare_kind_leave_nothing(batches: bool) -> None:
    assert leaks(fast_book(), batches=batches) == ""
