"""The agents' server: who may speak, and one session for each Baron (`provisioner.wire` is the protocol).

Every message is bounded, decoded strictly and checked; what can't be is answered with Refused and ends the connection.
An agent that talks too much is read more slowly, never believed more often. This room knows connections and nothing of
leases: what agents say goes to the Desk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from http import HTTPStatus
from typing import Final, Protocol

from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine.ids import format_id
from provisioner.admission import Beat, Inventory, admit, check_protocol, decode, inspect
from provisioner.ports import BaronDirectory, BaronIdentity, HeldGpu
from provisioner.settings import Bounds, Settings
from provisioner.wire import (
    BAD_CREDENTIAL,
    DIAL_PATH,
    ENROLL_PATH,
    MAX_MESSAGE_BYTES,
    SESSION_PATH,
    AgentMessage,
    DialFailed,
    Enroll,
    Enrolled,
    Heartbeat,
    Hello,
    MonarchMessage,
    Refused,
    Welcome,
    encode,
)

CLOSE_REFUSED: Final = 1008
MAX_HEADER_CHARS: Final = 512
MAX_QUEUED_FRAMES: Final = 16
"""Of 64 KiB each on a dial-back: what a connection may have read and not yet handed on."""
WRITE_LIMIT_BYTES: Final = 1 << 18
_BEARER: Final = "Bearer "

_log = logging.getLogger(__name__)


class _TurnedAway(Exception):
    """An agent won't be had; its connection ends with `refused`."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)
        self.refused = refused


class Session:
    """A Baron's agent that was let in."""

    def __init__(self, tunnel: ServerConnection, identity: BaronIdentity, inventory: Inventory, send_s: float) -> None:
        self._tunnel = tunnel
        self._send_s = send_s
        self.identity = identity
        self.baron = identity.baron
        self.inventory = inventory

    async def send(self, message: MonarchMessage) -> bool:
        """Send one message; False when the session is over. An agent that doesn't take it in time loses its session."""
        try:
            async with asyncio.timeout(self._send_s):
                await self._tunnel.send(encode(message), text=True)
        except ConnectionClosed:
            return False
        except TimeoutError:
            _log.warning("%s takes no messages: its session ends", format_id("brn", self.baron))
            self._tunnel.transport.abort()
            return False
        return True

    async def end(self, refused: Refused) -> None:
        """Say why, and close."""
        await _refuse(self._tunnel, refused, self._send_s)


class Desk(Protocol):
    """What the agents' words are for. All calls come from the event loop; the last session of a Baron is the one that counts."""

    async def vacated(self, baron: int) -> bool:
        """Whether the Baron's GPUs may pass to another: it is silent, and nothing that was sold on it is left (§4)."""

    async def arrived(self, session: Session) -> None:
        """A session stands; called before its Welcome."""

    def heartbeat(self, session: Session, beat: Beat) -> None: ...

    def dial_failed(self, session: Session, message: DialFailed) -> None: ...

    def left(self, session: Session) -> None:
        """The Baron's session is over, and no later one stands."""

    def expects_dial(self, token: str) -> bool: ...

    async def dialed(self, token: str, tunnel: Connection) -> bool:
        """A dial-back came: returns when its connection is over, or False at once when its token isn't valid."""


class Throttle:
    """A bucket of messages: how long to wait before the next one is read. `now_s` is any steady clock."""

    def __init__(self, bounds: Bounds, now_s: float) -> None:
        self._rate_s = bounds.messages_per_s
        self._burst = float(bounds.messages_burst)
        self._left = self._burst
        self._at_s = now_s

    def take(self, now_s: float) -> float:
        """Take one; the seconds to wait until the bucket isn't overdrawn any more."""
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._rate_s) - 1.0
        self._at_s = now_s
        return max(0.0, -self._left / self._rate_s)


class AgentsServer:
    """Listens for agents. `start` binds the port; `stop` ends every session and waits until all are gone."""

    def __init__(self, settings: Settings, directory: BaronDirectory, desk: Desk) -> None:
        self._settings = settings
        self._directory = directory
        self._desk = desk
        self._sessions: dict[int, Session] = {}
        self._claims = asyncio.Lock()
        self._unknown = 0
        self._ending: set[asyncio.Task[None]] = set()
        self._server: Server | None = None

    async def start(self) -> int:
        """Bind; the port. OSError when it can't be had."""
        self._server = await serve(
            self._handle,
            self._settings.host,
            self._settings.agents_port,
            process_request=self._route,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=MAX_QUEUED_FRAMES,
            write_limit=WRITE_LIMIT_BYTES,
            open_timeout=self._settings.timings.hello_s,
            close_timeout=self._settings.timings.close_s,
            server_header=None,
        )
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        if self._ending:
            await asyncio.wait(self._ending)

    def session(self, baron: int) -> Session | None:
        """The Baron's session, if one stands."""
        return self._sessions.get(baron)

    # ------------------------------------------------------------ connections

    def _route(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path not in (ENROLL_PATH, SESSION_PATH, DIAL_PATH):
            return connection.respond(HTTPStatus.NOT_FOUND, "There is nothing here but the agents' protocol.\n")
        if request.path == DIAL_PATH:
            if not self._desk.expects_dial(_bearer(request)):
                return connection.respond(HTTPStatus.UNAUTHORIZED, "The token isn't valid, or not any more.\n")
            # A renter who stopped reading holds back the pong too: that must not end a session which is only paused.
            connection.ping_interval = None
            return None
        bounds = self._settings.bounds
        connections = len(self._server.connections) if self._server is not None else 0
        if self._unknown >= bounds.unknown_agents or connections >= bounds.agent_connections:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Too many agents at once: try again later.\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        request = connection.request
        if request is None:
            return
        try:
            if request.path == DIAL_PATH:
                await self._desk.dialed(_bearer(request), connection)
            elif request.path == ENROLL_PATH:
                await self._enroll(connection)
            else:
                await self._attend(connection, _bearer(request))
        except _TurnedAway as turned_away:
            refused = turned_away.refused
            _log.info("an agent was refused: %s (%s)", refused.code, refused.detail)
            await _refuse(connection, refused, self._settings.timings.send_s)
        except ConnectionClosed:
            return
        except TimeoutError:
            _log.info("an agent didn't say who it is in time")

    async def _enroll(self, connection: ServerConnection) -> None:
        self._unknown += 1
        try:
            message = decode(await self._first(connection))
            if not isinstance(message, Enroll):
                raise _TurnedAway(_expected(message, "enroll"))
            if (mismatch := check_protocol(message.protocol)) is not None:
                raise _TurnedAway(mismatch)
            enrolled = await self._directory.enroll(message.token)
        finally:
            self._unknown -= 1
        if enrolled is None:
            detail = (
                "The enrolment token isn't valid, or was used: register a new Baron with POST /v1/barons for another."
            )
            raise _TurnedAway(Refused(code="bad_token", detail=detail))
        identity, credential = enrolled
        answer = Enrolled(baron_id=format_id("brn", identity.baron), credential=credential)
        await connection.send(encode(answer), text=True)

    async def _attend(self, connection: ServerConnection, credential: str) -> None:
        session = await self._let_in(connection, credential)
        try:
            await self._desk.arrived(session)
            if self._sessions.get(session.baron) is session:
                baron_id = format_id("brn", session.baron)
                await session.send(Welcome(baron_id=baron_id, verified_gpus=len(session.inventory.uuids)))
                await self._listen(connection, session)
        finally:
            if self._sessions.get(session.baron) is session:
                del self._sessions[session.baron]
                self._desk.left(session)

    async def _let_in(self, connection: ServerConnection, credential: str) -> Session:
        """Authenticate, check the Hello and claim the GPUs: the session that counts from here on."""
        self._unknown += 1
        try:
            identity = await self._directory.authenticate(credential) if credential else None
            # Its Hello is awaited either way: an agent that is cut off while it still writes would miss why.
            frame = await self._first(connection)
            if identity is None:
                raise _TurnedAway(Refused(code="bad_credential", detail=BAD_CREDENTIAL))
            message = decode(frame)
            if not isinstance(message, Hello):
                raise _TurnedAway(_expected(message, "hello"))
            inventory = admit(message, identity, allow_simulated=self._settings.allow_simulated)
            if isinstance(inventory, Refused):
                raise _TurnedAway(inventory)
            session = Session(connection, identity, inventory, self._settings.timings.send_s)
            await self._claim(session)
        finally:
            self._unknown -= 1
        return session

    async def _claim(self, session: Session) -> None:
        """Take the session's GPUs for its Baron, and make it the one that counts.

        GPUs of a Baron of the same provider that stands empty pass on: else one whose credential is lost would keep them
        for ever.
        """
        identity, uuids = session.identity, list(session.inventory.uuids)
        # One at a time: a Baron that was found empty mustn't come back before its GPUs have passed on.
        async with self._claims:
            held = await self._directory.claim_gpus(identity.baron, uuids)
            if held and all(gpu.provider == identity.provider for gpu in held):
                others = {gpu.baron for gpu in held}
                vacated = {other for other in others if await self._desk.vacated(other)}
                held = await self._directory.claim_gpus(identity.baron, uuids, vacated)
            if held:
                raise _TurnedAway(_held(held, identity, self._settings.timings.silence_s))
            older = self._sessions.get(session.baron)
            self._sessions[session.baron] = session
        if older is not None:
            self._replace(older)

    async def _first(self, connection: ServerConnection) -> str | bytes:
        async with asyncio.timeout(self._settings.timings.hello_s):
            return await connection.recv()

    async def _listen(self, connection: ServerConnection, session: Session) -> None:
        throttle = Throttle(self._settings.bounds, time.monotonic())
        while True:
            message: AgentMessage | Beat | Refused = decode(await connection.recv())
            if self._sessions.get(session.baron) is not session:
                return
            if isinstance(message, Heartbeat):
                message = inspect(message)
            if isinstance(message, Beat):
                self._desk.heartbeat(session, message)
            elif isinstance(message, DialFailed):
                self._desk.dial_failed(session, message)
            else:
                raise _TurnedAway(_expected(message, "heartbeat"))
            if (wait_s := throttle.take(time.monotonic())) > 0:
                # Not read meanwhile, so that the agent's own writes wait; a connection that ends isn't waited for.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await connection.wait_closed()

    def _replace(self, older: Session) -> None:
        refused = Refused(
            code="replaced", detail="Another agent of this Baron has connected: run one agent for a Baron."
        )
        task = asyncio.create_task(older.end(refused))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _refuse(connection: ServerConnection, refused: Refused, send_s: float) -> None:
    with contextlib.suppress(ConnectionClosed):
        try:
            async with asyncio.timeout(send_s):
                await connection.send(encode(refused), text=True)
        except TimeoutError:
            connection.transport.abort()
            return
        await connection.close(CLOSE_REFUSED, refused.code)


def _bearer(request: Request) -> str:
    """The bearer credential of a request; empty when there is none, more than one, or one too long."""
    values = request.headers.get_all("Authorization")
    if len(values) != 1 or not values[0].startswith(_BEARER) or len(values[0]) > MAX_HEADER_CHARS:
        return ""
    return values[0][len(_BEARER) :].strip()


def _held(held: list[HeldGpu], identity: BaronIdentity, silence_s: float) -> Refused:
    """Why GPUs can't be the Baron's. Another provider's never will be; the provider's own may pass on later."""
    for gpu in held:
        if gpu.provider != identity.provider:
            detail = (
                f"GPU {gpu.uuid} belongs to another provider's Baron: a GPU is sold by one Baron only. Offer others."
            )
            return Refused(code="gpu_elsewhere", detail=detail)
    first = held[0]
    detail = (
        f"GPU {first.uuid} is with {format_id('brn', first.baron)} still: it passes to this Baron when the agent of that one "
        f"has been stopped for {silence_s:.0f} s, the last lease on it is wiped, and no hour that it sold ahead is still to "
        "come. Stop that agent; this one tries again."
    )
    return Refused(code="gpu_held", detail=detail)


def _expected(message: AgentMessage | Refused, what: str) -> Refused:
    """The refusal of a message that came out of turn; one that couldn't be decoded has its own."""
    if isinstance(message, Refused):
        return message
    return Refused(code="invalid_message", detail=f"expected {what}, and got {type(message).__name__}")
