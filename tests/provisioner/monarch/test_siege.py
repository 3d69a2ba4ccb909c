"""Strangers who can only open connections don't keep a renter out, whatever they do with them, and cost bounded means."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection

from provisioner.agent.sandbox.etc import LOGIN_GRACE_S
from provisioner.agent.sandbox.spec import CONNECTIONS_DEFAULT
from provisioner.agent.splices import SPLICES_PER_LEASE
from provisioner.crowd import SETTLED_TURNS
from provisioner.identification import Heard, heard
from provisioner.settings import Bounds, Timings
from tests.provisioner.monarch.agent import GREETING, echo
from tests.provisioner.monarch.conftest import QUICK, House
from tests.provisioner.monarch.test_gate import closed, connected, reachable
from tests.provisioner.monarch.test_leases import knock, rented
from tests.waiting import wait_until_async

ATTACKERS = 150
RENEWALS = 40
LEAVING = 32
BOUNDS = Bounds(connections_per_lease=16, new_per_address=12, quiet_connections=4, callers_per_lease=60)
SIEGE = msgspec.structs.replace(QUICK, identify_s=1.0, quiet_s=0.3, place_s=5.0, fresh_s=0.2, tally_s=3_600.0)
STRANGER, RENTER = "127.0.0.1", "127.0.0.2"

Deed = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 and so on" * 500)
    await reader.read()


async def a_name_alone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-x\r\n")
    await reader.read()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"SSH-2.0-" + b"x" * 200:
        writer.write(bytes([byte]))
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                if not await reader.read():
                    return


async def trickle_behind_a_name(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    await trickle(reader, writer)


async def key_exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As far as the gate can tell: a few turns, and then nothing."""
    for said in (GREETING, b"kexinit", b"ecdh", b"service"):
        writer.write(said)
        if await reader.read(100) == b"":
            return
    await reader.read()


async def gone_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    await writer.drain()


DEEDS = [silent, garbage, a_name_alone, trickle, trickle_behind_a_name, key_exchange, gone_at_once]


async def attack(port: int, deed: Deed) -> None:
    """One connection that is opened again whenever it has ended."""
    for _ in range(RENEWALS):
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(STRANGER, 0))
            try:
                await deed(reader, writer)
            finally:
                writer.transport.abort()


@asynccontextmanager
async def siege(port: int, deed: Deed) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(attack(port, deed)) for _ in range(ATTACKERS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends), ends


async def enter(port: int, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As a renter: again when it was cut before a login."""
    async with asyncio.timeout(60):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
            try:
                for turn in range(SETTLED_TURNS + 1):
                    said = GREETING if turn == 0 else b"turn %d" % turn
                    writer.write(said)
                    assert await reader.readexactly(len(said)) == said
            except (ConnectionError, asyncio.IncompleteReadError):
                writer.transport.abort()
                continue
            return reader, writer


def besieged(house: House) -> None:
    house.settings = msgspec.structs.replace(house.settings, timings=SIEGE, bounds=BOUNDS)


@pytest.mark.parametrize("address", [RENTER, STRANGER], ids=["own address", "the strangers' address"])
@pytest.mark.parametrize("deed", DEEDS)
async def test_the_renter_gets_in_and_stays_in(house: House, deed: Deed, address: str) -> None:
    besieged(house)
    _, lease_id, port = await reachable(house)
    assert house.provisioner is not None
    gate = house.provisioner.gate
    most = 0
    async with siege(port, deed):
        await wait_until_async(lambda: gate.connections(lease_id) >= 2, "the strangers")
        reader, writer = await enter(port, address)
        second_reader, second = await enter(port, address)
        try:
            for turn in range(100):
                most = max(most, gate.connections(lease_id))
                writer.write(b"still in")
                assert await reader.readexactly(8) == b"still in", turn
            second.write(b"both")
            assert await second_reader.readexactly(4) == b"both"
        finally:
            writer.transport.abort()
            second.transport.abort()
    # Those that were told to go and are still on their way count too.
    assert most <= BOUNDS.connections_per_lease + BOUNDS.callers_per_lease + LEAVING < ATTACKERS
    await wait_until_async(lambda: gate.connections(lease_id) == 0, "the end of all")


async def test_whoever_has_no_word_of_ssh_reaches_nobody(house: House) -> None:
    besieged(house)
    agent, _, port = await reachable(house)
    async with connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await closed(reader)
    async with connected(port) as (reader, writer):
        writer.write(b"SSH-2.0-")
        assert await closed(reader)
    assert agent.dials == []


async def test_a_client_that_waits_for_the_servers_word_gets_it_while_the_port_is_calm(house: House) -> None:
    async def first_to_speak(tunnel: ClientConnection) -> None:
        await tunnel.send(b"SSH-2.0-sshd\r\n")
        await echo(tunnel)

    besieged(house)
    agent, _, port = await reachable(house, first_to_speak)
    async with connected(port) as (reader, writer):
        assert await reader.readline() == b"SSH-2.0-sshd\r\n"
        writer.write(GREETING)
        assert await reader.readexactly(len(GREETING)) == GREETING
        async with contextlib.AsyncExitStack() as crowd:
            for _ in range(BOUNDS.quiet_connections):
                other, to_other = await crowd.enter_async_context(connected(port))
                to_other.write(GREETING)
                assert await other.readline() == b"SSH-2.0-sshd\r\n"
            dials = len(agent.dials)
            late, _ = await crowd.enter_async_context(connected(port))
            assert await closed(late)
            assert len(agent.dials) == dials


async def test_logged_in_connections_fill_a_port_and_the_next_waits_for_one_to_end(house: House) -> None:
    bounds = Bounds(connections_per_lease=2)
    patient = msgspec.structs.replace(SIEGE, place_s=60.0)
    house.settings = msgspec.structs.replace(house.settings, timings=patient, bounds=bounds)
    _, _, port = await reachable(house)
    first, to_first = await enter(port, RENTER)
    second, to_second = await enter(port, RENTER)
    async with connected(port) as (third, to_third):
        to_third.write(GREETING)
        for reader, writer in ((first, to_first), (second, to_second)):
            writer.write(b"still in")
            assert await reader.readexactly(8) == b"still in"
        to_first.transport.abort()
        assert await third.readexactly(len(GREETING)) == GREETING
    to_second.transport.abort()


async def test_without_a_place_in_time_a_client_is_closed(house: House) -> None:
    hasty = msgspec.structs.replace(SIEGE, place_s=0.2)
    house.settings = msgspec.structs.replace(house.settings, timings=hasty, bounds=Bounds(connections_per_lease=1))
    _, _, port = await reachable(house)
    _, writer = await enter(port, RENTER)
    async with connected(port) as (reader, late):
        late.write(GREETING)
        assert await closed(reader)
    writer.transport.abort()


async def test_a_port_has_its_share_of_all_connections(house: House) -> None:
    patient = msgspec.structs.replace(SIEGE, place_s=60.0)
    house.settings = msgspec.structs.replace(house.settings, timings=patient, bounds=Bounds(connections=8))
    _, _, port = await reachable(house)
    other = house.exchange.access(await rented(house)).port
    first = [await enter(port, RENTER) for _ in range(4)]
    waiting = asyncio.create_task(knock(house, port))
    assert await knock(house, other) == b"hello"
    assert not waiting.done()
    first[0][1].transport.abort()
    assert await waiting == b"hello"
    for _, writer in first:
        writer.transport.abort()


async def test_a_full_dial_queue_makes_others_wait_and_loses_none(house: House) -> None:
    bounds = Bounds(pending_dials_per_lease=2, pending_dials=2)
    patient = msgspec.structs.replace(SIEGE, place_s=60.0)
    house.settings = msgspec.structs.replace(house.settings, timings=patient, bounds=bounds)
    agent, _, port = await reachable(house)
    agent.answer_dials = False
    knocks = [asyncio.create_task(knock(house, port)) for _ in range(6)]
    await wait_until_async(lambda: len(agent.dials) == 2, "two dials")
    await agent.beat()
    assert len(agent.dials) == 2
    agent.answer_dials = True
    for waiting in list(agent.dials):
        await agent.answer(waiting)
    assert await asyncio.gather(*knocks) == [b"hello"] * 6


async def test_what_strangers_cause_is_counted_and_told_rarely(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "provisioner")
    besieged(house)
    agent, lease_id, port = await reachable(house)
    agent.sshd = None
    for said in [b"nonsense", GREETING] * 25:
        async with connected(port) as (reader, writer):
            writer.write(said)
            assert await closed(reader)

    def told() -> list[str]:
        return [line for record in caplog.records if "gate port" in (line := record.getMessage())]

    assert len(told()) == 1
    await house.exchange.end(lease_id)
    await wait_until_async(lambda: len(told()) == 2, "the rest of it")
    last = told()[1]
    assert "24 not SSH: something else" in last
    assert "25 not dialled back" in last
    assert "('no sandbox')" in last


def test_bounds_grow_inwards_so_that_the_gate_is_the_one_that_chooses() -> None:
    assert Bounds().connections_per_lease + 16 <= SPLICES_PER_LEASE < CONNECTIONS_DEFAULT
    assert Bounds().new_per_address < Bounds().connections_per_lease < Bounds().callers_per_lease
    assert Timings().login_s >= LOGIN_GRACE_S + 5


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"", Heard.PART),
        (b"S", Heard.PART),
        (b"SSH-2.0-", Heard.PART),
        (b"SSH-1.", Heard.PART),
        (b"SSH-2.0-x", Heard.PART),
        (b"SSH-2.0-".ljust(254, b"x"), Heard.PART),
        (b"SSH-2.0-x\n", Heard.SSH),
        (b"SSH-2.0-OpenSSH_9.9 Debian-3\r\n\x00\x00\x05", Heard.SSH),
        (b"SSH-1.99-Cisco-1.25\n", Heard.SSH),
        (b"SSH-2.0-".ljust(254, b"x") + b"\n", Heard.SSH),
        (b"SSH-2.0-".ljust(255, b"x"), Heard.OTHER),
        (b"SSH-2.0-".ljust(255, b"x") + b"\n", Heard.OTHER),
        (b"SSH-2.0-\r\n", Heard.OTHER),
        (b"SSH-2.0-a\0b\r\n", Heard.OTHER),
        (b"SSH-1.5-old\n", Heard.OTHER),
        (b"\n", Heard.OTHER),
        (b"SSH\n", Heard.OTHER),
        (b"ssh-2.0-x\r\n", Heard.OTHER),
        (b"\x16\x03\x01", Heard.OTHER),
    ],
)
def test_an_identification_is_known_by_its_first_line(head: bytes, found: Heard) -> None:
    assert heard(head) is found
