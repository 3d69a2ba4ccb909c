"""A trace of real GPU jobs as on-demand rentals, through machine and ledger in simulated time.

`python -m bench.jobs --data FILE [--gpus 2048 --price 2.00]`. The numbers depend on the data alone, but for those per second.
The public trace that it was made for: Microsoft's Philly (msr-fiddle/philly-traces), as extracted in pkusys/ElasticFlow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tqdm import tqdm

from bench.common.report import Row, exactly, parser, publish, report
from bench.simulation.books import Books
from bench.simulation.rentals import GPUS_PER_BARON, LIMITS, MAX_GPUS, MAX_TERM_HOURS, Refusal, Rentals
from bench.simulation.trace import Job, TraceError, read_jobs
from engine.units import NS_PER_HOUR, NS_PER_S, format_money, format_price, parse_price
from settlement import statements
from settlement.postings import CHARGE_CODES
from settlement.verify import Proof

QUICK_JOBS: Final = 2_000
SIZES: Final = ((1, 1), (2, 7), (8, 8), (9, 10**6))
"""Sizes of jobs that refusals are counted by: within one Baron, a whole one, more than one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 1 when a proof fails, 2 when the data can't be used."""
    options = _parser().parse_args(arguments)
    try:
        jobs = read_jobs(options.data)
    except (OSError, TraceError) as error:
        print(f"{error}", file=sys.stderr)
        return 2
    if not jobs:
        print(f"{options.data} holds no jobs", file=sys.stderr)
        return 2
    if options.quick:
        jobs = jobs[:QUICK_JOBS]
    with tempfile.TemporaryDirectory(prefix="hourbook-bench-") as folder:
        books = Books(Path(folder, "ledger.db"), LIMITS)
        try:
            rows = run(books, jobs, options.gpus, options.price)
        finally:
            books.close()
    return publish(report(rows), options.json)


def run(books: Books, jobs: Sequence[Job], gpus: int, price_ticks: int) -> list[Row]:
    """All jobs from first to last, then the proof; one row a figure."""
    before = time.perf_counter()
    rentals = Rentals(books, gpus, price_ticks, jobs)
    for job in tqdm(jobs, desc=f"{gpus} GPUs", unit="job", disable=None):
        rentals.rent(job)
    rentals.finish()
    books.flush()
    run_s = time.perf_counter() - before
    proof = books.prove()
    return [
        *_jobs(rentals, jobs, price_ticks),
        *_refusals(rentals.tally.refusals),
        *_hours(rentals, jobs),
        *_money(rentals, jobs),
        *_proof(proof, rentals),
        *_speed(books, rentals, jobs, run_s),
    ]


def _parser() -> argparse.ArgumentParser:
    options = parser("jobs", __doc__ or "")
    options.add_argument("--data", type=Path, required=True, metavar="FILE", help="the trace, CSV or CSV.gz")
    options.add_argument("--gpus", type=_gpus, default=2_048, help="GPUs on offer, in Barons of 8 (default 2048)")
    options.add_argument("--price", type=parse_price, default="2.00", help="dollars per GPU-hour (default 2.00)")
    return options


def _gpus(text: str) -> int:
    number = int(text)
    if not 0 < number <= MAX_GPUS:
        raise argparse.ArgumentTypeError(f"from 1 to {MAX_GPUS} GPUs")
    return number


def _jobs(rentals: Rentals, jobs: Sequence[Job], price_ticks: int) -> list[Row]:
    tally = rentals.tally
    refused = len(tally.refusals)
    barons = -(-rentals.gpus // GPUS_PER_BARON)
    return [
        Row("offered", rentals.gpus, "GPUs", against=f"{barons} Barons at ${format_price(price_ticks)}"),
        exactly("jobs", tally.served + refused, "jobs", len(jobs), "served + refused = in the trace"),
        Row("jobs served", tally.served, "jobs"),
        Row("jobs served by more than one Baron", tally.multi_baron_jobs, "jobs"),
        Row("jobs refused", refused, "jobs"),
    ]


def _refusals(refusals: Sequence[Refusal]) -> list[Row]:
    """Refusals by reason, and what was free when each asked: the reason behind the reason."""
    rows = [
        Row(f"refused: {reason}", count, "jobs")
        for reason, count in sorted(Counter(each.reason for each in refusals).items())
    ]
    short = [each for each in refusals if each.free_gpus < each.job.gpus]
    too_long = [each for each in refusals if each.job.hours > MAX_TERM_HOURS]
    if refusals:
        rows.append(Row("refused with fewer GPUs free than asked for", len(short), "jobs", against="of those refused"))
        rows.append(
            Row(f"refused for a term above {MAX_TERM_HOURS} h", len(too_long), "jobs", against="of those refused")
        )
        rows.append(Row("refused on the day with most refusals", *_worst_day(refusals)))
    for low, high in SIZES:
        of_size = [each for each in refusals if low <= each.job.gpus <= high]
        if of_size:
            name = f"{low}" if low == high else f"{low} to {high}" if high < SIZES[-1][1] else f"{low} or more"
            free = sorted(each.free_gpus for each in of_size)
            seen = f"free then: median {free[len(free) // 2]}, most {free[-1]}"
            rows.append(Row(f"refused wanting {name} GPUs", len(of_size), "jobs", against=seen))
    by_organisation = Counter(each.job.organisation for each in refusals)
    rows += [Row(f"refused: organisation {name}", count, "jobs") for name, count in sorted(by_organisation.items())]
    return rows


def _worst_day(refusals: Sequence[Refusal]) -> tuple[int, str, None, None, str]:
    days = Counter(time.strftime("%Y-%m-%d", time.gmtime(each.job.start_ns // NS_PER_S)) for each in refusals)
    day, count = max(days.items(), key=lambda item: (item[1], item[0]))
    return count, "jobs", None, None, f"{day}; {len(days)} days had any"


def _hours(rentals: Rentals, jobs: Sequence[Job]) -> list[Row]:
    tally = rentals.tally
    wanted = sum(job.gpus * job.duration_ns for job in jobs)
    refused = sum(each.job.gpus * each.job.duration_ns for each in tally.refusals)
    window_ns = jobs[-1].start_ns - jobs[0].start_ns
    rows = [
        Row("GPU-hours in the trace", wanted / NS_PER_HOUR, "GPU-h"),
        Row("GPU-hours of served jobs", tally.served_gpu_ns / NS_PER_HOUR, "GPU-h"),
        exactly(
            "GPU-time served + refused",
            _seconds(tally.served_gpu_ns + refused),
            "GPU-s",
            _seconds(wanted),
            "in the trace",
        ),
        Row("GPU-hours billed", tally.billed_gpu_ns / NS_PER_HOUR, "GPU-h"),
        Row(
            "GPU-hours billed beyond use",
            (tally.billed_gpu_ns - tally.served_gpu_ns) / NS_PER_HOUR,
            "GPU-h",
            against="the 1 h minimum of jobs that are shorter",
        ),
        Row("peak of GPUs leased", tally.peak_gpus, "GPUs"),
    ]
    if window_ns:
        utilisation = 100 * tally.leased_gpu_ns / (rentals.gpus * window_ns)
        rows.append(
            Row("utilisation", utilisation, "%", against="GPUs offered, from the first job's start to the last's")
        )
    return rows


def _seconds(gpu_ns: int) -> str:
    """GPU-seconds to the last nanosecond, without a fraction where there is none."""
    whole, part = divmod(gpu_ns, NS_PER_S)
    return f"{whole:,}.{part:09d}".rstrip("0").rstrip(".") if part else f"{whole:,}"


def _money(rentals: Rentals, jobs: Sequence[Job]) -> list[Row]:
    """Spend by organisation, from its own statements, and the whole against what the trace's times come to."""
    rows = []
    usage = fees = 0
    for name, account in rentals.accounts.items():
        spent_usage, spent_fees = _spent(rentals, account, jobs)
        usage, fees = usage + spent_usage, fees + spent_fees
        count = sum(job.organisation == name for job in jobs)
        spend = format_money(spent_usage + spent_fees)
        rows.append(Row(f"spend of organisation {name}", spend, "USD", against=f"{count:,} jobs; with fees"))
    expected = rentals.tally.billed_micros
    return [
        *rows,
        exactly(
            "usage in all statements", format_money(usage), "USD", format_money(expected), "reckoned from the trace"
        ),
        Row("fees in all statements", format_money(fees), "USD"),
    ]


def _spent(rentals: Rentals, account: int, jobs: Sequence[Job]) -> tuple[int, int]:
    """Usage and fees that the account paid, in micro-dollars, from all its months."""
    usage = fees = 0
    last_ns = max(job.start_ns + job.duration_ns for job in jobs)
    for month in _months(jobs[0].start_ns, last_ns):
        made = rentals.books.settlement.read(partial(statements.statement, account=account, month=month))
        charged = sum(line.amount_micros for line in made.lines if line.code in CHARGE_CODES)
        if charged != sum(lease.usage_micros + lease.fee_micros for lease in made.leases):
            raise RuntimeError(f"the statement of account {account} for {month} doesn't add up")
        usage -= sum(lease.usage_micros for lease in made.leases)
        fees -= sum(lease.fee_micros for lease in made.leases)
    return usage, fees


def _months(first_ns: int, last_ns: int) -> list[str]:
    first, last = (time.gmtime(ts_ns // NS_PER_S) for ts_ns in (first_ns, last_ns))
    numbers = range(first.tm_year * 12 + first.tm_mon - 1, last.tm_year * 12 + last.tm_mon)
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers]


def _proof(proof: Proof, rentals: Rentals) -> list[Row]:
    for finding in proof.findings:
        print(
            f"{finding.check}: {finding.subject}: expected {finding.expected}, found {finding.found}", file=sys.stderr
        )
    return [
        exactly("leases in the ledger", proof.leases, "leases", rentals.tally.leases, "opened"),
        exactly("leases still running", proof.leases_running, "leases", rentals.live_leases, "in the simulation"),
        Row("postings", proof.postings, "postings"),
        exactly(
            "ledger's proof: differences",
            proof.findings_total,
            "",
            0,
            f"ledger = engine in {proof.pots} pots at command {proof.seq:,}; each lease recomputed; sum zero",
        ),
    ]


def _speed(books: Books, rentals: Rentals, jobs: Sequence[Job], run_s: float) -> list[Row]:
    commands = sum(books.commands.values())
    most = ", ".join(f"{count:,} {name}" for name, count in books.commands.most_common(5))
    ends = ", ".join(f"{count:,} {name}" for name, count in sorted(rentals.tally.ends.items()))
    return [
        Row("trades", rentals.tally.trades, "trades"),
        Row("leases ended", sum(rentals.tally.ends.values()), "leases", against=ends),
        Row("commands", commands, "commands", against=most),
        Row("commands/s", commands / run_s, "1/s", against="machine, ledger and simulation together"),
        Row("commands/s of the machine", commands / books.machine_s, "1/s", against="machine alone, fast book"),
        Row("ledger's share of the time", 100 * books.ledger_s / run_s, "%"),
        Row("time in all", run_s, "s", against=f"{len(jobs):,} jobs"),
        Row("state hash at the end", books.machine.state_hash()[:16], "", against="same data, same hash"),
    ]


if __name__ == "__main__":
    sys.exit(main())
