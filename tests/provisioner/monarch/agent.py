"""A scripted agent that speaks the wire over a real connection: it does what it is told, or what a test makes it do.

Its sandboxes are rows here, and their sshd is an echo: one that answers each chunk, and ends when its input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from provisioner.wire import (
    DIAL_PATH,
    MAX_DIAL_FRAME_BYTES,
    PROTOCOL,
    SESSION_PATH,
    SKUS,
    AgentMessage,
    Desired,
    Dial,
    DialFailed,
    Gpu,
    Heartbeat,
    Hello,
    LeaseReport,
    MonarchMessage,
    Refused,
    SandboxState,
    Welcome,
    decode_monarch,
    encode,
)
from tests.provisioner.monarch.exchange import SKU

Sshd = Callable[[ClientConnection], Awaitable[None]]
BEAT_S = 0.05
GREETING = b"SSH-2.0-tests\r\n"
"""What a client says first: nothing else gets through the gate."""


async def echo(tunnel: ClientConnection) -> None:
    """Every chunk back, and the end after the end."""
    while chunk := await tunnel.recv():
        await tunnel.send(chunk)
    await tunnel.send(b"")


def gpus(count: int, *, sku: str = SKU, prefix: str = "GPU-") -> list[Gpu]:
    model = SKUS[sku]
    return [
        Gpu(
            uuid=f"{prefix}{index:04d}",
            index=index,
            name=model.nvml_name,
            memory_mib=model.memory_mib,
            sku=sku,
            healthy=True,
        )
        for index in range(count)
    ]


def host_key(lease_id: str, incarnation: int) -> str:
    return f"ssh-ed25519 {lease_id.replace('_', '/')}{incarnation:04d}"


async def dial(port: int, path: str, credential: str) -> ClientConnection:
    return await connect(
        f"ws://127.0.0.1:{port}{path}",
        additional_headers={"Authorization": f"Bearer {credential}"},
        compression=None,
        max_size=None,
        proxy=None,
        close_timeout=2,
    )


class Agent:
    """`obey`: carry Desired out. `beat_by_itself`: heartbeats every BEAT_S. `leases` is its disk and outlives sessions."""

    def __init__(self, credential: str = "secret-1", inventory: Iterable[Gpu] = (), sshd: Sshd = echo) -> None:
        self.credential = credential
        self.inventory = list(inventory) or gpus(8)
        self.unhealthy: list[str] = []
        self.simulated = False
        self.sshd: Sshd | None = sshd
        self.obey = True
        self.beat_by_itself = True
        self.answer_dials = True
        self.leases: dict[str, LeaseReport] = {}
        self.desired: list[Desired] = []
        self.received: list[MonarchMessage] = []
        self.welcome: Welcome | None = None
        self.refused: Refused | None = None
        self.dials: list[Dial] = []
        self.incarnation = 0
        self._tunnel: ClientConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, port: int) -> None:
        """Connect, say Hello and, unless refused, serve in the background."""
        self.port = port
        self.refused = None
        self._tunnel = await dial(port, SESSION_PATH, self.credential)
        await self.say(
            Hello(
                protocol=PROTOCOL,
                agent_version="0",
                simulated=self.simulated,
                driver_version="570.0",
                gpus=self.inventory,
            )
        )
        first = decode_monarch(await self._tunnel.recv())
        if isinstance(first, Refused):
            self.refused = first
            await self._tunnel.wait_closed()
            return
        assert isinstance(first, Welcome)
        self.welcome = first
        self._spawn(self._listen(self._tunnel))
        self._spawn(self._beat(self._tunnel))

    async def stop(self) -> None:
        """The agent is killed: no goodbye, and its disk stays."""
        if self._tunnel is not None:
            self._tunnel.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def say(self, message: AgentMessage) -> None:
        assert self._tunnel is not None
        await self._tunnel.send(encode(message), text=True)

    async def raw(self, frame: str | bytes) -> None:
        assert self._tunnel is not None
        await self._tunnel.send(frame)

    async def beat(self) -> None:
        await self.say(Heartbeat(leases=list(self.leases.values()), unhealthy_gpus=self.unhealthy))

    async def answer(self, knock: Dial) -> None:
        """Dial back, in the background."""
        self._spawn(self._dial_back(knock))

    def report(self, lease_id: str, state: SandboxState, **more: object) -> None:
        known = self.leases.get(lease_id, LeaseReport(lease_id=lease_id, generation=1, state=state))
        self.leases[lease_id] = msgspec.structs.replace(known, state=state, **more)

    def start_sandbox(self, lease_id: str, gpus: Iterable[str] = (), generation: int = 1) -> None:
        self.incarnation += 1
        key = host_key(lease_id, self.incarnation)
        self.report(lease_id, SandboxState.RUNNING, host_key=key, gpus=list(gpus), generation=generation)

    @property
    def connected(self) -> bool:
        return self._tunnel is not None and self._tunnel.close_code is None and self.refused is None

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _beat(self, tunnel: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                if self.obey and self.desired:
                    self._carry_out(self.desired[-1])
                if self.beat_by_itself:
                    await tunnel.send(
                        encode(Heartbeat(leases=list(self.leases.values()), unhealthy_gpus=self.unhealthy)), text=True
                    )
                await asyncio.sleep(BEAT_S)

    async def _listen(self, tunnel: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = decode_monarch(await tunnel.recv())
                self.received.append(message)
                match message:
                    case Desired():
                        self.desired.append(message)
                        if self.obey:
                            self._carry_out(message)
                            await self.beat()
                    case Dial():
                        self.dials.append(message)
                        if self.answer_dials:
                            await self.answer(message)
                    case Refused():
                        self.refused = message

    def _carry_out(self, desired: Desired) -> None:
        wanted = {spec.lease_id: spec for spec in desired.leases}
        for lease_id in desired.forget:
            self.leases.pop(lease_id, None)
        for lease_id in wanted.keys() - self.leases.keys():
            self.start_sandbox(lease_id, wanted[lease_id].gpus, wanted[lease_id].generation)
        for lease_id in self.leases.keys() - wanted.keys():
            self.report(lease_id, SandboxState.WIPED, gpus=[])

    async def _dial_back(self, knock: Dial) -> None:
        if self.sshd is None:
            await self.say(DialFailed(connection_id=knock.connection_id, detail="no sandbox"))
            return
        tunnel = await dial(self.port, DIAL_PATH, knock.token)
        async with tunnel:
            with contextlib.suppress(ConnectionClosed):
                await self.sshd(tunnel)


def chunks(data: bytes) -> list[bytes]:
    return [data[at : at + MAX_DIAL_FRAME_BYTES] for at in range(0, len(data), MAX_DIAL_FRAME_BYTES)]
