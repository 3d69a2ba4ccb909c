"""Reading a trace: sorted by time, exact durations, and a sentence for each thing that isn't a trace."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.simulation.trace import Job, TraceError, read_jobs
from engine.units import NS_PER_HOUR, NS_PER_S

HEADER = "timestamp,duration,num_gpus,gpu_time,cluster\n"
ROWS = (
    "2017-10-09 07:01:55,66.0,1,66.0,b\n"
    "2017-09-04 10:30:41,3600.0,8,28800.0,a\n"
    "2017-10-09 07:01:55,3600.25,2,7200.5,a\n"
)


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * NS_PER_S  # type: ignore[misc, arg-type]


@pytest.mark.parametrize("name", ["trace.csv", "trace.csv.gz"])
def test_jobs_come_sorted_and_exact(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = (HEADER + ROWS).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    second = at(2017, 10, 9, 7, 1, 55)
    jobs = read_jobs(path)
    assert jobs == [
        Job(at(2017, 9, 4, 10, 30, 41), NS_PER_HOUR, 8, "a"),
        Job(second, 66 * NS_PER_S, 1, "b"),
        Job(second, NS_PER_HOUR + NS_PER_S // 4, 2, "a"),
    ]
    assert [job.hours for job in jobs] == [1, 1, 2]


BAD = {
    "no header": ("2017-10-09 07:01:55,66.0,1,66.0,b\n", "header lacks"),
    "no time": (HEADER + "yesterday,66.0,1,66.0,b\n", "line 2"),
    "no duration": (HEADER + "2017-10-09 07:01:55,,1,66.0,b\n", "line 2"),
    "nothing lasted": (HEADER + "2017-10-09 07:01:55,0,1,0,b\n", "line 2"),
    "endless": (HEADER + "2017-10-09 07:01:55,1e30,1,0,b\n", "line 2"),
    "not a number": (HEADER + "2017-10-09 07:01:55,NaN,1,0,b\n", "line 2"),
    "no GPUs": (HEADER + ROWS + "2017-10-09 07:01:55,66.0,0,0,b\n", "line 5"),
    "half a GPU": (HEADER + "2017-10-09 07:01:55,66.0,0.5,33.0,b\n", "line 2"),
    "no organisation": (HEADER + "2017-10-09 07:01:55,66.0,1,66.0,\n", "line 2"),
    "too few columns": (HEADER + "2017-10-09 07:01:55\n", "line 2"),
    "not text": (HEADER + "\udcff", "after line"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_trace_is_named(tmp_path: Path, name: str) -> None:
    text, said = BAD[name]
    path = tmp_path / "trace.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(TraceError, match=said):
        read_jobs(path)


def test_what_is_no_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress((HEADER + ROWS).encode())[:-12])
    with pytest.raises(TraceError, match=r"trace\.csv\.gz"):
        read_jobs(path)
    path.write_text(HEADER)
    with pytest.raises(TraceError, match=r"trace\.csv\.gz"):
        read_jobs(path)
