"""Monarch's side of leases: follows the event log, keeps every Baron to it, and holds the gate open. It ties the rooms.

Threads: SQL runs on one worker thread, all else on the event loop. Where it starts, the log is taken in first: an agent
is told nothing before Monarch knows what should run. What fails here for a reason of ours stops it whole (`wait`), and
the next start repairs. It knows the exchange by protocols only (`provisioner.ports`, `exchange.log.interface`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from websockets.asyncio.connection import Connection

from engine.codec import decode_events
from engine.ids import format_id
from engine.kinds import LeaseState
from engine.messages import LeaseFailed, Reply
from exchange.log.consumer import follow
from exchange.log.interface import LogReader, Record
from provisioner.admission import Beat
from provisioner.contact import Contact, Instant
from provisioner.desired import Plan, reconcile
from provisioner.gate import Gate
from provisioner.keeper import Keeper, Mailbox
from provisioner.lapsed import lapsed
from provisioner.ports import BaronDirectory, Submit
from provisioner.records import Applied, BaronRow, LeaseRow
from provisioner.sessions import AgentsServer, Session
from provisioner.settings import MAX_BATCH, MAX_PORT_TRIES, Settings, to_ns
from provisioner.store import Store
from provisioner.wire import Dial, DialFailed

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Provisioner:
    """Open, `start`, `wait`, `stop`; one use each. Implements the sessions' Desk and the keepers' World."""

    def __init__(
        self,
        store: Store,
        directory: BaronDirectory,
        submit: Submit,
        settings: Settings,
        *,
        retry_on: tuple[type[Exception], ...],
        clock_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._store = store
        self._settings = settings
        self._timings = settings.timings
        self._clock_ns = clock_ns
        self._steady_ns = steady_ns
        self._sql_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="provisioner-sql")
        self._mailbox = Mailbox(submit, retry_on, settings.timings.refresh_s)
        self.gate = Gate(settings.gate_host, self._announce, settings.timings, settings.bounds)
        self._server = AgentsServer(settings, directory, self)
        self._keepers: dict[int, Keeper] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None
        self._listening: Instant | None = None
        self._live: set[int] = set()
        self._heartbeats_ns: dict[int, int] = {}
        self._caught_up: asyncio.Future[None] | None = None
        self._target_seq = 0
        self.agents_port = 0

    @classmethod
    def open(
        cls,
        path: Path,
        directory: BaronDirectory,
        submit: Submit,
        settings: Settings,
        *,
        retry_on: tuple[type[Exception], ...],
        clock_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> Provisioner:
        """Open or create the database at `path`; StoreError when it can't be used.

        retry_on: what `submit` raises when a command should be sent again later; anything else ends the provisioner.
        """
        return cls(
            Store.open(path), directory, submit, settings, retry_on=retry_on, clock_ns=clock_ns, steady_ns=steady_ns
        )

    # ------------------------------------------------------------ life

    async def lapsed(self, reader: LogReader) -> list[LeaseFailed]:
        """Leases that agents ended while Monarch was away: to be entered before any timer that fell due meanwhile.

        Takes in the log to its end first; call it before `start`, while nobody writes.
        """
        await self._sql(self._store.expect, await reader.last_seq())
        while batch := await reader.read(self._store.position, MAX_BATCH):
            await self._sql(self.apply, [decode_events(record.seq, record.data) for record in batch])
        leases, barons = await self._sql(self._store.live_leases), await self._sql(self._store.barons)
        heartbeats_ns = {row.baron: row.last_heartbeat_ns for row in barons}
        return lapsed(leases, heartbeats_ns, self._clock_ns(), to_ns(self._timings.paid_ahead_s))

    async def start(self, reader: LogReader) -> None:
        """Take in the log to its end, open the gate's ports, then listen for agents and follow the log.

        Raises what stood in the way (LogError, DecodeError, OSError of the agents' port); `stop` is called either way.
        """
        loop = asyncio.get_running_loop()
        self._failed, self._caught_up = loop.create_future(), loop.create_future()
        self._live = {lease.lease_id for lease in await self._sql(self._store.live_leases)}
        position = self._store.position
        self._mailbox.seen(position)
        self._target_seq = await reader.last_seq()
        await self._sql(self._store.expect, self._target_seq)
        if position == self._target_seq:
            self._caught_up.set_result(None)
        self._spawn(follow(reader, position, self._take, MAX_BATCH), "provisioner follows the log")
        await asyncio.wait({self._caught_up, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            self._failed.result()
        for lease in await self._sql(self._store.live_leases):
            if lease.port:
                await self.open_port(lease)
        self._listening = self.now()
        self.agents_port = await self._server.start()
        for row in await self._sql(self._store.barons):
            self._keep(row)
        self._spawn(self._flush(), "provisioner writes heartbeats down")

    async def wait(self) -> None:
        """Until something broke, which is raised. Cancel it to stop waiting; then `stop`."""
        if self._failed is None:
            raise RuntimeError("not started")
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """End sessions and connections, write down what is in memory, and close the database. Leases run on."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.gate.stop()
        await self._server.stop()
        await self._sql(self._store.save_heartbeats, self._heartbeats_ns)
        await self._sql(self._store.close)
        self._sql_thread.shutdown()
        if self._failed is not None and not self._failed.cancel():
            self._failed.exception()  # it was told when it happened; nobody has to ask for it again

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None or self._failed is None:
            return
        _log.error("%s: it ended", task.get_name(), exc_info=error)
        if not self._failed.done():
            self._failed.set_exception(error)

    async def _sql(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._sql_thread, lambda: work(*args, **kwargs))

    # ------------------------------------------------------------ read side

    def position(self) -> int:
        """Sequence of the event log that was taken in."""
        return self._store.position

    def barons_online(self) -> dict[int, int]:
        """Barons whose agents aren't silent, with when they last spoke (ns since the epoch)."""
        now = self.now()
        silence_ns = to_ns(self._timings.silence_s)
        return {
            baron: keeper.contact.last_heartbeat_ns
            for baron, keeper in self._keepers.items()
            if keeper.contact.last_heartbeat_ns and keeper.contact.silent_ns(now) < silence_ns
        }

    # ------------------------------------------------------------ the log

    def apply(self, replies: Sequence[Reply]) -> Applied:
        """Take in events with their position, in one transaction; blocking, on the thread that owns the store."""
        return self._store.apply(replies)

    async def _take(self, batch: list[Record]) -> None:
        applied = await self._sql(self.apply, [decode_events(record.seq, record.data) for record in batch])
        self._live |= applied.opened
        self._live -= applied.ended
        for lease_id in applied.ended:
            self.gate.close(lease_id)
        position = batch[-1].seq
        self._mailbox.seen(position)
        for baron in applied.barons:
            if (keeper := self._keepers.get(baron)) is not None:
                keeper.wake()
            elif self._listening is not None:
                self._keep(BaronRow(baron=baron))
        if position >= self._target_seq and self._caught_up is not None and not self._caught_up.done():
            self._caught_up.set_result(None)

    # ------------------------------------------------------------ World: what keepers act on

    def now(self) -> Instant:
        return Instant(self._clock_ns(), self._steady_ns())

    def session(self, baron: int) -> Session | None:
        return self._server.session(baron)

    async def plan(self, contact: Contact, baron: int, now: Instant) -> Plan:
        view = contact.view(now)

        def decide(row: BaronRow, leases: list[LeaseRow]) -> Plan:
            return reconcile(row, leases, view, self._timings, now.wall_ns)

        return await self._sql(self._store.plan, baron, decide)

    async def open_port(self, lease: LeaseRow) -> int | None:
        if (port := self.gate.port(lease.lease_id)) is not None:
            return port
        skip: set[int] = set()
        for _ in range(MAX_PORT_TRIES):
            candidate = await self._candidate(lease, skip)
            if candidate is None or lease.lease_id not in self._live:
                break
            try:
                port = self.gate.open(lease.lease_id, lease.baron, candidate)
            except OSError as error:
                _log.warning("%s: gate port %d: %s", format_id("lse", lease.lease_id), candidate, error)
                if candidate == 0 or lease.state is not LeaseState.PROVISIONING:
                    return None  # renters were told this port: it is tried again until it is free
                skip.add(candidate)
                continue
            if port != candidate:
                await self._sql(self._store.set_port, lease.lease_id, port)
            return port
        if lease.lease_id in self._live:
            _log.error("%s: no port of the gate is free: widen gate_port_first..last", format_id("lse", lease.lease_id))
        return None

    async def _candidate(self, lease: LeaseRow, skip: set[int]) -> int | None:
        if lease.state is not LeaseState.PROVISIONING:
            return lease.port or None
        if self._settings.gate_port_first == 0:
            return 0 if lease.port in skip else lease.port
        ports = range(self._settings.gate_port_first, self._settings.gate_port_last + 1)
        return await self._sql(self._store.take_port, lease.lease_id, ports, skip)

    def _keep(self, row: BaronRow) -> Keeper:
        """The Baron's keeper, made when it is met first."""
        if (keeper := self._keepers.get(row.baron)) is None:
            contact = Contact(row, self._listening or self.now(), self._timings.silence_s)
            keeper = Keeper(contact, row.baron, self, self._mailbox, self._timings, self._settings.gate_host)
            self._keepers[row.baron] = keeper
            self._spawn(keeper.run(), f"keeper of {format_id('brn', row.baron)}")
        return keeper

    # ------------------------------------------------------------ Desk: what agents say

    async def vacated(self, baron: int) -> bool:
        keeper = self._keepers.get(baron)
        return keeper is not None and await keeper.vacated()

    async def arrived(self, session: Session) -> None:
        keeper = self._keep(BaronRow(baron=session.baron))
        await self._sql(self._store.save_inventory, session.baron, session.inventory.uuids, session.inventory.simulated)
        if self._server.session(session.baron) is session:
            keeper.contact.arrive(session.inventory, self.now())
            self._spoke(keeper)

    def heartbeat(self, session: Session, beat: Beat) -> None:
        keeper = self._keepers[session.baron]
        keeper.contact.beat(beat, self.now())
        self._spoke(keeper)

    def dial_failed(self, session: Session, message: DialFailed) -> None:
        self.gate.refuse(session.baron, message.connection_id, message.detail)

    def left(self, session: Session) -> None:
        self._keepers[session.baron].contact.leave()

    def expects_dial(self, token: str) -> bool:
        return self.gate.expects(token)

    async def dialed(self, token: str, tunnel: Connection) -> bool:
        return await self.gate.answer(token, tunnel)

    async def _announce(self, baron: int, dial: Dial) -> bool:
        session = self._server.session(baron)
        return session is not None and await session.send(dial)

    def _spoke(self, keeper: Keeper) -> None:
        self._heartbeats_ns[keeper.baron] = keeper.contact.last_heartbeat_ns
        keeper.wake()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(self._timings.flush_s)
            heartbeats_ns, self._heartbeats_ns = self._heartbeats_ns, {}
            if heartbeats_ns:
                await self._sql(self._store.save_heartbeats, heartbeats_ns)
