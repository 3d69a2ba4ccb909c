"""The rules of the columns on flows worked out by hand, and both books alike on random ones."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from engine import replay
from tests.engine.replay.running import BOOKS, HEADER, Replay, flow

Case = tuple[str, list[str], list[str], list[str]]
"""A flow, and the trades, the depth and the rejects that it comes to."""


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
