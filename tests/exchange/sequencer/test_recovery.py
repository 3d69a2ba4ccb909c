"""From disk to a machine: snapshots, replay, events made whole, and all that must refuse to start."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codec import encode_command, encode_events
from engine.halves import PLAIN, Half, compiled_half
from engine.kinds import Presence
from engine.limits import Limits
from engine.messages import (
    Rejected,
    Reply,
    SetAccountLimits,
    SetFeatures,
    SetPresence,
    SetRating,
    SetSession,
    Tick,
    Traded,
)
from engine.records import Session
from engine.snapshot import DIGEST_BYTES, FORMAT, Body, digest_of
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import Record
from exchange.log.sqlite import Damaged
from exchange.log.topics import COMMANDS, EVENTS
from exchange.sequencer.errors import RecoveryError
from exchange.sequencer.recovery import replay_to
from exchange.sequencer.snapshots import KEPT, Snapshot, SnapshotStore
from tests.exchange.sequencer.conftest import SHARD, START_NS, House
from tests.exchange.sequencer.traffic import (
    BARON,
    FAR_NS,
    RENTERS,
    SPOT,
    Traffic,
    ask,
    bid,
    deposit,
    founding,
    iceberg,
    quotes,
    stop_bid,
)
from tests.waiting import wait_until_async


async def run(house: House, count: int = 60, *, seed: int = 7, snapshot_every: int = 0) -> tuple[list[Reply], str]:
    """One run of a shard with traffic; its replies, and its state hash at the end. No snapshots unless asked for."""
    shard = house.shard()
    options = {"snapshot_every": snapshot_every} if snapshot_every else {"snapshots": None}
    await shard.start(**options)
    replies = await shard.submit(founding()) if shard.recovered.machine.last_seq == 0 else []
    traffic = Traffic(seed)
    for _ in range(count):
        house.clock.now_ns += 60 * 10**9
        replies.append(await shard.sequencer.submit(traffic.next()))
        traffic.learn(replies[-1])
    await shard.close()
    return replies, shard.machine.state_hash()


async def remove_events(house: House, keep: int) -> None:
    """Leave only the first `keep` records of the event log, as a crash could."""
    kept = (await house.records(EVENTS))[:keep]
    for file in (house.home / "log" / str(SHARD)).glob("events.*"):
        file.unlink()
    writer = await EmbeddedLog(house.home).open_writer(SHARD, EVENTS)
    await writer.append(kept)
    await writer.close()


async def test_replay_gives_the_same_state_and_nothing_new(house: House) -> None:
    _, state_hash = await run(house)
    before = await house.records(EVENTS)
    again = house.shard()
    recovered = await again.recover()
    assert recovered.machine.state_hash() == state_hash
    assert (recovered.snapshot_seq, recovered.published) == (0, 0)
    assert recovered.replayed == recovered.machine.last_seq
    assert await house.records(EVENTS) == before


@pytest.mark.parametrize("keep", [0, 1, 20, 50])
@pytest.mark.parametrize("snapshot_every", [0, 15])
async def test_events_that_were_not_published_are_derived_again(house: House, keep: int, snapshot_every: int) -> None:
    _, state_hash = await run(house, snapshot_every=snapshot_every)
    before = await house.records(EVENTS)
    await remove_events(house, keep)
    again = house.shard()
    recovered = await again.recover()
    assert recovered.published == len(before) - keep
    assert recovered.machine.state_hash() == state_hash
    assert await house.records(EVENTS) == before


async def test_a_run_goes_on_after_its_restart_as_if_there_were_none(house: House) -> None:
    replies, _ = await run(house, 40, seed=1)
    more, state_hash = await run(house, 40, seed=2, snapshot_every=10)
    again = house.shard()
    assert (await again.recover()).machine.state_hash() == state_hash
    assert [one.seq for one in (*replies, *more)] == sorted({one.seq for one in (*replies, *more)})
    answered = {one.seq: one for one in (*replies, *more) if one.events}
    published = {one.seq: one for one in await house.published()}
    assert answered.items() <= published.items()


async def test_a_restart_amid_an_auction_goes_on_to_the_same_clearing(house: House) -> None:
    """From a snapshot: an armed stop, an iceberg half shown, a set of quotes with a fill, and an auction with its orders."""
    shard = house.shard()
    limits = Limits(max_looked=3, max_stops=1)
    await shard.start(limits=limits)
    before = [
        *founding(),
        SetFeatures(baron=BARON, features=3),
        SetRating(baron=BARON, rating=81),
        SetPresence(baron=BARON, presence=Presence.QUIET),
        SetPresence(baron=BARON, presence=Presence.REPORTING),
        SetAccountLimits(account=RENTERS[0], max_gpus=50),
        ask(20_000, 2),
        bid(RENTERS[0], 20_000, 1),
        iceberg(20_100, 5, FAR_NS),
        bid(RENTERS[0], 20_100, 3),
        quotes(20_200, 2),
        bid(RENTERS[2], 20_201, 1),
        *(stop_bid(renter, 20_500, 1) for renter in RENTERS),
        SetSession(instrument=SPOT, session=Session.AUCTION),
        *(bid(renter, 20_600, 2) for renter in RENTERS),
        *(ask(20_050, 1) for _ in range(6)),
    ]
    replies = [await shard.sequencer.submit(command) for command in before]
    assert not any(isinstance(event, Rejected) for reply in replies for event in reply.events)
    await shard.close()

    again = house.shard()
    await again.start(limits=limits)
    assert (again.recovered.snapshot_seq, again.recovered.replayed) == (len(before), 0)
    cleared = await again.sequencer.submit(SetSession(instrument=SPOT, session=Session.CONTINUOUS))
    assert sum(isinstance(event, Traded) for event in cleared.events) == limits.max_looked
    await wait_until_async(lambda: not again.machine.state.waiting, "the rest of the clearing and the stops")
    assert again.machine.session(SPOT) is Session.CONTINUOUS
    state_hash = again.machine.state_hash()
    await again.close()

    straight = House(house.home.with_name("straight"))
    whole = straight.shard()
    await whole.recover(limits)
    await whole.commands.append(await house.records(COMMANDS))
    await whole.close()
    assert (await whole.recover(limits)).machine.state_hash() == state_hash
    assert await straight.records(EVENTS) == await house.records(EVENTS)
    await straight.close()


# ---------------------------------------------------------------- what must not start


async def test_other_events_than_were_published_refuse_to_start(house: House) -> None:
    await run(house)
    published = await house.published()
    await remove_events(house, 29)
    writer = await EmbeddedLog(house.home).open_writer(SHARD, EVENTS)
    other = published[29]
    assert len(other.events) > 0
    await writer.append([Record(other.seq, encode_events(other.ts_ns + 1, other.events))])
    await writer.close()
    again = house.shard()
    with pytest.raises(
        RecoveryError, match=f"command {other.seq} gives other events now .* Start the version that wrote"
    ):
        await again.recover()


async def test_a_hole_in_the_events_refuses_to_start(house: House) -> None:
    await run(house)
    records = await house.records(EVENTS)
    await remove_events(house, 10)
    writer = await EmbeddedLog(house.home).open_writer(SHARD, EVENTS)
    await writer.append(records[11:20])
    await writer.close()
    again = house.shard()
    with pytest.raises(RecoveryError, match=f"command {records[10].seq} gives other events"):
        await again.recover()


async def test_an_event_record_that_no_command_gave_refuses_to_start(house: House) -> None:
    shard = house.shard()
    await shard.start(snapshots=None)
    await shard.submit([*founding(), Tick(), Tick()])
    await shard.close()
    writer = await EmbeddedLog(house.home).open_writer(SHARD, EVENTS)
    await writer.append([Record(len(founding()) + 1, encode_events(START_NS, (await house.published())[0].events))])
    await writer.close()
    again = house.shard()
    with pytest.raises(RecoveryError, match=f"command {len(founding()) + 1} gives other events"):
        await again.recover()


async def test_events_beyond_the_commands_refuse_to_start(house: House) -> None:
    await run(house)
    for file in (house.home / "log" / str(SHARD)).glob("commands.*"):
        file.unlink()
    again = house.shard()
    with pytest.raises(RecoveryError, match=r"the command log only to 0: commands were lost\. Restore the home"):
        await again.recover()


async def test_a_snapshot_beyond_the_commands_refuses_to_start(house: House) -> None:
    await run(house, snapshot_every=10)
    for file in (house.home / "log" / str(SHARD)).glob("*.db*"):
        file.unlink()
    again = house.shard()
    with pytest.raises(RecoveryError, match=r"there is a snapshot .* goes only to 0: commands were lost\. Restore"):
        await again.recover()


async def test_a_hole_in_the_commands_refuses_to_start(house: House) -> None:
    writer = await EmbeddedLog(house.home).open_writer(SHARD, COMMANDS)
    await writer.append([Record(seq, encode_command(START_NS, Tick())) for seq in (1, 2, 4)])
    await writer.close()
    begun = house.shard()
    with pytest.raises(RecoveryError, match=r"genesis\.json is missing"):
        await begun.recover()
    await begun.close()
    (house.home / "log" / str(SHARD) / "genesis.json").write_text(
        '{"format": 1, "shard": 0, "limits": {}}',
    )
    again = house.shard()
    with pytest.raises(RecoveryError, match="command 3 is missing: after it comes 4"):
        await again.recover()


async def test_a_command_of_another_format_refuses_to_start(house: House) -> None:
    await run(house, 5)
    writer = await EmbeddedLog(house.home).open_writer(SHARD, COMMANDS)
    last = await writer.last_seq()
    await writer.append([Record(last + 1, b"\x09later")])
    await writer.close()
    again = house.shard()
    with pytest.raises(RecoveryError, match=f"command {last + 1} can't be read .*start the version that wrote it"):
        await again.recover()


async def test_other_limits_refuse_to_start(house: House) -> None:
    await run(house, 5)
    again = house.shard()
    with pytest.raises(
        RecoveryError, match=r"shard 0 was made with max_timers 1024 \(now 7\), and limits can't change"
    ):
        await again.recover(Limits(max_timers=7))


async def test_limits_may_be_chosen_until_the_first_command(house: House) -> None:
    first = house.shard()
    await first.recover(Limits(max_timers=7))
    await first.close()
    second = house.shard()
    await second.start(limits=Limits(max_timers=8))
    await second.submit(founding()[:1])
    await second.close()
    third = house.shard()
    assert (await third.recover(Limits(max_timers=8))).machine.last_seq == 1


# ---------------------------------------------------------------- snapshots


def damage_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_byte, cut, empty])
async def test_a_damaged_snapshot_falls_back_to_the_one_before(
    house: House, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    _, state_hash = await run(house, snapshot_every=15)
    folder = house.home / "snapshots" / str(SHARD)
    newest, older, *_ = SnapshotStore(house.home, SHARD).seqs()
    damage(folder / f"{newest}.snap")
    again = house.shard()
    recovered = await again.recover()
    assert recovered.snapshot_seq == older
    assert recovered.machine.state_hash() == state_hash
    assert f"{newest}.snap is damaged" in caplog.text
    await again.close()
    for file in folder.iterdir():
        empty(file)
    third = house.shard()
    recovered = await third.recover()
    assert (recovered.snapshot_seq, recovered.machine.state_hash()) == (0, state_hash)


async def test_a_snapshot_that_lies_about_its_state_is_passed_over(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    _, state_hash = await run(house, snapshot_every=15)
    store = SnapshotStore(house.home, SHARD)
    whole = next(store.newest_first())
    store.write(Snapshot(SHARD, whole.seq, whole.events_seq, "0" * len(whole.state_hash), whole.state))
    again = house.shard()
    recovered = await again.recover()
    assert recovered.snapshot_seq < whole.seq
    assert recovered.machine.state_hash() == state_hash
    assert "restores to another state" in caplog.text


def no_such_time(state: bytes) -> bytes:
    """It says a time that there isn't."""
    body = msgspec.msgpack.decode(state[1 + DIGEST_BYTES :], strict=False)
    body[Body.__struct_fields__.index("last_ts_ns")] = 2**63
    return sealed(msgspec.msgpack.encode(body))


def two_of_an_order(state: bytes) -> bytes:
    body = msgspec.msgpack.decode(state[1 + DIGEST_BYTES :], strict=False)
    orders = body[Body.__struct_fields__.index("orders")]
    orders.append(orders[-1])
    return sealed(msgspec.msgpack.encode(body))


def too_deep(_state: bytes) -> bytes:
    return sealed(b"\x91" * 100_000)


def sealed(body: bytes) -> bytes:
    """A state with the digest that is right for it, which anybody can reckon."""
    return bytes([FORMAT]) + digest_of(body) + body


@pytest.mark.parametrize("half", [PLAIN, compiled_half()], ids=["law", "compiled"])
@pytest.mark.parametrize("forge", [no_such_time, two_of_an_order, too_deep])
async def test_a_forged_snapshot_falls_back_to_the_one_before(
    house: House, caplog: pytest.LogCaptureFixture, forge: Callable[[bytes], bytes], half: Half
) -> None:
    _, state_hash = await run(house, snapshot_every=15)
    store = SnapshotStore(house.home, SHARD)
    whole, older, *_ = store.newest_first()
    state = forge(whole.state)
    store.write(Snapshot(SHARD, whole.seq, whole.events_seq, digest_of(state[1 + DIGEST_BYTES :]).hex(), state))
    commands = await EmbeddedLog(house.home).open_reader(SHARD, COMMANDS)
    machine = await replay_to(house.home, SHARD, commands, await commands.last_seq(), half)
    await commands.close()
    assert machine.state_hash() == state_hash
    assert f"can't restore the snapshot at {whole.seq}" in caplog.text
    assert older.seq < whole.seq


def test_only_the_newest_are_kept_and_drafts_are_swept(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, SHARD)
    store.write(Snapshot(SHARD, 9, 9, "h", b"state"))
    draft = tmp_path / "snapshots" / str(SHARD) / "5.snap.tmp"
    draft.write_bytes(b"half")
    for seq in (10, 100, 1_000, 20):
        store.write(Snapshot(SHARD, seq, seq, "h", b"state"))
    assert store.seqs() == [1_000, 100, 20][:KEPT]
    assert [snapshot.seq for snapshot in store.newest_first()] == [1_000, 100, 20]
    assert not draft.exists()


# ---------------------------------------------------------------- replay for proofs


async def test_replay_to_any_command_while_the_shard_runs(house: House) -> None:
    shard = house.shard()
    await shard.start(snapshot_every=15)
    hashes = {0: shard.machine.state_hash()}
    traffic = Traffic(3)
    for command in [*founding(), *(traffic.next() for _ in range(40))]:
        reply = await shard.sequencer.submit(command)
        hashes[reply.seq] = shard.machine.state_hash()
    reader = await EmbeddedLog(house.home).open_reader(SHARD, COMMANDS)
    for seq in (0, 1, 14, 15, 16, 30, len(hashes) - 1):
        for from_first in (False, True):
            machine = await replay_to(house.home, SHARD, reader, seq, PLAIN, from_first=from_first)
            assert (machine.last_seq, machine.state_hash()) == (seq, hashes[seq])
    with pytest.raises(RecoveryError, match=f"can't be replayed to {len(hashes)}: its command log goes to"):
        await replay_to(house.home, SHARD, reader, len(hashes), PLAIN)
    assert (await shard.sequencer.submit(deposit(1))).seq == len(hashes)
    await reader.close()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    runs=st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 5, 12]), st.booleans()), min_size=1, max_size=4),
    keep_ppm=st.integers(0, 10**6),
)
def test_however_it_is_stopped_the_logs_are_those_of_a_straight_run(
    tmp_path_factory: pytest.TempPathFactory, seed: int, runs: list[tuple[int, int, bool]], keep_ppm: int
) -> None:
    """Stops, snapshots, lost snapshots and lost ends of the event log change nothing that anybody can see."""
    home = tmp_path_factory.mktemp("runs")

    async def law() -> None:
        broken, straight = House(home / "broken"), House(home / "straight")
        for place, (count, snapshot_every, lose_snapshots) in enumerate(runs):
            await run(broken, count, seed=seed + place, snapshot_every=snapshot_every)
            published = await broken.records(EVENTS)
            await remove_events(broken, len(published) * keep_ppm // 10**6)
            if lose_snapshots:
                shutil.rmtree(broken.home / "snapshots", ignore_errors=True)
        again = broken.shard()
        recovered = await again.recover()
        whole = straight.shard()
        await whole.commands_from(await broken.records(COMMANDS))
        assert recovered.machine.state_hash() == whole.machine.state_hash()
        assert await broken.records(EVENTS) == await straight.records(EVENTS)
        await broken.close()
        await straight.close()

    asyncio.run(law())


async def test_damage_to_the_commands_refuses_to_start(house: House) -> None:
    await run(house, 20)
    with apsw.Connection(str(house.home / "log" / str(SHARD) / "commands.001.db")) as connection:
        connection.execute("UPDATE records SET data = x'0100' WHERE seq = 12")
    connection.close()
    again = house.shard()
    with pytest.raises(Damaged, match="the checksum of record 12 is wrong"):
        await again.recover()
