"""Snapshots that somebody forged, under a right digest, and what each of both machines makes of them.

Runs in a process of its own (`python -m tests.engine.machines.forging named|chance SEED CASES`), since what is wrong may end it: a
line of JSON says each case before it is played, and another what came of it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

import msgspec

from engine import snapshot
from engine.book import BookState, RestingOrder
from engine.book_plain import PlainBook
from engine.codec import DecodeError
from engine.compiled.machine import FastMachine
from engine.kinds import Kind, OrderType, Side
from engine.machine import Machine
from engine.state import Account, Calendar, Lease, Order, State
from tests.engine.test_lives import Life

HEAD: Final = 1 + snapshot.DIGEST_BYTES
STEPS: Final = 700
"""Commands of the life that the snapshot is taken of, about."""
STEPS_MOST: Final = 20 * STEPS
TAIL: Final = 200
"""Commands that both machines play on with."""
ABSURD: Final = (
    0,
    1,
    -1,
    7,
    60,
    65_536,
    2**31,
    2**32 - 1,
    2**32,
    2**40,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**31),
    -(2**63),
)

Change = Callable[[Any], None]


def sealed(body: Any) -> bytes:
    """A snapshot that says this, with the digest that is right for it."""
    encoded = msgspec.msgpack.encode(body)
    return bytes([snapshot.FORMAT]) + hashlib.blake2b(encoded, digest_size=snapshot.DIGEST_BYTES).digest() + encoded


def body_of(data: bytes) -> Any:
    """What a snapshot says, to be changed."""
    return msgspec.msgpack.decode(data[HEAD:], strict=False)


def taken(seed: int) -> tuple[bytes, list[bytes]]:
    """A snapshot of a crowded market with something of each kind, and the commands after it."""
    life = Life(seed)
    life.shard.auditor.every = 10**9
    for step in range(STEPS_MOST):
        if step >= STEPS and is_rich(life.shard.machine.state):
            break
        life.step()
    assert is_rich(life.shard.machine.state), seed
    data, begin = life.shard.machine.snapshot(), len(life.shard.records)
    while len(life.shard.records) < begin + TAIL:
        life.step()
    return data, life.shard.records[begin : begin + TAIL]


def is_rich(state: State) -> bool:
    """Whether there is what the named cases change."""
    books = [book.state() for book in state.books.values()]
    kinds = {(order.side, order.kind) for order in state.orders.values()}
    return (
        {(side, kind) for side in Side for kind in (Kind.SPOT, Kind.ONDEMAND)} <= kinds
        and {Kind.SPOT, Kind.ONDEMAND, Kind.FORWARD} <= {lease.kind for lease in state.leases.values()}
        and any(order.display_quantity for book in books for order in book.asks)
        and any(not order.display_quantity for book in books for order in book.bids)
        and any(book.stops for book in books)
        and any(book.minutes for book in books)
        and bool(state.obligations)
    )


# ---------------------------------------------------------------- named cases


def place_of(struct: type[msgspec.Struct], field: str) -> int:
    return struct.__struct_fields__.index(field)


def table(body: Any, name: str) -> Any:
    return body[place_of(snapshot.Body, name)]


def first(rows: Any, struct: type[msgspec.Struct], **having: Any) -> Any:
    """The first row with these values."""
    fits = (row for row in rows if all(row[place_of(struct, name)] == value for name, value in having.items()))
    return next(fits)


def order(body: Any, **having: Any) -> Any:
    return first(table(body, "orders"), Order, **having)


def books(body: Any) -> Iterator[Any]:
    yield from table(body, "books")


def resting(body: Any, queue: str, *, iceberg: bool = False) -> Any:
    """The first order in a queue of any book."""
    shows = place_of(RestingOrder, "display_quantity")
    return next(row for book in books(body) for row in book[place_of(BookState, queue)] if bool(row[shows]) == iceberg)


def give(row: Any, struct: type[msgspec.Struct], **values: Any) -> None:
    for name, value in values.items():
        row[place_of(struct, name)] = value


def _asks_of_a_row(name: str, number: Callable[[Any], int]) -> Change:
    def change(body: Any) -> None:
        row = table(body, "rows")[0]
        row[3 if name == "spot_asks" else 4].append(number(body))

    return change


def _doubled_ask(body: Any) -> None:
    """It stands in two rows' lists."""
    ask = order(body, side=Side.SELL, kind=Kind.SPOT)
    rows = table(body, "rows")
    other = next(row for row in rows if ask[0] not in row[3])
    other[3].append(ask[0])


def _minute(number: int) -> Change:
    def change(body: Any) -> None:
        book = next(book for book in books(body) if book[place_of(BookState, "minutes")])
        book[place_of(BookState, "minutes")][-1][0] = number

    return change


def _of_order(field: str, value: Any, **having: Any) -> Change:
    return lambda body: give(order(body, **having), Order, **{field: value})


def _of_lease(**values: Any) -> Change:
    return lambda body: give(first(table(body, "leases"), Lease, kind=Kind.SPOT), Lease, **values)


def _of_resting(queue: str, *, iceberg: bool = False, **values: Any) -> Change:
    return lambda body: give(resting(body, queue, iceberg=iceberg), RestingOrder, **values)


def _row_gone(body: Any) -> None:
    """A lease is of a provider and a Baron that have no row together."""
    lease = first(table(body, "leases"), Lease, kind=Kind.SPOT)
    have = {tuple(row[:2]) for row in table(body, "rows")}
    accounts = [account[0] for account in table(body, "accounts")]
    stranger = next(account for account in accounts if (account, lease[3]) not in have)
    give(lease, Lease, provider=stranger)


def _twice(name: str) -> Change:
    def change(body: Any) -> None:
        table(body, name).append(table(body, name)[-1])

    return change


def _nested(body: Any) -> None:
    """Deeper than any reader goes."""
    table(body, "accounts")[0][place_of(Account, "client_ids")] = msgspec.Raw(b"\x91" * 100_000 + b"\xc0")


def _whole(name: str, value: Any) -> Change:
    def change(body: Any) -> None:
        body[place_of(snapshot.Body, name)] = value

    return change


NAMED: Final[dict[str, Change]] = {
    "a bid among a row's spot asks": _asks_of_a_row("spot_asks", lambda body: order(body, side=Side.BUY)[0]),
    "a bid among a row's firm asks": _asks_of_a_row("firm_asks", lambda body: order(body, side=Side.BUY)[0]),
    "an ask in two rows": _doubled_ask,
    "an order that nobody placed in a row": _asks_of_a_row("spot_asks", lambda body: 1),
    "a lease of a renter that there isn't": _of_lease(renter=999),
    "a lease of a provider that there isn't": _of_lease(provider=999),
    "a lease of a provider without a row": _row_gone,
    "a lease on a Baron that there isn't": _of_lease(baron=999),
    "an order twice": _twice("orders"),
    "a lease twice": _twice("leases"),
    "a bill twice": _twice("bills"),
    "an account twice": _twice("accounts"),
    "an order in another book": _of_order("instrument", 2, side=Side.BUY, instrument=1),
    "an order in no book": _of_order("instrument", 999, side=Side.BUY),
    "a book's minute at the end of all numbers": _minute(2**64 - 1),
    "a book's minute beyond the calendar": _minute(2**63 // (60 * 10**9) + 1),
    "a plain order that shows less": _of_resting("bids", shown=0),
    "an iceberg that shows more than it leaves": _of_resting("asks", iceberg=True, shown=2**32 - 1),
    "an order at rest that leaves nothing": _of_resting("bids", leaves=0, shown=0),
    "a market order at rest": _of_resting("bids", order_type=OrderType.MARKET),
    "an ask among the bids": _of_resting("bids", side=Side.SELL),
    "an ask that delivers": _of_order("delivery", b"key", side=Side.SELL),
    "an ask with a term of its own": _of_order("hours", 3, side=Side.SELL),
    "a bid with a shortest term": _of_order("min_hours", 3, side=Side.BUY),
    "an order of another book's price": _of_order("price_ticks", 1, side=Side.BUY),
    "a time beyond the last": _whole("last_ts_ns", 2**62 + 1),
    "a time of 64 bits": _whole("last_ts_ns", 2**64 - 1),
    "a sequence beyond the last": _whole("last_seq", 2**40),
    "another shard than there can be": _whole("shard", 128),
    "no accounts": _whole("accounts", []),
    "lists in lists without an end": _nested,
    "a day that ended long ago": lambda body: give(table(body, "calendars")[0], Calendar, due_ns=3),
    "an hour of use that ended long ago": _of_lease(due_ns=3),
    "nothing": lambda body: body.clear(),
}


# ---------------------------------------------------------------- chance


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value in a body, lists and maps included."""
    if path:
        yield path
    if isinstance(value, list):
        for place, each in enumerate(value):
            yield from spots(each, (*path, place))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from spots(each, (*path, key))


def at(body: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        body = body[step]
    return body


def other(chance: Random, value: Any, numbers: list[int]) -> Any:
    """Something plausible, or absurd, in a value's place."""
    match value:
        case bool():
            return not value
        case int():
            near = (value + 1, value - 1, 2 * value, -value, chance.choice(numbers))
            return chance.choice((*near, chance.choice(ABSURD)))
        case str():
            return chance.choice(("", "é", value + "a"))
        case bytes():
            return chance.choice((b"", value + b"a"))
        case list() if value:
            return chance.choice((value[:-1], [*value, value[-1]], value[::-1], []))
        case list():
            return [[1, 2]]
        case _:
            return None


def forgeries(chance: Random, data: bytes, cases: int) -> Iterator[tuple[str, bytes]]:
    """So many snapshots with one thing changed, each table's as often as another's."""
    body = body_of(data)
    ways: dict[int, list[tuple[Any, ...]]] = {}
    for way in spots(body):
        ways.setdefault(way[0], []).append(way)
    numbers = [each for way in spots(body) if isinstance(each := at(body, way), int)]
    while cases:
        way = chance.choice(ways[chance.choice(sorted(ways))])
        changed = body_of(data)
        before = at(changed, way)
        at(changed, way[:-1])[way[-1]] = other(chance, before, numbers)
        forged = sealed(changed)
        if forged != data:
            cases -= 1
            field = snapshot.Body.__struct_fields__[way[0]]
            yield f"{field} {way[1:]}: {before!r:.60} to {at(changed, way)!r:.60}", forged


# ---------------------------------------------------------------- both machines


def restored(restore: Callable[[bytes], Machine], data: bytes) -> Machine | str:
    """The machine, or the name of the error."""
    try:
        return restore(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        return type(error).__name__


def compared(data: bytes, commands: list[bytes]) -> str:
    """What both machines make of a snapshot: `refused`, `lived` or `stopped` alike; else how they differ."""
    law, compiled = restored(lambda each: Machine.restore(each, PlainBook), data), restored(FastMachine.restore, data)
    if isinstance(law, str) or isinstance(compiled, str):
        return "refused" if (law, compiled) == (DecodeError.__name__,) * 2 else f"law {law}, compiled {compiled}"
    if snapshot.encode(law.state) != compiled.snapshot():
        return "other states"
    if said(compiled.snapshot()) != said(data):
        return "what it says was changed"
    for number, command in enumerate(commands):
        answers = [played(machine, command) for machine in (law, compiled)]
        if answers[0] != answers[1]:
            return f"other answers to command {number}: {answers}"
        if isinstance(answers[0], str):
            # The engine contradicts itself, and says so: then it stops.
            return "stopped"
    return "lived" if law.snapshot() == compiled.snapshot() else "other states in the end"


def said(data: bytes) -> snapshot.Body:
    return msgspec.msgpack.decode(data[HEAD:], type=snapshot.Body)


def played(machine: Machine, command: bytes) -> list[bytes] | str:
    try:
        return machine.batch([command], machine.last_seq + 1)
    except Exception as error:  # noqa: BLE001 - whatever the law raises, the compiled machine must raise
        return type(error).__name__


def main(kind: str, seed: int, cases: int) -> None:
    data, commands = taken(seed)
    if kind == "named":
        for name, change in NAMED.items():
            body = body_of(data)
            change(body)
            tell(name, sealed(body), [])
        return
    for name, forged in forgeries(Random(seed), data, cases):
        tell(name, forged, commands)


def tell(name: str, data: bytes, commands: list[bytes]) -> None:
    print(json.dumps(name), flush=True)
    print(json.dumps(compared(data, commands)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
