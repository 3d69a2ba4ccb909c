"""Figures of a bench: a row each, a table for people, JSON for comparing.

The JSON is the interface that `docs` promises: machine, date, commit, and rows of name, value, unit, goal, met, against. This
room knows no bench.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

GIT_TIMEOUT_S: Final = 10

Value = int | float | str


class Row(msgspec.Struct, frozen=True):
    """One figure. goal: what it should be, None where it has none; met: whether it is; against: what it is compared with."""

    name: str
    value: Value
    unit: str = ""
    goal: Value | None = None
    met: bool | None = None
    against: str = ""


class Report(msgspec.Struct, frozen=True):
    """A run's figures, with where and on what they were measured."""

    machine: str
    date: str
    commit: str
    rows: list[Row]

    @property
    def met(self) -> bool:
        """Whether no row missed its goal."""
        return all(row.met is not False for row in self.rows)


def exactly(name: str, value: Value, unit: str, goal: Value, against: str) -> Row:
    """A row whose value must be its goal, to the last digit."""
    return Row(name, value, unit, goal, value == goal, against)


def parser(name: str, text: str) -> argparse.ArgumentParser:
    """A bench's arguments, with those that every bench takes."""
    arguments = argparse.ArgumentParser(prog=f"python -m bench {name}", description=text)
    arguments.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as JSON")
    arguments.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    return arguments


def report(rows: Sequence[Row]) -> Report:
    """The rows with this machine, now, and the commit that is checked out."""
    return Report(_machine(), datetime.now(UTC).strftime("%Y-%m-%d"), _commit(), list(rows))


def publish(made: Report, json: Path | None) -> int:
    """Print the table and write the JSON; 1 when a row missed its goal, else 0."""
    print(table(made))
    if json is not None:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    for row in made.rows:
        if row.met is False:
            print(f"MISSED: {row.name} is {row.value} {row.unit}, and should be {row.goal}", file=sys.stderr)
    return 0 if made.met else 1


def table(made: Report) -> str:
    """The rows as Markdown, so that what a run prints can be committed as it is."""
    cells = [("figure", "value", "unit", "goal", "against")]
    for row in made.rows:
        goal = "" if row.goal is None else f"{_shown(row.goal)} {'met' if row.met else 'MISSED'}"
        cells.append((row.name, _shown(row.value), row.unit, goal, row.against))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [_line(line, widths) for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([f"{made.machine}; {made.date}; commit {made.commit}", "", *lines])


def _line(line: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        text.rjust(width) if column == 1 else text.ljust(width)
        for column, (text, width) in enumerate(zip(line, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _shown(value: Value) -> str:
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"
        case _:
            return value


def _machine() -> str:
    memory_gib = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {"NAME": platform.system(), "VERSION_ID": platform.release()}
    name = f"{system['NAME'].removesuffix(' GNU/Linux')} {system.get('VERSION_ID', '')}".strip()
    return f"{os.cpu_count()} cores, {memory_gib} GiB, {name}, Python {platform.python_version()}"


def _commit() -> str:
    """The short name of the commit, `+` after it where the tree has changes; `unknown` outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    asked = subprocess.run(
        [git, "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=GIT_TIMEOUT_S,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else "unknown"
