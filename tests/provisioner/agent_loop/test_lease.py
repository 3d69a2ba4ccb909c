"""A lease's life on a Baron: started, reached by ssh through a dial-back, ended, wiped, forgotten."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

from provisioner.agent.sandbox import lifecycle, processes, record
from provisioner.wire import LeaseReport, Refused, SandboxState
from tests.provisioner.agent import hunger, traces
from tests.provisioner.agent.conftest import TOOLS_DIR
from tests.provisioner.agent_loop.baron import Renter, Running, baron
from tests.provisioner.agent_loop.monarch import Monarch, Session, desired, lease
from tests.waiting import wait_until_async

RunBaron = Callable[..., Running]
STATE = SandboxState
SMALL_MIB = 256


async def begin(session: Session, renter: Renter, lease_id: str = "lse_1", gpu: int = 0) -> LeaseReport:
    await session.send(desired(lease(session, lease_id, [renter.public_key], gpu=gpu)))
    return await session.running(lease_id)


async def test_from_desired_to_ssh_to_wiped_and_forgotten(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    running = run_baron()
    session = await monarch.session()
    assert session.hello.simulated and len(session.hello.gpus) == 2
    report = await begin(session, renter)
    [directory] = lifecycle.survey(home)
    standing = record.read(directory)
    assert standing is not None
    async with monarch.gate("lse_1") as port:
        said = await renter.says(port, report.host_key, "hostname; nvidia-smi -L >/dev/null 2>&1; ls -d /dev/nvidia?")
    assert said == "lse_1\n/dev/nvidia0"
    await session.send(desired())
    await session.until("lse_1", STATE.WIPED)
    assert traces.of(directory, standing) == []
    assert session.states("lse_1") == [STATE.STARTING, STATE.RUNNING, STATE.WIPING, STATE.WIPED]
    await session.send(desired(forget=("lse_1",)))
    await session.until("lse_1", None)
    assert await running.stop() == 0
    [ready] = running.events("ready")
    assert (ready["baron_id"], ready["verified_gpus"], ready["simulated"]) == ("brn_7", 2, True)


async def test_a_large_transfer_arrives_whole_both_ways(monarch: Monarch, run_baron: RunBaron, renter: Renter) -> None:
    run_baron()
    session = await monarch.session()
    report = await begin(session, renter)
    data = os.urandom(1 << 20) * 24
    async with monarch.gate("lse_1") as port:
        up = await renter.ssh(port, report.host_key, "sha256sum", stdin=data)
        down = await renter.ssh(port, report.host_key, "head -c 25165824 /dev/zero")
    assert up.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert (down.returncode, down.stdout) == (0, bytes(25165824))


async def test_connections_end_with_their_lease_and_no_other(
    monarch: Monarch, run_baron: RunBaron, renter: Renter
) -> None:
    run_baron()
    session = await monarch.session()
    both = [lease(session, f"lse_{number}", [renter.public_key], gpu=number - 1) for number in (1, 2)]
    await session.send(desired(*both))
    one, two = await session.running("lse_1"), await session.running("lse_2")
    async with monarch.gate("lse_1") as first, monarch.gate("lse_2") as second:
        command = "echo up; exec sleep 600"
        process = await asyncio.create_subprocess_exec(
            *("ssh", *renter.options(first, one.host_key), "gpu@127.0.0.1", command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        await session.send(desired(both[1]))
        assert await asyncio.wait_for(process.wait(), 30) != 0
        await session.until("lse_1", STATE.WIPED)
        assert await renter.says(second, two.host_key, "hostname") == "lse_2"
        _, coming = await monarch.dial(session, "lse_1")
        await wait_until_async(lambda: session.dials_failed, "the dial to fail")
        assert "no such lease" in session.dials_failed[0].detail and not coming.done()


async def test_desired_again_and_again_starts_once(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    run_baron()
    session = await monarch.session()
    wanted = desired(lease(session, "lse_1", [renter.public_key]))
    for _ in range(20):
        await session.send(wanted)
    first = await session.running("lse_1")
    await session.send(wanted)
    beats = len(session.heartbeats)
    await wait_until_async(lambda: len(session.heartbeats) > beats, "another heartbeat")
    assert session.report("lse_1") == first
    assert len(lifecycle.survey(home)) == 1


async def test_a_new_generation_waits_for_the_end_of_the_old(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    run_baron()
    session = await monarch.session()
    first = await begin(session, renter)
    await session.send(desired(lease(session, "lse_1", [renter.public_key], generation=2)))
    await wait_until_async(
        lambda: (said := session.report("lse_1")) is not None and said.generation == 2 and said.state is STATE.RUNNING,
        "generation 2",
    )
    said = [one for beat in session.heartbeats for one in beat.leases]
    assert [one.generation for one in said] == sorted(one.generation for one in said)
    second = session.report("lse_1")
    assert second is not None and second.host_key != first.host_key
    assert [path.name for path in lifecycle.survey(home)] == ["lse_1.2"]


async def test_keys_that_no_sandbox_takes_fail_the_lease(monarch: Monarch, home: Path, run_baron: RunBaron) -> None:
    run_baron()
    session = await monarch.session()
    wanted = lease(session, "lse_1", ['command="reboot" ssh-ed25519 AAAA'])
    await session.send(desired(wanted))
    report = await session.until("lse_1", STATE.FAILED)
    assert report is not None and "authorized_keys" in report.detail
    # Said as failed for as long as it is wanted, never tried again; then wiped.
    await session.send(desired(wanted))
    await session.send(desired())
    await session.until("lse_1", STATE.WIPED)
    assert STATE.RUNNING not in session.states("lse_1")
    assert lifecycle.survey(home) == []


async def test_a_gpu_that_is_not_here_fails_the_lease(monarch: Monarch, run_baron: RunBaron, renter: Renter) -> None:
    run_baron()
    session = await monarch.session()
    wanted = lease(session, "lse_1", [renter.public_key])
    wanted.gpus[0] = "GPU-of-another-node"
    await session.send(desired(wanted))
    report = await session.until("lse_1", STATE.FAILED)
    assert report is not None and "GPU-of-another-node" in report.detail


async def test_two_leases_never_share_a_gpu(monarch: Monarch, run_baron: RunBaron, renter: Renter) -> None:
    run_baron()
    session = await monarch.session()
    one, two = (lease(session, f"lse_{number}", [renter.public_key]) for number in (1, 2))
    await session.send(desired(one, two))
    await session.running("lse_1")
    assert session.states("lse_2") == [STATE.STARTING]
    await session.send(desired(two))
    await session.running("lse_2")
    for beat in session.heartbeats:
        states = {report.lease_id: report.state for report in beat.leases}
        if states.get("lse_2") is STATE.RUNNING:
            assert states["lse_1"] is STATE.WIPED


async def test_a_sandbox_that_died_is_reported_failed_and_wiped(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    run_baron()
    session = await monarch.session()
    await begin(session, renter)
    [directory] = lifecycle.survey(home)
    standing = record.read(directory)
    assert standing is not None and standing.init is not None
    os.kill(standing.init.pid, signal.SIGKILL)
    report = await session.until("lse_1", STATE.FAILED)
    assert report is not None and report.detail
    await wait_until_async(lambda: not directory.exists(), "the wipe")
    assert not processes.runs(standing.init)


async def test_a_sandbox_that_died_of_its_own_hunger_starts_again_as_the_same_lease(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    running = run_baron()
    session = await monarch.session()
    report = await begin(session, renter)
    [directory] = lifecycle.survey(home)
    standing = record.read(directory)
    assert standing is not None
    for group in map(Path, standing.cgroups):
        # A share of this host is more than a test should eat.
        for limit in ("memory.max", "memory.limit_in_bytes"):
            if (group / limit).exists():
                (group / limit).write_text(str(SMALL_MIB << 20))
    async with monarch.gate("lse_1") as port:
        await renter.says(port, report.host_key, "echo mine > ~/mine")
        command = ["ssh", *renter.options(port, report.host_key), "gpu@127.0.0.1", hunger.eater(SMALL_MIB)]
        starved = await asyncio.to_thread(hunger.starve, directory, command)
        if not starved:
            # Nobody could tell that it was the renter's doing: then it is the provider's.
            await session.until("lse_1", STATE.FAILED)
            return
        await wait_until_async(
            lambda: session.states("lse_1")[2:] == [STATE.STARTING, STATE.RUNNING], "it to run again"
        )
        assert session.report("lse_1") == report
        assert await renter.says(port, report.host_key, "ls -A ~ | grep -c mine; true") == "0"
    assert "used up its own memory" in running.events("lease_starting")[-1]["message"]


async def test_a_killed_agents_lease_is_adopted_with_what_runs_in_it(
    monarch: Monarch, run_baron: RunBaron, renter: Renter
) -> None:
    first = run_baron()
    report = await begin(await monarch.session(), renter)
    async with monarch.gate("lse_1") as port:
        await renter.says(port, report.host_key, "echo mine > ~/kept; (setsid sleep 4321 &) >/dev/null 2>&1")
    first.kill()
    run_baron()
    session = await monarch.session(2)
    assert session.heartbeats[0].leases == [report]
    assert report.gpus == [session.hello.gpus[0].uuid]
    async with monarch.gate("lse_1") as port:
        assert await renter.says(port, report.host_key, "cat ~/kept; pgrep -c -x sleep") == "mine\n1"


async def test_an_agent_killed_while_it_starts_a_lease_finishes_it(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    first = run_baron()
    session = await monarch.session()
    await session.send(desired(lease(session, "lse_1", [renter.public_key])))
    await wait_until_async(lambda: STATE.STARTING in session.states("lse_1"), "the start")
    first.kill()
    run_baron()
    again = await monarch.session(2)
    # Without being told: the journal is enough.
    report = await again.running("lse_1")
    async with monarch.gate("lse_1") as port:
        assert await renter.says(port, report.host_key, "hostname") == "lse_1"
    assert len(lifecycle.survey(home)) == 1


async def test_an_agent_killed_while_it_wipes_a_lease_finishes_that(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    first = run_baron()
    session = await monarch.session()
    await begin(session, renter)
    [directory] = lifecycle.survey(home)
    standing = record.read(directory)
    assert standing is not None
    await session.send(desired())
    # A wipe can be over before the next heartbeat: then what is killed has only its report to make again.
    begun = {STATE.WIPING, STATE.WIPED}
    await wait_until_async(lambda: begun.intersection(session.states("lse_1")), "the wipe")
    first.kill()
    run_baron()
    again = await monarch.session(2)
    await again.until("lse_1", STATE.WIPED)
    assert STATE.RUNNING not in again.states("lse_1")
    assert traces.of(directory, standing) == []


async def test_a_sandbox_that_died_without_an_agent_is_reported_failed(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    first = run_baron()
    await begin(await monarch.session(), renter)
    first.kill()
    [directory] = lifecycle.survey(home)
    standing = record.read(directory)
    assert standing is not None and standing.init is not None
    assert processes.end([standing.init], 20) == []
    run_baron()
    session = await monarch.session(2)
    [report] = session.heartbeats[0].leases
    assert report.state is STATE.FAILED and report.detail


async def test_stopping_leaves_sandboxes_and_purge_ends_them(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    running = run_baron()
    await begin(await monarch.session(), renter)
    [directory] = lifecycle.survey(home)
    standing = record.read(directory)
    assert standing is not None
    refused = baron("purge", "--home", str(home))
    assert refused.returncode == 1 and "home_in_use" in refused.stderr
    assert await running.stop(signal.SIGINT) == 0
    assert running.events("sandboxes_left")[0]["leases"] == 1
    assert lifecycle.probe(directory) is lifecycle.Liveness.ALIVE
    done = baron("purge", "--json", "--home", str(home), "--tools", str(TOOLS_DIR))
    assert (done.returncode, done.stdout) == (0, '{"destroyed": ["lse_1.1"], "failed": {}}\n')
    assert traces.of(directory, standing) == []
    # Monarch still hears of it, until it says that it needn't.
    run_baron()
    session = await monarch.session(2)
    assert session.states("lse_1") == [STATE.WIPED]


async def test_a_replaced_agent_leaves_and_doesnt_come_back(monarch: Monarch, run_baron: RunBaron) -> None:
    running = run_baron()
    session = await monarch.session()
    await session.send(Refused(code="replaced", detail="Another agent of this Baron has connected."))
    await session.connection.close(1008, "replaced")
    assert await running.ended() == 1
    assert running.events("refused")[0]["code"] == "replaced"
    assert len(monarch.sessions) == 1
