"""The bench of the order books: what its flows promise, that every engine makes the same fills of them, and its figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec
import pytest

from bench import book
from bench.common.report import Row
from bench.order_books import builds, flows, memory
from bench.order_books.bare import BUY, SELL, BareBook
from bench.order_books.engines import Bare, Batches, CannotPlayError, Played, Program, Singles
from bench.order_books.flows import Flow, Plan
from bench.order_books.form import FILL
from engine.book_fast import FastBook
from engine.book_plain import PlainBook
from engine.kinds import TimeInForce
from engine.records import COMMAND_BYTES, TIME_SHIFT, Op, unpack_command

OPERATIONS = 1_600
PLANS = [flows.mixed(100, OPERATIONS), flows.moves(OPERATIONS, 100), *flows.hostile(OPERATIONS)]
PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from bench.order_books.engines import Bare
from bench.order_books.flows import Flow
name, flow, prefill, fills = sys.argv
played = Bare().play(Flow("program", int(prefill), Path(flow).read_bytes()))
Path(fills).write_bytes(played.fills{change})
print(played.ns)
"""


@pytest.fixture(params=PLANS, ids=lambda plan: plan.name)
def plan(request: pytest.FixtureRequest) -> Plan:
    made: Plan = request.param
    return made


def program(folder: Path, change: str = "") -> Program:
    """A program as `--peer` plays it: the bare book in a process of its own."""
    script = folder / "program.py"
    script.write_text(PROGRAM.format(root=str(builds.ROOT), change=change))
    return Program([sys.executable, str(script)], folder)


# ---------------------------------------------------------------- the bare book


def test_bare_book_trades_by_price_then_time() -> None:
    bare = BareBook()
    bare.limit(1, SELL, 101, 5)
    bare.limit(2, SELL, 100, 5)
    bare.limit(3, SELL, 100, 5)
    bare.limit(4, BUY, 99, 5)
    bare.limit(5, BUY, 101, 12)
    assert bare.fills == [(2, 5, 100, 5), (3, 5, 100, 5), (1, 5, 101, 2)]
    bare.ioc(6, SELL, 98, 9)
    assert bare.fills[3:] == [(4, 6, 99, 5)]
    assert list(bare.orders) == [1]
    assert [list(prices) for prices in bare.prices] == [[], [101]]


def test_bare_book_amends_to_the_back_and_through_the_spread() -> None:
    bare = BareBook()
    for order_id in (1, 2):
        bare.limit(order_id, BUY, 90, 5)
    bare.amend(1, 89)
    bare.amend(1, 90)
    bare.ioc(3, SELL, 90, 6)
    assert bare.fills == [(2, 3, 90, 5), (1, 3, 90, 1)]
    bare.limit(4, SELL, 95, 3)
    bare.amend(1, 95)
    assert bare.fills[2:] == [(4, 1, 95, 3)]
    bare.cancel(1)
    assert not bare.orders
    assert not any(bare.prices)
    assert not any(bare.levels)


# ---------------------------------------------------------------- flows


def test_flow_keeps_its_promises(plan: Plan) -> None:
    """No cancel or amend is stale, no limit order trades, an IOC finds all that it asks for in one to three orders."""
    flow = flows.make(plan)
    assert flow == flows.make(plan)
    assert len(flow) == plan.operations
    bare, iocs, last_ns = BareBook(), 0, 0
    for start in range(0, len(flow.commands), COMMAND_BYTES):
        command = unpack_command(flow.commands[start : start + COMMAND_BYTES])
        assert command.ts_ns > last_ns
        last_ns = command.ts_ns
        before = len(bare.fills)
        method, arguments = flows.call_of(bare, command.pack())
        method(*arguments)
        made = bare.fills[before:]
        if command.op is Op.NEW and command.shape >> TIME_SHIFT == TimeInForce.IOC - 1:
            iocs += 1
            assert 1 <= len(made) <= flows.IOC_ORDERS_MAX
            assert sum(quantity for _, _, _, quantity in made) == command.quantity
        else:
            assert made == []
            assert command.op is not Op.NEW or command.order_id in bare.orders
    assert abs(iocs - plan.operations * plan.iocs / 100) <= plan.operations / 20
    assert plan.live / 3 < len(bare.orders) < 3 * plan.live


def test_orders_are_where_each_flow_says() -> None:
    def prices(plan: Plan) -> list[int]:
        flow = flows.make(plan)
        rows = (
            unpack_command(flow.commands[at : at + COMMAND_BYTES]) for at in range(0, len(flow.commands), COMMAND_BYTES)
        )
        return [row.price for row in rows if row.price]

    by_name = {plan.name: prices(plan) for plan in PLANS}
    assert max(map(abs, (price - flows.FAIR for price in by_name["mixed 100"]))) < 1_000
    assert 500 < len(set(by_name["moves"])) <= flows.SLOTS
    assert max(by_name["trending price"]) > flows.FAIR + flows.TREND * 0.9
    assert min(by_name["flash crash"]) < flows.FAIR * 0.51
    assert by_name["flash crash"][-1] > flows.FAIR * 0.8


def test_without_amends_is_the_same_to_the_market() -> None:
    flow = flows.make(flows.moves(OPERATIONS, 100))
    peers = flows.without_amends(flow)
    ops = [
        unpack_command(peers.commands[at : at + COMMAND_BYTES]).op
        for at in range(0, len(peers.commands), COMMAND_BYTES)
    ]
    assert Op.AMEND not in ops
    assert len(peers) > len(flow) + OPERATIONS // 2
    assert Bare().play(peers).fills == Bare().play(flow).fills
    mixed = flows.make(flows.mixed(100, OPERATIONS))
    assert flows.without_amends(mixed) is mixed


# ---------------------------------------------------------------- engines


def test_every_engine_makes_the_same_fills(plan: Plan, tmp_path: Path) -> None:
    flow = flows.make(plan)
    right = Bare().play(flow)
    engines = (
        Batches(FastBook),
        Batches(PlainBook),
        Singles(FastBook, book.fast_order),
        Singles(PlainBook, unpack_command),
    )
    for engine in engines:
        played = engine.play(flow)
        assert played.fills == right.fills
        assert played.ns > 0
    assert program(tmp_path).play(flows.without_amends(flow)).fills == right.fills
    assert (len(right.fills) > 0) == (plan.iocs > 0)


def test_single_calls_are_timed_one_by_one() -> None:
    flow = flows.make(flows.mixed(100, OPERATIONS))
    times = Singles(FastBook, book.fast_order).times(flow)
    assert len(times) == OPERATIONS
    assert min(times) > 0


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("import sys; sys.exit('no such market')", "no such market"),
        ("print('fast')", "invalid literal"),
        ("print(1)", "No such file"),
    ],
)
def test_a_program_that_fails_says_why(tmp_path: Path, script: str, says: str) -> None:
    path = tmp_path / "program.py"
    path.write_text(script)
    with pytest.raises(CannotPlayError, match=says):
        Program([sys.executable, str(path)], tmp_path).play(flows.make(flows.mixed(10, 10)))


# ---------------------------------------------------------------- figures


class Fixed:
    """An engine that needs so many ns an operation, and fills as the bare book does, or not at all."""

    def __init__(self, *ns: float, right: bool = True) -> None:
        self.ns = list(ns)
        self.right = right

    def play(self, flow: Flow) -> Played:
        return Played(round(self.ns.pop(0) * len(flow)), Bare().play(flow).fills if self.right else b"")


def rows_of(*entrants: book.Entrant) -> dict[str, Row]:
    flow = flows.make(flows.mixed(100, 200))
    times = book.play(flow, entrants, 3)
    return {row.name: row for row in book.speed(flow.name, times, len(entrants))}


def test_ratios_are_of_the_same_repetition() -> None:
    """A slow moment of the machine meets both: 10 against 100, 20 against 400, 100 against 1000."""
    rows = rows_of(book.Entrant("bare", Fixed(100, 400, 1000)), book.Entrant("batch", Fixed(10, 20, 100)))
    ratio = rows["mixed 100: batch against bare"]
    assert (ratio.value, ratio.goal, ratio.met) == (10, 18, False)
    assert rows["mixed 100: batch"].value == 20
    assert rows["mixed 100: engines with the same fills"].met


@pytest.mark.parametrize(
    ("name", "goal", "against"), [("liquibook", 4, "batch"), ("bourse", 3, "single calls"), ("x", None, "batch")]
)
def test_goals_against_others(name: str, goal: int | None, against: str) -> None:
    own = [book.Entrant(each, Fixed(10, 10, 10)) for each in ("bare", "batch", "single calls")]
    row = rows_of(*own, book.Entrant(name, Fixed(35, 35, 35)))[f"mixed 100: {against} against {name}"]
    assert (row.value, row.goal) == (3.5, goal)
    assert row.met == (None if goal is None else goal <= 3.5)


def test_an_engine_with_other_fills_is_out_and_fails_the_bench(tmp_path: Path) -> None:
    entrants = [book.Entrant("bare", Bare()), book.Entrant("wrong", program(tmp_path, "[24:]"), amends=False)]
    rows = rows_of(*entrants)
    assert rows["mixed 100: engines with the same fills"] == Row(
        "mixed 100: engines with the same fills", 1, "engines", 2, False, "all that played"
    )
    assert "aren't those of the bare book" in str(rows["mixed 100: wrong"].value)
    assert "mixed 100: batch against wrong" not in rows


def test_memory_is_measured_in_a_process_of_its_own() -> None:
    assert 32 <= memory.measured("orders", 200_000) < 1_000
    # A book takes what it says itself, but for the pages at both ends, and what an allocator adds.
    own = sys.getsizeof(FastBook())
    assert 0.98 * own <= memory.measured("books", 2_000) < 1.5 * own


def test_the_command_writes_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_compiler() -> None:
        raise builds.CannotBuildError("no compiler")

    monkeypatch.setattr(builds, "bare_fast_book", no_compiler)
    monkeypatch.setattr(book, "QUICK_SIZES", (100, 200, 300))
    monkeypatch.setattr(book, "QUICK_OPERATIONS", OPERATIONS)
    script = tmp_path / "peer"
    script.write_text(f"#!{sys.executable}\n" + PROGRAM.format(root=str(builds.ROOT), change=""))
    script.chmod(0o755)
    out = tmp_path / "out.json"
    status = book.main(["--quick", "--repetitions", "1", "--peer", f"mine={script}", "--json", str(out)])
    rows = {row["name"]: row for row in msgspec.json.decode(out.read_bytes())["rows"]}
    assert status == any(row["met"] is False for row in rows.values())
    assert rows["limit-only build"]["value"] == "not built"
    for name in ("mixed 100", "mixed 200", "mixed 300", "moves", "trending price", "flash crash", "static book"):
        assert rows[f"{name}: engines with the same fills"]["met"], rows[f"{name}: engines with the same fills"]
        assert rows[f"{name}: batch against mine"]["goal"] is None
    for name in ("mixed 300: batch against mixed 100", "memory of an empty book", "moves: a single call, p99.9 / p50"):
        assert rows[name]["goal"] is not None
    assert rows["worst hostile flow: batch"]["against"] in ("trending price", "flash crash", "static book")
    assert "moves: batch against bare" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["liquibook", "=x", "liquibook=", "liquibook=/no/such/program"])
def test_a_peer_is_a_name_and_a_program(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        book.peer(text)


def test_fills_have_one_form() -> None:
    assert FILL.unpack(FILL.pack(2**64 - 1, 1, 2**32 - 1, 2)) == (2**64 - 1, 1, 2**32 - 1, 2)
    assert FILL.size == 24
