"""One session with Monarch: Hello, then heartbeats out and lists and dials in, until one side ends it.

It carries words between Monarch and the leases and decides nothing about either. Every way for it to end is one of the
two exceptions here.
"""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from provisioner.agent import reconcile
from provisioner.agent import tunnel as tunnels
from provisioner.agent.events import EventLog
from provisioner.agent.home import Identity
from provisioner.agent.leases import Leases
from provisioner.agent.node import Node, to_wire
from provisioner.agent.races import first_to_end
from provisioner.agent.splices import Splices
from provisioner.wire import (
    BAD_CREDENTIAL,
    HEARTBEAT_S,
    PROTOCOL,
    SESSION_PATH,
    Desired,
    Dial,
    DialFailed,
    Heartbeat,
    Hello,
    Refused,
    Welcome,
    encode,
)

WELCOME_TIMEOUT_S = 15.0
HEARTBEAT_GAP_S = 0.06
"""Between two heartbeats at least: Monarch reads some 20 messages a second, and each says everything."""
UNAUTHORIZED = 401

# A later connection would be answered the same way.
FINAL = frozenset(
    {"bad_credential", "simulated_not_allowed", "wrong_sku", "protocol_mismatch", "gpu_elsewhere", "replaced"}
)


class Lost(Exception):
    """The session is over for a reason that may pass: the text says which."""


class TurnedAway(Exception):
    """Monarch won't have this agent, and won't change its mind by itself."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"{refused.code}: {refused.detail}")
        self.refused = refused


class Session:
    """Sessions of one agent, one after the other. `changed` says that there is something new to report."""

    def __init__(
        self, identity: Identity, version: str, node: Node, leases: Leases, splices: Splices, log: EventLog
    ) -> None:
        self._identity = identity
        self._version = version
        self._node = node
        self._leases = leases
        self._splices = splices
        self._log = log
        self._changed = asyncio.Event()
        leases.on_change = self.changed
        leases.on_end = splices.cut

    def changed(self) -> None:
        """There is something new to report: a heartbeat goes out at once."""
        self._changed.set()

    async def hold(self) -> None:
        """Connect and stay. Raises Lost or TurnedAway; never returns."""
        try:
            async with tunnels.for_messages(self._identity.monarch, SESSION_PATH, self._identity.credential) as tunnel:
                await self._attend(tunnel)
        except InvalidStatus as error:
            if error.response.status_code == UNAUTHORIZED:
                raise TurnedAway(Refused(code="bad_credential", detail=BAD_CREDENTIAL)) from error
            raise Lost(tunnels.why(error)) from error
        except (OSError, WebSocketException) as error:
            raise Lost(tunnels.why(error)) from error
        raise Lost("the session ended")

    async def _attend(self, tunnel: ClientConnection) -> None:
        try:
            await tunnel.send(encode(self._hello()), text=True)
            async with asyncio.timeout(WELCOME_TIMEOUT_S):
                welcome = await tunnels.receive(tunnel)
            if not isinstance(welcome, Welcome):
                raise self._unexpected(welcome)
            self._ready(welcome)
            self._leases.connected(True)
            await first_to_end(self._beat(tunnel), self._listen(tunnel))
        except tunnels.Nonsense as error:
            await tunnel.close(tunnels.CLOSE_INVALID, "invalid message")
            raise Lost(f"Monarch sent what can't be meant: {error}") from error
        finally:
            self._leases.connected(False)

    def _hello(self) -> Hello:
        sick = set(self._node.unhealthy())
        inventory = self._node.inventory
        gpus = [to_wire(gpu, healthy=gpu.uuid not in sick) for gpu in inventory.gpus]
        return Hello(
            protocol=PROTOCOL,
            agent_version=self._version,
            simulated=inventory.simulated,
            driver_version=inventory.driver_version,
            gpus=gpus,
        )

    def _ready(self, welcome: Welcome) -> None:
        kind = "simulated GPUs" if self._node.inventory.simulated else "GPUs"
        self._log.say(
            "ready",
            f"Baron {welcome.baron_id} is on the market: {welcome.verified_gpus} {kind} verified",
            baron_id=welcome.baron_id,
            verified_gpus=welcome.verified_gpus,
            simulated=self._node.inventory.simulated,
        )

    async def _beat(self, tunnel: ClientConnection) -> None:
        while True:
            self._changed.clear()
            heartbeat = Heartbeat(leases=self._leases.reports(), unhealthy_gpus=self._node.unhealthy())
            try:
                await tunnel.send(encode(heartbeat), text=True)
            except ConnectionClosed:
                # Why it closed may still wait to be read: whoever listens says it.
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(HEARTBEAT_GAP_S)
            try:
                async with asyncio.timeout(HEARTBEAT_S - HEARTBEAT_GAP_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _listen(self, tunnel: ClientConnection) -> None:
        while True:
            message = await tunnels.receive(tunnel)
            match message:
                case Desired():
                    if (problem := reconcile.problem(message)) is not None:
                        raise tunnels.Nonsense(problem)
                    self._leases.desire(message)
                case Dial():
                    self._dial(message, tunnel)
                case _:
                    raise self._unexpected(message)

    def _dial(self, dial: Dial, tunnel: ClientConnection) -> None:
        async def fail(failed: DialFailed) -> None:
            try:
                await tunnel.send(encode(failed), text=True)
            except ConnectionClosed:
                # The session is over, and with it whoever waited for this connection.
                return

        self._splices.dial(dial, fail)

    def _unexpected(self, message: object) -> Exception:
        if not isinstance(message, Refused):
            return tunnels.Nonsense(f"{type(message).__name__} out of turn")
        if message.code in FINAL:
            return TurnedAway(message)
        return Lost(f"Monarch refused: {message.code}: {message.detail}")
