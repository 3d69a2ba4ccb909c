"""From a long run in which two books differ to the few simple commands that show it.

Every try runs in a process of its own, with a time limit: a book that crashes or never ends is shrunk like one that is
wrong. First delta debugging on the commands, then their fields one by one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from engine.book import Book
from engine.records import Command, Op, unpack_command, unpack_events
from tests.engine.book.differential_pair import BookFactory, Check, Difference, Pair, Step, Way
from tests.engine.book.flows import Segment
from tests.engine.book.table import both_lines, command_line, limits_line

TRY_S: Final = 60
RAISED: Final = 1
SHRINK_S: Final = 75
"""After so long the smallest sequence found is shown as it is."""
SIMPLE: Final = (0, 1, 2, 3, 100, 101)
_NAMES: Final = tuple(name for name in Command._fields if name not in ("op", "shape"))

Fails = Callable[[Sequence[Step]], bool]


def fate(work: Callable[[], object]) -> int:
    """How a child process that does this work ends: 0 well, RAISED by an exception, else by a crash or by taking too long."""
    child = os.fork()
    if not child:
        try:
            signal.alarm(TRY_S)
            work()
        except BaseException:  # noqa: BLE001 - whatever it is, it is what is being looked for
            os._exit(RAISED)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def died(work: Callable[[], object]) -> bool:
    """Whether work raises, crashes or takes too long, tried in a child process."""
    return fate(work) != 0


def ddmin(things: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """A sublist that still fails and of which no part of the sizes tried can go (Zeller's delta debugging)."""
    size = max(1, len(things) // 2)
    while True:
        at, less = 0, False
        while at < len(things):
            shorter = things[:at] + things[at + size :]
            if shorter and fails(shorter):
                things, less = shorter, True
            else:
                at += size
        if size == 1 and not less:
            return things
        size = max(1, size // 2) if not less or size > len(things) else size


def alone(steps: Sequence[Step]) -> list[Step]:
    """Each command a step of its own, with room for all that it says."""
    return [Step(Way.BATCH, (record,)) for step in steps for record in step.commands]


def with_checks(steps: Sequence[Step]) -> list[Step]:
    return [step._replace(check=Check.ALL) for step in steps]


def simpler(record: bytes) -> Iterator[bytes]:
    """The record with one field made plainer."""
    command = unpack_command(record)
    for name in _NAMES:
        value = getattr(command, name)
        for simple in SIMPLE if name not in ("reserved", "flags", "reason") else (0,):
            if simple < value:
                yield Command(**command._asdict() | {name: simple}).pack()
    if command.op == Op.NEW:
        for bits in (0b1100000, 0b11000, 0b110):
            if command.shape & bits:
                yield command._replace(shape=command.shape & ~bits).pack()


def shrunk(steps: list[Step], fails: Fails) -> list[Step]:
    """Fewest commands, then plainest."""
    end_s = time.monotonic() + SHRINK_S

    def tried(candidate: Sequence[Step]) -> bool:
        return time.monotonic() < end_s and fails(candidate)

    for single in (alone(steps), with_checks(alone(steps))):
        if fails(single):
            steps = single
            break
    steps = ddmin(list(steps), tried)
    if any(len(step.commands) > 1 for step in steps):
        steps = _within(steps, tried)
    for at in range(len(steps)):
        again = True
        while again:
            again = False
            for record in simpler(steps[at].commands[0]):
                candidate = [
                    *steps[:at],
                    steps[at]._replace(commands=(record, *steps[at].commands[1:])),
                    *steps[at + 1 :],
                ]
                if tried(candidate):
                    steps, again = candidate, True
                    break
    return steps


def _within(steps: list[Step], fails: Fails) -> list[Step]:
    """Steps of several commands lose those that don't matter."""
    for at, step in enumerate(steps):
        for number in reversed(range(len(step.commands))):
            fewer = step.commands[:number] + step.commands[number + 1 :]
            candidate = [*steps[:at], step._replace(commands=fewer), *steps[at + 1 :]]
            if fewer and fails(candidate):
                steps, step = candidate, candidate[at]
    return steps


def table(segment: Segment, steps: Sequence[Step], plain: BookFactory, other: BookFactory) -> Iterator[str]:
    """What went in and what each book said, until the first difference."""
    yield limits_line(segment.limits)
    books: tuple[Book, Book] = plain(segment.limits), other(segment.limits)
    for number, step in enumerate(steps):
        if step.way is not Way.BATCH or step.out_room < 1 << 16 or step.delta_room < 1 << 16 or step.offset:
            yield f"   -- {step.way.name.lower()}, out {step.out_room} bytes, deltas {step.delta_room}, offset {step.offset}"
        for record in step.commands:
            yield f"{number:>4}  {command_line(record)}"
            said = []
            for book in books:
                try:
                    said.append(list(unpack_events(book.submit_many([unpack_command(record)]))))
                except Exception as error:  # noqa: BLE001 - shown, as part of the table
                    yield f"      ! {type(error).__name__}: {error}"
                    return
            yield from both_lines(*said)


def report(segment: Segment, steps: list[Step], plain: BookFactory, other: BookFactory, failure: Exception) -> str:
    """The seed, the shrunk sequence as a table, and what differs in it."""
    if isinstance(failure, Difference):
        steps = steps[: failure.step + 1]

    def fails(candidate: Sequence[Step]) -> bool:
        return died(lambda: Pair(segment.limits, plain, other).run(candidate))

    small = shrunk(steps, fails)
    crashed = fate(lambda: Pair(segment.limits, plain, other).run(small)) != RAISED
    lines = (
        ["(a book dies of it)", *(command_line(r) for s in small for r in s.commands)]
        if crashed
        else [*table(segment, small, plain, other)]
    )
    last = failure
    if not crashed:
        try:
            Pair(segment.limits, plain, other).run(small)
        except Exception as again:  # noqa: BLE001 - the shrunk failure is the one to show
            last = again
    head = f"the books differ: seed {segment.seed}, segment {segment.number}, {segment.commands_count} commands; shrunk to:"
    return "\n".join([head, *lines, f"{type(last).__name__}: {last}"])
