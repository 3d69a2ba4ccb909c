"""Each scenario on each book: by single calls, in one batch, in batches with hardly any room, and restored at every step."""

from __future__ import annotations

import pytest

from engine.records import unpack_events
from tests.engine.book.cases import BookFactory, Case, run_batch, run_restored, run_single
from tests.engine.book.scenarios import SCENARIOS


@pytest.fixture(params=sorted(SCENARIOS))
def case(request: pytest.FixtureRequest) -> Case:
    return SCENARIOS[request.param]


def test_life(case: Case, make_book: BookFactory) -> None:
    written = run_single(case, make_book)
    assert run_batch(case, make_book, room=10_000) == written

    def unnumbered(events: bytes) -> list[object]:
        return [event._replace(command=0) for event in unpack_events(events)]

    for room in (1, 2):
        assert unnumbered(run_batch(case, make_book, room)) == unnumbered(written)


def test_restored_at_every_step(case: Case, make_book: BookFactory) -> None:
    run_restored(case, make_book)
