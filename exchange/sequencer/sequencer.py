"""The one writer of a shard: every command, from whatever gateway, passes here in one order (architecture, "The sequencer").

A round takes what is queued, stamps it, and appends it to the command log while the machine applies it. Only when the
append is durable are replies released, then subscribers called, then the events appended to the event log; replies don't
wait for that, because events can always be derived again. A round begins when the one before is durable, so that
whatever came in meanwhile shares one fsync. On any failure it stops for good: what the machine holds in memory may be
ahead of the log, and a new start makes it whole. It knows nothing of what a command asks for, but which may use the
queue's reserve.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Final, NamedTuple

from engine.codec import decode_command, encode_command, encode_events
from engine.machine import Machine
from engine.messages import (
    CancelAll,
    CancelAllAfter,
    CancelOrder,
    Command,
    EndLease,
    KeepOrders,
    LeaseActive,
    LeaseFailed,
    LeaseWiped,
    Reply,
    ReportOutage,
    SetAccountLimits,
    SetCapacity,
    SetDrain,
    SetFeatures,
    SetPresence,
    SetRating,
    SetSession,
    Tick,
)
from engine.units import TIME_MAX_NS
from exchange.log.interface import LogWriter, Record
from exchange.sequencer.errors import InvalidCommand, RecoveryError
from exchange.sequencer.interface import OutcomeUnknown, Overloaded, Subscriber
from exchange.sequencer.snapshots import Snapshot, SnapshotStore

MAX_QUEUE: Final = 65_536
MAX_BATCH: Final = 4_096
"""Commands of one round, Ticks counted in."""
MAX_COMMAND_BYTES: Final = 128 << 10
RESERVE_SHARE: Final = 8
"""One part in so many of the queue is kept for RESERVED."""
RESERVED: Final = (
    CancelOrder,
    CancelAll,
    CancelAllAfter,
    KeepOrders,
    EndLease,
    LeaseActive,
    LeaseFailed,
    LeaseWiped,
    ReportOutage,
    SetAccountLimits,
    SetCapacity,
    SetDrain,
    SetFeatures,
    SetPresence,
    SetRating,
    SetSession,
)
"""What lessens risk or says what has happened is still taken when orders aren't."""
APPLIED_AT_ONCE: Final = 128
"""Commands that are applied before the event loop has a turn."""
TICK_S: Final = 1.0
"""How often timers are looked for when no command comes; a Tick is only written when one is due."""
SNAPSHOT_EVERY: Final = 100_000
"""Commands from one snapshot to the next."""

_logger = logging.getLogger(__name__)


class Figures(NamedTuple):
    """Sums since the start, for /metrics. append_ns: of the command log's appends, from call to durable."""

    commands: int
    ticks: int
    batches: int
    largest_batch: int
    append_ns: int
    longest_append_ns: int
    overloaded: int
    snapshots: int
    failed_snapshots: int


class _Waiting(NamedTuple):
    """A command in the queue and who waits for its reply."""

    command: Command
    reply: asyncio.Future[Reply]


class Sequencer:
    """Takes commands from `start` to `stop`, on one event loop; `submit` satisfies `exchange.sequencer.interface.Submit`."""

    def __init__(
        self,
        machine: Machine,
        commands: LogWriter,
        events: LogWriter,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        max_queue: int = MAX_QUEUE,
        max_batch: int = MAX_BATCH,
        tick_s: float = TICK_S,
        snapshots: SnapshotStore | None = None,
        snapshot_every: int = SNAPSHOT_EVERY,
    ) -> None:
        """`machine` stands where `commands` ends, as `recovery.recover` leaves it. Without `snapshots` none are taken."""
        self._machine = machine
        self._commands = commands
        self._events = events
        self._clock_ns = clock_ns
        self._max_queue = max_queue
        self._max_batch = max_batch
        self._tick_s = tick_s
        self._snapshots = snapshots
        self._snapshot_every = snapshot_every

        self._seq = machine.last_seq
        self._ts_ns = machine.last_ts_ns
        self._events_seq = 0
        self._snapshot_seq = 0
        self._queue: deque[_Waiting] = deque()
        self._opening: list[_Waiting] = []
        self._in_flight: list[_Waiting] = []
        self._subscribers: dict[object, Subscriber] = {}
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._snapshotting: asyncio.Task[None] | None = None
        self._stopping = False
        self._failure: BaseException | None = None
        self._figures = Figures(*[0] * len(Figures._fields))

    # ------------------------------------------------------------ what others see

    @property
    def seq(self) -> int:
        """The last command that is durable and released."""
        return self._seq

    @property
    def ts_ns(self) -> int:
        """The time of that command."""
        return self._ts_ns

    @property
    def queue_length(self) -> int:
        return len(self._queue)

    @property
    def healthy(self) -> bool:
        """Whether commands are taken: started, neither stopping nor failed."""
        return self._running is not None and not self._stopping and self._failure is None

    @property
    def failure(self) -> BaseException | None:
        """What ended it, when it ended of itself."""
        return self._failure

    @property
    def figures(self) -> Figures:
        return self._figures

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have `subscriber` called for each durable command with events; call what is returned to end it.

        One that raises is reported to the event loop's exception handler, and called again for the next command.
        """
        token = object()
        self._subscribers[token] = subscriber
        return lambda: self._subscribers.pop(token, None) and None

    async def submit(self, command: Command) -> Reply:
        """Enter a command and wait until it is durable; who is cancelled while waiting leaves the command in.

        Overloaded: it wasn't taken. OutcomeUnknown: the log failed under it. InvalidCommand: the log can't carry it.
        """
        logged = _as_logged(command)
        free = self._max_queue - len(self._queue)
        if not isinstance(logged, RESERVED):
            free -= self._max_queue // RESERVE_SHARE
        if not self.healthy or free <= 0:
            self._count(overloaded=1)
            raise Overloaded("the queue is full" if self.healthy else "no commands are taken now")
        waiting = _Waiting(logged, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._wake.set()
        return await waiting.reply

    async def start(self, opening: Iterable[Command] = ()) -> None:
        """Begin to take commands; RecoveryError when the machine doesn't stand where the command log ends.

        opening: what happened while nobody sequenced, entered before the timers that fell due meanwhile.
        """
        last = await self._commands.last_seq()
        if last != self._machine.last_seq:
            raise RecoveryError(
                f"the machine stands at {self._machine.last_seq}, its command log at {last}: recover first."
            )
        self._events_seq = await self._events.last_seq()
        if self._snapshots is not None:
            self._snapshot_seq = max(self._snapshots.seqs(), default=0)
        loop = asyncio.get_running_loop()
        self._opening = [_Waiting(_as_logged(command), loop.create_future()) for command in opening]
        self._running = asyncio.create_task(self._run(), name="sequencer")
        self._running.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Take no more commands, finish those in the queue, publish all events, and leave a snapshot. Doesn't close the logs."""
        self._stopping = True
        self._wake.set()
        await self.ended()

    async def ended(self) -> None:
        """Return when it has ended, by `stop` or of itself; `failure` then says why."""
        if self._running is not None:
            await asyncio.wait([self._running])

    # ------------------------------------------------------------ rounds

    async def _run(self) -> None:
        while self._queue or not self._stopping:
            # What waits in the machine, a stop or a part of a clearing, is due as soon as it waits.
            if not self._queue and not self._opening and not self._due(self._machine.last_ts_ns):
                await self._woken()
            await self._round()
        await self._published()
        if self._snapshotting is not None:
            await self._snapshotting
        if self._snapshots is not None and self._seq > self._snapshot_seq:
            await self._write_snapshot(self._snapshots)

    async def _woken(self) -> None:
        """Wait for a command, a failure or the end, at most until it is time to look for due timers."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._tick_s):
                await self._wake.wait()

    async def _round(self) -> None:
        """Ticks as long as timers are due, then commands: durable, applied, released. Without any, nothing is written."""
        machine = self._machine
        opening, self._opening = self._opening, []
        ts_ns = max(self._clock_ns(), machine.last_ts_ns)
        ticks: list[Reply] = []
        records: list[Record] = []
        while not opening and self._due(ts_ns) and len(records) < self._max_batch:
            records.append(Record(machine.last_seq + 1, encode_command(ts_ns, Tick())))
            ticks.append(self._apply(ts_ns, Tick()))
        # Timers that are still due have filled the batch: no command passes them, and the next round goes on.
        room = self._max_batch - len(records)
        taken = opening or [self._queue.popleft() for _ in range(min(room, len(self._queue)))]
        first = machine.last_seq + 1
        records += [Record(first + place, encode_command(ts_ns, one.command)) for place, one in enumerate(taken)]
        if not records:
            await self._published()
            return
        self._in_flight = taken
        appending = asyncio.create_task(self._append(records))
        try:
            replies = await self._apply_all(ts_ns, taken)
        finally:
            # Whatever the machine did, what the log took must be known before anything else is decided.
            await appending
        self._in_flight = []
        self._count(commands=len(taken), ticks=len(ticks), batches=1)
        self._figures = self._figures._replace(largest_batch=max(self._figures.largest_batch, len(records)))
        for one, reply in zip(taken, replies, strict=True):
            if not one.reply.done():
                one.reply.set_result(reply)
        await self._release([reply for reply in (*ticks, *replies) if reply.events])

    def _due(self, ts_ns: int) -> bool:
        due_ns = self._machine.next_due_ns()
        # Beyond the engine's last time it refuses Ticks as all else: none is sent, for none would ever end.
        return due_ns is not None and due_ns <= ts_ns <= TIME_MAX_NS

    def _apply(self, ts_ns: int, command: Command) -> Reply:
        seq = self._machine.last_seq + 1
        return Reply(seq, ts_ns, tuple(self._machine.apply(seq, ts_ns, command)))

    async def _apply_all(self, ts_ns: int, taken: list[_Waiting]) -> list[Reply]:
        replies = []
        for place, one in enumerate(taken):
            if place % APPLIED_AT_ONCE == 0:
                # The first turn is the append's: it is under way in its thread while the machine works.
                await asyncio.sleep(0)
            replies.append(self._apply(ts_ns, one.command))
        return replies

    async def _append(self, records: list[Record]) -> None:
        began_ns = time.monotonic_ns()
        await self._commands.append(records)
        took_ns = time.monotonic_ns() - began_ns
        self._count(append_ns=took_ns)
        self._figures = self._figures._replace(longest_append_ns=max(self._figures.longest_append_ns, took_ns))

    async def _release(self, replies: list[Reply]) -> None:
        """Let the world see a durable round: subscribers after the replies' receivers, and the event log beside them."""
        self._seq, self._ts_ns = self._machine.last_seq, self._machine.last_ts_ns
        loop = asyncio.get_running_loop()
        for reply in replies:
            for subscriber in tuple(self._subscribers.values()):
                loop.call_soon(subscriber, reply)
        records = [Record(reply.seq, encode_events(reply.ts_ns, reply.events)) for reply in replies]
        await self._published()
        if records:
            self._events_seq = records[-1].seq
            self._publishing = asyncio.create_task(self._events.append(records))
            self._publishing.add_done_callback(self._look_at)
        busy = self._snapshotting is not None and not self._snapshotting.done()
        if self._snapshots is not None and not busy and self._seq - self._snapshot_seq >= self._snapshot_every:
            self._snapshotting = asyncio.create_task(self._write_snapshot(self._snapshots))

    def _look_at(self, publishing: asyncio.Task[None]) -> None:
        """A failure to publish is met at once, though no command comes."""
        if not publishing.cancelled() and publishing.exception() is not None:
            self._wake.set()

    async def _published(self) -> None:
        """Wait until the events of the rounds so far are durable; LogError when they can't be."""
        if self._publishing is not None:
            await self._publishing

    # ------------------------------------------------------------ snapshots

    def _write_snapshot(self, store: SnapshotStore) -> Coroutine[None, None, None]:
        """Take the machine's state now, between two rounds; gives what writes it when its events are durable."""
        machine = self._machine
        self._snapshot_seq = machine.last_seq
        state_hash, state = machine.state_hash(), machine.snapshot()
        snapshot = Snapshot(store.shard, machine.last_seq, self._events_seq, state_hash, state)
        return self._store(store, snapshot, self._publishing)

    async def _store(self, store: SnapshotStore, snapshot: Snapshot, publishing: asyncio.Task[None] | None) -> None:
        """Write a snapshot off the event loop. A failure is logged and counted: the log is whole without it."""
        if publishing is not None:
            await asyncio.wait([publishing])
            if publishing.cancelled() or publishing.exception() is not None:
                return
        try:
            await asyncio.to_thread(store.write, snapshot)
        except OSError as error:
            self._count(failed_snapshots=1)
            _logger.warning("the snapshot at %d couldn't be written: %s", snapshot.seq, error)
        else:
            self._count(snapshots=1)

    # ------------------------------------------------------------ the end

    def _ended(self, running: asyncio.Task[None]) -> None:
        """Nobody waits for ever: settle every reply that is still owed."""
        if running.cancelled():
            self._failure = asyncio.CancelledError("the sequencer was cancelled")
        elif (failure := running.exception()) is not None:
            self._failure = failure
            _logger.critical("the sequencer stops at %d and takes no more commands", self._seq, exc_info=failure)
        for one in self._in_flight:
            if not one.reply.done():
                one.reply.set_exception(OutcomeUnknown("the log failed while the command was being written"))
        for one in self._queue:
            if not one.reply.done():
                one.reply.set_exception(Overloaded("the sequencer has stopped: the command was not taken"))
        self._in_flight = []
        self._queue.clear()

    def _count(self, **more: int) -> None:
        self._figures = self._figures._replace(**{name: getattr(self._figures, name) + by for name, by in more.items()})


def _as_logged(command: Command) -> Command:
    """The command as replay will read it: what the machine applies now is what it will apply then."""
    try:
        data = encode_command(0, command)
        logged = decode_command(data)[1]
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidCommand(f"{type(command).__name__} can't be logged: {error}") from error
    if len(data) > MAX_COMMAND_BYTES:
        raise InvalidCommand(f"{type(command).__name__} has {len(data)} bytes, at most {MAX_COMMAND_BYTES} are taken")
    return logged
