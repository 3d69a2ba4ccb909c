"""Each canary is caught: by the comparison with the true plain book, and by the laws alone where it breaks one."""

from __future__ import annotations

import os
import random

import pytest

from engine.book import BookLimits
from engine.book_plain import PlainBook
from tests.engine.book.canaries import CANARIES, Canary, RestingIoc
from tests.engine.book.differential import run, run_segment
from tests.engine.book.differential_pair import BookFactory, Difference, Pair, plan
from tests.engine.book.flows import Segment, segments
from tests.engine.book.flows_regimes import REGIMES
from tests.engine.book.laws import Breach
from tests.engine.book.laws_audit import audited

COMMANDS = 30_000
TRUE_COMMANDS = 1_000
SEED = 3
NAMES = [canary.book.__name__ for canary in CANARIES]


def lived(book: BookFactory, canary: Canary, commands: int) -> None:
    for segment in segments(SEED, commands, canary.regime, canary.sizes):
        steps = list(plan(random.Random(segment.number), segment.commands))
        Pair(segment.limits, PlainBook, book).run(steps)


def under_the_laws(book: BookFactory, canary: Canary, commands: int) -> None:
    for segment in segments(SEED, commands, canary.regime, canary.sizes):
        audited(segment, book)


def test_there_are_canaries_for_every_part() -> None:
    assert len({canary.book for canary in CANARIES}) == len(CANARIES) >= 12
    assert {canary.regime for canary in CANARIES} <= set(REGIMES)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("canary", CANARIES, ids=NAMES)
def test_the_comparison_catches_it(canary: Canary) -> None:
    """And passes the true book over the flow's beginning."""
    lived(PlainBook, canary, TRUE_COMMANDS)
    with pytest.raises((Difference, KeyError)):
        lived(canary.book, canary, COMMANDS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "canary", [canary for canary in CANARIES if canary.breaks_a_law], ids=lambda c: c.book.__name__
)
def test_the_laws_catch_it(canary: Canary) -> None:
    under_the_laws(PlainBook, canary, TRUE_COMMANDS)
    with pytest.raises(Breach):
        under_the_laws(canary.book, canary, COMMANDS)


def usual_segment() -> Segment:
    """A plain life under the rulebook's limits."""
    return next(segments(SEED, 3_000, "plain", (3_000,)))._replace(limits=BookLimits())


def test_what_differs_is_shrunk_to_a_readable_table() -> None:
    segment = usual_segment()
    with pytest.raises(AssertionError) as caught:
        run_segment(segment, RestingIoc)
    text = str(caught.value)
    lines = text.splitlines()
    assert f"seed {SEED}, segment 0" in lines[0]
    commands = [line for line in lines if " NEW " in line]
    assert len(commands) == 1
    assert "limit ioc" in commands[0]
    assert any(line.strip().startswith("- CANCELED") and "ioc_remainder" in line for line in lines)


@pytest.mark.timeout(300)
def test_a_book_that_dies_is_shrunk_too() -> None:
    class Dying(PlainBook):
        """Dies of its third order."""

        def __len__(self) -> int:
            if len(self._orders) >= 3:
                raise MemoryError("no more room")
            return super().__len__()

    segment = usual_segment()
    with pytest.raises(AssertionError, match="no more room") as caught:
        run_segment(segment, Dying)
    assert len([line for line in str(caught.value).splitlines() if " NEW " in line]) == 3


@pytest.mark.timeout(300)
def test_a_book_that_crashes_is_shrunk_in_a_process_of_its_own() -> None:
    class Crashing(PlainBook):
        """Takes its whole process along."""

        def __len__(self) -> int:
            if len(self._orders) >= 3:
                os._exit(11)
            return super().__len__()

    segment = usual_segment()
    with pytest.raises(AssertionError, match="a book dies of it") as caught:
        run_segment(segment, Crashing, isolated=True)
    assert len([line for line in str(caught.value).splitlines() if line.startswith("NEW ")]) == 3


def test_equal_books_are_equal() -> None:
    assert run(SEED, 2_000, PlainBook) == 2_000
