"""A scripted Monarch: a real WebSocket server that speaks the agents' protocol and does what a test tells it, rightly or not.

And a gate of its own: a TCP port for a lease, whose connections go through the agent's dial-back, for the real ssh.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from provisioner.wire import (
    DIAL_PATH,
    ENROLL_PATH,
    MAX_DIAL_FRAME_BYTES,
    MAX_MESSAGE_BYTES,
    SESSION_PATH,
    AgentMessage,
    Desired,
    Dial,
    DialFailed,
    Enroll,
    Enrolled,
    Heartbeat,
    Hello,
    LeaseReport,
    LeaseSpec,
    MonarchMessage,
    Refused,
    SandboxState,
    Welcome,
    decode_agent,
    encode,
)
from tests.waiting import wait_until_async

TOKEN = "enrol-once"
CREDENTIAL = "the-credential"
BARON_ID = "brn_7"
HOUR_NS = 3600 * 10**9


class Session:
    """One session of the agent, as Monarch sees it."""

    def __init__(self, connection: ServerConnection, hello: Hello) -> None:
        self.connection = connection
        self.hello = hello
        self.heartbeats: list[Heartbeat] = []
        self.dials_failed: list[DialFailed] = []

    async def send(self, message: MonarchMessage) -> None:
        await self.connection.send(encode(message), text=True)

    def report(self, lease_id: str) -> LeaseReport | None:
        """What the last heartbeat says of a lease."""
        if not self.heartbeats:
            return None
        return next((one for one in self.heartbeats[-1].leases if one.lease_id == lease_id), None)

    async def until(self, lease_id: str, state: SandboxState | None) -> LeaseReport | None:
        """Wait until a heartbeat says so of the lease; None: until one doesn't speak of it any more."""

        def said() -> bool:
            report = self.report(lease_id)
            return bool(self.heartbeats) and (report.state if report else None) is state

        await wait_until_async(said, f"{lease_id} to be {state}")
        return self.report(lease_id)

    async def running(self, lease_id: str) -> LeaseReport:
        report = await self.until(lease_id, SandboxState.RUNNING)
        assert report is not None
        return report

    def states(self, lease_id: str) -> list[SandboxState]:
        """Every state that heartbeats gave it, without repeats."""
        said = [one.state for beat in self.heartbeats for one in beat.leases if one.lease_id == lease_id]
        return [state for state, _ in itertools.groupby(said)]


class Monarch:
    """Listens on loopback between `start` and `stop`, on the same port again after a `stop`."""

    def __init__(self) -> None:
        self.port = 0
        self.sessions: list[Session] = []
        self.answer_hello: Callable[[Hello], MonarchMessage | bytes | str] = lambda hello: Welcome(
            baron_id=BARON_ID, verified_gpus=len(hello.gpus)
        )
        self.door: HTTPStatus | None = None
        """What the session's address answers with instead of a WebSocket."""
        self.knocks: list[str] = []
        """Paths that were asked for."""
        self._server: Server | None = None
        self._tunnels: dict[str, asyncio.Future[ServerConnection]] = {}
        self._tokens = itertools.count()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            self.port,
            process_request=self._route,
            max_size=MAX_MESSAGE_BYTES,
            close_timeout=1,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def session(self, number: int = 1) -> Session:
        """The agent's n-th session, once it has sent a heartbeat."""
        await wait_until_async(
            lambda: len(self.sessions) >= number and bool(self.sessions[number - 1].heartbeats), f"session {number}"
        )
        return self.sessions[number - 1]

    async def dial(self, session: Session, lease_id: str) -> tuple[str, asyncio.Future[ServerConnection]]:
        """Ask for a dial-back: its connection id, and where the connection will come."""
        token = f"dial-{next(self._tokens)}"
        self._tunnels[token] = asyncio.get_running_loop().create_future()
        await session.send(Dial(connection_id=f"of-{token}", lease_id=lease_id, token=token))
        return f"of-{token}", self._tunnels[token]

    @contextlib.asynccontextmanager
    async def gate(self, lease_id: str) -> AsyncIterator[int]:
        """A port of the lease's; each connection is dialed back through the newest session."""

        async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _, coming = await self.dial(self.sessions[-1], lease_id)
            try:
                tunnel = await asyncio.wait_for(coming, 20)
                await asyncio.gather(_to_tunnel(reader, tunnel), _to_client(tunnel, writer))
            except (ConnectionClosed, ConnectionError):
                # One side hung up.
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve_client, "127.0.0.1", 0, limit=MAX_DIAL_FRAME_BYTES)
        async with server:
            yield server.sockets[0].getsockname()[1]

    # ------------------------------------------------------------ connections

    def _route(self, connection: ServerConnection, request: Request) -> Response | None:
        self.knocks.append(request.path)
        if request.path == SESSION_PATH and self.door is not None:
            response = connection.respond(self.door, "not here\n")
            response.headers["Location"] = f"{self.url}/elsewhere"
            return response
        if request.path == DIAL_PATH and _bearer(request) not in self._tunnels:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "no such token\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        path = connection.request.path
        with contextlib.suppress(ConnectionClosed):
            if path == DIAL_PATH:
                self._tunnels.pop(_bearer(connection.request)).set_result(connection)
                await connection.wait_closed()
            elif path == ENROLL_PATH:
                await self._enroll(connection)
            else:
                await self._attend(connection, _bearer(connection.request))

    async def _enroll(self, connection: ServerConnection) -> None:
        message = _decode(await connection.recv())
        assert isinstance(message, Enroll)
        known = message.token == TOKEN
        answer = (
            Enrolled(baron_id=BARON_ID, credential=CREDENTIAL)
            if known
            else Refused(code="bad_token", detail="The token isn't valid.")
        )
        await connection.send(encode(answer), text=True)

    async def _attend(self, connection: ServerConnection, credential: str) -> None:
        if credential != CREDENTIAL:
            await connection.send(encode(Refused(code="bad_credential", detail="Enrol the Baron again.")), text=True)
            return
        hello = _decode(await connection.recv())
        assert isinstance(hello, Hello)
        answer = self.answer_hello(hello)
        await connection.send(answer if isinstance(answer, bytes | str) else encode(answer).decode())
        if not isinstance(answer, Welcome):
            await connection.wait_closed()
            return
        session = Session(connection, hello)
        self.sessions.append(session)
        async for frame in connection:
            message = _decode(frame)
            if isinstance(message, Heartbeat):
                session.heartbeats.append(message)
            elif isinstance(message, DialFailed):
                session.dials_failed.append(message)


def lease(
    session: Session, lease_id: str, keys: list[str], *, gpu: int = 0, generation: int = 1, paid_ns: int = HOUR_NS
) -> LeaseSpec:
    """A lease of one GPU of the session's inventory, paid for so long from now."""
    return LeaseSpec(
        lease_id=lease_id,
        generation=generation,
        gpus=[session.hello.gpus[gpu].uuid],
        authorized_keys=keys,
        paid_until_ns=time.time_ns() + paid_ns,
    )


def desired(*leases: LeaseSpec, forget: tuple[str, ...] = ()) -> Desired:
    return Desired(leases=list(leases), forget=list(forget))


def _bearer(request: Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _decode(frame: str | bytes) -> AgentMessage:
    assert isinstance(frame, str)
    message: AgentMessage = decode_agent(frame)
    return message


async def _to_tunnel(reader: asyncio.StreamReader, tunnel: ServerConnection) -> None:
    while chunk := await reader.read(MAX_DIAL_FRAME_BYTES):
        await tunnel.send(chunk)
    await tunnel.send(b"")


async def _to_client(tunnel: ServerConnection, writer: asyncio.StreamWriter) -> None:
    while chunk := await tunnel.recv():
        assert isinstance(chunk, bytes) and len(chunk) <= MAX_DIAL_FRAME_BYTES
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()
