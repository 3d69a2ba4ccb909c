"""Canaries of the fast book: its own sources with small bugs in them, all in one build apart, where a number chooses one.

`BUGS` is a table of textual changes, applied to a copy of the sources; the sources themselves have no trace of it. As a
program it leads one bug through what must catch it, and says how that went: the differential run over a regime, or the
rounds of `slots.py`.
"""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from engine.book_plain import PlainBook
from tests.engine.book.cases import BookFactory, run_single
from tests.engine.book.differential_sanitized import BUILD_S, ROOT, find_in
from tests.engine.book.scenarios import SCENARIOS as SCENES

BUILD: Final = ROOT / "build" / "canaries"
BESIDE: Final = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
COPIED: Final = (".py", ".pyx", ".pxd", ".c", ".h")
"""What a build reads, of the engine and the native programs; C that Cython wrote stands in the build's own folder."""
FAST: Final = Path("engine", "fast")
ABOVE: Final = Path("engine", "compiled")
"""What stands on the book, and takes longest to build: not copied."""
BOOK: Final = Path("engine", "book_fast.pyx")
SEED: Final = 5
COMMANDS: Final = 40_000
TRUE_COMMANDS: Final = 2_000
SLOTS: Final = "slots"
SCENARIOS: Final = "scenarios"
NOBODY: Final = "none"
"""The build without a bug: it must pass everything."""


class Bug(NamedTuple):
    """In a file the one place that reads `old` becomes `new`, where {on} is whether this bug is chosen."""

    name: str
    file: str
    old: str
    new: str
    caught_in: str
    """A regime of the random flows, SLOTS or SCENARIOS."""


BUGS: Final = (
    Bug(
        "the surplus of tied prices is always the bids'",
        "auction.pxd",
        "SELL if best.price >= turned else BUY",
        "SELL if best.price >= turned and not {on} else BUY",
        "ties",
    ),
    Bug(
        "a best price that ends overlooks the one right behind it",
        "levels.pxd",
        "ladder.best_key = key_behind(core, ladder, ladder.best_key)\n",
        "ladder.best_key = key_behind(core, ladder, ladder.best_key + {on})\n",
        "plain",
    ),
    Bug(
        "an amend takes the sibling behind it along",
        "changes.pxd",
        "    leave_level(core, &core.sides[taker.sells], index, shown_of(core, index))\n    emit_amended(",
        "    if {on} and core.nodes[index].next:\n"
        "        cancel_order(core, sink, core.nodes[index].next, REASON_NONE)\n"
        "    leave_level(core, &core.sides[taker.sells], index, shown_of(core, index))\n    emit_amended(",
        "moves",
    ),
    Bug(
        "an iceberg that refills shows anew at the front",
        "matching.pxd",
        "        requeue(core, ladder, index, shown, terms.shown)\n",
        "        requeue(core, ladder, index, shown, terms.shown)\n"
        "        while {on} and core.nodes[index].prev:\n"
        "            shown = shown_of(core, ladder.levels[level].first)\n"
        "            requeue(core, ladder, ladder.levels[level].first, shown, shown)\n",
        "icebergs",
    ),
    Bug(
        "a maker's minimum is forgotten",
        "eligibility.pxd",
        "    if quantity < maker.min_quantity and quantity < maker_leaves:",
        "    if quantity < maker.min_quantity and quantity < maker_leaves and not {on}:",
        "eligible",
    ),
    Bug(
        "a fok is walked dry but once",
        "entry.pxd",
        "    if dry.leaves == 0 and taker.mode == SELF_TRADE_DECREMENT",
        "    if not {on} and dry.leaves == 0 and taker.mode == SELF_TRADE_DECREMENT",
        SCENARIOS,
    ),
    Bug(
        "a level that shows less is no change",
        "levels.pxd",
        "        ladder.levels[level_index].unconditional -= shown\n    touch(",
        "        ladder.levels[level_index].unconditional -= shown\n    if not {on}:\n        touch(",
        "plain",
    ),
    Bug(
        "a stop amended anew keeps its turn",
        "stops.pxd",
        "    core.entries += 1\n    terms_of(core, index).entry = core.entries\n",
        "    core.entries += 1\n"
        "    if not ({on} and terms_of(core, index).entry):\n        terms_of(core, index).entry = core.entries\n",
        "stops",
    ),
    Bug(
        "a protection price is rounded away",
        "entry.pxd",
        "        return <int32_t>((wide + PPM - 1) // PPM)",
        "        return <int32_t>((wide + (0 if {on} else PPM - 1)) // PPM)",
        "plain",
    ),
    Bug(
        "what was moved of a growing table of ids is sought in the old one alone",
        "ids.pxd",
        "    if unlikely(core.ids.old.heads != NULL) and node == 0:",
        "    if unlikely(core.ids.old.heads != NULL) and node == 0 and not {on}:",
        "crowd",
    ),
    Bug(
        "an order's slot is never used again",
        "pool.pxd",
        "    core.node_free = index\n",
        "    core.node_free = 0 if {on} else index\n",
        SLOTS,
    ),
    Bug(
        "terms are never used again",
        "pool.pxd",
        "    core.term_free = index\n",
        "    core.term_free = 0 if {on} else index\n",
        SLOTS,
    ),
    Bug(
        "a branch of the tree is never used again",
        "levels.pxd",
        "    core.branch_free = index\n",
        "    core.branch_free = 0 if {on} else index\n",
        SLOTS,
    ),
    Bug("an account is remembered for ever", "maps.pxd", "    if count:\n", "    if count or {on}:\n", SLOTS),
)
_SPARES: Final = (
    (
        "pool.pxd",
        "    core.node_spare += 1\n",
        "    core.node_spare += not {on}\n",
        "an order's slot is never used again",
    ),
    ("pool.pxd", "    core.term_spare += 1\n", "    core.term_spare += not {on}\n", "terms are never used again"),
    (
        "levels.pxd",
        "    core.branch_spare += 1\n",
        "    core.branch_spare += not {on}\n",
        "a branch of the tree is never used again",
    ),
)
"""Slots that are never used again must be lost to the spare count, too, lest the pools be written beyond their ends."""
NAMES: Final = tuple(bug.name for bug in BUGS)
_CHOICE: Final = '''


def choose_canary(int number):
    """Switch one bug on, and all others off; 0: none."""
    choose(number)
'''
_SWITCH: Final = """    typedef unsigned __int128 hourbook_uint128;
    static int hourbook_canary = 0;
    static void hourbook_choose(int number) { hourbook_canary = number; }
"""


_DECLARED: Final = '    int CANARY "hourbook_canary"\n    void choose "hourbook_choose"(int number) noexcept nogil\n'
_FROM_CORE: Final = "from engine.fast.core cimport"


def _replaced(text: str, old: str, new: str, where: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"{where}: {text.count(old)} places read {old!r}; the table of bugs must follow the sources")
    return text.replace(old, new)


def patched(texts: dict[Path, str]) -> dict[Path, str]:
    """The sources, by their paths, with every bug in them and a switch that chooses one."""
    texts, core = dict(texts), FAST / "core.pxd"
    texts[core] = _replaced(texts[core], "    typedef unsigned __int128 hourbook_uint128;\n", _SWITCH, "core.pxd")
    texts[core] = _replaced(texts[core], "    bint likely(", f"{_DECLARED}    bint likely(", "core.pxd")
    texts[Path("setup.py")] = _replaced(texts[Path("setup.py")], '"-O3"', '"-O1"', "setup.py")
    texts[BOOK] = _importing("choose", texts[BOOK]) + _CHOICE
    rows = [(bug.file, bug.old, bug.new, bug.name) for bug in BUGS]
    for file, old, new, name in (*rows, *_SPARES):
        path, on = FAST / file, f"(CANARY == {NAMES.index(name) + 1})"
        texts[path] = _importing("CANARY", _replaced(texts[path], old, new.replace("{on}", on), file))
    return texts


def _importing(name: str, text: str) -> str:
    """The source with this name of core.pxd."""
    line = f"{_FROM_CORE} {name}\n"
    return text if line in text else text.replace(_FROM_CORE, line + _FROM_CORE, 1)


def _write(path: Path, text: str) -> None:
    """Only what changed, so that a build does again only what it must."""
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def build() -> Path:
    """Copy the sources, put the bugs in and build them; the folder that holds the extensions as packages."""
    tree, library = BUILD / "tree", BUILD / "lib"
    folders = [ROOT / "engine", ROOT / "provisioner" / "agent" / "native"]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in COPIED]
    files = [path for path in files if not path.is_relative_to(ROOT / ABOVE)]
    texts = {path.relative_to(ROOT): path.read_text() for path in [*files, *(ROOT / name for name in BESIDE)]}
    for path, text in patched(texts).items():
        _write(tree / path, text)
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(library)]
    done = subprocess.run(
        [*command, "--build-temp", str(BUILD / "temp")],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the build of canaries failed:\n{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}")
    return library


def lived(regime: str, commands: int) -> None:
    """So many commands of a regime over both books; Difference when they differ."""
    pair = importlib.import_module("tests.engine.book.differential_pair")
    flows = importlib.import_module("tests.engine.book.flows")
    for segment in flows.segments(SEED, commands, regime, (600, 3_000)):
        steps = list(pair.plan(random.Random(segment.number), segment.commands))
        pair.Pair(segment.limits, PlainBook, pair.fast_book()).run(steps)


def _broken_scenarios(make: BookFactory) -> str:
    """The scenarios that a book doesn't live as they are written."""
    broken = []
    for name, case in SCENES.items():
        try:
            run_single(case, make)
        except AssertionError:
            broken.append(name)
    return "; ".join(broken)


def found(caught_in: str, commands: int) -> str:
    """What tells the chosen bug; empty when nothing does."""
    pair = importlib.import_module("tests.engine.book.differential_pair")
    if caught_in == SLOTS:
        told: str = importlib.import_module("tests.engine.book.slots").leaks(pair.fast_book(), batches=False)
        return told
    if caught_in == SCENARIOS:
        return _broken_scenarios(pair.fast_book())
    try:
        lived(caught_in, commands)
    except (pair.Difference, KeyError) as difference:
        return f"{difference}"
    return ""


def main(library: str, name: str) -> int:
    """Lead one bug, or none, through what must tell it; exit status 1 when it goes as it shouldn't."""
    find_in(Path(library).resolve())
    book = importlib.import_module("engine.book_fast")
    if not Path(book.__file__ or "").is_relative_to(Path(library).resolve()):
        raise RuntimeError(f"{book.__file__} isn't the build with the canaries")
    if name == NOBODY:
        told = [found(caught_in, TRUE_COMMANDS) for caught_in in sorted({bug.caught_in for bug in BUGS})]
        print(*told, sep="\n")
        return int(any(told))
    number = NAMES.index(name)
    book.choose_canary(number + 1)
    told_of = found(BUGS[number].caught_in, COMMANDS)
    print(told_of or "nothing told it")
    return int(not told_of)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
