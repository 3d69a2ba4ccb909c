"""Without Monarch a lease is kept for as long as it is paid, and no longer; every refusal is understood."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from provisioner.agent import journal
from provisioner.agent.journal import Phase
from provisioner.agent.sandbox import lifecycle
from provisioner.agent.sandbox.lifecycle import Liveness
from provisioner.wire import ENROLL_PATH, SESSION_PATH, Enrolled, Refused, SandboxState
from tests.provisioner.agent_loop.baron import Renter, Running
from tests.provisioner.agent_loop.monarch import HOUR_NS, Monarch, desired, lease
from tests.waiting import wait_until_async

RunBaron = Callable[..., Running]
STATE = SandboxState
SOON_NS = 3 * 10**9


async def test_what_is_paid_stays_and_what_is_not_ends(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    run_baron()
    session = await monarch.session()
    short = lease(session, "lse_1", [renter.public_key], gpu=0, paid_ns=SOON_NS)
    long = lease(session, "lse_2", [renter.public_key], gpu=1)
    await session.send(desired(short, long))
    await session.running("lse_1")
    kept = await session.running("lse_2")
    await monarch.stop()
    await wait_until_async(lambda: journal.load(home)["lse_1"].phase is Phase.WIPED, "the unpaid lease's end")
    assert [path.name for path in lifecycle.survey(home)] == ["lse_2.1"]
    await monarch.start()
    again = await monarch.session(2)
    assert {report.lease_id: report.state for report in again.heartbeats[0].leases} == {
        "lse_1": STATE.WIPED,
        "lse_2": STATE.RUNNING,
    }
    # What it ended by itself it never starts again, even when Monarch still lists it.
    await again.send(desired(short, long))
    beats = len(again.heartbeats)
    await wait_until_async(lambda: len(again.heartbeats) > beats + 1, "more heartbeats")
    assert again.states("lse_1") == [STATE.WIPED]
    assert again.report("lse_2") == kept


async def test_while_monarch_is_there_only_monarch_ends_leases(
    monarch: Monarch, run_baron: RunBaron, renter: Renter
) -> None:
    run_baron()
    session = await monarch.session()
    wanted = lease(session, "lse_1", [renter.public_key], paid_ns=10**9)
    await session.send(desired(wanted))
    await session.running("lse_1")
    await wait_until_async(lambda: time.time_ns() > wanted.paid_until_ns, "the paid time's end")
    beats = len(session.heartbeats)
    await wait_until_async(lambda: len(session.heartbeats) > beats + 2, "more heartbeats")
    assert session.states("lse_1") == [STATE.STARTING, STATE.RUNNING]


async def test_an_agent_that_comes_back_too_late_ends_the_lease_without_monarch(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    first = run_baron()
    session = await monarch.session()
    wanted = lease(session, "lse_1", [renter.public_key], paid_ns=SOON_NS)
    await session.send(desired(wanted))
    await session.running("lse_1")
    await monarch.stop()
    first.kill()
    await wait_until_async(lambda: time.time_ns() > wanted.paid_until_ns, "the paid time's end")
    assert lifecycle.probe(lifecycle.lease_directory(home, "lse_1", 1)) is Liveness.ALIVE
    run_baron()
    await wait_until_async(lambda: journal.load(home)["lse_1"].phase is Phase.WIPED, "the lease's end")
    assert lifecycle.survey(home) == []


async def test_each_list_renews_the_paid_time_on_disk(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    run_baron()
    session = await monarch.session()
    await session.send(desired(lease(session, "lse_1", [renter.public_key])))
    await session.running("lse_1")
    renewed = lease(session, "lse_1", [renter.public_key], paid_ns=2 * HOUR_NS)
    await session.send(desired(renewed))
    await wait_until_async(
        lambda: journal.load(home)["lse_1"].paid_until_ns == renewed.paid_until_ns, "the renewed paid time"
    )


@pytest.mark.parametrize(
    "code", ["protocol_mismatch", "bad_credential", "simulated_not_allowed", "wrong_sku", "gpu_elsewhere"]
)
async def test_a_final_refusal_ends_the_agent(monarch: Monarch, run_baron: RunBaron, code: str) -> None:
    monarch.answer_hello = lambda hello: Refused(code=code, detail="What to do about it.")
    running = run_baron()
    assert await running.ended() == 1
    [refused] = running.events("refused")
    assert refused["code"] == code and "What to do about it." in refused["message"]


async def test_a_refused_agent_stays_until_its_leases_paid_time_is_over(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter
) -> None:
    running = run_baron()
    session = await monarch.session()
    await session.send(desired(lease(session, "lse_1", [renter.public_key], paid_ns=SOON_NS)))
    await session.running("lse_1")
    await session.send(Refused(code="replaced", detail="Another agent of this Baron has connected."))
    assert await running.ended() == 1
    assert running.events("leases_run_on")[0]["leases"] == 1
    assert lifecycle.survey(home) == []
    assert journal.load(home)["lse_1"].phase is Phase.WIPED


@pytest.mark.parametrize("code", ["invalid_message", "gpu_held"])
async def test_a_passing_refusal_is_tried_again(monarch: Monarch, run_baron: RunBaron, code: str) -> None:
    welcome = monarch.answer_hello
    monarch.answer_hello = lambda hello: Refused(code=code, detail="Not now.")
    running = run_baron()
    await wait_until_async(lambda: running.events("disconnected"), "the refusal")
    monarch.answer_hello = welcome
    await monarch.session()


async def test_a_credential_that_isnt_known_at_the_door_is_final(monarch: Monarch, run_baron: RunBaron) -> None:
    monarch.door = HTTPStatus.UNAUTHORIZED
    running = run_baron()
    assert await running.ended() == 1
    assert running.events("refused")[0]["code"] == "bad_credential"


@pytest.mark.parametrize("status", [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TEMPORARY_REDIRECT])
async def test_another_answer_at_the_door_is_tried_again_and_led_nowhere(
    monarch: Monarch, run_baron: RunBaron, status: HTTPStatus
) -> None:
    monarch.door = status
    running = run_baron()
    await wait_until_async(lambda: len(running.events("disconnected")) >= 2, "two attempts")
    assert str(int(status)) in running.events("disconnected")[0]["message"]
    monarch.door = None
    await monarch.session()
    assert set(monarch.knocks) == {SESSION_PATH} and ENROLL_PATH not in monarch.knocks


FRAMES: dict[str, str | bytes] = {
    "not JSON": "{",
    "of an unknown type": '{"type": "reboot"}',
    "with an unknown field": '{"type": "desired", "leases": [], "forget": [], "pre_empt": []}',
    "without a field": '{"type": "desired", "leases": []}',
    "binary": b'{"type": "desired", "leases": [], "forget": []}',
    "too large": '{"type": "desired", "leases": [], "forget": ["' + "x" * (1 << 20) + '"]}',
    "deep": "[" * 100_000,
    "out of turn": '{"type": "enrolled", "baron_id": "brn_9", "credential": "other"}',
}
SPECS: dict[str, dict[str, object]] = {
    "a lease id that leads out": {"lease_id": "../../etc"},
    "a lease id with a line's end": {"lease_id": "lse_1\n"},
    "a generation below 0": {"generation": -1},
    "a generation too large": {"generation": 2**31},
    "no GPU": {"gpus": []},
    "a GPU twice": {"gpus": ["GPU-1", "GPU-1"]},
    "a time before all": {"paid_until_ns": -1},
}


@pytest.mark.parametrize("what", [*FRAMES, *SPECS, "a lease twice"])
async def test_what_cant_be_meant_ends_the_session_and_no_lease(
    monarch: Monarch, home: Path, run_baron: RunBaron, renter: Renter, what: str
) -> None:
    running = run_baron()
    session = await monarch.session()
    spec = lease(session, "lse_1", [renter.public_key])
    await session.send(desired(spec))
    report = await session.running("lse_1")
    if what in FRAMES:
        await session.connection.send(FRAMES[what])
    else:
        fields = {name: getattr(spec, name) for name in spec.__struct_fields__} | SPECS.get(what, {})
        await session.send(desired(type(spec)(**fields), *([spec] if what == "a lease twice" else [])))
    again = await monarch.session(2)
    assert again.heartbeats[0].leases == [report]
    assert running.events("disconnected")
    assert [path.name for path in lifecycle.survey(home)] == ["lse_1.1"]
    assert Enrolled.__name__ not in (home / "credential.json").read_text()
