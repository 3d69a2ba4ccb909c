"""The reservation of 2027 through the real machine and its ledger, to the last micro-dollar."""

from __future__ import annotations

import json
from pathlib import Path

from bench import usecase
from bench.simulation.books import Books
from bench.simulation.reservation import START_NS, STARTUP, Reservation, Terms
from engine.kinds import Pot
from engine.limits import Limits
from engine.units import NS_PER_DAY, NS_PER_HOUR

PRICE = 9_900


def test_the_whole_year_is_traded_delivered_and_paid(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    assert usecase.main(["--json", str(figures)]) == 0
    values = {row["name"]: row["value"] for row in json.loads(figures.read_bytes())["rows"]}
    assert values["GPU-hours"] == 6_936_000
    assert values["price of it"] == "6866640.00"
    assert (values["GPU-hours, months of 730"], values["price, months of 730"]) == (6_935_000, "6865650.00")
    assert values["the old way"] == "43800000.00"
    assert (values["resold at 60 %"], values["nothing resold"]) == ("7883568.00", "9408960.00")
    assert values["resold, fee of 10 %"] == "7120872.00"


def test_delivery_begins_with_the_year_and_follows_each_resale(tmp_path: Path) -> None:
    books = Books(tmp_path / "ledger.db", Limits())
    try:
        year = Reservation(books, Terms(PRICE, PRICE))
        year.trade()
        year.deliver(START_NS + 10 * NS_PER_DAY)
        assert year.delivered == {}, "2027 hasn't begun"
        year.deliver(NS_PER_HOUR * _hour_of_2027(0))
        assert sum(year.delivered.values()) == 1_000
        year.deliver(NS_PER_HOUR * _hour_of_2027(60 * 24))
        assert sum(year.delivered.values()) == 2_000, "March: the thousand more"
        escrow = sum(year.pot(provider, Pot.ESCROW) for provider in (11, 12, 13, 14))
        # January and February of the year are paid.
        assert escrow == (1_000 * (8_760 - 59 * 24) + 1_000 * 744) * 990_000 - 2_000 * 24 * 990_000
        assert year.pot(STARTUP, Pot.HELD) == 0
        assert books.prove().holds
    finally:
        books.close()


def _hour_of_2027(hour: int) -> int:
    return 1_798_761_600 // 3_600 + hour
