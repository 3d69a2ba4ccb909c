"""The plain book and the fast one over the same bytes: every event, delta, answer and state must be equal.

`python -m tests.engine.book.differential --commands 50000000 --seed 7` runs as long as one likes. A difference is shrunk
to a short table that a reader can follow (`differential_shrink.py`), beneath its seed.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import sys
from collections.abc import Sequence

from engine.book_plain import PlainBook
from tests.engine.book.differential_pair import BookFactory, Pair, fast_book, plan
from tests.engine.book.differential_shrink import died, report
from tests.engine.book.flows import Segment, segments


def run_segment(segment: Segment, other: BookFactory, plain: BookFactory = PlainBook, isolated: bool = False) -> None:
    """One segment over both books; on a difference, the shrunk table in its place. Isolated: in a process of its own."""
    steps = list(plan(random.Random(f"{segment.seed} {segment.number}"), segment.commands))
    if isolated:
        if died(lambda: Pair(segment.limits, plain, other).run(steps)):
            raise AssertionError(report(segment, steps, plain, other, RuntimeError("it died, or differs")))
        return
    try:
        Pair(segment.limits, plain, other).run(steps)
    except Exception as failure:
        raise AssertionError(report(segment, steps, plain, other, failure)) from failure


def fresh_seed() -> int:
    """A seed that nobody chose."""
    return random.SystemRandom().getrandbits(32)


def again(seed: int, commands: int, only: str = "") -> str:
    """The command line that runs the same."""
    line = f"python -m tests.engine.book.differential --commands {commands} --each {commands} --seed {seed}"
    return f"{line} --only {only}" if only else line


def run(seed: int, commands: int, other: BookFactory, only: str = "", isolated: bool = False) -> int:
    """So many commands of a seed's flow; AssertionError with the table, and what runs it again, when the books differ."""
    done = 0
    for segment in segments(seed, commands, only):
        try:
            run_segment(segment, other, isolated=isolated)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\nagain: {again(seed, commands, only)}") from failure
        done += segment.commands_count
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until done or different; exit status 1 with the table when the books differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.engine.book.differential", description=__doc__)
    parser.add_argument("--commands", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; random if left out")
    parser.add_argument("--only", default="", help="one regime of flows_regimes.py alone")
    parser.add_argument("--isolated", action="store_true", help="shrink crashes and endless loops, too")
    parser.add_argument("--each", type=int, default=200_000, help="commands a seed")
    given = parser.parse_args(arguments)
    seed = fresh_seed() if given.seed is None else given.seed
    done = 0
    while done < given.commands:
        print(f"seed {seed}: ", end="", flush=True)
        try:
            done += run(seed, min(given.each, given.commands - done), fast_book(), given.only, given.isolated)
        except AssertionError as failure:
            print(failure)
            return 1
        print(f"equal, {done:,} commands so far", flush=True)
        seed += 1
    return 0


if __name__ == "__main__":
    faulthandler.enable()
    sys.exit(main())
