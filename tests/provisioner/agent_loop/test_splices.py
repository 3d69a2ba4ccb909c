"""Dial-backs: what Monarch may ask for, what it may send in one, and how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from websockets.asyncio.server import ServerConnection

from provisioner.agent.splices import SPLICES_PER_LEASE
from provisioner.wire import MAX_DIAL_FRAME_BYTES, Dial
from tests.provisioner.agent_loop.baron import Renter, Running
from tests.provisioner.agent_loop.monarch import Monarch, Session, desired, lease
from tests.waiting import wait_until_async

RunBaron = Callable[..., Running]
WAIT_S = 20.0


async def session_with_lease(monarch: Monarch, run_baron: RunBaron, renter: Renter) -> Session:
    run_baron()
    session = await monarch.session()
    await session.send(desired(lease(session, "lse_1", [renter.public_key])))
    await session.running("lse_1")
    return session


async def opened(monarch: Monarch, session: Session) -> ServerConnection:
    _, coming = await monarch.dial(session, "lse_1")
    return await asyncio.wait_for(coming, WAIT_S)


async def attempt(monarch: Monarch, session: Session) -> ServerConnection | None:
    """A dial-back, or None when the agent refuses it."""
    failures = len(session.dials_failed)
    _, coming = await monarch.dial(session, "lse_1")
    await wait_until_async(lambda: coming.done() or len(session.dials_failed) > failures, "an answer")
    return coming.result() if coming.done() else None


async def test_a_dial_back_carries_sshds_greeting(monarch: Monarch, run_baron: RunBaron, renter: Renter) -> None:
    session = await session_with_lease(monarch, run_baron, renter)
    tunnel = await opened(monarch, session)
    greeting = await asyncio.wait_for(tunnel.recv(), WAIT_S)
    assert isinstance(greeting, bytes) and greeting.startswith(b"SSH-2.0-")
    assert tunnel.request is not None and "Sec-WebSocket-Extensions" not in tunnel.request.headers


async def test_an_end_of_stream_from_one_side_is_answered_by_the_others(
    monarch: Monarch, run_baron: RunBaron, renter: Renter
) -> None:
    session = await session_with_lease(monarch, run_baron, renter)
    tunnel = await opened(monarch, session)
    await tunnel.send(b"")
    frames = [frame async for frame in tunnel]
    assert frames[-1] == b"" and tunnel.close_code == 1000


@pytest.mark.parametrize(("frame", "code"), [("text", 1003), (bytes(MAX_DIAL_FRAME_BYTES + 1), 1009)])
async def test_what_doesnt_belong_in_a_dial_back_closes_it(
    monarch: Monarch, run_baron: RunBaron, renter: Renter, frame: str | bytes, code: int
) -> None:
    session = await session_with_lease(monarch, run_baron, renter)
    tunnel = await opened(monarch, session)
    await tunnel.send(frame)
    await asyncio.wait_for(tunnel.wait_closed(), WAIT_S)
    assert tunnel.close_code == code
    # Others, and the session, go on.
    other = await opened(monarch, session)
    assert await asyncio.wait_for(other.recv(), WAIT_S)


@pytest.mark.parametrize(("lease_id", "token", "why"), [
    ("lse_9", "dial-x", "no such lease"),
    ("../lse_1", "dial-x", "no such lease"),
    ("lse_1", "unknown", "HTTP 401"),
    ("lse_1", "two\r\nlines", "token"),
    ("lse_1", "", "token"),
])  # fmt: skip
async def test_a_dial_that_cant_be_is_told(
    monarch: Monarch, run_baron: RunBaron, renter: Renter, lease_id: str, token: str, why: str
) -> None:
    session = await session_with_lease(monarch, run_baron, renter)
    await session.send(Dial(connection_id="con-1", lease_id=lease_id, token=token))
    await wait_until_async(lambda: session.dials_failed, "the failure")
    [failed] = session.dials_failed
    assert failed.connection_id == "con-1" and why in failed.detail
    assert not token or token not in failed.detail


async def test_a_leases_connections_are_bounded(monarch: Monarch, run_baron: RunBaron, renter: Renter) -> None:
    session = await session_with_lease(monarch, run_baron, renter)
    tunnels = [await opened(monarch, session) for _ in range(SPLICES_PER_LEASE)]
    connection_id, _ = await monarch.dial(session, "lse_1")
    await wait_until_async(lambda: session.dials_failed, "one too many")
    assert session.dials_failed[0].connection_id == connection_id
    await tunnels[0].close()
    # Its place is free again as soon as the agent has seen it go.
    again = None
    while again is None:
        again = await attempt(monarch, session)
    assert await asyncio.wait_for(again.recv(), WAIT_S)
