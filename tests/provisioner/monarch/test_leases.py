"""A lease from its trade to its wipe, through the real log and a real connection of its agent."""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
import pytest

from engine.ids import format_id
from engine.kinds import EndReason, Fault, LeaseState, Presence
from engine.messages import LeaseActive, LeaseChanged, LeaseFailed, LeaseWiped, SetCapacity, Tick
from engine.units import NS_PER_S
from provisioner.ports import Delivery
from provisioner.wire import Desired, SandboxState
from tests.provisioner.monarch.agent import GREETING, Agent, gpus, host_key
from tests.provisioner.monarch.conftest import House
from tests.provisioner.monarch.exchange import KEY
from tests.waiting import wait_until_async


async def on_sale(house: House, free: int) -> None:
    await wait_until_async(lambda: house.exchange.free_gpus() == free, f"{free} GPUs on sale")


async def until_wiped(house: House, lease_id: int) -> None:
    await wait_until_async(lambda: house.exchange.wiped(lease_id), "the wipe")


async def until_failed(house: House, lease_id: int) -> None:
    await wait_until_async(lambda: house.exchange.state(lease_id) is LeaseState.FAILED, "the failure")


async def rented(house: House, count: int = 1) -> int:
    """A lease that is active."""
    lease_id = await house.exchange.rent(count)
    await wait_until_async(lambda: house.exchange.state(lease_id) is LeaseState.ACTIVE, "an active lease")
    return lease_id


async def knock(house: House, port: int, data: bytes = b"hello") -> bytes:
    """Through the gate and back, behind an identification."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(GREETING + data)
        async with asyncio.timeout(20):
            assert await reader.readexactly(len(GREETING)) == GREETING
            return await reader.readexactly(len(data))
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_rental_becomes_an_active_lease_with_access_and_is_wiped_after_its_end(house: House) -> None:
    await house.open()
    agent = await house.agent()
    assert agent.welcome is not None
    assert agent.welcome.verified_gpus == 8
    await on_sale(house, 8)
    lease_id = await rented(house, 2)
    name = format_id("lse", lease_id)
    access = house.exchange.access(lease_id)
    assert (access.host, access.user, access.host_key) == ("127.0.0.1", "gpu", host_key(name, 1))
    (spec,) = agent.desired[-1].leases
    assert (spec.lease_id, spec.generation, spec.authorized_keys) == (name, 1, [KEY])
    assert spec.gpus == ["GPU-0000", "GPU-0001"]
    assert await knock(house, access.port) == b"hello"
    await house.exchange.end(lease_id)
    await until_wiped(house, lease_id)
    await wait_until_async(lambda: not agent.leases, "the agent to forget the lease")
    assert agent.desired[-1].leases == []
    with pytest.raises(ConnectionRefusedError):
        await knock(house, access.port)
    await on_sale(house, 8)


async def test_two_leases_never_share_a_gpu_and_a_wiped_one_gives_its_gpus_back(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    first, second = await rented(house, 3), await rented(house, 4)
    specs = {spec.lease_id: set(spec.gpus) for spec in agent.desired[-1].leases}
    assert specs[format_id("lse", first)].isdisjoint(specs[format_id("lse", second)])
    await house.exchange.end(first)
    await until_wiped(house, first)
    third = await rented(house, 3)
    assert {spec.lease_id: set(spec.gpus) for spec in agent.desired[-1].leases} == {
        format_id("lse", second): specs[format_id("lse", second)],
        format_id("lse", third): specs[format_id("lse", first)],
    }


async def test_a_sandbox_that_fails_is_the_providers_fault_and_costs_the_renter_nothing(house: House) -> None:
    await house.open()
    agent = Agent()
    agent.obey = False
    await house.agent(agent)
    await on_sale(house, 8)
    lease_id = await house.exchange.rent()
    name = format_id("lse", lease_id)
    await wait_until_async(lambda: agent.desired and agent.desired[-1].leases, "the lease in Desired")
    agent.report(name, SandboxState.FAILED, detail="no\x1b[31m such\nkey")
    await until_failed(house, lease_id)
    assert house.exchange.failure(lease_id).fault is Fault.PROVIDER
    ended = house.exchange.leases[lease_id]
    assert isinstance(ended, LeaseChanged)
    assert (ended.reason, ended.charged_micros) == (EndReason.PROVIDER_FAILED, 0)
    assert house.exchange.failure(lease_id).detail == "no [31m such key"
    await wait_until_async(lambda: not agent.desired[-1].leases, "the lease out of Desired")
    assert not house.exchange.wiped(lease_id)
    agent.report(name, SandboxState.WIPED)
    await until_wiped(house, lease_id)
    await wait_until_async(lambda: name in agent.desired[-1].forget, "the agent to be told to forget it")


async def test_a_lease_without_a_key_is_the_renters_failure_and_never_reaches_the_agent(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    for delivery in (b"\xff not ours", msgspec.json.encode(Delivery(ssh_keys=[]))):
        lease_id = await house.exchange.rent(delivery=delivery)
        await until_wiped(house, lease_id)
        assert house.exchange.failure(lease_id).fault is Fault.RENTER
    assert all(not desired.leases for desired in agent.desired)


async def test_an_agent_that_lost_a_running_sandbox_fails_its_lease_and_others_run_on(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lost, replaced, kept = await rented(house), await rented(house), await rented(house)
    agent.obey = False
    agent.leases.pop(format_id("lse", lost))
    agent.start_sandbox(format_id("lse", replaced))
    for lease_id in (lost, replaced):
        await until_failed(house, lease_id)
        assert house.exchange.failure(lease_id).fault is Fault.PROVIDER
    agent.obey = True
    await agent.beat()
    await until_wiped(house, lost)
    assert house.exchange.state(kept) is LeaseState.ACTIVE


async def test_an_agent_that_comes_back_with_fewer_gpus_fails_what_ran_on_the_others(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    stays, goes = await rented(house, 2), await rented(house, 2)
    await agent.stop()
    agent.inventory = gpus(3)
    await house.agent(agent)
    await until_failed(house, goes)
    assert "GPU-0003" in house.exchange.failure(goes).detail
    assert house.exchange.state(stays) is LeaseState.ACTIVE
    await until_wiped(house, goes)
    await on_sale(house, 1)


async def test_a_sick_gpu_leaves_capacity_and_fails_the_lease_on_it(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house, 1)
    agent.unhealthy = ["GPU-0000", "GPU-0007"]
    await until_wiped(house, lease_id)
    await on_sale(house, 6)
    agent.unhealthy = []
    await on_sale(house, 8)


async def test_silence_takes_asks_then_leases_charged_to_the_last_heartbeat(house: House) -> None:
    provisioner = await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house, 2)
    agent.beat_by_itself = agent.obey = False
    last_ns = house.clock.wall_ns()
    await agent.beat()
    await wait_until_async(lambda: provisioner.barons_online()[1] > last_ns, "its last heartbeat")
    house.clock.advance(61)
    await on_sale(house, 0)
    assert house.exchange.presences() == [Presence.QUIET]
    assert provisioner.barons_online() == {}
    assert house.exchange.state(lease_id) is LeaseState.ACTIVE
    await agent.beat()
    await on_sale(house, 6)
    await wait_until_async(lambda: 1 in provisioner.barons_online(), "the Baron online")
    assert house.exchange.state(lease_id) is LeaseState.ACTIVE
    before_ns = house.clock.wall_ns()
    house.clock.advance(601)
    await until_failed(house, lease_id)
    assert house.exchange.presences() == [Presence.QUIET, Presence.REPORTING, Presence.LOST]
    assert last_ns < house.exchange.lost_ns() <= before_ns
    assert LeaseFailed not in house.exchange
    ended = house.exchange.leases[lease_id]
    assert isinstance(ended, LeaseChanged)
    assert (ended.reason, ended.ended_ns) == (EndReason.PROVIDER_FAILED, house.exchange.lost_ns())
    agent.beat_by_itself = agent.obey = True
    await until_wiped(house, lease_id)
    await on_sale(house, 8)
    assert [one.gpus for one in house.exchange.commands if isinstance(one, SetCapacity)] == [8]


async def test_a_silence_that_ends_is_an_outage_of_what_runs_there_said_once(house: House) -> None:
    provisioner = await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    runs = await rented(house, 2)
    agent.beat_by_itself = agent.obey = False
    last_ns = house.clock.wall_ns()
    await agent.beat()
    await wait_until_async(lambda: provisioner.barons_online()[1] > last_ns, "its last heartbeat")
    vouched_ns = provisioner.barons_online()[1]
    house.clock.advance(59)
    await agent.beat()
    await wait_until_async(lambda: provisioner.barons_online()[1] > vouched_ns, "a heartbeat in time")
    from_ns = provisioner.barons_online()[1]
    house.clock.advance(90)
    house.exchange.refuse_next = 2
    await agent.beat()
    reported = partial(house.exchange.outages, runs)
    await wait_until_async(lambda: len(reported()) == 1, "the outage")
    await agent.beat()
    await on_sale(house, 6)
    ((begin_ns, end_ns),) = reported()
    assert begin_ns == from_ns
    assert end_ns - begin_ns >= 90 * NS_PER_S
    bill = house.exchange.machine.state.bills[runs]
    assert bill.outages == [(begin_ns, end_ns)]


async def test_a_lease_that_has_notice_before_it_ran_leaves_the_agent_and_is_nobodys_failure(house: House) -> None:
    await house.open()
    agent = Agent()
    agent.obey = False
    await house.agent(agent)
    await on_sale(house, 8)
    lease_id, stays = await house.exchange.rent(), await house.exchange.rent()
    name = format_id("lse", lease_id)
    await wait_until_async(lambda: agent.desired and len(agent.desired[-1].leases) == 2, "the leases in Desired")
    agent.report(name, SandboxState.STARTING)
    await house.exchange.give_notice(lease_id)
    await wait_until_async(lambda: len(agent.desired[-1].leases) == 1, "the lease out of Desired")
    agent.obey = True
    await wait_until_async(lambda: agent.leases[name].state is SandboxState.WIPED, "the sandbox's end")
    await wait_until_async(lambda: house.exchange.state(stays) is LeaseState.ACTIVE, "the other lease")
    assert house.exchange.state(lease_id) is LeaseState.ENDING
    for _ in range(3):
        # Not so far at once that the agent's silence would count.
        house.clock.advance(45)
        await agent.beat()
    await house.exchange.accept(Tick())
    await until_wiped(house, lease_id)
    ended = house.exchange.leases[lease_id]
    assert isinstance(ended, LeaseChanged)
    assert (ended.state, ended.reason, ended.charged_micros) == (LeaseState.ENDED, EndReason.PREEMPTED, 0)
    assert LeaseFailed not in house.exchange


async def test_provisioning_that_takes_too_long_fails(house: House) -> None:
    await house.open()
    agent = Agent()
    agent.obey = False
    await house.agent(agent)
    await on_sale(house, 8)
    lease_id = await house.exchange.rent()
    agent.report(format_id("lse", lease_id), SandboxState.STARTING)
    await wait_until_async(lambda: agent.desired and agent.desired[-1].leases, "the lease in Desired")
    house.clock.advance(599)
    await agent.beat()
    assert house.exchange.state(lease_id) is LeaseState.PROVISIONING
    house.clock.advance(2)
    await until_failed(house, lease_id)
    assert house.exchange.failure(lease_id).fault is Fault.PROVIDER


async def test_what_an_overloaded_exchange_refuses_is_sent_again(house: House) -> None:
    await house.open()
    house.exchange.refuse_next = 3
    agent = await house.agent()
    await on_sale(house, 8)
    house.exchange.refuse_next = 0
    lease_id = await house.exchange.rent()
    house.exchange.refuse_next = 3
    await wait_until_async(lambda: house.exchange.state(lease_id) is LeaseState.ACTIVE, "an active lease")
    house.exchange.refuse_next = 0
    await house.exchange.end(lease_id)
    house.exchange.refuse_next = 3
    await until_wiped(house, lease_id)
    assert agent.connected


async def test_each_command_is_sent_once_however_often_the_agent_repeats_itself(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house)
    for _ in range(70):
        await agent.beat()
    await house.exchange.end(lease_id)
    await wait_until_async(lambda: not agent.leases and house.exchange.wiped(lease_id), "the wipe")
    ours = (SetCapacity, LeaseActive, LeaseFailed, LeaseWiped)
    sent = [type(command) for command in house.exchange.commands if isinstance(command, ours)]
    assert sent == [SetCapacity, LeaseActive, LeaseWiped]


async def test_paid_time_moves_on_with_the_list_that_is_sent_again(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    await rented(house)
    first = agent.desired[-1].leases[0].paid_until_ns
    house.clock.advance(30)
    await wait_until_async(
        lambda: [spec for spec in agent.desired[-1].leases if spec.paid_until_ns > first], "a later paid time"
    )


def has_news(agent: Agent, heard: int) -> bool:
    return len(agent.desired) > heard


async def test_a_lease_under_notice_runs_and_is_reached_until_it_ends(house: House) -> None:
    await house.open()
    agent = await house.agent()
    await on_sale(house, 8)
    lease_id = await rented(house)
    port = house.exchange.access(lease_id).port
    ends_ns = await house.exchange.give_notice(lease_id)
    await wait_until_async(
        lambda: [spec for spec in agent.desired[-1].leases if spec.paid_until_ns == ends_ns], "the notice at the agent"
    )
    assert house.exchange.state(lease_id) is LeaseState.ENDING
    assert await knock(house, port) == b"hello"
    for _ in range(3):
        # Not so far at once that the agent's silence would count.
        house.clock.advance(45)
        seen = partial(has_news, agent, len(agent.desired))
        await wait_until_async(seen, "the next list")
    await house.exchange.accept(Tick())
    await until_wiped(house, lease_id)
    ended = house.exchange.leases[lease_id]
    assert isinstance(ended, LeaseChanged)
    assert (ended.reason, ended.ended_ns) == (EndReason.PREEMPTED, ends_ns)
    assert not any(isinstance(command, LeaseFailed) for command in house.exchange.commands)


async def test_a_lease_that_ends_before_its_agent_ever_reported_it_is_wiped_after_a_while(house: House) -> None:
    await house.open()
    agent = Agent()
    agent.obey = False
    await house.agent(agent)
    await on_sale(house, 8)
    lease_id = await house.exchange.rent()
    await wait_until_async(lambda: agent.desired and agent.desired[-1].leases, "the lease in Desired")
    await house.exchange.end(lease_id)
    await until_wiped(house, lease_id)
    dropped = next(at for at, desired in enumerate(agent.desired) if desired.leases)
    assert isinstance(agent.desired[dropped + 1], Desired)
    assert agent.desired[-1].leases == []


async def test_a_lease_nobody_knows_is_ended_and_forgotten(house: House) -> None:
    await house.open()
    agent = Agent()
    stray = format_id("lse", 12345)
    agent.start_sandbox(stray)
    await house.agent(agent)
    await wait_until_async(lambda: agent.desired, "a Desired")
    await wait_until_async(lambda: not agent.leases, "the stray lease to be forgotten")
    assert LeaseWiped not in house.exchange
