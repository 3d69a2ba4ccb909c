"""The fast book gives what the plain one gives: millions of random commands over every feature, and short lives in words."""

from __future__ import annotations

import re

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from engine.book_plain import PlainBook
from engine.records import COMMAND_BYTES
from tests.engine.book.canaries import IcebergKeepsPriority, RestingIoc
from tests.engine.book.differential import again, fresh_seed, main, run
from tests.engine.book.differential_machine import against
from tests.engine.book.differential_pair import BookFactory, fast_book
from tests.engine.book.flows import segments
from tests.engine.book.flows_regimes import REGIMES

SEEDS = range(1, 5)
"""The same in every run, so that what one says the next can compare."""
FRESH = 6
"""Seeds that no run had before."""
COMMANDS = 190_000
CROWD_COMMANDS = 40_000
REGIME_COMMANDS = 10_000
LIVES = 20
"""One of so many finds a canary that one alone finds nine times of ten."""
LEAST = 2_000_000


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed {seed}")
def test_a_long_life_of_everything(seed: int) -> None:
    """`python -m tests.engine.book.differential --commands N --seed S` runs the same for as long as one likes."""
    assert run(seed, COMMANDS, fast_book()) == COMMANDS


def live_anew(capsys: pytest.CaptureFixture[str], commands: int, other: BookFactory, only: str = "") -> int:
    """Commands of a fresh seed, which is said first: should the run die of it, it is known."""
    seed = fresh_seed()
    with capsys.disabled():
        print(f"\n{again(seed, commands, only)}", flush=True)
    return run(seed, commands, other, only)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(FRESH))
def test_a_long_life_that_no_run_had_before(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert live_anew(capsys, COMMANDS, fast_book()) == COMMANDS


def live_until_it_differs(capsys: pytest.CaptureFixture[str]) -> None:
    """Fresh lives with the canary, until it is caught."""
    for _ in range(LIVES):
        live_anew(capsys, REGIME_COMMANDS, IcebergKeepsPriority, "icebergs")


def test_a_fresh_life_that_differs_is_shrunk_to_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError) as caught:
        live_until_it_differs(capsys)
    head, *table, last = str(caught.value).splitlines()
    seed = re.fullmatch(r"the books differ: seed (\d+), segment \d+, \d+ commands; shrunk to:", head)
    assert seed is not None
    assert last == f"again: {again(int(seed[1]), REGIME_COMMANDS, 'icebergs')}"
    assert 0 < sum("NEW" in line for line in table) < 10
    assert any(line.startswith("Difference: step ") for line in table)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("regime", REGIMES)
def test_a_life_of_one_kind(regime: str) -> None:
    assert run(99, REGIME_COMMANDS, fast_book(), regime) == REGIME_COMMANDS


@pytest.mark.timeout(600)
def test_a_crowd_lives_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    """So many orders at once that the fast book's table of ids grows by and by, and is fetched ahead."""
    assert live_anew(capsys, CROWD_COMMANDS, fast_book(), "crowd") == CROWD_COMMANDS


def test_a_crowd_is_one() -> None:
    (segment,) = segments(1, CROWD_COMMANDS, "crowd")
    book = fast_book()(segment.limits)
    live = 0
    for at in range(0, len(segment.commands), 100 * COMMAND_BYTES):
        book.batch(segment.commands[at : at + 100 * COMMAND_BYTES], bytearray(1 << 20))
        live = max(live, len(book))
    assert live > 20_000


def test_it_is_two_million_commands() -> None:
    assert (len(SEEDS) + FRESH) * COMMANDS + len(REGIMES) * REGIME_COMMANDS >= LEAST


def test_a_seed_gives_the_same_flow_again() -> None:
    assert list(segments(5, 3_000)) == list(segments(5, 3_000))
    assert next(segments(5, 3_000)).commands != next(segments(6, 3_000)).commands


@pytest.mark.timeout(300)
def test_short_lives_in_words() -> None:
    machine = against(fast_book())
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=40))


def test_short_lives_catch_a_canary() -> None:
    machine = against(RestingIoc)
    # Many times what it takes: the lives are new ones each time, and end at the first that differs.
    found = settings(max_examples=1_000, stateful_step_count=40, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=found)


def test_by_hand_it_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--commands", "2000", "--each", "1000", "--seed", "7"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "seed 7: equal, 1,000 commands so far",
        "seed 8: equal, 2,000 commands so far",
    ]


def test_by_hand_it_shows_what_differs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.engine.book.differential.fast_book", lambda: IcebergKeepsPriority)
    assert main(["--commands", "2000", "--seed", "7", "--only", "icebergs"]) == 1
    out = capsys.readouterr().out
    assert "the books differ: seed 7, segment " in out
    assert "display_quantity=" in out
    assert PlainBook.__name__ not in out
