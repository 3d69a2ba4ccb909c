"""Traces of GPU jobs: who asked for how many GPUs, when, and for how long.

Format: CSV, gzipped or not, with the columns `timestamp` (UTC, `YYYY-MM-DD HH:MM:SS`), `duration` (seconds), `num_gpus`,
`cluster` (the organisation), as the extract of Microsoft's Philly trace has it. It knows no market.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple

from engine.units import NS_PER_HOUR, NS_PER_S, QUANTITY_MAX

COLUMNS: Final = ("timestamp", "duration", "num_gpus", "cluster")
MAX_JOBS: Final = 10_000_000
MAX_DURATION_S: Final = 10 * 366 * 86_400


class Job(NamedTuple):
    """One job: `organisation` wants `gpus` from start_ns for duration_ns."""

    start_ns: int
    duration_ns: int
    gpus: int
    organisation: str

    @property
    def hours(self) -> int:
        """Its term: whole hours, rounded up."""
        return -(-self.duration_ns // NS_PER_HOUR)


class TraceError(ValueError):
    """The file isn't a trace; the message names the line and what it should hold."""


def read_jobs(path: Path) -> list[Job]:
    """The jobs of a trace, sorted by start; those of one second stay in the file's order. TraceError or OSError."""
    with _text(path) as text:
        rows = csv.DictReader(text)
        try:
            jobs = _jobs(path, rows)
        except (csv.Error, UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise TraceError(f"{path}, after line {rows.line_num}: {error}") from error
    jobs.sort(key=lambda job: job.start_ns)
    return jobs


def _text(path: Path) -> io.TextIOWrapper:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _jobs(path: Path, rows: csv.DictReader[str]) -> list[Job]:
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise TraceError(f"{path}: the header lacks {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
    jobs: list[Job] = []
    for row in rows:
        jobs.append(_job(path, rows.line_num, row))
        if len(jobs) > MAX_JOBS:
            raise TraceError(f"{path}: more than {MAX_JOBS} jobs; cut it")
    return jobs


def _job(path: Path, line: int, row: dict[str, str | None]) -> Job:
    values = [row.get(name) or "" for name in COLUMNS]
    try:
        start = datetime.strptime(values[0], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        duration_s, gpus, organisation = Decimal(values[1]), int(values[2]), values[3]
    except (ValueError, InvalidOperation) as error:
        raise TraceError(f"{path}, line {line}: {error}") from error
    if not duration_s.is_finite() or not (
        0 < duration_s <= MAX_DURATION_S and 0 < gpus <= QUANTITY_MAX and organisation
    ):
        raise TraceError(f"{path}, line {line}: a job has a duration, GPUs and an organisation; this has {values}")
    return Job(int(start.timestamp()) * NS_PER_S, int(duration_s * NS_PER_S), gpus, organisation)
