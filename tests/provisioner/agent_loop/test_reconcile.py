"""The laws of reconciliation, under any order of lists, happenings and clocks."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from provisioner.agent import journal, reconcile
from provisioner.agent.journal import Entry, Phase
from provisioner.agent.reconcile import Died, Exhausted, Happening, Started, StartFailed, Wiped, WipeFailed
from provisioner.wire import (
    MAX_MESSAGE_BYTES,
    Desired,
    Heartbeat,
    LeaseSpec,
    SandboxState,
    encode,
)

IDS = ("lse_1", "lse_2", "lse_3")
GPUS = ("GPU-a", "GPU-b", "GPU-c")

ALLOWED = {
    (Phase.STARTING, Phase.RUNNING),
    (Phase.STARTING, Phase.FAILING),
    (Phase.STARTING, Phase.ENDING),
    (Phase.RUNNING, Phase.STARTING),
    (Phase.RUNNING, Phase.FAILING),
    (Phase.RUNNING, Phase.ENDING),
    (Phase.FAILING, Phase.FAILED),
    (Phase.FAILING, Phase.ENDING),
    (Phase.FAILED, Phase.WIPED),
    (Phase.ENDING, Phase.WIPED),
}

_some_gpus = st.lists(st.sampled_from(GPUS), min_size=1, max_size=2, unique=True)
specs = st.builds(
    LeaseSpec,
    lease_id=st.sampled_from(IDS),
    generation=st.integers(1, 3),
    gpus=_some_gpus,
    authorized_keys=st.just(["key"]),
    paid_until_ns=st.integers(0, 100),
)
lists = st.builds(
    Desired,
    leases=st.lists(specs, max_size=3, unique_by=lambda spec: spec.lease_id),
    forget=st.lists(st.sampled_from(IDS), max_size=2),
)
happenings = st.one_of(
    *(
        st.builds(kind, lease_id=st.sampled_from(IDS), generation=st.integers(1, 3), **fields)
        for kind, fields in (
            (Started, {"host_key": st.just("ssh-ed25519 A"), "gpus": _some_gpus.map(tuple)}),
            (StartFailed, {"detail": st.just("why")}),
            (Died, {"detail": st.just("why")}),
            (Exhausted, {"detail": st.just("hunger")}),
            (Wiped, {}),
            (WipeFailed, {"detail": st.just("why")}),
        )
    )
)
moves = st.lists(st.one_of(lists, happenings, st.integers(0, 100)), max_size=40)


def after(entries: dict[str, Entry], move: Desired | Happening | int) -> dict[str, Entry]:
    match move:
        case Desired():
            return reconcile.revise(entries, move)
        case Happening():
            return reconcile.settle(entries, [move])
        case now_ns:
            return reconcile.expire(entries, now_ns)


def end_of(played: Iterable[Desired | Happening | int]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for move in played:
        entries = after(entries, move)
    return entries


def walk(played: Iterable[Desired | Happening | int]) -> Iterable[tuple[dict[str, Entry], dict[str, Entry]]]:
    entries: dict[str, Entry] = {}
    for move in played:
        before, entries = entries, after(entries, move)
        yield before, entries


@given(moves)
def test_a_lease_goes_one_way_and_a_new_generation_only_after_the_wipe(
    played: list[Desired | Happening | int],
) -> None:
    for before, now in walk(played):
        for lease_id, entry in now.items():
            old = before.get(lease_id)
            if old is None or old == entry:
                assert old is not None or entry.phase is Phase.STARTING
            elif old.generation != entry.generation:
                assert old.phase in journal.GONE and entry.generation > old.generation
                assert entry.phase is Phase.STARTING
            else:
                assert old.phase is entry.phase or (old.phase, entry.phase) in ALLOWED
        for lease_id in before.keys() - now.keys():
            assert before[lease_id].phase in journal.GONE


@given(moves)
def test_what_starts_or_stands_never_shares_a_gpu(played: list[Desired | Happening | int]) -> None:
    entries: dict[str, Entry] = {}
    begun: set[tuple[str, int]] = set()
    for move in played:
        if isinstance(move, Happening) and (move.lease_id, move.generation) not in begun:
            continue  # Nothing happens to what was never begun.
        entries = after(entries, move)
        begun |= {(entry.lease_id, entry.generation) for entry in reconcile.startable(entries)}
        standing = [
            entry
            for entry in entries.values()
            if (entry.lease_id, entry.generation) in begun and entry.phase not in journal.GONE
        ]
        used = [gpu for entry in standing for gpu in (*entry.gpus, *entry.leaving)]
        assert len(used) == len(set(used))


@given(moves, lists)
def test_a_list_said_twice_is_said_once(played: list[Desired | Happening | int], desired: Desired) -> None:
    once = reconcile.revise(end_of(played), desired)
    assert reconcile.revise(once, desired) == once


@given(moves)
def test_what_is_over_keeps_no_keys_and_each_lease_is_reported_once(
    played: list[Desired | Happening | int],
) -> None:
    for _, now in walk(played):
        for entry in now.values():
            assert bool(entry.authorized_keys) == (entry.phase in journal.WANTED)
        assert [report.lease_id for report in reconcile.reports(now)] == list(now)
        for entry, report in zip(now.values(), reconcile.reports(now), strict=True):
            assert report.gpus == ([] if entry.phase in journal.GONE else [*entry.gpus, *entry.leaving])


@given(moves, st.integers(0, 100))
def test_without_monarch_nothing_unpaid_is_wanted(played: list[Desired | Happening | int], now_ns: int) -> None:
    entries = end_of(played)
    for lease_id, entry in reconcile.expire(entries, now_ns).items():
        was_wanted = entries[lease_id].phase in journal.WANTED
        assert (entry.phase in journal.WANTED) == (was_wanted and entry.paid_until_ns > now_ns)


def test_a_failure_is_said_until_the_lease_isnt_wanted_any_more() -> None:
    wanted = Desired(
        leases=[LeaseSpec(lease_id="lse_1", generation=1, gpus=["GPU-a"], authorized_keys=["key"], paid_until_ns=9)],
        forget=[],
    )
    entries = reconcile.revise({}, wanted)
    failed = StartFailed(lease_id="lse_1", generation=1, detail="no room")
    wiped = Wiped(lease_id="lse_1", generation=1)
    entries = reconcile.revise(reconcile.settle(entries, [failed, wiped]), wanted)
    [report] = reconcile.reports(entries)
    assert (report.state, report.detail, report.gpus) == (SandboxState.FAILED, "no room", [])
    entries = reconcile.revise(entries, Desired(leases=[], forget=[]))
    assert reconcile.reports(entries)[0].state is SandboxState.WIPED
    assert reconcile.revise(entries, Desired(leases=[], forget=["lse_1"])) == {}


def test_what_used_up_its_own_memory_starts_again_as_the_same_lease() -> None:
    wanted = Desired(
        leases=[LeaseSpec(lease_id="lse_1", generation=1, gpus=["GPU-a"], authorized_keys=["key"], paid_until_ns=9)],
        forget=[],
    )
    started = Started(lease_id="lse_1", generation=1, host_key="ssh-ed25519 A", gpus=("GPU-a",))
    running = reconcile.settle(reconcile.revise({}, wanted), [started])
    exhausted = Exhausted(lease_id="lse_1", generation=1, detail="hunger")
    again = reconcile.revise(reconcile.settle(running, [exhausted]), wanted)
    # What it starts again with is what it had; Monarch hears that it starts, and nothing of a failure.
    assert again == {"lse_1": msgspec.structs.replace(running["lse_1"], phase=Phase.STARTING, detail="hunger")}
    [report] = reconcile.reports(again)
    assert (report.state, report.host_key, report.gpus) == (SandboxState.STARTING, "", ["GPU-a"])
    assert reconcile.startable(again) == [again["lse_1"]]
    assert reconcile.settle(again, [started]) == running
    # Where it can't be started again, that is a failure like any other.
    failed = reconcile.settle(again, [StartFailed(lease_id="lse_1", generation=1, detail="no room")])
    assert failed["lse_1"].phase is Phase.FAILING


def listed(*gpus: str, generation: int = 1) -> Desired:
    return Desired(
        leases=[
            LeaseSpec(
                lease_id="lse_1", generation=generation, gpus=list(gpus), authorized_keys=["key"], paid_until_ns=9
            )
        ],
        forget=[],
    )


def test_with_fewer_gpus_it_starts_again_and_holds_the_others_until_it_runs_without_them() -> None:
    started = Started(lease_id="lse_1", generation=1, host_key="ssh-ed25519 A", gpus=("GPU-a", "GPU-b"))
    running = reconcile.settle(reconcile.revise({}, listed("GPU-a", "GPU-b")), [started])
    fewer = reconcile.revise(running, listed("GPU-a"))
    assert (fewer["lse_1"].phase, fewer["lse_1"].gpus, fewer["lse_1"].leaving) == (
        Phase.STARTING,
        ("GPU-a",),
        ("GPU-b",),
    )
    assert fewer["lse_1"].host_key == "ssh-ed25519 A", "the same sandbox, for its renter"
    [report] = reconcile.reports(fewer)
    assert (report.state, report.gpus) == (SandboxState.STARTING, ["GPU-a", "GPU-b"])
    assert reconcile.startable(fewer) == [fewer["lse_1"]]
    # Another that would have the GPU that goes waits for it.
    newcomer = msgspec.structs.replace(listed("GPU-b").leases[0], lease_id="lse_2")
    both = reconcile.revise(fewer, Desired(leases=[*listed("GPU-a").leases, newcomer], forget=[]))
    assert [entry.lease_id for entry in reconcile.startable(both)] == ["lse_1"]
    # A start that was under way, with both, isn't what is wanted: it starts again.
    assert reconcile.settle(fewer, [started])["lse_1"].phase is Phase.STARTING
    with_less = Started(lease_id="lse_1", generation=1, host_key="ssh-ed25519 A", gpus=("GPU-a",))
    again = reconcile.settle(both, [with_less])
    assert (again["lse_1"].phase, again["lse_1"].leaving) == (Phase.RUNNING, ())
    assert [entry.lease_id for entry in reconcile.startable(again)] == ["lse_2"]
    # More GPUs, or others, can't come to what runs.
    assert reconcile.revise(again, listed("GPU-a", "GPU-b"))["lse_1"] == again["lse_1"]


def test_what_ends_while_it_loses_gpus_holds_all_of_them_until_its_wipe() -> None:
    started = Started(lease_id="lse_1", generation=1, host_key="ssh-ed25519 A", gpus=("GPU-a", "GPU-b"))
    running = reconcile.settle(reconcile.revise({}, listed("GPU-a", "GPU-b")), [started])
    ending = reconcile.revise(reconcile.revise(running, listed("GPU-a")), Desired(leases=[], forget=[]))
    [report] = reconcile.reports(ending)
    assert (report.state, report.gpus) == (SandboxState.WIPING, ["GPU-a", "GPU-b"])
    [report] = reconcile.reports(reconcile.settle(ending, [Wiped(lease_id="lse_1", generation=1)]))
    assert (report.state, report.gpus) == (SandboxState.WIPED, [])


def test_the_fullest_heartbeat_fits_a_message() -> None:
    entry = Entry(
        lease_id="x",
        generation=2**31 - 1,
        phase=Phase.FAILED,
        gpus=(),
        detail='"\\' * 300,
    )
    entries = {
        lease_id: msgspec.structs.replace(entry, lease_id=lease_id)
        for lease_id in (f"lse_{number:016}" for number in range(reconcile.LEASES_MAX))
    }
    for number, lease_id in enumerate(list(entries)[:64]):
        gpus = (f"GPU-{number:036}",)
        entries[lease_id] = msgspec.structs.replace(entry, lease_id=lease_id, phase=Phase.FAILING, gpus=gpus)
    heartbeat = Heartbeat(leases=reconcile.reports(entries), unhealthy_gpus=["GPU-" + "x" * 36] * 64)
    assert sum(len(report.gpus) for report in heartbeat.leases) == 64
    assert len(encode(heartbeat)) <= MAX_MESSAGE_BYTES


def test_more_leases_than_can_be_reported_are_not_begun() -> None:
    entries = {
        f"lse_{number}": Entry(lease_id=f"lse_{number}", generation=1, phase=Phase.WIPED, gpus=())
        for number in range(reconcile.LEASES_MAX)
    }
    spec = LeaseSpec(lease_id="new", generation=1, gpus=["GPU-a"], authorized_keys=["key"], paid_until_ns=9)
    assert "new" not in reconcile.revise(entries, Desired(leases=[spec], forget=[]))
    assert "new" in reconcile.revise(entries, Desired(leases=[spec], forget=["lse_7"]))


def test_a_new_generation_queues_behind_who_has_its_gpus() -> None:
    def spec(lease_id: str, generation: int) -> LeaseSpec:
        return LeaseSpec(
            lease_id=lease_id, generation=generation, gpus=["GPU-a"], authorized_keys=["key"], paid_until_ns=9
        )

    gone = {"lse_1": Entry(lease_id="lse_1", generation=1, phase=Phase.WIPED, gpus=("GPU-a",))}
    entries = reconcile.revise(gone, Desired(leases=[spec("lse_2", 1)], forget=[]))
    assert [entry.lease_id for entry in reconcile.startable(entries)] == ["lse_2"]
    entries = reconcile.revise(entries, Desired(leases=[spec("lse_1", 2), spec("lse_2", 1)], forget=[]))
    assert [entry.lease_id for entry in reconcile.startable(entries)] == ["lse_2"]
