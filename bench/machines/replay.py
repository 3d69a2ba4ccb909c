"""A replay of many million commands: the mixed flow, whole, put to a second machine that ends as the one that made it.

The records lie in memory meanwhile, 150 bytes each; the machine that made them is gone when they are played, as it is when
a server starts again. Timed is nothing but the batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from bench.machines.flow import Fetch, Maker, batched_s, fetched, is_over, logged
from engine.codec import decode_events, encode_command
from engine.halves import compiled_half
from engine.limits import Limits
from engine.messages import Command, Event, LeaseActive, LeaseScheduled, LeaseWiped, Tick

CHUNK: Final = 200_000
"""Commands that are made at once."""
BLOCK: Final = 256
"""Orders that are put to the maker's machine at once: what their leases need comes behind them."""


class ReplayDiffers(Exception):
    """The replay ended in another state: the machine isn't deterministic."""


class Replayed(NamedTuple):
    """So many commands in so much time, and what stood in the market at the end."""

    commands: int
    seconds: float
    open_orders: int
    leases: int


class Stream:
    """The mixed flow without an end, as records of a log."""

    def __init__(self, accounts: int) -> None:
        self._maker = Maker(accounts, compiled_half(), named=False)
        self.machine = self._maker.machine
        self.opening = logged(self._maker.steps)
        self._made: list[bytes] = []

    def records(self, least: int) -> list[bytes]:
        """So many commands more, and what their last leases need."""
        self._made = []
        while len(self._made) < least:
            self._block()
        return self._made

    def _block(self) -> None:
        maker = self._maker
        while (due_ns := self.machine.next_due_ns()) is not None and due_ns <= maker.now_ns:
            self._wipe(self._put([Tick()]))
        over: list[Event] = []
        began: list[Command] = []
        for event in self._entered([self._record(maker.drawn()) for _ in range(BLOCK)]):
            maker.rests(event)
            if isinstance(event, LeaseScheduled):
                maker.runs(event)
                began.append(LeaseActive(lease_id=event.lease_id, access=b"port"))
            elif is_over(event):
                over.append(event)
        over += self._put(began)
        self._wipe([*over, *self._put(maker.ended())])

    def _wipe(self, events: Iterable[Event]) -> None:
        """Wipe what is over; a wipe may be what another lease waits for."""
        while over := [LeaseWiped(lease_id=event.lease_id) for event in events if is_over(event)]:
            events = self._put(over)

    def _put(self, commands: Iterable[Command]) -> list[Event]:
        return list(self._entered([self._record(command) for command in commands]))

    def _record(self, command: Command) -> bytes:
        return encode_command(self._maker.now_ns, command)

    def _entered(self, records: list[bytes]) -> Iterator[Event]:
        self._made += records
        for told in self.machine.batch(records, self.machine.last_seq + 1):
            yield from decode_events(0, told).events if told else ()


def replayed(commands: int, accounts: int) -> Replayed:
    """A machine that replays so many commands of a market; ReplayDiffers unless it ends as the one that they were made on."""
    opening, chunks, made_hash = _made(commands, accounts)
    machine = compiled_half().machine(0, Limits())
    batched_s(machine, opening)
    seconds = sum(batched_s(machine, fetches) for fetches in chunks)
    done = sum(len(records) for fetches in chunks for records in fetches)
    if machine.state_hash() != made_hash:
        raise ReplayDiffers(
            f"after {done:,} commands the state is {machine.state_hash()}, and not what they were made on"
        )
    counts = machine.counts()
    return Replayed(done, seconds, counts.open_orders, counts.leases)


def _made(commands: int, accounts: int) -> tuple[list[Fetch], list[list[Fetch]], str]:
    """What opens the market, the records behind it, and the state that they end in."""
    stream, chunks, made = Stream(accounts), list[list[Fetch]](), 0
    while made < commands:
        records = stream.records(min(CHUNK, commands - made))
        chunks.append(fetched(records))
        made += len(records)
    return stream.opening, chunks, stream.machine.state_hash()
