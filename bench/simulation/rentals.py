"""Jobs as rentals, in simulated time: each takes its GPUs on demand when it starts, and gives them back when it ends.

The Barons stand ready: a lease is active the instant it is let and wiped the instant it ends, and a Tick comes exactly when
one is due. A job that is refused is counted and not tried again. It knows no files, and prints nothing.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from bench.simulation.books import Books
from bench.simulation.trace import Job
from engine.kinds import LeaseState
from engine.limits import Limits
from engine.messages import (
    CapacityChanged,
    Command,
    Deposit,
    EndLease,
    Event,
    LeaseActive,
    LeaseChanged,
    LeaseScheduled,
    LeaseWiped,
    ListMarket,
    MarketListed,
    Offer,
    OpenAccount,
    RegisterBaron,
    Rejected,
    Rent,
    SetCapacity,
    SetOffers,
    Tick,
    Traded,
)
from engine.units import MICROS_PER_TICK, NS_PER_HOUR, PPM, usage_micros

GPUS_PER_BARON: Final = 8
MAX_TERM_HOURS: Final = 2_160
TAKER_FEE_PPM: Final = 5_000
LIMITS: Final = Limits(max_term_hours=MAX_TERM_HOURS)
MAX_GPUS: Final = LIMITS.max_offers * GPUS_PER_BARON
"""What one provider can offer, one offer a Baron."""

SKU: Final = "H100-SXM5-80GB"
REGION: Final = "us-east"
PROVIDER: Final = 1
FIRST_RENTER: Final = 2
DELIVERY: Final = b"job"


class Refusal(NamedTuple):
    """A job that got nothing, and how much was free when it asked."""

    job: Job
    reason: str
    free_gpus: int


class Tally(msgspec.Struct, kw_only=True):
    """What a run came to. *_gpu_ns: GPU-nanoseconds; billed_micros: what the minimum and the rounding make of them."""

    served: int = 0
    served_gpu_ns: int = 0
    billed_gpu_ns: int = 0
    billed_micros: int = 0
    leased_gpu_ns: int = 0
    peak_gpus: int = 0
    leases: int = 0
    trades: int = 0
    multi_baron_jobs: int = 0
    ends: Counter[str] = msgspec.field(default_factory=Counter)
    refusals: list[Refusal] = msgspec.field(default_factory=list)


class _End(NamedTuple):
    """When a lease's job is done; sorts by time, then by lease."""

    end_ns: int
    lease_id: int
    account: int


class Rentals:
    """One market of Barons of eight, one provider, and the renters of a trace."""

    def __init__(self, books: Books, gpus: int, price_ticks: int, jobs: Sequence[Job]) -> None:
        self.books = books
        self.tally = Tally()
        self.gpus = gpus
        self.accounts = {
            name: FIRST_RENTER + place for place, name in enumerate(sorted({job.organisation for job in jobs}))
        }
        self._price_ticks = price_ticks
        self._instrument = 0
        self._leased: dict[int, int] = {}
        self._leased_gpus = 0
        self._measured_ns = self._window_end_ns = 0
        self._live: set[int] = set()
        self._ends: list[_End] = []
        self._open(jobs)

    def rent(self, job: Job) -> None:
        """Let time pass to the job's start, and rent its GPUs or count the refusal."""
        self.advance(job.start_ns)
        account = self.accounts[job.organisation]
        free_gpus = self.gpus - self._leased_gpus
        events = self._enter(
            job.start_ns,
            Rent(
                account=account,
                instruments=(self._instrument,),
                quantity=job.gpus,
                hours=job.hours,
                max_price_ticks=0,
                delivery=DELIVERY,
            ),
        )
        if isinstance(events[0], Rejected):
            self.tally.refusals.append(Refusal(job, events[0].reason.name.lower(), free_gpus))
            return
        leases = [event for event in events if isinstance(event, LeaseScheduled)]
        for lease in leases:
            self._live.add(lease.lease_id)
            self._enter(job.start_ns, LeaseActive(lease_id=lease.lease_id, access=b""))
            heapq.heappush(self._ends, _End(job.start_ns + job.duration_ns, lease.lease_id, account))
            self._count(job, lease)
        self.tally.served += 1
        self.tally.served_gpu_ns += job.gpus * job.duration_ns
        self.tally.multi_baron_jobs += len(leases) > 1

    def advance(self, to_ns: int) -> None:
        """Let all happen that is due by then: timers as Ticks at their own time, then the ends of jobs."""
        while True:
            due_ns = self.books.machine.next_due_ns()
            end_ns = self._ends[0].end_ns if self._ends else None
            if due_ns is not None and due_ns <= (to_ns if end_ns is None else min(to_ns, end_ns)):
                self._wipe_ended(due_ns, self._enter(due_ns, Tick()))
            elif end_ns is not None and end_ns <= to_ns:
                end = heapq.heappop(self._ends)
                if end.lease_id in self._live:
                    self._wipe_ended(end_ns, self._enter(end_ns, EndLease(account=end.account, lease_id=end.lease_id)))
            else:
                return

    def finish(self) -> None:
        """Let every lease that is left end."""
        while self._ends:
            self.advance(self._ends[0].end_ns)

    @property
    def live_leases(self) -> int:
        """Leases that haven't ended yet."""
        return len(self._live)

    def _open(self, jobs: Sequence[Job]) -> None:
        """Everything that stands before the first job: market, accounts with enough money for all they want, offers."""
        start_ns = jobs[0].start_ns
        self._window_end_ns = jobs[-1].start_ns
        self._measured_ns = start_ns
        for listed in self._enter(start_ns, ListMarket(sku=SKU, region=REGION)):
            if isinstance(listed, MarketListed):
                self._instrument = listed.ondemand_instrument
        self._enter(start_ns, OpenAccount(account=PROVIDER, maker_fee_ppm=0, taker_fee_ppm=TAKER_FEE_PPM))
        # An hour of all in bond, and as much for what enters anew.
        bond_micros = 2 * self.gpus * self._price_ticks * MICROS_PER_TICK
        self._enter(start_ns, Deposit(account=PROVIDER, amount_micros=bond_micros, client_id="bonds"))
        needed: Counter[str] = Counter()
        for job in jobs:
            # Whole hours and two more cover minimum, prefund and fee.
            needed[job.organisation] += job.gpus * (job.hours + 2) * self._price_ticks * MICROS_PER_TICK
        for name, account in self.accounts.items():
            amount_micros = needed[name] * (PPM + TAKER_FEE_PPM) // PPM
            self._enter(start_ns, OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=TAKER_FEE_PPM))
            self._enter(start_ns, Deposit(account=account, amount_micros=amount_micros, client_id="opening"))
        barons = [
            (baron, min(GPUS_PER_BARON, self.gpus - first))
            for baron, first in enumerate(range(0, self.gpus, GPUS_PER_BARON), start=1)
        ]
        for baron, gpus in barons:
            self._enter(start_ns, RegisterBaron(baron=baron, provider=PROVIDER, sku=SKU, region=REGION))
            self._enter(start_ns, SetCapacity(baron=baron, gpus=gpus, simulated=False))
        offers = tuple(
            Offer(
                baron=baron,
                instrument=self._instrument,
                price_ticks=self._price_ticks,
                gpus=gpus,
                max_hours=MAX_TERM_HOURS,
            )
            for baron, gpus in barons
        )
        self._enter(start_ns, SetOffers(account=PROVIDER, offers=offers))

    def _enter(self, ts_ns: int, command: Command) -> list[Event]:
        self._measure(ts_ns)
        events = self.books.enter(ts_ns, command)
        if events and isinstance(events[0], Rejected) and not isinstance(command, Rent):
            raise RuntimeError(f"{command} was refused: {events[0]}; the simulation and the engine disagree")
        for event in events:
            if isinstance(event, CapacityChanged):
                self._leased_gpus += event.leased_gpus - self._leased.get(event.baron, 0)
                self._leased[event.baron] = event.leased_gpus
            elif isinstance(event, Traded):
                self.tally.trades += 1
        self.tally.peak_gpus = max(self.tally.peak_gpus, self._leased_gpus)
        return events

    def _measure(self, ts_ns: int) -> None:
        """Add what was leased until now, inside the time in which jobs come."""
        until_ns = min(ts_ns, self._window_end_ns)
        if until_ns > self._measured_ns:
            self.tally.leased_gpu_ns += self._leased_gpus * (until_ns - self._measured_ns)
            self._measured_ns = until_ns

    def _wipe_ended(self, ts_ns: int, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, LeaseChanged) and event.state in (LeaseState.ENDED, LeaseState.FAILED):
                self._live.remove(event.lease_id)
                self.tally.ends[event.reason.name.lower()] += 1
                self._enter(ts_ns, LeaseWiped(lease_id=event.lease_id))

    def _count(self, job: Job, lease: LeaseScheduled) -> None:
        """What the lease should cost, from the trace alone: its time, at least an hour."""
        billed_ns = max(job.duration_ns, NS_PER_HOUR)
        self.tally.leases += 1
        self.tally.billed_gpu_ns += lease.quantity * billed_ns
        self.tally.billed_micros += usage_micros(self._price_ticks, lease.quantity, billed_ns)
