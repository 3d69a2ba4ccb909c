"""The leases of this Baron, kept as Monarch lists them: one task that alone changes the journal, and the work it gives out.

A pass takes in what is new (the list, what happened, the clock), writes the journal, and only then reports and acts, so
that an agent killed anywhere goes on where the journal stands. Each lease has at most one piece of work at a time.
It must never know sockets or credentials.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from provisioner.agent import journal, reconcile, steps
from provisioner.agent.errors import AgentError
from provisioner.agent.events import EventLog
from provisioner.agent.journal import Entry, Phase
from provisioner.agent.races import first_to_end
from provisioner.agent.reconcile import Happening, WipeFailed
from provisioner.agent.sandbox import lifecycle
from provisioner.agent.tools import Tools
from provisioner.wire import Desired, LeaseReport

WORKERS = 16
STARTS_AT_ONCE = 8
WIPES_AT_ONCE = 6
LOOK_S = 1.0
"""Sandboxes are looked at, and paid time is compared with the clock, this often."""
JOURNAL_RETRY_S = 1.0
WIPE_RETRY_FIRST_S = 1.0
WIPE_RETRY_MAX_S = 60.0

T = TypeVar("T")


class Leases:
    """All on one event loop; what blocks runs in threads of its own. `adopt` first, then `run`, then `close`."""

    def __init__(self, home: Path, log: EventLog, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._home = home
        self._log = log
        self._clock_ns = clock_ns
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="baron")
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._wipes = asyncio.Semaphore(WIPES_AT_ONCE)
        self._entries: dict[str, Entry] = {}
        self._durable: dict[str, Entry] = {}
        self._desired: Desired | None = None
        self._happened: list[Happening] = []
        self._connected = False
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._work: dict[str, asyncio.Task[None]] = {}
        self._wipe_failures: dict[str, int] = {}
        self._broken: BaseException | None = None
        self._in_threads: set[Future[Any]] = set()
        self.on_change: Callable[[], None] = lambda: None
        """Called when what `reports` says has changed."""
        self.on_end: Callable[[str], None] = lambda _: None
        """Called with a lease that runs no more, before its sandbox is wiped."""

    # ------------------------------------------------------------ what others ask

    def desire(self, desired: Desired) -> None:
        """Take in Monarch's list, already checked; it replaces the one before."""
        self._desired = desired
        self._woken.set()

    def connected(self, connected: bool) -> None:
        """Whether Monarch is there: while it isn't, leases end when their paid time does."""
        self._connected = connected
        self._woken.set()

    def reports(self) -> list[LeaseReport]:
        """Every lease as the journal on disk has it."""
        return reconcile.reports(self._durable)

    def door(self, lease_id: str) -> Path | None:
        """The directory of the lease's sandbox when it runs."""
        entry = self._durable.get(lease_id)
        return steps.directory(self._home, entry) if entry is not None and entry.phase is Phase.RUNNING else None

    def standing(self) -> list[Entry]:
        """Leases of which something is on this machine."""
        return [entry for entry in self._durable.values() if entry.phase not in journal.GONE]

    async def until_gone(self) -> None:
        """Wait until nothing of any lease is on this machine; what stands ends with its paid time."""
        while self.standing():
            self._idle.clear()
            await self._idle.wait()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run what blocks, beside the event loop."""
        future = self._threads.submit(work)
        self._in_threads.add(future)
        future.add_done_callback(self._in_threads.discard)
        return await asyncio.wrap_future(future)

    # ------------------------------------------------------------ life

    async def adopt(self) -> None:
        """Read the journal, take over what runs, and mark what is to be finished.

        Raises AgentError: with a sandbox that can't be accounted for, no GPU may be leased.
        """
        try:
            await self._adopt()
        except OSError as error:
            raise AgentError(
                "bad_home", f"{self._home} can't be used: {error}", "make room and start again, or run: baron purge"
            ) from error

    async def _adopt(self) -> None:
        self._durable = self._entries = await self.in_thread(lambda: journal.load(self._home))
        standing = self.standing()
        found = await asyncio.gather(*(self.in_thread(partial(steps.take_over, self._home, one)) for one in standing))
        self._happened += [happening for happening in found if happening is not None]
        known = {steps.directory(self._home, entry) for entry in standing}
        for left_over in set(await self.in_thread(partial(lifecycle.survey, self._home))) - known:
            # The journal doesn't know it, so nobody will ever ask for it: it only holds GPUs.
            await self.in_thread(partial(lifecycle.destroy, left_over))
            self._log.say("left_over_wiped", f"{left_over.name} was left over, and is wiped")
        self._revise()
        await self.in_thread(partial(journal.save, self._home, self._entries))
        self._durable = self._entries
        for entry in standing:
            now = self._durable[entry.lease_id]
            self._log.say("lease_adopted", f"{now.lease_id} is {now.phase}", lease_id=now.lease_id, phase=now.phase)

    async def run(self, make_spec: steps.MakeSpec, tools: Tools) -> None:
        """Keep the leases until cancelled; sandboxes outlive that."""
        await first_to_end(self._keep(make_spec, tools), self._look())

    async def close(self, timeout_s: float) -> bool:
        """Wait for the work at hand, at most so long; whether all of it is done. What isn't, the next agent finishes."""
        tasks = set(self._work.values())
        if tasks:
            _, tasks = await asyncio.wait(tasks, timeout=timeout_s)
        for task in tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        return not tasks and not self._in_threads

    # ------------------------------------------------------------ the pass

    async def _keep(self, make_spec: steps.MakeSpec, tools: Tools) -> None:
        while True:
            self._woken.clear()
            if self._broken is not None:
                raise self._broken
            if await self._revised():
                for entry in reconcile.startable(self._durable):
                    self._give(entry, self._starts, partial(steps.start, self._home, entry, make_spec, tools))
                for entry in reconcile.wipeable(self._durable):
                    self._give(entry, self._wipes, partial(steps.wipe, self._home, entry))
            await self._woken.wait()

    async def _revised(self) -> bool:
        """Bring the journal up to date; False when it can't be written: then nothing is reported or done."""
        self._revise()
        entries, before = self._entries, self._durable
        if entries == before:
            return True
        try:
            await self.in_thread(partial(journal.save, self._home, entries))
        except OSError as error:
            self._log.say("journal_failed", f"nothing changes until leases can be written down: {error}; make room")
            asyncio.get_running_loop().call_later(JOURNAL_RETRY_S, self._woken.set)
            return False
        self._durable = entries
        self._announce(before)
        return True

    def _revise(self) -> None:
        happened, self._happened = self._happened, []
        entries = reconcile.settle(self._entries, happened)
        if self._desired is not None:
            entries = reconcile.revise(entries, self._desired)
        if not self._connected:
            entries = reconcile.expire(entries, self._clock_ns())
        self._entries = entries

    def _announce(self, before: dict[str, Entry]) -> None:
        for lease_id in before.keys() | self._durable.keys():
            old, new = before.get(lease_id), self._durable.get(lease_id)
            if old is not None and old.phase is Phase.RUNNING and (new is None or new.phase is not Phase.RUNNING):
                self.on_end(lease_id)
            if new is not None and (old is None or old.phase is not new.phase):
                detail = f": {new.detail}" if new.detail else ""
                self._log.say(f"lease_{new.phase}", f"{lease_id} ({len(new.gpus)} GPUs){detail}", lease_id=lease_id)
        if reconcile.reports(before) != self.reports():
            self.on_change()
        if not self.standing():
            self._idle.set()

    # ------------------------------------------------------------ the work

    def _give(self, entry: Entry, room: asyncio.Semaphore, step: Callable[[], Happening]) -> None:
        if entry.lease_id not in self._work:
            task = asyncio.create_task(self._do(entry, room, step), name=f"lease {entry.lease_id}")
            self._work[entry.lease_id] = task
            task.add_done_callback(partial(self._done, entry.lease_id))

    def _done(self, lease_id: str, task: asyncio.Task[None]) -> None:
        del self._work[lease_id]
        if not task.cancelled():
            self._broken = self._broken or task.exception()
        self._woken.set()

    async def _do(self, entry: Entry, room: asyncio.Semaphore, step: Callable[[], Happening]) -> None:
        async with room:
            happening = await self.in_thread(step)
        self._happened.append(happening)
        self._woken.set()
        if isinstance(happening, WipeFailed):
            await self._pause(happening)
        else:
            self._wipe_failures.pop(entry.lease_id, None)

    async def _pause(self, happening: WipeFailed) -> None:
        failures = self._wipe_failures.get(happening.lease_id, 0)
        self._wipe_failures[happening.lease_id] = failures + 1
        self._log.say("wipe_failed", happening.detail, lease_id=happening.lease_id)
        await asyncio.sleep(min(WIPE_RETRY_MAX_S, WIPE_RETRY_FIRST_S * 2 ** min(failures, 16)))

    async def _look(self) -> None:
        oom_kills: dict[str, int] = {}
        while True:
            await asyncio.sleep(LOOK_S)
            running = [
                entry
                for entry in self._durable.values()
                if entry.phase is Phase.RUNNING and entry.lease_id not in self._work
            ]
            found, oom_kills = await self.in_thread(partial(steps.look, self._home, running, oom_kills))
            self._happened += found
            self._woken.set()
