"""Reconciliation as a table: what the log wants, what the agent says, and what is to be done."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.ids import format_id
from engine.kinds import Fault, LeaseState, Presence
from engine.messages import LeaseFailed, LeaseWiped, SetCapacity, SetPresence
from engine.units import NS_PER_HOUR, NS_PER_S
from provisioner.desired import AgentView, Plan, Vouch, reconcile
from provisioner.records import BaronRow, LeaseRow
from provisioner.settings import Timings
from provisioner.wire import MAX_MESSAGE_BYTES, Desired, LeaseReport, SandboxState, encode

START = 1_000 * NS_PER_HOUR
NOW = START + 100 * NS_PER_S
KEY = "ssh-ed25519 AAAA"
UUIDS = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")
LEASE = LeaseRow(
    lease_id=7,
    baron=1,
    generation=1,
    quantity=2,
    ssh_keys=("ssh-ed25519 renter",),
    start_ns=START,
    term_end_ns=0,
    state=LeaseState.PROVISIONING,
)
HELD = msgspec.structs.replace(LEASE, gpus=("GPU-a", "GPU-b"))
ACTIVE = msgspec.structs.replace(HELD, state=LeaseState.ACTIVE, active_ns=START + 5, host_key=KEY, port=2200)
BARON = BaronRow(baron=1, registered=True, verified_gpus=4, inventory=UUIDS, last_heartbeat_ns=START + 50)


def view(*reports: LeaseReport, **changes: Any) -> AgentView:
    plain = AgentView(
        inventory=UUIDS,
        simulated=False,
        unhealthy=frozenset(),
        reports={_number(report): report for report in reports},
        spoke=True,
        silent_ns=0,
        listening_ns=3_600 * NS_PER_S,
        vouched={_number(report): Vouch(NOW - 9, 9) for report in reports},
        absent_ns={},
    )
    return msgspec.structs.replace(plain, **changes)


def _number(report: LeaseReport) -> int:
    return int(report.lease_id[4:])


def said(state: SandboxState, lease_id: int = 7, **more: Any) -> LeaseReport:
    return LeaseReport(lease_id=f"lse_{lease_id:013d}", generation=1, state=state, **more)


RUNNING = said(SandboxState.RUNNING, host_key=KEY)


def plan(*leases: LeaseRow, seen: AgentView, baron: BaronRow = BARON, now_ns: int = NOW) -> Plan:
    return reconcile(baron, leases, seen, Timings(), now_ns)


def test_a_new_lease_gets_the_first_free_gpus_and_goes_into_the_list() -> None:
    other = msgspec.structs.replace(ACTIVE, lease_id=3, gpus=("GPU-b",))
    made = plan(other, LEASE, seen=view(said(SandboxState.RUNNING, 3, host_key=KEY)))
    assert made.rows == (msgspec.structs.replace(LEASE, gpus=("GPU-a", "GPU-c")),)
    assert [(spec.lease_id, spec.gpus) for spec in made.specs] == [
        (format_id("lse", 3), ["GPU-b"]),
        (format_id("lse", 7), ["GPU-a", "GPU-c"]),
    ]
    assert made.commands == ()
    assert made.running == ()
    assert made.reachable == (other,)


@pytest.mark.parametrize(
    "seen",
    [view(inventory=None), view(unhealthy=frozenset(UUIDS[:3])), view(inventory=UUIDS[:1])],
    ids=["never heard of", "too few healthy", "too few"],
)
def test_a_lease_waits_for_gpus_that_arent_there(seen: AgentView) -> None:
    made = plan(LEASE, seen=seen)
    assert (made.rows, made.specs) == ((), ())
    assert not any(isinstance(command, LeaseFailed) for command in made.commands)


def test_gpus_of_a_lease_that_isnt_wiped_yet_are_not_free() -> None:
    over = msgspec.structs.replace(ACTIVE, lease_id=3, state=LeaseState.ENDED, gpus=("GPU-a", "GPU-b", "GPU-c"))
    made = plan(over, LEASE, seen=view(said(SandboxState.WIPING, 3)))
    assert (made.rows, made.specs, made.commands) == ((), (), ())


def test_a_running_sandbox_may_become_active_once_its_key_is_known() -> None:
    assert plan(HELD, seen=view(said(SandboxState.RUNNING))).running == ()
    made = plan(HELD, seen=view(RUNNING))
    assert made.running == made.rows == (msgspec.structs.replace(HELD, host_key=KEY),)
    old = said(SandboxState.RUNNING, host_key=KEY)
    assert plan(HELD, seen=view(msgspec.structs.replace(old, generation=0))).running == ()


@pytest.mark.parametrize(
    ("term_end_ns", "paid_until_ns"),
    [(0, NOW + NS_PER_HOUR), (NOW + 5, NOW + 5), (NOW + 9 * NS_PER_HOUR, NOW + NS_PER_HOUR)],
)
def test_an_agent_may_keep_a_lease_alone_for_an_hour_at_most(term_end_ns: int, paid_until_ns: int) -> None:
    made = plan(msgspec.structs.replace(ACTIVE, term_end_ns=term_end_ns), seen=view(RUNNING))
    assert made.specs[0].paid_until_ns == paid_until_ns


def test_a_lease_under_notice_is_kept_and_reachable_until_its_end() -> None:
    ending = msgspec.structs.replace(
        ACTIVE, state=LeaseState.ENDING, ends_ns=NOW + 90 * NS_PER_S, term_end_ns=NOW + NS_PER_HOUR
    )
    made = plan(ending, seen=view(RUNNING))
    assert [spec.paid_until_ns for spec in made.specs] == [NOW + 90 * NS_PER_S]
    assert (made.reachable, made.running, made.commands) == ((ending,), (), ())
    (failure,) = plan(ending, seen=view(said(SandboxState.FAILED))).commands
    assert isinstance(failure, LeaseFailed)
    assert (failure.fault, failure.as_of_ns) == (Fault.PROVIDER, NOW - 9)


OTHER_KEY = said(SandboxState.RUNNING, host_key="ssh-ed25519 BBBB")
FAILS: list[tuple[str, LeaseRow, AgentView, Fault, int]] = [
    ("failed while starting", HELD, view(said(SandboxState.FAILED)), Fault.PROVIDER, NOW),
    ("failed while active", ACTIVE, view(said(SandboxState.FAILED)), Fault.PROVIDER, NOW - 9),
    ("wiped by itself", ACTIVE, view(said(SandboxState.WIPED)), Fault.PROVIDER, NOW - 9),
    ("wiping while starting", HELD, view(said(SandboxState.WIPING)), Fault.PROVIDER, NOW),
    ("lost", ACTIVE, view(), Fault.PROVIDER, START + 50),
    ("lost, its heartbeat before it was active", ACTIVE, view(vouched={7: Vouch(3, 0)}), Fault.PROVIDER, START + 5),
    ("another sandbox", ACTIVE, view(OTHER_KEY), Fault.PROVIDER, NOW - 9),
    ("GPU gone", ACTIVE, view(RUNNING, inventory=UUIDS[1:]), Fault.PROVIDER, NOW - 9),
    ("GPU gone before it ran", HELD, view(inventory=UUIDS[1:]), Fault.PROVIDER, NOW),
    ("GPU sick", ACTIVE, view(RUNNING, unhealthy=frozenset({"GPU-b"})), Fault.PROVIDER, NOW - 9),
    ("no key", msgspec.structs.replace(LEASE, ssh_keys=()), view(), Fault.RENTER, NOW),
    ("silent", ACTIVE, view(reports=None, listening_ns=600 * NS_PER_S), Fault.PROVIDER, START + 50),
    (
        "starting for ever",
        ACTIVE,
        view(said(SandboxState.STARTING), vouched={7: Vouch(START + 60, 600 * NS_PER_S)}),
        Fault.PROVIDER,
        START + 60,
    ),
]


@pytest.mark.parametrize(
    ("lease", "seen", "fault", "as_of_ns"), [row[1:] for row in FAILS], ids=[row[0] for row in FAILS]
)
def test_what_fails_a_lease(lease: LeaseRow, seen: AgentView, fault: Fault, as_of_ns: int) -> None:
    made = plan(lease, seen=seen)
    (failed,) = [command for command in made.commands if isinstance(command, LeaseFailed)]
    assert (failed.lease_id, failed.fault, failed.as_of_ns) == (7, fault, as_of_ns)
    assert failed.detail
    assert (made.specs, made.running, made.reachable, made.rows) == ((), (), (), ())


KEEPS: list[tuple[str, LeaseRow, AgentView]] = [
    ("running", ACTIVE, view(RUNNING)),
    ("no heartbeat in this session yet", ACTIVE, view(reports=None, vouched={7: Vouch(NOW - 9, 9)})),
    ("starting again, for now", ACTIVE, view(said(SandboxState.STARTING), vouched={7: Vouch(NOW, 599 * NS_PER_S)})),
    ("silent, but Monarch was down", ACTIVE, view(reports=None, spoke=False, listening_ns=599 * NS_PER_S)),
    ("not started yet", HELD, view()),
    ("another's GPU gone", ACTIVE, view(RUNNING, inventory=UUIDS[:3])),
]


@pytest.mark.parametrize(("lease", "seen"), [row[1:] for row in KEEPS], ids=[row[0] for row in KEEPS])
def test_what_doesnt_fail_a_lease(lease: LeaseRow, seen: AgentView) -> None:
    made = plan(lease, seen=seen)
    assert not any(isinstance(command, LeaseFailed) for command in made.commands)
    assert [spec.gpus for spec in made.specs] == [["GPU-a", "GPU-b"]]


@pytest.mark.parametrize(
    ("age_s", "listening_s", "fails"),
    [(599, 3_600, False), (600, 3_600, True), (3_000, 599, False), (3_000, 600, True)],
)
def test_provisioning_has_ten_minutes_of_monarchs_time(age_s: int, listening_s: int, fails: bool) -> None:
    now_ns = START + age_s * NS_PER_S
    made = plan(HELD, seen=view(said(SandboxState.STARTING), listening_ns=listening_s * NS_PER_S), now_ns=now_ns)
    assert any(isinstance(command, LeaseFailed) for command in made.commands) is fails


LOST = msgspec.structs.replace(ACTIVE, gpus=None)
LOST_WAITING = msgspec.structs.replace(LEASE, gpus=None)
HOLDS = msgspec.structs.replace(RUNNING, gpus=["GPU-c", "GPU-d"])


@pytest.mark.parametrize("lost", [LOST, LOST_WAITING])
@pytest.mark.parametrize(("state", "generation"), [(SandboxState.RUNNING, 1), (SandboxState.STARTING, 4)])
def test_gpus_that_a_lost_database_assigned_are_adopted(lost: LeaseRow, state: SandboxState, generation: int) -> None:
    other = msgspec.structs.replace(LEASE, lease_id=3)
    made = plan(other, lost, seen=view(msgspec.structs.replace(HOLDS, state=state, generation=generation)))
    assert made.commands == ()
    assert {row.lease_id: row.gpus for row in made.rows} == {3: ("GPU-a", "GPU-b"), 7: ("GPU-c", "GPU-d")}
    assert [(spec.generation, spec.gpus) for spec in made.specs][1] == (generation, ["GPU-c", "GPU-d"])


def test_a_lease_that_the_agent_hasnt_gets_gpus_anew_as_the_next_generation() -> None:
    made = plan(LOST_WAITING, seen=view())
    assert made.rows == (msgspec.structs.replace(LEASE, generation=2, gpus=("GPU-a", "GPU-b")),)
    assert plan(*made.rows, seen=view(RUNNING)).running == ()


@pytest.mark.parametrize(
    "lost", [LOST, LOST_WAITING, msgspec.structs.replace(LOST, state=LeaseState.ENDED)], ids=lambda row: row.state.name
)
def test_nothing_is_assigned_before_the_agent_said_what_it_holds(lost: LeaseRow) -> None:
    seen = view(reports=None, vouched={7: Vouch(NOW, 0)})
    made = plan(lost, msgspec.structs.replace(LEASE, lease_id=8), seen=seen)
    assert (made.rows, made.specs, made.commands) == ((), (), ())


@pytest.mark.parametrize("gpus", [[], ["GPU-c"], ["GPU-a", "GPU-c"], ["GPU-x", "GPU-y"]])
def test_an_agent_that_doesnt_say_which_gpus_of_its_own_a_lease_has_fails_it(gpus: list[str]) -> None:
    other = msgspec.structs.replace(ACTIVE, lease_id=3)
    said_so = msgspec.structs.replace(RUNNING, gpus=gpus)
    made = plan(other, LOST, seen=view(said(SandboxState.RUNNING, 3, host_key=KEY), said_so))
    (failed,) = made.commands
    assert isinstance(failed, LeaseFailed)
    assert (failed.lease_id, failed.fault) == (7, Fault.PROVIDER)
    assert [spec.gpus for spec in made.specs] == [["GPU-a", "GPU-b"]]


ENDED = msgspec.structs.replace(ACTIVE, state=LeaseState.ENDED)
LOST_ENDED = msgspec.structs.replace(LOST, state=LeaseState.ENDED)
NEXT_ENDED = msgspec.structs.replace(ENDED, generation=2)
WIPES: list[tuple[str, LeaseRow, AgentView, bool]] = [
    ("said so", ENDED, view(said(SandboxState.WIPED)), True),
    ("a failed one", msgspec.structs.replace(HELD, state=LeaseState.FAILED), view(said(SandboxState.WIPED)), True),
    ("runs still", ENDED, view(RUNNING), False),
    ("is at it", ENDED, view(said(SandboxState.WIPING)), False),
    ("failed, and not wiped yet", ENDED, view(said(SandboxState.FAILED)), False),
    ("no word yet", ENDED, view(reports=None, absent_ns={7: 60 * NS_PER_S}), False),
    ("absent, perhaps not told yet", ENDED, view(), False),
    ("absent for a moment", ENDED, view(absent_ns={7: 9 * NS_PER_S}), False),
    ("absent for long", ENDED, view(absent_ns={7: 10 * NS_PER_S}), True),
    ("never had GPUs", msgspec.structs.replace(LEASE, state=LeaseState.ENDED), view(reports=None), True),
    ("had none, and runs", msgspec.structs.replace(LEASE, state=LeaseState.ENDED), view(RUNNING), False),
    ("GPUs unknown, no word yet", LOST_ENDED, view(reports=None), False),
    ("GPUs unknown, said so", LOST_ENDED, view(said(SandboxState.WIPED)), True),
    ("GPUs unknown, runs still", LOST_ENDED, view(HOLDS), False),
    ("GPUs unknown, runs on no GPU", LOST_ENDED, view(RUNNING), False),
    ("GPUs unknown, absent for a moment", LOST_ENDED, view(absent_ns={7: 9 * NS_PER_S}), False),
    ("GPUs unknown, absent for long", LOST_ENDED, view(absent_ns={7: 10 * NS_PER_S}), True),
    ("an earlier generation was", NEXT_ENDED, view(said(SandboxState.WIPED)), False),
    ("an earlier one, long ago", NEXT_ENDED, view(said(SandboxState.WIPED), absent_ns={7: 10 * NS_PER_S}), True),
]


@pytest.mark.parametrize(("lease", "seen", "wiped"), [row[1:] for row in WIPES], ids=[row[0] for row in WIPES])
def test_when_a_lease_is_wiped(lease: LeaseRow, seen: AgentView, wiped: bool) -> None:
    made = plan(lease, seen=seen)
    assert made.commands == ((LeaseWiped(lease_id=7),) if wiped else ())
    assert (made.specs, made.forget) == ((), ())


def test_only_what_nobody_knows_any_more_is_forgotten() -> None:
    seen = view(said(SandboxState.WIPED), said(SandboxState.WIPED, 8), said(SandboxState.RUNNING, 9))
    assert plan(ENDED, seen=seen).forget == (format_id("lse", 8),)


CAPACITIES: list[tuple[str, BaronRow, AgentView, SetCapacity | None]] = [
    ("as the log says", BARON, view(), None),
    (
        "the first time",
        msgspec.structs.replace(BARON, verified_gpus=0),
        view(),
        SetCapacity(baron=1, gpus=4, simulated=False),
    ),
    ("one sick", BARON, view(unhealthy=frozenset({"GPU-a"})), SetCapacity(baron=1, gpus=3, simulated=False)),
    ("sick, and no GPU of ours", BARON, view(unhealthy=frozenset({"GPU-x"})), None),
    ("simulated now", BARON, view(simulated=True), SetCapacity(baron=1, gpus=4, simulated=True)),
    (
        "short of words",
        msgspec.structs.replace(BARON, verified_gpus=9),
        view(silent_ns=60 * NS_PER_S - 1),
        SetCapacity(baron=1, gpus=4, simulated=False),
    ),
    (
        "silent",
        msgspec.structs.replace(BARON, verified_gpus=9, presence=Presence.QUIET),
        view(silent_ns=60 * NS_PER_S),
        None,
    ),
    ("no word since the start", BARON, view(spoke=False, inventory=UUIDS[:1]), None),
    ("unknown to the log", msgspec.structs.replace(BARON, registered=False, verified_gpus=0), view(), None),
]


@pytest.mark.parametrize(
    ("baron", "seen", "command"), [row[1:] for row in CAPACITIES], ids=[row[0] for row in CAPACITIES]
)
def test_capacity(baron: BaronRow, seen: AgentView, command: SetCapacity | None) -> None:
    assert plan(seen=seen, baron=baron).commands == ((command,) if command else ())


QUIET_BARON = msgspec.structs.replace(BARON, presence=Presence.QUIET)
LOST_BARON = msgspec.structs.replace(BARON, presence=Presence.LOST)
SILENT = view(silent_ns=60 * NS_PER_S)
GONE = view(silent_ns=600 * NS_PER_S)
UNHEARD = view(spoke=False, reports=None, silent_ns=59 * NS_PER_S)
BACK = SetPresence(baron=1, presence=Presence.REPORTING)
GONE_QUIET = SetPresence(baron=1, presence=Presence.QUIET)
GONE_LOST = SetPresence(baron=1, presence=Presence.LOST, as_of_ns=START + 50)
PRESENCES: list[tuple[str, BaronRow, AgentView, SetPresence | None]] = [
    ("speaks, as the log says", BARON, view(), None),
    ("speaks again", QUIET_BARON, view(), BACK),
    ("speaks again after its loss", LOST_BARON, view(), BACK),
    ("silent for a while", BARON, view(silent_ns=60 * NS_PER_S - 1), None),
    ("silent for a minute", BARON, SILENT, GONE_QUIET),
    ("silent, and known to be", QUIET_BARON, view(silent_ns=599 * NS_PER_S), None),
    ("silent for ten minutes", QUIET_BARON, GONE, GONE_LOST),
    ("lost before anybody told that it was quiet", BARON, GONE, GONE_LOST),
    ("lost, and known to be", LOST_BARON, GONE, None),
    ("lost, and Monarch has begun to listen again", LOST_BARON, view(spoke=False, silent_ns=60 * NS_PER_S), None),
    ("no word since the start yet", QUIET_BARON, UNHEARD, None),
    ("no word since the start for a minute", BARON, view(spoke=False, silent_ns=60 * NS_PER_S), GONE_QUIET),
    ("no word since the start for ten", QUIET_BARON, view(spoke=False, silent_ns=600 * NS_PER_S), GONE_LOST),
    ("unknown to the log", msgspec.structs.replace(BARON, registered=False), GONE, None),
    ("never run", BaronRow(baron=1, registered=True), msgspec.structs.replace(GONE, inventory=None, spoke=False), None),
    ("heard by a lost database", BARON, msgspec.structs.replace(GONE, inventory=None, spoke=False), GONE_LOST),
]


@pytest.mark.parametrize(
    ("baron", "seen", "command"), [row[1:] for row in PRESENCES], ids=[row[0] for row in PRESENCES]
)
def test_presence(baron: BaronRow, seen: AgentView, command: SetPresence | None) -> None:
    assert plan(seen=seen, baron=baron).commands == ((command,) if command else ())


def test_capacity_is_told_before_the_baron_reports_again() -> None:
    made = plan(seen=view(inventory=UUIDS[:2]), baron=QUIET_BARON)
    assert made.commands == (SetCapacity(baron=1, gpus=2, simulated=False), BACK)


def test_which_leases_lack_their_gpus_is_told_before_the_baron_has_fewer() -> None:
    seen = view(RUNNING, inventory=UUIDS[1:])
    (failed,) = plan(ACTIVE, seen=seen, baron=QUIET_BARON).commands
    assert isinstance(failed, LeaseFailed)


def test_a_lost_gpu_is_missing_once_whether_its_lease_is_wiped_or_not() -> None:
    """The machine takes unwiped GPUs from sale by itself: they leave what is verified when they are wiped."""
    over = msgspec.structs.replace(ACTIVE, state=LeaseState.FAILED)
    seen = view(RUNNING, inventory=UUIDS[1:])
    assert plan(over, seen=seen, baron=QUIET_BARON).commands == (BACK,)
    sick = view(RUNNING, unhealthy=frozenset({"GPU-b", "GPU-c"}))
    assert plan(over, seen=sick).commands == (SetCapacity(baron=1, gpus=3, simulated=False),)
    wiped = view(said(SandboxState.WIPED), inventory=UUIDS[1:])
    assert plan(over, seen=wiped).commands == (
        LeaseWiped(lease_id=7),
        SetCapacity(baron=1, gpus=3, simulated=False),
    )


def test_renters_failures_hold_nothing_back() -> None:
    keyless = msgspec.structs.replace(LEASE, ssh_keys=())
    assert plan(keyless, seen=SILENT).commands[1:] == (GONE_QUIET,)


def gone(**seen_ns: int) -> AgentView:
    """Silent for ten minutes; when each lease was vouched for last, by its number."""
    age_ns = 600 * NS_PER_S
    vouched = {int(lease_id[1:]): Vouch(at_ns, age_ns) for lease_id, at_ns in seen_ns.items()}
    return view(reports=None, silent_ns=age_ns, vouched=vouched)


def test_leases_of_a_lost_baron_arent_told_one_by_one() -> None:
    second = msgspec.structs.replace(ACTIVE, lease_id=8, gpus=("GPU-c",))
    starting = msgspec.structs.replace(LEASE, lease_id=9, gpus=("GPU-d",))
    made = plan(
        ACTIVE, second, starting, seen=gone(_7=NOW - 9, _8=NOW - 9), baron=QUIET_BARON, now_ns=NOW + NS_PER_HOUR
    )
    assert made.commands == (SetPresence(baron=1, presence=Presence.LOST, as_of_ns=NOW - 9),)


def test_what_the_last_heartbeat_didnt_vouch_for_fails_by_itself_before_its_baron_is_lost() -> None:
    second = msgspec.structs.replace(ACTIVE, lease_id=8, gpus=("GPU-c",))
    seen = gone(_7=NOW - 9, _8=NOW - 20)
    (failed,) = plan(ACTIVE, second, seen=seen, baron=QUIET_BARON).commands
    assert isinstance(failed, LeaseFailed)
    assert (failed.lease_id, failed.as_of_ns) == (8, NOW - 20)
    over = msgspec.structs.replace(second, state=LeaseState.FAILED)
    (told,) = plan(ACTIVE, over, seen=seen, baron=QUIET_BARON).commands
    assert told == SetPresence(baron=1, presence=Presence.LOST, as_of_ns=NOW - 9)


def test_a_lease_that_a_lost_baron_has_still_fails_by_itself() -> None:
    (failed,) = plan(ACTIVE, seen=gone(_7=NOW - 9), baron=LOST_BARON).commands
    assert isinstance(failed, LeaseFailed)
    assert (failed.lease_id, failed.as_of_ns) == (7, NOW - 9)


def test_the_last_word_is_never_later_than_now() -> None:
    (told,) = plan(ACTIVE, seen=gone(_7=NOW + 5), baron=QUIET_BARON).commands
    assert told == SetPresence(baron=1, presence=Presence.LOST, as_of_ns=NOW)


LEASE8 = msgspec.structs.replace(LEASE, lease_id=8)


@pytest.mark.parametrize(
    "seen", [view(RUNNING), view(), view(said(SandboxState.FAILED)), view(reports=None, silent_ns=NS_PER_HOUR)]
)
def test_a_lease_that_had_notice_before_it_ran_is_dropped_and_nobodys_failure(seen: AgentView) -> None:
    given_up = msgspec.structs.replace(HELD, state=LeaseState.ENDING, ends_ns=NOW + 90 * NS_PER_S)
    made = plan(given_up, LEASE8, seen=seen, baron=LOST_BARON)
    assert not any(isinstance(command, LeaseFailed | LeaseWiped) for command in made.commands)
    assert (made.running, made.reachable) == ((), ())
    assert [spec.lease_id for spec in made.specs] == [format_id("lse", 8)]
    assert [row.gpus for row in made.rows] == [("GPU-c", "GPU-d")]
    assert made.known == (7, 8)


def test_a_lease_that_waits_for_anothers_wipe_isnt_wanted_and_its_time_doesnt_run() -> None:
    waiting = msgspec.structs.replace(LEASE, state=LeaseState.SCHEDULED)
    made = plan(waiting, seen=view())
    assert (made.specs, made.rows, made.commands, made.reachable) == ((), (), (), ())
    served = msgspec.structs.replace(HELD, provisioning_ns=NOW)
    late_ns = START + 650 * NS_PER_S
    starting = view(said(SandboxState.STARTING))
    assert plan(served, seen=starting, now_ns=late_ns).commands == ()
    assert plan(HELD, seen=starting, now_ns=late_ns).commands != ()


def test_the_list_fits_a_message_and_active_leases_come_first() -> None:
    keys = ("ssh-ed25519 " + "A" * 8_000,)
    uuids = tuple(f"GPU-{at:04d}" for at in range(200))
    leases = [
        msgspec.structs.replace(ACTIVE if at % 2 else HELD, lease_id=at + 1, gpus=(uuids[at],), ssh_keys=keys)
        for at in range(200)
    ]
    reports = [said(SandboxState.RUNNING, at + 1, host_key=KEY) for at in range(200)]
    made = plan(*leases, seen=view(*reports, inventory=uuids))
    assert len(encode(Desired(leases=list(made.specs), forget=list(made.forget)))) <= MAX_MESSAGE_BYTES
    assert 100 < len(made.specs) < 200
    active = {format_id("lse", lease.lease_id) for lease in leases if lease.state is LeaseState.ACTIVE}
    assert active <= {spec.lease_id for spec in made.specs}


# ---------------------------------------------------------------- fewer GPUs

SHRUNK = msgspec.structs.replace(ACTIVE, quantity=1)
"""It had two."""
NEWCOMER = msgspec.structs.replace(LEASE, lease_id=8, quantity=1)
FULL = msgspec.structs.replace(BARON, inventory=UUIDS[:2], verified_gpus=2)


def seen_with(*gpus: str, state: SandboxState = SandboxState.RUNNING) -> AgentView:
    report = said(state, host_key=KEY if state is SandboxState.RUNNING else "", gpus=list(gpus))
    return view(report, inventory=UUIDS[:2])


@pytest.mark.parametrize(
    "seen",
    [
        seen_with("GPU-a", "GPU-b"),
        seen_with("GPU-a", "GPU-b", state=SandboxState.STARTING),
        seen_with("GPU-a", state=SandboxState.STARTING),
        view(reports=None, inventory=UUIDS[:2], vouched={7: Vouch(NOW - 9, 9)}),
    ],
    ids=["not told yet", "starts again", "starts without", "silent"],
)
def test_a_lease_that_shrank_keeps_its_gpus_until_it_runs_without_them(seen: AgentView) -> None:
    made = plan(SHRUNK, NEWCOMER, seen=seen, baron=FULL)
    assert [(spec.lease_id, spec.gpus) for spec in made.specs] == [(format_id("lse", 7), ["GPU-a"])]
    assert (made.rows, made.commands) == ((), ())


def test_what_a_lease_let_go_of_is_a_newcomers_in_the_same_look() -> None:
    made = plan(SHRUNK, NEWCOMER, seen=seen_with("GPU-a"), baron=FULL)
    assert {row.lease_id: row.gpus for row in made.rows} == {7: ("GPU-a",), 8: ("GPU-b",)}
    assert [spec.gpus for spec in made.specs] == [["GPU-a"], ["GPU-b"]]


def test_a_gpu_that_leaves_is_no_failure_of_the_lease_that_it_leaves() -> None:
    seen = msgspec.structs.replace(seen_with("GPU-a", "GPU-b"), unhealthy=frozenset({"GPU-b"}))
    assert not any(isinstance(each, LeaseFailed) for each in plan(SHRUNK, seen=seen, baron=FULL).commands)
    seen = msgspec.structs.replace(seen, unhealthy=frozenset({"GPU-a"}))
    assert any(isinstance(each, LeaseFailed) for each in plan(SHRUNK, seen=seen, baron=FULL).commands)


def test_a_lost_database_learns_of_gpus_that_leave() -> None:
    lost = msgspec.structs.replace(SHRUNK, gpus=None)
    made = plan(lost, NEWCOMER, seen=seen_with("GPU-a", "GPU-b"), baron=FULL)
    assert {row.lease_id: row.gpus for row in made.rows} == {7: ("GPU-a", "GPU-b")}
    assert [spec.gpus for spec in made.specs] == [["GPU-a"]]


def test_a_newcomer_that_gets_no_gpus_in_ten_minutes_fails() -> None:
    made = plan(SHRUNK, NEWCOMER, seen=seen_with("GPU-a", "GPU-b"), baron=FULL, now_ns=START + 600 * NS_PER_S)
    (failed,) = [each for each in made.commands if isinstance(each, LeaseFailed)]
    assert (failed.lease_id, failed.fault, failed.detail) == (8, Fault.PROVIDER, "not provisioned in time")
