"""The replay tool as people use it: files in, files out; the rules of its columns, hostile rows, and both books alike."""

from __future__ import annotations

import csv
import gzip
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from engine import replay

ROOT = Path(__file__).resolve().parents[2]
BOOKS = tuple(replay.BOOKS)
HEADER = "ts_ns,op,order_id,account,side,type,tif,price,quantity,post_only,display_quantity,min_quantity,stop_price,stp"
TRADES = "ts_ns,maker_id,taker_id,price,quantity"
DEPTH = "side,price,quantity,orders"
REJECTS = "ts_ns,order_id,code"


Case = tuple[str, list[str], list[str], list[str]]
"""A flow, and the trades, the depth and the rejects that it comes to."""


class Outcome(NamedTuple):
    """What a run left: the lines of each file without the header, and what it said."""

    status: int
    trades: list[str]
    depth: list[str]
    rejects: list[str]
    said: str


@pytest.fixture(params=BOOKS)
def book(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Replay:
    """Runs the tool on what a test gives it, in a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, flow: str | bytes, book: str, name: str = "flow.csv") -> Outcome:
        path = self.folder / name
        path.write_bytes(flow.encode() if isinstance(flow, str) else flow)
        files = [self.folder / f"{book}-{kind}.csv" for kind in ("trades", "depth", "rejects")]
        arguments = [str(path), "--book", book, "--trades", str(files[0]), "--depth", str(files[1])]
        status = replay.main([*arguments, "--rejects", str(files[2])])
        said = self._capsys.readouterr().err
        if status:
            assert not any(file.exists() for file in files)
            return Outcome(status, [], [], [], said)
        texts = [file.read_text(encoding="utf-8") for file in files]
        for text, header in zip(texts, (TRADES, DEPTH, REJECTS), strict=True):
            assert text.startswith(header + "\n")
        trades, depth, rejects = (text.split("\n")[1:-1] for text in texts)
        return Outcome(status, trades, depth, rejects, said)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Replay:
    return Replay(tmp_path, capsys)


def flow(*rows: str, header: str = "ts_ns,op,order_id,side,tif,price,quantity") -> str:
    return "\n".join((header, *rows)) + "\n"


# ---------------------------------------------------------------- flows worked out by hand

PRICE_THEN_TIME: Case = (
    flow(
        "1,new,late,sell,gtc,101,5",
        "2,new,first,sell,gtc,100,5",
        "3,new,second,sell,gtc,100,5",
        "4,new,bid,buy,gtc,99,7",
        "5,new,taker,buy,gtc,101,12",
        "6,new,small,sell,ioc,99,100",
    ),
    ["5,first,taker,100,5", "5,second,taker,100,5", "5,late,taker,101,2", "6,bid,small,99,7"],
    ["sell,101,3,1"],
    [],
)
AMENDS: Case = (
    flow(
        "1,new,a,sell,gtc,100,10",
        "2,new,b,sell,gtc,100,10",
        "3,amend,a,,,,8",  # a pure reduction keeps its place
        "4,new,t1,buy,ioc,100,3",
        "5,amend,b,,,100,12",  # more: to the back, though alone behind a
        "6,amend,a,,,100,8",  # nothing differs: it enters anew, behind b
        "7,new,t2,buy,ioc,100,13",
        "8,amend,a,,,,4",  # 4 are filled: it closes
        "9,amend,a,,,,9",
        "10,cancel,b,,,,",
        "11,new,c,sell,gtc,105,2",
        "12,new,d,buy,gtc,90,3",
        "13,amend,d,,,105,",  # through the spread: trades at the maker's price
    ),
    ["4,a,t1,100,3", "7,b,t2,100,12", "7,a,t2,100,1", "13,c,d,105,2"],
    ["buy,105,1,1"],
    ["9,a,unknown_order", "10,b,unknown_order"],
)
ICEBERG: Case = (
    flow(
        "1,new,ice,sell,gtc,100,10,4",
        "2,new,plain,sell,gtc,100,5,",
        "3,new,t,buy,ioc,100,12,",
        header="ts_ns,op,order_id,side,tif,price,quantity,display_quantity",
    ),
    # Four are shown; the refill goes behind plain; then three of the four shown anew.
    ["3,ice,t,100,4", "3,plain,t,100,5", "3,ice,t,100,3"],
    ["sell,100,1,1"],
    [],
)
STOPS: Case = (
    flow(
        "1,new,guard,sell,limit,gtc,120,5,",
        "2,new,stop,buy,market,,130,4,110",  # a stop buy of type market: its price is its protection
        "3,new,limited,buy,limit,gtc,115,2,110",
        "4,new,at110,sell,limit,gtc,110,1,",
        "5,new,taker,buy,limit,gtc,110,1,",
        "6,new,late,sell,market,,,9,50",  # not triggered: it waits, and the depth doesn't show it
        header="ts_ns,op,order_id,side,type,tif,price,quantity,stop_price",
    ),
    ["5,at110,taker,110,1", "5,guard,stop,120,4"],
    ["buy,115,2,1", "sell,120,1,1"],
    [],
)
SELF_TRADES: Case = (
    flow(
        "1,new,a1,alice,sell,100,5,",
        "2,new,n1,,sell,100,5,",
        "3,new,a2,alice,buy,100,5,cancel_oldest",
        "4,new,n2,,sell,100,5,",
        "5,new,n3,,buy,100,2,",  # nobody twice: that is no self-trade
        "6,new,b1,bob,sell,99,5,",
        "7,new,b2,bob,buy,100,9,",  # cancel_newest is the default
        "8,new,b3,bob,buy,99,2,cancel_both",
        "9,new,b4,bob,sell,101,6,",
        "10,new,b5,bob,buy,101,5,decrement",
        header="ts_ns,op,order_id,account,side,price,quantity,stp",
    ),
    ["3,n1,a2,100,5", "5,n2,n3,100,2", "10,n2,b5,100,3"],
    ["sell,101,4,1"],
    [],
)
MARKET: Case = (
    flow(
        "1,new,m0,buy,market,,,5",  # nothing there to reckon a protection from
        "2,new,s1,sell,limit,,1000,5",
        "3,new,s2,sell,limit,,1050,5",
        "4,new,s3,sell,limit,,1051,5",
        "5,new,m1,buy,market,,,20",  # 5 % through 1000: up to 1050
        "6,new,m2,buy,market,ioc,2000,2",
        "7,new,m3,buy,market,gtc,2000,2",
        "8,new,m4,buy,market,fok,2000,9",
        header="ts_ns,op,order_id,side,type,tif,price,quantity",
    ),
    ["5,s1,m1,1000,5", "5,s2,m1,1050,5", "6,s3,m2,1051,2"],
    ["sell,1051,3,1"],
    ["1,m0,no_liquidity", "7,m3,invalid_order", "8,m4,fok_killed"],
)
FLAGS: Case = (
    flow(
        "1,new,s1,sell,gtc,100,5,0,",
        "2,new,p1,buy,gtc,100,5,1,",
        "3,new,p2,buy,gtc,99,5,1,",
        "4,new,q1,buy,ioc,100,9,0,6",  # every fill is at least six: five is passed over
        "5,new,f1,buy,fok,100,6,,",
        "6,new,f2,buy,fok,100,5,,",
        "7,new,p3,sell,ioc,99,5,1,",
        header="ts_ns,op,order_id,side,tif,price,quantity,post_only,min_quantity",
    ),
    ["6,s1,f2,100,5"],
    ["buy,99,5,1"],
    ["2,p1,post_only_would_trade", "5,f1,fok_killed", "7,p3,invalid_order"],
)
IDS: Case = (
    flow(
        '1,new,"a, ""b""",sell,gtc,100,5',
        '2,new,"a, ""b""",sell,gtc,100,5',
        "3,new,é 💡,buy,gtc,100,5",
        '4,new,"a, ""b""",sell,gtc,101,1',  # filled, so its name is free
        '5,cancel,"a, ""b""",,,,',
        '6,cancel,"a, ""b""",,,,',
        '7,new,"a, ""b""",buy,gtc,90,1',
    ),
    ['3,"a, ""b""",é 💡,100,5'],
    ["buy,90,1,1"],
    ['2,"a, ""b""",duplicate_order_id', '6,"a, ""b""",unknown_order'],
)
CANCELS: Case = (
    flow(
        "1,new,a,alice,sell,100,5",
        "2,cancel,a,bob,,,",  # not his
        "3,cancel,zzz,,,,",
        "4,amend,zzz,,,7,",
        "4,amend,a,alice,,,",
        "5,cancel,a,alice,sideways,1.5,-1",  # what a cancel doesn't look at may say anything
        "4,new,b,,buy,100,5",
        header="ts_ns,op,order_id,account,side,price,quantity",
    ),
    [],
    [],
    [
        "2,a,unknown_order",
        "3,zzz,unknown_order",
        "4,zzz,unknown_order",
        "4,a,nothing_to_amend",
        "4,b,time_went_back",
    ],
)
DEFAULTS: Case = (
    flow("a,sell,7,2", "b,buy,7,1", "c,buy,6,1", "d,buy,5,1", "e,sell,9,1", header="order_id,side,price,quantity"),
    ["0,a,b,7,1"],
    ["buy,6,1,1", "buy,5,1,1", "sell,7,1,1", "sell,9,1,1"],
    [],
)
TIMES: Case = (
    flow("5,new,a,sell,,7,2", ",new,b,buy,,7,1", "x,new,c,buy,,7,1", ",cancel,a,,,,", "6,cancel,a,,,,"),
    ["5,a,b,7,1"],
    [],
    [",c,malformed_record", "6,a,unknown_order"],
)
BY_HAND = {
    "price_then_time": PRICE_THEN_TIME,
    "amends": AMENDS,
    "iceberg": ICEBERG,
    "stops": STOPS,
    "self_trades": SELF_TRADES,
    "market": MARKET,
    "flags": FLAGS,
    "ids": IDS,
    "cancels": CANCELS,
    "defaults": DEFAULTS,
    "times": TIMES,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_flow_worked_out_by_hand(run: Replay, book: str, name: str) -> None:
    text, trades, depth, rejects = BY_HAND[name]
    outcome = run(text, book)
    assert outcome[:4] == (0, trades, depth, rejects)
    assert outcome.said.startswith(f"{text.count(chr(10)) - 1} rows, {len(trades)} trades, {len(rejects)} rejects, ")


def test_no_bound_and_no_band(run: Replay, book: str) -> None:
    """More makers than one command may look at on the exchange, at prices that would open an auction there."""
    rows = [f"{index},new,s{index},sell,gtc,{100 + index},1" for index in range(2_000)]
    outcome = run(flow(*rows, "2000,new,t,buy,gtc,3000,2001"), book)
    assert len(outcome.trades) == 2_000
    assert outcome.depth == ["buy,3000,1,1"]
    assert outcome.rejects == []


# ---------------------------------------------------------------- rows that can't be read

GOOD = "7,new,{},sell,gtc,100,5"
LONG = "x" * (replay.ROW_CHARS_MAX + 1)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "too few columns": (b"7,new,bad,sell,gtc,100", "7,bad"),
    "too many columns": (b"7,new,bad,sell,gtc,100,5,", "7,bad"),
    "one column": (b"nonsense", ","),
    "no number": (b"7,new,bad,sell,gtc,ten,5", "7,bad"),
    "a fraction": (b"7,new,bad,sell,gtc,100.0,5", "7,bad"),
    "an exponent": (b"7,new,bad,sell,gtc,1e2,5", "7,bad"),
    "an underscore": (b"7,new,bad,sell,gtc,1_00,5", "7,bad"),
    "a sign": (b"7,new,bad,sell,gtc,+100,5", "7,bad"),
    "negative price": (b"7,new,bad,sell,gtc,-100,5", "7,bad"),
    "negative quantity": (b"7,new,bad,sell,gtc,100,-5", "7,bad"),
    "negative time": (b"-7,new,bad,sell,gtc,100,5", ",bad"),
    "a space": (b"7,new,bad,sell,gtc, 100,5", "7,bad"),
    "other digits": ("7,new,bad,sell,gtc,١٠٠,5".encode(), "7,bad"),
    "a superscript": ("7,new,bad,sell,gtc,²,5".encode(), "7,bad"),
    "nan": (b"nan,new,bad,sell,gtc,100,5", ",bad"),
    "price above its field": (b"7,new,bad,sell,gtc,2147483648,5", "7,bad"),
    "quantity above its field": (b"7,new,bad,sell,gtc,100,4294967296", "7,bad"),
    "time above its field": (b"9223372036854775808,new,bad,sell,gtc,100,5", "9223372036854775808,bad"),
    "a number of many digits": (b"7,new,bad,sell,gtc,100," + b"9" * 60_000, "7,bad"),
    "a time of many digits": (b"9" * 5_000 + b",new,bad,sell,gtc,100,5", ",bad"),
    "unknown op": (b"7,replace,bad,sell,gtc,100,5", "7,bad"),
    "capital op": (b"7,NEW,bad,sell,gtc,100,5", "7,bad"),
    "unknown side": (b"7,new,bad,short,gtc,100,5", "7,bad"),
    "no side": (b"7,new,bad,,gtc,100,5", "7,bad"),
    "unknown tif": (b"7,new,bad,sell,day,100,5", "7,bad"),
    "no id": (b"7,new,,sell,gtc,100,5", "7,"),
    "no id to cancel": (b"7,cancel,,,,,", "7,"),
    "not UTF-8": (b"7,new,\xff\xfe,sell,gtc,100,5", "7,\ufffd\ufffd"),
    "a lone surrogate": (b"7,new,\xed\xa0\x80,sell,gtc,100,5", "7,\ufffd\ufffd\ufffd"),
    "half a character": (b"7,new,bad\xe2\x82,sell,gtc,100,5", "7,bad\ufffd"),
    "a NUL in the id": (b"7,new,b\0d,sell,gtc,100,5", "7,b\ufffdd"),
    "a NUL in a number": (b"7,new,bad,sell,gtc,1\0,5", "7,bad"),
    "a carriage return": (b"7,new,b\rd,sell,gtc,100,5", "7,b\ufffdd"),
    "an open quote": (b'7,new,"bad,sell,gtc,100,5', '7,"bad,sell,gtc,100,5"'),
    "text after a quote": (b'7,new,"ba"d,sell,gtc,100,5', "7,bad"),
    "too long": (b"7,new," + LONG.encode() + b",sell,gtc,100,5", ","),
    "too long by far": (b"7,new," + 20 * LONG.encode() + b",sell,gtc,100,5", ","),
    "too long, no comma": (20 * LONG.encode(), ","),
    "commas": (b"," * 1_000, ","),
}


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "between", "last without a newline"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_row_that_cannot_be_read_is_a_reject(run: Replay, name: str, place: int) -> None:
    row, told = HOSTILE[name]
    rows = [GOOD.format("a").encode(), GOOD.format("b").encode()]
    rows.insert(place, row)
    outcome = run(flow().encode() + b"\n".join(rows), "plain")
    assert outcome.rejects == [f"{told},malformed_record"]
    assert outcome.depth == ["sell,100,10,2"]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("order_id,side,price,quantity,type", "bad,sell,7,1,stop"),
        ("order_id,side,price,quantity,post_only", "bad,sell,7,1,yes"),
        ("order_id,side,price,quantity,stp", "bad,sell,7,1,none"),
        ("order_id,side,price,quantity,display_quantity", "bad,sell,7,1,-1"),
        ("order_id,side,price,quantity,min_quantity", "bad,sell,7,1,1.0"),
        ("order_id,side,price,quantity,stop_price", "bad,sell,7,1,x"),
    ],
)
def test_a_bad_word_in_a_rarer_column(run: Replay, header: str, row: str) -> None:
    outcome = run(f"{header}\n{row}\n", "plain")
    assert outcome.rejects == [",bad,malformed_record"]
    assert outcome.depth == []


def test_all_hostile_rows_at_once(run: Replay, book: str) -> None:
    rows = [row for row, _ in HOSTILE.values()]
    outcome = run(flow().encode() + b"\r\n".join([*rows, b"", GOOD.format("a").encode()]), book)
    assert outcome.rejects == [f"{told},malformed_record" for _, told in HOSTILE.values()]
    assert outcome.depth == ["sell,100,5,1"]


def test_random_bytes_never_stop_it(run: Replay, book: str) -> None:
    draw = random.Random(7)
    for _ in range(30):
        letters = b'0123456789,,,,,\n\n"\r\0newcancelbuysell\xff\xc3\xa9 '
        junk = bytes(draw.choice(letters) for _ in range(draw.randrange(2_000)))
        outcome = run(flow().encode() + junk, book)
        assert outcome.status == 0
        rows = sum(map(bool, junk.replace(b"\r\n", b"\n").split(b"\n")))
        assert outcome.said.startswith(f"{rows:,} rows, ")
        told = list(csv.reader(outcome.rejects, strict=True))
        assert {len(cells) for cells in told} <= {3}
        assert len(told) <= rows


# ---------------------------------------------------------------- random flows


def random_flow(seed: int, count: int) -> str:
    """Rows of every kind about few names and few prices, so that they meet; some of them bad."""
    draw = random.Random(seed)
    rows, ts_ns = [], 0
    for _ in range(count):
        ts_ns += draw.randrange(3)
        name = f"o{draw.randrange(60)}"
        account = draw.choice(("", "", "alice", "bob", "carol"))
        op = draw.choices(("new", "cancel", "amend", "nothing"), (70, 12, 16, 2))[0]
        side, kind = draw.choice(("buy", "sell")), draw.choices(("", "limit", "market"), (5, 3, 1))[0]
        tif = draw.choices(("", "gtc", "ioc", "fok"), (5, 3, 2, 1))[0]
        price = draw.choice(("", str(draw.randrange(95, 106)))) if op == "amend" else str(draw.randrange(95, 106))
        quantity = draw.choice(("", str(draw.randrange(0, 40)))) if op == "amend" else str(draw.randrange(0, 40))
        post = draw.choices(("", "0", "1"), (6, 2, 1))[0]
        display, least = (draw.choices(("", str(draw.randrange(1, 9))), (5, 1))[0] for _ in range(2))
        stop = draw.choices(("", str(draw.randrange(95, 106))), (8, 1))[0]
        stp = draw.choices(("", *replay_modes()), (6, 1, 1, 1, 1))[0]
        cells = (str(ts_ns), op, name, account, side, kind, tif, price, quantity, post, display, least, stop, stp)
        rows.append(",".join(cells))
    return flow(*rows, header=HEADER)


def replay_modes() -> Sequence[str]:
    return ("cancel_newest", "cancel_oldest", "cancel_both", "decrement")


@pytest.mark.parametrize("seed", range(8))
def test_both_books_say_the_same(run: Replay, seed: int) -> None:
    outcomes = [run(random_flow(seed, 3_000), book)[:4] for book in BOOKS]
    assert outcomes.count(outcomes[0]) == len(BOOKS)
    status, trades, depth, rejects = outcomes[0]
    assert status == 0
    assert len(trades) > 200
    assert len(depth) > 2
    codes = {reject.rsplit(",", 1)[1] for reject in rejects}
    assert {"malformed_record", "unknown_order", "invalid_quantity", "duplicate_order_id"} <= codes


@pytest.mark.parametrize("seed", range(3))
def test_nothing_depends_on_where_a_block_ends(
    run: Replay, book: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of less than a row, one event a call, and names forgotten after every block."""
    text = random_flow(seed, 400)
    whole = run(text, book)[:4]
    for name, value in (("BLOCK_BYTES", len(HEADER) + 1), ("EVENTS_ROOM", 1), ("FORGET_ABOVE", 0)):
        monkeypatch.setattr(replay, name, value)
    assert run(text, book)[:4] == whole


# ---------------------------------------------------------------- the command


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


def test_progress_is_told_on_a_terminal(run: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(replay, "PROGRESS_S", 0)
    monkeypatch.setattr(replay, "BLOCK_BYTES", 64)
    outcome = run(PRICE_THEN_TIME[0], "plain")
    assert "100 %  6 rows" in outcome.said.replace("\r", " ")
    assert outcome.said.rstrip("\n").split("\033[K")[1].startswith("6 rows, 4 trades")
