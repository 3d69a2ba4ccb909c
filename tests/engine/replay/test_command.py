"""The command: what it reads and writes, how it ends, and what it says to people."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import replay
from tests.engine.replay.running import Replay, flow
from tests.engine.replay.test_rules import PRICE_THEN_TIME

ROOT = Path(__file__).resolve().parents[3]


def test_compressed_piped_and_plain_are_the_same(run: Replay, tmp_path: Path) -> None:
    text = PRICE_THEN_TIME[0]
    plain = run(text, "plain")[:4]
    assert run(gzip.compress(text.encode()), "plain", "flow.csv.gz")[:4] == plain
    assert run("\ufeff" + text.replace("\n", "\r\n"), "plain")[:4] == plain
    trades = tmp_path / "piped.csv"
    done = subprocess.run(
        [sys.executable, "-m", "engine.replay", "-", "--book", "plain", "--trades", trades],
        cwd=ROOT,
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr.startswith("6 rows, 4 trades, 0 rejects, 1 live orders; ")
    assert done.stderr.count("\n") == 1  # no progress where nobody watches
    assert trades.read_text().split("\n")[1:-1] == plain[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n1,2\n", "no column order_id"),
        (b"ts_ns,price\n", "no column order_id"),
        (b"order_id,colour\n", "'colour'; there are ts_ns, op, order_id"),
        (b"order_id,price,price\n", "names the column price twice"),
        (b"\xff\xfeo\0", "isn't UTF-8"),
        (b"o" * 70_000, "too long"),
        (b'order_id,"pr\n', "line 1"),
    ],
)
def test_a_file_without_a_header_is_not_started(run: Replay, content: bytes, says: str) -> None:
    outcome = run(content, "plain")
    assert outcome.status == 2
    assert "not started: " in outcome.said
    assert "flow.csv" in outcome.said
    assert says in outcome.said
    assert run.left() == ["flow.csv"]


def test_what_cannot_be_opened_is_not_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tmp_path / "flow.csv"
    good.write_text("order_id\n")
    for arguments, says in (
        ([str(tmp_path / "none.csv")], "can't be read: No such file"),
        ([str(tmp_path)], "can't be read: Is a directory"),
        ([str(good), "--trades", str(tmp_path / "no" / "t.csv")], "can't be written: No such file"),
        ([str(good), "--depth", str(tmp_path)], "can't be written: Is a directory"),
        ([str(good), "--depth", str(good)], "must all be different"),
        ([str(good), "--depth", str(tmp_path / "x"), "--trades", str(tmp_path / "x")], "must all be different"),
    ):
        assert replay.main([*arguments, "--book", "plain"]) == 2
        assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["flow.csv"]


def test_a_file_that_breaks_off_leaves_what_was_there(run: Replay, tmp_path: Path) -> None:
    old = tmp_path / "trades.csv"
    old.write_text("old")
    packed = gzip.compress("".join([flow(), *(f"{n},new,o{n},buy,gtc,7,1\n" for n in range(50_000))]).encode())
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(packed[: len(packed) // 2])
    assert replay.main([str(broken), "--book", "plain", "--trades", str(old)]) == 1
    assert old.read_text() == "old"
    assert run.left() == ["broken.csv.gz", "trades.csv"]


def test_a_disk_that_is_full_breaks_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flow.csv"
    path.write_text(PRICE_THEN_TIME[0])
    assert replay.main([str(path), "--book", "plain", "--trades", "/dev/full"]) == 1
    assert "broken off while writing" in capsys.readouterr().err


def test_a_device_is_written_directly(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv"
    path.write_text(PRICE_THEN_TIME[0])
    assert replay.main([str(path), "--book", "plain", "--trades", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()


def test_an_interrupt_leaves_nothing(run: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(player: replay.Player, lines: Sequence[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replay.Player, "play", interrupt)
    outcome = run(PRICE_THEN_TIME[0], "plain")
    assert outcome.status == 130
    assert "interrupted" in outcome.said
    assert run.left() == ["flow.csv"]


def test_a_book_that_is_not_built_says_what_to_do(run: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(replay.BOOKS, "fast", ("engine.no_such_book", "FastBook"))
    outcome = run(PRICE_THEN_TIME[0], "fast")
    assert outcome.status == 2
    assert "--book plain" in outcome.said
