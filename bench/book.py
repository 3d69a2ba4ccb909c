"""The order book's speed and memory against a bare book, other order books, and itself without its features.

All engines play the same flows and must make the same fills. Times are processor time; each repetition lets one engine after
the other play, and a ratio is the median of the repetitions' ratios, so that a machine's slow moment meets both. Single calls
are timed one by one, by the wall clock, its reading included. `--packages` installs bourse, lightmatchingengine and
order-matching under build/ and plays them too; `--peer NAME=PROGRAM` any program in the manner of
`bench/order_books/engines.py`'s `Program`, say a small driver around Liquibook or CppTrader.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from tqdm import tqdm

from bench.common.latency import percentile
from bench.common.report import Row, exactly, parser, publish, report
from bench.order_books import builds, flows, memory
from bench.order_books.engines import (
    Bare,
    Batches,
    CannotPlayError,
    Engine,
    Program,
    Singles,
)
from bench.order_books.flows import Flow
from engine.book_fast import FastBook, Order
from engine.book_plain import PlainBook
from engine.records import unpack_command

REPETITIONS: Final = 9
QUICK_REPETITIONS: Final = 3
SIZES: Final = (2_000, 50_000, 1_000_000)
QUICK_SIZES: Final = (2_000, 10_000, 50_000)
"""Live orders of the mixed flows."""
OPERATIONS: Final = 200_000
QUICK_OPERATIONS: Final = 20_000
PLAIN_OPERATIONS: Final = 5_000
PLAIN_LIVE_MAX: Final = 50_000
EMPTY_BOOKS: Final = 10_000

BARE, BATCH, SINGLE, PLAIN, LIMITS = "bare", "batch", "single calls", "plain", "limit-only build"
BATCH_GOALS: Final = {"mixed": 18, "moves": 50}
SINGLE_GOALS: Final = {"mixed": 4, "moves": 15}
PACKAGE_GOALS: Final = {"bourse": 3, "lightmatchingengine": 15, "order-matching": 1_000}
PACKAGE_OPERATIONS: Final = {"bourse": OPERATIONS, "lightmatchingengine": 20_000, "order-matching": 300}
"""The slow ones play the beginning of a flow."""
PACKAGE_LIVE_MAX: Final = 2_000
PROGRAM_LIVE_MAX: Final = 50_000
"""Some books look through a whole price level for a cancel: with a million orders they would play for hours."""
PROGRAM_GOALS: Final = {"liquibook": 4.0, "cpptrader": 1.5}
FEATURES_MAX: Final = 1.25
GROWTH_MAX: Final = (2, 4)
"""Of the middle and the largest book."""
TAIL_MAX: Final = 10
ORDER_BYTES_MAX: Final = 64
EMPTY_BYTES_MAX: Final = 4_096


class Entrant(NamedTuple):
    """An engine in the run. most: timed operations it plays; amends: whether it can; hostile: whether it plays those flows."""

    name: str
    engine: Engine
    most: int = OPERATIONS
    live_max: int = 10**9
    amends: bool = True
    hostile: bool = True


class Times(NamedTuple):
    """What one flow gave: ns an operation, a value a repetition, of each engine that made the right fills; why others aren't in."""

    ns: dict[str, list[float]]
    failed: dict[str, str]

    def typical(self, name: str) -> float:
        return median(self.ns[name])

    def ratio(self, slower: str, faster: str) -> float:
        """How many times longer `slower` took, by repetitions."""
        return median(one / other for one, other in zip(self.ns[slower], self.ns[faster], strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 when a goal is missed or an engine's fills differ."""
    options = _parser().parse_args(arguments)
    repetitions = options.repetitions or (QUICK_REPETITIONS if options.quick else REPETITIONS)
    sizes, operations = (QUICK_SIZES, QUICK_OPERATIONS) if options.quick else (SIZES, OPERATIONS)
    with tempfile.TemporaryDirectory(prefix="hourbook-bench-") as folder:
        missing: list[Row] = []
        entrants = [*_own(missing), *_others(options, Path(folder), missing)]
        rows = [*_flows(entrants, sizes, operations, repetitions), *_memory(sizes[-1]), *missing]
    return publish(report(rows), options.json)


def _parser() -> argparse.ArgumentParser:
    options = parser("book", __doc__ or "")
    options.add_argument("--packages", action="store_true", help="install the packages under build/ and play them")
    options.add_argument(
        "--peer", type=peer, action="append", default=[], metavar="NAME=PROGRAM", help="play this program (repeatable)"
    )
    options.add_argument("--repetitions", type=int, metavar="N", help=f"times each plays each flow ({REPETITIONS})")
    return options


def peer(text: str) -> tuple[str, str]:
    name, found, program = text.partition("=")
    if not (found and name and Path(program).is_file()):
        raise argparse.ArgumentTypeError("NAME=PROGRAM, the path of a program")
    return name, str(Path(program).resolve())


def fast_order(record: bytes) -> Order:
    """The fast book's own form of a command."""
    return Order(*unpack_command(record))


def _own(missing: list[Row]) -> list[Entrant]:
    made = [
        Entrant(BARE, Bare()),
        Entrant(BATCH, Batches(FastBook)),
        Entrant(SINGLE, Singles(FastBook, fast_order)),
        Entrant(PLAIN, Batches(PlainBook), PLAIN_OPERATIONS, live_max=PLAIN_LIVE_MAX, hostile=False),
    ]
    try:
        made.append(Entrant(LIMITS, Batches(builds.bare_fast_book().FastBook), hostile=False))
    except builds.CannotBuildError as error:
        missing.append(Row(LIMITS, "not built", against=str(error)))
    return made


def _others(options: argparse.Namespace, folder: Path, missing: list[Row]) -> list[Entrant]:
    made = []
    for name, most in PACKAGE_OPERATIONS.items() if options.packages else ():
        try:
            program = Program(builds.package_command(name), folder, builds.package_environment())
        except builds.CannotBuildError as error:
            missing.append(Row(name, "not installed", against=str(error)))
        else:
            made.append(Entrant(name, program, most, PACKAGE_LIVE_MAX, amends=False, hostile=False))
    return [
        *made,
        *(
            Entrant(name, Program([path], folder), live_max=PROGRAM_LIVE_MAX, amends=False)
            for name, path in options.peer
        ),
    ]


# ---------------------------------------------------------------- flows


def _flows(entrants: Sequence[Entrant], sizes: Sequence[int], operations: int, repetitions: int) -> list[Row]:
    """All flows, one after the other, and how the time grows with the orders at rest."""
    mixed = [flows.mixed(live, operations) for live in sizes]
    hostile = flows.hostile(operations)
    plans = [*mixed, flows.moves(operations), *hostile]
    rows: list[Row] = []
    times: dict[str, Times] = {}
    made: list[Flow] = []
    turns = len(plans) * repetitions
    with tqdm(total=turns, desc="repetitions", disable=None) as progress:
        for plan in plans:
            flow = flows.make(plan)
            made.append(flow)
            playing = [
                each for each in entrants if plan.live <= each.live_max and (each.hostile or plan not in hostile)
            ]
            times[plan.name] = play(flow, playing, repetitions, progress.update)
            rows += speed(plan.name, times[plan.name], len(playing))
            if plan not in hostile:
                rows += _tail(flow)
    sized = [flow for flow in made if flow.name in {plan.name for plan in mixed}]
    rows += _growth(sized, repetitions)
    worst = max((times[plan.name].typical(BATCH), plan.name) for plan in hostile)
    return [*rows, Row("worst hostile flow: batch", worst[0], "ns", against=worst[1])]


def play(flow: Flow, entrants: Sequence[Entrant], repetitions: int, tell: Callable[[], object] = lambda: None) -> Times:
    """Every engine plays the flow so many times, by turns. One that fails, or fills otherwise than the bare book, is out."""
    ns: dict[str, list[float]] = {entrant.name: [] for entrant in entrants}
    failed: dict[str, str] = {}
    parts: dict[int, tuple[Flow, Flow, bytes]] = {}
    for count in {min(entrant.most, len(flow)) for entrant in entrants}:
        part = flow.first(count)
        parts[count] = (part, flows.without_amends(part), Bare().play(part).fills)
    for _ in range(repetitions):
        for entrant in entrants:
            count = min(entrant.most, len(flow))
            own, peers, fills = parts[count]
            if entrant.name in failed:
                continue
            try:
                played = entrant.engine.play(own if entrant.amends else peers)
            except CannotPlayError as error:
                failed[entrant.name] = str(error)
                continue
            ns[entrant.name].append(played.ns / count)
            if played.fills != fills:
                failed[entrant.name] = "its fills aren't those of the bare book"
        tell()
    return Times({name: values for name, values in ns.items() if name not in failed}, failed)


def speed(name: str, times: Times, engines: int) -> list[Row]:
    """The figures of one flow: ns an operation of each, and the ratios that have a goal or could have one."""
    rows = [exactly(f"{name}: engines with the same fills", len(times.ns), "engines", engines, "all that played")]
    rows += [Row(f"{name}: {engine}", why, against="not in the comparison") for engine, why in times.failed.items()]
    rows += [Row(f"{name}: {engine}", times.typical(engine), "ns") for engine in times.ns]
    for faster, slower, goals in _pairs(times):
        if faster in times.ns and slower in times.ns:
            label, goal = f"{name}: {faster} against {slower}", goals.get(slower, goals.get(name.split()[0]))
            rows.append(at_least(label, times.ratio(slower, faster), "x", goal, "faster"))
    if LIMITS in times.ns:
        label = f"{name}: every feature against limit-only"
        rows.append(
            at_most(label, times.ratio(BATCH, LIMITS), "x", FEATURES_MAX, "batch, the same source built without")
        )
    return rows


def _pairs(times: Times) -> list[tuple[str, str, Mapping[str, float]]]:
    """Faster, slower, and the goals by flow or by the slower's name."""
    pairs: list[tuple[str, str, Mapping[str, float]]] = [(BATCH, BARE, BATCH_GOALS), (SINGLE, BARE, SINGLE_GOALS)]
    own = (BARE, BATCH, SINGLE, PLAIN, LIMITS)
    for name in times.ns:
        if name in PACKAGE_GOALS:
            pairs.append((SINGLE, name, PACKAGE_GOALS))
        elif name not in own:
            pairs.append((BATCH, name, PROGRAM_GOALS))
    return pairs


def _growth(sized: Sequence[Flow], repetitions: int) -> list[Row]:
    """Batches at each size by turns, against the smallest."""
    batches = Batches(FastBook)
    turns = [[batches.play(flow).ns / len(flow) for flow in sized] for _ in range(repetitions)]
    rows = []
    for place, (flow, most) in enumerate(zip(sized[1:], GROWTH_MAX, strict=True), start=1):
        growth = median(turn[place] / turn[0] for turn in turns)
        rows.append(at_most(f"{flow.name}: batch against {sized[0].name}", growth, "x", most, "an operation"))
    return rows


def _tail(flow: Flow) -> list[Row]:
    """How long single calls take, one by one."""
    times = Singles(FastBook, fast_order).times(flow)
    name = f"{flow.name}: a single call"
    p50, p99, p999 = (percentile(times, percent) for percent in (50, 99, 99.9))
    return [
        Row(f"{name}, p50", p50, "ns", against=f"of {len(times):,}"),
        Row(f"{name}, p99", p99, "ns"),
        Row(f"{name}, p99.9", p999, "ns"),
        Row(f"{name}, max", max(times), "ns"),
        at_most(f"{name}, p99.9 / p50", p999 / p50, "x", TAIL_MAX, ""),
    ]


def _memory(orders: int) -> list[Row]:
    each = memory.measured("orders", orders)
    empty = memory.measured("books", EMPTY_BOOKS)
    return [
        at_most("memory of a resting limit order", each, "B", ORDER_BYTES_MAX, f"of {orders:,} in one book; resident"),
        at_most("memory of an empty book", empty, "B", EMPTY_BYTES_MAX, f"of {EMPTY_BOOKS:,} books; resident"),
    ]


def at_least(name: str, value: float, unit: str, goal: float | None, against: str) -> Row:
    """A row whose goal, if it has one, is a least value."""
    return Row(name, value, unit, goal, None if goal is None else value >= goal, against)


def at_most(name: str, value: float, unit: str, goal: float, against: str) -> Row:
    """A row whose goal is a greatest value."""
    return Row(name, value, unit, goal, value <= goal, against)


if __name__ == "__main__":
    sys.exit(main())
