"""The real machine before the real embedded log, with one submit between them: what the provisioner lives beside.

It is the sequencer's shape without its batches: each command is applied and its events are durable before it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path

import msgspec

from engine import leases
from engine.book_plain import PlainBook
from engine.codec import encode_events
from engine.kinds import EndReason, Kind, LeaseState, OrderType, Presence, Side, TimeInForce
from engine.limits import Limits
from engine.machine import Machine
from engine.messages import (
    Command,
    Deposit,
    EndLease,
    LeaseChanged,
    LeaseFailed,
    LeaseScheduled,
    ListMarket,
    ObligationChanged,
    Offer,
    OpenAccount,
    PlaceOrder,
    RegisterBaron,
    Rejected,
    Rent,
    Reply,
    ReportOutage,
    SetOffers,
    SetPresence,
    Tick,
)
from engine.units import NS_PER_HOUR
from exchange.log.embedded import EmbeddedLog, EmbeddedReader, EmbeddedWriter
from exchange.log.interface import Record
from exchange.log.topics import EVENTS
from provisioner.ports import Access, BaronIdentity, Delivery, HeldGpu
from tests.provisioner.monarch.clock import Clock

SKU, REGION = "H100-SXM5-80GB", "us-east"
RENTER, PROVIDER = 1, 2
SPOT, ONDEMAND = 1, 2
OFFERED_HOURS = 48
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtestkeytestkeytestkeytestkeytestkeytestkeyte renter"


class Overloaded(Exception):
    """What a submit raises for a command that may be sent again."""


class Exchange:
    """`refuse_next`: so many commands are answered with Overloaded. `commands`: those that were applied, in order."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self.machine = Machine(0, Limits(), PlainBook)
        self.clock = clock
        self.commands: list[Command] = []
        self.leases: dict[int, LeaseChanged | LeaseScheduled] = {}
        self.refuse_next = 0
        self._log = EmbeddedLog(home)
        self._seq = 0
        self._one = asyncio.Lock()
        self._entering: set[asyncio.Future[Reply]] = set()
        self._writer: EmbeddedWriter | None = None
        self._readers: list[EmbeddedReader] = []

    async def start(self, barons: dict[int, int]) -> None:
        """Open the market with these Barons, each with an on-demand offer of so many GPUs."""
        self._writer = await self._log.open_writer(0, EVENTS)
        for account in (RENTER, PROVIDER):
            await self.accept(OpenAccount(account=account, maker_fee_ppm=0, taker_fee_ppm=5000))
            await self.accept(Deposit(account=account, amount_micros=10**12, client_id="first"))
        await self.accept(ListMarket(sku=SKU, region=REGION))
        for baron in barons:
            await self.accept(RegisterBaron(baron=baron, provider=PROVIDER, sku=SKU, region=REGION))
        offers = tuple(
            Offer(baron=baron, instrument=ONDEMAND, price_ticks=20_000 + baron, gpus=gpus, max_hours=OFFERED_HOURS)
            for baron, gpus in barons.items()
        )
        await self.accept(SetOffers(account=PROVIDER, offers=offers))

    async def stop(self) -> None:
        if self._entering:
            await asyncio.wait(self._entering)
        for reader in self._readers:
            await reader.close()
        if self._writer is not None:
            await self._writer.close()

    async def reader(self) -> EmbeddedReader:
        reader = await self._log.open_reader(0, EVENTS)
        self._readers.append(reader)
        return reader

    async def submit(self, command: Command) -> Reply:
        if self.refuse_next > 0:
            self.refuse_next -= 1
            raise Overloaded("the queue is full")
        # As the sequencer's: who is cancelled while waiting leaves the command in, and its events are published.
        entered = asyncio.ensure_future(self._enter(command))
        self._entering.add(entered)
        entered.add_done_callback(self._entering.discard)
        return await asyncio.shield(entered)

    async def _enter(self, command: Command) -> Reply:
        async with self._one:
            ts_ns = self.clock.wall_ns()
            # The sequencer's promise: no command comes before the timers that are due.
            while (due_ns := self.machine.next_due_ns()) is not None and due_ns <= ts_ns:
                await self._apply(ts_ns, Tick())
            return await self._apply(ts_ns, command)

    async def _apply(self, ts_ns: int, command: Command) -> Reply:
        assert self._writer is not None
        self._seq += 1
        events = tuple(self.machine.apply(self._seq, ts_ns, command))
        self.commands.append(command)
        self.leases |= {one.lease_id: one for one in events if isinstance(one, LeaseScheduled | LeaseChanged)}
        if events:
            await self._writer.append([Record(self._seq, encode_events(ts_ns, events))])
        return Reply(self._seq, ts_ns, events)

    async def accept(self, command: Command) -> Reply:
        """As submit, for what must not be rejected."""
        reply = await self.submit(command)
        assert not (reply.events and isinstance(reply.events[0], Rejected)), reply
        return reply

    async def rent(self, gpus: int = 1, delivery: bytes | None = None) -> int:
        """Rent on demand; the lease."""
        keys = msgspec.json.encode(Delivery(ssh_keys=[KEY])) if delivery is None else delivery
        rent = Rent(account=RENTER, instruments=(ONDEMAND,), quantity=gpus, hours=24, max_price_ticks=0, delivery=keys)
        reply = await self.accept(rent)
        (lease,) = [event for event in reply.events if isinstance(event, LeaseScheduled)]
        return lease.lease_id

    async def sell_ahead(self, baron: int = 1) -> int:
        """Sell a GPU of the Baron's for the first day beyond the offers' hours; when that is over, ns."""
        beyond_h = self.clock.wall_ns() // NS_PER_HOUR + OFFERED_HOURS
        later = [
            each
            for each in self.machine.state.instruments.values()
            if each.kind is Kind.FORWARD and each.start_h >= beyond_h
        ]
        instrument = min(later, key=lambda each: (each.hours, each.start_h)).instrument
        order = PlaceOrder(
            account=PROVIDER,
            instrument=instrument,
            side=Side.SELL,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price_ticks=100,
            quantity=1,
            baron=baron,
        )
        await self.accept(order)
        reply = await self.accept(msgspec.structs.replace(order, account=RENTER, side=Side.BUY, baron=0))
        (sold,) = [event for event in reply.events if isinstance(event, ObligationChanged)]
        return sold.end_h * NS_PER_HOUR

    def outages(self, lease_id: int) -> list[tuple[int, int]]:
        """What was reported of a lease, in order."""
        reports = [one for one in self.commands if isinstance(one, ReportOutage) and one.lease_id == lease_id]
        return [(one.from_ns, one.to_ns) for one in reports]

    async def give_notice(self, lease_id: int) -> int:
        """As firm demand would: the lease runs on until the time that is returned."""
        async with self._one:
            assert self._writer is not None
            self._seq += 1
            state, ts_ns = self.machine.state, self.clock.wall_ns()
            state.begin()
            leases.give_notice(state, state.leases[lease_id], ts_ns, EndReason.PREEMPTED)
            (changed,) = state.events
            assert isinstance(changed, LeaseChanged)
            self.leases[lease_id] = changed
            await self._writer.append([Record(self._seq, encode_events(ts_ns, state.events))])
            return changed.ends_ns

    async def end(self, lease_id: int) -> None:
        await self.accept(EndLease(account=RENTER, lease_id=lease_id))

    # what the log says

    def state(self, lease_id: int) -> LeaseState:
        return self.leases[lease_id].state

    def wiped(self, lease_id: int) -> bool:
        last = self.leases[lease_id]
        return isinstance(last, LeaseChanged) and last.wiped

    def access(self, lease_id: int) -> Access:
        last = self.leases[lease_id]
        assert isinstance(last, LeaseChanged)
        return msgspec.json.decode(last.access, type=Access)

    def failure(self, lease_id: int) -> LeaseFailed:
        """The last failure that was reported of a lease."""
        return [one for one in self.commands if isinstance(one, LeaseFailed) and one.lease_id == lease_id][-1]

    def presences(self, baron: int = 1) -> list[Presence]:
        """What the log was told of a Baron's presence, in order."""
        return [one.presence for one in self.commands if isinstance(one, SetPresence) and one.baron == baron]

    def lost_ns(self, baron: int = 1) -> int:
        """When a Baron that is lost was heard of last."""
        return [one.as_of_ns for one in self.commands if isinstance(one, SetPresence) and one.baron == baron][-1]

    def free_gpus(self) -> int:
        """GPUs on sale now."""
        return sum(level.unconditional for level in self.machine.depth(ONDEMAND, Side.SELL, 10))

    def __contains__(self, kind: type[Command]) -> bool:
        return any(isinstance(command, kind) for command in self.commands)


class Directory:
    """A registry in memory: single-use tokens, credentials `secret-N` and GPUs' owners."""

    def __init__(self, barons: dict[int, int]) -> None:
        self.tokens = {f"token-{baron}": baron for baron in barons}
        self.owners: dict[str, int] = {}
        self.providers = dict.fromkeys(barons, PROVIDER)

    async def enroll(self, token: str) -> tuple[BaronIdentity, str] | None:
        baron = self.tokens.pop(token, None)
        return None if baron is None else (self.identity(baron), f"secret-{baron}")

    async def authenticate(self, credential: str) -> BaronIdentity | None:
        kind, _, number = credential.partition("-")
        return self.identity(int(number)) if kind == "secret" and number.isdecimal() else None

    async def claim_gpus(self, baron: int, uuids: list[str], vacated: Collection[int] = ()) -> list[HeldGpu]:
        others = [(uuid, self.owners[uuid]) for uuid in uuids if self.owners.get(uuid, baron) != baron]
        held = [
            HeldGpu(uuid=uuid, baron=other, provider=self.providers[other])
            for uuid, other in others
            if other not in vacated or self.providers[other] != self.providers[baron]
        ]
        if not held:
            self.owners |= dict.fromkeys(uuids, baron)
        return held

    def identity(self, baron: int) -> BaronIdentity:
        return BaronIdentity(baron=baron, provider=self.providers[baron], sku=SKU, region=REGION)
