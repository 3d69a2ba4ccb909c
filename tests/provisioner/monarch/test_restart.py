"""Monarch's side is stopped and opened again on its database, the agent is killed and comes back: nothing is lost."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from engine.ids import format_id
from engine.kinds import LeaseState, Presence
from engine.messages import Command, Reply
from exchange.log.interface import LogError
from provisioner.provisioner import Provisioner
from provisioner.store import Store, StoreError
from provisioner.wire import SandboxState
from tests.provisioner.monarch.agent import Agent, gpus
from tests.provisioner.monarch.conftest import House
from tests.provisioner.monarch.exchange import Overloaded
from tests.provisioner.monarch.test_leases import knock, on_sale, rented, until_failed, until_wiped
from tests.waiting import wait_until_async


async def test_an_active_lease_has_its_port_again_before_its_agent_is_back(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house, 2)
    access = house.exchange.access(lease_id)
    gpus = agent.desired[-1].leases[0].gpus
    await house.kill()
    await house.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", access.port)
    assert await reader.read() == b""  # nobody to dial back yet: closed at once, and not refused
    writer.close()
    agent.desired.clear()
    await house.agent(agent)
    assert await knock(house, access.port) == b"hello"
    await wait_until_async(lambda: agent.desired, "a Desired")
    assert agent.desired[0].leases[0].gpus == gpus
    assert house.exchange.access(lease_id) == access
    assert house.exchange.state(lease_id) is LeaseState.ACTIVE


async def test_what_happened_while_it_was_down_is_caught_up_with(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    ended = await rented(house)
    await house.kill()
    begun = await house.exchange.rent()
    await house.exchange.end(ended)
    agent.desired.clear()
    await house.open()
    await house.agent(agent)
    await until_wiped(house, ended)
    await wait_until_async(lambda: house.exchange.state(begun) is LeaseState.ACTIVE, "the new lease")
    assert all([spec.lease_id for spec in desired.leases] == [format_id("lse", begun)] for desired in agent.desired)


async def test_silence_counts_only_while_monarch_listens(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house)
    await agent.stop()
    await house.kill()
    house.clock.advance(3_000)
    await house.open()
    for step, presences in ((59, []), (2, [Presence.QUIET])):
        house.clock.advance(step)
        # A lease that comes and goes shows that the keeper has looked since.
        looked = await house.exchange.rent(delivery=b"?")
        await until_wiped(house, looked)
        assert house.exchange.presences() == presences
        if step == 59:
            assert house.exchange.state(lease_id) is LeaseState.ACTIVE
    house.clock.advance(600)
    last_ns = house.clock.wall_ns()
    await until_failed(house, lease_id)
    assert house.exchange.lost_ns() < last_ns - 3_000 * 10**9


async def test_the_logs_word_on_presence_outlives_a_restart_and_the_loss_of_the_database(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    await agent.stop()
    house.clock.advance(61)
    await on_sale(house, 0)
    house.clock.advance(601)
    await wait_until_async(lambda: house.exchange.presences() == [Presence.QUIET, Presence.LOST], "the loss")
    for lose in (False, True):
        await house.kill()
        if lose:
            lose_database(house)
        await house.open()
        other = await house.agent(Agent("secret-2", gpus(2, prefix="GPU-other-")))
        await on_sale(house, 2)
        await other.stop()
        house.clock.advance(61)
        # That the second Baron is quiet shows that the first one's keeper has looked as well.
        await on_sale(house, 0)
        assert house.exchange.presences() == [Presence.QUIET, Presence.LOST]
    await house.agent(agent)
    await wait_until_async(lambda: house.exchange.presences()[-1] is Presence.REPORTING, "the Baron's return")


async def test_a_killed_agent_that_adopts_its_sandboxes_keeps_its_leases(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house)
    await agent.stop()
    await house.agent(agent)
    await wait_until_async(lambda: len(agent.desired) > 1, "a Desired")
    assert await knock(house, house.exchange.access(lease_id).port) == b"hello"
    assert house.exchange.state(lease_id) is LeaseState.ACTIVE
    assert agent.incarnation == 1


async def test_a_port_that_was_taken_meanwhile_comes_back_when_it_is_free(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house)
    port = house.exchange.access(lease_id).port
    await house.kill()
    with socket.create_server(("127.0.0.1", port)):
        await house.open()
        await house.agent(agent)
        await wait_until_async(lambda: agent.connected and agent.desired, "a Desired")
    while True:
        try:
            assert await knock(house, port) == b"hello"
            return
        except (ConnectionRefusedError, asyncio.IncompleteReadError):
            assert house.exchange.state(lease_id) is LeaseState.ACTIVE
            await asyncio.sleep(0.01)


async def test_a_lost_database_is_made_anew_from_the_log_with_the_ports_that_renters_know(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house)
    access = house.exchange.access(lease_id)
    await house.kill()
    lose_database(house)
    await house.open()
    await house.agent(agent)
    assert await knock(house, access.port) == b"hello"
    await wait_until_async(lambda: len(agent.desired) > 1, "a Desired")
    assert house.exchange.state(lease_id) is LeaseState.ACTIVE
    assert agent.leases[format_id("lse", lease_id)].state is SandboxState.RUNNING


def lose_database(house: House) -> None:
    for file in house.home.glob("provisioner.db*"):
        file.unlink()


async def test_after_the_loss_of_the_database_agents_say_what_they_hold(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    ended, goes_on, gone = await rented(house, 3), await rented(house, 2), await rented(house, 1)
    held = {spec.lease_id: spec.gpus for spec in agent.desired[-1].leases}
    await house.kill()
    await agent.stop()
    lose_database(house)
    await house.exchange.end(ended)
    await house.exchange.end(gone)
    agent.leases.pop(format_id("lse", gone))
    begun = await house.exchange.rent(2)
    agent.obey = agent.beat_by_itself = False
    agent.desired.clear()
    provisioner = await house.open()
    await house.agent(agent)
    await wait_until_async(lambda: provisioner.barons_online(), "the agent")
    await agent.beat()
    await wait_until_async(lambda: agent.desired, "a Desired")
    await until_wiped(house, gone)
    assert not house.exchange.wiped(ended)
    await wait_until_async(lambda: len(agent.desired[-1].leases) == 2, "the new lease in Desired")
    (old, new) = agent.desired[-1].leases
    assert (old.lease_id, old.generation, old.gpus) == (format_id("lse", goes_on), 1, held[old.lease_id])
    assert set(new.gpus).isdisjoint(old.gpus + held[format_id("lse", ended)])
    assert new.generation == 2
    agent.obey = agent.beat_by_itself = True
    await agent.beat()
    await until_wiped(house, ended)
    await wait_until_async(lambda: house.exchange.state(begun) is LeaseState.ACTIVE, "the new lease")
    assert house.exchange.state(goes_on) is LeaseState.ACTIVE
    assert agent.incarnation == 4


async def test_a_wiped_lease_is_forgotten_only_when_that_is_on_disk(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house)
    await agent.stop()
    await house.exchange.end(lease_id)
    name = format_id("lse", lease_id)
    agent.report(name, SandboxState.WIPED)
    house.exchange.refuse_next = 10**6
    agent.desired.clear()
    await house.agent(agent)
    await wait_until_async(lambda: agent.desired, "a Desired")
    assert name not in agent.desired[-1].forget
    house.exchange.refuse_next = 0
    await until_wiped(house, lease_id)
    await wait_until_async(lambda: name not in agent.leases, "the agent to forget it")
    with closing(sqlite3.connect(house.home / "provisioner.db")) as database:
        assert database.execute("SELECT count(*) FROM leases").fetchone() == (0,)


async def test_a_failure_of_ours_ends_it_loudly_and_the_next_start_goes_on(house: House) -> None:
    class Bug(Exception):
        pass

    async def broken(command: Command) -> Reply:
        raise Bug("no such thing")

    provisioner = Provisioner.open(
        house.home / "provisioner.db", house.directory, broken, house.settings, retry_on=(Overloaded,)
    )
    await provisioner.start(await house.exchange.reader())
    house.provisioner = provisioner
    agent = await house.agent()
    with pytest.raises(Bug):
        await provisioner.wait()
    await house.kill()
    await house.open()
    await house.agent(agent)
    await on_sale(house, 8)


async def test_a_log_that_is_behind_the_database_stops_the_start(house: House) -> None:
    await house.open()
    await house.kill()
    store = Store.open(house.home / "provisioner.db")
    store.apply([msgspec.convert({"seq": 10**6, "ts_ns": 1, "events": []}, Reply)])
    store.close()
    with pytest.raises(LogError):
        await house.open()


def test_a_file_that_is_no_database_or_of_another_version_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="restore"):
        Store.open(damaged)
    later = tmp_path / "later.db"
    with closing(sqlite3.connect(later)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99"):
        Store.open(later)
