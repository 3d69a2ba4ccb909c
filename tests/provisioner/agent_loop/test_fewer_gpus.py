"""A lease whose holder sold some of its GPUs goes on with the others: the same sandbox for its renter, begun again without them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from provisioner.agent import journal
from provisioner.agent.journal import Phase
from provisioner.agent.sandbox import lifecycle, processes, record
from provisioner.wire import LeaseReport, LeaseSpec, SandboxState
from tests.provisioner.agent import traces
from tests.provisioner.agent_loop.baron import Renter, Running
from tests.provisioner.agent_loop.monarch import HOUR_NS, Monarch, Session, desired
from tests.waiting import wait_until_async

RunBaron = Callable[..., Running]
STATE = SandboxState


def of_gpus(session: Session, lease_id: str, renter: Renter, *gpus: int) -> LeaseSpec:
    return LeaseSpec(
        lease_id=lease_id,
        generation=1,
        gpus=[session.hello.gpus[gpu].uuid for gpu in gpus],
        authorized_keys=[renter.public_key],
        paid_until_ns=time.time_ns() + HOUR_NS,
    )


async def without(session: Session, lease_id: str, uuid: str) -> LeaseReport:
    """The report of a lease that runs, and doesn't have this GPU any more."""

    def runs() -> bool:
        report = session.report(lease_id)
        return report is not None and report.state is STATE.RUNNING and uuid not in report.gpus

    await wait_until_async(runs, "it to run with fewer GPUs")
    report = session.report(lease_id)
    assert report is not None
    return report


async def test_it_starts_again_with_those_that_stay_and_a_newcomer_has_the_others(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    run_baron()
    session = await monarch.session()
    await session.send(desired(of_gpus(session, "lse_1", renter, 0, 1)))
    before = await session.running("lse_1")
    [directory] = lifecycle.survey(home)
    ran = record.read(directory)
    assert ran is not None and ran.init is not None
    async with monarch.gate("lse_1") as port:
        assert await renter.says(port, before.host_key, "ls /dev/nvidia? | wc -l; echo mine > ~/mine") == "2"
        fewer, newcomer = of_gpus(session, "lse_1", renter, 0), of_gpus(session, "lse_2", renter, 1)
        await session.send(desired(fewer, newcomer))
        after = await without(session, "lse_1", newcomer.gpus[0])
        # The same way in, and its GPU alone; nothing of what ran there does any more.
        assert (after.host_key, after.gpus) == (before.host_key, fewer.gpus)
        seen = await renter.says(
            port, after.host_key, "ls /dev/nvidia?; echo $CUDA_VISIBLE_DEVICES; ls -A ~ | grep -c mine; true"
        )
        assert seen.splitlines() == ["/dev/nvidia0", fewer.gpus[0], "0"]
        assert "fewer GPUs" in await renter.says(port, after.host_key, "cat /etc/motd")
    assert not processes.runs(ran.init)
    second = await session.running("lse_2")
    assert second.gpus == newcomer.gpus
    # Never did two that ran, or had run, hold the same GPU.
    for beat in session.heartbeats:
        held = [uuid for report in beat.leases if report.state is not STATE.STARTING for uuid in report.gpus]
        assert len(held) == len(set(held))
    await session.send(desired())
    await session.until("lse_1", STATE.WIPED)
    await session.until("lse_2", STATE.WIPED)
    assert traces.of(directory, ran) == []
    assert lifecycle.survey(home) == []


@pytest.mark.parametrize("written", ["nothing", "journal", "record"])
async def test_an_agent_killed_amid_it_goes_on_where_it_was(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter, written: str
) -> None:
    first = run_baron()
    session = await monarch.session()
    await session.send(desired(of_gpus(session, "lse_1", renter, 0, 1)))
    before = await session.running("lse_1")
    fewer = of_gpus(session, "lse_1", renter, 0)
    gone = before.gpus[1]
    if written == "nothing":
        await session.send(desired(fewer))
        first.kill()
    else:
        first.kill()
        # What a kill right after the journal was written leaves; and one after the sandbox's record was.
        entries = journal.load(home)
        shrinking = msgspec.structs.replace(
            entries["lse_1"], phase=Phase.STARTING, gpus=tuple(fewer.gpus), leaving=(gone,)
        )
        journal.save(home, {"lse_1": shrinking})
    if written == "record":
        [directory] = lifecycle.survey(home)
        standing = record.read(directory)
        assert standing is not None and standing.init is not None
        processes.end([standing.init], 20)
        begun = msgspec.structs.replace(
            standing, phase="starting", init=None, launcher=None, gpu_uuids=tuple(fewer.gpus)
        )
        record.write(directory, begun)
    run_baron()
    session = await monarch.session(2)
    await session.send(desired(fewer))
    after = await without(session, "lse_1", gone)
    assert (after.host_key, after.gpus) == (before.host_key, fewer.gpus)
    async with monarch.gate("lse_1") as port:
        assert await renter.says(port, after.host_key, "echo $CUDA_VISIBLE_DEVICES") == fewer.gpus[0]
