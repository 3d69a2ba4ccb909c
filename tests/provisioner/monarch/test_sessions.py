"""Who may speak at the agents' port, and what becomes of bad, early, late and too many words."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.kinds import LeaseState
from engine.messages import LeaseWiped, SetCapacity, Tick
from provisioner.sessions import Throttle
from provisioner.settings import Bounds, Timings
from provisioner.wire import (
    DIAL_PATH,
    ENROLL_PATH,
    MAX_MESSAGE_BYTES,
    PROTOCOL,
    SESSION_PATH,
    Enroll,
    Enrolled,
    Heartbeat,
    Hello,
    LeaseReport,
    Refused,
    SandboxState,
    decode_monarch,
    encode,
)
from tests.provisioner.monarch.agent import Agent, dial, gpus
from tests.provisioner.monarch.conftest import QUICK, House
from tests.provisioner.monarch.exchange import RENTER
from tests.waiting import wait_until_async


def hello(**changes: object) -> Hello:
    plain = Hello(protocol=PROTOCOL, agent_version="0", simulated=False, driver_version="570", gpus=gpus(8))
    return msgspec.structs.replace(plain, **changes)


async def answer(house: House, path: str, credential: str, first: bytes | str) -> Refused:
    """What Monarch answers to a connection's first frame; the connection must be closed after it."""
    assert house.provisioner is not None
    tunnel = await dial(house.provisioner.agents_port, path, credential)
    async with asyncio.timeout(20), tunnel:
        await tunnel.send(first, text=isinstance(first, bytes) and first[:1] == b"{")
        refused = decode_monarch(await tunnel.recv())
        assert isinstance(refused, Refused)
        with pytest.raises(ConnectionClosed):
            await tunnel.recv()
        assert tunnel.close_code == 1008
    return refused


async def test_a_token_enrols_once(house: House) -> None:
    provisioner = await house.open()
    enroll = encode(Enroll(protocol=PROTOCOL, token="token-1", agent_version="0"))
    tunnel = await dial(provisioner.agents_port, ENROLL_PATH, "")
    async with tunnel:
        await tunnel.send(enroll, text=True)
        assert decode_monarch(await tunnel.recv()) == Enrolled(baron_id="brn_0000000000001", credential="secret-1")
    assert (await answer(house, ENROLL_PATH, "", enroll)).code == "bad_token"


@pytest.mark.parametrize(
    ("path", "first", "code"),
    [
        (ENROLL_PATH, encode(Enroll(protocol=PROTOCOL + 1, token="token-1", agent_version="0")), "protocol_mismatch"),
        (ENROLL_PATH, encode(hello()), "invalid_message"),
        (ENROLL_PATH, b"{}", "invalid_message"),
        (SESSION_PATH, encode(hello(protocol=PROTOCOL + 1)), "protocol_mismatch"),
        (SESSION_PATH, encode(hello(simulated=True)), "simulated_not_allowed"),
        (SESSION_PATH, encode(hello(gpus=gpus(2, sku="L40S-PCIE-48GB"))), "wrong_sku"),
        (SESSION_PATH, encode(hello(gpus=gpus(2) + gpus(1))), "invalid_message"),
        (SESSION_PATH, encode(hello(gpus=gpus(1, prefix="../"))), "invalid_message"),
        (SESSION_PATH, encode(Heartbeat(leases=[], unhealthy_gpus=[])), "invalid_message"),
        (SESSION_PATH, encode(hello())[:-1] + b',"later":1}', "invalid_message"),
        (SESSION_PATH, b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b',"type":"hello"}', "invalid_message"),
        (SESSION_PATH, b"\x00\x01", "invalid_message"),
    ],
)
async def test_what_is_refused_before_a_session_stands(house: House, path: str, first: bytes, code: str) -> None:
    await house.open()
    assert (await answer(house, path, "secret-1", first)).code == code
    assert house.provisioner is not None
    assert house.provisioner.barons_online() == {}


@pytest.mark.parametrize("credential", ["", "nonsense", "secret-x", "x" * 4000])
async def test_a_bad_credential_is_refused(house: House, credential: str) -> None:
    await house.open()
    assert (await answer(house, SESSION_PATH, credential, encode(hello()))).code == "bad_credential"


async def test_gpus_of_another_providers_baron_are_refused(house: House) -> None:
    house.directory.providers[2] = RENTER
    await house.open()
    first = await house.agent()
    claim = encode(hello(gpus=gpus(1)))
    assert (await answer(house, SESSION_PATH, "secret-2", claim)).code == "gpu_elsewhere"
    other = await house.agent(Agent("secret-2", gpus(2, prefix="GPU-other-")))
    assert other.connected
    await first.stop()
    house.clock.advance(100)
    await wait_until_async(lambda: house.exchange.free_gpus() == 2, "the silent Baron's GPUs off the market")
    assert (await answer(house, SESSION_PATH, "secret-2", claim)).code == "gpu_elsewhere"


async def test_gpus_pass_to_another_baron_of_the_provider_once_theirs_is_silent_and_empty(house: House) -> None:
    provisioner = await house.open()
    lost = await house.agent()
    await wait_until_async(lambda: house.exchange.free_gpus() == 8, "eight GPUs on sale")
    claim = encode(hello(gpus=gpus(8)))
    refused = await answer(house, SESSION_PATH, "secret-2", claim)
    assert refused.code == "gpu_held"
    assert "brn_0000000000001" in refused.detail
    lease_id = await house.exchange.rent()
    await wait_until_async(lambda: house.exchange.state(lease_id) is LeaseState.ACTIVE, "an active lease")
    await lost.stop()
    await wait_until_async(lambda: provisioner.session(1) is None, "the session's end")
    assert (await answer(house, SESSION_PATH, "secret-2", claim)).code == "gpu_held"
    house.clock.advance(61)
    await wait_until_async(lambda: house.exchange.free_gpus() == 0, "the silent Baron's GPUs off the market")
    assert (await answer(house, SESSION_PATH, "secret-2", claim)).code == "gpu_held"
    house.clock.advance(601)
    await wait_until_async(lambda: house.exchange.state(lease_id) is LeaseState.FAILED, "the lease's failure")
    assert (await answer(house, SESSION_PATH, "secret-2", claim)).code == "gpu_held"
    assert set(house.directory.owners.values()) == {1}
    await house.exchange.accept(LeaseWiped(lease_id=lease_id))

    async def passed_on() -> bool:
        heir = await house.agent(Agent("secret-2"))
        return heir.connected

    while not await passed_on():
        await wait_until_async(lambda: provisioner.position() > 0, "the log")
    assert set(house.directory.owners.values()) == {2}
    await wait_until_async(lambda: house.exchange.free_gpus() == 8, "the GPUs on sale again")
    # Whoever finds the old Baron's credential again has no claim to them.
    assert (await answer(house, SESSION_PATH, "secret-1", claim)).code == "gpu_held"
    sold = [one for one in house.exchange.commands if isinstance(one, SetCapacity)]
    assert [(one.baron, one.gpus) for one in sold] == [(1, 8), (1, 0), (2, 8)]


async def test_a_gpu_isnt_passed_on_before_the_log_shows_that_it_sells_nothing(house: House) -> None:
    await house.open()
    lost = await house.agent()
    await wait_until_async(lambda: house.exchange.free_gpus() == 8, "eight GPUs on sale")
    await lost.stop()
    house.exchange.refuse_next = 10**6
    house.clock.advance(61)
    claim = encode(hello(gpus=gpus(1)))
    for _ in range(5):
        assert (await answer(house, SESSION_PATH, "secret-2", claim)).code == "gpu_held"
    assert house.exchange.free_gpus() == 8
    house.exchange.refuse_next = 0
    await wait_until_async(lambda: house.exchange.free_gpus() == 0, "the silent Baron's GPUs off the market")


async def test_gpus_of_which_hours_were_sold_ahead_stay_until_those_are_past(house: House) -> None:
    """Who sold a cheap forward can't walk away from it with the same GPUs."""
    provisioner = await house.open()
    lost = await house.agent()
    await wait_until_async(lambda: house.exchange.free_gpus() == 8, "eight GPUs on sale")
    until_ns = await house.exchange.sell_ahead()
    await lost.stop()
    claim = encode(hello(gpus=gpus(8)))
    for seconds in (61, 601):
        house.clock.advance(seconds)
        said = len(house.exchange.presences())
        await wait_until_async(lambda said=said: len(house.exchange.presences()) > said, "its silence to be said")  # type: ignore[misc]
        for _ in range(3):
            assert (await answer(house, SESSION_PATH, "secret-2", claim)).code == "gpu_held"
    assert [one.gpus for one in house.exchange.commands if isinstance(one, SetCapacity)] == [8]
    house.clock.advance((until_ns - house.clock.wall_ns()) // 10**9 + 1)
    await house.exchange.accept(Tick())

    async def passed_on() -> bool:
        heir = await house.agent(Agent("secret-2"))
        return heir.connected

    while not await passed_on():
        await wait_until_async(lambda: provisioner.position() > 0, "the log")
    assert set(house.directory.owners.values()) == {2}


@pytest.mark.parametrize(
    "lie",
    [
        {"name": "NVIDIA GeForce RTX 3090"},
        {"memory_mib": 40_000},
        {"name": "NVIDIA L40S", "memory_mib": 46_068},
        {"sku": "", "name": "NVIDIA H100 80GB HBM3"},
        {"sku": "L40S-PCIE-48GB"},
    ],
)
async def test_an_agents_word_alone_makes_no_sku(house: House, lie: dict[str, Any]) -> None:
    await house.open()
    first, *others = gpus(3)
    lying = msgspec.structs.replace(first, **lie)
    assert (await answer(house, SESSION_PATH, "secret-1", encode(hello(gpus=[lying])))).code == "wrong_sku"
    agent = await house.agent(Agent(inventory=[lying, *others]))
    assert agent.welcome is not None
    assert agent.welcome.verified_gpus == 2
    assert lying.uuid not in house.directory.owners


async def test_gpus_of_another_sku_dont_count_and_simulated_ones_are_marked(house: House) -> None:
    house.settings = msgspec.structs.replace(house.settings, allow_simulated=True)
    await house.open()
    agent = Agent(inventory=gpus(3) + gpus(2, sku="L40S-PCIE-48GB", prefix="GPU-l40s-"))
    agent.simulated = True
    await house.agent(agent)
    assert agent.welcome is not None
    assert agent.welcome.verified_gpus == 3
    await wait_until_async(lambda: house.exchange.free_gpus() == 3, "three GPUs on sale")
    capacity = [command for command in house.exchange.commands if isinstance(command, SetCapacity)]
    assert capacity == [SetCapacity(baron=1, gpus=3, simulated=True)]


async def test_paths_that_are_nobodys_and_dials_without_a_token(house: House) -> None:
    provisioner = await house.open()
    for path, credential, status in [
        ("/", "secret-1", 404),
        ("/agent/v1/session/", "secret-1", 404),
        (DIAL_PATH, "", 401),
        (DIAL_PATH, "secret-1", 401),
    ]:
        with pytest.raises(InvalidStatus) as refused:
            await dial(provisioner.agents_port, path, credential)
        assert refused.value.response.status_code == status


GOOD = LeaseReport(lease_id="lse_0000000000001", generation=1, state=SandboxState.RUNNING)


@pytest.mark.parametrize(
    "frame",
    [
        encode(hello()),
        encode(Heartbeat(leases=[GOOD, GOOD], unhealthy_gpus=[])),
        encode(Heartbeat(leases=[msgspec.structs.replace(GOOD, lease_id="ord_0000000000001")], unhealthy_gpus=[])),
        encode(Heartbeat(leases=[msgspec.structs.replace(GOOD, lease_id="lse_1")], unhealthy_gpus=[])),
        encode(Heartbeat(leases=[msgspec.structs.replace(GOOD, generation=-1)], unhealthy_gpus=[])),
        encode(Heartbeat(leases=[msgspec.structs.replace(GOOD, host_key="ssh-rsa AAAA")], unhealthy_gpus=[])),
        encode(
            Heartbeat(leases=[msgspec.structs.replace(GOOD, host_key="ssh-ed25519 AA\nhost AA")], unhealthy_gpus=[])
        ),
        encode(Heartbeat(leases=[msgspec.structs.replace(GOOD, gpus=["GPU-a", "GPU-a"])], unhealthy_gpus=[])),
        encode(Heartbeat(leases=[msgspec.structs.replace(GOOD, gpus=["../x"])], unhealthy_gpus=[])),
        b'{"type":"heartbeat"}',
        b'{"type":"heartbeat","leases":[],"unhealthy_gpus":[],"meter":1}',
        b"not json",
        b"",
    ],
)
async def test_a_bad_message_ends_the_session_and_changes_nothing(house: House, frame: bytes) -> None:
    await house.open()
    agent = await house.agent()
    agent.beat_by_itself = False
    await agent.raw(frame.decode())
    await wait_until_async(lambda: not agent.connected, "the session's end")
    assert agent.refused is not None
    assert agent.refused.code == "invalid_message"
    again = await house.agent()
    assert again.connected


async def test_a_message_too_long_ends_the_session(house: House) -> None:
    provisioner = await house.open()
    agent = await house.agent()
    agent.beat_by_itself = False
    await agent.raw('{"type":"heartbeat","leases":[],"unhealthy_gpus":["' + "x" * MAX_MESSAGE_BYTES + '"]}')
    await wait_until_async(lambda: not agent.connected, "the session's end")
    await wait_until_async(lambda: provisioner.session(1) is None, "the session to be gone")


async def test_a_later_session_replaces_the_one_before(house: House) -> None:
    provisioner = await house.open()
    first = await house.agent()
    second = await house.agent(Agent())
    await wait_until_async(lambda: first.refused is not None, "the first to be told")
    assert first.refused is not None
    assert first.refused.code == "replaced"
    await wait_until_async(lambda: second.desired, "the second to be served")
    assert second.connected
    assert provisioner.session(1) is not None


async def test_who_doesnt_say_hello_in_time_is_cut_off(house: House) -> None:
    quick = msgspec.structs.replace(QUICK, hello_s=0.2)
    house.settings = msgspec.structs.replace(house.settings, timings=quick)
    provisioner = await house.open()
    tunnel = await dial(provisioner.agents_port, SESSION_PATH, "secret-1")
    async with asyncio.timeout(20), tunnel:
        with pytest.raises(ConnectionClosed):
            await tunnel.recv()


async def test_strangers_are_bounded(house: House) -> None:
    house.settings = msgspec.structs.replace(house.settings, bounds=Bounds(unknown_agents=2))
    provisioner = await house.open()
    strangers = [await dial(provisioner.agents_port, SESSION_PATH, "secret-1") for _ in range(2)]
    with pytest.raises(InvalidStatus) as refused:
        await dial(provisioner.agents_port, SESSION_PATH, "secret-1")
    assert refused.value.response.status_code == 503
    for stranger in strangers:
        await stranger.close()
    agent = await house.agent()
    assert agent.connected


def test_a_talkative_agent_is_read_at_the_rate_it_is_given() -> None:
    throttle = Throttle(Bounds(messages_per_s=10.0, messages_burst=5), 100.0)
    assert [throttle.take(100.0) for _ in range(5)] == [0.0] * 5
    assert throttle.take(100.0) == pytest.approx(0.1)
    assert throttle.take(100.1) == pytest.approx(0.1)
    assert throttle.take(200.0) == 0.0


def test_the_rulebooks_times_are_the_defaults() -> None:
    assert (Timings().silence_s, Timings().fail_s, Timings().provisioning_s) == (60.0, 600.0, 600.0)
