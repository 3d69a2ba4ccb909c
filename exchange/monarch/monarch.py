"""Monarch put together: every part made, started in order, watched, and stopped within a bound.

The order is the point: recover, sequencer, consumers of the log, what a first start lists, then the doors; and the doors
first when it stops. Whatever part fails takes the whole down with a reason, because a new start repairs and half an
exchange lies. Whoever uses this holds the home's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

from engine.halves import compiled_half
from engine.kinds import Kind
from engine.limits import Limits
from engine.messages import CancelAll, LeaseFailed, ListMarket
from exchange.log.embedded import EmbeddedLog
from exchange.log.files import write_durably
from exchange.log.interface import LogReader
from exchange.log.topics import COMMANDS, EVENTS
from exchange.market_data.feed import Feed
from exchange.monarch.adapters import Directory, Ledger, Quotes
from exchange.monarch.config import Config
from exchange.monarch.doors import ApiDoor
from exchange.monarch.metrics import MonarchFigures, registry_of
from exchange.monarch.places import Places
from exchange.read.side import SqlReadSide
from exchange.registry.pending import send_pending
from exchange.registry.registry import Registry
from exchange.sequencer.interface import OutcomeUnknown, Overloaded
from exchange.sequencer.recovery import recover
from exchange.sequencer.sequencer import Sequencer
from provisioner.provisioner import Provisioner
from provisioner.settings import Settings
from settlement.ledger import Settlement

PENDING_S: Final = 1.0
"""How often the registry is asked for accounts that administration made beside us."""
PEER_TIMEOUT_MS: Final = 30_000
CATCH_UP_S: Final = 600.0
"""The read models may take this long to follow the log at a start."""

_log = logging.getLogger("monarch")


class PartFailed(Exception):
    """A part ended that shouldn't have; the message says which and why."""


class Ports(NamedTuple):
    """Where it listens."""

    api_url: str
    agents_url: str


class Monarch:
    """`start`, then `failed` or a reason of your own, then `stop`, in any case."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._places = Places(config.home)
        self._log = EmbeddedLog(config.home, config.log_file_max_bytes)
        self._feed = Feed()
        self._parts: dict[str, asyncio.Task[None]] = {}
        self._closing: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._sequencer: Sequencer | None = None
        self._ready = False

    # ------------------------------------------------------------ life

    async def start(self) -> Ports:
        """Bring everything up; what stands in the way is raised, and `stop` undoes what had begun."""
        config = self._config
        sequencer = await self._recover()
        registry = Registry.open(self._places.registry, time.time_ns)
        self._close_later("registry", registry.close)
        read, settlement = await self._start_consumers()
        provisioner, reader = await self._open_provisioner(sequencer, registry)
        await self._start_sequencer(sequencer, [*self._disconnected(), *await provisioner.lapsed(reader)])
        await self._list_markets(sequencer, read)
        await send_pending(registry, sequencer.submit)
        await provisioner.start(reader)
        self._part("provisioner", provisioner.wait())
        figures = MonarchFigures(config.shard, sequencer, read, settlement, provisioner)
        door = ApiDoor(
            config,
            submit=sequencer.submit,
            read=read,
            ledger=Ledger(settlement),
            quoter=Quotes(self._machine),
            registry=registry,
            feed=self._feed,
            not_ready=self._missing,
            baron_heartbeats=provisioner.barons_online,
            metrics=registry_of(figures),
        )
        listening = _listen(config.host, config.api_port)
        self._part("API", door.serve(listening))
        self._close_later("API", door.stop)
        self._part("pending accounts", self._send_pending(registry, sequencer))
        await door.started()
        ports = Ports(
            f"http://{config.host}:{listening.getsockname()[1]}", f"ws://{config.host}:{provisioner.agents_port}"
        )
        self._say_running(ports)
        self._ready = True
        return ports

    async def failed(self) -> None:
        """Wait for a part that ends of itself; PartFailed says which."""
        await asyncio.wait(self._parts.values(), return_when=asyncio.FIRST_COMPLETED)
        for name, part in self._parts.items():
            if part.done():
                error = None if part.cancelled() else part.exception()
                raise PartFailed(f"{name} ended: {error or 'without a reason'}") from error

    async def stop(self) -> None:
        """Stop what runs, the doors first, each within the configuration's bound; then cancel what follows the log."""
        self._ready = False
        self._places.running.unlink(missing_ok=True)
        for name, close in reversed(self._closing):
            try:
                async with asyncio.timeout(self._config.shutdown_s):
                    await close()
            except TimeoutError:
                _log.error("%s didn't stop within %.0f s; the next start makes it whole", name, self._config.shutdown_s)
        self._closing.clear()

    def _missing(self) -> list[str]:
        missing = [] if self._ready else ["start"]
        if self._sequencer is None or not self._sequencer.healthy:
            missing.append("sequencer")
        if not self._feed.ready:
            missing.append("market data")
        return missing + [name for name, part in self._parts.items() if part.done()]

    # ------------------------------------------------------------ parts, in order

    async def _recover(self) -> Sequencer:
        """The machine as the logs leave it, and a sequencer for it that isn't started."""
        config = self._config
        commands = await self._log.open_writer(config.shard, COMMANDS)
        self._close_later("command log", commands.close)
        events = await self._log.open_writer(config.shard, EVENTS)
        self._close_later("event log", events.close)
        limits = Limits(max_term_hours=config.max_term_hours)
        recovered = await recover(config.home, config.shard, commands, events, limits, compiled_half())
        self._machine = recovered.machine
        return Sequencer(
            recovered.machine,
            commands,
            events,
            max_queue=config.max_queue,
            max_batch=config.max_batch,
            tick_s=config.tick_s,
            snapshots=recovered.snapshots,
            snapshot_every=config.snapshot_every,
        )

    async def _start_consumers(self) -> tuple[SqlReadSide, Settlement]:
        settlement = await asyncio.to_thread(Settlement.open, self._places.ledger)
        self._close_later("ledger", lambda: asyncio.to_thread(settlement.close))
        read = await asyncio.to_thread(SqlReadSide.open, self._places.read, self._feed)
        self._close_later("read models", read.close)
        await self._follow("settlement", settlement.run)
        await self._follow("read models", read.run)
        reader = await self._log.open_reader(self._config.shard, EVENTS)
        self._close_later("feed's reader", reader.close)
        seeding = asyncio.create_task(self._feed.start(read, reader, CATCH_UP_S))
        await asyncio.wait({seeding, *self._parts.values()}, return_when=asyncio.FIRST_COMPLETED)
        if not seeding.done():
            seeding.cancel()
            await self.failed()
        seeding.result()
        return read, settlement

    async def _start_sequencer(self, sequencer: Sequencer, missed: list[CancelAll | LeaseFailed]) -> None:
        """Market data has what lives; from here on it is told each command, first of what happened while we were away."""
        sequencer.subscribe(self._feed.on_reply)
        await sequencer.start(missed)
        self._sequencer = sequencer
        self._part("sequencer", sequencer.ended())
        # Stopped before those that follow the log are cancelled: they still take in what it publishes last.
        self._close_later("sequencer", sequencer.stop)

    def _disconnected(self) -> list[CancelAll]:
        """No connection outlives its server: what was to go with one goes before anything can trade with it."""
        orders = self._machine.state.orders.values()
        lost = sorted({(order.account, order.connection) for order in orders if order.connection})
        return [CancelAll(account=account, connection=connection) for account, connection in lost]

    async def _list_markets(self, sequencer: Sequencer, read: SqlReadSide) -> None:
        """What the configuration lists and the exchange hasn't: everything at a first start."""
        listed = {(instrument.sku, instrument.region) for instrument in await read.instruments(kind=Kind.SPOT)}
        for market in self._config.markets:
            for region in market.regions:
                if (market.sku, region) not in listed:
                    await sequencer.submit(ListMarket(sku=market.sku, region=region))

    async def _open_provisioner(self, sequencer: Sequencer, registry: Registry) -> tuple[Provisioner, LogReader]:
        """The provisioner, which isn't started, and what it will read; it is asked first what lapsed while we were away."""
        config = self._config
        reader = await self._log.open_reader(config.shard, EVENTS)
        self._close_later("provisioner's reader", reader.close)
        provisioner = Provisioner.open(
            self._places.provisioner,
            Directory(registry),
            sequencer.submit,
            Settings(
                host=config.host,
                agents_port=config.agents_port,
                gate_host=config.gate_host,
                gate_port_first=config.gate_port_first,
                gate_port_last=config.gate_port_last,
                allow_simulated=config.allow_simulated,
            ),
            retry_on=(Overloaded, OutcomeUnknown),
        )
        self._close_later("provisioner", provisioner.stop)
        return provisioner, reader

    async def _send_pending(self, registry: Registry, sequencer: Sequencer) -> None:
        while True:
            await asyncio.sleep(PENDING_S)
            with contextlib.suppress(Overloaded, OutcomeUnknown):
                await send_pending(registry, sequencer.submit)

    # ------------------------------------------------------------ helpers of the above

    async def _follow(self, name: str, run: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        reader = await self._log.open_reader(self._config.shard, EVENTS)
        self._close_later(f"{name}'s reader", reader.close)
        self._part(name, run(reader))

    def _part(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._parts[name] = task

        async def end() -> None:
            task.cancel()
            await asyncio.wait({task})

        self._close_later(name, end)

    def _close_later(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        self._closing.append((name, close))

    def _say_running(self, ports: Ports) -> None:
        text = json.dumps({"pid": os.getpid(), **ports._asdict()}) + "\n"
        write_durably(self._places.running, text.encode())


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.create_server((host, port), backlog=1_024, reuse_port=False)
    # A peer that never reads is dropped by the kernel, and its buffers with it: the server can't abort it itself.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_TIMEOUT_MS)
    listening.setblocking(False)
    return listening
