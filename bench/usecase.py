"""A startup's reservation of 2027, through machine and ledger: reserved, added to, resold in part, delivered hour by hour.

`python -m bench.usecase [--price 0.99] [--quick]`. 1,000 GPUs for the year, 1,000 more for March, 500 of the reservation sold
on from June to December; against renting 2,000 all year at a list price. `--quick` delivers the first days alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.common.report import Row, exactly, parser, publish, report
from bench.simulation.books import Books
from bench.simulation.reservation import PROVIDERS, WEALTH_MICROS, YEAR_END_NS, Outcome, Reservation, Terms
from engine.kinds import Pot
from engine.limits import Limits
from engine.units import MICROS_PER_TICK, MICROS_PER_USD, NS_PER_DAY, PPM, format_money, parse_price

LIST_PRICE: Final = "2.50"
TALK_MONTH_H: Final = 730
YEAR_H: Final = 8_760
RESOLD_MONTHS: Final = 7
FEE_PPM: Final = 100_000
"""The fee of 10 % in the table of what-ifs."""
USUAL_FEE_PPM: Final = 5_000
_LIMITS: Final = Limits()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 when a figure isn't what it must be, or a proof fails."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="hourbook-bench-") as folder:
        rows = run(Path(folder), parse_price(options.price), quick=options.quick)
    return publish(report(rows), options.json)


def run(folder: Path, price_ticks: int, *, quick: bool) -> list[Row]:
    """The year, then the what-ifs; one row a figure."""
    before = time.perf_counter()
    terms = Terms(price_ticks, price_ticks, taker_fee_ppm=USUAL_FEE_PPM)
    books = Books(folder / "year.db", _LIMITS)
    try:
        year = Reservation(books, terms)
        outcome = year.trade()
        year.deliver(year.now_ns + 20 * NS_PER_DAY if quick else YEAR_END_NS - 184 * NS_PER_DAY)
        running = _running(year, quick=quick)
        if not quick:
            year.deliver(YEAR_END_NS)
        rows = [*_year(outcome, terms), *running, *_delivered(year, outcome, quick=quick), *_proof(books)]
    finally:
        books.close()
    rows += _what_ifs(folder, price_ticks)
    return [*rows, Row("run", round(time.perf_counter() - before, 1), "s")]


def _year(outcome: Outcome, terms: Terms) -> list[Row]:
    price_micros = terms.price_ticks * MICROS_PER_TICK
    gpu_hours = 1_000 * YEAR_H + 1_000 * 31 * 24 - 500 * 214 * 24
    talk_h = 1_000 * YEAR_H + 1_000 * TALK_MONTH_H - 500 * TALK_MONTH_H * RESOLD_MONTHS
    old_micros = 2_000 * YEAR_H * parse_price(LIST_PRICE) * MICROS_PER_TICK
    return [
        exactly(
            "GPU-hours", outcome.gpu_hours, "GPU-h", gpu_hours, "1,000 x 2027 + 1,000 x March - 500 x June to December"
        ),
        exactly("price of it", _usd(outcome.net_micros), "$", _usd(gpu_hours * price_micros), "before fees"),
        Row("its own fees", _usd(outcome.fees_micros), "$", against="0.5 % on what it bought"),
        Row("GPU-hours, months of 730", talk_h, "GPU-h", against="the talk's own arithmetic"),
        Row("price, months of 730", _usd(talk_h * price_micros), "$", against="the talk's own arithmetic"),
        Row("the old way", _usd(old_micros), "$", against=f"2,000 GPUs x {YEAR_H:,} h x ${LIST_PRICE}"),
        Row("ratio", round(old_micros / outcome.net_micros, 3), "x", against="the old way / price of it"),
    ]


def _running(year: Reservation, *, quick: bool) -> list[Row]:
    """What runs on the first of July, or after the first days: leases of the startup, and of those whom it sold to."""
    gpus, when = sum(year.delivered.values()), "after 20 days" if quick else "on 1 July"
    rows = [Row("leases running", len(year.delivered), "", against=f"{when}: the startup's, and those it sold to")]
    return [
        *rows,
        exactly("GPUs running", gpus, "", 0 if quick and not gpus else 1_000, f"{when}, on the hardware reserved"),
    ]


def _delivered(year: Reservation, outcome: Outcome, *, quick: bool) -> list[Row]:
    """Once the year is over all escrow is paid out, and providers have what was first paid for their hours."""
    escrow = sum(year.pot(provider, Pot.ESCROW) for provider in PROVIDERS)
    bond = sum(year.pot(provider, Pot.BOND) for provider in PROVIDERS)
    earned = sum(
        year.pot(provider, Pot.AVAILABLE) + year.pot(provider, Pot.RECEIVABLE) - WEALTH_MICROS for provider in PROVIDERS
    )
    if quick:
        return [Row("escrow left", _usd(escrow), "$")]
    return [
        exactly("escrow left", _usd(escrow + bond), "$", _usd(0), "every hour is paid or refunded"),
        exactly("providers' pay", _usd(earned), "$", _usd(outcome.paid_micros), "what the startup paid at first"),
    ]


def _proof(books: Books) -> list[Row]:
    total = sum(amount for _, _, amount in books.machine.balances())
    return [
        exactly("sum of all pots", total, "micro-$", 0, "double entry"),
        exactly("findings", books.prove().findings_total, "", 0, "ledger against engine, as `monarch verify` does it"),
    ]


def _what_ifs(folder: Path, price_ticks: int) -> list[Row]:
    """The same year with another resale, each through a machine of its own."""
    cases = (
        ("resold at 60 %", Terms(price_ticks, price_ticks * 6 // 10)),
        ("nothing resold", Terms(price_ticks, price_ticks, resold_gpus=0)),
        ("resold, fee of 10 %", Terms(price_ticks, price_ticks, fee_ppm=FEE_PPM)),
    )
    rows = []
    for name, terms in cases:
        books = Books(folder / f"{len(name)}.db", _LIMITS)
        try:
            outcome = Reservation(books, terms).trade()
        finally:
            books.close()
        expected = outcome.bought_gpu_hours * terms.price_ticks * MICROS_PER_TICK
        expected -= outcome.sold_gpu_hours * terms.resale_ticks * MICROS_PER_TICK * (PPM - terms.fee_ppm) // PPM
        rows.append(exactly(name, _usd(outcome.net_micros + outcome.fees_micros), "$", _usd(expected), "arithmetic"))
    return rows


def _usd(micros: int) -> str:
    return format_money(micros).removesuffix("0000") if micros % MICROS_PER_USD == 0 else format_money(micros)


def _parser() -> argparse.ArgumentParser:
    options = parser("usecase", __doc__ or "")
    options.add_argument("--price", default="0.99", help="dollars per GPU-hour, bought and resold (default 0.99)")
    return options


if __name__ == "__main__":
    sys.exit(main())
