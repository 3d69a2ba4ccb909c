"""Both books pass the base, and answer alike whatever is asked of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from engine.books import fast_book_factory
from engine.kinds import Side
from engine.resting import Resting, Taker
from engine.resting_plain import PlainBook
from tests.engine.resting.base import BASE, EXPECTED
from tests.engine.resting.differential import against, answer
from tests.engine.resting.orders import NOW, BookFactory, after, contents

FastBook = fast_book_factory()
BOOKS = {"plain": PlainBook, "fast": FastBook}


@pytest.mark.parametrize("name", BASE)
@pytest.mark.parametrize("factory", BOOKS.values(), ids=BOOKS)
def test_the_base(factory: BookFactory, name: str) -> None:
    BASE[name](factory)


def test_no_check_hides_another() -> None:
    assert len(BASE) == EXPECTED


def test_the_fast_book_answers_as_the_plain_one() -> None:
    run_state_machine_as_test(against(FastBook), settings=settings(max_examples=100, stateful_step_count=40))


@pytest.mark.parametrize("spread", [2, 60, 4_000], ids=lambda spread: f"{spread} prices")
@pytest.mark.parametrize("seed", range(3), ids=lambda seed: f"seed {seed}")
def test_they_answer_alike_through_a_long_day(seed: int, spread: int) -> None:
    """Thousands of orders come and go: pools grow, slots are used again, and the table's gaps close."""
    chance = random.Random(seed)
    plain, fast = PlainBook(), FastBook()
    live: list[int] = []

    def same(call: str, *arguments: object) -> object:
        first, second = answer(plain, call, *arguments), answer(fast, call, *arguments)
        assert first == second, (call, arguments)
        return first

    for number in range(1, 6_001):
        side, account = chance.choice([Side.BUY, Side.SELL]), chance.randint(1, 5)
        window_end_ns = chance.choice([0, after(2), after(5)])
        # The day fills the book, then empties it.
        if chance.random() < (0.7 if number < 3_500 else 0.2):
            order_id = chance.choice([number, number << 20, chance.getrandbits(62)])
            price_ticks = 1_000 + chance.randint(0, spread) - (spread if side is Side.BUY else 0)
            order = Resting(
                order_id, account, side, price_ticks, chance.randint(1, 9), chance.randint(0, 3), window_end_ns
            )
            same("add", order)
            live.append(order_id)
        elif live and chance.random() < 0.6:
            same("remove", live.pop(chance.randrange(len(live))))
        elif live and chance.random() < 0.5:
            same("reduce", chance.choice(live), chance.randint(1, 9))
        else:
            limit_ticks = 1_000 + (spread if side is Side.BUY else -spread) // 2
            taker = Taker(account, side, limit_ticks, chance.randint(1, 30), chance.randint(0, 4), window_end_ns)
            walked = plain.walk(taker, NOW, 64)
            assert fast.walk(taker, NOW, 64) == walked
            for fill in walked.fills:
                same("reduce", fill.order_id, fill.quantity)
        if number % 500 == 0:
            assert contents(plain) == contents(fast)
    assert contents(plain) == contents(fast)
