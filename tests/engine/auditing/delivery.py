"""The auditor of delivery: what an obligation's hours have for a lease, and what of them is paid back (rulebook §8, §9).

It looks at what stands when all that was due has happened, at the full hour at which an obligation begins; and keeps each hour
that was paid by itself, with the lease that delivered it. A lease is known by its last event.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import UTC, datetime, timedelta

from engine.kinds import EndReason, Fault, Kind, LeaseState, ObligationChange, Pot, Presence, TransferCode
from engine.messages import (
    Command,
    Event,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    ObligationChanged,
    SetPresence,
    Tick,
    Transfer,
)
from tests.engine.auditing.charges import HOUR_NS
from tests.engine.auditing.hours import Hours, Key, Let
from tests.engine.auditing.obligations import MICROS_PER_TICK, Owing

Shared = tuple[Key, int, int]
"""(holder, Baron), GPUs, and the time at which one obligation's hours end and another's begin."""


@dataclasses.dataclass
class PaidHour:
    """An hour of an obligation that was paid in the running month."""

    hour: int
    key: Key
    lease_id: int
    quantity: int
    price_ticks: int

    @property
    def hour_micros(self) -> int:
        return self.price_ticks * MICROS_PER_TICK


class Delivering:
    def __init__(self, owing: Owing, hours: Hours) -> None:
        self.owing = owing
        self.hours = hours
        self.met: Counter[str] = Counter()
        self.begun: set[int] = set()
        """Obligations whose first hour had begun when all that was due had happened."""
        self.paid: list[PaidHour] = []
        self._now_ns = 0
        self._left: Counter[Key] = Counter()
        """GPUs that a holder had let, and that came back at this very time."""
        self._opened: set[Shared] = set()
        self._expired: set[Shared] = set()
        self._refunded: Counter[int] = Counter()
        self._lost: dict[int, int] = {}
        """Lost Barons whose hours aren't all refunded yet: since when."""
        self._earlier = 0
        self._untold: set[int] = set()
        """Barons of whose hours nothing is predicted until the month is over: they failed a lease on bought hours, and which
        obligations it stood on is the engine's to say."""
        self._month_h = 0

    def begin(self, now_ns: int) -> None:
        """A command comes."""
        if now_ns != self._now_ns:
            self._now_ns = now_ns
            for told in (self._left, self._opened, self._expired):
                told.clear()

    def take(self, event: Event, command: Command) -> None:
        """One event, before anybody else has taken it."""
        match event:
            case ObligationChanged():
                self._owed(event)
            case LeaseScheduled() if event.kind is Kind.FORWARD and isinstance(command, Tick):
                self._opened.add(((event.renter, event.baron), event.quantity, event.start_ns))
            case LeaseChanged() if not event.wiped:
                self._changed(self.hours.lets[event.lease_id], event)
            case Transfer() if (event.code, event.debit_pot) == (TransferCode.REFUND, Pot.RECEIVABLE):
                let = self.hours.lets.get(event.ref)
                if event.credit_account and (let is None or let.kind is Kind.FORWARD):
                    self._refunded[event.credit_account] += event.amount_micros

    def finish(self, command: Command, events: list[Event], *, settled: bool, on_time: bool) -> None:
        """The command is over. `settled`: nothing is due; `on_time`: no command ever came while anything was."""
        self._check_refunds(command, events, settled=settled, on_time=on_time)
        if not settled:
            return
        owed = self.owing.owed
        assert all(each.said.start_h >= self.hours.hour for each in owed.values()), "an hour that is over is paid"
        running = {number for number, each in owed.items() if each.said.start_h == self.hours.hour}
        if on_time and self._now_ns % HOUR_NS == 0:
            for number in sorted(running - self.begun):
                self._check_begun(number)
            assert not self._opened & self._expired, (
                "obligations of equal quantity that follow one another share a lease"
            )
        self.begun = running
        for number in running:
            let = self.hours.lets.get(owed[number].said.lease_id)
            assert let is None or not let.live or let.quantity <= owed[number].said.quantity

    def _check_begun(self, number: int) -> None:
        """It has a lease of all its GPUs, or of those that its holder hasn't let: then none are idle."""
        said = self.owing.owed[number].said
        key = said.holder, said.baron
        let = self.hours.lets.get(said.lease_id)
        leased = let.quantity if let is not None and let.live else 0
        assert let is None or (let.kind, let.renter, let.row[1], let.delivers) == (Kind.FORWARD, *key, True)
        idle = self.hours.rows[key].bought[self.hours.hour] - self._used(key) - self._left[key]
        assert leased == said.quantity or idle <= 0, f"{idle} GPUs of a holder's are idle, and {leased} have a lease"
        assert let is None or not let.live or let.end_h == said.end_h, "a lease runs as long as its obligation"
        assert let is None or (let.state is LeaseState.SCHEDULED) <= (not said.addressed), "a key starts it"
        self.met["BEGUN"] += 1
        self.met["BEGUN with some let"] += leased < said.quantity

    def _used(self, key: Key) -> int:
        """GPUs that a holder uses or let."""
        return self.hours.own_gpus(key) + self.hours.firm_gpus(key) + self.hours.staying(key)

    def _owed(self, event: ObligationChanged) -> None:
        before = self.owing.owed.get(event.obligation_id)
        if event.change is ObligationChange.JOINED and event.live and event.lease_id:
            # Under the older's id the one with the lease goes on.
            self.begun.add(event.obligation_id)
        if event.change is ObligationChange.JOINED and not event.live and event.obligation_id in self.begun:
            self._earlier = event.other_id
        if event.change is ObligationChange.JOINED and event.live and event.obligation_id == self._earlier:
            self.begun.add(event.obligation_id)
            self._earlier = 0
        if event.change is ObligationChange.LEASED and event.lease_id in self.hours.lets:
            self.met["TAKEN OVER"] += 1
        if event.change in (ObligationChange.PAID, ObligationChange.DELIVERED):
            assert before is not None
            key, lease_id = (event.holder, event.baron), before.said.lease_id
            self.paid.append(PaidHour(before.said.start_h, key, lease_id, event.quantity, event.price_ticks))

    def _changed(self, let: Let, event: LeaseChanged) -> None:
        if let.kind is not Kind.FORWARD:
            leaving = event.state in (LeaseState.ENDING, LeaseState.ENDED, LeaseState.FAILED)
            if leaving and let.live and let.state is not LeaseState.ENDING:
                self._left[let.row] += let.quantity
            return
        if let.live and event.reason is EndReason.EXPIRED:
            self._expired.add(((let.renter, let.row[1]), let.quantity, event.ended_ns))
        gone = let.quantity if event.reason is EndReason.RELEASED else let.quantity - event.quantity
        if let.live and gone:
            key = (let.renter, let.row[1])
            lacking = self._used(key) - self.hours.rows[key].bought[self.hours.hour]
            assert gone <= lacking, "an own lease makes room for what is let, and for no more"
            newer = [each for each in self.owing.of[key].values() if each.said.lease_id > 0]
            leased = [each.said for each in newer if self._lives(each.said.lease_id)]
            assert max(leased, key=lambda each: each.obligation_id).lease_id == let.lease_id, (
                "the newest makes room first"
            )
            self.met["SHRUNK"] += 1

    def _lives(self, lease_id: int) -> bool:
        return lease_id in self.hours.lets and self.hours.lets[lease_id].live

    # ---- hours that were paid, and not delivered

    def _check_refunds(self, command: Command, events: list[Event], *, settled: bool, on_time: bool) -> None:
        """What was paid of a lost Baron's hours, or of a failed lease's, is its holders' again, but for closed months (§9)."""
        match command:
            case SetPresence() if command.presence is Presence.LOST:
                self._lost[command.baron] = command.as_of_ns // HOUR_NS
            case LeaseFailed() if command.fault is Fault.PROVIDER:
                self._lease_failed(events, on_time=on_time)
        if not settled:
            return
        due: Counter[int] = Counter()
        for baron, hour in self._lost.items():
            due += self._undo(hour, 0, baron=baron)
        if on_time and self._lost and self._untold.isdisjoint(self._lost):
            self._expect(due)
        self._lost.clear()
        self._refunded.clear()
        month_h = _month_began_h(self._now_ns)
        if month_h > self._month_h:
            # What a month's close paid out stays paid.
            self._month_h = month_h
            self._untold.clear()
            self.paid = [each for each in self.paid if each.hour >= month_h]

    def _lease_failed(self, events: list[Event], *, on_time: bool) -> None:
        failed = next((event for event in events if isinstance(event, LeaseChanged)), None)
        let = self.hours.lets.get(failed.lease_id) if failed is not None else None
        if failed is None or let is None:
            return
        if let.kind is Kind.FORWARD:
            due = self._undo(failed.ended_ns // HOUR_NS, failed.quantity, lease_id=failed.lease_id)
            if on_time and let.row[1] not in self._untold:
                self._expect(due)
        elif self._refunded:
            self._untold.add(let.row[1])
        self._refunded.clear()

    def _expect(self, due: Counter[int]) -> None:
        assert +self._refunded == +due, "hours that weren't delivered are refunded whole, and no others"
        self.met["REFUNDED"] += bool(+due)

    def _undo(self, hour: int, quantity: int, *, lease_id: int = 0, baron: int = 0) -> Counter[int]:
        """What is due to whom for these hours, which are paid no more; quantity 0: all GPUs."""
        due: Counter[int] = Counter()
        for each in self.paid:
            mine = each.lease_id == lease_id if lease_id else each.key[1] == baron
            if each.hour < hour or not mine:
                continue
            gpus = min(quantity or each.quantity, each.quantity)
            due[each.key[0]] += gpus * each.hour_micros
            each.quantity -= gpus
        return due


def _month_began_h(now_ns: int) -> int:
    """The first hour of the calendar month that a time lies in."""
    now = datetime.fromtimestamp(0, UTC) + timedelta(seconds=now_ns // 10**9)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(first.timestamp()) // 3_600
