"""What only the embedded log has: files, their rotation, damage to them, other processes, and disks that fail."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import LogError, Record
from exchange.log.segment import MAX_READ_BYTES
from exchange.log.sqlite import Damaged
from tests.waiting import TIMEOUT_S

FILE_BYTES = 40_000


def records(first: int, last: int, size: int = 1_000) -> list[Record]:
    return [Record(seq, bytes([seq % 251]) * size) for seq in range(first, last + 1)]


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "log" / "0").glob("*.db"))


async def fill(home: Path, count: int = 200) -> None:
    """Several files of ten records an append."""
    writer = await EmbeddedLog(home, FILE_BYTES).open_writer(0, "commands")
    for first in range(1, count + 1, 10):
        await writer.append(records(first, first + 9))
    await writer.close()


async def read_all(home: Path, after_seq: int = 0) -> list[Record]:
    reader = await EmbeddedLog(home).open_reader(0, "commands")
    found: list[Record] = []
    while batch := await reader.read(found[-1].seq if found else after_seq, 7):
        found += batch
    await reader.close()
    return found


async def test_files_rotate_by_size_and_read_as_one(tmp_path: Path) -> None:
    await fill(tmp_path)
    assert len(files(tmp_path)) > 3
    assert files(tmp_path)[:2] == ["commands.001.db", "commands.002.db"]
    assert await read_all(tmp_path) == records(1, 200)
    for after in (1, 39, 40, 41, 99, 150, 199, 200):
        assert await read_all(tmp_path, after) == records(after + 1, 200)


async def test_one_reader_goes_back_and_forth_between_files(tmp_path: Path) -> None:
    await fill(tmp_path)
    reader = await EmbeddedLog(tmp_path).open_reader(0, "commands")
    for after in (150, 0, 199, 60, 61, 5, 120):
        assert (await reader.read(after, 1)) == records(after + 1, after + 1)
        assert await reader.last_seq() == 200
    await reader.close()


async def test_a_reader_follows_its_writer_over_rotations(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path, FILE_BYTES)
    writer, reader = await log.open_writer(0, "commands"), await log.open_reader(0, "commands")
    for first in range(1, 200, 10):
        await writer.append(records(first, first + 9))
        assert await reader.last_seq() == first + 9
        assert await reader.read(first - 1, 100) == records(first, first + 9)
    await reader.close()
    await writer.close()


async def test_an_older_writer_cannot_rotate_away_from_the_newer(tmp_path: Path) -> None:
    older = await EmbeddedLog(tmp_path, max_file_bytes=1).open_writer(0, "commands")
    newer = await EmbeddedLog(tmp_path).open_writer(0, "commands")
    with pytest.raises(LogError, match="epoch 2 has taken over from 1"):
        await older.append(records(1, 1))
    assert files(tmp_path) == ["commands.001.db"]
    await newer.append(records(1, 2))
    assert await newer.read(0, 10) == records(1, 2)
    await older.close()
    await newer.close()


@pytest.mark.parametrize("next_file", ["missing", "empty"])
async def test_a_writer_that_died_between_two_files_is_followed(tmp_path: Path, next_file: str) -> None:
    await fill(tmp_path, 40)
    folder = tmp_path / "log" / "0"
    last = folder / files(tmp_path)[-1]
    with apsw.Connection(str(last)) as sealing:
        sealing.execute("UPDATE meta SET sealed = 1")
    sealing.close()
    if next_file == "empty":
        (folder / f"commands.{len(files(tmp_path)) + 1:03d}.db").touch()
    assert await read_all(tmp_path) == records(1, 40)
    writer = await EmbeddedLog(tmp_path, FILE_BYTES).open_writer(0, "commands")
    await writer.append(records(41, 50))
    await writer.close()
    assert await read_all(tmp_path) == records(1, 50)


async def test_a_batch_of_large_records_ends_early_and_is_never_empty(tmp_path: Path) -> None:
    writer = await EmbeddedLog(tmp_path).open_writer(0, "commands")
    large = records(1, 5, size=MAX_READ_BYTES // 2 + 1)
    await writer.append(large)
    assert await writer.read(0, 100) == large[:2]
    assert await writer.read(2, 100) == large[2:4]
    assert await writer.read(4, 100) == large[4:]
    await writer.close()


async def test_an_sqlite_that_can_corrupt_the_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(tmp_path, 10)
    monkeypatch.setattr(apsw, "sqlitelibversion", lambda: "3.51.2")
    with pytest.raises(LogError, match=r"apsw carries SQLite 3\.51\.2, .* install apsw 3\.51\.3 or newer"):
        await EmbeddedLog(tmp_path).open_writer(0, "commands")


@pytest.mark.parametrize("topic", ["", "Commands", "../commands", "a.b", "x" * 33])
async def test_a_topic_is_a_plain_name(tmp_path: Path, topic: str) -> None:
    with pytest.raises(ValueError, match="a topic is named in small letters"):
        await EmbeddedLog(tmp_path).open_reader(0, topic)


async def test_a_closed_log_says_so(tmp_path: Path) -> None:
    writer = await EmbeddedLog(tmp_path).open_writer(0, "commands")
    await writer.close()
    await writer.close()
    for call in (writer.append(records(1, 1)), writer.read(0, 1), writer.last_seq()):
        with pytest.raises(LogError, match="the log of commands is closed"):
            await call


# ---------------------------------------------------------------- damage


def overwrite(path: Path, what: bytes, by: bytes) -> None:
    data = path.read_bytes()
    assert what in data
    path.write_bytes(data.replace(what, by))


def change_record(path: Path) -> None:
    overwrite(path, bytes([5]) * 1_000, bytes([5]) * 999 + b"\6")


def lose_record(path: Path) -> None:
    with apsw.Connection(str(path)) as connection:
        connection.execute("DELETE FROM records WHERE seq = 5")
    connection.close()


def swap_records(path: Path) -> None:
    with apsw.Connection(str(path)) as connection:
        connection.execute("UPDATE records SET data = (SELECT data FROM records WHERE seq = 6) WHERE seq = 5")
    connection.close()


def scribble_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8_192:16_384] = b"\xa5" * 8_192
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [change_record, lose_record, swap_records, scribble_page])
async def test_damage_is_found_by_who_reads_past_it(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    await fill(tmp_path)
    damage(tmp_path / "log" / "0" / "commands.001.db")
    with pytest.raises(Damaged, match=r"commands\.001\.db is damaged: .* restore the folder from a backup"):
        await read_all(tmp_path)


async def test_a_changed_last_record_refuses_the_writer(tmp_path: Path) -> None:
    await fill(tmp_path, 30)
    overwrite(tmp_path / "log" / "0" / "commands.001.db", bytes([30]) * 1_000, bytes([30]) * 999 + b"x")
    with pytest.raises(Damaged, match="the checksum of record 30 is wrong"):
        await EmbeddedLog(tmp_path).open_writer(0, "commands")


async def test_a_file_that_is_no_database_refuses_the_writer(tmp_path: Path) -> None:
    await fill(tmp_path, 30)
    (tmp_path / "log" / "0" / "commands.001.db").write_bytes(b"not a database at all" * 1_000)
    with pytest.raises(Damaged, match="not a database"):
        await EmbeddedLog(tmp_path).open_writer(0, "commands")


async def test_a_missing_file_refuses_writer_and_reader(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "log" / "0" / "commands.002.db").unlink()
    with pytest.raises(Damaged, match="only"):
        await EmbeddedLog(tmp_path).open_writer(0, "commands")
    with pytest.raises(Damaged, match=r"commands\.002\.db is damaged: it is missing"):
        await read_all(tmp_path)


async def test_missing_first_files_are_not_passed_over(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "log" / "0" / "commands.001.db").unlink()
    with pytest.raises(Damaged, match="the files before it are missing"):
        await read_all(tmp_path)


async def test_a_file_of_another_topic_in_its_place_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path, 30)
    folder = tmp_path / "log" / "0"
    (folder / "commands.001.db").rename(folder / "events.001.db")
    with pytest.raises(Damaged, match="it says that it is file 1 of commands"):
        await EmbeddedLog(tmp_path).open_writer(0, "events")


async def test_a_later_format_is_refused_by_name(tmp_path: Path) -> None:
    await fill(tmp_path, 10)
    with apsw.Connection(str(tmp_path / "log" / "0" / "commands.001.db")) as connection:
        connection.execute("UPDATE meta SET format = 9")
    connection.close()
    with pytest.raises(LogError, match="has format 9, this Monarch reads 1"):
        await EmbeddedLog(tmp_path).open_writer(0, "commands")


# ---------------------------------------------------------------- laws


@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(1, 5), st.binary(max_size=3_000)), min_size=1, max_size=5),
            st.sampled_from(["go on", "open again", "fence"]),
        ),
        max_size=12,
    ),
    st.integers(0, 200),
    st.integers(1, 20),
)
def test_a_log_is_the_list_of_what_was_appended(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[tuple[list[tuple[int, bytes]], str]],
    after_seq: int,
    max_records: int,
) -> None:
    home = tmp_path_factory.mktemp("law")

    async def law() -> None:
        model: list[Record] = []
        log = EmbeddedLog(home, max_file_bytes=20_000)
        writer = await log.open_writer(0, "events")
        epochs = [writer.epoch]
        for batch, then in batches:
            seq = model[-1].seq if model else 0
            rows = []
            for step, data in batch:
                seq += step
                rows.append(Record(seq, data))
            await writer.append(rows)
            model += rows
            if then != "go on":
                older = writer
                if then == "open again":
                    await older.close()
                writer = await log.open_writer(0, "events")
                epochs.append(writer.epoch)
                if then == "fence":
                    with pytest.raises(LogError):
                        await older.append([Record(seq + 1, b"never")])
                    await older.close()
        assert epochs == sorted(set(epochs))
        assert await writer.last_seq() == (model[-1].seq if model else 0)
        expected = [record for record in model if record.seq > after_seq]
        found: list[Record] = []
        while part := await writer.read(found[-1].seq if found else after_seq, max_records):
            assert len(part) <= max_records
            found += part
        assert found == expected
        await writer.close()

    asyncio.run(law())


# ---------------------------------------------------------------- other processes


WRITE = """
import asyncio, sys
from pathlib import Path
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import Record

async def main():
    writer = await EmbeddedLog(Path(sys.argv[1]), 40_000).open_writer(0, "commands")
    print("open", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        first, last = map(int, line.split())
        await writer.append([Record(seq, bytes([seq % 251]) * 1_000) for seq in range(first, last + 1)])
        print("durable", last, flush=True)

asyncio.run(main())
"""


class Elsewhere:
    """A writer in another process, told what to append line by line."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "open"

    def append(self, first: int, last: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{first} {last}\n")
        self.process.stdin.flush()
        assert self._line() == f"durable {last}"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


async def test_a_reader_in_another_process_sees_appends_as_they_come(tmp_path: Path) -> None:
    writer = Elsewhere(tmp_path)
    try:
        reader = await EmbeddedLog(tmp_path).open_reader(0, "commands")
        for first in range(1, 200, 20):
            waiting = asyncio.create_task(reader.wait(first - 1))
            await asyncio.to_thread(writer.append, first, first + 19)
            await asyncio.wait_for(waiting, TIMEOUT_S)
            assert await reader.read(first - 1, 100) == records(first, first + 19)
        assert len(files(tmp_path)) > 2
        await reader.close()
    finally:
        writer.kill()


async def test_what_a_killed_writer_made_durable_is_there_for_readers_and_the_next_writer(tmp_path: Path) -> None:
    writer = Elsewhere(tmp_path)
    try:
        await asyncio.to_thread(writer.append, 1, 25)
    finally:
        writer.kill()
    assert await read_all(tmp_path) == records(1, 25)
    reader = await EmbeddedLog(tmp_path).open_reader(0, "commands")
    taken = await EmbeddedLog(tmp_path, FILE_BYTES).open_writer(0, "commands")
    await taken.append(records(26, 30))
    assert await reader.read(0, 25) == records(1, 25)
    assert await reader.read(25, 25) == records(26, 30)
    await taken.close()
    await reader.close()


async def test_a_writer_in_another_process_is_fenced(tmp_path: Path) -> None:
    writer = Elsewhere(tmp_path)
    try:
        await asyncio.to_thread(writer.append, 1, 5)
        taken = await EmbeddedLog(tmp_path).open_writer(0, "commands")
        with pytest.raises(AssertionError):
            await asyncio.to_thread(writer.append, 6, 7)
        await taken.append(records(6, 6))
        assert await taken.read(0, 10) == records(1, 6)
        await taken.close()
    finally:
        writer.kill()


# ---------------------------------------------------------------- disks that fail

FAILING = """
import asyncio, os, resource, sys
from pathlib import Path
import apsw
from exchange.log.embedded import EmbeddedLog
from exchange.log.interface import LogError, Record

class BadFile(apsw.VFSFile):
    bad = False
    def __init__(self, name, flags):
        super().__init__("unix", name, flags)
    def xSync(self, flags):
        if BadFile.bad:
            raise apsw.IOError("fsync failed")
        super().xSync(flags)

class BadDisk(apsw.VFS):
    def __init__(self):
        super().__init__("bad-disk", "unix", makedefault=True)
    def xOpen(self, name, flags):
        return BadFile(name, flags)

async def main(home, failure):
    disk = BadDisk() if failure == "fsync" else None
    writer = await EmbeddedLog(home).open_writer(0, "commands")
    durable = 0
    async def append():
        nonlocal durable
        await writer.append([Record(durable + 1, os.urandom(20_000))])
        durable += 1
    for _ in range(5):
        await append()
    if failure == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    BadFile.bad = True
    first = second = None
    for _ in range(1_000):
        try:
            await append()
        except LogError as error:
            first = error
            break
    BadFile.bad = False
    if failure == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        await append()
    except LogError as error:
        second = error
    print(durable, await writer.last_seq(), sep="|")
    print(first)
    print(second, flush=True)
    os._exit(0)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("failure", "says"), [("fsync", "fsync failed"), ("limit", "I/O error"), ("full", "the disk is full. Free space")]
)
async def test_a_disk_that_failed_once_is_never_asked_again(tmp_path: Path, failure: str, says: str) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, str(script), str(home), failure]
    if failure == "full":
        # A disk of one megabyte, in a mount namespace that ends with the process.
        mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(home), *command]
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(root)}
    ran = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=root,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    counts, first, second = ran.stdout.splitlines()
    durable, last_seq = map(int, counts.split("|"))
    assert durable == last_seq >= 5
    assert says in first
    assert second.startswith("the log takes nothing more after: ")
    if failure != "full":
        # What was acknowledged is there for the next start; the failed append may be there too, whole.
        found = await read_all(home)
        assert [record.seq for record in found] in (list(range(1, durable + 1)), list(range(1, durable + 2)))
