"""The gate with real TCP on one side and the agent's real dial-back on the other."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from engine.ids import format_id
from provisioner.wire import DIAL_PATH, MAX_DIAL_FRAME_BYTES, DialFailed
from tests.provisioner.monarch.agent import GREETING, Agent, Sshd, chunks, dial
from tests.provisioner.monarch.conftest import QUICK, House
from tests.provisioner.monarch.test_leases import knock, on_sale, rented
from tests.waiting import wait_until_async

MIB = 1 << 20


async def reachable(house: House, sshd: Sshd | None = None) -> tuple[Agent, int, int]:
    """An agent with this sshd, a lease and its port."""
    await house.open()
    agent = Agent()
    if sshd is not None:
        agent.sshd = sshd
    await house.agent(agent)
    await on_sale(house, 8)
    lease_id = await rented(house)
    return agent, lease_id, house.exchange.access(lease_id).port


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(30):
            yield reader, writer
    finally:
        writer.transport.abort()


async def drained(writer: asyncio.StreamWriter) -> bool:
    """Whether what was written went out before the other side was held for a second."""
    try:
        async with asyncio.timeout(1):
            await writer.drain()
    except TimeoutError:
        return False
    return True


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the gate ended the connection, in whatever way."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_many_bytes_pass_whole_both_ways_at_once(house: House) -> None:
    _, _, port = await reachable(house)
    data = GREETING + bytes(range(256)) * (16 * MIB // 256)
    async with connected(port) as (reader, writer):

        async def send() -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        assert await reader.read(-1) == data
        await sending


async def test_the_sandbox_may_close_first_and_its_last_words_arrive(house: House) -> None:
    async def farewell(tunnel: ClientConnection) -> None:
        await tunnel.recv()
        for chunk in chunks(b"bye" * MIB):
            await tunnel.send(chunk)

    # Nothing but the close itself may end it: no quiet time that runs out.
    patient = msgspec.structs.replace(QUICK, half_closed_s=3_600.0)
    house.settings = msgspec.structs.replace(house.settings, timings=patient)
    _, _, port = await reachable(house, farewell)
    async with connected(port) as (reader, writer):
        writer.write(GREETING + b"x" * MAX_DIAL_FRAME_BYTES)
        assert await reader.read(-1) == b"bye" * MIB


async def test_a_client_that_stops_sending_still_gets_the_answer(house: House) -> None:
    async def count(tunnel: ClientConnection) -> None:
        total = 0
        while chunk := await tunnel.recv():
            total += len(chunk)
        await tunnel.send(str(total).encode())

    _, _, port = await reachable(house, count)
    async with connected(port) as (reader, writer):
        writer.write(GREETING.ljust(300_000, b"x"))
        writer.write_eof()
        assert await reader.read(-1) == b"300000"


async def test_a_half_closed_connection_that_stays_quiet_is_ended(house: House) -> None:
    async def deaf(tunnel: ClientConnection) -> None:
        await tunnel.wait_closed()

    _, _, port = await reachable(house, deaf)
    async with connected(port) as (reader, writer):
        writer.write(GREETING)
        writer.write_eof()
        assert await closed(reader)


async def test_a_client_that_breaks_off_ends_the_tunnel_at_once(house: House) -> None:
    began, over = asyncio.Event(), asyncio.Event()

    async def listening(tunnel: ClientConnection) -> None:
        await tunnel.recv()
        began.set()
        await tunnel.wait_closed()
        over.set()

    patient = msgspec.structs.replace(QUICK, half_closed_s=3_600.0)
    house.settings = msgspec.structs.replace(house.settings, timings=patient)
    _, lease_id, port = await reachable(house, listening)
    assert house.provisioner is not None
    gate = house.provisioner.gate
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(GREETING)
        await wait_until_async(began.is_set, "the connection")
    async with asyncio.timeout(20):
        await over.wait()
    await wait_until_async(lambda: gate.connections(lease_id) == 0, "its end")


async def test_a_side_that_doesnt_read_holds_the_other_and_nothing_piles_up(house: House) -> None:
    release = asyncio.Event()

    async def asleep(tunnel: ClientConnection) -> None:
        await release.wait()
        while await tunnel.recv():
            continue
        await tunnel.send(b"all")

    _, _, port = await reachable(house, asleep)
    sent = 0
    async with connected(port) as (reader, writer):
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(GREETING)
        flows = True
        while flows:
            writer.write(bytes(MIB))
            sent += MIB
            flows = await drained(writer)
        # What the kernel's buffers and 16 queued frames can hold is far less than what a free flow would have taken.
        assert sent < 64 * MIB
        release.set()
        await writer.drain()
        writer.write_eof()
        assert await reader.read(-1) == b"all"


@pytest.mark.parametrize("frame", ["text", bytes(MAX_DIAL_FRAME_BYTES + 1)])
async def test_a_dial_back_that_speaks_wrongly_is_cut(house: House, frame: str | bytes) -> None:
    async def wrong(tunnel: ClientConnection) -> None:
        await tunnel.send(frame)
        await tunnel.wait_closed()

    _, _, port = await reachable(house, wrong)
    async with connected(port) as (reader, writer):
        writer.write(GREETING)
        assert await closed(reader)


async def test_an_end_cuts_open_connections_and_closes_the_port(house: House) -> None:
    _, lease_id, port = await reachable(house)
    async with connected(port) as (reader, writer):
        writer.write(GREETING)
        assert await reader.readexactly(len(GREETING)) == GREETING
        await house.exchange.end(lease_id)
        assert await closed(reader)
    with pytest.raises(ConnectionRefusedError):
        await knock(house, port)


async def test_a_token_serves_once(house: House) -> None:
    agent, _, port = await reachable(house)
    assert house.provisioner is not None
    async with connected(port) as (reader, writer):
        writer.write(GREETING)
        assert await reader.readexactly(len(GREETING)) == GREETING
        with pytest.raises(InvalidStatus):
            await dial(house.provisioner.agents_port, DIAL_PATH, agent.dials[-1].token)


async def test_an_agent_that_doesnt_dial_back_leaves_the_client_closed_and_the_token_void(house: House) -> None:
    quick = msgspec.structs.replace(QUICK, dial_s=0.3)
    house.settings = msgspec.structs.replace(house.settings, timings=quick)
    agent, _, port = await reachable(house)
    agent.answer_dials = False
    async with connected(port) as (reader, writer):
        writer.write(GREETING)
        assert await closed(reader)
    assert house.provisioner is not None
    with pytest.raises(InvalidStatus):
        await dial(house.provisioner.agents_port, DIAL_PATH, agent.dials[-1].token)


async def test_a_dial_that_the_agent_cant_make_closes_the_client_at_once(house: House) -> None:
    agent, _, port = await reachable(house)
    agent.sshd = None
    async with connected(port) as (reader, writer):
        writer.write(GREETING)
        assert await closed(reader)


async def test_another_barons_word_on_a_dial_counts_nothing(house: House) -> None:
    agent, _, port = await reachable(house)
    agent.answer_dials = False
    other = await house.agent(Agent("secret-2", [msgspec.structs.replace(agent.inventory[0], uuid="GPU-other")]))
    async with connected(port) as (reader, writer):
        writer.write(GREETING)
        await wait_until_async(lambda: agent.dials, "the dial")
        await other.say(DialFailed(connection_id=agent.dials[-1].connection_id, detail="no"))
        await other.beat()
        await wait_until_async(lambda: other.desired, "the other's session")
        agent.answer_dials = True
        await agent.answer(agent.dials[-1])
        assert await reader.readexactly(len(GREETING)) == GREETING


async def test_a_port_that_another_process_holds_is_passed_over(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        first = held.getsockname()[1]
        house.settings = msgspec.structs.replace(house.settings, gate_port_first=first, gate_port_last=first + 20)
        _, _, port = await reachable(house)
        assert first < port <= first + 20
        assert await knock(house, port) == b"hello"


async def test_a_port_is_used_again_last(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        first = probe.getsockname()[1]
    house.settings = msgspec.structs.replace(house.settings, gate_port_first=first, gate_port_last=first + 30)
    _, lease_id, port = await reachable(house)
    await house.exchange.end(lease_id)
    seen = {port}
    for _ in range(3):
        lease_id = await rented(house)
        port = house.exchange.access(lease_id).port
        assert port not in seen
        seen.add(port)
        await house.exchange.end(lease_id)
        await wait_until_async(lambda: not house.agents[0].leases, "the wipe of " + format_id("lse", lease_id))
