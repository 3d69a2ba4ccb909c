"""A keeper holds one Baron to what the log wants: it reconciles at every word of the agent, every change, every few seconds.

It carries out a plan (`provisioner.desired`): the list to the agent, ports at the gate, commands to the engine. All of it
may be cut off anywhere and is done again until the log shows it. It knows no SQL and no connection's details.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Hashable
from typing import Protocol

import msgspec

from engine.ids import format_id
from engine.messages import (
    Command,
    LeaseActive,
    LeaseFailed,
    LeaseWiped,
    Rejected,
    ReportOutage,
    SetCapacity,
    SetPresence,
)
from provisioner.contact import Contact, Instant
from provisioner.desired import Gap, Plan, Word
from provisioner.ports import Access, Submit
from provisioner.records import LeaseRow
from provisioner.sessions import Session
from provisioner.settings import Timings, to_ns
from provisioner.wire import Desired

SSH_USER = "gpu"

_log = logging.getLogger(__name__)


class World(Protocol):
    """What a keeper acts on."""

    def now(self) -> Instant: ...

    def session(self, baron: int) -> Session | None: ...

    async def plan(self, contact: Contact, baron: int, now: Instant) -> Plan:
        """Compare the Baron's rows with the contact's view, and write down what that changes."""

    async def open_port(self, lease: LeaseRow) -> int | None:
        """The lease's port at the gate, opened; None when it can't be had now, or the lease has ended."""


class Mailbox:
    """Commands on their way: none is sent again before the log has shown what became of the last one."""

    def __init__(self, submit: Submit, retry_on: tuple[type[Exception], ...], pause_s: float) -> None:
        self._submit = submit
        self._retry_on = retry_on
        self._pause_ns = to_ns(pause_s)
        self._seen_seq = 0
        self._awaited: dict[Hashable, int] = {}
        self._paused: dict[Hashable, int] = {}

    def seen(self, seq: int) -> None:
        """The log was taken in up to `seq`."""
        self._seen_seq = seq
        if self._awaited:
            self._awaited = {key: awaited for key, awaited in self._awaited.items() if awaited > seq}

    def awaits(self, baron: int) -> bool:
        """Whether something that was said of the Baron itself is in the log, and wasn't taken in yet."""
        return any(isinstance(key, SetCapacity | SetPresence) and key.baron == baron for key in self._awaited)

    async def send(self, command: Word | LeaseActive, now: Instant) -> None:
        """Enter a command, unless the same is on its way. What fails is logged, and sent again at a later look."""
        key: Hashable = command
        if not isinstance(command, SetCapacity | SetPresence):
            key = type(command), command.lease_id
        if key in self._awaited or now.steady_ns < self._paused.get(key, now.steady_ns):
            return
        self._paused.pop(key, None)
        try:
            reply = await self._submit(command)
        except self._retry_on as error:
            _log.warning("%s waits: %s: %s", _name(command), type(error).__name__, error)
            return
        if reply.events and reply.seq > self._seen_seq:
            self._awaited[key] = reply.seq
        if reply.events and isinstance(rejected := reply.events[0], Rejected):
            # Most often it was done already, and the log will say so; if not, the log isn't filled with it.
            self._paused = {held: until for held, until in self._paused.items() if until > now.steady_ns}
            self._paused[key] = now.steady_ns + self._pause_ns
            _log.info("%s was rejected: %s", _name(command), rejected.reason.name.lower())

    async def report(self, outage: ReportOutage) -> bool:
        """Enter an outage; False when it wasn't taken in, and should be tried again. What is refused never will be."""
        try:
            reply = await self._submit(outage)
        except self._retry_on as error:
            _log.warning("%s waits: %s: %s", _name(outage), type(error).__name__, error)
            return False
        if reply.events and isinstance(rejected := reply.events[0], Rejected):
            _log.info("%s was rejected: %s", _name(outage), rejected.reason.name.lower())
        return True


class Keeper:
    """One Baron's. `wake` makes it look at once; `run` ends when it is cancelled, or with what it can't handle."""

    def __init__(
        self, contact: Contact, baron: int, world: World, mailbox: Mailbox, timings: Timings, host: str
    ) -> None:
        self.contact = contact
        self.baron = baron
        self._world = world
        self._mailbox = mailbox
        self._timings = timings
        self._host = host
        self._woken = asyncio.Event()
        self._sent: tuple[Session, Hashable, int] | None = None
        self._looking = False

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        while True:
            self._woken.clear()
            await self.look()
            try:
                async with asyncio.timeout(self._timings.sweep_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def vacated(self) -> bool:
        """Whether its GPUs may pass to another Baron: it is silent, and nothing that was sold on it is left (§4).

        `look` says that it is silent; its capacity, which silence leaves alone, is taken away here, for nobody may count
        the same GPUs twice. Until the log shows both, this says no.
        """
        now = self._world.now()
        silent = self._world.session(self.baron) is None and self.contact.silent_ns(now) >= to_ns(
            self._timings.silence_s
        )
        if not silent or self._looking or self._mailbox.awaits(self.baron):
            self.wake()
            return False
        plan = await self._world.plan(self.contact, self.baron, now)
        if plan.known or plan.commands or plan.baron.sold_until_ns > now.wall_ns:
            return False
        if plan.baron.verified_gpus:
            await self._mailbox.send(SetCapacity(baron=self.baron, gpus=0, simulated=plan.baron.simulated), now)
            return False
        return True

    async def look(self) -> None:
        """Reconcile once."""
        self._looking = True
        try:
            await self._look()
        finally:
            self._looking = False

    async def _look(self) -> None:
        now = self._world.now()
        session = self._world.session(self.baron)
        heard = self.contact.heard
        plan = await self._world.plan(self.contact, self.baron, now)
        self.contact.keep(plan.known)
        if session is not None and heard and self._world.session(self.baron) is session:
            await self._tell(session, plan, now)
        work: list[Awaitable[None]] = [self._mailbox.send(command, now) for command in plan.commands]
        work += [self._activate(lease, now) for lease in plan.running]
        work += [self._reach(lease) for lease in plan.reachable]
        work += [self._report(outage) for outage in plan.outages]
        await _all(work)

    async def _tell(self, session: Session, plan: Plan, now: Instant) -> None:
        """Send Desired when it says something new, or so that the leases' paid time moves on."""
        content: Hashable = (
            tuple((spec.lease_id, spec.generation, tuple(spec.gpus)) for spec in plan.specs),
            plan.forget,
        )
        due_ns = to_ns(self._timings.refresh_s)
        if self._sent is not None:
            sent_to, sent, at_ns = self._sent
            if sent_to is session and sent == content and now.steady_ns - at_ns < due_ns:
                self.contact.sent(plan.over, now)
                return
        if await session.send(Desired(leases=list(plan.specs), forget=list(plan.forget))):
            self._sent = (session, content, now.steady_ns)
            self.contact.sent(plan.over, now)

    async def _activate(self, lease: LeaseRow, now: Instant) -> None:
        port = await self._world.open_port(lease)
        if port is None:
            return
        access = Access(host=self._host, port=port, user=SSH_USER, host_key=lease.host_key)
        await self._mailbox.send(LeaseActive(lease_id=lease.lease_id, access=msgspec.json.encode(access)), now)

    async def _report(self, outage: ReportOutage) -> None:
        if await self._mailbox.report(outage):
            self.contact.reported(outage.lease_id, Gap(outage.from_ns, outage.to_ns))

    async def _reach(self, lease: LeaseRow) -> None:
        await self._world.open_port(lease)


async def _all(work: list[Awaitable[None]]) -> None:
    """Do it side by side; the first failure cancels the rest and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _name(command: Command) -> str:
    match command:
        case SetCapacity(baron=baron) | SetPresence(baron=baron):
            return f"{type(command).__name__} of {format_id('brn', baron)}"
        case LeaseActive() | LeaseFailed() | LeaseWiped() | ReportOutage():
            return f"{type(command).__name__} of {format_id('lse', command.lease_id)}"
        case _:
            return type(command).__name__
